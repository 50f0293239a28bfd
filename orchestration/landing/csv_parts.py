"""A large CSV in parts that end with a row: each can be read by itself, and it is known how many rows lie before it.

DuckDB does not say in which place of a text file a row stands, but it numbers what one thread reads. So each thread
gets a part. What belongs here: where a file may be cut, and cutting it. What does not: reading the parts
(`source_files`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orchestration import files

# Smaller parts are not worth their connections.
SMALLEST_PART = 32_000_000
# The bytes that are copied together: what a processor keeps at hand.
COPIED = 250_000
LINE_FEED, RETURN, QUOTE, COMMA, START_OF_MARK = b'\n\r",\xef'


@dataclass(frozen=True, order=True)
class RowEnd:
    """A place in a file, in bytes, at which a row ends, and the rows up to there, the header among them."""

    place: int
    rows: int


@dataclass(frozen=True)
class Part:
    """The bytes from `start` up to `stop`: `rows` rows after `rows_before` others. The first has the header too."""

    start: int
    stop: int
    rows_before: int
    rows: int


class RowEnds:
    """Looks through the bytes of a CSV for places at which rows end, one in each block and that of the last row.

    It finds them in plain files alone, in which all line breaks are alike, those within quotes too, and a quote stands
    only where a value begins or ends or beside another one: there, each break ends a row unless quotes hold it. DuckDB
    takes other files too; it takes some quotes for part of a value, and the first break for that of all rows.
    """

    def __init__(self) -> None:
        self._ends: list[RowEnd] = []
        self._is_plain = True
        self._is_quoted = False
        # Whether a return stands before each line feed; not known before the first.
        self._has_returns: bool | None = None
        self._rows = 0
        # The last two bytes that were looked at and the one after them, which is looked at when it is known what
        # follows. The file begins as a row does.
        self._kept = b"\n\n"
        self._kept_from = -2
        # Large arrays that are made and freed again and again go back to the system each time.
        self._marks = np.empty(0, np.bool_)

    def look(self, block: bytes | bytearray) -> None:
        """Look at the bytes that come next."""
        # The bytes about its start, and then itself, uncopied.
        for together in (self._kept + block[:3], block) if len(block) > 3 else (self._kept + block,):
            self._look_between(together)
            self._kept_from += max(len(together) - 3, 0)
            self._kept = bytes(together[-3:])

    def found(self) -> tuple[RowEnd, ...]:
        """The places that were found, when all of the file has been looked at; none in a file that is not plain."""
        self.look(b"\n")
        # Without a line feed at its end, the file has a row that goes on.
        is_ended = self._kept.endswith(b"\n\n")
        if not self._is_plain or self._is_quoted or not is_ended:
            return ()
        return (*self._ends, RowEnd(self._kept_from + 2, self._rows))

    def _look_between(self, together: bytes | bytearray) -> None:
        """Look at all bytes but the first two and the last."""
        if not self._is_plain or len(together) < 4:
            return
        text = np.frombuffer(together, np.uint8)
        breaks = self._places(text, LINE_FEED)
        if self._has_returns is None and len(breaks):
            self._has_returns = bool(text[breaks[0] - 1] == RETURN)
        is_plain = (text[breaks - 1] == RETURN) == bool(self._has_returns)
        if b"\r" in together:
            is_plain = np.append(is_plain, text[self._places(text, RETURN) + 1] == LINE_FEED)
        if self._is_quoted or b'"' in together:
            quotes = self._places(text, QUOTE)
            opening, closing = quotes[self._is_quoted :: 2], quotes[not self._is_quoted :: 2]
            beside = np.append(text[opening - 1], text[closing + 1])
            is_plain = np.append(is_plain, np.isin(beside, (COMMA, LINE_FEED, RETURN, QUOTE)))
            is_held = (np.searchsorted(quotes, breaks) + self._is_quoted) % 2 == 1
            breaks = breaks[~is_held]
            self._is_quoted ^= len(quotes) % 2 == 1
        self._is_plain = bool(is_plain.all())
        # DuckDB passes over a line with nothing in it.
        breaks = breaks[text[breaks - (2 if self._has_returns else 1)] != LINE_FEED]
        # It would pass over a byte order mark at the start of a part, too.
        fit = np.flatnonzero(text[breaks + 1] != START_OF_MARK)
        if len(fit):
            self._ends.append(RowEnd(self._kept_from + int(breaks[fit[0]]) + 1, self._rows + int(fit[0]) + 1))
        self._rows += len(breaks)

    def _places(self, text: NDArray[np.uint8], byte: int) -> NDArray[np.intp]:
        """Where a byte stands in a text, but for its first two bytes and its last."""
        between = text[2:-1]
        if len(self._marks) < len(between):
            self._marks = np.empty(len(between), np.bool_)
        return np.flatnonzero(np.equal(between, byte, out=self._marks[: len(between)])) + 2


def parts(ends: Sequence[RowEnd], number: int) -> list[Part]:
    """So many parts of about one size, from the ends of a file's rows; none where they would be too small."""
    if not ends or ends[-1].place < number * SMALLEST_PART:
        return []
    wanted = [ends[-1].place * part // number for part in range(1, number + 1)]
    cuts = sorted({min(ends, key=lambda end: abs(end.place - place)) for place in wanted})
    return [
        Part(before.place, end.place, before.rows - 1, end.rows - before.rows)
        for before, end in zip([RowEnd(0, 1), *cuts], cuts, strict=False)
    ]


def cut(path: Path, parts: Sequence[Part], folder: Path) -> list[Path]:
    """Copy the parts of a file into files of their own. Returns them in their order."""
    part_of = {folder / f"part-{part.start}.csv": part for part in parts}

    def copy(target: Path) -> Path:
        part = part_of[target]
        missing, block = part.stop - part.start, memoryview(bytearray(COPIED))
        # A disk that is full may take a part of a block, and say so by its length alone: an open file that has a buffer
        # goes on with the rest, and meets the error.
        with path.open("rb", buffering=0) as source, target.open("wb") as copied:
            source.seek(part.start)
            # A file that ends before was changed since it was looked at, and is refused for that.
            while missing and (length := source.readinto(block[:missing])):
                copied.write(block[:length])
                missing -= length
        return target

    return files.two_at_a_time(copy, list(part_of))

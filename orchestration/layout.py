"""How rows are laid out in the width of a terminal: a table, or a block of lines for each row where none fits.

What belongs here: the text of a value, the width of a column, and the choice between the two forms. What does not:
looking values up, or printing (`screen`).

A number, a month, a time and an id are never broken: a column is at least as wide as its longest word. Sentences and
headings break between words.
"""

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from rich.cells import cell_len
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

# Characters that a terminal obeys instead of showing, or that turn text around: escapes, other controls, bidi marks,
# line separators, and halves of characters, which it cannot be sent.
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# Between two columns stand a blank, a line and a blank.
SEPARATOR = 3
# Whole numbers that name something and count nothing.
IDENTIFIERS = ("source_row",)


@dataclass(frozen=True)
class Look:
    """How a table may look. `may_go`: columns that a narrow terminal does without, the first first.

    `grouped`: whether digits stand in groups of three, as in a sentence; not in values that are to be copied.
    """

    may_go: tuple[str, ...] = ()
    grouped: bool = True


@dataclass(frozen=True)
class Column:
    """A column as text. `least` is the width of its longest word, `most` that of its longest line.

    The cells of a column that is `whole` are one word each, as a date with its time is.
    """

    name: str
    cells: tuple[str, ...]
    numeric: bool
    whole: bool

    @property
    def heading(self) -> str:
        return shown(self.name.replace("_", " "))

    @property
    def least(self) -> int:
        words = [self.heading.split(), *(cell.splitlines() if self.whole else cell.split() for cell in self.cells)]
        return max((cell_len(word) for listed in words for word in listed), default=0)

    @property
    def most(self) -> int:
        return max(cell_len(line) for text in (self.heading, *self.cells) for line in text.splitlines() or [""])


def shown(text: str) -> str:
    """Text as it can be shown: a character that a terminal would obey stands there as its code."""
    return OBEYED.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def amount(value: Decimal, *, grouped: bool = True) -> str:
    """An exact decimal in groups of three digits, without needless zeros, two places at least."""
    whole, _, places = (f"{value:,f}" if grouped else f"{value:f}").partition(".")
    return f"{whole}.{places.rstrip('0').ljust(2, '0')}"


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun, `1 row`, `1,234 rows`; `plural` where it is not an s more."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def cell(value: Any, *, grouped: bool = True) -> str:
    """A value as a person reads it; nothing for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return amount(value, grouped=grouped) if value.is_finite() else str(value)
    if isinstance(value, int):
        return f"{value:,}" if grouped else str(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {cell(inner, grouped=grouped)}" for key, inner in value.items())
    return shown(str(value))


def columns(rows: Sequence[Mapping[str, Any]], names: Sequence[str], look: Look) -> list[Column]:
    """The columns of these names as text; amounts stand with their points below each other."""
    return [_column(name, [row[name] for row in rows], look) for name in names]


def _column(name: str, values: Sequence[Any], look: Look) -> Column:
    numeric = all(value is None or _is_number(value) for value in values) and any(map(_is_number, values))
    grouped = look.grouped and name not in IDENTIFIERS
    cells = [cell(value, grouped=grouped) for value in values]
    if numeric and any(isinstance(value, Decimal) for value in values):
        places = [len(text.partition(".")[2]) for text in cells]
        cells = [text and text + " " * (max(places) - own) for text, own in zip(cells, places, strict=True)]
    return Column(name, tuple(cells), numeric, whole=not any(isinstance(value, str) for value in values))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def table(
    rows: Sequence[Mapping[str, Any]], names: Sequence[str], look: Look, width: int | None
) -> tuple[RenderableType, list[str]]:
    """The rows within this width (any width, if None), and the columns that had no room.

    All columns, if they fit with their sentences broken; without those that may go, if these do; else a block of lines
    for each row, with all of them.
    """
    listed = columns(rows, names, look)
    if width is None:
        return _table(listed, [column.most for column in listed]), []
    gone: list[str] = []
    for going in ("", *look.may_go):
        gone += [going] if going in names else []
        kept = [column for column in listed if column.name not in gone]
        if kept and (widths := _widths(kept, width)):
            return _table(kept, widths), gone
    return _blocks(listed, len(rows), width), []


def _widths(listed: Sequence[Column], width: int) -> list[int] | None:
    """The width of each column, the widest narrowed first; None if the longest words have no room."""
    room = width - SEPARATOR * (len(listed) - 1)
    if sum(column.least for column in listed) > room:
        return None
    widths = [column.most for column in listed]
    while sum(widths) > room:
        place = max((at for at, column in enumerate(listed) if widths[at] > column.least), key=widths.__getitem__)
        widths[place] -= 1
    return widths


def _table(listed: Sequence[Column], widths: Sequence[int]) -> Table:
    laid_out = Table(show_edge=False, pad_edge=False)
    for column, width in zip(listed, widths, strict=True):
        laid_out.add_column(
            Text(column.heading),
            width=width,
            justify="right" if column.numeric else "left",
        )
    for row in zip(*(column.cells for column in listed), strict=True):
        laid_out.add_row(
            *(
                # Rich would take away the blanks that stand for places.
                Text(text.rjust(width) if column.numeric else text, justify="left")
                for column, width, text in zip(listed, widths, row, strict=True)
            )
        )
    return laid_out


def _blocks(listed: Sequence[Column], rows: int, width: int) -> Text:
    """A block for each row: a line for each value that is there, named; sentences continue under themselves."""
    indent = max(cell_len(column.heading) for column in listed) + 2
    blocks = []
    for at in range(rows):
        lines = []
        for column in listed:
            if text := column.cells[at].strip():
                first, *more = text.splitlines() if column.whole else _broken(text, width - indent)
                lines.append(column.heading + " " * (indent - cell_len(column.heading)) + first)
                lines += [" " * indent + line for line in more]
        blocks.append("\n".join(lines))
    return Text("\n\n".join(blocks), no_wrap=True, overflow="ignore")


def _broken(text: str, width: int) -> list[str]:
    """Lines of whole words; a word that is longer than the width is left to the terminal."""
    return [part for line in text.splitlines() for part in wrapped(line, width)]


def wrapped(line: str, width: int) -> list[str]:
    """A line as lines of whole words, under the indentation of the first one."""
    indent = " " * (len(line) - len(line.lstrip(" ")))
    return textwrap.wrap(
        line,
        max(width, len(indent) + 1),
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
        drop_whitespace=True,
    ) or [line]

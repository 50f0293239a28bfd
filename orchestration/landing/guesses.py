"""Guesses at a text file that does not fit: what it seems to be, so that a refusal can tell what to write.

What belongs here: looking at a file's start. What does not: reading it; nobody relies on a guess.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from orchestration.landing.input_files import Compression, open_bytes

START = 64_000
DELIMITERS = (",", ";", "\t", "|")
# How a delimiter is written in a declaration.
WRITTEN = {"\t": "\\t"}
MOST_PREAMBLE = 50
ARRAY = "It seems to be one JSON array: write one object a line, for example with `jq -c '.[]' FILE > FILE.jsonl`."
SPREAD = "It seems to be JSON over several lines: write one object a line, as `jq -c . FILE > FILE.jsonl` does."


@dataclass(frozen=True)
class Guess:
    """The delimiter and the lines above the header with which a start has columns that are wanted."""

    delimiter: str
    skip_lines: int
    columns: int

    def seems(self, delimiter: str, skipped: int = 0) -> str:
        """How the file seems to differ from one of this delimiter, whose header stands right after `skipped` lines.

        A sentence without its end, empty where nothing differs.
        """
        seems = []
        if self.delimiter != delimiter:
            seems.append("to be separated by " + ("tabs" if self.delimiter == "\t" else f"'{self.delimiter}'"))
        if self.skip_lines:
            seems.append(f"to have its header in line {self.skip_lines + skipped + 1}")
        return f"It seems {' and '.join(seems)}" if seems else ""


def start_of(path: Path, compression: Compression) -> bytes:
    """The first bytes of a file, unpacked."""
    with open_bytes(path, compression) as handle:
        return handle.read(START)


def json(start: bytes) -> str:
    """A sentence on JSON that is not one object a line, and what to do; empty for any other text."""
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith(b"["):
        return ARRAY
    first, line_break, _ = text.partition(b"\n")
    return SPREAD if text.startswith(b"{") and line_break and not first.rstrip().endswith(b"}") else ""


def header(start: bytes, wanted: Collection[str]) -> Guess | None:
    """Where the header seems to stand: most of the wanted columns are in one line, with one delimiter."""
    lines = start.decode("utf-8", "replace").removeprefix("\ufeff").splitlines()[: MOST_PREAMBLE + 1]
    best: Guess | None = None
    for number, line in enumerate(lines):
        for delimiter in DELIMITERS:
            cells = {cell.strip().strip('"') for cell in line.split(delimiter)}
            found = len(cells & set(wanted))
            if found > (best.columns if best else len(wanted) // 2):
                best = Guess(delimiter, number, found)
    return best


def encoding(start: bytes) -> str:
    """The encoding that a text which is not UTF-8 seems to have."""
    if start.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in start[:200]:
        return "utf-16"
    return "cp1252"

"""Output for people and programs: tables and sentences on a terminal, JSON and CSV on request.

What belongs here: printing values that others have looked up. What does not: the layout of a table (`layout`), or
reading a file or a database.
"""

import csv
import io
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

from orchestration import guarded_csv, layout
from orchestration.layout import Look, shown

# Piped output keeps whole lines, which can be searched: no table is wider.
WIDEST = 100_000
# More rows than a person reads; laying a hundred thousand out would take minutes before the first one is printed.
MOST_ROWS = 1_000


class Stream:
    """stdout or stderr for a reader who may stop reading, as `head` does: the rest is printed for nobody.

    A stream that is closed from the beginning, as by `>&-`, is None in Python.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - it lives as the process

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            self._print_for_nobody()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._print_for_nobody()

    def _print_for_nobody(self) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _console(stream: TextIO, *, stderr: bool) -> Console:
    return Console(
        stderr=stderr,
        highlight=False,
        # Brackets and colons in a name are a name's.
        markup=False,
        emoji=False,
        soft_wrap=True,
        width=None if stream.isatty() else WIDEST,
    )


def as_json(value: Any) -> None:
    """Print as JSON: amounts as text with all their places, times in ISO 8601."""
    # A code that stands in JSON for a character is that character to whoever reads it.
    print(shown(json.dumps(value, default=_json_value, indent=2, ensure_ascii=False)))


def _json_value(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date | Decimal):
        return f"{value:f}" if isinstance(value, Decimal) else value.isoformat()
    return str(value)


def as_csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print as CSV with a header: amounts with all their places, times with Z, null as empty, no cell that runs."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_csv_value(row[name]) for name in columns] for row in rows)
    print(shown(text.getvalue().removesuffix("\n")))


def _csv_value(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%S.%f}{'Z' if value.tzinfo else ''}"
    if isinstance(value, Mapping | list):
        return guarded_csv.guarded(json.dumps(value, default=_json_value, ensure_ascii=False))
    return guarded_csv.guarded(value) if isinstance(value, str) else _json_value(value)


def say(sentence: str) -> None:
    """Print a sentence; on a terminal, in lines of whole words."""
    _print(sys.stdout, sentence)


def complain(sentence: str) -> None:
    """Say it on stderr."""
    _print(sys.stderr, sentence)


def line(text: str) -> None:
    """Print a line that is to be copied, such as a command: it is one line, however narrow the terminal is."""
    _console(sys.stdout, stderr=False).print(shown(text))


def _print(stream: TextIO, sentence: str) -> None:
    console = _console(stream, stderr=stream is sys.stderr)
    for line in shown(sentence).split("\n"):
        for part in layout.wrapped(line, console.width) if console.is_terminal else [line]:
            console.print(part)


def table(
    title: str,
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str] | None = None,
    look: Look | None = None,
    total: int | None = None,
) -> None:
    """Rows as a table, or as a block for each where no table fits; no value cut off.

    Columns for which a narrow terminal has no room are named below, and rows beyond the first thousand are counted.
    `total`: how many there are, where only the first of them are given.
    """
    if not rows:
        return
    console = _console(sys.stdout, stderr=False)
    width = console.width if console.is_terminal else None
    laid_out, gone = layout.table(rows[:MOST_ROWS], list(columns or rows[0]), look or Look(), width)
    if title:
        say(title)
    console.print(laid_out)
    if gone:
        names = ", ".join(name.replace("_", " ") for name in gone)
        say(f"This terminal has no room for {names}; --json has all of it.")
    if (total := total or len(rows)) > MOST_ROWS:
        say(f"These are the first {MOST_ROWS:,} of {total:,} rows; --json has all of them.")


def is_watched() -> bool:
    """Whether somebody sees lines change while a command runs."""
    return sys.stderr.isatty()


@contextmanager
def progress(what: str) -> Iterator[Any]:
    """A line that says what is going on, on a terminal alone. Yields a function that changes it."""
    if not is_watched():
        yield lambda _: None
        return
    # As Text: a plain string would be read as markup here, whatever the console says.
    with _console(sys.stderr, stderr=True).status(Text(shown(what))) as line:
        yield lambda step: line.update(Text(shown(f"{what}: {step}")))

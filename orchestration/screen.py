"""What a person or a program sees: tables and sentences on a terminal, JSON on request.

What belongs here: rendering values that others have looked up. What does not: reading a file or a database.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table

# Piped output keeps whole lines: a table that breaks at 80 columns cannot be searched.
WIDE = 220


def _console(stream: TextIO, *, stderr: bool) -> Console:
    # What is shown is data: an id such as a:x:b is no emoji, and [a] in a file name no markup.
    return Console(
        stderr=stderr,
        highlight=False,
        emoji=False,
        markup=False,
        soft_wrap=True,
        width=None if stream.isatty() else WIDE,
    )


def as_json(value: Any) -> None:
    """Print as JSON: amounts as text with all their places, times in ISO 8601."""
    print(json.dumps(value, default=_json_value, indent=2, ensure_ascii=False))


def _json_value(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date | Decimal):
        return f"{value:f}" if isinstance(value, Decimal) else value.isoformat()
    return str(value)


def say(sentence: str) -> None:
    _console(sys.stdout, stderr=False).print(sentence, markup=False)


def complain(sentence: str) -> None:
    """Say it on stderr."""
    _console(sys.stderr, stderr=True).print(sentence, markup=False)


def table(title: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> None:
    """Rows as a table; numbers to the right, nothing cut off."""
    if not rows:
        return
    names = list(columns or rows[0])
    shown = Table(title=title or None, title_justify="left", show_edge=False, pad_edge=False)
    for name in names:
        numeric = any(isinstance(row[name], int | Decimal) and not isinstance(row[name], bool) for row in rows)
        shown.add_column(name.replace("_", " "), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(cell(row[name]) for name in names))
    _console(sys.stdout, stderr=False).print(shown)


def cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, Decimal):
        return amount(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {cell(inner)}" for key, inner in value.items())
    return str(value)


def amount(value: Decimal) -> str:
    """An exact decimal without needless zeros, two places at least."""
    whole, _, places = f"{value:f}".partition(".")
    return f"{whole}.{places.rstrip('0').ljust(2, '0')}"


def is_watched() -> bool:
    """Whether somebody sees lines change while a command runs."""
    return sys.stderr.isatty()


@contextmanager
def progress(what: str) -> Iterator[Any]:
    """A line that says what is going on, on a terminal alone. Yields a function that changes it."""
    if not is_watched():
        yield lambda _: None
        return
    with _console(sys.stderr, stderr=True).status(what) as line:
        yield lambda step: line.update(f"{what}: {step}")

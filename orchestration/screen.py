"""Output for people and programs: tables and sentences on a terminal, JSON on request.

What belongs here: rendering values that others have looked up. What does not: reading a file or a database.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

# Piped output keeps whole lines: a table that breaks at 80 columns cannot be searched.
WIDE = 220
# Characters that a terminal obeys instead of showing, or that turn text around: escapes, other controls, bidi marks,
# line separators, and halves of characters, which it cannot be sent.
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def _console(stream: TextIO, *, stderr: bool) -> Console:
    return Console(
        stderr=stderr,
        highlight=False,
        # Brackets and colons in a name are a name's.
        markup=False,
        emoji=False,
        soft_wrap=True,
        width=None if stream.isatty() else WIDE,
    )


def shown(text: str) -> str:
    """Text as it can be shown: a character that a terminal would obey stands there as its code."""
    return OBEYED.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


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


def say(sentence: str) -> None:
    _console(sys.stdout, stderr=False).print(shown(sentence))


def complain(sentence: str) -> None:
    """Say it on stderr."""
    _console(sys.stderr, stderr=True).print(shown(sentence))


def table(title: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> None:
    """Rows as a table; numbers to the right, nothing cut off."""
    if not rows:
        return
    names = list(columns or rows[0])
    laid_out = Table(title=title or None, title_justify="left", show_edge=False, pad_edge=False)
    for name in names:
        numeric = any(isinstance(row[name], int | Decimal) and not isinstance(row[name], bool) for row in rows)
        laid_out.add_column(name.replace("_", " "), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        laid_out.add_row(*(shown(cell(row[name])) for name in names))
    _console(sys.stdout, stderr=False).print(laid_out)


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
    # As Text: a plain string would be read as markup here, whatever the console says.
    with _console(sys.stderr, stderr=True).status(Text(shown(what))) as line:
        yield lambda step: line.update(Text(shown(f"{what}: {step}")))

"""CSV that a spreadsheet opens without running it, written and read back.

What belongs here: the guard of a cell and how values are written. What does not: which rows or columns are written.
"""

from collections.abc import Sequence
from pathlib import Path

import duckdb

from orchestration.engine import identifier, ordered, text

# A spreadsheet runs a cell that begins so (OWASP's lists, with the wide forms that East Asian ones take for the same);
# the quote that guards is guarded too, so that reading strips one from each cell that begins with one. E.164 numbers
# are harmless and stay readable.
RUNNABLE = r"^[=+\-@\t\r\n\x00\x{FF1D}\x{FF0B}\x{FF0D}\x{FF20}'']"
E164 = r"\+[1-9][0-9]{6,14}"


def write(connection: duckdb.DuckDBPyConnection, query: str, order: Sequence[str], target: Path) -> None:
    """Write a query's rows as CSV: header, all decimal places, times with Z, null as empty, no cell that runs."""
    columns = connection.execute(f"describe {query}").fetchall()
    cells = ", ".join(_cell(name, kind) for name, kind, *_ in columns)
    connection.execute(
        f"copy (select {cells} from ({query}) as wanted order by {ordered(order)}) to {text(target)} "
        "(format csv, header true, nullstr '')"
    )


def unguarded(names: Sequence[str]) -> str:
    """SQL of columns whose cells lose the quote that kept a spreadsheet from running them."""
    quote = text("'")
    cells = (identifier(name) for name in names)
    return ", ".join(
        f"case when starts_with({cell}, {quote}) then substr({cell}, 2) else {cell} end as {cell}" for cell in cells
    )


def cell_text(column: str, kind: str) -> str:
    """SQL of a value of this type as the text that a cell shows: an instant in UTC, with microseconds and Z."""
    if kind == "TIMESTAMP WITH TIME ZONE":
        return f"strftime({column} at time zone 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')"
    return f"cast({column} as varchar)"


def _cell(name: str, kind: str) -> str:
    column = f"wanted.{identifier(name)}"
    if kind == "TIMESTAMP WITH TIME ZONE":
        return f"{cell_text(column, kind)} as {identifier(name)}"
    if kind != "VARCHAR":
        # As it is: rows are put in order by it.
        return f"{column} as {identifier(name)}"
    return (
        f"case when regexp_matches({column}, '{RUNNABLE}') and not regexp_full_match({column}, '{E164}') "
        f"then '''' || {column} else {column} end as {identifier(name)}"
    )

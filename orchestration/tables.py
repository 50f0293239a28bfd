"""The tables of a frozen month: their names, whether they also come as CSV, and the order that makes their bytes fixed.

Also the one way to write a CSV that a spreadsheet opens without running it. What does not belong here: their columns,
which dbt's contracts fix.
"""

from dataclasses import dataclass
from pathlib import Path

import duckdb

from orchestration.engine import PARQUET, identifier, text

# A spreadsheet runs a cell that begins so (OWASP's lists, with the wide forms that East Asian ones take for the same);
# the quote that guards is guarded too, so that reading strips one from each cell that begins with one. E.164 numbers
# are harmless and stay readable.
RUNNABLE = r"^[=+\-@\t\r\n\x00\x{FF1D}\x{FF0B}\x{FF0D}\x{FF20}'']"
E164 = r"\+[1-9][0-9]{6,14}"


@dataclass(frozen=True)
class Table:
    """A table of a month. `key` is its grain and its total order; `tenants`: it has rows of single tenants."""

    name: str
    key: tuple[str, ...]
    also_csv: bool = False
    tenants: bool = False


_LINE = ("currency", "line_type", "usage_month", "service", "direction")
STATEMENTS = Table("statements", ("account_id", "currency"), also_csv=True, tenants=True)
USAGE = Table("usage", ("account_id", "started_at", "record_id", "entry"), tenants=True)
TABLES = (
    STATEMENTS,
    Table("statement_lines", ("account_id", *_LINE), also_csv=True, tenants=True),
    Table("organization_statement", _LINE, also_csv=True),
    Table("organization", ("currency",)),
    Table("usage_by_asset", ("account_id", *_LINE, "attributed_by", "asset"), tenants=True),
    Table("unattributed", (*_LINE, "reason", "asset")),
    Table("number_inventory", ("account_id", "number"), tenants=True),
    Table("reconciliation", ("check_name", "compared")),
)
# Where a row came from is for the auditor of the warehouse, and how a call was routed is not the tenant's business.
NOT_EXPORTED = ("routed_to", "batch_id", "source_row", "assignment_id")


def copy_parquet(connection: duckdb.DuckDBPyConnection, query: str, order: tuple[str, ...], target: Path) -> None:
    """Write a query's rows in a total order."""
    connection.execute(f"copy (select * from ({query}) order by {_listed(order)}) to {text(target)} ({PARQUET})")


def copy_csv(connection: duckdb.DuckDBPyConnection, query: str, order: tuple[str, ...], target: Path) -> None:
    """Write a query's rows as CSV: header, all decimal places, times with Z, null as empty, no cell that runs."""
    columns = connection.execute(f"describe {query}").fetchall()
    cells = ", ".join(_cell(name, kind) for name, kind, *_ in columns)
    connection.execute(
        f"copy (select {cells} from ({query}) as wanted order by {_listed(order)}) to {text(target)} "
        "(format csv, header true, nullstr '')"
    )


def _listed(order: tuple[str, ...]) -> str:
    return ", ".join(f"{identifier(name)} nulls last" for name in order)


def _cell(name: str, kind: str) -> str:
    column = f"wanted.{identifier(name)}"
    if kind == "TIMESTAMP WITH TIME ZONE":
        return f"strftime({column} at time zone 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ') as {identifier(name)}"
    if kind != "VARCHAR":
        return f"{column} as {identifier(name)}"
    return (
        f"case when regexp_matches({column}, '{RUNNABLE}') and not regexp_full_match({column}, '{E164}') "
        f"then '''' || {column} else {column} end as {identifier(name)}"
    )

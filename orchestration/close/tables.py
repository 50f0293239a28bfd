"""The tables of a frozen month: their names, whether they also come as CSV, and the order that makes their bytes fixed.

What does not belong here: their columns, which dbt's contracts fix.
"""

from dataclasses import dataclass
from pathlib import Path

import duckdb

from orchestration.engine import PARQUET, ordered, text


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
LINES = Table("statement_lines", ("account_id", *_LINE), also_csv=True, tenants=True)
INVENTORY = Table("number_inventory", ("account_id", "number"), also_csv=True, tenants=True)
TABLES = (
    STATEMENTS,
    LINES,
    Table("organization_statement", _LINE, also_csv=True),
    Table("organization", ("currency",), also_csv=True),
    Table("usage_by_asset", ("account_id", *_LINE, "attributed_by", "asset"), tenants=True),
    Table("unattributed", (*_LINE, "reason", "asset"), also_csv=True),
    INVENTORY,
    Table("reconciliation", ("check_name", "compared"), also_csv=True),
)
# The auditor finds a row's origin in the warehouse, and the route of a call is not the tenant's business.
NOT_EXPORTED = ("routed_to", "batch_id", "source_row", "assignment_id")


def copy_parquet(connection: duckdb.DuckDBPyConnection, query: str, order: tuple[str, ...], target: Path) -> None:
    """Write a query's rows in a total order."""
    connection.execute(f"copy (select * from ({query}) order by {ordered(order)}) to {text(target)} ({PARQUET})")

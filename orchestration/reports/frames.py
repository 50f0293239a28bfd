"""Statements, lines, usage and the history of assets as pandas DataFrames, for notebooks and scripts.

What belongs here: reading the published warehouse into frames. What does not: a figure of ours.

DuckDB's own `.df()` turns a DECIMAL into a float64, in which 0.1 + 0.2 is not 0.3. These frames have Arrow's types
behind pandas' interface: amounts are exact decimals, and stay so when they are added up; times are in UTC.

    from orchestration.reports import frames

    lines = frames.lines("2026-10")
    lines.groupby(["currency", "section"])["cost"].sum()

Each function takes the data folder as `data`; without one it is that of `STATEMENTS_DATA_DIR`. The warehouse is opened
read-only and closed again, so a frame never stands in the way of a close. Refused, with a sentence, is raised where
there is no warehouse, and for a text that is no month, no number or no IP.
"""

from pathlib import Path

import pandas as pd

from orchestration.close import tables
from orchestration.commands import registry
from orchestration.months import Month
from orchestration.settings import load
from orchestration.warehouse import reader


def statements(month: str | None = None, account_id: str | None = None, *, data: Path | None = None) -> pd.DataFrame:
    """The tenants' months in wide form: a row per month, tenant and currency. Amounts of currencies are never added."""
    return _of_tenants(tables.STATEMENTS.name, ("month", *tables.STATEMENTS.key), month, account_id, data)


def lines(month: str | None = None, account_id: str | None = None, *, data: Path | None = None) -> pd.DataFrame:
    """The lines of the statements: a row per month, tenant, currency, line type, usage month, service and direction."""
    (table,) = (table for table in tables.TABLES if table.name == "statement_lines")
    return _of_tenants(table.name, ("month", *table.key), month, account_id, data)


def usage(account_id: str, month: str | None = None, *, data: Path | None = None) -> pd.DataFrame:
    """The records of one tenant: a row per entry, corrections with a `record_count` of -1 where they take one back."""
    return _of_tenants(tables.USAGE.name, ("month", *tables.USAGE.key), month, account_id, data)


def history(asset: str, *, data: Path | None = None) -> pd.DataFrame:
    """Who held a number or IP, in any usual spelling: a row per period, half-open: valid_from <= t < valid_to."""
    kind, canonical = registry.recognized(load(data), asset)
    query = f"select * from assets.{kind}_assignment_history where {kind} = ? order by valid_from"
    return _frame(query, [canonical], data)


def query(sql: str, *, data: Path | None = None) -> pd.DataFrame:
    """Any query of the warehouse, with the same types."""
    return _frame(sql, [], data)


def _of_tenants(
    table: str, order: tuple[str, ...], month: str | None, account_id: str | None, data: Path | None
) -> pd.DataFrame:
    wanted = {"month": str(Month.parse(month)) if month else None, "account_id": account_id}
    given = {name: value for name, value in wanted.items() if value is not None}
    where = " and ".join(f"{name} = ?" for name in given) or "true"
    return _frame(
        f"select * from statements.{table} where {where} order by {', '.join(order)}", list(given.values()), data
    )


def _frame(sql: str, parameters: list[str], data: Path | None) -> pd.DataFrame:
    with reader.reading(load(data)) as connection:
        found = connection.execute(sql, parameters).to_arrow_table()
        return found.to_pandas(types_mapper=pd.ArrowDtype)

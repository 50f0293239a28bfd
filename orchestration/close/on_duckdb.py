"""Pins on DuckDB: views over exactly the pinned files, and tables of the pinned rows, in a private build.

What belongs here: how a pin becomes a relation of DuckDB. What does not: what is pinned (`pinning`).
"""

from collections.abc import Sequence
from datetime import datetime

import duckdb

from orchestration import engine
from orchestration.close import pinning
from orchestration.close.pinning import ClosePeriod, FilesPin, Pins, RowsPin, Workspace
from orchestration.landing import landed_rows
from orchestration.landing.receipts import Receipt
from orchestration.settings import Settings

# The engine as a manifest names it.
VERSION = f"duckdb {duckdb.__version__}"
# What a constant of a part is called in DuckDB.
CONSTANT_TYPES = {bool: "boolean", str: "varchar"}


def show(settings: Settings, pins: Pins, workspace: Workspace) -> None:
    """Create the relations of these pins in the workspace's database."""
    with engine.connect(settings, workspace.database) as connection:
        for schema in ("landed", "frozen"):
            connection.execute(f"create schema {schema}")
        create_close(connection, pins.period)
        for files in pins.files:
            _create_view(connection, files)
        for rows in pins.rows:
            _create_table(connection, rows)


def create_assignment_sources(connection: duckdb.DuckDBPyConnection, batches: Sequence[Receipt]) -> None:
    """The sources of all holdings: everything landed in the three assignment feeds."""
    connection.execute("create schema if not exists landed")
    for files in pinning.assignments(batches):
        _create_view(connection, files)


def create_close(connection: duckdb.DuckDBPyConnection, period: ClosePeriod) -> None:
    """The source that describes the close. Without an end, the models of history give all of it."""
    connection.execute("create schema if not exists control")
    connection.execute(f"create or replace table control.close as {row(period)}")


def row(period: ClosePeriod) -> str:
    """SQL of the one row that describes a close."""
    return f"""
        select
            {engine.text(period.month)} as month,
            coalesce({_instant(period.month_start)}, '-infinity'::timestamptz) as month_start,
            coalesce({_instant(period.month_end)}, 'infinity'::timestamptz) as month_end,
            {_instant(period.first_month_start)} as first_month_start,
            coalesce({_instant(period.history_start)}, '-infinity'::timestamptz) as history_start,
            {engine.text(period.default_currency)} as default_currency,
            {_path(period.out_dir)} as out_dir,
            {_path(period.figures_dir)} as figures_dir
    """


def _instant(instant: datetime | None) -> str:
    return f"{engine.text(instant.isoformat()) if instant else 'null'}::timestamptz"


def _path(folder: str | None) -> str:
    return engine.text(folder) if folder else "null::varchar"


def _create_view(connection: duckdb.DuckDBPyConnection, pin: FilesPin) -> None:
    connection.execute(f"create or replace view {pin.name} as {query(pin)}")


def query(pin: FilesPin) -> str:
    """SQL of a pin's rows, in the order of its parts."""
    selects = []
    for part in pin.parts:
        rows = landed_rows.select(part.files, pin.columns, place=pin.place)
        constants = "".join(
            f", {engine.text(value)}::{CONSTANT_TYPES[type(value)]} as {name}" for name, value in part.constants.items()
        )
        selects.append(f"select *{constants} from ({rows})")
    return " union all ".join(selects)


def _create_table(connection: duckdb.DuckDBPyConnection, pin: RowsPin) -> None:
    engine.create_table(connection, pin.name, dict(pin.columns), pin.rows)

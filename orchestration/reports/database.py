"""Closed months as one DuckDB file to hand out, for Metabase, Superset, Evidence, Rill and their like.

What belongs here: which tables go into it. What does not: the views to begin from and the comments, which are the
warehouse's own (`warehouse`). The file names no other file, so it works wherever it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from orchestration import data_folder, engine, files
from orchestration.close import manifests, tables
from orchestration.close.manifests import Manifest
from orchestration.close.tables import Table
from orchestration.engine import identifier, ordered, text
from orchestration.months import Month
from orchestration.settings import Settings
from orchestration.warehouse import catalogue, report_views

# The name of the file's database in the connection that writes it.
HANDED_OUT = "handed_out"


@dataclass(frozen=True)
class Choice:
    """The months of a file, and whether it has the usage, every record: most of the size."""

    months: Sequence[Month]
    with_usage: bool = False


def export(settings: Settings, choice: Choice, out: Path) -> Path:
    """Write `out/statements_FIRST_LAST.duckdb` with the tables of closed months, whole or not at all."""
    files.require_printable(out, "The folder")
    months = sorted(set(choice.months))
    chain = [manifests.require_closed(settings, month) for month in months]
    manifests.require_undamaged(chain, with_days=choice.with_usage)
    name = f"statements_{months[0]}" + (f"_{months[-1]}" if months[1:] else "")
    target = out / f"{name}.duckdb"
    with (
        files.disk_errors(),
        data_folder.file_to_hand_out(settings, target) as staged,
        engine.connect(settings) as connection,
    ):
        # What a killed command left would be written on.
        staged.unlink(missing_ok=True)
        connection.execute(f"attach {text(staged)} as {HANDED_OUT}; create schema {HANDED_OUT}.statements")
        for table in (*tables.TABLES, *((tables.USAGE,) if choice.with_usage else ())):
            _create(connection, table, chain)
        connection.execute(f"create schema {HANDED_OUT}.reports")
        report_views.create(connection, settings, HANDED_OUT)
        catalogue.comment(connection, HANDED_OUT, ("statements", "reports"), {})
        connection.execute(f"checkpoint {HANDED_OUT}; detach {HANDED_OUT}")
    return target


def _create(connection: duckdb.DuckDBPyConnection, table: Table, chain: Sequence[Manifest]) -> None:
    selects = " union all by name ".join(_rows_of(connection, table, manifest) for manifest in chain)
    connection.execute(
        f"create table {HANDED_OUT}.statements.{identifier(table.name)} as "
        f"select * from ({selects}) order by {ordered(('month', *table.key))}"
    )


def _rows_of(connection: duckdb.DuckDBPyConnection, table: Table, manifest: Manifest) -> str:
    paths = manifest.usage_files if table is tables.USAGE else [manifest.folder / f"{table.name}.parquet"]
    source = engine.parquet(paths)
    names = [name for name, *_ in connection.execute(f"describe select * from {source}").fetchall()]
    kept = [identifier(name) for name in names if name not in tables.NOT_EXPORTED]
    start = f"date {text(manifest.month.start.date())} as month_start"
    own = [] if "month" in names else [f"{text(manifest.month)} as month"]
    return f"select {', '.join([*own, *kept, start])} from {source}"

"""Pinning: the relations of dbt's sources, over exactly the files of receipts and manifests, in a private build.

`landed` holds what has landed, `frozen` what frozen months state, `control` what the close says about itself.

What belongs here: which files and rows a build may see, and under which names. What does not: any rule about them.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from orchestration import engine
from orchestration.close import dbt_build
from orchestration.close.inputs import Inputs
from orchestration.close.manifests import Manifest
from orchestration.landing import events, landed_rows
from orchestration.landing.feeds import CDRS, IP_ASSIGNMENTS, NUMBER_ASSIGNMENTS, TENANTS
from orchestration.landing.receipts import Files, Receipt, cdrs_files, files_of_feed, late_files, with_columns
from orchestration.months import Month
from orchestration.settings import Settings

NO_RECORDS = "select null::varchar as record_id where false"


@dataclass(frozen=True)
class Workspace:
    """The folder of one private build: its database, the files to be frozen, and the figures beside them."""

    folder: Path
    month: Month

    @property
    def database(self) -> Path:
        # The stem is the database's name, which the prepared manifest holds.
        return self.folder / "build.duckdb"

    @property
    def output(self) -> Path:
        return self.folder / f"month={self.month}"

    @property
    def figures(self) -> Path:
        return self.folder / "figures"


def create_assignment_sources(connection: duckdb.DuckDBPyConnection, receipts: Sequence[Receipt]) -> None:
    """The sources that say who held what: everything landed in the three assignment feeds."""
    events.require_marked(receipts)
    connection.execute("create schema if not exists landed")
    for feed in (TENANTS, NUMBER_ASSIGNMENTS, IP_ASSIGNMENTS):
        # No contact data is ever shown to a build.
        _view(connection, f"landed.{feed.name}", landed_rows.select(files_of_feed(receipts, feed.name), feed.pinned))


def create_close(
    connection: duckdb.DuckDBPyConnection,
    *,
    month: str,
    start: datetime | None,
    end: datetime | None,
    first_start: datetime | None = None,
    history_start: datetime | None = None,
    default_currency: str,
    workspace: Workspace | None,
) -> None:
    """The one row that says what is being closed; without an end, the models that tell history give all of it."""
    folders = (str(workspace.output), str(workspace.figures)) if workspace else (None, None)
    connection.execute("create schema if not exists control")
    connection.execute(
        """
        create or replace table control.close as
        select
            ? as month,
            coalesce(?::timestamptz, '-infinity'::timestamptz) as month_start,
            coalesce(?::timestamptz, 'infinity'::timestamptz) as month_end,
            ?::timestamptz as first_month_start,
            coalesce(?::timestamptz, '-infinity'::timestamptz) as history_start,
            ? as default_currency,
            ? as out_dir,
            ? as figures_dir
        """,
        [month, start, end, first_start, history_start, default_currency, *folders],
    )


def pin(settings: Settings, inputs: Inputs, workspace: Workspace) -> None:
    """Create every relation that the close of a month reads, in the workspace's database."""
    month, receipts, frozen, rejected = inputs.month, inputs.receipts, inputs.frozen, inputs.rejected
    previous = frozen[-1] if frozen else None
    first_month = frozen[0].month if frozen else month
    late = late_files(receipts, month, previous.landed_up_to) if previous else {}
    # Of records older than the first month nothing is stated, so nobody has to be known for them.
    late_months = [Month.parse(file.month) for _, file in late.values() if file.month >= str(first_month)]
    with engine.connect(settings, workspace.database) as connection:
        create_assignment_sources(connection, receipts)
        create_close(
            connection,
            month=str(month),
            start=month.start,
            end=month.end,
            first_start=first_month.start,
            history_start=min([*late_months, month]).start,
            default_currency=settings.default_currency,
            workspace=workspace,
        )
        connection.execute("create schema frozen")
        connection.execute(
            "create table control.close_days as select unnest(?::date[]) as day",
            [[day.isoformat() for day in month.days]],
        )
        _create_cdrs_sources(connection, month, receipts, with_columns(late.values()))
        ids = f"select record_id from {engine.parquet(previous.usage_files)}" if previous else NO_RECORDS
        _view(connection, "frozen.stated_records", ids)
        # Only a late delivery can concern any frozen month; without one, the month before is all there is to look at.
        _create_stated_entries(connection, frozen if late else frozen[-1:])
        connection.execute(
            "create table landed.rejected_rows (batch_id varchar, source_row bigint, record_id varchar, reason varchar)"
        )
        if rejected:
            connection.executemany(
                "insert into landed.rejected_rows values (?, ?, ?, ?)",
                [(row.batch_id, row.source_row, row.record_id, row.reason) for row in rejected],
            )
        connection.execute(
            "create table control.cdrs_receipts (batch_id varchar, usable_rows bigint, rejected_rows bigint)"
        )
        counts = receipt_counts(month, receipts, previous)
        if counts:
            connection.executemany("insert into control.cdrs_receipts values (?, ?, ?)", counts)
        connection.execute("create table control.late_receipts (batch_id varchar, usable_rows bigint)")
        if late:
            rows: Counter[str] = Counter()
            for receipt, file in late.values():
                rows[receipt.batch_id] += file.rows
            connection.executemany("insert into control.late_receipts values (?, ?)", list(rows.items()))


def _create_cdrs_sources(
    connection: duckdb.DuckDBPyConnection, month: Month, receipts: Sequence[Receipt], late: Files
) -> None:
    """The usable deliveries of the month, of the months around it, and of earlier months since the last close."""
    around = cdrs_files(receipts, [month.previous, month.next])
    near = {path: columns for path, columns in around.items() if path not in late}
    own = cdrs_files(receipts, [month])
    _view(connection, "landed.cdrs", landed_rows.select(own, CDRS.pinned, row_id=True))
    _view(connection, "landed.neighbouring_cdrs", landed_rows.select(near, CDRS.pinned))
    _view(connection, "landed.late_cdrs", landed_rows.select(late, CDRS.pinned))


def _create_stated_entries(connection: duckdb.DuckDBPyConnection, frozen: Sequence[Manifest]) -> None:
    """What these frozen months state, each entry with the month and the file that state it."""
    columns = dbt_build.contract("usage")
    nothing = ", ".join(f"null::{kind} as {name}" for name, kind in columns.items())
    selects = [f"select {nothing}, '' as stated_file, '' as stated_in where false"]
    for manifest in frozen:
        entries = stated(connection, manifest, columns)
        selects.append(f"select *, {engine.text(manifest.month)} as stated_in from ({entries})")
    _view(connection, "frozen.stated_entries", " union all ".join(selects))


def stated(connection: duckdb.DuckDBPyConnection, manifest: Manifest, columns: Mapping[str, str]) -> str:
    """SQL of what a frozen month states in these columns, with its file; null what its version did not state yet.

    One version wrote all files of a month, so one of them is asked for its columns.
    """
    described = connection.execute(f"describe select * from {engine.parquet(manifest.usage_files[:1])}").fetchall()
    present = {name for name, *_ in described}
    values = [name if name in present else f"null::{kind} as {name}" for name, kind in columns.items()]
    source = engine.parquet(manifest.usage_files, filename=True)
    return f"select {', '.join(values)}, filename as stated_file from {source}"


def receipt_counts(month: Month, receipts: Sequence[Receipt], previous: Manifest | None) -> list[tuple[str, int, int]]:
    """Usable and rejected rows of each batch that count in this month, as the receipts say, without opening a file."""
    known_up_to = previous.landed_up_to if previous else 0
    counts = []
    for receipt in receipts:
        usable = sum(file.rows for file in receipt.files_of(month)) if receipt.feed == "cdrs" else 0
        rejected = receipt.rejected_by_month.get(str(month), 0)
        if receipt.sequence > known_up_to:
            rejected += sum(
                rows
                for name, rows in receipt.rejected_by_month.items()
                if name == "" or (previous and str(previous.content.first_month) <= name <= str(previous.month))
            )
        if usable or rejected:
            counts.append((receipt.batch_id, usable, rejected))
    return counts


def _view(connection: duckdb.DuckDBPyConnection, name: str, query: str) -> None:
    connection.execute(f"create or replace view {name} as {query}")

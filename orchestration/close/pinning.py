"""Pinning: the relations of dbt's sources, over exactly the files of receipts and manifests, in a private build.

`landed` holds what has landed, `frozen` what frozen months state, `control` what the close says about itself.

What belongs here: which files and rows a build may see, and under which names. What does not: any rule about them.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from orchestration import engine
from orchestration.close import dbt_build
from orchestration.close.inputs import Inputs
from orchestration.close.manifests import Manifest
from orchestration.landing import events
from orchestration.landing.receipts import Receipt, cdrs_files, files_of_feed, late_files
from orchestration.months import Month
from orchestration.settings import Settings

CDRS_COLUMNS = {
    "record_id": "varchar",
    "call_id": "varchar",
    "service": "varchar",
    "direction": "varchar",
    "started_at": "timestamptz",
    "duration_seconds": "integer",
    "billed_seconds": "integer",
    "number": "varchar",
    "from_number": "varchar",
    "to_number": "varchar",
    "source_ip": "varchar",
    "x_tenant": "varchar",
    "routed_to": "varchar",
    "cost": "decimal(18, 9)",
    "currency": "varchar",
    "batch_id": "varchar",
    "source_row": "bigint",
}
EVENT_COLUMNS = {
    "account_id": "varchar",
    "event_type": "varchar",
    "valid_from": "timestamptz",
    "recorded_at": "timestamptz",
    "sealed_at": "timestamptz",
    "is_late": "boolean",
    "is_overtaken": "boolean",
    "is_void": "boolean",
    "batch_id": "varchar",
    "source_row": "bigint",
}
NUMBER_COLUMNS = {"number": "varchar", "number_type": "varchar"} | EVENT_COLUMNS
IP_COLUMNS = {"ip": "varchar"} | EVENT_COLUMNS
# The columns of the tenant directory that may leave it: no contact data is ever shown to a build.
TENANT_COLUMNS = {
    "account_id": "varchar",
    "name": "varchar",
    "archived": "boolean",
    "recorded_at": "timestamptz",
    "sealed_at": "timestamptz",
    "is_late": "boolean",
    "is_overtaken": "boolean",
    "batch_id": "varchar",
    "source_row": "bigint",
}


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
    for feed, columns in (
        ("tenants", TENANT_COLUMNS),
        ("number_assignments", NUMBER_COLUMNS),
        ("ip_assignments", IP_COLUMNS),
    ):
        _view(connection, f"landed.{feed}", columns, files_of_feed(receipts, feed))


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
        _view(connection, "landed.cdrs", CDRS_COLUMNS, cdrs_files(receipts, [month]), row_id=True)
        near = [path for path in cdrs_files(receipts, [month.previous, month.next]) if path not in late]
        _view(connection, "landed.neighbouring_cdrs", CDRS_COLUMNS, near)
        _view(connection, "landed.late_cdrs", CDRS_COLUMNS, list(late))
        stated = previous.usage_files if previous else []
        _view(connection, "frozen.stated_records", {"record_id": "varchar"}, stated)
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


def _create_stated_entries(connection: duckdb.DuckDBPyConnection, frozen: Sequence[Manifest]) -> None:
    """What these frozen months state, each entry with the month and the file that state it."""
    columns = dbt_build.contract("usage")
    nothing = ", ".join(f"null::{kind} as {name}" for name, kind in columns.items())
    selects = [f"select {nothing}, '' as stated_in, '' as stated_file where false"]
    for manifest in frozen:
        where = f"{engine.text(manifest.month)} as stated_in, filename as stated_file"
        source = engine.parquet(manifest.usage_files, filename=True)
        selects.append(f"select {', '.join(columns)}, {where} from {source}")
    connection.execute(f"create view frozen.stated_entries as {' union all '.join(selects)}")


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


def _view(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    columns: dict[str, str],
    files: Sequence[Path],
    *,
    row_id: bool = False,
) -> None:
    """A view over exactly these files; without any, an empty relation of the same columns."""
    listed = ", ".join(columns)
    if files:
        number = ", file_index::bigint * 4294967296 + file_row_number as row_id" if row_id else ""
        source = engine.parquet(files, file_row_number=True) if row_id else engine.parquet(files)
        query = f"select {listed}{number} from {source}"
    else:
        empty = [f"null::{kind} as {column}" for column, kind in columns.items()]
        empty += ["null::bigint as row_id"] if row_id else []
        query = f"select {', '.join(empty)} where false"
    connection.execute(f"create or replace view {name} as {query}")

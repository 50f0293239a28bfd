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
from orchestration.close.inputs import Close, RejectedRow
from orchestration.close.manifests import Manifest
from orchestration.close.readiness import months_answered_for
from orchestration.landing import events
from orchestration.landing.receipts import Receipt, cdrs_files, files_of_feed
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


def create_assignment_sources(connection: duckdb.DuckDBPyConnection, batches: Sequence[Receipt]) -> None:
    """The sources that say who held what: everything landed in the three assignment feeds."""
    events.require_marked(batches)
    connection.execute("create schema if not exists landed")
    for feed, columns in (
        ("tenants", TENANT_COLUMNS),
        ("number_assignments", NUMBER_COLUMNS),
        ("ip_assignments", IP_COLUMNS),
    ):
        _view(connection, f"landed.{feed}", columns, files_of_feed(batches, feed))


@dataclass(frozen=True)
class ClosePeriod:
    """What the models are told of a close. Without an end, those that tell history give all of it."""

    month: str = ""
    start: datetime | None = None
    end: datetime | None = None
    first_start: datetime | None = None
    history_start: datetime | None = None
    default_currency: str = ""
    out_dir: Path | None = None


def create_close(connection: duckdb.DuckDBPyConnection, period: ClosePeriod) -> None:
    """The one row that says what is being closed."""
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
            ? as out_dir
        """,
        [
            period.month,
            period.start,
            period.end,
            period.first_start,
            period.history_start,
            period.default_currency,
            str(period.out_dir) if period.out_dir else None,
        ],
    )


def pin(settings: Settings, build_file: Path, close: Close, rejected: Sequence[RejectedRow], out_dir: Path) -> None:
    """Create every source of the close of a month in `build_file`."""
    with engine.connect(settings, build_file) as connection:
        create_assignment_sources(connection, close.batches)
        create_close(connection, _period(settings, close, out_dir))
        connection.execute(
            "create table control.close_days as select unnest(?::date[]) as day",
            [[day.isoformat() for day in close.month.days]],
        )
        _create_records(connection, close)
        connection.execute("create schema frozen")
        last = close.chain.last
        _view(connection, "frozen.stated_records", {"record_id": "varchar"}, last.usage_files if last else [])
        # Only a late delivery can concern any frozen month; without one, the month before is all there is to look at.
        looked_at = close.chain.manifests if close.late_files else close.chain.manifests[-1:]
        connection.execute(f"create view frozen.stated_entries as {stated_entries(looked_at)}")
        engine.create_table(
            connection,
            "landed.rejected_rows",
            {"batch_id": "varchar", "source_row": "bigint", "record_id": "varchar", "reason": "varchar"},
            [(row.batch_id, row.source_row, row.record_id, row.reason) for row in rejected],
        )
        usable = {"batch_id": "varchar", "usable_rows": "bigint"}
        counted = usable | {"rejected_rows": "bigint"}
        engine.create_table(connection, "control.cdrs_receipts", counted, receipt_counts(close))
        engine.create_table(connection, "control.late_receipts", usable, late_counts(close))


def _period(settings: Settings, close: Close, out_dir: Path) -> ClosePeriod:
    # Of records older than the first month nothing is stated, so nobody has to be known for them.
    first = close.first_month
    late_months = [Month.parse(file.month) for _, file in close.late_files.values() if file.month]
    return ClosePeriod(
        month=str(close.month),
        start=close.month.start,
        end=close.month.end,
        first_start=first.start,
        history_start=min([month for month in late_months if month >= first] + [close.month]).start,
        default_currency=settings.default_currency,
        out_dir=out_dir,
    )


def _create_records(connection: duckdb.DuckDBPyConnection, close: Close) -> None:
    """The month's usable deliveries, those of the months beside it, and those that came late."""
    month = close.month
    _view(connection, "landed.cdrs", CDRS_COLUMNS, cdrs_files(close.batches, [month]), row_id=True)
    beside = cdrs_files(close.batches, [month.previous, month.next])
    near = [path for path in beside if path not in close.late_files]
    _view(connection, "landed.neighbouring_cdrs", CDRS_COLUMNS, near)
    _view(connection, "landed.late_cdrs", CDRS_COLUMNS, list(close.late_files))


def stated_entries(manifests: Sequence[Manifest]) -> str:
    """A query of what these frozen months state, each entry with the month and the file that state it."""
    columns = dbt_build.contract("usage")
    nothing = ", ".join(f"null::{kind} as {name}" for name, kind in columns.items())
    selects = [f"select {nothing}, '' as stated_in, '' as stated_file where false"]
    for manifest in manifests:
        where = f"{engine.text(manifest.month)} as stated_in, filename as stated_file"
        source = engine.parquet(manifest.usage_files, filename=True)
        selects.append(f"select {', '.join(columns)}, {where} from {source}")
    return " union all ".join(selects)


def receipt_counts(close: Close) -> list[tuple[str, int, int]]:
    """Usable and rejected rows of each batch that count in this close, as the receipts say, without opening a file."""
    counts = []
    for batch in close.batches:
        usable = sum(file.rows for file in batch.files_of(close.month)) if batch.feed == "cdrs" else 0
        rejected = sum(batch.rejected_by_month[name] for name in months_answered_for(close, batch))
        if usable or rejected:
            counts.append((batch.batch_id, usable, rejected))
    return counts


def late_counts(close: Close) -> list[tuple[str, int]]:
    """Usable rows of each batch that came late for earlier months, as the receipts say."""
    counts: Counter[str] = Counter()
    for batch, file in close.late_files.values():
        counts[batch.batch_id] += file.rows
    return list(counts.items())


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

"""Pinning: the relations of dbt's sources, over exactly the files of receipts and manifests, in a private build.

`landed` holds what has landed, `frozen` what frozen months state, `control` what the close says about itself.

What belongs here: which files and rows a build may see, and under which names. What does not: any rule about them.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from orchestration import engine
from orchestration.close import dbt_build, month_services
from orchestration.close.inputs import Close, Inputs
from orchestration.close.month_services import MonthServices
from orchestration.close.readiness import months_answered_for
from orchestration.landing import events, landed_rows, services
from orchestration.landing.feeds import CDRS, IP_ASSIGNMENTS, NUMBER_ASSIGNMENTS, TENANTS
from orchestration.landing.receipts import Receipt, RecordsFile, cdrs_files, files_of_feed, with_columns
from orchestration.months import Month
from orchestration.settings import Settings

WITHDRAWN_COUNTS = {"batch_id": "varchar", "withdrawn_rows": "bigint"}
NO_WITHDRAWALS = (
    "select null::varchar as record_id, null::varchar as batch_id, null::bigint as source_row, null::boolean as is_new "
    "where false"
)


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


def create_assignment_sources(connection: duckdb.DuckDBPyConnection, batches: Sequence[Receipt]) -> None:
    """The sources of all holdings: everything landed in the three assignment feeds."""
    events.require_marked(batches)
    connection.execute("create schema if not exists landed")
    for feed in (TENANTS, NUMBER_ASSIGNMENTS, IP_ASSIGNMENTS):
        # No contact data is ever shown to a build.
        _view(connection, f"landed.{feed.name}", landed_rows.select(files_of_feed(batches, feed.name), feed.pinned))


@dataclass(frozen=True)
class ClosePeriod:
    """The parameters of a close that models read. Without an end, the models of history give all of it."""

    month: str = ""
    start: datetime | None = None
    end: datetime | None = None
    first_start: datetime | None = None
    history_start: datetime | None = None
    default_currency: str = ""
    out_dir: Path | None = None
    figures_dir: Path | None = None

    @property
    def row(self) -> str:
        """A query of the one row that holds them."""
        return f"""
            select
                {engine.text(self.month)} as month,
                coalesce({_instant(self.start)}, '-infinity'::timestamptz) as month_start,
                coalesce({_instant(self.end)}, 'infinity'::timestamptz) as month_end,
                {_instant(self.first_start)} as first_month_start,
                coalesce({_instant(self.history_start)}, '-infinity'::timestamptz) as history_start,
                {engine.text(self.default_currency)} as default_currency,
                {_path(self.out_dir)} as out_dir,
                {_path(self.figures_dir)} as figures_dir
        """


def _instant(instant: datetime | None) -> str:
    return f"{engine.text(instant.isoformat()) if instant else 'null'}::timestamptz"


def _path(folder: Path | None) -> str:
    return engine.text(folder) if folder else "null::varchar"


def create_close(connection: duckdb.DuckDBPyConnection, period: ClosePeriod) -> None:
    """The source that describes the close."""
    connection.execute("create schema if not exists control")
    connection.execute(f"create or replace table control.close as {period.row}")


def pin(settings: Settings, inputs: Inputs, workspace: Workspace) -> None:
    """Create every source of the close of a month, in the workspace's database."""
    close = inputs.close
    with engine.connect(settings, workspace.database) as connection:
        create_assignment_sources(connection, close.batches)
        create_close(connection, _period(settings, close, workspace))
        connection.execute(
            "create table control.close_days as select unnest(?::date[]) as day",
            [[day.isoformat() for day in close.month.days]],
        )
        _create_records(connection, close)
        connection.execute("create schema frozen")
        _view(connection, "frozen.stated_entries", stated_entries(connection, close))
        engine.create_table(
            connection,
            "landed.rejected_rows",
            {"batch_id": "varchar", "source_row": "bigint", "record_id": "varchar", "reason": "varchar"},
            [(row.batch_id, row.source_row, row.record_id, row.reason) for row in inputs.rejected],
        )
        usable = {"batch_id": "varchar", "usable_rows": "bigint"}
        counted = usable | {"rejected_rows": "bigint"}
        engine.create_table(connection, "control.cdrs_receipts", counted, receipt_counts(close))
        engine.create_table(connection, "control.late_receipts", usable, late_counts(close))
        engine.create_table(connection, "control.withdrawn_receipts", WITHDRAWN_COUNTS, withdrawn_counts(close))
        _create_services(connection, month_services.of_close(settings, close.chain, inputs.services), close.month)


def _period(settings: Settings, close: Close, workspace: Workspace) -> ClosePeriod:
    # Of records older than the first month nothing is stated, so no holder is needed for them.
    first = close.first_month
    late_months = [Month.parse(file.month) for _, file in close.late_files.values()]
    return ClosePeriod(
        month=str(close.month),
        start=close.month.start,
        end=close.month.end,
        first_start=first.start,
        history_start=min([month for month in late_months if month >= first] + [close.month]).start,
        default_currency=settings.default_currency,
        out_dir=workspace.output,
        figures_dir=workspace.figures,
    )


def _create_services(connection: duckdb.DuckDBPyConnection, by_month: MonthServices, month: Month) -> None:
    """The services of each frozen month, and those of the month being closed."""
    rows = [(pinned_by.start.date().isoformat(), *astuple(row)) for pinned_by, row in by_month.rows(month)]
    columns = {"month": "date"} | dict.fromkeys(services.COLUMNS, "varchar")
    values = ", ".join(f"unnest(?::{kind}[]) as {name}" for name, kind in columns.items())
    # A statement for each of thousands of rows would take seconds.
    connection.execute(
        f"create table control.services as select {values}", [list(column) for column in zip(*rows, strict=True)]
    )


def _create_records(connection: duckdb.DuckDBPyConnection, close: Close) -> None:
    """The month's usable deliveries, others of the same records, those that came late, and the withdrawals."""
    late = with_columns(close.late_files.values())
    own = landed_rows.select(cdrs_files(close.batches, [close.month]), CDRS.pinned, row_id=True)
    _view(connection, "landed.cdrs", own)
    _view(connection, "landed.cdrs_elsewhere", elsewhere(close, close.elsewhere_files.values()))
    _view(connection, "landed.late_cdrs", landed_rows.select(late, CDRS.pinned))
    _view(connection, "landed.withdrawals", withdrawals(close))


def elsewhere(close: Close, deliveries: Iterable[tuple[Receipt, RecordsFile]]) -> str:
    """A query of deliveries that other closes settle, and whether they landed since the last close."""
    selects = []
    for is_new in (True, False):
        files = with_columns((batch, file) for batch, file in deliveries if close.is_new(batch) is is_new)
        selects.append(f"select *, {is_new} as is_new from ({landed_rows.select(files, CDRS.pinned)})")
    return " union all ".join(selects)


def withdrawals(close: Close) -> str:
    """A query of the withdrawals that a close looks at; those that landed since the last close are new."""
    selects = [NO_WITHDRAWALS]
    for is_new in (True, False):
        paths = [path for path, (batch, _) in close.withdrawn_files.items() if close.is_new(batch) is is_new]
        if paths:
            selects.append(f"select record_id, batch_id, source_row, {is_new} as is_new from {engine.parquet(paths)}")
    return " union all ".join(selects)


def stated_entries(connection: duckdb.DuckDBPyConnection, close: Close) -> str:
    """A query of what frozen months state of the records in question, each entry with its month and file.

    A record stands in a month in which it was delivered, or among the corrections of a later one.
    """
    columns = dbt_build.contract("usage")
    nothing = ", ".join(f"null::{kind} as {name}" for name, kind in columns.items())
    selects = [f"select {nothing}, '' as stated_file, '' as stated_in where false"]
    looked_at = [*close.late_files.values(), *close.elsewhere_files.values()]
    delivered = {file.month for _, file in looked_at}
    for manifest in close.chain if looked_at else ():
        paths = manifest.usage_files if str(manifest.month) in delivered else manifest.correction_files
        if paths:
            entries = stated(connection, paths, columns)
            selects.append(f"select *, {engine.text(manifest.month)} as stated_in from ({entries})")
    return " union all ".join(selects)


def stated(connection: duckdb.DuckDBPyConnection, paths: Sequence[Path], columns: Mapping[str, str]) -> str:
    """SQL of what files of a frozen month state in these columns, and in which file; null where they have no such
    column.

    One version wrote all files of a month, so one of them is asked for its columns.
    """
    described = connection.execute(f"describe select * from {engine.parquet(paths[:1])}").fetchall()
    present = {name for name, *_ in described}
    values = [name if name in present else f"null::{kind} as {name}" for name, kind in columns.items()]
    source = engine.parquet(paths, filename=True)
    return f"select {', '.join(values)}, filename as stated_file from {source}"


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


def withdrawn_counts(close: Close) -> list[tuple[str, int]]:
    """Withdrawals of each batch that landed since the last close, as the receipts say."""
    return [
        (batch.batch_id, batch.withdrawn_rows) for batch in close.batches if batch.withdrawn and close.is_new(batch)
    ]


def _view(connection: duckdb.DuckDBPyConnection, name: str, query: str) -> None:
    connection.execute(f"create or replace view {name} as {query}")

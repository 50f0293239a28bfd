"""Pinning: the names, columns, files and rows that a build may see, as dbt's sources.

`landed` holds what has landed, `frozen` what frozen months state, `control` what the close says about itself.

What belongs here: which files and rows, and under which names. What does not: how an engine shows them (`on_duckdb`,
`on_spark`), or any rule about them.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from orchestration.close import dbt_build, month_services
from orchestration.close.inputs import Close, Inputs
from orchestration.close.readiness import months_answered_for
from orchestration.landing import events, services
from orchestration.landing.feeds import CDRS, IP_ASSIGNMENTS, NUMBER_ASSIGNMENTS, TENANTS
from orchestration.landing.landed_rows import PLACE, Place
from orchestration.landing.receipts import Files, Receipt, RecordsFile, cdrs_files, files_of_feed, with_columns
from orchestration.months import Month
from orchestration.settings import Settings


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


@dataclass(frozen=True)
class Part:
    """Files that a relation reads alike, each with the columns that it has, and the values that all their rows share.

    `constants` maps columns of the relation that are in no file to a flag or a text.
    """

    files: Files
    constants: Mapping[str, bool | str] = field(default_factory=dict)


@dataclass(frozen=True)
class FilesPin:
    """A relation over exactly these files. `columns` are those of files: column → DuckDB type, null where one lacks it.

    `place` is a column more that tells a row's place: `row_id` (unique and stable), or `stated_file` (its file).
    """

    name: str
    columns: Mapping[str, str]
    parts: Sequence[Part]
    place: Place = ""


@dataclass(frozen=True)
class RowsPin:
    """A relation of these rows. `columns` maps its columns to DuckDB types, in the order of a row's values."""

    name: str
    columns: Mapping[str, str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class ClosePeriod:
    """The parameters of a close that models read, in the order of `control.close`. Without an end: all history."""

    month: str = ""
    month_start: datetime | None = None
    month_end: datetime | None = None
    first_month_start: datetime | None = None
    history_start: datetime | None = None
    default_currency: str = ""
    out_dir: str | None = None
    figures_dir: str | None = None


@dataclass(frozen=True)
class Pins:
    """All that a build may see."""

    period: ClosePeriod
    files: Sequence[FilesPin]
    rows: Sequence[RowsPin]


def of_close(settings: Settings, inputs: Inputs, workspace: Workspace) -> Pins:
    """Everything that the close of a month reads."""
    close = inputs.close
    usable = {"batch_id": "varchar", "usable_rows": "bigint"}
    counted = usable | {"rejected_rows": "bigint"}
    withdrawn = {"batch_id": "varchar", "withdrawn_rows": "bigint"}
    rejected = {"batch_id": "varchar", "source_row": "bigint", "record_id": "varchar", "reason": "varchar"}
    return Pins(
        period=_period(settings, close, workspace),
        files=[*assignments(close.batches), *_records(close), stated_entries(close)],
        rows=[
            RowsPin("control.close_days", {"day": "date"}, [(day,) for day in close.month.days]),
            RowsPin(
                "landed.rejected_rows",
                rejected,
                [(row.batch_id, row.source_row, row.record_id, row.reason) for row in inputs.rejected],
            ),
            RowsPin("control.cdrs_receipts", counted, receipt_counts(close)),
            RowsPin("control.late_receipts", usable, late_counts(close)),
            RowsPin("control.withdrawn_receipts", withdrawn, withdrawn_counts(close)),
            _services(settings, inputs),
        ],
    )


def assignments(batches: Sequence[Receipt]) -> list[FilesPin]:
    """Everything landed in the three assignment feeds. No contact data is ever shown to a build."""
    events.require_marked(batches)
    return [
        FilesPin(f"landed.{feed.name}", feed.pinned, [Part(files_of_feed(batches, feed.name))])
        for feed in (TENANTS, NUMBER_ASSIGNMENTS, IP_ASSIGNMENTS)
    ]


def _period(settings: Settings, close: Close, workspace: Workspace) -> ClosePeriod:
    # Of records older than the first month nothing is stated, so no holder is needed for them.
    first = close.first_month
    late_months = [Month.parse(file.month) for _, file in close.late_files.values()]
    return ClosePeriod(
        month=str(close.month),
        month_start=close.month.start,
        month_end=close.month.end,
        first_month_start=first.start,
        history_start=min([month for month in late_months if month >= first] + [close.month]).start,
        default_currency=settings.default_currency,
        out_dir=str(workspace.output),
        figures_dir=str(workspace.figures),
    )


def _services(settings: Settings, inputs: Inputs) -> RowsPin:
    """The services of each frozen month, and those of the month being closed."""
    close = inputs.close
    by_month = month_services.of_close(settings, close.chain, inputs.services)
    rows: list[tuple[date, ...]] = [(month.start.date(), *astuple(row)) for month, row in by_month.rows(close.month)]
    return RowsPin("control.services", {"month": "date"} | dict.fromkeys(services.COLUMNS, "varchar"), rows)


def _records(close: Close) -> list[FilesPin]:
    """The month's usable deliveries, others of the same records, those that came late, and the withdrawals."""
    own = Part(cdrs_files(close.batches, [close.month]))
    late = Part(with_columns(close.late_files.values()))
    return [
        FilesPin("landed.cdrs", CDRS.pinned, [own], place="row_id"),
        elsewhere(close, close.elsewhere_files.values()),
        FilesPin("landed.late_cdrs", CDRS.pinned, [late]),
        withdrawals(close),
    ]


def elsewhere(close: Close, deliveries: Iterable[tuple[Receipt, RecordsFile]]) -> FilesPin:
    """Deliveries that other closes settle, and whether they landed since the last close."""
    parts = [
        Part(
            with_columns((batch, file) for batch, file in deliveries if close.is_new(batch) is is_new),
            {"is_new": is_new},
        )
        for is_new in (True, False)
    ]
    return FilesPin("landed.cdrs_elsewhere", CDRS.pinned, parts)


def withdrawals(close: Close) -> FilesPin:
    """The withdrawals that a close looks at; those that landed since the last close are new."""
    parts = [
        Part(
            {
                path: frozenset(PLACE)
                for path, (batch, _) in close.withdrawn_files.items()
                if close.is_new(batch) is is_new
            },
            {"is_new": is_new},
        )
        for is_new in (True, False)
    ]
    return FilesPin("landed.withdrawals", PLACE, parts)


def stated_entries(close: Close) -> FilesPin:
    """What frozen months state of the records in question, each entry with its month and file.

    A record stands in a month in which it was delivered, or among the corrections of a later one.
    """
    looked_at = [*close.late_files.values(), *close.elsewhere_files.values()]
    delivered = {file.month for _, file in looked_at}
    parts = [Part({}, {"stated_in": ""})]
    for manifest in close.chain if looked_at else ():
        paths = manifest.usage_files if str(manifest.month) in delivered else manifest.correction_files
        if paths:
            parts.append(Part(stated(paths), {"stated_in": str(manifest.month)}))
    return FilesPin("frozen.stated_entries", dbt_build.contract("usage"), parts, place="stated_file")


def stated(paths: Sequence[Path]) -> Files:
    """Files of a frozen month, each with its columns. One version wrote them all, so one of them is asked."""
    present = frozenset(pq.read_schema(paths[0]).names)
    return dict.fromkeys(paths, present)


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

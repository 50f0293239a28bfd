"""Freezing: a build's tables become files, are read back, listed in a manifest, and renamed into place.

What belongs here: the write-once protocol, in its order. What does not: what the tables say, or whether the month may
be closed. Nothing here can replace a frozen month: the rename that publishes fails when its name is taken.
"""

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from orchestration import engine, files, frozen, guarded_csv
from orchestration.close import logical, manifests, tables, versions
from orchestration.close.content import (
    FORMAT,
    NO_PREVIOUS,
    AnsweredRow,
    Content,
    Counts,
    Input,
    InputFile,
    Output,
    Rejected,
    ServiceTotal,
    TableHash,
    canonical,
)
from orchestration.close.inputs import Close, Inputs
from orchestration.close.manifests import MANIFEST, Manifest
from orchestration.close.readback import Figures, read_back
from orchestration.close.readiness import pinned_files
from orchestration.landing.receipts import RECEIPT
from orchestration.settings import Settings
from orchestration.shape import as_json


@dataclass(frozen=True)
class Written:
    """A month as it was written to a folder: the hash of each file and table, what was counted, what is odd."""

    folder: Path
    hashes: dict[str, str]
    tables: dict[str, TableHash]
    counts: Counts
    warnings: list[str]
    figures: Figures


def write_tables(connection: duckdb.DuckDBPyConnection, out_dir: Path) -> None:
    """Write every table beside `usage`, whose day files dbt has written there already."""
    for table in tables.TABLES:
        query = f"select * from build.main.{engine.identifier(table.name)}"
        tables.copy_parquet(connection, query, table.key, out_dir / f"{table.name}.parquet")
        if table.also_csv:
            guarded_csv.write(connection, query, table.key, out_dir / f"{table.name}.csv")
    corrections = "select * from build.main.int_corrections"
    tables.copy_parquet(connection, corrections, tables.USAGE.key, out_dir / "usage" / "corrections.parquet")


def counts(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """What became of the landed rows: those of the month, and those that came late for frozen months."""
    landed, rejected = connection.execute(
        "select coalesce(sum(usable_rows + rejected_rows), 0)::bigint, coalesce(sum(rejected_rows), 0)::bigint "
        "from control.cdrs_receipts"
    ).fetchone()
    dropped = dict(
        connection.execute("select outcome, count(*) from main.int_dropped_deliveries group by outcome").fetchall()
    )
    accepted, attributed, conflicts = connection.execute(
        "select coalesce(sum(record_count), 0)::bigint, "
        "coalesce(sum(record_count) filter (account_id is not null), 0)::bigint, "
        "count(*) filter (conflict_header_ip) from main.usage where line_type = 'usage'"
    ).fetchone()
    (late_landed,) = connection.execute(
        "select coalesce(sum(usable_rows), 0)::bigint from control.late_receipts"
    ).fetchone()
    late = dict(
        connection.execute(
            "select outcome, count(*) from main.int_judged_deliveries where came_as = 'late' group by outcome"
        ).fetchall()
    )
    entries = dict(connection.execute("select entry, count(*) from main.int_corrections group by entry").fetchall())
    return {
        "landed": landed,
        "accepted": accepted,
        "duplicate": dropped.get("duplicate", 0),
        "superseded": dropped.get("superseded", 0),
        "rejected": rejected,
        "attributed": attributed,
        "unattributed": accepted - attributed,
        "conflict_header_ip": conflicts,
        "late_landed": late_landed,
        "late_duplicate": late.get("duplicate", 0),
        "late_superseded": late.get("superseded", 0),
        "before_first_month": late.get("before_first_month", 0),
        "late": entries.get("late", 0),
        "restatement": entries.get("restatement", 0),
        "reversal": entries.get("reversal", 0),
    }


def warnings(connection: duckdb.DuckDBPyConnection, inputs: Inputs) -> list[str]:
    """What was odd before the build, and the days of the month on which nothing was used."""
    days = connection.execute(
        "select day::varchar from control.close_days where day not in "
        "(select (started_at at time zone 'UTC')::date from main.usage where line_type = 'usage') order by day"
    ).fetchall()
    silent = [f"No records on {', '.join(day for (day,) in days)} (UTC)."] if days else []
    return [*inputs.warnings, *silent]


def compose(inputs: Inputs, written: Written) -> Content:
    """The manifest's content. Figures come from the files as a second reader found them."""
    month, previous, costs = inputs.close.month, inputs.close.chain.last, written.figures.cost_by_currency
    carried = previous.content.totals_since_first_month if previous else {}
    return Content(
        format=FORMAT,
        month=month,
        period_start=month.start,
        period_end=month.end,
        first_month=inputs.close.first_month,
        closed_at=inputs.closed_at,
        previous_month=previous.month if previous else None,
        previous_manifest_sha256=previous.sha256 if previous else NO_PREVIOUS,
        landed_up_to=max(batch.sequence for batch in inputs.close.batches),
        settings=inputs.settings,
        inputs=named_inputs(inputs.close),
        outputs=[_output(written.folder / name, name, digest) for name, digest in written.hashes.items()],
        tables=written.tables,
        counts=written.counts,
        totals={currency: str(cost) for currency, cost in costs.items()},
        totals_by_service=[
            ServiceTotal(service, direction, currency, records, str(cost))
            for (service, direction, currency), (records, cost) in sorted(written.figures.by_service.items())
        ],
        totals_since_first_month={
            currency: str(Decimal(carried.get(currency, "0")) + costs.get(currency, Decimal(0)))
            for currency in carried.keys() | costs.keys()
        },
        rejected=Rejected(
            inputs.accepted_rejected,
            [AnsweredRow(row.batch_id, row.source_row, row.reason, row.cleared) for row in inputs.rejected],
        ),
        warnings=written.warnings,
        versions=versions.installed(),
    )


def named_inputs(close: Close) -> list[Input]:
    """Each batch that a close reads, with the hashes of its receipt and of the files that it opens."""
    opened = pinned_files(close)
    listed = []
    for batch in close.batches:
        used = [file for file in [*batch.files, batch.rejected] if file and batch.path(file) in opened]
        if used or batch.feed != "cdrs":
            listed.append(
                Input(
                    feed=batch.feed,
                    batch_id=batch.batch_id,
                    file_name=batch.file_name,
                    source_sha256=batch.source_sha256,
                    receipt_sha256=files.sha256(batch.folder / RECEIPT),
                    files=[InputFile(file.name, file.rows, file.sha256) for file in used],
                )
            )
    return listed


def _output(path: Path, name: str, digest: str) -> Output:
    rows = pq.read_metadata(path).num_rows if path.suffix == ".parquet" else None
    return Output(name, path.stat().st_size, rows, digest)


def write_month(settings: Settings, inputs: Inputs, build_file: Path, out_dir: Path) -> Content:
    """Write a build's tables, read them back, and give the content of the manifest that lists them."""
    with engine.connect(settings, build_file) as connection:
        write_tables(connection, out_dir)
        counted = Counts(**counts(connection))
        odd = warnings(connection, inputs)
        hashes = logical.of_statements(connection, out_dir)
    figures = read_back(out_dir, counted)
    return compose(inputs, Written(out_dir, files.hashes_below(out_dir), hashes, counted, odd, figures))


def freeze(settings: Settings, inputs: Inputs, build_file: Path, out_dir: Path) -> Manifest:
    """Write, read back, list and publish. Returns the manifest of the frozen month."""
    content = write_month(settings, inputs, build_file, out_dir)
    (out_dir / MANIFEST).write_bytes(canonical(as_json(content)))
    files.seal_folder(out_dir, content.hashes | {MANIFEST: files.sha256(out_dir / MANIFEST)})
    files.publish(out_dir, frozen.month_folder(settings, inputs.close.month))
    return manifests.read(settings, inputs.close.month)

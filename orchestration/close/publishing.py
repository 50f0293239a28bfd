"""Freezing: a build's tables become files, are read back, listed in a manifest, and renamed into place.

What belongs here: the write-once protocol, in its order. What does not: what the tables say, or whether the month may
be closed. Nothing here can replace a frozen month: the rename that publishes fails when its name is taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from orchestration import engine, files, frozen, guarded_csv
from orchestration.close import logical, manifests, tables
from orchestration.close.manifests import MANIFEST, Manifest
from orchestration.close.readback import Figures, read_back
from orchestration.close.readiness import RejectedRow, pinned_files
from orchestration.landing.receipts import RECEIPT, Receipt
from orchestration.months import Month
from orchestration.settings import Settings


@dataclass(frozen=True)
class Inputs:
    """What a close was given, for the manifest to name."""

    month: Month
    frozen: Sequence[Manifest]
    receipts: Sequence[Receipt]
    rejected: Sequence[RejectedRow]
    accepted_rejected: bool
    warnings: Sequence[str]
    closed_at: datetime
    settings: dict[str, Any]

    @property
    def previous(self) -> Manifest | None:
        return self.frozen[-1] if self.frozen else None


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


def compose(
    inputs: Inputs,
    counted: dict[str, int],
    odd: list[str],
    figures: Figures,
    hashes: dict[str, str],
    stated: dict[str, dict[str, Any]],
    out_dir: Path,
) -> dict[str, Any]:
    """The manifest's content. Figures come from the files as a second reader found them."""
    month, previous = inputs.month, inputs.previous
    carried = previous.content["totals_since_first_month"] if previous else {}
    return {
        "format": 1,
        "month": str(month),
        "period_start": month.start.isoformat(),
        "period_end": month.end.isoformat(),
        "first_month": previous.content["first_month"] if previous else str(month),
        "closed_at": inputs.closed_at.isoformat(),
        "previous_month": str(previous.month) if previous else None,
        "previous_manifest_sha256": previous.sha256 if previous else manifests.NO_PREVIOUS,
        "landed_up_to": max(receipt.sequence for receipt in inputs.receipts),
        "settings": inputs.settings,
        "inputs": named_inputs(inputs.receipts, month, inputs.frozen),
        "outputs": [_output(out_dir / name, name, digest) for name, digest in hashes.items()],
        "tables": stated,
        "counts": counted,
        "totals": {currency: str(cost) for currency, cost in figures.cost_by_currency.items()},
        "totals_by_service": [
            {"service": service, "direction": direction, "currency": currency, "records": records, "cost": str(cost)}
            for (service, direction, currency), (records, cost) in sorted(figures.by_service.items())
        ],
        "totals_since_first_month": {
            currency: str(Decimal(carried.get(currency, "0")) + figures.cost_by_currency.get(currency, Decimal(0)))
            for currency in carried.keys() | figures.cost_by_currency.keys()
        },
        "rejected": {
            "accepted_by_operator": inputs.accepted_rejected,
            "rows": [
                {"batch_id": row.batch_id, "source_row": row.source_row, "reason": row.reason, "cleared": row.cleared}
                for row in inputs.rejected
            ],
        },
        "warnings": odd,
        "versions": manifests.versions(),
    }


def named_inputs(receipts: Sequence[Receipt], month: Month, frozen: Sequence[Manifest]) -> list[dict[str, Any]]:
    """Each batch that a close reads, with the hashes of its receipt and of the files that it opens."""
    opened = pinned_files(receipts, month, frozen)
    listed = []
    for receipt in receipts:
        used = [file for file in [*receipt.files, receipt.rejected] if file and receipt.path(file) in opened]
        if used or receipt.feed != "cdrs":
            listed.append(
                {
                    "feed": receipt.feed,
                    "batch_id": receipt.batch_id,
                    "file_name": receipt.file_name,
                    "source_sha256": receipt.source_sha256,
                    "receipt_sha256": files.sha256(receipt.folder / RECEIPT),
                    "files": [{"name": file.name, "rows": file.rows, "sha256": file.sha256} for file in used],
                }
            )
    return listed


def _output(path: Path, name: str, digest: str) -> dict[str, Any]:
    rows = pq.read_metadata(path).num_rows if path.suffix == ".parquet" else None
    return {"name": name, "bytes": path.stat().st_size, "rows": rows, "sha256": digest}


def write_month(settings: Settings, inputs: Inputs, build_file: Path, out_dir: Path) -> dict[str, Any]:
    """Write a build's tables, read them back, and give the content of the manifest that lists them."""
    with engine.connect(settings, build_file) as connection:
        write_tables(connection, out_dir)
        counted = counts(connection)
        odd = warnings(connection, inputs)
        stated = logical.of_statements(connection, out_dir)
    figures = read_back(out_dir, counted)
    return compose(inputs, counted, odd, figures, files.hashes_below(out_dir), stated, out_dir)


def freeze(settings: Settings, inputs: Inputs, build_file: Path, out_dir: Path) -> Manifest:
    """Write, read back, list and publish. Returns the manifest of the frozen month."""
    content = write_month(settings, inputs, build_file, out_dir)
    (out_dir / MANIFEST).write_bytes(manifests.canonical(content))
    hashes = {output["name"]: output["sha256"] for output in content["outputs"]}
    files.seal_folder(out_dir, hashes | {MANIFEST: files.sha256(out_dir / MANIFEST)})
    files.publish(out_dir, frozen.month_folder(settings, inputs.month))
    return manifests.read(settings, inputs.month)

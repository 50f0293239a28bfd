"""Freezing: a build's files are completed, read back, listed in a manifest, and renamed into place.

What belongs here: the write-once protocol, in its order. What does not: what the tables say, or whether the month may
be closed. Nothing here can replace a frozen month: the rename that publishes fails when the month's folder exists.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from orchestration import engine, files, frozen, guarded_csv
from orchestration.close import logical, manifests, month_readme, statement_documents, tables, versions
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
from orchestration.close.month_build import Build
from orchestration.close.readback import Figures, read_back
from orchestration.close.readiness import ignored, pinned_files
from orchestration.close.statement_documents import Salts
from orchestration.landing.receipts import RECEIPT
from orchestration.settings import Settings
from orchestration.shape import as_json


@dataclass(frozen=True)
class Written:
    """A month as it was written to a folder: the hash of each file and table, what was counted, what is odd.

    `statements_root` is the root of the tenants' statements; `engine` names the engine that computed them, with its
    version.
    """

    folder: Path
    hashes: dict[str, str]
    tables: dict[str, TableHash]
    statements_root: str
    counts: Counts
    warnings: list[str]
    figures: Figures
    engine: str


def write_csv(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Write the tables that people open in a spreadsheet as CSV too, from their Parquet files."""
    for table in tables.TABLES:
        if table.also_csv:
            query = f"select * from {engine.parquet([folder / f'{table.name}.parquet'])}"
            guarded_csv.write(connection, query, table.key, folder / f"{table.name}.csv")


def warnings(inputs: Inputs, folder: Path) -> list[str]:
    """The oddities before the build, and the UTC days of the month on which nothing was used: files without rows."""
    silent = [
        day.isoformat()
        for day in inputs.close.month.days
        if not pq.read_metadata(folder / "usage" / f"day={day:%d}.parquet").num_rows
    ]
    return [*inputs.warnings, *([f"No records on {', '.join(silent)} (UTC)."] if silent else [])]


def compose(inputs: Inputs, written: Written) -> Content:
    """The manifest's content. Figures are those that the second reader added up from the files."""
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
        services=inputs.services,
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
        ignored=ignored(inputs.close),
        statements_root_sha256=written.statements_root,
        warnings=written.warnings,
        versions=versions.installed() | {"engine": written.engine},
    )


def named_inputs(close: Close) -> list[Input]:
    """Each batch that a close reads, with the hashes of its receipt and of the files that it opens."""
    opened = pinned_files(close)
    listed = []
    for batch in close.batches:
        landed = (*batch.files, batch.withdrawn, batch.ignored_rows, batch.rejected)
        used = [file for file in landed if file and batch.path(file) in opened]
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


def write_month(settings: Settings, inputs: Inputs, build: Build) -> Content:
    """Finish a build's files, read them back, and give the content of the manifest that lists them."""
    # The second reader needs the Parquet files alone, so it reads them while their other forms are written.
    with ThreadPoolExecutor(max_workers=1) as beside, engine.connect(settings) as connection:
        reading = beside.submit(read_back, build.folder, build.counts, build.each_file)
        write_csv(connection, build.folder)
        salts = Salts.of(inputs.close.month, inputs.close.batches)
        statements_root = statement_documents.write(connection, build.folder, salts)
        table_hashes = logical.of_statements(connection, build.folder)
        figures = reading.result()
    last = inputs.close.chain.last
    readme = month_readme.text(inputs.close.month, last.month if last else None)
    (build.folder / month_readme.README).write_text(readme, encoding="ascii")
    return compose(
        inputs,
        Written(
            folder=build.folder,
            hashes=files.hashes_below(build.folder, build.each_file),
            tables=table_hashes,
            statements_root=statements_root,
            counts=build.counts,
            warnings=warnings(inputs, build.folder),
            figures=figures,
            engine=build.engine,
        ),
    )


def freeze(settings: Settings, inputs: Inputs, build: Build) -> Manifest:
    """Write, read back, list and publish. Returns the manifest of the frozen month."""
    content = write_month(settings, inputs, build)
    (build.folder / MANIFEST).write_bytes(canonical(as_json(content)))
    files.seal_folder(build.folder, content.hashes | {MANIFEST: files.sha256(build.folder / MANIFEST)})
    files.publish(build.folder, frozen.month_folder(settings, inputs.close.month))
    return manifests.read(settings, inputs.close.month)

"""The same month told in other ways: shuffled, split over files, on other machines, beside another tenant.

What belongs here: making a variant of a carrier's files, closing it, and reading its tables with what may differ left
out. What does not: expectations. Run as a program it closes a month for another process, which has a time zone of its own:
`python -m tests.orchestration.variants FOLDER NOW MONTH JSON`.
"""

import json
import random
import sys
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from orchestration import clock, settings
from orchestration.close import manifests, tables
from orchestration.commands import close
from orchestration.commands.land import Delivery, land
from orchestration.demo.carrier import CarrierFiles
from orchestration.months import Month
from orchestration.shape import as_json
from tests.unit.deliveries import number_of, record, tenant, write_csv

# Which delivery a record came with is not what its statement says.
LINEAGE = {"batch_id", "source_row", "assignment_id"}
UNRELATED = "unrelated"


@dataclass(frozen=True)
class Files:
    """The files of each feed, in the order they land."""

    tenants: list[Path]
    number_assignments: list[Path]
    ip_assignments: list[Path]
    cdrs: list[Path]


def plain(made: CarrierFiles, folder: Path) -> Files:
    """The carrier's files, each record once: of several deliveries of one the last counts, so there order matters."""
    (given,) = (path for path in made.cdrs if path.suffix == ".parquet")
    rows = list({row["record_id"]: row for row in pq.read_table(given).to_pylist()}.values())
    path = folder / "cdrs.parquet"
    pq.write_table(pa.Table.from_pylist(rows, pq.read_schema(given)), path)
    return Files([made.tenants], [made.number_assignments], [made.ip_assignments], [path])


def shuffled(files: Files, folder: Path, seed: int) -> Files:
    """The rows of every file in another order."""
    folder.mkdir()
    order = random.Random(seed)

    def lines(path: Path) -> Path:
        header, *rows = path.read_text(encoding="utf-8").splitlines(keepends=True)
        if path.suffix == ".jsonl":
            header, rows = "", [header, *rows]
        order.shuffle(rows)
        (folder / path.name).write_text(header + "".join(rows), encoding="utf-8")
        return folder / path.name

    def records(path: Path) -> Path:
        table = pq.read_table(path)
        places = list(range(table.num_rows))
        order.shuffle(places)
        pq.write_table(table.take(places), folder / path.name)
        return folder / path.name

    texts = (files.tenants, files.number_assignments, files.ip_assignments)
    return Files(*([lines(path) for path in paths] for paths in texts), [records(path) for path in files.cdrs])


def split(files: Files, folder: Path, parts: int) -> Files:
    """The records dealt out over several files."""
    folder.mkdir()
    (whole,) = files.cdrs
    table = pq.read_table(whole)
    paths = [folder / f"part-{number}.parquet" for number in range(parts)]
    for number, path in enumerate(paths):
        pq.write_table(table.take(list(range(number, table.num_rows, parts))), path)
    return replace(files, cdrs=paths)


def beside(files: Files, folder: Path, month: str) -> Files:
    """With another tenant, which has a number and calls of its own."""
    folder.mkdir()
    number = "+12025550999"
    calls = [
        record(f"unrelated-{day}", number=number, started_at=f"{month}-{day:02}T10:00:00Z", cost="5") for day in (1, 9)
    ]
    return Files(
        [*files.tenants, write_csv(folder / "tenants.csv", tenant(UNRELATED))],
        [*files.number_assignments, write_csv(folder / "numbers.csv", number_of(UNRELATED, number))],
        files.ip_assignments,
        [*files.cdrs, write_csv(folder / "cdrs.csv", *calls)],
    )


def closed(files: Files, folder: Path, month: str, threads: int = 2) -> dict[str, list[str]]:
    """Land the files in a folder of their own, close the month, and give back what its tables say."""
    configuration = replace(settings.load(folder / "data"), threads=threads)
    for feed in ("tenants", "number_assignments", "ip_assignments", "cdrs"):
        land(configuration, feed, getattr(files, feed), Delivery())
    frozen = close.close_month(configuration, Month.parse(month), accept_rejected=False, progress=lambda _: None)
    return told(frozen.manifest)


def told(manifest: manifests.Manifest) -> dict[str, list[str]]:
    """Every table as a sorted list of its rows, and the figures of the manifest. What is reconciled is file by file."""
    found = {
        "manifest": [repr([as_json(manifest.content)[name] for name in ("counts", "totals", "totals_by_service")])]
    }
    for table in (*tables.TABLES, tables.USAGE):
        if table.name == "reconciliation":
            continue
        pattern = "usage/*.parquet" if table is tables.USAGE else f"{table.name}.parquet"
        rows = [row for path in sorted(manifest.folder.glob(pattern)) for row in pq.read_table(path).to_pylist()]
        found[table.name] = sorted(
            repr({name: value for name, value in row.items() if name not in LINEAGE}) for row in rows
        )
    return found


if __name__ == "__main__":
    folder, now, month, files = sys.argv[1:]
    moment = datetime.fromisoformat(now)
    clock.now = lambda: moment
    given = Files(**{feed: [Path(path) for path in paths] for feed, paths in json.loads(files).items()})
    print(json.dumps(closed(given, Path(folder), month)))

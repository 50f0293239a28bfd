"""What every engine runs over its own files when they are written: everything added up again, and the SHA-256 of each.

What belongs here: PyArrow and Decimal, one day's columns at a time. What does not: an engine, or what is expected.
Every engine runs this same code in its own process, so it costs all of them the same.
"""

import hashlib
import json
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.alike import contract
from benchmarks.alike.contract import Job

MEASURES = ("record_count", "duration_seconds", "billed_seconds", "cost")
KEY = ("account_id", *contract.LINE)
Key = tuple[str | None, ...]
Sums = dict[Key, tuple[int | Decimal, ...]]


def prove(job: Job) -> None:
    """Read the files back and write `proof.json`. Raises SystemExit where a table is not the sum of the records."""
    records = _sums([path for _, _, path in job.days], KEY)
    lines = _sums([job.table("statement_lines")], KEY)
    assets = _sums([job.table("usage_by_asset")], KEY)
    nobody = _sums([job.table("unattributed")], contract.LINE)
    everybody = _sums([job.table("organization_statement")], contract.LINE)
    _equal("statement_lines", lines, {key: sums for key, sums in records.items() if key[0] is not None})
    _equal("usage_by_asset", assets, lines)
    _equal("unattributed", nobody, {key[1:]: sums for key, sums in records.items() if key[0] is None})
    _equal("organization_statement", everybody, _rolled_up(records, slice(1, None)))
    _equal("statements", _totals(job.table("statements"), ("account_id", "currency")), _costs(lines, slice(0, 2)))
    _equal("organization", _totals(job.table("organization"), ("currency",)), _costs(records, slice(1, 2)))
    files = [*(path for _, _, path in job.days), *(job.table(name) for name in contract.ORDERS)]
    hashes = {str(path.relative_to(job.out)): _sha256(path) for path in files}
    (job.out / "proof.json").write_text(json.dumps(hashes, indent=1) + "\n", encoding="utf-8")


def _sums(paths: list[Path], key: tuple[str, ...]) -> Sums:
    found: dict[Key, list[int | Decimal]] = defaultdict(lambda: [0, 0, 0, Decimal(0)])
    for path in paths:
        table = pq.ParquetFile(path, memory_map=False).read(columns=[*key, *MEASURES])
        wide = pc.cast(table["cost"], pa.decimal128(38, 9))
        table = table.set_column(table.schema.get_field_index("cost"), "cost", wide)
        grouped = table.group_by(list(key)).aggregate([(measure, "sum") for measure in MEASURES])
        columns = [grouped[name].to_pylist() for name in (*key, *(f"{measure}_sum" for measure in MEASURES))]
        for row in zip(*columns, strict=True):
            sums = found[row[: len(key)]]
            for place, value in enumerate(row[len(key) :]):
                sums[place] += value or 0
    return {key: tuple(sums) for key, sums in found.items()}


def _rolled_up(sums: Sums, kept: slice) -> Sums:
    found: dict[Key, list[int | Decimal]] = defaultdict(lambda: [0, 0, 0, Decimal(0)])
    for key, values in sums.items():
        found[key[kept]] = [total + value for total, value in zip(found[key[kept]], values, strict=True)]
    return {key: tuple(values) for key, values in found.items()}


def _costs(sums: Sums, kept: slice) -> Sums:
    return {key: values[-1:] for key, values in _rolled_up(sums, kept).items()}


def _totals(path: Path, key: tuple[str, ...]) -> Sums:
    """The total cost of each wide row; those of tenants without usage are zero and have no lines."""
    table = pq.ParquetFile(path, memory_map=False).read(columns=[*key, "total_cost"])
    columns = [table[name].to_pylist() for name in (*key, "total_cost")]
    return {row[:-1]: row[-1:] for row in zip(*columns, strict=True) if row[-1]}


def _equal(what: str, found: Sums, due: Sums) -> None:
    something = {key: values for key, values in due.items() if any(values)}
    if {key: values for key, values in found.items() if any(values)} != something:
        raise SystemExit(f"{what} does not add up to the records.")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

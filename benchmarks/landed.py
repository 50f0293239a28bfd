"""Which landed files there are, told from the receipts alone: the contract between landing and whoever checks it.

What belongs here: finding files. What does not: reading them. Imports nothing of the product, which is what is judged.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Batch:
    """One landed batch: its place in the landing order and its files, each with the month of its records.

    `withdrawals`: the file of the records that it takes back, where it has one.
    """

    sequence: int
    feed: str
    files: tuple[tuple[Path, str | None], ...]
    withdrawals: Path | None


def batches(data: Path) -> list[Batch]:
    """Every batch of a data folder, in landing order."""
    found = []
    for path in (data / "landing").glob("*/*/receipt.json"):
        receipt = json.loads(path.read_text(encoding="utf-8"))
        files = tuple((path.parent / file["name"], file["month"]) for file in receipt["files"])
        withdrawn = receipt.get("withdrawn")
        withdrawals = path.parent / withdrawn["name"] if withdrawn else None
        found.append(Batch(receipt["sequence"], receipt["feed"], files, withdrawals))
    return sorted(found, key=lambda batch: batch.sequence)


def files_of(known: Iterable[Batch], feed: str, month: str | None = None, up_to: int | None = None) -> list[Path]:
    """The files of a feed in landing order: of one month or all, up to a landing sequence or all."""
    return [
        path
        for batch in known
        if batch.feed == feed and (up_to is None or batch.sequence <= up_to)
        for path, of_month in batch.files
        if month is None or of_month == month
    ]


def deliveries(known: Iterable[Batch]) -> str:
    """SQL of all deliveries of cdrs in these batches, those that take a record back with its id alone.

    A file from before a column lacks it, and so has null there.
    """
    batches_of_cdrs = [batch for batch in known if batch.feed == "cdrs"]
    withdrawals = [batch.withdrawals for batch in batches_of_cdrs if batch.withdrawals]
    files = [*files_of(batches_of_cdrs, "cdrs"), *withdrawals]
    return f"from {reader(files)[:-1]}, union_by_name = true)"


def reader(files: Iterable[Path]) -> str:
    """DuckDB's reader over exactly these files."""
    quoted = ("'" + str(path).replace("'", "''") + "'" for path in files)
    return f"read_parquet([{', '.join(quoted)}], hive_partitioning = false)"

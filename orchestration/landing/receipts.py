"""Batches and their receipts: what landed, from which bytes, and the only list of files that anything may read.

A batch is one folder, `landing/<feed>/<batch_id>/`: its Parquet files, `receipt.json` and SHA256SUMS over both. It
comes into being by one rename and never changes. What does not belong here: how its rows are written or read.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from orchestration import shape
from orchestration.errors import Damaged
from orchestration.files import SUMS, sums
from orchestration.landing.feeds import CDRS, FEEDS
from orchestration.months import Month
from orchestration.settings import Settings

RECEIPT = "receipt.json"
# The source of files that come in the columns of their feed.
CANONICAL_SOURCE = "canonical"
# Landed files in landing order, each with the columns that it has.
Files = dict[Path, frozenset[str]]


@dataclass(frozen=True)
class LandedFile:
    """One Parquet file of a batch."""

    name: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class RecordsFile(LandedFile):
    """One Parquet file of usable cdrs. `month` is that of its rows' `started_at`, YYYY-MM."""

    month: str


@dataclass(frozen=True)
class Content:
    """The content of `receipt.json`: one landed file, and the outcome of its rows.

    `rows` are records; `ignored` counts, by name, the rows of a switch's file that are no record of their own.
    `cutoff` is the instant up to which the extract is complete; `sealed_at` the seal that held when it landed;
    `is_history`: trusted as the feed's past; `call` the hashes of all files landed together. `columns` are those of
    each of `files`. `rejected_by_month` counts rejected rows by the month of their readable time, under "" where there
    is none.
    """

    feed: str
    batch_id: str
    sequence: int
    landed_by: str
    source: str
    file_name: str
    source_sha256: str
    source_bytes: int
    rules_sha256: str
    call: list[str]
    landed_at: datetime
    rows: int
    ignored: dict[str, int] = field(default_factory=dict)
    duplicates: int = 0
    superseded: int = 0
    cost_difference: str = "0"
    late: int = 0
    overtaken: int = 0
    unusable_assets: int = 0
    cutoff: datetime | None = None
    sealed_at: datetime | None = None
    is_history: bool = False
    files: list[RecordsFile | LandedFile] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    rejected: LandedFile | None = None
    rejected_by_month: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Receipt(Content):
    """The receipt of a batch, with the batch's folder."""

    folder: Path

    @property
    def rejected_rows(self) -> int:
        return self.rejected.rows if self.rejected else 0

    @property
    def records(self) -> list[RecordsFile]:
        """The files of usable cdrs; none in the assignment feeds."""
        return [file for file in self.files if isinstance(file, RecordsFile)]

    def files_of(self, month: Month) -> list[RecordsFile]:
        return [file for file in self.records if file.month == str(month)]

    def path(self, file: LandedFile) -> Path:
        return self.folder / file.name

    def write(self) -> None:
        """Write receipt.json into the batch's folder."""
        content = shape.as_json(self) | {"format": 1}
        del content["folder"]
        content["files"] = [{"month": None} | file for file in content["files"]]
        (self.folder / RECEIPT).write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def batch_name(sequence: int, sha256: str) -> str:
    """Landing sequence and 12 hex digits of the file's hash; its text order is the landing order."""
    return f"{sequence:08d}-{sha256[:12]}"


def read(folder: Path) -> Receipt:
    """The receipt of a landed batch, byte for byte as it was written. Every close begins with these."""
    try:
        raw = (folder / RECEIPT).read_bytes()
        if sums(folder)[RECEIPT] != hashlib.sha256(raw).hexdigest():
            raise ValueError("another hash")
        stored = json.loads(raw)
        if stored["format"] != 1:
            raise ValueError("another form")
        if stored.keys() - {"format"} - {entry.name for entry in fields(Content)}:
            raise ValueError("names that no receipt has")
        content = shape.build(stored, Content)
        if (content.feed, content.batch_id) != (folder.parent.name, folder.name):
            raise ValueError("another batch's")
        Decimal(content.cost_difference)
        # A receipt that lists no columns was written before receipts did, and its files have those of that time.
        columns = content.columns or list(FEEDS[content.feed].original)
        receipt = Receipt(**vars(content) | {"columns": columns}, folder=folder)
        if content.feed == CDRS.name and len(receipt.records) != len(receipt.files):
            raise ValueError("records of no month")
        return receipt
    except (OSError, ValueError, KeyError, TypeError, ArithmeticError, RecursionError) as error:
        raise Damaged(f"{folder / RECEIPT} is not the receipt that was written. Restore it from a backup.") from error


def load(settings: Settings) -> list[Receipt]:
    """Every landed batch, in landing order."""
    folders = [
        folder
        for feed in FEEDS
        if (settings.landing / feed).is_dir()
        for folder in (settings.landing / feed).iterdir()
        if (folder / SUMS).exists() or (folder / RECEIPT).exists()
    ]
    return sorted((read(folder) for folder in folders), key=lambda receipt: receipt.sequence)


def with_columns(files: Iterable[tuple[Receipt, LandedFile]]) -> Files:
    """Files of receipts, each with the columns that it has."""
    return {receipt.path(file): frozenset(receipt.columns) for receipt, file in files}


def files_of_feed(receipts: Iterable[Receipt], feed: str) -> Files:
    """The landed Parquet files of a feed, in landing order."""
    return with_columns((receipt, file) for receipt in receipts if receipt.feed == feed for file in receipt.files)


def cdrs_files(receipts: Iterable[Receipt], months: Iterable[Month]) -> Files:
    """The landed Parquet files with records that started in these months, in landing order."""
    wanted = list(months)
    return with_columns((receipt, file) for receipt in receipts for month in wanted for file in receipt.files_of(month))


def late_files(receipts: Iterable[Receipt], month: Month, landed_up_to: int) -> dict[Path, tuple[Receipt, RecordsFile]]:
    """The files with records of earlier months that landed after sequence `landed_up_to`, in landing order."""
    return {
        receipt.path(file): (receipt, file)
        for receipt in receipts
        if receipt.sequence > landed_up_to
        for file in receipt.records
        if file.month < str(month)
    }

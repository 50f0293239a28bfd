"""Batches and their receipts: what landed, from which bytes, and the only list of files that anything may read.

A batch is one folder, `landing/<feed>/<batch_id>/`: its Parquet files, `receipt.json` and SHA256SUMS over both. It
comes into being by one rename and never changes. What does not belong here: how its rows were made.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from orchestration.errors import Damaged
from orchestration.files import SUMS, sums
from orchestration.months import Month
from orchestration.settings import Settings
from orchestration.shape import has_shape

RECEIPT = "receipt.json"
# The source of files that come in the columns of their feed.
CANONICAL_SOURCE = "canonical"


@dataclass(frozen=True)
class LandedFile:
    """One Parquet file of a batch. `month` is that of its rows' `started_at`, none in the assignment feeds."""

    name: str
    rows: int
    bytes: int
    sha256: str
    month: str | None = None


@dataclass(frozen=True)
class Receipt:
    """What one landed file was and what became of its rows.

    `rows` are records; `ignored` counts, by name, the rows of a switch's file that are no record of their own.
    `cutoff` is the instant up to which the extract is complete; `sealed_at` the seal that held when it landed;
    `is_history`: trusted as the feed's past; `call` the hashes of all files landed together. `rejected_by_month` counts
    rejected rows by the month of their readable time, under "" where there is none.
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
    files: list[LandedFile] = field(default_factory=list)
    rejected: LandedFile | None = None
    rejected_by_month: dict[str, int] = field(default_factory=dict)
    folder: Path | None = None

    @property
    def rejected_rows(self) -> int:
        return self.rejected.rows if self.rejected else 0

    def files_of(self, month: Month) -> list[LandedFile]:
        return [file for file in self.files if file.month == str(month)]

    def path(self, file: LandedFile) -> Path:
        return self.folder / file.name

    def write(self) -> None:
        """Write receipt.json into the batch's folder."""
        content = asdict(self) | {"format": 1}
        del content["folder"]
        for name in ("landed_at", "cutoff", "sealed_at"):
            content[name] = content[name].isoformat() if content[name] else None
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
        content = json.loads(raw)
        if content.pop("format") != 1 or not has_shape(content, Receipt):
            raise ValueError("another form")
        if (content["feed"], content["batch_id"]) != (folder.parent.name, folder.name):
            raise ValueError("another batch's")
        Decimal(content.get("cost_difference", "0"))
        for name in ("landed_at", "cutoff", "sealed_at"):
            if content.get(name):
                content[name] = datetime.fromisoformat(content[name])
        content["files"] = [LandedFile(**file) for file in content.get("files", [])]
        if content.get("rejected"):
            content["rejected"] = LandedFile(**content["rejected"])
        return Receipt(**content | {"folder": folder})
    except (OSError, ValueError, KeyError, TypeError, ArithmeticError, RecursionError) as error:
        raise Damaged(f"{folder / RECEIPT} is not the receipt that was written. Restore it from a backup.") from error


def load(settings: Settings) -> list[Receipt]:
    """Every landed batch, in landing order."""
    folders = [
        folder
        for feed in ("cdrs", "tenants", "number_assignments", "ip_assignments")
        if (settings.landing / feed).is_dir()
        for folder in (settings.landing / feed).iterdir()
        if (folder / SUMS).exists() or (folder / RECEIPT).exists()
    ]
    return sorted((read(folder) for folder in folders), key=lambda receipt: receipt.sequence)


def files_of_feed(receipts: Iterable[Receipt], feed: str) -> list[Path]:
    """The landed Parquet files of an assignment feed, in landing order."""
    return [receipt.path(file) for receipt in receipts if receipt.feed == feed for file in receipt.files]


def cdrs_files(receipts: Iterable[Receipt], months: Iterable[Month]) -> list[Path]:
    """The landed Parquet files with records that started in these months, in landing order."""
    wanted = list(months)
    return [
        receipt.path(file)
        for receipt in receipts
        if receipt.feed == "cdrs"
        for month in wanted
        for file in receipt.files_of(month)
    ]


def late_files(receipts: Iterable[Receipt], month: Month, known_up_to: int) -> dict[Path, tuple[Receipt, LandedFile]]:
    """The files with records of earlier months that landed after sequence `known_up_to`, in landing order."""
    return {
        receipt.path(file): (receipt, file)
        for receipt in receipts
        if receipt.feed == "cdrs" and receipt.sequence > known_up_to
        for file in receipt.files
        if file.month < str(month)
    }

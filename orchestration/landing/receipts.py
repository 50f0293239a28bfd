"""Batches and their receipts: what landed, from which bytes, and the only list of files that anything may read.

A batch is one folder, `landing/<feed>/<batch_id>/`: its Parquet files, `receipt.json` and SHA256SUMS over both. It
comes into being by one rename and never changes. What does not belong here: how its rows are written or read.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq

from orchestration import files, shape
from orchestration.errors import Damaged
from orchestration.files import SUMS, sums
from orchestration.landing.feeds import CDRS, FEEDS
from orchestration.months import Month
from orchestration.settings import Settings

RECEIPT = "receipt.json"
# The part of a receipt that older batches lack and that was made up later, beside the landing.
MADE_UP = "identity.json"
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

    @property
    def day(self) -> str:
        """The UTC day of its rows, YYYY-MM-DD."""
        return self.name.partition("/")[0].removeprefix("day=")


@dataclass(frozen=True)
class Moved:
    """Records that a batch delivers for `day` and that an earlier delivery has in another month, or withdrew.

    A day is written YYYY-MM-DD, and "" stands for withdrawals, which belong to no day. `earlier_batch` may be the batch
    itself.
    """

    day: str
    earlier_batch: str
    earlier_day: str
    records: int


@dataclass(frozen=True)
class Content:
    """The content of `receipt.json`: one landed file, and the outcome of its rows.

    `file_kind` is the form of the file: csv, json, parquet or xlsx; older receipts lack it, and their file names tell.
    `rows` are records; `ignored` counts, by name, the rows of a switch's file that are no record of their own.
    `cutoff` is the instant up to which the extract is complete; `sealed_at` the seal that held when it landed;
    `is_history`: trusted as the feed's past; `call` the hashes of all files landed together. `columns` are those of
    each of `files`. `rejected_by_month` counts rejected rows by the month of their readable time, under "" where there
    is none.

    Of cdrs alone: `duplicates` and `superseded` compare with the delivery before, whichever batch has it;
    `superseded_in_file` of the superseded ones stand in this very file, `superseded_elsewhere` in a batch of another
    source, and `to_look_at` names some of the records of the two. `withdrawn` are the records that the carrier takes
    back. `ids` is the file of all ids (`landing.identity`), and `moved` lists the days on which a record was delivered
    before in another month.
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
    file_kind: str = ""
    ignored: dict[str, int] = field(default_factory=dict)
    duplicates: int = 0
    superseded: int = 0
    superseded_in_file: int = 0
    superseded_elsewhere: int = 0
    to_look_at: list[str] = field(default_factory=list)
    cost_difference: str = "0"
    late: int = 0
    overtaken: int = 0
    unusable_assets: int = 0
    cutoff: datetime | None = None
    sealed_at: datetime | None = None
    is_history: bool = False
    files: list[RecordsFile | LandedFile] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    withdrawn: LandedFile | None = None
    ids: LandedFile | None = None
    moved: list[Moved] = field(default_factory=list)
    ignored_rows: LandedFile | None = None
    rejected: LandedFile | None = None
    rejected_by_month: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Receipt(Content):
    """The receipt of a batch, with the batch's folder.

    `made_up`: the folder of `ids` where these were made after the batch had landed, since its version made none.
    """

    folder: Path
    made_up: Path | None = None

    @property
    def rejected_rows(self) -> int:
        return self.rejected.rows if self.rejected else 0

    @property
    def withdrawn_rows(self) -> int:
        return self.withdrawn.rows if self.withdrawn else 0

    @property
    def records(self) -> list[RecordsFile]:
        """The files of usable cdrs; none in the assignment feeds."""
        return [file for file in self.files if isinstance(file, RecordsFile)]

    @property
    def hashes(self) -> dict[str, str]:
        """Name → SHA-256 of each landed file of rows."""
        landed = (*self.files, self.withdrawn, self.ignored_rows, self.rejected)
        return {file.name: file.sha256 for file in landed if file}

    def files_of(self, month: Month) -> list[RecordsFile]:
        return [file for file in self.records if file.month == str(month)]

    def files_on(self, day: str) -> list[RecordsFile]:
        return [file for file in self.records if file.day == day]

    def path(self, file: LandedFile) -> Path:
        return self.folder / file.name

    def write(self) -> None:
        """Write receipt.json into the batch's folder."""
        content = shape.as_json(self) | {"format": 1}
        del content["folder"], content["made_up"]
        content["files"] = [{"month": None} | file for file in content["files"]]
        (self.folder / RECEIPT).write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")

    def seal(self) -> None:
        """Write receipt.json and seal the batch's folder, which has the files that the receipt lists, and no other."""
        self.write()
        ids = {self.ids.name: self.ids.sha256} if self.ids else {}
        files.seal_folder(self.folder, self.hashes | ids | {RECEIPT: files.sha256(self.folder / RECEIPT)})


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
    landed = sorted((read(folder) for folder in folders), key=lambda receipt: receipt.sequence)
    return [_with_identity(settings, receipt) for receipt in landed]


@dataclass(frozen=True)
class _Identity:
    """The content of `identity.json`: the part of a receipt that was made up later."""

    ids: LandedFile
    moved: list[Moved]


def made_up_folder(settings: Settings, batch_id: str) -> Path:
    """The folder of what an older batch's receipt does not say; it can be made again from the batch at any time."""
    return settings.identity / batch_id


def _with_identity(settings: Settings, receipt: Receipt) -> Receipt:
    """An older batch with what was made up for it; as it is when nothing was, or when that is not as it was made."""
    folder = made_up_folder(settings, receipt.batch_id)
    if receipt.feed != CDRS.name or receipt.ids or not folder.is_dir():
        return receipt
    try:
        raw = (folder / MADE_UP).read_bytes()
        if sums(folder)[MADE_UP] != hashlib.sha256(raw).hexdigest():
            return receipt
        identity = shape.build(json.loads(raw), _Identity)
    except (OSError, ValueError, KeyError):
        return receipt
    return replace(receipt, ids=identity.ids, moved=identity.moved, made_up=folder)


def entry(path: Path, folder: Path) -> LandedFile:
    """The entry of a receipt for a Parquet file in the batch's folder."""
    return LandedFile(
        name=str(path.relative_to(folder)),
        rows=pq.read_metadata(path).num_rows,
        bytes=path.stat().st_size,
        sha256=files.sha256(path),
    )


def with_columns(landed: Iterable[tuple[Receipt, LandedFile]]) -> Files:
    """Files of receipts, each with the columns that it has."""
    return {receipt.path(file): frozenset(receipt.columns) for receipt, file in landed}


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

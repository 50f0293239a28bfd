"""A frozen month's manifest: what it was made of and what came out, hashed; each names the hash of the one before.

What belongs here: its content, its canonical JSON, and reading it again. What does not: making the files it lists.
"""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any

import rfc8785

from orchestration import frozen
from orchestration.close.versions import Versions
from orchestration.errors import Damaged
from orchestration.months import Month
from orchestration.settings import Settings
from orchestration.shape import build

MANIFEST = "manifest.json"
FORMAT = 1
NO_PREVIOUS = "0" * 64


@dataclass(frozen=True)
class CloseSettings:
    """The settings on which a close depends. Manifests of 0.1.0 do not say them."""

    grace_hours: int | None
    default_currency: str | None


@dataclass(frozen=True)
class InputFile:
    """A landed Parquet file that the close opened."""

    name: str
    rows: int
    sha256: str


@dataclass(frozen=True)
class Input:
    """A batch that the close read, with the hash of its receipt and the files of it that were opened."""

    feed: str
    batch_id: str
    file_name: str
    source_sha256: str
    receipt_sha256: str
    files: list[InputFile]


@dataclass(frozen=True)
class Output:
    """A file of the month. `rows`: of a Parquet file."""

    name: str
    bytes: int
    rows: int | None
    sha256: str


@dataclass(frozen=True)
class TableHash:
    """What a table of the month says, whatever its bytes (`close.logical`)."""

    rows: int
    logical_hash: str


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What became of the rows that landed for the month, of those that came late, and the corrections stated.

    Nothing was stated late by 0.1.0, so its manifests do not have those counts.
    """

    landed: int
    accepted: int
    duplicate: int
    superseded: int
    rejected: int
    attributed: int
    unattributed: int
    late_landed: int = 0
    late_duplicate: int = 0
    late_superseded: int = 0
    before_first_month: int = 0
    late: int = 0
    restatement: int = 0
    reversal: int = 0
    conflict_header_ip: int


@dataclass(frozen=True)
class ServiceTotal:
    """What was charged for a service in one direction. `cost` is exact, as text."""

    service: str
    direction: str
    currency: str
    records: int
    cost: str


@dataclass(frozen=True)
class AnsweredRow:
    """A rejected row that the close answered for. `cleared`: a later delivery of its record was usable."""

    batch_id: str
    source_row: int
    reason: str
    cleared: bool


@dataclass(frozen=True)
class Rejected:
    """The rejected rows that the close answered for, and whether an operator left some of them out."""

    accepted_by_operator: bool
    rows: list[AnsweredRow]

    @property
    def left_out(self) -> list[AnsweredRow]:
        return [row for row in self.rows if not row.cleared]


@dataclass(frozen=True, kw_only=True)
class Content:
    """What stands in a manifest. Amounts are text by currency, so that they are exact and read alike everywhere.

    `landed_up_to` is the landing sequence of the last batch that the close knew of.
    """

    format: int
    month: Month
    period_start: datetime
    period_end: datetime
    first_month: Month
    closed_at: datetime
    previous_month: Month | None
    previous_manifest_sha256: str
    landed_up_to: int
    settings: CloseSettings = CloseSettings(None, None)
    inputs: list[Input]
    outputs: list[Output]
    tables: dict[str, TableHash] = field(default_factory=dict)
    counts: Counts
    totals: dict[str, str]
    totals_by_service: list[ServiceTotal]
    totals_since_first_month: dict[str, str]
    rejected: Rejected
    warnings: list[str]
    versions: Versions

    @property
    def hashes(self) -> dict[str, str]:
        """Name → SHA-256 of each file of the month."""
        return {output.name: output.sha256 for output in self.outputs}


@dataclass(frozen=True)
class Manifest:
    """A manifest as it was read: its month, content and hash (the head of the chain, when it is the last)."""

    month: Month
    content: Content
    sha256: str
    folder: Path

    @property
    def closed_at(self) -> datetime:
        return self.content.closed_at

    @property
    def landed_up_to(self) -> int:
        return self.content.landed_up_to

    @property
    def usage_files(self) -> list[Path]:
        """Every entry that the month states: its days, and its corrections."""
        return [self.folder / output.name for output in self.content.outputs if output.name.startswith("usage/")]


def canonical(content: dict[str, Any]) -> bytes:
    """JSON as RFC 8785 fixes it, byte for byte. Numbers are whole and amounts are text: it reads alike everywhere."""
    return rfc8785.dumps(content)


def read(settings: Settings, month: Month) -> Manifest:
    """The manifest of a frozen month. Raises Damaged when it is not byte for byte one that a close writes."""
    folder = frozen.month_folder(settings, month)
    try:
        raw = (folder / MANIFEST).read_bytes()
        parsed = json.loads(raw)
        if canonical(parsed) != raw:
            raise ValueError("another form")
        content = build(parsed, Content)
        _require_sense(content)
        if content.month != month:
            raise ValueError("another month's")
        return Manifest(month, content, hashlib.sha256(raw).hexdigest(), folder)
    except (OSError, ValueError, ArithmeticError, RecursionError) as error:
        raise Damaged(f"{folder / MANIFEST} is not the manifest that was frozen. Restore it from a backup.") from error


def _require_sense(content: Content) -> None:
    """Raise unless the format is the one that is read here, and each amount is one."""
    if content.format != FORMAT:
        raise ValueError("another format")
    by_service = (service.cost for service in content.totals_by_service)
    for amount in chain(content.totals.values(), content.totals_since_first_month.values(), by_service):
        Decimal(amount)


def load(settings: Settings) -> list[Manifest]:
    """The manifests of all frozen months, oldest first."""
    return [read(settings, month) for month in frozen.frozen_months(settings)]

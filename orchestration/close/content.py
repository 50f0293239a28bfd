"""The content of a manifest, part by part, and as the bytes that are frozen.

What belongs here: names, types, and what the absence of a name means. What does not: how a figure comes about, or where
a manifest lies. Every version since writes and reads this form: a new name needs a default, which says what a manifest
without it stands for.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import rfc8785

from orchestration.close.versions import Versions
from orchestration.landing.services import Services
from orchestration.months import Month

FORMAT = 2
# Format 1 has no root of the statements; its months hold no documents, no README.txt and fewer CSV files.
FORMAT_WITHOUT_ROOT = 1
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
    """A table's logical content, hashed without regard to its bytes (`close.logical`)."""

    rows: int
    logical_hash: str


@dataclass(frozen=True, kw_only=True)
class Counts:
    """The outcome of the rows that landed for the month and of the late ones, and the corrections stated.

    Version 0.1.0 stated nothing late, so its manifests lack the counts of late rows and corrections.
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
    withdrawn_landed: int = 0
    withdrawn_duplicate: int = 0
    withdrawn_superseded: int = 0
    withdrawn: int = 0
    late: int = 0
    restatement: int = 0
    reversal: int = 0
    conflict_header_ip: int


@dataclass(frozen=True)
class ServiceTotal:
    """The charges for a service in one direction. `cost` is exact, as text."""

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
    """A manifest. Amounts are text by currency, so that they are exact and read alike everywhere.

    `landed_up_to` is the landing sequence of the last batch that had landed when the month was closed. `ignored` counts
    the rows that sources left out of what had landed since the close before, by source and rule; versions before 0.2.0
    did not say. `services` are those of the month, also for later corrections of it; a manifest without any is from
    before they were pinned. `statements_root_sha256` is the root of the tenants' statements (rule 30), in hex; format 1
    has none.
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
    services: Services = field(default_factory=Services)
    inputs: list[Input]
    outputs: list[Output]
    tables: dict[str, TableHash] = field(default_factory=dict)
    counts: Counts
    totals: dict[str, str]
    totals_by_service: list[ServiceTotal]
    totals_since_first_month: dict[str, str]
    rejected: Rejected
    ignored: dict[str, int] | None = None
    statements_root_sha256: str | None = None
    warnings: list[str]
    versions: Versions

    @property
    def hashes(self) -> dict[str, str]:
        """Name → SHA-256 of each file of the month."""
        return {output.name: output.sha256 for output in self.outputs}

    @property
    def amounts(self) -> Iterator[str]:
        """Every amount in the manifest."""
        yield from self.totals.values()
        yield from self.totals_since_first_month.values()
        yield from (service.cost for service in self.totals_by_service)


def canonical(content: dict[str, Any]) -> bytes:
    """JSON as RFC 8785 fixes it, byte for byte. Numbers are whole and amounts are text: it reads alike everywhere."""
    return rfc8785.dumps(content)

"""The inputs of a close: the month, the frozen months before it, and what has landed by then.

What belongs here: holding that together. What does not: whether the month may be closed (`readiness`), or how.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

from orchestration.close.content import CloseSettings
from orchestration.close.manifests import Chain
from orchestration.landing import receipts
from orchestration.landing.receipts import Receipt, RecordsFile
from orchestration.months import Month


@dataclass(frozen=True)
class RejectedRow:
    """A rejected row that a close has to answer for. `cleared`: a later delivery of its record was usable."""

    batch_id: str
    source_row: int
    record_id: str | None
    reason: str
    cleared: bool


@dataclass(frozen=True)
class Close:
    """The close of the month that follows a chain, over all batches that have landed, in landing order."""

    month: Month
    chain: Chain
    batches: Sequence[Receipt]

    def __post_init__(self) -> None:
        assert self.month not in self.chain, f"{self.month} is frozen"

    @property
    def first_month(self) -> Month:
        """The first month that is stated; nothing is stated of older records."""
        return self.chain.first_month or self.month

    @cached_property
    def late_files(self) -> dict[Path, tuple[Receipt, RecordsFile]]:
        """The files with records of earlier months that landed since the last close, in landing order."""
        return receipts.late_files(self.batches, self.month, self.chain.landed_up_to) if self.chain else {}


@dataclass(frozen=True)
class Inputs:
    """A close that may go on, with what the manifest says beside the figures."""

    close: Close
    rejected: Sequence[RejectedRow]
    accepted_rejected: bool
    warnings: Sequence[str]
    closed_at: datetime
    settings: CloseSettings

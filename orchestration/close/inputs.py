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
from orchestration.landing.feeds import CDRS
from orchestration.landing.receipts import LandedFile, Receipt, RecordsFile
from orchestration.landing.services import Services
from orchestration.months import Month


@dataclass(frozen=True)
class RejectedRow:
    """A rejected row that a close has to answer for. `cleared`: a later delivery of its record was answered."""

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

    @cached_property
    def elsewhere_files(self) -> dict[Path, tuple[Receipt, RecordsFile]]:
        """The files of other months that have deliveries of the same records, as receipts name them.

        All other deliveries of a record of the month, of a late one and of one that is withdrawn are in there; and both
        sides of a record that has left an earlier month for a later one since the last close.
        """
        return {
            path: (batch, file)
            for path, (batch, file) in self.linked_files.items()
            if file.month != str(self.month) and path not in self.late_files
        }

    @cached_property
    def linked_files(self) -> dict[Path, tuple[Receipt, RecordsFile]]:
        """The files of any month that share records with files that this close looks at, in landing order."""
        return {
            batch.path(file): (batch, file)
            for batch in self.batches
            for day in sorted(self._linked_days.get(batch.batch_id, ()))
            for file in batch.files_on(day)
        }

    @cached_property
    def withdrawn_files(self) -> dict[Path, tuple[Receipt, LandedFile]]:
        """The withdrawals that landed since the last close, and those of records that are looked at anyway."""
        return {
            batch.path(batch.withdrawn): (batch, batch.withdrawn)
            for batch in self.batches
            if batch.withdrawn and (self.is_new(batch) or "" in self._linked_days.get(batch.batch_id, ()))
        }

    def is_new(self, batch: Receipt) -> bool:
        """Whether a batch has landed since the last close."""
        return batch.sequence > self.chain.landed_up_to

    @cached_property
    def _linked_days(self) -> dict[str, set[str]]:
        """Batch → the days on which it has other deliveries of records that this close looks at, "" for withdrawals."""
        cdrs = {batch.batch_id: batch for batch in self.batches if batch.feed == CDRS.name}
        days: dict[str, set[str]] = {}
        for batch in cdrs.values():
            for move in batch.moved:
                ends = ((batch, move.day), (cdrs[move.earlier_batch], move.earlier_day))
                # A record that has left an earlier month for a later one: what stands of it is taken back now.
                has_left = self.is_new(batch) and move.earlier_day[:7] < str(self.month) < move.day[:7]
                for (end, day), (other, other_day) in (ends, ends[::-1]):
                    if has_left or self._looks_at(other, other_day):
                        days.setdefault(end.batch_id, set()).add(day)
        return days

    def _looks_at(self, batch: Receipt, day: str) -> bool:
        """Whether all of a batch's deliveries of a day, or its withdrawals, are in question."""
        if day[:7] == str(self.month):
            return True
        is_late = bool(self.chain) and day[:7] < str(self.month)
        return self.is_new(batch) and (is_late or day == "")


@dataclass(frozen=True)
class Inputs:
    """A close that may go on, with what the manifest says beside the figures."""

    close: Close
    rejected: Sequence[RejectedRow]
    accepted_rejected: bool
    warnings: Sequence[str]
    closed_at: datetime
    settings: CloseSettings
    services: Services

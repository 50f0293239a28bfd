"""What a close is given: the month, what has landed, what is frozen, what an operator decided, and the settings.

What belongs here: naming it once, for the build and for the manifest. What does not: judging it (`readiness`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from orchestration.close.manifests import CloseSettings, Manifest
from orchestration.close.readiness import RejectedRow
from orchestration.landing.receipts import Receipt
from orchestration.months import Month


@dataclass(frozen=True)
class Inputs:
    """What a close was given, for the build to read and for the manifest to name."""

    month: Month
    frozen: Sequence[Manifest]
    receipts: Sequence[Receipt]
    rejected: Sequence[RejectedRow]
    accepted_rejected: bool
    warnings: Sequence[str]
    closed_at: datetime
    settings: CloseSettings

    @property
    def previous(self) -> Manifest | None:
        return self.frozen[-1] if self.frozen else None

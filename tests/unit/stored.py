"""Receipts and manifests that were never landed or frozen, for tests of what reads them.

What belongs here: the least that is valid. What does not: expectations.
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestration import settings
from orchestration.close.content import NO_PREVIOUS, Content, canonical
from orchestration.close.inputs import Close
from orchestration.close.manifests import Chain, Manifest
from orchestration.landing.feeds import FEEDS
from orchestration.landing.receipts import LandedFile, Receipt, RecordsFile
from orchestration.landing.services import COLUMNS
from orchestration.months import Month
from orchestration.settings import Settings
from orchestration.shape import build

FEBRUARY, MARCH, APRIL, MAY, JUNE = (Month(2026, number) for number in range(2, 7))
LANDED_AT = datetime(2026, 6, 1, tzinfo=UTC)
HASH = "a" * 64
# A service of an operator's own.
CHAT = ("chat", "inbound", "number", "each", "messaging")
# Manifests of 0.1.0 do not have these.
LATE_COUNTS = (
    "late_landed", "late_duplicate", "late_superseded", "before_first_month", "late", "restatement", "reversal",
    "withdrawn_landed", "withdrawn_duplicate", "withdrawn_superseded", "withdrawn",
)  # fmt: skip
COUNTS = (
    "landed", "accepted", "duplicate", "superseded", "rejected", "attributed", "unattributed", "conflict_header_ip",
    *LATE_COUNTS,
)  # fmt: skip


def receipt(sequence: int, feed: str = "cdrs", rows: dict[str | None, int] | None = None, **given: Any) -> Receipt:
    """A batch's receipt; `rows` of each month are in a file of their own."""
    batch_id = f"{sequence:08d}-{HASH[:12]}"
    named = {
        "landed_by": "somebody",
        "source": "canonical",
        "file_name": "given.csv",
        "source_sha256": HASH,
        "source_bytes": 1,
        "rules_sha256": HASH,
        "call": [HASH],
        "landed_at": LANDED_AT,
        "rows": 0,
        "folder": Path("/landing") / feed / batch_id,
    }
    named["columns"] = list(FEEDS[feed].stored)
    named["files"] = [
        _file(f"{feed}-{month}.parquet", count, f"hash of {batch_id} {month}", month)
        for month, count in (rows or {}).items()
    ]
    return Receipt(feed=feed, batch_id=batch_id, sequence=sequence, **named | given)


def _file(name: str, rows: int, sha256: str, month: str | None) -> LandedFile:
    return RecordsFile(name, rows, 1, sha256, month) if month else LandedFile(name, rows, 1, sha256)


def rejected(sequence: int, by_month: dict[str, int], **given: Any) -> Receipt:
    """The receipt of a batch with rejected rows, in their file."""
    file = LandedFile("rejected.parquet", sum(by_month.values()), 1, f"hash of rejected {sequence}")
    return receipt(sequence, rejected=file, rejected_by_month=by_month, **given)


def counts(**given: int) -> dict[str, int]:
    """Nothing of each kind, but what is given."""
    return dict.fromkeys(COUNTS, 0) | given


def content(month: Month, **given: Any) -> dict[str, Any]:
    """What a manifest says at least, of a month in which nothing happened."""
    return {
        "format": 2,
        "month": str(month),
        "period_start": month.start.isoformat(),
        "period_end": month.end.isoformat(),
        "first_month": str(month),
        "closed_at": "2026-06-02T12:00:00+00:00",
        "previous_month": None,
        "previous_manifest_sha256": NO_PREVIOUS,
        "landed_up_to": 0,
        "settings": {"grace_hours": 12, "default_currency": "USD"},
        "services": {"rows": [dict(zip(COLUMNS, CHAT, strict=True))], "own_sha256": HASH},
        "inputs": [],
        "outputs": [],
        "tables": {},
        "counts": counts(),
        "ignored": {},
        "statements_root_sha256": HASH,
        "totals": {},
        "totals_by_service": [],
        "totals_since_first_month": {},
        "rejected": {"accepted_by_operator": False, "rows": []},
        "warnings": [],
        "versions": {},
    } | given


def manifest(month: Month, **given: Any) -> Manifest:
    stored = content(month, **given)
    sha256 = hashlib.sha256(canonical(stored)).hexdigest()
    return Manifest(month, build(stored, Content), sha256, Path("/statements") / f"month={month}")


def chain(*months: Month, **given: Any) -> Chain:
    """Manifests of which each follows the one before, with a dollar stated in every month."""
    manifests: list[Manifest] = []
    for number, month in enumerate(months, start=1):
        links = {
            "first_month": str(months[0]),
            "previous_month": str(manifests[-1].month) if manifests else None,
            "previous_manifest_sha256": manifests[-1].sha256 if manifests else NO_PREVIOUS,
            "totals": {"USD": "1"},
            "totals_since_first_month": {"USD": str(number)},
        }
        manifests.append(manifest(month, **links | given))
    return Chain(tuple(manifests))


def close(month: Month, frozen: Chain | Sequence[Manifest] = (), batches: Sequence[Receipt] = ()) -> Close:
    """The close of a month after those frozen months."""
    return Close(month, Chain(tuple(frozen)), batches)


def settings_in(folder: Path) -> Settings:
    return settings.load(folder / "data")

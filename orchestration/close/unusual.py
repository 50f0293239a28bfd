"""Warnings about a frozen month beside the one before it. They ask a person to look and stop no close.

What belongs here: comparing what manifests say. What does not: invariants, which stop a close.
"""

from decimal import Decimal

from orchestration.close.content import Counts
from orchestration.close.manifests import Manifest

# Twice as much as a month ago is worth a look …
JUMP = 2
# … unless it is little: half a percent of the records, or ten rows.
LITTLE_SHARE = Decimal("0.5")
LITTLE_ROWS = 10


def unattributed_percent(counts: Counts) -> Decimal:
    """The share of the accepted records that nobody can be charged for, in percent."""
    if not counts.accepted:
        return Decimal("0.00")
    return (Decimal(100 * counts.unattributed) / counts.accepted).quantize(Decimal("0.01"))


def share_jumped(manifest: Manifest, previous: Manifest | None) -> bool:
    """Whether far more is unattributed than a month ago: an assignment that was forgotten, or a header misspelt."""
    if previous is None:
        return False
    now, before = (unattributed_percent(one.content.counts) for one in (manifest, previous))
    return now > LITTLE_SHARE and now > JUMP * before


def rejected_jumped(manifest: Manifest, previous: Manifest | None) -> bool:
    """Whether far more rows were rejected than a month ago: the carrier may have changed its files."""
    if previous is None:
        return False
    now, before = (one.content.counts.rejected for one in (manifest, previous))
    return now > LITTLE_ROWS and now > JUMP * before


def records_by_day(manifest: Manifest) -> dict[str, int]:
    """Day of the month (two digits, UTC) → records that started on it."""
    return {
        output.name.removeprefix("usage/day=").removesuffix(".parquet"): output.rows or 0
        for output in manifest.content.outputs
        if output.name.startswith("usage/day=")
    }


def silent_days(manifest: Manifest) -> list[str]:
    """The UTC days on which nothing was used: a file of the carrier may be missing."""
    return [f"{manifest.month}-{day}" for day, records in sorted(records_by_day(manifest).items()) if not records]

"""Whether a month may be closed now, and if not, why and what to do (rules 13, 19, 21, 22).

What belongs here: the preconditions of a close. What does not: building or publishing anything.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from orchestration import engine
from orchestration.close.manifests import Manifest
from orchestration.errors import Refused
from orchestration.landing.receipts import Receipt, RecordsFile, late_files
from orchestration.months import Month
from orchestration.settings import Settings


@dataclass(frozen=True)
class RejectedRow:
    """A rejected row that this close has to answer for. `cleared`: a later delivery of its record was usable."""

    batch_id: str
    source_row: int
    record_id: str | None
    reason: str
    cleared: bool


def require_ended(month: Month, settings: Settings, now: datetime) -> None:
    """Only ended months have statements, and a late night's records get the grace to arrive."""
    if now < month.end:
        raise Refused(
            f"{month} has not ended: statements exist for ended months alone. "
            f"It ends at {month.end:%Y-%m-%d %H:%M} UTC "
            f"and can be closed from {month.end + settings.grace:%Y-%m-%d %H:%M} UTC."
        )
    if now < month.end + settings.grace:
        hours = int(settings.grace.total_seconds() // 3600)
        raise Refused(
            f"{month} ended less than {hours} hours ago, and its last records may still be on their way. "
            f"Close it from {month.end + settings.grace:%Y-%m-%d %H:%M} UTC, or set STATEMENTS_GRACE_HOURS."
        )


def require_next(month: Month, settings: Settings, manifests: Sequence[Manifest], receipts: Sequence[Receipt]) -> None:
    """Months are frozen oldest first, without gaps, from the first month on."""
    if not manifests:
        first = settings.first_month
        if first and str(month) != first:
            raise Refused(f"The first month is {first} (STATEMENTS_FIRST_MONTH): close it before {month}.")
        if not any(receipt.files_of(month) or str(month) in receipt.rejected_by_month for receipt in receipts):
            raise Refused(
                f"Nothing has landed for {month}, so it cannot be the first month. {months_with_records(receipts)}"
            )
        return
    following = manifests[-1].month.next
    if month < manifests[0].month:
        raise Refused(
            f"{month} is before the first frozen month, {manifests[0].month}: it has no statement. "
            "Its records are in operations.late_records, as before_first_month."
        )
    if month != following:
        raise Refused(f"Months are closed in order and without gaps: close {following} before {month}.")


def months_with_records(receipts: Sequence[Receipt]) -> str:
    """The landed months with their record counts, in a sentence."""
    counts: Counter[str] = Counter()
    for receipt in receipts:
        for file in receipt.records:
            counts[file.month] += file.rows
    if not counts:
        return "No cdrs have landed at all."
    listed = ", ".join(f"{month} ({rows:,} records)" for month, rows in sorted(counts.items()))
    return f"Landed are {listed}."


def require_landed(month: Month, manifests: Sequence[Manifest], receipts: Sequence[Receipt], now: datetime) -> None:
    """The feeds say that the month is complete, and the clock has not gone back."""
    newest = max(
        [manifest.closed_at for manifest in manifests] + [receipt.landed_at for receipt in receipts], default=now
    )
    if now < newest:
        raise Refused(
            f"The clock says {now:%Y-%m-%d %H:%M:%S} UTC, but something was landed or closed at "
            f"{newest:%Y-%m-%d %H:%M:%S} UTC. Set the machine's clock right first."
        )
    if not any(receipt.feed == "tenants" for receipt in receipts):
        raise Refused("No tenants have landed: `statements land tenants FILE`, so that there is somebody to state.")
    deliveries = [receipt.landed_at for receipt in receipts if receipt.feed == "cdrs"]
    if not deliveries or max(deliveries) < month.end:
        last = f"the last landed at {max(deliveries):%Y-%m-%d %H:%M} UTC" if deliveries else "none has landed"
        raise Refused(
            f"No cdrs have landed since {month} ended ({last}), so its last hours may be missing. "
            "Land the carrier's next file first."
        )


def warnings(month: Month, receipts: Sequence[Receipt]) -> list[str]:
    """What is odd and does not stop a close: assignment feeds that say nothing about the month's end."""
    found = []
    for feed in ("tenants", "number_assignments", "ip_assignments"):
        cutoffs = [receipt.cutoff for receipt in receipts if receipt.feed == feed and receipt.cutoff]
        if not cutoffs:
            found.append(f"{feed}: no extract has landed.")
        elif max(cutoffs) < month.end:
            found.append(f"{feed}: complete up to {max(cutoffs):%Y-%m-%d %H:%M:%S} UTC only, before the month's end.")
    return found


def rejected_rows(
    settings: Settings, month: Month, manifests: Sequence[Manifest], receipts: Sequence[Receipt]
) -> list[RejectedRow]:
    """The rejected rows that belong to this close: of its own month, and those of no open month that came since."""
    known_up_to = manifests[-1].landed_up_to if manifests else 0
    frozen = {str(manifest.month) for manifest in manifests}
    standing = _with_rejected_rows(receipts, month, manifests)
    if not standing:
        return []
    adopted = ", ".join(engine.text(name) for name in frozen | {""})
    with engine.connect(settings) as connection:
        connection.execute(
            f"""
            create temp table rejected as
            select batch_id, source_row, record_id, reason
            from {engine.parquet([receipt.path(receipt.rejected) for receipt in standing])}
            where month = {engine.text(month)}
                or (coalesce(month, '') in ({adopted}) and left(batch_id, 8)::bigint > {known_up_to})
            """
        )
        usable = list(_later_deliveries(receipts, month, manifests))
        later = (
            f"""
            select 1 from {engine.parquet(usable)} as usable
            where usable.record_id = rejected.record_id
                and (usable.batch_id, usable.source_row) > (rejected.batch_id, rejected.source_row)
            """
            if usable
            else "select 1 limit 0"
        )
        rows = connection.execute(
            f"select *, exists ({later}) as cleared from rejected order by batch_id, source_row"
        ).fetchall()
    return [RejectedRow(*row) for row in rows]


def _with_rejected_rows(receipts: Sequence[Receipt], month: Month, manifests: Sequence[Manifest]) -> list[Receipt]:
    """The batches with rejected rows that this close has to answer for."""
    known_up_to = manifests[-1].landed_up_to if manifests else 0
    adopted = {str(manifest.month) for manifest in manifests} | {""}
    return [
        receipt
        for receipt in receipts
        if receipt.rejected
        and (
            str(month) in receipt.rejected_by_month
            or (receipt.sequence > known_up_to and adopted & receipt.rejected_by_month.keys())
        )
    ]


def _later_deliveries(receipts: Sequence[Receipt], month: Month, manifests: Sequence[Manifest]) -> dict[Path, str]:
    """The files in which a rejected row may have come again, mended, with their hashes."""
    standing = _with_rejected_rows(receipts, month, manifests)
    first = str(manifests[0].month if manifests else month)
    return {
        receipt.path(file): file.sha256
        for receipt in receipts
        if standing and receipt.sequence >= standing[0].sequence
        for file in receipt.records
        if file.month >= first
    }


def require_rejected_answered(month: Month, rejected: Sequence[RejectedRow], *, accepted: bool) -> None:
    """Rejected rows stop a close until they are mended or knowingly left out."""
    open_rows = [row for row in rejected if not row.cleared]
    if not open_rows or accepted:
        return
    counts = sorted(Counter(row.reason for row in open_rows).items())
    reasons = ", ".join(f"{count} × {reason}" for reason, count in counts)
    raise Refused(
        f"{len(open_rows)} rejected rows stand against closing {month}: {reasons}. `statements rejected` lists them. "
        "Land mended rows with the same record_id, or leave these out with --accept-rejected; the manifest names them."
    )


def pinned_files(receipts: Sequence[Receipt], month: Month, frozen: Sequence[Manifest]) -> dict[Path, str]:
    """Every landed file that the close of a month reads, with the hash on its receipt."""
    near = {str(month.previous), str(month), str(month.next)}
    late = late_files(receipts, month, frozen[-1].landed_up_to) if frozen else {}
    near_or_late = {
        receipt.path(file): file.sha256
        for receipt in receipts
        for file in receipt.files
        if not isinstance(file, RecordsFile) or file.month in near or receipt.path(file) in late
    }
    rejected = {receipt.path(receipt.rejected): receipt.rejected.sha256 for receipt in receipts if receipt.rejected}
    return near_or_late | rejected | _later_deliveries(receipts, month, frozen)

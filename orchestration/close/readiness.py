"""Whether a month may be closed now, and if not, why and what to do (rules 13, 19, 21, 22, 25).

What belongs here: the preconditions of a close. What does not: building or publishing anything.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from orchestration import engine
from orchestration.close import month_services
from orchestration.close.inputs import Close, RejectedRow
from orchestration.close.manifests import Chain
from orchestration.errors import Refused
from orchestration.landing import landed_rows
from orchestration.landing.feeds import CDRS
from orchestration.landing.receipts import Receipt, RecordsFile, cdrs_files
from orchestration.landing.services import Services
from orchestration.layout import counted
from orchestration.months import Month
from orchestration.settings import Settings

# A rule of a source that leaves out so many times the rows of the month before, and so many more, is worth a look.
JUMP, FEWEST = 2, 20


class RejectedRowsStand(Refused):
    """Rejected rows stop a close. `finding` is the sentence without the way out, which depends on who asked."""

    def __init__(self, finding: str) -> None:
        self.finding = finding
        super().__init__(
            f"{finding} `statements rejected` lists them. Land mended rows with the same record_id, or leave these out "
            "with --accept-rejected; the manifest names them."
        )


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
            f"{month} ended less than {counted(hours, 'hour')} ago, and its last records may still be on their way. "
            f"Close it from {month.end + settings.grace:%Y-%m-%d %H:%M} UTC, or set STATEMENTS_GRACE_HOURS."
        )


def require_next(close: Close, settings: Settings) -> None:
    """Months are frozen oldest first, without gaps, from the first month on."""
    month, following = close.month, close.chain.next_month
    if following is None:
        _require_first(close, settings)
    elif month < close.first_month:
        raise Refused(
            f"{month} is before the first frozen month, {close.first_month}: it has no statement. "
            "Its records are in operations.late_records, as before_first_month."
        )
    elif month != following:
        raise Refused(f"Months are closed in order and without gaps: close {following} before {month}.")


def _require_first(close: Close, settings: Settings) -> None:
    """The first month is that of the settings, if they name one, and has something to state."""
    month, first = close.month, settings.first_month
    if first and str(month) != first:
        raise Refused(f"The first month is {first} (STATEMENTS_FIRST_MONTH): close it before {month}.")
    if not any(batch.files_of(month) or str(month) in batch.rejected_by_month for batch in close.batches):
        raise Refused(
            f"Nothing has landed for {month}, so it cannot be the first month. {months_with_records(close.batches)}"
        )


def months_with_records(batches: Sequence[Receipt]) -> str:
    """The landed months with the counts of their records, and those of rejected rows alone, in a sentence or two."""
    records: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    for batch in batches:
        for file in batch.records:
            records[file.month] += file.rows
        rejected.update(batch.rejected_by_month)
    alone = {month: rows for month, rows in rejected.items() if month and month not in records}
    sentences = [
        f"{begin} {', '.join(f'{month} ({counted(rows, what)})' for month, rows in sorted(counts.items()))}."
        for begin, counts, what in (("Landed are", records, "record"), ("Rejected is all of", alone, "row"))
        if counts
    ]
    if not sentences and rejected:
        return "Only rejected rows have landed, none with a time that can be read."
    return " ".join(sentences) or "No cdrs have landed at all."


def require_landed(close: Close, now: datetime) -> None:
    """The feeds say that the month is complete, and the clock has not gone back."""
    month, batches = close.month, close.batches
    newest = max([manifest.closed_at for manifest in close.chain] + [batch.landed_at for batch in batches], default=now)
    if now < newest:
        raise Refused(
            f"The clock says {now:%Y-%m-%d %H:%M:%S} UTC, but something was landed or closed at "
            f"{newest:%Y-%m-%d %H:%M:%S} UTC. Set the machine's clock right first."
        )
    if not any(batch.feed == "tenants" for batch in batches):
        raise Refused("No tenants have landed: `statements land tenants FILE`, so that there is somebody to state.")
    deliveries = [batch.landed_at for batch in batches if batch.feed == "cdrs"]
    if not deliveries or max(deliveries) < month.end:
        last = f"the last landed at {max(deliveries):%Y-%m-%d %H:%M} UTC" if deliveries else "none has landed"
        raise Refused(
            f"No cdrs have landed since {month} ended ({last}), so its last hours may be missing. "
            "Land the carrier's next file first."
        )


def require_services(settings: Settings, close: Close, current: Services) -> None:
    """Every service of a record that this close reads is in the table of its month, or in a later one."""
    by_month = month_services.of_close(settings, close.chain, current)
    named = [*_services_landed(settings, close), *_services_stated(close.chain)]
    if unlisted := {key for month, key in named if by_month.find(month, key) is None}:
        raise Refused(month_services.missing(settings, unlisted))


def _services_landed(settings: Settings, close: Close) -> list[tuple[Month, tuple[str, str]]]:
    """The services of the month's records and of late ones, by month."""
    paths: dict[Month, list[Path]] = {close.month: list(cdrs_files(close.batches, [close.month]))}
    for path, (_, file) in close.late_files.items():
        if (month := Month.parse(file.month)) >= close.first_month:
            paths.setdefault(month, []).append(path)
    with engine.connect(settings) as connection:
        return [
            (month, key)
            for month, listed in paths.items()
            if listed
            for key in connection.execute(
                f"select distinct service, direction from {engine.parquet(listed)}"
            ).fetchall()
        ]


def _services_stated(chain: Chain) -> list[tuple[Month, tuple[str, str]]]:
    """The services that months state whose manifests pin none: their entries may have to be taken back."""
    return [
        (manifest.month, (total.service, total.direction))
        for manifest in chain
        if not manifest.content.services.rows
        for total in manifest.content.totals_by_service
    ]


def warnings(close: Close) -> list[str]:
    """Oddities that do not stop a close: assignment feeds that do not reach the month's end, files that contradict
    themselves or another source, and rows that sources leave out.
    """
    sentences = []
    for feed in ("tenants", "number_assignments", "ip_assignments"):
        cutoffs = [batch.cutoff for batch in close.batches if batch.feed == feed and batch.cutoff]
        if not cutoffs:
            sentences.append(f"{feed}: no extract has landed.")
        elif max(cutoffs) < close.month.end:
            sentences.append(
                f"{feed}: complete up to {max(cutoffs):%Y-%m-%d %H:%M:%S} UTC only, before the month's end."
            )
    new = [batch for batch in close.batches if close.is_new(batch)]
    return [*sentences, *superseded_in_files(new), *_of_ignored(close)]


def superseded_in_files(batches: Iterable[Receipt]) -> list[str]:
    """A sentence on each file that says two things of one record, or another thing than a file of another source."""
    sentences = []
    for batch in batches:
        named = f" Look at {', '.join(batch.to_look_at)}." if batch.to_look_at else ""
        if batch.superseded_in_file:
            sentences.append(
                f"{batch.file_name} has {counted(batch.superseded_in_file, 'row')} that a later row of the same file "
                f"replaces: one id with two contents is hardly ever a re-delivery.{named}"
            )
        if batch.superseded_elsewhere:
            sentences.append(
                f"{batch.file_name} replaces {counted(batch.superseded_elsewhere, 'delivery', 'deliveries')} of "
                f"another source.{named}"
            )
    return sentences


def ignored(close: Close) -> dict[str, int]:
    """The rows that sources left out of the files that landed since the last close, by source and rule."""
    counts: Counter[str] = Counter()
    for batch in close.batches:
        if close.is_new(batch):
            counts.update({f"{batch.source}: {reason}": count for reason, count in batch.ignored.items()})
    return dict(sorted(counts.items()))


def _of_ignored(close: Close) -> list[str]:
    """A sentence on the rows that sources left out, and one on each rule that left out many more than before."""
    counts = ignored(close)
    if not counts:
        return []
    sentences = [f"Sources left out {', '.join(f'{count:,} × {name}' for name, count in counts.items())}."]
    before = close.chain.last.content.ignored if close.chain.last else None
    if before is None:
        return sentences
    for name, count in counts.items():
        earlier = before.get(name, 0)
        if count > JUMP * earlier and count - earlier >= FEWEST:
            sentences.append(
                f"{name} left out {counted(count, 'row')}, {earlier:,} the month before: look whether charges are "
                "among them (`statements ignored`)."
            )
    return sentences


def answering(chain: Chain, name: str) -> str | None:
    """The month whose close answers for rejected rows of a month, "" being that of rows without a readable time.

    Their own while it is open, otherwise the next to be closed; None before a first month is chosen, when that is
    whichever is closed first. Rows that a manifest names have been answered for.
    """
    if name and name not in {str(manifest.month) for manifest in chain}:
        return name
    return str(chain.next_month) if chain else None


def months_answered_for(close: Close, batch: Receipt) -> set[str]:
    """The months of a batch's rejected rows that a close answers for: its own, and those that are not open any more."""
    is_new = batch.sequence > close.chain.landed_up_to
    return {
        name
        for name in batch.rejected_by_month
        if name == str(close.month) or (is_new and answering(close.chain, name) in (str(close.month), None))
    }


def rejected_rows(settings: Settings, close: Close) -> list[RejectedRow]:
    """The rejected rows that a close answers for, in landing order."""
    batches = _with_rejected_rows(close)
    if not batches:
        return []
    paths = [batch.path(batch.rejected) for batch in batches if batch.rejected]
    months = [(batch.batch_id, name) for batch in batches for name in months_answered_for(close, batch)]
    with engine.connect(settings) as connection:
        engine.create_table(connection, "answered_for", {"batch_id": "varchar", "month": "varchar"}, months)
        rows = connection.execute(
            f"""
            select batch_id, source_row, record_id, reason, {cleared("came", _answering_batches(close))} as cleared
            from {engine.parquet(paths)} as came
            semi join answered_for
                on answered_for.batch_id = came.batch_id and answered_for.month = coalesce(came.month, '')
            order by batch_id, source_row
            """
        ).fetchall()
    return [RejectedRow(*row) for row in rows]


def cleared(row: str, batches: Sequence[Receipt]) -> str:
    """SQL of whether one of these batches has a later delivery of a rejected row's record.

    The latest delivery answers for all earlier ones, whatever became of it: a usable one and a withdrawal settle the
    record, as does one that its source leaves out; one that was rejected again stands open itself.
    """
    deliveries = landed_rows.places(
        (batch, file)
        for batch in batches
        for file in (*batch.records, batch.withdrawn, batch.ignored_rows, batch.rejected)
        if file
    )
    return (
        f"exists (select 1 from ({deliveries}) as later where later.record_id = {row}.record_id "
        f"and (later.batch_id, later.source_row) > ({row}.batch_id, {row}.source_row))"
    )


def _with_rejected_rows(close: Close) -> list[Receipt]:
    """The batches with rejected rows that a close answers for."""
    return [batch for batch in close.batches if batch.rejected and months_answered_for(close, batch)]


def _answering_batches(close: Close) -> list[Receipt]:
    """The batches in which a rejected row that a close answers for may have come again."""
    batches = _with_rejected_rows(close)
    return [
        batch
        for batch in close.batches
        if batches and batch.feed == CDRS.name and batch.sequence >= batches[0].sequence
    ]


def require_rejected_answered(month: Month, rejected: Sequence[RejectedRow], *, accepted: bool) -> None:
    """Rejected rows stop a close until they are mended or an operator leaves them out."""
    open_rows = [row for row in rejected if not row.cleared]
    if not open_rows or accepted:
        return
    counts = sorted(Counter(row.reason for row in open_rows).items())
    reasons = ", ".join(f"{count} × {reason}" for reason, count in counts)
    stand = "rejected row stands" if len(open_rows) == 1 else "rejected rows stand"
    raise RejectedRowsStand(f"{len(open_rows):,} {stand} against closing {month}: {reasons}.")


def pinned_files(close: Close) -> dict[Path, str]:
    """Every landed file that a close reads, with the hash on its receipt."""
    own = [
        (batch, file)
        for batch in close.batches
        for file in batch.files
        if not isinstance(file, RecordsFile) or file.month == str(close.month)
    ]
    beside = [*close.late_files.values(), *close.elsewhere_files.values(), *close.withdrawn_files.values()]
    rejected = [(batch, batch.rejected) for batch in close.batches if batch.rejected]
    answers = [
        (batch, file)
        for batch in _answering_batches(close)
        for file in (*batch.records, batch.withdrawn, batch.ignored_rows)
        if file
    ]
    return {batch.path(file): file.sha256 for batch, file in (*own, *beside, *rejected, *answers)}

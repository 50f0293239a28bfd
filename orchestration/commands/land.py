"""Landing: files of one feed become batches. A file that is refused refuses its whole call; a batch is whole or absent.

What belongs here: the order of things (lock, stage, compare, receipt, publish, swap the warehouse). What does not:
what a row becomes (`records`, `events`), or how a file is opened (`source_files`).
"""

import hashlib
import json
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import duckdb

from orchestration import clock, engine, files
from orchestration.errors import Refused, did_you_mean
from orchestration.frozen import frozen_months
from orchestration.landing import (
    events,
    identity,
    input_files,
    normalization,
    pace,
    receipts,
    record_rules,
    records,
    seal,
    source_files,
)
from orchestration.landing.feeds import CDRS, FEEDS, Feed
from orchestration.landing.input_files import InputFile
from orchestration.landing.receipts import LandedFile, Receipt, RecordsFile
from orchestration.landing.record_rules import RecordRules
from orchestration.landing.source_files import SourceFile
from orchestration.settings import Settings
from orchestration.sources import declaration, former_ids, mapping
from orchestration.sources.declaration import Source
from orchestration.warehouse import cache


@dataclass(frozen=True)
class Landing:
    """The landing of one file: its receipt, and whether it was new.

    `superseded_since`: of a file that had landed before, the records that later files have changed since.
    `same_file_as`: the other sources or instances as which the same bytes had landed; every record is stated twice.
    """

    receipt: Receipt
    is_new: bool
    superseded_since: int = 0
    same_file_as: tuple[str, ...] = ()


@dataclass(frozen=True)
class Delivery:
    """How the files of a call are landed: by whom, up to when they are complete, and whether late rows are accepted.

    `source` is `NAME[@INSTANCE]` of a declared source, when the files are a switch's own. `follow` is told twice a
    second how far a file is; somebody who looks at a terminal wants that, a log does not.
    """

    landed_by: str = "file"
    source: str | None = None
    cutoff: datetime | None = None
    accept_late: bool = False
    follow: Callable[[str], None] | None = None


@dataclass(frozen=True)
class Rules:
    """The rules that a row lands under, and their hash: the same file under other rules is another delivery.

    `records` are those that an operator sets for records; other feeds have none.
    """

    label: str
    source: Source | None
    records: RecordRules | None
    sha256: str


@dataclass(frozen=True)
class Call:
    """The values that all files of one call share. `hashes` are those of the files, in the order in which they land."""

    settings: Settings
    feed: Feed
    delivery: Delivery
    rules: Rules
    hashes: list[str]
    landed_at: datetime

    @property
    def staging(self) -> Path:
        """The folder in which its batches are staged, outside of every read path."""
        return self.settings.build / "landing"


def land(
    settings: Settings,
    feed_name: str,
    paths: list[Path],
    delivery: Delivery,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Landing]:
    """Land files of a feed, in this order. If one file is refused, the whole call is, and nothing lands."""
    feed = _feed(feed_name)
    if delivery.source and feed is not CDRS:
        raise Refused(f"--source belongs to cdrs: {feed.name} come in the columns of their feed.")
    rules = rules_of(settings, feed, delivery.source)
    formats = rules.source.formats if rules.source else ()
    inputs = [input_files.look_at(path, formats) for path in paths]
    if delivery.cutoff and not feed.sealed:
        raise Refused(f"--cutoff belongs to assignment feeds; {feed.name} has none.")
    if delivery.cutoff and delivery.cutoff > clock.now():
        raise Refused(
            f"The cutoff {delivery.cutoff.isoformat()} lies in the future: an extract cannot be complete yet."
        )
    with files.disk_errors(), files.only_writer(settings.lock):
        now = clock.now()
        call = Call(settings, feed, delivery, rules, [file.sha256 for file in inputs], now)
        return _land_all(call, inputs, progress)


def record(settings: Settings, feed_name: str, verb: str, *rows: Mapping[str, str | None]) -> Landing:
    """Land changes by an operator, recorded now. The caller holds the lock, so what it looked up before still holds."""
    now = clock.now()
    folder = settings.build / "registry"
    files.remove(folder)
    folder.mkdir(parents=True)
    path = folder / f"{verb}.jsonl"
    lines = [json.dumps({**row, "recorded_at": now.isoformat()}, ensure_ascii=False) for row in rows]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    try:
        file = input_files.look_at(path)
        delivery = Delivery(landed_by="registry")
        feed = _feed(feed_name)
        call = Call(settings, feed, delivery, rules_of(settings, feed, None), [file.sha256], now)
        (landing,) = _land_all(call, [file], lambda _: None)
    finally:
        files.remove(folder)
    return landing


def _feed(name: str) -> Feed:
    if name not in FEEDS:
        raise Refused(f"{name!r} is no feed. The feeds are {', '.join(FEEDS)}.{did_you_mean(name, FEEDS)}")
    return FEEDS[name]


def rules_of(settings: Settings, feed: Feed, reference: str | None) -> Rules:
    """The rules that a file of this feed, or of a source `NAME[@INSTANCE]`, lands with today."""
    if feed is not CDRS:
        return Rules(receipts.CANONICAL_SOURCE, None, None, normalization.rules_sha256())
    set_by_operator = record_rules.load(settings)
    if reference is None:
        return Rules(receipts.CANONICAL_SOURCE, None, set_by_operator, set_by_operator.sha256)
    source = declaration.load(settings, reference)
    own = hashlib.sha256(mapping.LOCAL_TIME.read_bytes() + mapping.NUMERALS.read_bytes())
    for part in (set_by_operator.sha256, source.rules_sha256):
        own.update(part.encode())
    return Rules(source.label, source, set_by_operator, own.hexdigest())


def _land_all(call: Call, inputs: list[InputFile], progress: Callable[[str], None]) -> list[Landing]:
    """Stage a batch for each file that had not landed, then publish them, then tell the warehouse."""
    _prepare_folders(call)
    landed = receipts.load(call.settings)
    if call.feed is CDRS:
        landed = identity.complete(call.settings, landed)
        identity.require_sound(landed)
    events.require_marked(landed)
    landings: list[Landing] = []
    try:
        for file in inputs:
            progress(f"Landing {file.path.name}")
            same = _landed_before(landed, call, file)
            if same is None:
                others = _same_file_as(landed, call, file)
                staged = _stage(call, file, landed)
                landed.append(staged)
                landings.append(Landing(staged, is_new=True, same_file_as=others))
            else:
                landings.append(Landing(same, is_new=False, superseded_since=_superseded_since(call, same, landed)))
        published = [_publish(call.settings, landing) for landing in landings]
    finally:
        files.remove(call.staging)
    progress("Refreshing the warehouse")
    if any(landing.is_new for landing in landings):
        cache.refresh(call.settings)
    else:
        cache.refresh_if_stale(call.settings)
    return published


def _prepare_folders(call: Call) -> None:
    for folder in (call.settings.landing / call.feed.name, call.settings.build):
        folder.mkdir(parents=True, exist_ok=True)
    tenant_directory = call.settings.landing / "tenants"
    tenant_directory.mkdir(exist_ok=True)
    # Also where a restored backup or another umask had opened it.
    tenant_directory.chmod(stat.S_IRWXU)
    files.remove(call.staging)
    call.staging.mkdir()


def _landed_before(landed: list[Receipt], call: Call, file: InputFile) -> Receipt | None:
    """The batch that this very file already is, unless it now comes with a later cutoff."""
    same = (call.feed.name, file.sha256, call.rules.label, call.rules.sha256)
    cutoff = call.delivery.cutoff
    for receipt in landed:
        if (receipt.feed, receipt.source_sha256, receipt.source, receipt.rules_sha256) != same:
            continue
        if cutoff and (receipt.cutoff is None or receipt.cutoff < cutoff):
            continue
        return receipt
    return None


def _same_file_as(landed: list[Receipt], call: Call, file: InputFile) -> tuple[str, ...]:
    """The other sources and instances as which the bytes of a file landed with rows: their records have other ids."""
    return tuple(
        sorted(
            {
                receipt.source
                for receipt in landed
                if receipt.feed == call.feed.name
                and (receipt.source_sha256, receipt.source != call.rules.label) == (file.sha256, True)
                and receipt.rows
            }
        )
    )


def _superseded_since(call: Call, receipt: Receipt, landed: list[Receipt]) -> int:
    if call.feed is not CDRS:
        return 0
    later = [other for other in landed if other.feed == CDRS.name and other.sequence > receipt.sequence]
    with engine.connect(call.settings) as connection:
        return identity.superseded_since(connection, receipt, later)


def _draft(call: Call, file: InputFile, sequence: int) -> Receipt:
    """The receipt of a batch that is yet to be filled, in its folder."""
    batch_id = receipts.batch_name(sequence, file.sha256)
    return Receipt(
        feed=call.feed.name,
        batch_id=batch_id,
        sequence=sequence,
        landed_by=call.delivery.landed_by,
        source=call.rules.label,
        file_name=file.path.name,
        source_sha256=file.sha256,
        source_bytes=file.size,
        rules_sha256=call.rules.sha256,
        call=call.hashes,
        landed_at=call.landed_at,
        rows=0,
        file_kind=file.form.kind,
        columns=list(call.feed.stored),
        folder=call.staging / batch_id,
    )


def _stage(call: Call, file: InputFile, landed: list[Receipt]) -> Receipt:
    """Make a whole batch outside of every read path."""
    draft = _draft(call, file, max((receipt.sequence for receipt in landed), default=0) + 1)
    scratch = call.staging / f"{draft.batch_id}.scratch"
    draft.folder.mkdir()
    scratch.mkdir()
    with engine.connect(call.settings) as connection:
        normalization.load(connection)
        with (
            pace.followed(connection, file.size, call.delivery.follow) as step,
            input_files.unchanged(file) as last_read,
        ):
            source = _open(connection, call, file, scratch)
            if call.rules.source:
                former_ids.take_over(connection, call.rules.source, landed)
            step.rows_are(source.rows, in_parts=bool(source.parts))
            with source_files.over_source(connection, source):
                if call.rules.records:
                    receipt = _fill_cdrs(connection, source, call.rules.records, draft)
                else:
                    receipt = _fill_events(connection, source, draft, landed, call)
            last_read()
            if call.feed is CDRS:
                receipt = _compared(connection, receipt, landed, scratch)
    files.remove(scratch)
    receipt.seal()
    return receipt


def _open(connection: duckdb.DuckDBPyConnection, call: Call, file: InputFile, scratch: Path) -> SourceFile:
    if call.rules.source is None:
        return source_files.open_source(connection, call.feed, file, scratch)
    assert call.rules.records, "a source belongs to cdrs"
    return mapping.open_source(connection, call.rules.source, call.rules.records.services, file, scratch)


def _fill_cdrs(
    connection: duckdb.DuckDBPyConnection, source: SourceFile, rules: RecordRules, draft: Receipt
) -> Receipt:
    by_month = records.write(connection, source, rules, draft)
    if source.ignored:
        records.write_ignored(connection, source, draft)
    paths = [path for path in files.files_below(draft.folder) if path.parent != draft.folder]
    entries = files.two_at_a_time(lambda path: receipts.entry(path, draft.folder), paths)
    written = [
        RecordsFile(**vars(entry), month=path.parent.name.removeprefix("day=")[:7])
        for path, entry in zip(paths, entries, strict=True)
    ]
    filled = replace(
        draft,
        rows=source.rows,
        ignored=source.ignored,
        files=list(written),
        withdrawn=_entry_of(draft, records.WITHDRAWN_FILE),
        ignored_rows=_entry_of(draft, records.IGNORED_FILE),
        rejected=_entry_of(draft, "rejected.parquet"),
        rejected_by_month=by_month,
    )
    assert sum(file.rows for file in written) + filled.withdrawn_rows + filled.rejected_rows == source.rows
    return filled


def _compared(connection: duckdb.DuckDBPyConnection, filled: Receipt, landed: list[Receipt], scratch: Path) -> Receipt:
    """A batch of cdrs with its ids, and beside the deliveries that had landed before."""
    earlier = [receipt for receipt in landed if receipt.feed == CDRS.name]
    deliveries = identity.compare(connection, filled, earlier, filled.folder / identity.IDS, scratch)
    return replace(
        filled,
        ids=_entry_of(filled, identity.IDS),
        duplicates=deliveries.duplicates,
        superseded=deliveries.superseded,
        superseded_in_file=deliveries.superseded_in_file,
        superseded_elsewhere=deliveries.superseded_elsewhere,
        to_look_at=deliveries.to_look_at,
        cost_difference=f"{deliveries.cost_difference:f}",
        moved=deliveries.moved,
    )


def _entry_of(draft: Receipt, name: str) -> LandedFile | None:
    path = draft.folder / name
    return receipts.entry(path, draft.folder) if path.exists() else None


def _fill_events(
    connection: duckdb.DuckDBPyConnection, source: SourceFile, draft: Receipt, landed: list[Receipt], call: Call
) -> Receipt:
    frozen = frozen_months(call.settings)
    is_file = draft.landed_by == "file"
    extracts = [receipt for receipt in landed if receipt.feed == draft.feed and receipt.landed_by == "file"]
    is_history = is_file and all(receipt.is_history and receipt.call == draft.call for receipt in extracts)
    at = seal.seal(draft.feed, [] if is_history else landed, frozen)
    outcome = events.write(
        connection,
        source,
        receipts.files_of_feed(landed, draft.feed),
        events.Seal(at, is_history or not is_file, call.delivery.accept_late),
        draft,
    )
    return replace(
        draft,
        rows=source.rows,
        duplicates=outcome.duplicates,
        late=outcome.late,
        overtaken=outcome.overtaken,
        unusable_assets=outcome.unusable_assets,
        cutoff=_cutoff(source, outcome.last_recorded_at, call.delivery.cutoff) if is_file else None,
        sealed_at=at,
        is_history=is_history,
        files=[receipts.entry(path, draft.folder) for path in files.files_below(draft.folder)],
    )


def _cutoff(source: SourceFile, last_recorded_at: datetime | None, named: datetime | None) -> datetime | None:
    """The instant up to which an extract is complete: the one named, or that of its last change."""
    if named and last_recorded_at and named < last_recorded_at:
        raise Refused(
            f"{source.path} has changes recorded after the cutoff {named.isoformat()}, "
            f"the last at {last_recorded_at.isoformat()}. Name a later cutoff, or none."
        )
    return named or last_recorded_at


def _publish(settings: Settings, landing: Landing) -> Landing:
    final = settings.landing / landing.receipt.feed / landing.receipt.batch_id
    if not landing.is_new:
        files.settle(final, settings.data)
        return landing
    files.publish(landing.receipt.folder, final)
    return replace(landing, receipt=replace(landing.receipt, folder=final))

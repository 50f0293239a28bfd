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

import pyarrow.parquet as pq

from orchestration import clock, engine, files
from orchestration.errors import Refused
from orchestration.frozen import frozen_months
from orchestration.landing import events, normalization, pace, receipts, records, seal, source_files
from orchestration.landing.feeds import CDRS, FEEDS, Feed
from orchestration.landing.receipts import LandedFile, Receipt
from orchestration.months import Month
from orchestration.settings import Settings
from orchestration.sources import declaration, mapping
from orchestration.sources.declaration import Source
from orchestration.warehouse import cache


@dataclass(frozen=True)
class Landing:
    """What became of one file: its receipt, and whether it was new."""

    receipt: Receipt
    is_new: bool


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
    """What a row is landed with, and its hash: the same file under other rules is not the same delivery."""

    label: str
    source: Source | None
    sha256: str


def land(
    configuration: Settings,
    feed_name: str,
    paths: list[Path],
    delivery: Delivery,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Landing]:
    """Land files of a feed, in the order given. A file that will not do refuses the call, and nothing of it lands."""
    feed = _feed(feed_name)
    if delivery.source and feed is not CDRS:
        raise Refused(f"--source belongs to cdrs: {feed.name} come in the columns of their feed.")
    rules = _rules(configuration, delivery.source)
    for path in paths:
        source_files.require_readable(path)
    if delivery.cutoff and not feed.sealed:
        raise Refused(f"--cutoff belongs to assignment feeds; {feed.name} has none.")
    if delivery.cutoff and delivery.cutoff > clock.now():
        raise Refused(
            f"The cutoff {delivery.cutoff.isoformat()} lies in the future: an extract cannot be complete yet."
        )
    with files.disk_errors(), files.only_writer(configuration.lock):
        return _land_all(configuration, feed, paths, delivery, rules, clock.now(), progress)


def record(configuration: Settings, feed_name: str, verb: str, *rows: Mapping[str, str | None]) -> Landing:
    """Land what an operator says, as of now. The caller holds the lock: what was looked up before still holds."""
    now = clock.now()
    folder = configuration.build / "registry"
    files.remove(folder)
    folder.mkdir(parents=True)
    path = folder / f"{verb}.jsonl"
    lines = [json.dumps({**row, "recorded_at": now.isoformat()}, ensure_ascii=False) for row in rows]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    said = Delivery(landed_by="registry")
    try:
        (landing,) = _land_all(
            configuration, _feed(feed_name), [path], said, _rules(configuration, None), now, lambda _: None
        )
    finally:
        files.remove(folder)
    return landing


def _feed(name: str) -> Feed:
    if name not in FEEDS:
        raise Refused(f"{name!r} is no feed. The feeds are {', '.join(FEEDS)}.")
    return FEEDS[name]


def _land_all(configuration, feed, paths, delivery, rules: Rules, now, progress) -> list[Landing]:
    for folder in (configuration.landing / feed.name, configuration.build):
        folder.mkdir(parents=True, exist_ok=True)
    tenant_directory = configuration.landing / "tenants"
    tenant_directory.mkdir(exist_ok=True)
    # Also where a restored backup or another umask had opened it.
    tenant_directory.chmod(stat.S_IRWXU)
    staging = configuration.build / "landing"
    files.remove(staging)
    staging.mkdir()
    known = receipts.load(configuration)
    events.require_marked(known)
    call = [files.sha256(path) for path in paths]
    landings: list[Landing] = []
    try:
        for path, sha256 in zip(paths, call, strict=True):
            progress(f"Landing {path.name}")
            landed = known + [landing.receipt for landing in landings if landing.is_new]
            if (same := _landed_before(landed, feed, sha256, delivery, rules)) is not None:
                landings.append(Landing(same, is_new=False))
                continue
            draft = Receipt(
                feed=feed.name,
                batch_id=receipts.batch_name(_next_sequence(landed), sha256),
                sequence=_next_sequence(landed),
                landed_by=delivery.landed_by,
                source=rules.label,
                file_name=path.name,
                source_sha256=sha256,
                source_bytes=path.stat().st_size,
                rules_sha256=rules.sha256,
                call=call,
                landed_at=now,
                rows=0,
            )
            staged = _stage(configuration, feed, path, draft, landed, delivery, rules, staging)
            landings.append(Landing(staged, is_new=True))
        published = [_publish(configuration, landing) for landing in landings]
    finally:
        files.remove(staging)
    progress("Refreshing the warehouse")
    cache.refresh_if_stale(configuration)
    return published


def _rules(configuration: Settings, reference: str | None) -> Rules:
    if reference is None:
        return Rules(receipts.CANONICAL_SOURCE, None, normalization.rules_sha256())
    source = declaration.load(configuration, reference)
    own = hashlib.sha256(mapping.LOCAL_TIME.read_bytes())
    for part in (normalization.rules_sha256(), source.rules_sha256):
        own.update(part.encode())
    return Rules(source.label, source, own.hexdigest())


def _next_sequence(landed: list[Receipt]) -> int:
    return max((receipt.sequence for receipt in landed), default=0) + 1


def _landed_before(landed: list[Receipt], feed: Feed, sha256: str, delivery: Delivery, rules: Rules) -> Receipt | None:
    """The batch that this very file already is, unless it now comes with a later cutoff."""
    same = (feed.name, sha256, rules.label, rules.sha256)
    for receipt in landed:
        if (receipt.feed, receipt.source_sha256, receipt.source, receipt.rules_sha256) != same:
            continue
        if delivery.cutoff and (receipt.cutoff is None or receipt.cutoff < delivery.cutoff):
            continue
        return receipt
    return None


def _stage(
    configuration, feed, path, draft: Receipt, landed: list[Receipt], delivery, rules: Rules, staging: Path
) -> Receipt:
    """Make a whole batch outside of every read path."""
    folder = staging / draft.batch_id
    scratch = staging / f"{draft.batch_id}.scratch"
    folder.mkdir()
    scratch.mkdir()
    draft = replace(draft, folder=folder)
    with engine.connect(configuration) as connection:
        normalization.load(connection)
        with (
            pace.followed(connection, path.stat().st_size, delivery.follow) as step,
            source_files.reading(path),
        ):
            if rules.source:
                source = mapping.open_source(connection, rules.source, path, scratch)
            else:
                source = source_files.open_source(connection, feed, path, scratch)
            step.rows_are(source.rows)
            if feed is CDRS:
                receipt = _fill_cdrs(connection, source, draft, landed)
            else:
                receipt = _fill_events(configuration, connection, feed, source, draft, landed, delivery)
    files.remove(scratch)
    receipt.write()
    files.seal_folder(folder, files.hashes_below(folder))
    return receipt


def _fill_cdrs(connection, source, draft: Receipt, landed: list[Receipt]) -> Receipt:
    by_month = records.write(connection, source, draft.batch_id, draft.landed_at, draft.folder)
    written = [
        _landed_file(path, draft.folder, month=path.parent.name.removeprefix("day=")[:7])
        for path in files.files_below(draft.folder)
        if path.parent != draft.folder
    ]
    months = {Month.parse(file.month) for file in written}
    around = sorted({near for month in months for near in (month.previous, month, month.next)})
    deliveries = records.compare_deliveries(
        connection,
        [draft.folder / file.name for file in written],
        receipts.cdrs_files(landed, around),
        draft.batch_id,
    )
    rejected = draft.folder / "rejected.parquet"
    return replace(
        draft,
        rows=source.rows,
        ignored=source.ignored,
        duplicates=deliveries.duplicates,
        superseded=deliveries.superseded,
        cost_difference=str(deliveries.cost_difference),
        files=written,
        rejected=_landed_file(rejected, draft.folder) if rejected.exists() else None,
        rejected_by_month=by_month,
    )


def _fill_events(configuration, connection, feed, source, draft, landed, delivery) -> Receipt:
    frozen = frozen_months(configuration)
    extracts = [receipt for receipt in landed if receipt.feed == feed.name and receipt.landed_by == "file"]
    is_history = delivery.landed_by == "file" and all(
        receipt.is_history and receipt.call == draft.call for receipt in extracts
    )
    at = seal.seal(feed.name, [] if is_history else landed, frozen)
    outcome = events.write(
        connection,
        feed,
        source,
        receipts.files_of_feed(landed, feed.name),
        events.Seal(at, is_history or delivery.landed_by == "registry", delivery.accept_late),
        draft.batch_id,
        draft.landed_at,
        draft.folder,
    )
    cutoff = None
    if delivery.landed_by == "file":
        cutoff = delivery.cutoff or outcome.last_recorded_at
        if delivery.cutoff and outcome.last_recorded_at and delivery.cutoff < outcome.last_recorded_at:
            raise Refused(
                f"{source.path} has changes recorded after the cutoff {delivery.cutoff.isoformat()}, "
                f"the last at {outcome.last_recorded_at.isoformat()}. Name a later cutoff, or none."
            )
    return replace(
        draft,
        rows=source.rows,
        duplicates=outcome.duplicates,
        late=outcome.late,
        overtaken=outcome.overtaken,
        unusable_assets=outcome.unusable_assets,
        cutoff=cutoff,
        sealed_at=at,
        is_history=is_history,
        files=[_landed_file(path, draft.folder) for path in files.files_below(draft.folder)],
    )


def _landed_file(path: Path, folder: Path, month: str | None = None) -> LandedFile:
    return LandedFile(
        name=str(path.relative_to(folder)),
        rows=pq.read_metadata(path).num_rows,
        bytes=path.stat().st_size,
        sha256=files.sha256(path),
        month=month,
    )


def _publish(configuration: Settings, landing: Landing) -> Landing:
    final = configuration.landing / landing.receipt.feed / landing.receipt.batch_id
    if not landing.is_new:
        files.settle(final, configuration.data)
        return landing
    files.publish(landing.receipt.folder, final)
    return replace(landing, receipt=replace(landing.receipt, folder=final))

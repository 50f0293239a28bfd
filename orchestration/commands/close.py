"""Closing a month: check, pin, build, freeze; or verify, when it is frozen already.

What belongs here: the order of a close, the same for the command line, the UI, the schedule and a backfill. What does
not: the steps themselves, which are the modules beside this one.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestration import clock, files
from orchestration.close import manifests, month_build, publishing, readiness, rehearsal, verify
from orchestration.close.content import CloseSettings
from orchestration.close.dbt_build import NodeResult
from orchestration.close.inputs import Close, Inputs
from orchestration.close.manifests import Chain, Manifest
from orchestration.close.month_build import Build
from orchestration.errors import Refused
from orchestration.frozen import month_folder
from orchestration.landing import identity, receipts, record_rules
from orchestration.months import Month
from orchestration.settings import Settings
from orchestration.warehouse import cache

Progress = Callable[[str], None]
# Who else follows a close in this process: Dagster hands a run its configuration and nothing else, no function either.
_FOLLOWER: ContextVar[Progress | None] = ContextVar("follower", default=None)
# The outcomes of a close, as Dagster's history names them.
FROZEN_NOW, ALREADY_FROZEN = "frozen", "already frozen, verified"


@dataclass(frozen=True)
class Closed:
    """A month that is frozen: now, or since earlier and verified just now."""

    manifest: Manifest
    already_frozen: bool
    nodes: Sequence[NodeResult] = field(default_factory=tuple)

    @property
    def outcome(self) -> str:
        return ALREADY_FROZEN if self.already_frozen else FROZEN_NOW


@contextmanager
def followed(step: Progress) -> Iterator[None]:
    """Tell the steps of a close in this process to this function too, while a terminal shows them."""
    token = _FOLLOWER.set(step)
    try:
        yield
    finally:
        _FOLLOWER.reset(token)


def _also_told_to_follower(progress: Progress) -> Progress:
    follower = _FOLLOWER.get()
    if follower is None:
        return progress

    def told(step: str) -> None:
        progress(step)
        follower(step)

    return told


def close_month(settings: Settings, month: Month, *, accept_rejected: bool, progress: Progress) -> Closed:
    """Freeze the month, or verify it. Raises Refused with the reason and the way out, or Damaged."""
    progress = _also_told_to_follower(progress)
    with files.disk_errors(), files.only_writer(settings.lock):
        chain = manifests.load(settings)
        if month in chain:
            progress("Verifying")
            verify.require_intact(settings, month)
            # The rest of a close that was killed after it had published.
            files.settle(month_folder(settings, month), settings.data)
            cache.refresh_if_stale(settings)
            files.remove(_build_folder(settings))
            return Closed(manifests.read(settings, month), already_frozen=True)
        inputs = _inputs(settings, month, chain, accept_rejected=accept_rejected)
        with _removed_at_the_end(_build_folder(settings)):
            build = _build(settings, inputs, progress)
            progress("Freezing")
            frozen = publishing.freeze(settings, inputs, build)
        progress("Refreshing the warehouse")
        cache.refresh(settings)
        return Closed(frozen, already_frozen=False, nodes=build.nodes)


def require_closable(settings: Settings, month: Month, *, accept_rejected: bool) -> bool:
    """Whether the month is frozen already; Refused when it may not be closed now. A look before the work."""
    chain = manifests.load(settings)
    if month in chain:
        return True
    _inputs(settings, month, chain, accept_rejected=accept_rejected, rehash=False)
    return False


def rehearse(settings: Settings, month: Month, progress: Progress) -> dict[str, list[dict[str, Any]]]:
    """Build and check the month privately, give its figures as title → rows, and publish nothing."""
    with files.disk_errors(), files.only_writer(settings.lock):
        chain = manifests.load(settings)
        if month in chain:
            raise Refused(f"{month} is frozen already; `statements show {month}` shows it.")
        inputs = _inputs(settings, month, chain, accept_rejected=True)
        with _removed_at_the_end(_build_folder(settings)):
            return rehearsal.figures(settings, inputs, _build(settings, inputs, progress))


def _inputs(settings: Settings, month: Month, chain: Chain, *, accept_rejected: bool, rehash: bool = True) -> Inputs:
    now = clock.now()
    rules = record_rules.load(settings)
    landed = receipts.load(settings)
    # A look before the work holds no lock, so it makes nothing; it asks for nothing that would need it.
    close = Close(month, chain, identity.complete(settings, landed) if rehash else landed)
    readiness.require_ended(month, settings, now)
    readiness.require_next(close, settings)
    readiness.require_landed(close, now)
    if rehash:
        verify.require_all_batches(close.batches, chain)
        if chain.last:
            verify.require_intact(settings, chain.last.month, month_build.each_file(settings))
        files.require_hashes(readiness.pinned_files(close), month_build.each_file(settings))
        readiness.require_services(settings, close, rules.services)
    rejected = readiness.rejected_rows(settings, close)
    readiness.require_rejected_answered(month, rejected, accepted=accept_rejected)
    return Inputs(
        close=close,
        rejected=rejected,
        accepted_rejected=accept_rejected and any(not row.cleared for row in rejected),
        warnings=readiness.warnings(close),
        closed_at=now,
        settings=CloseSettings(int(settings.grace.total_seconds() // 3600), rules.default_currency),
        services=rules.services,
    )


def _build_folder(settings: Settings) -> Path:
    return settings.build / "close"


@contextmanager
def _removed_at_the_end(folder: Path) -> Iterator[None]:
    """Around what is made in a folder. It is removed also when the disk is full: so the reason can be written down."""
    try:
        yield
    except Exception:
        files.remove(folder)
        raise
    except BaseException:
        # After Ctrl+C threads of dbt's still write there, for a moment. The next close removes what they leave.
        with suppress(OSError):
            files.remove(folder)
        raise
    files.remove(folder)


def _build(settings: Settings, inputs: Inputs, progress: Progress) -> Build:
    build = month_build.make(settings, inputs, _build_folder(settings), progress)
    verify.require_intact_statements(build.used_frozen_files, inputs.close.chain, build.each_file)
    return build

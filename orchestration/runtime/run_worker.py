"""A check whether the process of a run is still there.

Dagster's own launcher cannot tell, so a run that was killed would stay STARTED for ever and hold up every run that
waits behind it. A run is alive while its lock is held; the kernel releases it when the process ends, however it ends.
"""

import fcntl
from datetime import timedelta
from pathlib import Path
from typing import TextIO

from dagster import DagsterInstance, DagsterRun, DefaultRunLauncher
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus

from orchestration import clock

# Between STARTED and its first step a run has no lock yet: seconds, on a very busy machine a minute.
WITHOUT_A_SIGN = timedelta(minutes=5)
# Locks of runs that ended long ago; a day is more than any look at them can be late.
OLD = timedelta(days=1)
_held: dict[str, TextIO] = {}


def show_life(instance: DagsterInstance, run_id: str) -> None:
    """Hold the run's lock from now until the process ends: the run's last events are written after its work."""
    if run_id in _held:
        return
    folder = _lock(instance, run_id).parent
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if clock.now().timestamp() - path.stat().st_mtime > OLD.total_seconds() and _is_free(path):
            path.unlink(missing_ok=True)
    handle = _lock(instance, run_id).open("a")
    fcntl.flock(handle, fcntl.LOCK_EX)
    _held[run_id] = handle


def _lock(instance: DagsterInstance, run_id: str) -> Path:
    return Path(instance.root_directory) / "running" / run_id


def _is_free(path: Path) -> bool:
    with path.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


class WatchedRunLauncher(DefaultRunLauncher):
    """Dagster's default launcher, which also notices that a run's process is gone; run monitoring then fails it."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        path = _lock(self._instance, run.run_id)
        if path.exists():
            if not _is_free(path):
                return CheckRunHealthResult(WorkerStatus.RUNNING)
            return CheckRunHealthResult(
                WorkerStatus.FAILED, "The run's process is gone: killed, or lost with the machine."
            )
        record = self._instance.get_run_record_by_id(run.run_id)
        started = record.start_time if record else None
        waited = started is not None and clock.now().timestamp() - started > WITHOUT_A_SIGN.total_seconds()
        return CheckRunHealthResult(WorkerStatus.NOT_FOUND if waited else WorkerStatus.RUNNING)

"""Running one thing as a process of its own, and what it took: wall and processor time, memory and spilled bytes of the
whole process tree, and how busy others kept the machine meanwhile.

What belongs here: processes and /proc (so Linux only). What does not: what is run.
"""

import contextlib
import ctypes
import json
import os
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

SAMPLE_SECONDS = 0.03
SPILL_SAMPLE_SECONDS = 0.3
PAGE = os.sysconf("SC_PAGE_SIZE")
TICK = os.sysconf("SC_CLK_TCK")
_PR_SET_CHILD_SUBREAPER = 36


class Failed(Exception):
    """What was run did not end well."""


class OverMemory(Failed):
    """What was run took more memory than it was allowed, and was ended. `took` says how much, and when."""

    def __init__(self, command: str, took: str) -> None:
        super().__init__(f"{command} {took}, and was ended")
        self.took = took


@dataclass(frozen=True)
class Measured:
    """What one run took. `others_cores` is how many cores other processes kept busy on average; `said` the last line of
    its output, where that was JSON."""

    seconds: float
    cpu_seconds: float
    peak_mb: int
    spill_mb: int
    processes: int
    others_cores: float
    said: dict = field(default_factory=dict)


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path,
    environment: dict[str, str] | None = None,
    spill: Path | None = None,
    timeout: float = 7200,
    most_mb: int | None = None,
) -> Measured:
    """Run a command to its end on two cores. Raises Failed with what it said last, when it did not end well.

    `most_mb` ends the whole process tree, with OverMemory, as soon as its resident memory is larger.
    """
    _adopt_orphans()
    # What ran before has left gigabytes to be written to the disk, which would count as this one's.
    os.sync()
    before, busy_before = _cpu_of_children(), _busy_seconds()
    started = time.monotonic()
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=cwd,
        env=os.environ | (environment or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_keep_to_two_cores,
    )
    watch = _Watch(process.pid, spill, most_mb)
    watch.start()
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired as error:
        _kill(_tree(process.pid))
        process.communicate()
        raise Failed(f"{_shown(command)} took longer than {timeout:.0f} s") from error
    finally:
        seconds = time.monotonic() - started
        watch.stop()
        _reap_orphans()
    if watch.is_over:
        raise OverMemory(_shown(command), f"took {watch.peak_bytes >> 20} MB after {seconds:.1f} s")
    if process.returncode != 0:
        raise Failed(f"{_shown(command)} ended with {process.returncode}: {(err or out).strip()[-2000:]}")
    cpu = _cpu_of_children() - before
    others = max(0.0, _busy_seconds() - busy_before - cpu) / seconds if seconds else 0.0
    return Measured(
        seconds=round(seconds, 3),
        cpu_seconds=round(cpu, 2),
        peak_mb=watch.peak_bytes >> 20,
        spill_mb=watch.spill_bytes >> 20,
        processes=watch.processes,
        others_cores=round(others, 2),
        said=_last_json(out),
    )


class _Watch(threading.Thread):
    """Looks at the process tree and the spill folder again and again."""

    def __init__(self, pid: int, spill: Path | None, most_mb: int | None) -> None:
        super().__init__(daemon=True)
        self.peak_bytes = self.spill_bytes = self.processes = 0
        self.is_over = False
        self._most_bytes = most_mb << 20 if most_mb else None
        self._pid, self._spill, self._stopped = pid, spill, threading.Event()

    def run(self) -> None:
        next_spill_look = 0.0
        while not self._stopped.wait(SAMPLE_SECONDS):
            pids = _tree(self._pid)
            self.processes = max(self.processes, len(pids))
            self.peak_bytes = max(self.peak_bytes, sum(_resident_bytes(pid) for pid in pids))
            if self._most_bytes and self.peak_bytes > self._most_bytes and not self.is_over:
                self.is_over = True
                _kill(pids)
            if self._spill and time.monotonic() >= next_spill_look:
                self.spill_bytes = max(self.spill_bytes, bytes_below(self._spill))
                next_spill_look = time.monotonic() + SPILL_SAMPLE_SECONDS

    def stop(self) -> None:
        self._stopped.set()
        self.join()


def bytes_below(folder: Path) -> int:
    """What the files of a folder occupy on the disk, now; files that come and go are no error."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(root) / name).stat().st_blocks * 512
            except OSError:
                continue
    return total


def _tree(pid: int) -> list[int]:
    """A process and everything below it."""
    found, waiting = [], [pid]
    while waiting:
        one = waiting.pop()
        found.append(one)
        try:
            for task in Path(f"/proc/{one}/task").iterdir():
                waiting += [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            continue
    return found


def _kill(pids: Sequence[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _keep_to_two_cores() -> None:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])


def _resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except (OSError, IndexError):
        return 0


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _busy_seconds() -> float:
    """Processor time that the whole machine has spent on anything but waiting."""
    user, nice, system, _, _, irq, softirq, steal, *_ = (
        int(ticks) for ticks in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    )
    return (user + nice + system + irq + softirq + steal) / TICK


def _adopt_orphans() -> None:
    """Have grandchildren whose parent is gone (a JVM) become our children, so that their processor time counts."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _reap_orphans(patience: float = 20) -> None:
    until = time.monotonic() + patience
    while time.monotonic() < until:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            time.sleep(SAMPLE_SECONDS)


def _last_json(out: str) -> dict:
    lines = out.strip().splitlines()
    try:
        said = json.loads(lines[-1]) if lines else {}
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _shown(command: Sequence[str | Path]) -> str:
    return " ".join(str(part) for part in command)[:300]

"""What a command asks the kernel for, as strace writes it down; and having the kernel refuse or kill it at one such call.

What belongs here: running strace, and reading its log. What does not: which calls matter, or what must be true of them.
"""

import os
import re
import signal
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

# By what a file or folder is changed or read. A process that does neither leaves nothing and depends on nothing.
WRITING = ("write", "pwrite64", "writev", "pwritev", "sendfile", "copy_file_range", "ftruncate", "fallocate")
SYNCING = ("fsync", "fdatasync")
NAMING = ("rename", "renameat", "renameat2", "mkdir", "unlink", "unlinkat", "rmdir", "link", "symlink")
OTHER = ("chmod", "fchmod", "fchmodat", "flock", "openat")
READING = ("read", "pread64", "getdents64")
CALLS = (*WRITING, *SYNCING, *NAMING, *OTHER, *READING)
DESCRIPTOR = re.compile(r"(?:\d+|AT_FDCWD)<(/[^>]*)>")
TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')
LINE = re.compile(r"(\d+) +(?:<\.\.\. )?(\w+)(?: resumed>|\()(.*)", re.DOTALL)


@dataclass(frozen=True)
class Call:
    """One call that has returned: by which thread, of what name, about which paths, and whether it did what it should.

    `watched` are the paths by which strace can be told of it: a name below a descriptor goes by the descriptor's.
    """

    thread: int
    name: str
    paths: tuple[Path, ...]
    watched: tuple[Path, ...]
    arguments: str
    done: bool

    @property
    def is_change(self) -> bool:
        if self.name == "openat":
            return any(flag in self.arguments for flag in ("O_WRONLY", "O_RDWR", "O_CREAT"))
        return self.name not in READING


@dataclass(frozen=True)
class Fault:
    """What happens at the `nth` call of its name that one thread makes about the watched path: `kill`, or an error."""

    kind: str
    call: str
    watched: Path
    nth: int

    def __str__(self) -> str:
        return f"{self.kind} at {self.call} {self.nth} of {self.watched}"


def read(log: Path, below: Path) -> list[Call]:
    """The calls about anything below a folder, in the order in which they returned."""
    begun: dict[tuple[int, str], str] = {}
    calls = []
    for line in log.read_text(errors="replace").splitlines():
        if (parts := LINE.fullmatch(line)) is None:
            continue
        thread, name, rest = int(parts[1]), parts[2], parts[3]
        if name not in CALLS:
            continue
        if rest.endswith("<unfinished ...>"):
            begun[thread, name] = rest.removesuffix("<unfinished ...>")
            continue
        if " resumed>" in line:
            rest = begun.pop((thread, name), "") + rest
        arguments, _, result = rest.rpartition(" = ")
        call = _call(thread, name, arguments, done=not result.lstrip().startswith(("-", "?")))
        if any(path.is_relative_to(below) for path in (*call.paths, *call.watched)):
            calls.append(call)
    return calls


def _call(thread: int, name: str, arguments: str, *, done: bool) -> Call:
    descriptors = [Path(path) for path in DESCRIPTOR.findall(arguments)]
    if name in (*WRITING, *SYNCING, *READING, "fchmod", "flock"):
        return Call(thread, name, tuple(descriptors), tuple(descriptors), arguments, done)
    texts = [Path(text) for text in TEXT.findall(arguments)]
    # AT_FDCWD, too, is printed with its path; a name that starts with a slash takes the place of it.
    folder = descriptors[0] if descriptors else Path()
    whole = [path for path in texts if path.is_absolute()]
    # strace knows a rename by its first path only.
    watched = whole[:1] or [folder]
    # dbt writes its seeds to `…/tenant_statements/../seeds`; strace is told of such a path only as it was asked for.
    paths = tuple(Path(os.path.normpath(folder / text)) for text in texts)
    return Call(thread, name, paths, tuple(watched), arguments, done)


def attach(pid: int, log: Path, *options: str) -> subprocess.Popen:
    """strace on a process that has stopped, its threads and children too. Returns when it sees every call."""
    command = ["strace", "-f", "-y", "-s", "0", "-p", str(pid), "-o", str(log), *options]
    watcher = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    said = watcher.stderr.readline()
    assert "attached" in said, f"strace could not attach: {said}"
    return watcher


def recording(pid: int, log: Path) -> subprocess.Popen:
    """Write down every call that matters."""
    return attach(pid, log, "-e", f"trace={','.join(CALLS)}")


def injecting(pid: int, log: Path, fault: Fault) -> subprocess.Popen:
    """Let one call fail, or be the last."""
    what = "signal=KILL" if fault.kind == "kill" else f"error={fault.kind}"
    return attach(
        pid, log, "-P", str(fault.watched), "-e", f"trace={fault.call}", "-e", f"inject={fault.call}:{what}:when={fault.nth}"
    )  # fmt: skip


def has_fired(fault: Fault, status: int, log: Path) -> bool:
    """Whether the fault has happened, by what the kernel or strace says and not by what the process made of it."""
    if fault.kind == "kill":
        return status == -signal.SIGKILL and "killed by SIGKILL" in log.read_text(errors="replace")
    return "(INJECTED)" in log.read_text(errors="replace")


def go_on(pid: int) -> None:
    os.kill(pid, signal.SIGCONT)


def sites(calls: Sequence[Call], below: Path) -> list[tuple[Call, Path, int]]:
    """Every call about something below a folder, with the path and the number by which strace can find it again."""
    seen: dict[tuple[int, str, Path], int] = {}
    found = []
    for call in calls:
        for path in call.watched:
            seen[call.thread, call.name, path] = seen.get((call.thread, call.name, path), 0) + 1
        mine = [path for path in call.watched if path.is_relative_to(below)]
        if mine:
            found.append((call, mine[0], seen[call.thread, call.name, mine[0]]))
    return found


def thinned(found: Iterable[tuple[Call, Path, int]]) -> list[tuple[Call, Path, int]]:
    """Of the calls of one name about one path: the first, one in the middle and the last, where there are more."""
    groups: dict[tuple[str, Path], list] = {}
    for site in found:
        groups.setdefault((site[0].name, site[0].paths[0]), []).append(site)
    kept = {id(group[place]) for group in groups.values() for place in (0, len(group) // 2, -1)}
    return [site for group in groups.values() for site in group if id(site) in kept]

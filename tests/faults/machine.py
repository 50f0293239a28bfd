"""Commands on one data folder, in children of the zygote: undisturbed, recorded, or with a fault; and what they leave.

What belongs here: standing in a situation, running a command there, looking at what is there afterwards. What does not:
what is expected.
"""

import json
import os
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from orchestration import files
from tests.faults import strace
from tests.faults.strace import Call, Fault

ROOT = Path(__file__).parents[2]
# Whatever is in these two has landed or is frozen, and never changes.
KEPT = ("landing", "statements")


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it said on both of its outputs."""

    status: int
    said: str


@dataclass(frozen=True)
class Command:
    """A command of the line, when it runs, and what is made of its process (`zygote.child`)."""

    line: str
    now: str | None = None
    with_build: bool = False
    keep_build: bool = False
    dagster: bool = False
    job: str | None = None
    without: str | None = None
    file_size: int | None = None


class Zygote:
    """The process that forks. `under` is what it is started with: another user, another mount namespace."""

    def __init__(self, folder: Path, *under: str) -> None:
        self.folder = folder
        self.data = folder / "data"
        self._orders = 0
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith(("STATEMENTS_", "DAGSTER_"))
        }
        # With one thread a query's calls come from one thread, in one order; so a fault finds its call again.
        environment |= {"STATEMENTS_THREADS": "1", "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        # As the console script does; and children end without tidying up, as killed ones do: what dbt shares between
        # processes goes with the zygote.
        environment["PYTHONWARNINGS"] = "ignore"
        self._process = subprocess.Popen(
            [*under, sys.executable, "-m", "tests.faults.zygote"],
            cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stdout.readline() == "ready\n"

    @property
    def pid(self) -> int:
        return self._process.pid

    def end(self) -> None:
        self._process.stdin.close()
        self._process.wait()

    def _ask(self, order: dict) -> int:
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def start(self, command: Command) -> "Child":
        """A child that has stopped just before the command."""
        self._orders += 1
        said = self.folder / "said" / str(self._orders)
        said.parent.mkdir(exist_ok=True)
        said.parent.chmod(0o777)
        order = {
            "said": str(said),
            "now": command.now,
            "command": ["--data-dir", str(self.data), *shlex.split(command.line)],
            "job": [str(self.data), command.job] if command.job else None,
            "prepared": str(self.folder / "spent") if command.with_build else None,
            "keep_build": str(self.folder / "prepared") if command.keep_build else None,
            "dagster": command.dagster,
            "without": command.without,
            "file_size": command.file_size,
        }
        if command.with_build:
            shutil.rmtree(self.folder / "spent", ignore_errors=True)
            shutil.copytree(self.folder / "prepared", self.folder / "spent")
        if command.keep_build:
            (self.folder / "prepared").mkdir()
        return Child(self, self._ask(order), said)

    def end_of(self, child: "Child") -> Done:
        status = self._ask({"wait": child.pid})
        return Done(status, child.said.read_text(errors="replace"))

    def run(self, command: Command) -> Done:
        child = self.start(command)
        strace.go_on(child.pid)
        return self.end_of(child)

    def must(self, command: Command) -> Done:
        done = self.run(command)
        assert done.status == 0, f"`{command.line}` ended with {done.status}: {done.said}"
        return done

    def record(self, command: Command) -> tuple[Done, list[Call]]:
        """Run a command that must work; also what it asked the kernel for about the data folder."""
        log = self.folder / "trace"
        child = self.start(command)
        watcher = strace.recording(child.pid, log)
        strace.go_on(child.pid)
        done = self.end_of(child)
        watcher.wait()
        assert done.status == 0, f"`{command.line}` ended with {done.status}: {done.said}"
        return done, strace.read(log, self.data)

    def with_fault(self, command: Command, fault: Fault) -> tuple[Done, bool]:
        """Run a command with a fault in it; also whether the fault has happened."""
        log = self.folder / "trace"
        child = self.start(command)
        watcher = strace.injecting(child.pid, log, fault)
        strace.go_on(child.pid)
        done = self.end_of(child)
        watcher.wait()
        return done, strace.has_fired(fault, done.status, log)

    def reset(self, situation: Path) -> None:
        """Stand in a situation: the data folder as it was saved."""
        files.remove(self.data)
        shutil.copytree(situation, self.data)

    def save(self, name: str) -> Path:
        shutil.copytree(self.data, self.folder / name)
        return self.folder / name


@dataclass(frozen=True)
class Child:
    zygote: Zygote
    pid: int
    said: Path


@contextmanager
def zygote_in(folder: Path, *under: str) -> Iterator[Zygote]:
    zygote = Zygote(folder, *under)
    try:
        yield zygote
    finally:
        zygote.end()


@dataclass
class Left:
    """What is in a data folder that anybody relies on: published folders with the modes and bytes of all in them."""

    folders: dict[str, dict[str, tuple[int, bytes]]] = field(default_factory=dict)
    warehouse: dict[str, Sequence[tuple]] | None = None
    overview: str = ""
    scraps: list[str] = field(default_factory=list)


def left(data: Path) -> Left:
    found = Left()
    for feed in sorted(path for name in KEPT for path in _folders(data / name, deep=name == "landing")):
        found.folders[str(feed.relative_to(data))] = {
            str(path.relative_to(feed)): (
                stat.S_IMODE(path.stat().st_mode),
                path.read_bytes() if path.is_file() else b"",
            )
            for path in sorted([feed, *feed.rglob("*")])
        }
    if (data / "warehouse.duckdb").exists():
        found.warehouse = tables_of(data / "warehouse.duckdb")
    if (data / "overview.html").exists():
        found.overview = (data / "overview.html").read_text()
    found.scraps = [str(path.relative_to(data)) for path in sorted((data / "build").rglob("*")) if path.is_file()]
    return found


def _folders(folder: Path, *, deep: bool) -> list[Path]:
    """What is published: months in `statements`, batches in the feeds of `landing`."""
    if not folder.is_dir():
        return []
    return [inner for feed in folder.iterdir() for inner in feed.iterdir()] if deep else list(folder.iterdir())


def tables_of(warehouse: Path) -> dict[str, Sequence[tuple]]:
    """Every row of every table and view, by another connection than any command's."""
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        names = connection.execute(
            "select table_schema, table_name from information_schema.tables where table_catalog = 'warehouse' order by all"
        ).fetchall()
        return {
            f"{schema}.{name}": connection.execute(f'select * from "{schema}"."{name}" order by all').fetchall()
            for schema, name in names
        }

"""What tests of several folders share: the command line in this process, on its own data folder, at a time of ours.

What belongs here: fixtures that more than one folder uses. What does not: expectations.
"""

import gc
import os
import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from orchestration import clock
from orchestration.commands.close import close_month
from orchestration.months import Month
from orchestration.settings import Settings

# The folders whose files take longest.
LONGEST = ("tests/scenarios/", "tests/oracle/", "tests/dbt/")
FAULTS = "tests/faults/"


def pytest_configure() -> None:
    """dbt and Dagster make many objects that live long: to look through them as often as Python does by itself takes a
    tenth of a close."""
    gc.set_threshold(50_000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files run first, so that no process is left alone with one at the end."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


class ByFile(LoadFileScheduling):
    """Whole files for each process, and all of the faults for one: the situation that they begin with takes long."""

    def _split_scope(self, nodeid: str) -> str:
        return FAULTS if nodeid.startswith(FAULTS) else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile | None:
    return ByFile(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl+C is heard, also where the tests run in a shell's background: it starts them with interrupts ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@dataclass(frozen=True)
class Outcome:
    """What a command left: its exit status and what it printed, blanks and line breaks evened out."""

    exit_status: int
    stdout: str
    stderr: str


class CommandLine:
    """The commands of `statements`, run in this process; `folder` is where file names of theirs start from."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.data = folder / "data"
        self._monkeypatch = monkeypatch
        monkeypatch.chdir(folder)

    def at(self, instant: str) -> None:
        """Let it be this time from now on; no command can say so itself."""
        moment = datetime.fromisoformat(instant)
        assert moment.tzinfo, f"{instant} has no zone"
        self._monkeypatch.setattr(clock, "now", lambda: moment)

    def set(self, name: str, value: str) -> None:
        """Let a setting have this value from now on."""
        self._monkeypatch.setenv(name, value)

    def close_directly(self) -> None:
        """Let `close` work without Dagster around it, for a test of what a close makes and not of who calls it."""

        def directly(settings: Settings, month: Month, *, accept_rejected: bool) -> bool:
            closed = close_month(settings, month, accept_rejected=accept_rejected, progress=lambda _: None)
            return closed.already_frozen

        self._monkeypatch.setattr("orchestration.dagster_run.close_through_dagster", directly)

    def run(self, line: str) -> Outcome:
        """Run one command as it would be typed. An error that is no sentence for its user is a failure of the test."""
        from orchestration.cli import app

        result = CliRunner().invoke(app, ["--data-dir", str(self.data), *shlex.split(line)])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Outcome(result.exit_code, *(" ".join(text.split()) for text in (result.stdout, result.stderr)))

    def must(self, line: str) -> Outcome:
        """Run a command that has to do what it says."""
        outcome = self.run(line)
        assert outcome.exit_status == 0, (
            f"`{line}` ended with {outcome.exit_status}: {outcome.stderr or outcome.stdout}"
        )
        return outcome


@contextmanager
def command_line_in(folder: Path) -> Iterator[CommandLine]:
    """The command line on a folder. What it changes in this process is put back."""
    umask = os.umask(0o022)
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in [name for name in os.environ if name.startswith("STATEMENTS_")]:
            monkeypatch.delenv(name)
        # The commands set these two themselves: known to monkeypatch, they are taken back afterwards.
        for name in ("DAGSTER_HOME", "STATEMENTS_DATA_DIR"):
            monkeypatch.setenv(name, str(folder / "data"))
        yield CommandLine(folder, monkeypatch)
    os.umask(umask)


@pytest.fixture
def command_line(tmp_path: Path) -> Iterator[CommandLine]:
    """The command line on a folder of this test alone."""
    with command_line_in(tmp_path) as line:
        yield line

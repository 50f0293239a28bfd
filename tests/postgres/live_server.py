"""Dagster's history in a real PostgreSQL: closes by the UI and by the command line, kills, and a restart in the middle.

What belongs here: a server of our own on 127.0.0.1, and the servers of `statements ui` on it. What does not: what the
UI shows, which `tests/ui` looks at. Takes minutes, and needs Debian's `postgresql`: `make test-postgres`.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest

from tests.ui.conftest import SELECTOR, Ui, ended_months, land_four_months, until

TICK = """
    mutation ($selector: ScheduleSelector!, $at: Float) {
        scheduleDryRun(selectorData: $selector, timestamp: $at) {
            ... on DryRunInstigationTick { evaluationResult { skipReason runRequests { runKey } } }
        }
    }
"""


@dataclass
class Postgres:
    """A server in a folder of its own, on a port of 127.0.0.1, with one database and one user."""

    programs: Path
    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"postgresql+psycopg2://statements:secret@127.0.0.1:{self.port}/statements"

    def run(self, program: str, *arguments: str) -> None:
        # PostgreSQL refuses to run as root.
        user = "postgres" if os.geteuid() == 0 else None
        subprocess.run(
            [self.programs / program, *arguments],
            user=user,
            cwd="/",
            check=True,
            stdout=subprocess.DEVNULL,
            env=os.environ | {"PGPASSWORD": "secret", "LC_ALL": "C"},
        )

    def make(self) -> None:
        secret = self.folder / "secret"
        secret.write_text("secret\n", encoding="utf-8")
        if os.geteuid() == 0:
            for path in (self.folder, secret):
                shutil.chown(path, "postgres")
        data = str(self.folder / "data")
        self.run("initdb", "-D", data, "-U", "statements", "-A", "scram-sha-256", f"--pwfile={secret}")
        self.start()
        self.run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "statements", "statements")

    def start(self) -> None:
        self._control("start", "-l", str(self.folder / "log"))

    def stop(self) -> None:
        self._control("stop", "-m", "fast")

    def _control(self, what: str, *arguments: str) -> None:
        options = f"-p {self.port} -h 127.0.0.1 -k {self.folder}"
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-o", options, "-w", *arguments, what)

    def count(self, table: str) -> int:
        with psycopg2.connect(self.url.replace("+psycopg2", "")) as connection, connection.cursor() as cursor:
            cursor.execute(f"select count(*) from {table}")
            (found,) = cursor.fetchone()
            return found


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs:
        pytest.fail("There is no PostgreSQL: apt-get install postgresql")
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        found = Postgres(programs[-1], Path(folder), port)
        found.make()
        yield found
        found.stop()


@pytest.fixture(scope="module")
def ui(postgres: Postgres, tmp_path_factory) -> Iterator[Ui]:
    """Four months have landed, none is closed, the first is set; the servers keep their history in PostgreSQL."""
    months = ended_months(4)
    environment = {"STATEMENTS_FIRST_MONTH": str(months[0]), "STATEMENTS_DAGSTER_POSTGRES": postgres.url}
    found = Ui(tmp_path_factory.mktemp("ui") / "data", months, environment=environment)
    land_four_months(found)
    found.start()
    yield found
    if found.process.poll() is None:
        found.stop()
    until(lambda: not found.processes(), "every process of the UI to be gone")


def frozen_up_to(ui: Ui, place: int) -> list[str]:
    return [str(month) for month in ui.months[: place + 1]]


def build_begins(ui: Ui) -> None:
    until(lambda: (ui.data / "build" / "close" / "build.duckdb").exists(), "the build to begin")


def test_the_schedule_asks_and_a_close_by_the_ui_is_written_to_the_database_alone(ui, postgres):
    tick = ui.ask(TICK, selector=SELECTOR | {"scheduleName": "close_due_months"}, at=time.time())
    keys = [request["runKey"] for request in tick["scheduleDryRun"]["evaluationResult"]["runRequests"]]
    assert [key.partition("@")[0] for key in keys] == [str(month) for month in ui.months]
    before = postgres.count("event_logs")
    assert ui.ended(ui.launch(ui.months[0])) == "SUCCESS"
    assert ui.frozen() == frozen_up_to(ui, 0)
    assert postgres.count("event_logs") > before
    assert ui.material("frozen_month", ui.months[0])["outcome"] == "frozen"
    assert [path.name for path in (ui.data / "dagster").rglob("*.db")] == []
    assert "secret" not in (ui.data / "dagster" / "dagster.yaml").read_text(encoding="utf-8")


def test_a_refusal_is_red_at_the_first_step_alone(ui):
    assert ui.ended(ui.launch(ui.months[3])) == "FAILURE"
    assert ui.failed("ready_to_close") == [str(ui.months[3])]
    assert ui.failed("frozen_month") == ui.failed("usage") == []


def test_a_daemon_that_is_killed_in_the_middle_leaves_the_month_frozen_once(ui):
    run = ui.launch(ui.months[1])
    build_begins(ui)
    for pid in ui.processes("dagster._daemon"):
        os.kill(pid, signal.SIGKILL)
    if ui.process.poll() is None:
        ui.stop()
    until(lambda: not ui.processes("dagster_webserver"), "the old servers to be gone")
    ui.start()
    ui.ended(run)
    if str(ui.months[1]) not in ui.frozen():
        assert ui.ended(ui.launch(ui.months[1])) == "SUCCESS"
    assert ui.frozen() == frozen_up_to(ui, 1)


def test_a_database_that_restarts_in_the_middle_of_a_close_leaves_the_month_absent_or_frozen_and_the_ui_goes_on(
    ui, postgres
):
    run = ui.launch(ui.months[2])
    build_begins(ui)
    postgres.stop()
    assert ui.frozen() == frozen_up_to(ui, 1), "the close was over before the restart"
    time.sleep(2)
    postgres.start()
    if ui.process.poll() is not None:
        # Dagster's servers may end with their database; a service manager starts them again.
        until(lambda: not ui.processes("dagster_webserver"), "the old servers to be gone")
        ui.start()
    # From its first answer on, the web server tells how the run ended: no connection of before the restart is used.
    ui.ended(run)
    if str(ui.months[2]) not in ui.frozen():
        assert ui.ended(ui.launch(ui.months[2])) == "SUCCESS"
    assert ui.frozen() == frozen_up_to(ui, 2)
    assert ui.command("verify").returncode == 0


def test_the_command_line_closes_into_the_same_history(ui):
    closed = ui.command("close", str(ui.months[3]))
    assert closed.returncode == 0, closed.stderr
    assert ui.frozen() == frozen_up_to(ui, 3)
    assert ui.material("frozen_month", ui.months[3])["outcome"] == "frozen"


def test_without_its_database_a_close_is_refused_a_landing_is_done_and_both_say_so(ui, postgres, tmp_path):
    ui.stop()
    postgres.stop()
    try:
        given = tmp_path / "ips.csv"
        given.write_text("ip,account_id,recorded_at\n198.51.100.7,beta,2026-01-01T00:00:00Z\n", encoding="utf-8")
        landed = ui.command("land", "ip_assignments", "--accept-late", str(given))
        assert landed.returncode == 0, landed.stderr
        assert landed.stdout.startswith("ips.csv: 1 row, of which 1 landed"), landed.stdout
        assert "Dagster's overview was not told" in landed.stderr
        for command in (("close", str(ui.months[0])), ("ui", "--port", str(ui.port))):
            refused = ui.command(*command)
            assert refused.returncode == 1, refused.stderr
            assert "STATEMENTS_DAGSTER_POSTGRES" in refused.stderr
            assert "Traceback" not in refused.stderr
            assert "secret" not in refused.stderr
    finally:
        postgres.start()
    ui.start()
    assert ui.material("frozen_month", ui.months[3])["outcome"] == "frozen"

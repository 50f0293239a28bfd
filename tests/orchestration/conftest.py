"""Warehouses that tests of closing and reading share: landed ones to copy, and one with two closed months to look at.

What belongs here: the story they tell, and standing in one of them with a command line. What does not: expectations.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from orchestration import settings
from orchestration.commands import close
from orchestration.definitions import build_defs
from orchestration.months import Month
from orchestration.settings import Settings
from tests.conftest import CommandLine
from tests.unit.deliveries import ip_of, number_of, outbound, record, tenant, write_csv

MARCH, APRIL = Month(2026, 3), Month(2026, 4)
AFTER_MARCH, AFTER_APRIL = "2026-04-02T12:00:00+00:00", "2026-05-02T12:00:00+00:00"

TENANTS = [tenant("alpha", name="=Alpha, Inc"), tenant("beta"), tenant("quiet")]
NUMBERS = [
    number_of("alpha", "+12015550101"),
    number_of("beta", "+12015550102"),
    number_of("alpha", "+12015550103"),
    number_of("", "+12015550103", recorded_at="2026-02-01T00:00:00Z"),
]
IPS = [ip_of("alpha", "192.0.2.1"), ip_of("beta", "192.0.2.2")]
IN_MARCH = [
    record("in-alpha", source_ip="192.0.2.2", x_tenant="beta", routed_to="192.0.2.2", call_id="=1+1", from_number="+12015550188"),
    record("in-beta", number="+12015550102", cost="0.25", call_id="-1"),
    outbound("out-header", x_tenant="beta", source_ip="192.0.2.1", cost="1", call_id="@SUM(A1)", from_number="+1 201"),
    outbound("out-ip", source_ip="192.0.2.2", cost="2", call_id="'quoted"),
    outbound("out-case", x_tenant="BETA", source_ip="192.0.2.2", cost="4"),
    record("in-nobody", number="+12015550199", cost="8"),
    record("in-released", number="+12015550103", cost="16"),
    record("twice", cost="0.5", call_id="first"),
    record("twice", cost="0.75", call_id="second"),
    record("in-february", started_at="2026-02-27T00:00:00Z", cost="32"),
]  # fmt: skip
BROKEN = record("broken", cost="much")
LATE = [record("late", cost="64", started_at="2026-03-31T23:00:00Z"), record("in-alpha", cost="0.02")]
IN_APRIL = [
    record("april", started_at="2026-04-10T00:00:00Z", cost="128"),
    record("may", started_at="2026-05-01T00:00:00Z", cost="256"),
]
LATER_STILL = [record("waiting", cost="512")]


@pytest.fixture(autouse=True)
def own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine, and what a close through Dagster sets is put back."""
    for name in [name for name in os.environ if name.startswith("STATEMENTS_")]:
        monkeypatch.delenv(name)
    for name in ("DAGSTER_HOME", "STATEMENTS_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "data"))


@pytest.fixture(scope="session")
def defs(tmp_path_factory) -> dg.Definitions:
    """What Dagster shows and runs for an empty data folder and no setting: every month, and nobody to be told."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in [name for name in os.environ if name.startswith("STATEMENTS_")]:
            monkeypatch.delenv(name)
        return build_defs(settings.load(tmp_path_factory.mktemp("empty")))


def land(line: CommandLine, feed: str, *rows: dict, options: str = "") -> None:
    """Land rows as a file of their own."""
    path = write_csv(line.folder / "given" / f"{feed}-{len(list(line.folder.glob('given/*')))}.csv", *rows)
    line.must(f"land {feed} {path} {options}")


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, instant: str) -> CommandLine:
    line = CommandLine(folder, monkeypatch)
    line.at(instant)
    return line


@pytest.fixture(scope="session")
def landed_march(tmp_path_factory) -> Path:
    """March has ended and landed, one row is rejected, nothing is closed. To be copied."""
    folder = tmp_path_factory.mktemp("landed-march")
    with pytest.MonkeyPatch.context() as monkeypatch:
        line = stand_in(folder, monkeypatch, AFTER_MARCH)
        land(line, "tenants", *TENANTS)
        land(line, "number_assignments", *NUMBERS)
        land(line, "ip_assignments", *IPS)
        land(line, "cdrs", *IN_MARCH, BROKEN)
    return folder


@pytest.fixture(scope="session")
def closed_march(landed_march: Path, tmp_path_factory) -> Path:
    """March is frozen, its rejected row accepted. To be copied."""
    folder = tmp_path_factory.mktemp("closed-march") / "copy"
    shutil.copytree(landed_march, folder)
    with pytest.MonkeyPatch.context() as monkeypatch:
        stand_in(folder, monkeypatch, AFTER_MARCH)
        close.close_month(settings.load(folder / "data"), MARCH, accept_rejected=True, progress=lambda _: None)
    return folder


@pytest.fixture(scope="session")
def closed_april(closed_march: Path, tmp_path_factory) -> Path:
    """April is frozen too. What came late for March, before its close and since, and a record of May are there. To be read."""
    folder = tmp_path_factory.mktemp("closed-april") / "copy"
    shutil.copytree(closed_march, folder)
    with pytest.MonkeyPatch.context() as monkeypatch:
        line = stand_in(folder, monkeypatch, AFTER_APRIL)
        land(line, "cdrs", *LATE)
        land(line, "cdrs", *IN_APRIL)
        close.close_month(settings.load(folder / "data"), APRIL, accept_rejected=False, progress=lambda _: None)
        land(line, "cdrs", *LATER_STILL)
    return folder


@pytest.fixture
def copy_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., CommandLine]]:
    """A function that copies one of the folders above and stands in the copy, at a time."""
    umask = os.umask(0o022)

    def make(folder: Path, instant: str = AFTER_MARCH) -> CommandLine:
        shutil.copytree(folder, tmp_path / "copy")
        return stand_in(tmp_path / "copy", monkeypatch, instant)

    yield make
    os.umask(umask)


def settings_of(line: CommandLine) -> Settings:
    return settings.load(line.data)


def closing(
    line: CommandLine,
    month: Month = MARCH,
    *,
    accept_rejected: bool = True,
    progress: close.Progress = lambda _: None,
) -> close.Closed:
    """Close a month without Dagster, which costs seconds and is tested elsewhere."""
    return close.close_month(settings_of(line), month, accept_rejected=accept_rejected, progress=progress)

"""The same records give the same statements, whatever their order, their files, the machine and the other tenants."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestration import clock
from orchestration.demo import carrier
from orchestration.settings import PROJECT_ROOT
from tests.orchestration.variants import UNRELATED, Files, beside, closed, plain, shuffled, split
from tests.reach import FULL

NOW = datetime(2026, 4, 2, tzinfo=UTC)
MONTH = "2026-03"
ONLY_AT_FULL_REACH = pytest.mark.skipif(not FULL, reason="one close each: make test-hostile")


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Files:
    folder = tmp_path_factory.mktemp("feeds")
    made = carrier.write_feeds(folder, NOW, months=1, records_per_month=2_000)
    assert made.months == (MONTH,)
    return plain(made, folder)


@pytest.fixture(scope="module")
def expected(files, tmp_path_factory) -> dict[str, list[str]]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(clock, "now", lambda: NOW)
        tables = closed(files, tmp_path_factory.mktemp("expected"), MONTH)
    assert len(tables["usage"]) >= 2_000
    assert len(tables["statements"]) > 5
    assert len(tables["unattributed"]) > 1
    return tables


@pytest.fixture
def at_now(monkeypatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW)


def closed_in_zone(files: Files, folder: Path, zone: str) -> dict[str, list[str]]:
    """The same in a process of its own: a time zone is read once in a process's life."""
    given = json.dumps(asdict(files), default=str)
    done = subprocess.run(
        [sys.executable, "-m", "tests.orchestration.variants", str(folder), NOW.isoformat(), MONTH, given],
        cwd=PROJECT_ROOT, env={**os.environ, "TZ": zone}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def without_the_unrelated(tables: dict[str, list[str]]) -> dict[str, list[str]]:
    """What is told of everybody else: the account as a whole has grown."""
    of_all = {"manifest", "organization_statement", "organization"}
    return {name: [row for row in rows if f"'{UNRELATED}'" not in row] for name, rows in tables.items() if name not in of_all}  # fmt: skip


@pytest.mark.long
def test_shuffled_rows_split_over_files_by_one_thread_give_the_same_tables(files, expected, tmp_path, at_now):
    varied = split(shuffled(files, tmp_path / "shuffled", 1), tmp_path / "split", 3)
    assert closed(varied, tmp_path, MONTH, threads=1) == expected


@pytest.mark.long
def test_another_zone_and_another_tenant_give_everybody_the_same_statement(files, expected, tmp_path):
    varied = beside(files, tmp_path / "beside", MONTH)
    tables = closed_in_zone(varied, tmp_path, "Pacific/Chatham")
    assert any(UNRELATED in row for row in tables["statements"])
    assert without_the_unrelated(tables) == without_the_unrelated(expected)


@ONLY_AT_FULL_REACH
@pytest.mark.parametrize("seed", range(2, 6))
def test_shuffled_rows_alone(files, expected, tmp_path, at_now, seed):
    assert closed(shuffled(files, tmp_path / "shuffled", seed), tmp_path, MONTH) == expected


@ONLY_AT_FULL_REACH
@pytest.mark.parametrize("parts", [2, 5, 11])
def test_split_files_alone(files, expected, tmp_path, at_now, parts):
    assert closed(split(files, tmp_path / "split", parts), tmp_path, MONTH) == expected


@ONLY_AT_FULL_REACH
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_threads_alone(files, expected, tmp_path, at_now, threads):
    assert closed(files, tmp_path, MONTH, threads) == expected


@ONLY_AT_FULL_REACH
@pytest.mark.parametrize("zone", ["UTC", "America/Los_Angeles", "Asia/Kolkata", "Pacific/Chatham"])
def test_time_zones_alone(files, expected, tmp_path, zone):
    assert closed_in_zone(files, tmp_path, zone) == expected


@ONLY_AT_FULL_REACH
def test_another_tenant_alone(files, expected, tmp_path, at_now):
    tables = closed(beside(files, tmp_path / "beside", MONTH), tmp_path, MONTH)
    assert without_the_unrelated(tables) == without_the_unrelated(expected)

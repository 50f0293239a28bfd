"""Several at once: closes from the command line and from Dagster, a landing, an analyst who has the warehouse open.

Also what Dagster adds to a kill: a run that its history says has begun and never ended.
"""

import subprocess
import sys
from collections import Counter

import dagster as dg
import duckdb
import pytest

from orchestration import settings
from orchestration.close import verify
from orchestration.frozen import frozen_months
from tests.faults import strace
from tests.faults.conftest import AFTER_APRIL, LATER, given
from tests.faults.machine import ROOT, Command, Done, Zygote, left
from tests.faults.strace import Fault
from tests.reach import FULL, missing

pytestmark = pytest.mark.skipif(not FULL, reason="make test-faults")
ROUNDS = 20
COMMAND_LINE = Command("close 2026-04", AFTER_APRIL, dagster=True)
JOB = Command("", AFTER_APRIL, dagster=True, job="2026-04")
# What a reader sees of the warehouse at any time.
CLOSED = "select month from operations.closes order by month"


def outcomes(zygote: Zygote) -> Counter[str]:
    """How often Dagster's history says that a month was frozen, and how often that it was found frozen and verified."""
    home = zygote.data / "dagster"
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DAGSTER_HOME", str(home))
        instance = dg.DagsterInstance.from_config(str(home))
    with instance:
        events = instance.fetch_materializations(dg.AssetKey("frozen_month"), limit=1_000).records
        return Counter(event.asset_materialization.metadata["outcome"].value for event in events)


def all_at_once(zygote: Zygote, commands: list[Command]) -> list[Done]:
    children = [zygote.start(command) for command in commands]
    for child in children:
        strace.go_on(child.pid)
    return [zygote.end_of(child) for child in children]


def problems(zygote: Zygote) -> list[str]:
    configuration = settings.load(zygote.data)
    return verify.all_problems(configuration, frozen_months(configuration), lambda _: None)


def test_of_six_closes_at_once_one_freezes_and_five_verify(zygote, april_landed):
    landing = Command(f"land cdrs {given(zygote.folder, 'later', LATER)}", AFTER_APRIL)
    for turn in range(ROUNDS):
        zygote.reset(april_landed)
        before = left(zygote.data)
        with duckdb.connect(str(zygote.data / "warehouse.duckdb"), read_only=True) as reader:
            assert reader.execute(CLOSED).fetchall() == [("2026-03",)]
            done = all_at_once(zygote, [COMMAND_LINE, JOB, COMMAND_LINE, JOB, landing, COMMAND_LINE, JOB])
            assert [one.status for one in done] == [0] * 7, f"round {turn}: {done}"
            assert reader.execute(CLOSED).fetchall() == [("2026-03",)]
        assert outcomes(zygote) == {"frozen": 1, "already frozen, verified": 5}, f"round {turn}"
        assert problems(zygote) == []
        now = left(zygote.data)
        assert {name: now.folders[name] for name in before.folders} == before.folders
        assert len(now.folders) == len(before.folders) + 2
        assert now.scraps == []
        with duckdb.connect(str(zygote.data / "warehouse.duckdb"), read_only=True) as reader:
            assert reader.execute(CLOSED).fetchall() == [("2026-03",), ("2026-04",)]


# The command line itself, with nothing made beforehand but the time.
PROGRAM = """
import sys
from datetime import datetime
from orchestration import cli, clock
clock.now = lambda: datetime.fromisoformat(sys.argv[1])
cli.app(sys.argv[2:])
"""


def test_of_closes_in_processes_that_share_nothing_one_freezes(zygote, april_landed):
    zygote.reset(april_landed)
    command = [sys.executable, "-c", PROGRAM, AFTER_APRIL, "--data-dir", str(zygote.data), "close", "2026-04"]
    started = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(3)
    ]
    said = [one.communicate()[0] for one in started]
    assert [one.returncode for one in started] == [0] * 3, said
    assert outcomes(zygote) == {"frozen": 1, "already frozen, verified": 2}
    assert problems(zygote) == []


# strace knows a call of two paths by the first.
KILLED = {
    "while dbt builds": ("openat", "build/close/month=2026-04/usage/day=10.parquet", "absent"),
    "while a file is written": ("write", "build/close/month=2026-04/statements.csv", "absent"),
    "as it is renamed": ("renameat2", "statements/month=2026-04", "absent"),
    "just after the rename": ("fsync", "statements", "whole"),
    "as the warehouse is swapped": ("rename", "build/warehouse/warehouse.duckdb", "whole"),
}


@pytest.mark.skipif(bool(missing("strace")), reason=f"kills in Dagster: {missing('strace')}")
@pytest.mark.parametrize("point", KILLED)
def test_a_run_of_dagster_that_is_killed_is_run_again_and_freezes_once(zygote, april_landed, point):
    call, path, then = KILLED[point]
    zygote.reset(april_landed)
    zygote.must(JOB)
    whole = left(zygote.data)
    zygote.reset(april_landed)
    done, fired = zygote.with_fault(JOB, Fault("kill", call, zygote.data / path, 1))
    assert fired, f"{point}: the run ended with {done.status}"
    month = "statements/month=2026-04"
    assert (month in left(zygote.data).folders) == (then == "whole")
    for again in (JOB, COMMAND_LINE):
        zygote.must(again)
    now = left(zygote.data)
    assert (now.folders, now.warehouse, now.scraps) == (whole.folders, whole.warehouse, [])
    assert problems(zygote) == []
    # The killed run had no time to tell of what it had frozen.
    frozen = 1 if then == "absent" else 0
    assert outcomes(zygote) == Counter({"frozen": frozen, "already frozen, verified": 2 - frozen})

"""A close whose driver or worker is killed in the middle leaves the month absent, or frozen once; never half."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.cluster import cluster
from orchestration.settings import PROJECT_ROOT
from tests.reach import FULL
from tests.spark import months
from tests.spark.test_engines import close, landed

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not FULL, reason="`make test-spark` kills drivers and workers")]

CLOSE = """
from datetime import datetime
from orchestration import clock, settings
from orchestration.commands.close import close_month
from orchestration.months import Month
clock.now = lambda: datetime.fromisoformat("2026-04-02T12:00:00+00:00")
say = lambda step: print(step, flush=True)
close_month(settings.load(), Month.parse("2026-03"), accept_rejected=False, progress=say)
"""


def closing(data: Path, **variables: str) -> subprocess.Popen:
    """A close by Spark in a process of its own, which prints each step when it is done."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STATEMENTS_")}
    environment |= {"STATEMENTS_ENGINE": "spark", "STATEMENTS_DATA_DIR": str(data), **variables}
    return subprocess.Popen(
        [sys.executable, "-c", CLOSE],
        cwd=PROJECT_ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(process: subprocess.Popen, step: str) -> None:
    for line in process.stdout:
        if line.strip() == step:
            return
    raise AssertionError(process.stderr.read())


def children(pid: int) -> list[int]:
    found = subprocess.run(["ps", "--ppid", str(pid), "-o", "pid="], capture_output=True, text=True).stdout
    return [int(line) for line in found.split()]


def test_a_driver_that_is_killed_leaves_no_month_and_the_next_close_freezes_it(spark: None, tmp_path: Path) -> None:
    by_duckdb = close("duckdb", landed("duckdb", tmp_path / "duckdb"))
    folder = landed("duckdb", tmp_path / "spark")
    process = closing(folder / "data")
    wait_for(process, "usage")
    machines = children(process.pid)
    assert machines
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (folder / "data" / "statements" / "month=2026-03").exists()
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{pid}/stat").exists() for pid in machines):
        assert time.monotonic() < deadline, "the driver's Java machine outlives it"
        time.sleep(0.5)
    months.require_alike(by_duckdb, close("spark", folder))


def test_a_cluster_that_loses_a_worker_freezes_the_same_month(spark: None, tmp_path: Path) -> None:
    by_duckdb = close("duckdb", landed("duckdb", tmp_path / "duckdb"))
    folder = landed("duckdb", tmp_path / "spark")
    with cluster(tmp_path / "cluster", workers=2) as machines:
        process = closing(folder / "data", SPARK_CONF_DIR=str(machines.configuration))
        wait_for(process, "usage")
        machines.kill(machines.processes[-1])
        _, said = process.communicate(timeout=1800)
        assert process.returncode == 0, said
    months.require_alike(by_duckdb, folder / "data")

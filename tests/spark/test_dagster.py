"""A close by Spark through Dagster's job: the same month, and a refusal that is one sentence, there and on a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import command_line_in
from tests.reach import FULL
from tests.spark import months
from tests.spark.test_engines import close, landed, plant

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not FULL, reason="`make test-spark` closes through Dagster")]

# Signs of Java's stack and of the bridge to it.
JAVA = (b"at org.apache", b"Py4JJavaError", b"SQLSTATE")


def test_dagsters_job_closes_by_spark_and_tells_a_refusal_in_a_sentence(spark: None, tmp_path: Path) -> None:
    by_duckdb = close("duckdb", landed("duckdb", tmp_path / "duckdb"))
    folder = landed("duckdb", tmp_path / "spark")
    with command_line_in(folder) as line, pytest.MonkeyPatch.context() as planting:
        line.at("2026-04-02T12:00:00Z")
        line.set("STATEMENTS_ENGINE", "spark")
        says = plant(planting, "a sum beyond its range")
        refused = line.run("close 2026-03")
        assert refused.exit_status == 1
        assert says in refused.stderr
        assert not (line.data / "statements" / "month=2026-03").exists()
        planting.undo()
        line.must("close 2026-03")
        history = {path: path.read_bytes() for path in (line.data / "dagster").rglob("*") if path.is_file()}
    assert any(says.encode() in kept for kept in history.values())
    for place, told in {Path("stderr"): refused.stderr.encode(), **history}.items():
        assert [sign for sign in JAVA if sign in told] == [], place
    months.require_alike(by_duckdb, folder / "data")

"""dbt's unit tests on Spark: the same fixtures and the same expectations as on DuckDB."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.close import dbt_build, on_spark
from orchestration.close.dbt_build import Target
from orchestration.close.pinning import Workspace
from orchestration.months import Month
from tests.dbt.test_project import RELATIONS, SCHEMAS
from tests.reach import FULL

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not FULL, reason="`make test-spark` runs dbt's unit tests on Spark")]


def test_every_unit_test_passes_on_spark_too(session, tmp_path: Path) -> None:
    on_spark._begin(session, Workspace(tmp_path / "close", Month.parse("2026-02")))
    # Sources and views are tables there, so that dbt can ask for their columns.
    for schema in ("landed", "control", "frozen"):
        session.sql(f"drop database if exists {schema} cascade")
        session.sql(f"create database {schema} location 'file://{tmp_path / schema}'")
    for name, columns in RELATIONS.items():
        typed = ", ".join(f"{column} {on_spark.TYPES[kind][0]}" for column, kind in columns.items())
        session.sql(f"create table {SCHEMAS.get(name, 'landed')}.{name} ({typed})")
    target = Target("spark_unit_tests", tmp_path / "target", dbt_build.SPARK.packages)
    outcome = dbt_build._invoke(
        target, ["build", "--exclude-resource-type", "test", "--target-path", str(target.folder)], manifest=None
    )
    results = [dbt_build._result(result) for result in dbt_build._run_results(outcome)]
    assert [f"{one.name}: {one.message}" for one in results if one.status not in ("success", "pass")] == []
    assert len([one for one in results if one.resource_type == "unit_test"]) > 40

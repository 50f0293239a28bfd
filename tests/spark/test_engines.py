"""A month says the same whichever engine closed it, and either engine computes the other's months again."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from orchestration.close import dbt_build, on_spark
from tests.reach import FULL
from tests.spark import months

pytestmark = pytest.mark.slow

ENGINES = ("duckdb", "spark")
# Corrections over three months, and every form of header.
FEW = ("07-changed-records", "10-header-spellings")
ALL = sorted(path.parent.name for path in months.SCENARIOS.glob("*/steps"))
# It ends with landed files that are damaged, of which no engine computes anything again.
DAMAGED = "13-flipped-bit"
# No longer than any text that lands; Spark's regular expressions run out of stack on it.
HOSTILE_IP = "a:" * 450
TENANTS = "account_id,name,address1,city,state,postal_code,country,phone,billing_email,contact_person,contact_phone,recorded_at\n"
ACME = "acme,Acme,1 Main St,Springfield,IL,62701,US,+12025550100,a@example.com,Ann,+12025550100,2026-01-01T00:00:00Z\n"
CDRS = "record_id,service,direction,started_at,duration_seconds,source_ip,x_tenant,cost\n"


@pytest.mark.parametrize("case", ALL if FULL else FEW)
def test_a_story_is_frozen_alike_by_both_engines(case: str, spark: None, tmp_path: Path) -> None:
    by_duckdb, by_spark = (months.tell(case, engine, tmp_path / engine) for engine in ENGINES)
    months.require_alike(by_duckdb, by_spark)
    engines = {manifest["versions"]["engine"].split()[0] for manifest in months.manifests(by_spark).values()}
    assert engines == {"spark"}
    if case != DAMAGED:
        months.require_recomputed(by_spark, "duckdb")
    if FULL and case != DAMAGED:
        months.require_recomputed(by_duckdb, "spark")


@pytest.mark.skipif(not FULL, reason="`make test-spark` closes a story more")
def test_a_month_of_many_rows_is_computed_another_way_and_frozen_alike(
    spark: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_spark, "FEW_BYTES", 0)
    months.require_alike(*(months.tell("07-changed-records", engine, tmp_path / engine) for engine in ENGINES))


def landed(engine: str, folder: Path):
    """A small March in which one day alone has records, one of them with an address that is none."""
    folder.mkdir()
    (folder / "tenants.csv").write_text(TENANTS + ACME, encoding="utf-8")
    rows = [
        f"r{number},outbound_conversational,outbound,2026-03-05T10:00:0{number}Z,61,{HOSTILE_IP},{tenant},0.000000001\n"
        for number, tenant in enumerate(("acme", "", "ACME", "acme"))
    ]
    (folder / "cdrs.csv").write_text(CDRS + "".join(rows), encoding="utf-8")
    with months.on(engine, folder) as line:
        line.at("2026-04-02T12:00:00Z")
        line.must("land tenants tenants.csv")
        line.must("land cdrs cdrs.csv")
    return folder


def close(engine: str, folder: Path) -> Path:
    with months.on(engine, folder) as line:
        line.at("2026-04-02T12:00:00Z")
        line.must("close 2026-03")
        return line.data


@pytest.mark.skipif(not FULL, reason="`make test-spark` closes a month more")
def test_a_hostile_address_is_malformed_and_a_day_without_records_has_its_file(spark: None, tmp_path: Path) -> None:
    by_duckdb, by_spark = (close(engine, landed(engine, tmp_path / engine)) for engine in ENGINES)
    months.require_alike(by_duckdb, by_spark)
    usage = by_spark / "statements" / "month=2026-03" / "usage"
    assert sorted(path.name for path in usage.glob("day=*")) == [f"day={day:02d}.parquet" for day in range(1, 32)]
    rows = {day: pq.read_metadata(usage / f"day={day:02d}.parquet").num_rows for day in range(1, 32)}
    assert {day: count for day, count in rows.items() if count} == {5: 4}
    found = (
        pq.read_table(usage / "day=05.parquet").select(["record_id", "account_id", "reason", "started_at"]).to_pylist()
    )
    assert {row["record_id"]: (row["account_id"], row["reason"]) for row in found} == {
        "r0": ("acme", None),
        "r1": (None, "ip_malformed"),
        "r2": (None, "header_case_mismatch"),
        "r3": ("acme", None),
    }
    assert found[0]["started_at"] == datetime(2026, 3, 5, 10, tzinfo=UTC)


# A model's SQL, and what it becomes: the change is the same on both engines.
LARGEST = "cast(99999999999999999999999999999.999999999 as decimal(38, 9))"
PLANTED = {
    "a sum beyond its range": (
        "int_usage_totals",
        "cast(grouped.cost as decimal(38, 9)) as cost",
        f"{LARGEST} as cost",
        "cannot be computed",
    ),
    "a difference of a billionth": (
        "organization_statement",
        "cast(coalesce(sum(cost), 0) as decimal(38, 9)) as cost",
        "cast(coalesce(sum(cost), 0) + cast(0.000000001 as decimal(38, 9)) as decimal(38, 9)) as cost",
        "assert_reconciliation_has_no_differences",
    ),
}


def plant(monkeypatch: pytest.MonkeyPatch, planted: str) -> str:
    """Change a model from now on. Returns words of the refusal that follows from it."""
    model, was, becomes, says = PLANTED[planted]
    prepared = dbt_build.compiled_manifest

    def altered(*target):
        manifest = prepared(*target)
        node = manifest.nodes[f"model.tenant_statements.{model}"]
        assert was in node.raw_code
        node.raw_code = node.raw_code.replace(was, becomes)
        return manifest

    monkeypatch.setattr(dbt_build, "compiled_manifest", altered)
    return says


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("planted", PLANTED)
def test_what_does_not_add_up_is_refused(
    engine: str, planted: str, spark: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine == "spark" and not FULL:
        pytest.skip("`make test-spark` closes two months more")
    folder = landed(engine, tmp_path / engine)
    says = plant(monkeypatch, planted)
    with months.on(engine, folder) as line:
        line.at("2026-04-02T12:00:00Z")
        outcome = line.run("close 2026-03")
    assert outcome.exit_status == 1
    assert says in outcome.stderr
    assert "at org.apache" not in outcome.stderr
    assert not (line.data / "statements" / "month=2026-03").exists()


def test_a_compiled_model_names_no_function_of_the_other_engine(session) -> None:
    foreign = {
        dbt_build.DUCKDB: ("unix_micros(", "xxhash64(", " rlike ", "max_by(", "named_struct(", "explode(", " div "),
        dbt_build.SPARK: (
            "epoch_us(",
            "hash(re",
            "regexp_full_match(",
            "arg_max",
            "struct_pack(",
            "unnest(",
            "//",
            "::",
        ),
    }
    for target, words in foreign.items():
        nodes = dbt_build._nodes(target).values()
        compiled = {node["name"]: node.get("compiled_code") or "" for node in nodes if node["resource_type"] != "seed"}
        assert len(compiled) > 50
        for name, sql in compiled.items():
            code = "".join(line.partition("--")[0] for line in sql.splitlines())
            assert [word for word in words if word in code.replace("'::'", "").replace("?::(", "")] == [], name

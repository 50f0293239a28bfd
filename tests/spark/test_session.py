"""The session has the settings on which money depends, and a close without it is refused in one sentence."""

from __future__ import annotations

import importlib.util
from decimal import Decimal
from pathlib import Path

import pytest

from orchestration import settings
from orchestration.close import dbt_build, on_spark, spark_session
from orchestration.close.pinning import FilesPin, Part, Workspace
from orchestration.errors import Refused
from orchestration.months import Month
from orchestration.settings import DBT_PROJECT

pytestmark = pytest.mark.slow
ALL_PLACES = Decimal("0.000000001")


def test_without_the_packages_the_setting_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Refused, match=r"make spark.*pip install 'tenant-statements\[spark\]'"):
        spark_session.connect(settings.load())


def test_without_java_a_sentence_says_which(spark, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    spark_session._java_version.cache_clear()
    try:
        with pytest.raises(Refused, match="Spark needs Java 17 or newer, and there is none.*openjdk-17-jre-headless"):
            spark_session._require_installed()
    finally:
        spark_session._java_version.cache_clear()


def test_an_old_java_is_named(spark, monkeypatch, tmp_path):
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"1.8.0_402\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    spark_session._java_version.cache_clear()
    try:
        with pytest.raises(Refused, match="this is Java 8"):
            spark_session._require_installed()
    finally:
        spark_session._java_version.cache_clear()


def test_spark_connect_is_refused(spark, monkeypatch):
    monkeypatch.setenv("SPARK_REMOTE", "sc://localhost")
    with pytest.raises(Refused, match=r"SPARK_REMOTE.*spark-defaults\.conf"):
        spark_session._require_installed()


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("spark.sql.ansi.enabled", "false"),
        ("spark.sql.decimalOperations.allowPrecisionLoss", "true"),
        ("spark.sql.session.timeZone", "America/Denver"),
        ("spark.sql.parquet.outputTimestampType", "INT96"),
    ],
)
def test_a_setting_that_money_depends_on_is_read_back(session, name, wrong):
    right = session.conf.get(name)
    session.conf.set(name, wrong)
    try:
        with pytest.raises(Refused, match=f"Spark has {name} = {wrong} where a close needs {right}"):
            spark_session.connect(settings.load())
    finally:
        session.conf.set(name, right)
    spark_session.require_settings(session)


def test_a_small_month_leaves_the_next_as_it_was_configured(session):
    configured = {name: session.conf.get(name) for name in spark_session.FEW_ROWS}
    spark_session.suit(session, few_rows=True)
    assert {name: session.conf.get(name) for name in configured} == spark_session.FEW_ROWS
    spark_session.require_settings(session)
    spark_session.suit(session, few_rows=False)
    assert {name: session.conf.get(name) for name in configured} == configured
    assert configured["spark.sql.adaptive.enabled"] == "true"


def test_every_statement_of_dbt_runs_with_the_checks_on(session):
    """dbt-spark sets the mode before each statement. Its own way to run one is asked."""
    from dbt.adapters.spark.connections import SparkCredentials
    from dbt.adapters.spark.session import Connection

    credentials = SparkCredentials(method="session", host="none", schema="main")
    cursor = Connection(server_side_parameters=credentials.server_side_parameters).cursor()
    cursor.execute("set spark.sql.ansi.enabled")
    assert cursor.fetchone()[1] == "true"
    spark_session.require_settings(session)


def test_amounts_keep_all_places_and_never_pass_their_range(session):
    one = "cast(1 as decimal(38, 9))"
    (row,) = session.sql(f"select {one} - cast(0.999999999 as decimal(38, 9)) as d, -1 * {one} * 1 as p").collect()
    assert row.d == ALL_PLACES
    largest = "cast(99999999999999999999999999999.999999999 as decimal(38, 9))"
    with pytest.raises(Refused, match="OUT_OF_RANGE|OVERFLOW") as refused, spark_session.errors():
        session.sql(f"select sum(x) from (values ({largest}), ({largest})) as t (x)").collect()
    assert "99999" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_path_is_never_a_pattern_and_a_file_that_lacks_a_column_has_nulls(session, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = tmp_path / "odd a,b +%20 'é"
    folder.mkdir()
    paths = [folder / "3.parquet", folder / "1.parquet", folder / "2.parquet"]
    for number, path in enumerate(paths):
        pq.write_table(pa.table({"record_id": [f"r{number}"]} | ({"cost": [number]} if number else {})), path)
    columns = {"record_id": "varchar", "cost": "bigint"}
    pin = FilesPin(
        "landed.odd", columns, [Part(dict.fromkeys(paths[:2], frozenset()), {"is_new": True})], "stated_file"
    )
    rows = on_spark._rows(session, pin, pin.parts[0]).collect()
    assert sorted(map(tuple, rows)) == [("r0", None, str(paths[0]), True), ("r1", 1, str(paths[1]), True)]


@pytest.mark.parametrize("name", ["{1,2}.parquet", "[1].parquet", "*.parquet", "?.parquet", "back\\slash.parquet"])
def test_a_path_that_spark_takes_for_a_pattern_is_refused(session, tmp_path, name):
    with pytest.raises(Refused, match="which Spark takes for a pattern"):
        on_spark._read(session, {"record_id": "varchar"}, [tmp_path / name])


def test_a_day_in_two_parts_is_refused(session, tmp_path):
    workspace = Workspace(tmp_path / "close", Month.parse("2026-03"))
    (workspace.output / "usage").mkdir(parents=True)
    on_spark._begin(session, workspace)
    session.sql(
        "create table main.usage_days partitioned by (written_day) as "
        "select /*+ repartition(2) */ id, date'2026-03-05' as written_day from range(10)"
    )
    with pytest.raises(Refused, match=r"2026-03-05 in 2 parts.*nothing was published"):
        on_spark._name_days(settings.load(tmp_path), session, workspace)


def test_an_executor_works_on_files_where_they_are(session, tmp_path, monkeypatch):
    from orchestration import files

    monkeypatch.setattr(on_spark, "FEW_BYTES", 0)
    paths = [tmp_path / f"{number}.txt" for number in range(3)]
    for path in paths:
        path.write_text(path.name)
    configuration = settings.load(tmp_path)
    assert on_spark.on_executors(configuration, files.sha256, paths) == [files.sha256(path) for path in paths]
    assert on_spark.on_executors(configuration, files.sha256, []) == []


def test_types_have_the_same_names_in_the_macro_and_in_the_pins():
    macro = (DBT_PROJECT / "macros" / "contracts.sql").read_text(encoding="utf-8")
    for duckdb_type, (spark_type, _) in on_spark.TYPES.items():
        if not duckdb_type.startswith("decimal"):
            assert f"'{duckdb_type}': '{spark_type}'" in macro
    contracts = {kind for table in ("usage", "statements") for kind in dbt_build.contract(table).values()}
    assert {kind for kind in contracts if not kind.startswith("decimal(")} <= on_spark.TYPES.keys()


def test_object_storage_is_refused_with_the_reason(monkeypatch):
    for address in ("s3://bucket/data", "gs://bucket", "abfss://c@a.dfs.core.windows.net/x"):
        monkeypatch.setenv("STATEMENTS_DATA_DIR", address)
        with pytest.raises(Refused, match="no rename that fails when the name is taken"):
            settings.load()
        with pytest.raises(Refused, match="no rename"):
            settings.load(Path(address))


def test_an_unknown_engine_is_refused(monkeypatch):
    monkeypatch.setenv("STATEMENTS_ENGINE", "sail")
    with pytest.raises(Refused, match="STATEMENTS_ENGINE is 'sail': write duckdb or spark"):
        settings.load()


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            '[ARITHMETIC_OVERFLOW] Overflow in sum of decimals. If necessary set "spark.sql.ansi.enabled" to "false" '
            "to bypass this error. SQLSTATE: 22003\n\tat org.apache.spark",
            "ARITHMETIC_OVERFLOW: Overflow in sum of decimals.",
        ),
        (
            '[CAST_INVALID_INPUT] The value \'Jane Doe\' of the type "STRING" cannot be cast to "DATE". SQLSTATE: 1',
            "CAST_INVALID_INPUT: The value … of the type … cannot be cast to ….",
        ),
        (
            "An error occurred while calling o66.sql.\n: java.lang.StackOverflowError\n\tat java.base/java.util.regex",
            "java.lang.StackOverflowError",
        ),
        ("Nothing that Spark says\nand more", "Nothing that Spark says"),
    ],
)
def test_spark_is_cut_to_its_own_sentence_without_values(said, told):
    assert spark_session.sentence(said) == told

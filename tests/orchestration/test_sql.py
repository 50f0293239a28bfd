"""`statements sql`: what a query can ask, and that it changes nothing and reads no file but the warehouse's."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestration.cli import app
from tests.conftest import CommandLine
from tests.orchestration.conftest import AFTER_APRIL, stand_in


@pytest.fixture
def line(closed_april: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    here = stand_in(tmp_path, monkeypatch, AFTER_APRIL)
    here.data = closed_april / "data"
    return here


def files(folder: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*") if path.is_file()}


def test_a_query_reads_every_relation_of_the_warehouse_exactly_and_in_utc(line):
    names = json.loads(
        line.must(
            "sql \"select table_schema || '.' || table_name as name from information_schema.tables\" --json"
        ).stdout
    )
    assert len(names) > 15
    for row in names:
        line.must(f"sql 'select * from {row['name']}' --json")
    query = "select cost, started_at from statements.usage where record_id = 'in-alpha' and month = '2026-03'"
    assert json.loads(line.must(f'sql "{query}" --json').stdout) == [
        {"cost": "0.010000000", "started_at": "2026-03-05T10:00:00Z"}
    ]
    assert line.must(f'sql "{query}" --csv').stdout == "cost,started_at 0.010000000,2026-03-05T10:00:00.000000Z"
    assert "0.01 │ 2026-03-05 10:00:00" in line.must(f'sql "{query}"').stdout


@pytest.mark.parametrize(
    "query",
    ["from assets.tenants", "describe statements.usage", "summarize assets.tenants", "show all tables", "values (1)",
     "with one as (select 1 as x) select * from one", "select 1e308 * 10 as x, 'nan'::float as y, [1.5] as z, {'a': 1::decimal} as w, map {1: 'x'} as v, '\\xAA'::blob as b, interval 1 day as i",
     "select 'infinity'::timestamptz as a, '290000-01-01'::timestamp as b, '0044-03-15 (BC)'::date as c"],
)  # fmt: skip
def test_every_kind_of_question_and_value_is_answered_or_refused_in_words(line, query):
    outcome = line.run(f'sql "{query}" --json')
    assert outcome.exit_status == 0, outcome.stderr
    json.loads(outcome.stdout, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    line.must(f'sql "{query}"')
    line.must(f'sql "{query}" --csv')


@pytest.mark.parametrize(
    "query",
    [
        "copy (select 1) to '{data}/statements/mine.csv'",
        "copy (select 1) to '{data}/statements/month=2026-03/statements.parquet'",
        "explain analyze copy (select 1) to '{data}/landing/cdrs/mine.csv'",
        "copy (select 1) to '{tmp}/mine.csv'",
        "attach '{tmp}/mine.duckdb'",
        "export database '{tmp}/mine'",
        "install httpfs",
        "load httpfs",
        "set lock_configuration = false",
        "set enable_external_access = true",
        "reset enable_external_access",
        "create table statements.mine as select 1",
        "create temp table mine as select 1",
        "delete from operations.batches",
        "drop view statements.usage",
        "comment on table assets.tenants is 'x'",
        "pragma disable_verification",
        "checkpoint",
        "select 1; copy (select 1) to '{data}/statements/mine.csv'",
        "select * from read_text('/etc/passwd')",
        "select * from '/etc/passwd'",
        "select * from read_parquet('{data}/landing/tenants/*/*.parquet')",
        "select * from read_parquet('{data}/landing/cdrs/../tenants/*/*.parquet')",
        "select * from glob('{data}/landing/tenants/**')",
        "select * from glob('/etc/*')",
        "select * from read_csv('/dev/stdin')",
        "select * from sniff_csv('/etc/passwd')",
        "select * from read_blob('/proc/self/environ')",
        "select * from parquet_metadata('{data}/landing/tenants/x.parquet')",
        "select * from query('copy (select 1) to ''{data}/statements/mine.csv''')",
        "select * from read_duckdb('{tmp}/other.duckdb')",
        "select * from settings",
        "select 1 as a, 2 as a",
        "select nothing from nowhere",
        "select",
        "",
        "/* nothing */",
    ],
)
def test_a_query_changes_nothing_and_reads_no_other_file(line, tmp_path, query):
    (tmp_path / "here").mkdir()
    before = files(line.data)
    asked = query.format(data=line.data, tmp=tmp_path / "here").replace('"', '\\"')
    outcome = line.run(f'sql "{asked}"')
    assert (outcome.exit_status, outcome.stdout) == (1, "")
    assert outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert files(line.data) == before
    assert list((tmp_path / "here").iterdir()) == []


def test_a_query_is_read_from_stdin(line):
    arguments = ["--data-dir", str(line.data), "sql", "-", "--csv"]
    assert CliRunner().invoke(app, arguments, input="select 1 as a\n").stdout == "a\n1\n"

"""Months as one DuckDB file: the same rows as the warehouse's, in a file that names no other."""

import shutil
from pathlib import Path

import duckdb
import pytest

from orchestration.close import tables
from tests.conftest import CommandLine
from tests.orchestration.conftest import AFTER_APRIL, stand_in


@pytest.fixture
def line(closed_april: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    here = stand_in(tmp_path, monkeypatch, AFTER_APRIL)
    here.data = closed_april / "data"
    return here


def rows(path: Path, query: str) -> list[tuple]:
    with duckdb.connect(str(path), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        return connection.execute(query).fetchall()


def relations(path: Path) -> set[str]:
    return {
        f"{schema}.{name}"
        for schema, name in rows(path, "select table_schema, table_name from information_schema.tables")
    }


def test_a_database_of_months_holds_what_the_warehouse_says_of_them(line):
    printed = line.must("export 2026-04 2026-03 --format duckdb --with-usage --out out").stdout
    path = line.folder / "out" / "statements_2026-03_2026-04.duckdb"
    assert printed == "out/statements_2026-03_2026-04.duckdb"
    assert [other.name for other in path.parent.iterdir()] == [path.name]
    # Under another name and in another place, with nothing beside it.
    copy = line.folder / "elsewhere.duckdb"
    shutil.copy(path, copy)
    warehouse = line.data / "warehouse.duckdb"
    names = {f"statements.{table.name}" for table in (*tables.TABLES, tables.USAGE)}
    views = {name for name in relations(warehouse) if name.startswith("reports.")}
    assert relations(copy) == names | views
    for name in names | views:
        columns = ", ".join(
            column for column, *_ in rows(copy, f"describe {name}") if column not in tables.NOT_EXPORTED
        )
        assert rows(copy, f"select {columns} from {name} order by all") == rows(
            warehouse, f"select {columns} from {name} order by all"
        ), name
    assert set(tables.NOT_EXPORTED).isdisjoint(column for column, *_ in rows(copy, "describe statements.usage"))


def test_a_database_names_no_file_and_has_every_comment(line):
    line.must("export 2026-03 --format duckdb --out out")
    path = line.folder / "out" / "statements_2026-03.duckdb"
    content = path.read_bytes()
    for trace in (str(line.data), str(line.folder), ".parquet"):
        assert trace.encode() not in content, trace
    assert (
        rows(path, "select table_name, column_name from duckdb_columns() where comment is null and not internal") == []
    )
    assert "statements.usage" not in relations(path)
    assert rows(path, "select distinct month from statements.statements") == [("2026-03",)]


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        ("2026-03 --format duckdb --account alpha", 2, "whole months"),
        ("2026-03 2026-04", 2, "--format duckdb or iceberg"),
        ("2026-03 --with-usage", 2, "--with-usage with duckdb alone"),
        ("2026-03 --with-usage --format iceberg", 2, "--with-usage with duckdb alone"),
        ("2026-03 --account alpha --format iceberg", 2, "whole months"),
        ("2026-03 2026-05 --format iceberg", 1, "2026-05 is not closed"),
        ("2026-03 2026-05 --format duckdb", 1, "2026-05 is not closed"),
    ],
)
def test_what_no_database_can_hold_is_refused(line, options, status, words):
    outcome = line.run(f"export {options} --out out")
    assert (outcome.exit_status, outcome.stdout) == (status, "")
    assert words in " ".join(outcome.stderr.replace("│", " ").split())
    assert not (line.folder / "out").exists()

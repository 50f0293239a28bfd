"""Months in an Iceberg catalogue: every row of every table, with its month, and not a byte of it copied."""

from pathlib import Path

import duckdb
import pytest
from pyiceberg.catalog.sql import SqlCatalog

from orchestration.close import tables
from tests.conftest import CommandLine
from tests.orchestration.conftest import AFTER_APRIL, stand_in

NAMES = [table.name for table in (*tables.TABLES, tables.USAGE)]


@pytest.fixture
def line(closed_april: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    here = stand_in(tmp_path, monkeypatch, AFTER_APRIL)
    here.data = closed_april / "data"
    return here


def opened(line: CommandLine) -> SqlCatalog:
    folder = line.folder / "lake" / "iceberg"
    return SqlCatalog("statements", uri=f"sqlite:///{folder / 'catalog.db'}", warehouse=f"file://{folder}")


def frozen(line: CommandLine) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in (line.data / "statements").rglob("*")}


def warehouse_rows(line: CommandLine, name: str) -> list[dict]:
    with duckdb.connect(str(line.data / "warehouse.duckdb"), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        found = connection.execute(f"select * exclude (month_start) from statements.{name}").to_arrow_table()
        return found.to_pylist()


def told(rows: list[dict]) -> list[str]:
    return sorted(str(sorted(row.items(), key=lambda cell: cell[0])) for row in rows)


def test_a_catalogue_has_what_the_warehouse_has_and_grows_month_by_month(line):
    before = frozen(line)
    assert line.must("export 2026-03 --format iceberg --out lake").stdout.endswith("lake/iceberg/catalog.db")
    catalog = opened(line)
    months = {row["month"] for row in catalog.load_table("statements.usage").scan().to_arrow().to_pylist()}
    assert months == {"2026-03"}
    line.must("export 2026-03 2026-04 --format iceberg --out lake")
    for name in NAMES:
        table = catalog.load_table(f"statements.{name}")
        rows = table.scan().to_arrow().to_pylist()
        assert told(rows) == told(warehouse_rows(line, name))
        april = table.scan(row_filter="month = '2026-04'")
        assert all("month=2026-04" in task.file.file_path for task in april.plan_files())
        assert len(table.snapshots()) == 2
    line.must("export 2026-04 --format iceberg --out lake")
    assert len(catalog.load_table("statements.usage").snapshots()) == 2
    assert list((line.folder / "lake").rglob("*.parquet")) == []
    assert frozen(line) == before


def test_a_catalogue_lies_in_no_folder_of_the_software(line):
    outcome = line.run(f"export 2026-03 --format iceberg --out {line.data / 'statements'}")
    assert (outcome.exit_status, outcome.stdout) == (1, "")
    assert "belongs to the data folder" in outcome.stderr

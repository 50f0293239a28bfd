"""Each folder beside this file is a case: input files, a README that says what it proves, `steps`, and `expected`.

A file of `expected` is compared with all that is stored under its name: a table of the frozen months, all of them
together, or one of warehouse.duckdb's schemas `operations` and `assets`. Its header names the columns that count; the
order of rows does not. Cells are written as briefly as they can be: amounts without needless zeros, times in UTC with
`Z`, nothing for NULL. `month` may be named for every frozen table. The values were worked out by hand from the rules.
"""

import csv
import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from _pytest.mark import ParameterSet

from orchestration.close import tables
from orchestration.settings import PROJECT_ROOT
from tests.conftest import CommandLine
from tests.orchestration import outsider
from tests.scenarios import story

CASES = sorted(path.parent for path in Path(__file__).parent.glob("*/steps"))
ZONES = {case: story.zones((case / "steps").read_text(encoding="utf-8")) for case in CASES}
# In `make test`, of the stories about one rule only the first is told; those of exports and damage, those whose kinds
# the oracle draws too, and those that are told in several zones take `make test-long`.
LONG = {case for before, case in pairwise(CASES) if case.name[:2] == before.name[:2]} | {
    case for case in CASES if case.name[:2] in ("08", "09", "10", "11", "13") or case.name[:2] >= "20"
}
FROZEN = {table.name for table in tables.TABLES} - {"usage"}
MILLION = 1_000_000


def told_by(case: Path, zone: str | None = None) -> ParameterSet:
    """A story as a case of a test, marked by whether `make test` tells it."""
    name = f"{case.name}, {zone}" if zone else case.name
    values = (case, zone) if zone else (case,)
    return pytest.param(*values, id=name, marks=[] if zone is None and case not in LONG else pytest.mark.long)


@pytest.mark.parametrize("case", [told_by(case) for case in CASES if not ZONES[case]])
def test_a_story_ends_with_what_the_rules_say(case: Path, command_line: CommandLine) -> None:
    shutil.copytree(case, command_line.folder, dirs_exist_ok=True)
    story.tell(command_line)
    require_expected(case, command_line.data)


@pytest.mark.parametrize(("case", "zone"), [told_by(case, zone) for case in CASES for zone in ZONES[case]])
def test_a_story_ends_the_same_wherever_the_machine_stands(case: Path, zone: str, tmp_path: Path) -> None:
    """In a process of its own: the zone in which it began is the one that DuckDB keeps."""
    folder = shutil.copytree(case, tmp_path / case.name)
    command = [sys.executable, "-m", story.__name__, str(folder)]
    told = subprocess.run(command, cwd=PROJECT_ROOT, env=os.environ | {"TZ": zone}, capture_output=True, text=True)
    assert told.returncode == 0 and case.name not in told.stdout.splitlines(), told.stderr  # noqa: PT018
    require_expected(case, folder / "data")


def require_expected(case: Path, data: Path) -> None:
    for path in sorted((case / "expected").glob("*.csv")):
        columns, expected = read_expected(path)
        assert stored(data, path.stem, columns) == expected, f"{case.name}: {path.stem}"
    require_documents(data)


def require_documents(data: Path) -> None:
    """The tenants' documents are those that plain Python makes of the tables, under the manifest's root (rule 30)."""
    for manifest in sorted((data / "statements").glob("month=*/manifest.json")):
        content = json.loads(manifest.read_bytes())
        if content["format"] == 1:
            continue
        salts = outsider.salts(manifest.parent, data / "landing", content["landed_up_to"])
        made = outsider.documents(manifest.parent, salts)
        frozen = pq.read_table(manifest.parent / "statement_documents.parquet").to_pylist()
        assert [row["document"].encode() for row in frozen] == made, manifest.parent.name
        assert [row["leaf_sha256"] for row in frozen] == [outsider.root([one]).hex() for one in made]
        assert content["statements_root_sha256"] == outsider.root(made).hex()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_says_what_it_proves_and_expects_something(case: Path) -> None:
    assert 1 <= len((case / "README").read_text(encoding="utf-8").splitlines()) <= 3
    assert list((case / "expected").glob("*.csv"))


@pytest.mark.long
def test_a_million_costs_of_a_millionth_add_up_to_one(command_line: CommandLine) -> None:
    command_line.at("2026-04-02T12:00:00Z")
    command_line.close_directly()
    shutil.copy(CASES[0] / "tenants.csv", command_line.folder)
    duckdb.sql(
        f"""
        copy (
            select
                'call-' || call as record_id, 'outbound_conversational' as service, 'outbound' as direction,
                timestamptz '2026-03-01T00:00:00Z' + to_microseconds(call) * 2 as started_at,
                'bigcustomer.mypbx.com' as x_tenant, '0.000001' as cost
            from range({MILLION}) as calls (call)
        ) to '{command_line.folder / "million.parquet"}' (format parquet)
        """
    )
    for line in ("land tenants tenants.csv", "land cdrs million.parquet", "close 2026-03"):
        command_line.must(line)
    one = [{"record_count": str(MILLION), "cost": "1"}]
    assert stored(command_line.data, "statement_lines", ["record_count", "cost"]) == one
    assert stored(command_line.data, "organization_statement", ["record_count", "cost"]) == one
    assert stored(command_line.data, "statements", ["total_cost"]) == [{"total_cost": "1"}]


def test_an_expectation_that_does_not_hold_is_noticed(command_line: CommandLine) -> None:
    command_line.at("2026-03-20T12:00:00Z")
    (command_line.data / "landing").mkdir(parents=True)
    teller = story.Teller(command_line)
    with pytest.raises(AssertionError, match="line 1"):
        teller.tell(story.parse("close 2026-03"))
    with pytest.raises(AssertionError, match="line 1"):
        teller.tell(story.parse("close 2026-03\n  refused: for another reason"))
    with pytest.raises(AssertionError, match="line 2"):
        teller.tell(story.parse("list\nlist\n  refused: No month is closed yet"))


def read_expected(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """The columns of an expected table, and its rows in the order of comparison."""
    with path.open(encoding="utf-8", newline="") as handle:
        reader = csv.DictReader(handle, strict=True)
        return list(reader.fieldnames or []), in_order(reader)


def stored(data: Path, name: str, columns: list[str]) -> list[dict[str, str]]:
    """The stored rows of a table, reduced to some columns, every cell as text, in the order of comparison."""
    rows = frozen_rows(data, name) if name in FROZEN | {"usage"} else warehouse_rows(data, name)
    return in_order({column: cell(row[column]) for column in columns} for row in rows)


def frozen_rows(data: Path, name: str) -> list[dict[str, Any]]:
    rows = []
    for folder in sorted((data / "statements").glob("month=*")):
        paths = sorted((folder / "usage").iterdir()) if name == "usage" else [folder / f"{name}.parquet"]
        month = {"month": folder.name.removeprefix("month=")}
        rows += [month | row for path in paths for row in pq.ParquetFile(path).read().to_pylist()]
    return rows


def warehouse_rows(data: Path, name: str) -> list[dict[str, Any]]:
    with duckdb.connect(str(data / "warehouse.duckdb"), read_only=True) as connection:
        (schema,) = connection.execute(
            "select schema_name from (select schema_name, view_name as name from duckdb_views() "
            "union all select schema_name, table_name from duckdb_tables()) "
            "where name = ? and schema_name in ('operations', 'assets')",
            [name],
        ).fetchone()
        return connection.execute(f'from {schema}."{name}"').to_arrow_table().to_pylist()


def in_order(rows: Any) -> list[dict[str, str]]:
    return sorted(rows, key=lambda row: [str(value) for value in row.values()])


def cell(value: Any) -> str:
    """A value as `expected` writes it. A float has no place here and is refused."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return f"{value.normalize():f}" if value else "0"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    assert isinstance(value, int | str), f"{value!r} is a {type(value).__name__}"
    return str(value)

"""Batches from before a column existed: they read as if their rows had nothing in it, and absent equals absent."""

import hashlib
import json
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestration.close import pinning
from orchestration.commands import registry
from orchestration.landing import landed_rows, receipts
from orchestration.landing.feeds import CDRS, NUMBER_ASSIGNMENTS
from orchestration.reports import explain
from tests.unit.deliveries import number_of, record, tenant, write_csv

COLUMNS = {"record_id": "varchar", "started_at": "timestamptz", "cost": "decimal(18, 9)"}


def table(folder: Path, name: str, **columns: list) -> tuple[Path, frozenset[str]]:
    pq.write_table(pa.table(columns), folder / name)
    return folder / name, frozenset(columns)


def rows(query: str) -> list[tuple]:
    with duckdb.connect() as connection:
        return connection.execute(query).fetchall()


def older(batch: Path, *columns: str, lists_columns: bool = True) -> None:
    """Make a landed batch one from before these columns, with the hashes of its receipt and sums made right again."""
    content = json.loads((batch / "receipt.json").read_bytes())
    for file in content["files"]:
        path = batch / file["name"]
        path.chmod(0o600)
        read = pq.ParquetFile(path).read()
        pq.write_table(read.drop_columns(list(columns)), path)
        file |= {"bytes": path.stat().st_size, "sha256": digest(path)}
    content["columns"] = [name for name in content["columns"] if name not in columns]
    if not lists_columns:
        del content["columns"]
    for name in ("receipt.json", "SHA256SUMS"):
        (batch / name).chmod(0o600)
    (batch / "receipt.json").write_text(json.dumps(content), encoding="utf-8")
    names = sorted(str(path.relative_to(batch)) for path in batch.rglob("*") if path.is_file())
    lines = [f"{digest(batch / name)}  {name}\n" for name in names if name != "SHA256SUMS"]
    (batch / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_column_that_a_file_lacks_is_null_of_its_type(tmp_path):
    files = dict(
        [
            table(tmp_path, "old.parquet", record_id=["a"], unwanted=[1]),
            table(tmp_path, "new.parquet", cost=[None], record_id=["b"], started_at=[None]),
        ]
    )
    query = landed_rows.select(files, COLUMNS)
    assert sorted(rows(query)) == [("a", None, None), ("b", None, None)]
    kinds = [kind for _, kind, *_ in rows(f"describe {landed_rows.select(dict([*files.items()][:1]), COLUMNS)}")]
    assert kinds == ["VARCHAR", "TIMESTAMP WITH TIME ZONE", "DECIMAL(18,9)"]


def test_files_that_lack_the_same_columns_are_one_scan(tmp_path):
    held = {"record_id", "started_at", "cost"}
    files = {
        tmp_path / f"{number}.parquet": frozenset(held - {"cost"} if number % 2 else held | {f"unwanted_{number}"})
        for number in range(6)
    }
    assert landed_rows.select(files, COLUMNS).count("read_parquet") == 2


def test_row_ids_are_unique_over_files_of_different_columns_and_the_same_each_time(tmp_path):
    files = dict(
        [
            table(tmp_path, "1.parquet", record_id=["a", "b"]),
            table(tmp_path, "2.parquet", record_id=["c", "d"], cost=[1, 2]),
            table(tmp_path, "3.parquet", record_id=["e"]),
            table(tmp_path, "4.parquet", record_id=["f", "g"], cost=[1, 2]),
        ]
    )
    query = landed_rows.select(files, {"record_id": "varchar", "cost": "integer"}, place="row_id")
    numbered = dict(rows(f"select record_id, row_id from ({query})"))
    assert len(set(numbered.values())) == len(numbered) == 7
    assert numbered == dict(rows(f"select record_id, row_id from ({query})"))
    alike = {path: files[path] for path in [*files][::2]}
    alone = landed_rows.select(alike, {"record_id": "varchar"}, place="row_id")
    assert sorted(rows(alone)) == [("a", 0), ("b", 1), ("e", 1 << 32)]


@pytest.mark.parametrize(("place", "kind"), [("", []), ("row_id", ["BIGINT"]), ("stated_file", ["VARCHAR"])])
def test_without_files_there_is_a_relation_without_rows(place, kind):
    described = rows(f"describe {landed_rows.select({}, COLUMNS, place=place)}")
    kinds = ["VARCHAR", "TIMESTAMP WITH TIME ZONE", "DECIMAL(18,9)", *kind]
    assert [kind for _, kind, *_ in described] == kinds
    assert rows(landed_rows.select({}, COLUMNS, place=place)) == []


def test_a_filter_reaches_every_scan(tmp_path):
    """A close asks day by day, and each file's statistics tell whether it has rows of the day."""
    files = {}
    for day in range(1, 5):
        columns = {"record_id": [f"r{day}"], "day": [day]} | ({"cost": [1]} if day > 2 else {})
        files |= dict([table(tmp_path, f"{day}.parquet", **columns)])
    query = landed_rows.select(files, {"record_id": "varchar", "day": "bigint", "cost": "integer"}, place="row_id")
    with duckdb.connect() as connection:
        connection.execute("set variable written_day = 3")
        asked = f"from ({query}) where day >= getvariable('written_day') and day < 4"
        ((_, plan),) = connection.execute(f"explain select * {asked}").fetchall()
        found = connection.execute(f"select record_id, cost {asked}").fetchall()
    assert found == [("r3", 1)]
    assert plan.count("Function:") == plan.count("Filters:") == 2
    assert " FILTER " not in plan


def test_a_delivery_with_a_new_column_empty_repeats_one_from_before_it(warehouse, tmp_path):
    first = warehouse.receipt("cdrs", write_csv(tmp_path / "1.csv", record("a"), record("b")))
    older(first.folder, "call_id", "routed_to")
    again = write_csv(tmp_path / "2.csv", record("a", call_id="", routed_to=""), record("b", call_id="c-1"))
    receipt = warehouse.receipt("cdrs", again)
    assert (receipt.duplicates, receipt.superseded, Decimal(receipt.cost_difference)) == (1, 1, 0)
    assert [row["call_id"] for row in explain.deliveries_of(warehouse.settings, "b")] == [None, "c-1"]


def test_an_event_from_before_a_column_is_not_new_when_it_comes_again(warehouse, tmp_path):
    first = warehouse.receipt("number_assignments", write_csv(tmp_path / "1.csv", number_of("alpha")))
    older(first.folder, "number_type")
    again = warehouse.receipt("number_assignments", write_csv(tmp_path / "2.csv", number_of("alpha", number_type="")))
    assert (again.duplicates, again.files) == (1, [])


@pytest.mark.slow
def test_a_tenant_from_before_a_column_can_be_archived(warehouse, tmp_path):
    warehouse.with_published_warehouse()
    first = warehouse.receipt("tenants", write_csv(tmp_path / "t.csv", tenant("alpha")))
    older(first.folder, "address2")
    archived = registry.archive_tenant(warehouse.settings, "alpha").receipt
    assert (archived.rows, archived.duplicates) == (1, 0)


def test_a_receipt_that_lists_no_columns_has_those_of_its_time(warehouse, tmp_path):
    first = warehouse.receipt("cdrs", write_csv(tmp_path / "1.csv", record("a")))
    older(first.folder, lists_columns=False)
    assert receipts.read(first.folder).columns == list(CDRS.original) == list(CDRS.stored)
    assert receipts.load(warehouse.settings)[0].path(first.files[0]).is_file()
    assert "number_type" in NUMBER_ASSIGNMENTS.original


def test_a_frozen_month_from_before_a_column_states_null_in_it(tmp_path):
    (tmp_path / "usage").mkdir()
    pq.write_table(pa.table({"record_id": ["a"]}), tmp_path / "usage" / "day=01.parquet")
    day = tmp_path / "usage" / "day=01.parquet"
    with duckdb.connect() as connection:
        columns = {"record_id": "varchar", "call_id": "varchar"}
        query = landed_rows.select(pinning.stated([day]), columns, place="stated_file")
        stated = connection.execute(query).fetchall()
    assert stated == [("a", None, str(day))]

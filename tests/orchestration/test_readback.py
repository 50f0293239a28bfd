"""The second reader: each figure that is off by one, in what was counted or in any one file, is named.

What belongs here: `read_back` on altered copies of a frozen month. What does not: that a close asks it (`test_close`).
"""

import shutil
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from orchestration import settings
from orchestration.close import manifests, readback
from orchestration.close.content import Counts
from orchestration.close.readback import read_back
from orchestration.errors import Refused
from orchestration.months import Month
from tests.orchestration.conftest import APRIL, MARCH


@pytest.fixture
def copied(closed_april: Path, tmp_path: Path):
    """A function that gives a frozen month's files, to be altered, and what its build counted."""

    def copy(month: Month) -> tuple[Path, Counts]:
        frozen = manifests.read(settings.load(closed_april / "data"), month)
        folder = tmp_path / "month"
        shutil.copytree(frozen.folder, folder)
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o700)
        return folder, frozen.content.counts

    return copy


@pytest.mark.parametrize("month", [MARCH, APRIL])
def test_what_was_frozen_adds_up_to_what_the_manifest_says(closed_april, copied, month):
    frozen = manifests.read(settings.load(closed_april / "data"), month)
    folder, counted = copied(month)
    figures = read_back(folder, counted)
    assert {currency: str(cost) for currency, cost in figures.cost_by_currency.items()} == frozen.content.totals
    assert sum(records for records, _ in figures.by_service.values()) == sum(
        pc.sum(pq.read_table(path, columns=["record_count"])["record_count"]).as_py() or 0
        for path in (folder / "usage").glob("*.parquet")
    )


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("landed", "landed against accepted, duplicate, superseded and rejected"),
        ("accepted", "accepted against written usage"),
        ("duplicate", "landed against accepted"),
        ("superseded", "landed against accepted"),
        ("rejected", "landed against accepted"),
        ("attributed", "attributed against written usage"),
        ("late_landed", "landed late against stated"),
        ("late_duplicate", "landed late against stated"),
        ("late_superseded", "landed late against stated"),
        ("before_first_month", "landed late against stated"),
        ("late", "corrections against those written"),
        ("restatement", "corrections against those written"),
        ("reversal", "corrections against those written"),
    ],
)
@pytest.mark.parametrize("by", [1, -1])
def test_a_count_that_is_off_by_one_is_named(copied, name, sentence, by):
    folder, counted = copied(APRIL)
    counted = replace(counted, **{name: getattr(counted, name) + by})
    with pytest.raises(Refused, match=sentence):
        read_back(folder, counted)


def alter(path: Path, column: str) -> None:
    """Add the smallest amount there is to one value."""
    table = pq.read_table(path)
    assert table.num_rows, path
    field = table.schema.field(column)
    values = table.column(column).to_pylist()
    values[-1] += Decimal("0.000000001") if pa.types.is_decimal(field.type) else 1
    place = table.schema.get_field_index(column)
    pq.write_table(table.set_column(place, field, pa.array(values, field.type)), path)


@pytest.mark.parametrize("column", ["cost", "record_count", "duration_seconds", "billed_seconds"])
@pytest.mark.parametrize(
    ("name", "month", "sentence"),
    [
        ("usage/day=*", APRIL, "all usage against the organization"),
        ("usage/corrections.parquet", APRIL, "all usage against the organization"),
        ("statement_lines.parquet", APRIL, "usage of tenants against their lines"),
        ("usage_by_asset.parquet", APRIL, "usage of tenants against their assets"),
        ("unattributed.parquet", MARCH, "usage of nobody against unattributed"),
        ("organization_statement.parquet", APRIL, "tenants and unattributed against the organization"),
    ],
)
def test_a_value_that_is_off_by_the_least_is_named(copied, name, month, sentence, column):
    folder, counted = copied(month)
    alter(next(path for path in sorted(folder.glob(name)) if pq.read_metadata(path).num_rows), column)
    with pytest.raises(Refused, match=sentence):
        read_back(folder, counted)


@pytest.mark.parametrize(
    ("name", "column", "sentence"),
    [
        ("statements", "total_cost", "statements against their lines"),
        ("reconciliation", "difference", "against 0"),
    ],
)
def test_a_total_or_a_difference_that_is_off_is_named(copied, name, column, sentence):
    folder, counted = copied(APRIL)
    alter(folder / f"{name}.parquet", column)
    with pytest.raises(Refused, match=sentence):
        read_back(folder, counted)


def test_five_problems_are_told_and_none_at_length(copied):
    folder, counted = copied(APRIL)
    alter(folder / "statement_lines.parquet", "cost")
    more = {name: getattr(counted, name) + 1 for name in ("late_landed", "accepted", "attributed")}
    counted = replace(counted, **more | {"landed": 10**300})
    with pytest.raises(Refused) as refusal:
        read_back(folder, counted)
    beginning, problems = str(refusal.value).split(". ", 1)
    assert beginning == "The written files do not add up, so nothing was published"
    assert len(problems.split("; ")) == 5
    assert max(map(len, problems.split("; "))) == 300


def repeat_a_dictionary_value(path: Path) -> None:
    """Write a file of usage anew, the same rows, with one value twice in the dictionary of the last row group's services.

    No row has that value. The one after it that no row has either keeps every code within the dictionary's bounds.
    """
    table = pq.read_table(path)
    services = table.column("service").to_pylist()
    values = ["nobody's-1", "nobody's-2", *sorted(set(services)), "nobody's-3"]
    codes = pa.array([values.index(service) for service in services], pa.int32())
    place = table.schema.get_field_index("service")
    coded = table.set_column(place, "service", pa.DictionaryArray.from_arrays(codes, pa.array(values)))
    pq.write_table(coded, path, row_group_size=2, compression="none", store_schema=False)
    before, value, after = path.read_bytes().rpartition(b"nobody's-2")
    assert value
    path.write_bytes(before + b"nobody's-1" + after)
    assert pq.read_table(path) == table


def test_a_dictionary_that_holds_a_value_twice_is_read_as_it_was_written(copied):
    folder, counted = copied(MARCH)
    intact = read_back(folder, counted)
    repeat_a_dictionary_value(folder / "usage" / "day=05.parquet")
    assert read_back(folder, counted) == intact


def test_columns_are_read_as_codes_unless_a_dictionary_of_theirs_holds_a_value_twice(copied):
    folder, _ = copied(MARCH)
    path = folder / "usage" / "day=05.parquet"
    assert readback.read_as_codes(path, readback.TENANT) == readback.TENANT
    repeat_a_dictionary_value(path)
    assert readback.read_as_codes(path, readback.TENANT) == ["direction", "currency", "account_id"]

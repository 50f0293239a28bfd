"""What becomes of the rows of a cdrs file: usable, rejected with a reason, duplicate, superseding; and batches as a whole."""

import hashlib
import json
import shutil
import subprocess
import traceback
from dataclasses import replace
from decimal import Decimal

import pytest

from orchestration import files
from orchestration.errors import Refused
from orchestration.landing import normalization, records
from tests.unit.deliveries import outbound, record, tenant, tree, write_csv, write_jsonl, write_parquet

# reason → a row that has it. Landing is at 2026-03-20T12:00:00Z.
REJECTED = {
    "record_id_missing": record(""),
    "time_missing": record("no-time", started_at=""),
    "time_unreadable": record("bad-time", started_at="2026-02-30T10:00:00Z"),
    "time_in_future": record("future", started_at="2026-03-21T12:00:00.000001Z"),
    "service_missing": record("no-service", service=""),
    "direction_missing": record("no-direction", direction=""),
    "direction_unknown": record("sideways", direction="Inbound"),
    "service_unknown": record("no-such-service", service="telegram"),
    "direction_not_of_service": record("wrong-way", direction="outbound"),
    "cost_missing": record("unrated", cost=""),
    "cost_unusable": record("too-fine", cost="0.0000000001"),
    "duration_unusable": record("negative", duration_seconds="-1"),
    "billed_unusable": record("too-long", billed_seconds="1000000000"),
    "currency_unknown": record("odd-money", currency="XYZ"),
}


def test_every_reason_to_reject_has_its_row_and_its_number(warehouse, tmp_path):
    """Rule 19."""
    receipt = warehouse.receipt("cdrs", write_csv(tmp_path / "bad.csv", record("good"), *REJECTED.values()))
    found = dict(warehouse.rejected("reason, source_row"))
    assert found == {reason: number for number, reason in enumerate(REJECTED, start=2)}
    assert warehouse.usable(columns="record_id, source_row") == [("good", 1)]
    assert (receipt.rows, receipt.rejected_rows) == (15, 14)


def test_what_is_no_exact_amount_is_rejected(warehouse, tmp_path):
    costs = ["NaN", "Infinity", "-inf", "1,5", "$1", "1_000", " 1", "0x1", "1e10", "1e-10", "--1", ".", "1e99999999999"]
    rows = [record(cost, cost=cost) for cost in costs]
    warehouse.receipt("cdrs", write_csv(tmp_path / "bad.csv", *rows))
    assert warehouse.rejected("record_id, reason") == [(cost, "cost_unusable") for cost in costs]


def test_the_limits_of_what_is_usable(warehouse, tmp_path):
    rows = [
        record("just-in-time", started_at="2026-03-21T12:00:00Z"),
        record("longest", duration_seconds="999999999", billed_seconds="0"),
        record("no-duration", duration_seconds="", billed_seconds=""),
        record("finest", cost="-0.000000001"),
        record("largest", cost="999999999.999999999"),
        record("free", cost="0"),
    ]
    warehouse.receipt("cdrs", write_csv(tmp_path / "good.csv", *rows))
    assert warehouse.rejected() == []
    assert warehouse.usable(columns="record_id, duration_seconds, billed_seconds, cost", order="record_id") == [
        ("finest", 60, 60, Decimal("-0.000000001")),
        ("free", 60, 60, Decimal(0)),
        ("just-in-time", 60, 60, Decimal("0.010")),
        ("largest", 60, 60, Decimal("999999999.999999999")),
        ("longest", 999999999, 0, Decimal("0.010")),
        ("no-duration", 0, 0, Decimal("0.010")),
    ]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_rejected_rows_keep_what_they_held(warehouse, tmp_path, form):
    row = record("a", cost="much", x_tenant="alpha", call_id='say "x"', from_number="+1 201")
    path = {"csv": write_csv, "jsonl": write_jsonl}[form](tmp_path / f"bad.{form}", row)
    warehouse.receipt("cdrs", path)
    ((values,),) = warehouse.rejected("source_values")
    assert json.loads(values) == row


def test_rejected_rows_belong_to_the_month_of_their_readable_time(warehouse, tmp_path):
    """Rule 19."""
    rows = [
        record("a", cost=""),
        record("b", started_at="2026-02-28T23:59:59.999999Z", cost=""),
        record("c", started_at="2026-03-01T00:30:00+01:00", cost=""),
        record("d", started_at="soon"),
    ]
    receipt = warehouse.receipt("cdrs", write_csv(tmp_path / "bad.csv", *rows))
    assert receipt.rejected_by_month == {"": 1, "2026-02": 2, "2026-03": 1}
    assert dict(warehouse.rejected("record_id, month")) == {"a": "2026-03", "b": "2026-02", "c": "2026-02", "d": None}


def test_landed_rows_are_usable_or_rejected_and_none_is_lost(warehouse, tmp_path):
    rows = [
        record(f"r{n}", cost="0.1" if n % 3 else "", started_at=f"2026-0{n % 3 + 1}-10T00:00:00Z") for n in range(90)
    ]
    rows += rows[:20]
    receipt = warehouse.receipt("cdrs", write_csv(tmp_path / "mixed.csv", *rows))
    assert receipt.rows == 110
    assert sum(file.rows for file in receipt.files) + receipt.rejected_rows == receipt.rows
    assert receipt.rejected_rows == sum(receipt.rejected_by_month.values()) == 37
    places = [row for (row,) in warehouse.usable(columns="source_row")] + [
        row for (row,) in warehouse.rejected("source_row")
    ]
    assert sorted(places) == list(range(1, 111))


def test_records_are_laid_out_by_the_utc_day_of_their_start(warehouse, tmp_path):
    rows = [
        record("jan", started_at="2026-01-31T23:59:59.999999Z"),
        record("feb", started_at="2026-02-01T00:00:00Z"),
        record("feb-abroad", started_at="2026-03-01T05:29:59+05:30"),
        record("mar-abroad", started_at="2026-02-28T19:00:00-05:00"),
    ]
    receipt = warehouse.receipt("cdrs", write_csv(tmp_path / "turn.csv", *rows))
    assert {file.name.split("/")[0]: (file.month, file.rows) for file in receipt.files} == {
        "day=2026-01-31": ("2026-01", 1),
        "day=2026-02-01": ("2026-02", 1),
        "day=2026-02-28": ("2026-02", 1),
        "day=2026-03-01": ("2026-03", 1),
    }


# Deliveries -----------------------------------------------------------------------------------------------------------


def test_the_same_file_again_is_nothing_under_any_name_and_in_any_folder(warehouse, tmp_path):
    path = write_csv(tmp_path / "day.csv", record("a"), record("b", cost=""))
    receipt = warehouse.receipt("cdrs", path)
    before = tree(warehouse.settings.data)
    for other in (path, tmp_path / "renamed.csv", tmp_path / "elsewhere" / "day.csv"):
        other.parent.mkdir(exist_ok=True)
        if other != path:
            shutil.copy(path, other)
        (again,) = warehouse.land("cdrs", other)
        assert (again.is_new, again.receipt.batch_id) == (False, receipt.batch_id)
    assert tree(warehouse.settings.data) == before


def test_the_same_file_twice_in_one_call_lands_once(warehouse, tmp_path):
    path = write_csv(tmp_path / "day.csv", record("a"))
    first, second = warehouse.land("cdrs", path, path)
    assert (first.is_new, second.is_new) == (True, False)
    assert len(warehouse.receipts) == 1


def test_the_same_file_under_other_rules_is_another_delivery(warehouse, tmp_path, monkeypatch):
    path = write_csv(tmp_path / "day.csv", record("a"))
    warehouse.receipt("cdrs", path)
    monkeypatch.setattr(normalization, "rules_sha256", lambda: "0" * 64)
    (again,) = warehouse.land("cdrs", path)
    assert (again.is_new, again.receipt.duplicates) == (True, 1)


@pytest.fixture
def in_euros(warehouse):
    """The warehouse of an operator who has set another default currency than USD."""
    warehouse.settings = replace(warehouse.settings, default_currency="EUR")
    return warehouse


def test_a_record_without_a_currency_has_that_of_the_setting(in_euros, tmp_path):
    """Rule 24."""
    rows = [record("none", currency=""), record("own", currency="USD")]
    in_euros.receipt("cdrs", write_csv(tmp_path / "day.csv", *rows))
    in_euros.receipt("cdrs", write_csv(tmp_path / "without.csv", record("without")))
    in_euros.receipt("cdrs", write_parquet(tmp_path / "day.parquet", record("parquet")))
    assert in_euros.usable(columns="record_id, currency") == [
        ("none", "EUR"), ("own", "USD"), ("without", "EUR"), ("parquet", "EUR"),
    ]  # fmt: skip


@pytest.mark.slow
def test_the_default_currency_is_part_of_the_rules_that_records_land_with_and_of_no_others(warehouse, tmp_path):
    """Rule 18: dollars are what records without a currency always had, so files that landed then have landed."""
    path, tenants = write_csv(tmp_path / "day.csv", record("a")), write_csv(tmp_path / "t.csv", tenant("alpha"))
    assert warehouse.receipt("cdrs", path).rules_sha256 == normalization.rules_sha256()
    warehouse.receipt("tenants", tenants)
    warehouse.settings = replace(warehouse.settings, default_currency="EUR")
    (again,) = warehouse.land("cdrs", path)
    assert (again.is_new, again.receipt.superseded) == (True, 1)
    for feed, same in (("cdrs", path), ("tenants", tenants)):
        (landing,) = warehouse.land(feed, same)
        assert not landing.is_new
    warehouse.settings = replace(warehouse.settings, default_currency="CHF")
    assert warehouse.land("cdrs", path)[0].is_new


def test_a_default_currency_that_does_not_exist_is_refused_before_anything_lands(warehouse, tmp_path):
    warehouse.settings = replace(warehouse.settings, default_currency="XYZ")
    with pytest.raises(Refused, match="STATEMENTS_DEFAULT_CURRENCY is 'XYZ', which is no currency of ISO 4217"):
        warehouse.land("cdrs", write_csv(tmp_path / "day.csv", record("a")))
    assert warehouse.receipts == []


def test_every_row_twice_is_as_many_duplicates(warehouse, tmp_path):
    rows = [record(f"r{n}") for n in range(10)]
    receipt = warehouse.receipt("cdrs", write_csv(tmp_path / "twice.csv", *(row for row in rows for _ in range(2))))
    assert (receipt.rows, receipt.duplicates, receipt.superseded) == (20, 10, 0)


def test_equal_after_normalization_is_a_duplicate(warehouse, tmp_path):
    """Rule 18."""
    first = record(
        "a", number="+12015550101", cost="0.5", started_at="2026-03-05T10:00:00Z", x_tenant="alpha", billed_seconds=""
    )
    same = record(
        "a",
        number="(201) 555-0101",
        cost="5e-1",
        started_at="2026-03-05T11:00:00+01:00",
        x_tenant=" alpha\t",
        billed_seconds="60",
    )
    receipt = warehouse.receipt("cdrs", write_csv(tmp_path / "two.csv", first, same))
    assert (receipt.duplicates, receipt.superseded) == (1, 0)


def test_any_other_value_in_any_column_supersedes(warehouse, tmp_path):
    """Rule 18."""
    changes = [
        {"cost": "0.02"}, {"call_id": "c"}, {"duration_seconds": "61", "billed_seconds": "60"}, {"billed_seconds": "6"},
        {"number": "+12015550102"}, {"routed_to": "x"}, {"currency": "EUR"}, {"from_number": "1"}, {"to_number": "2"},
        {"source_ip": "192.0.2.1"}, {"x_tenant": "alpha"}, {"service": "inbound_toll_free"},
        {"started_at": "2026-03-05T10:00:00.000001Z"},
    ]  # fmt: skip
    rows = [row for n, change in enumerate(changes) for row in (record(f"r{n}"), record(f"r{n}", **change))]
    receipt = warehouse.receipt("cdrs", write_csv(tmp_path / "two.csv", *rows))
    assert (receipt.duplicates, receipt.superseded) == (0, len(changes))


def test_across_files_the_difference_in_cost_is_told(warehouse, tmp_path):
    one = [record("a", cost="0.10"), record("b", cost="0.20"), record("c", cost="0.30")]
    two = [record("a", cost="0.10"), record("b", cost="0.15"), record("d", cost="9")]
    warehouse.receipt("cdrs", write_csv(tmp_path / "one.csv", *one))
    receipt = warehouse.receipt("cdrs", write_csv(tmp_path / "two.csv", *two))
    assert (receipt.duplicates, receipt.superseded, Decimal(receipt.cost_difference)) == (1, 1, Decimal("-0.05"))


def test_a_cost_may_change_by_more_than_a_cost_can_be(warehouse, tmp_path):
    """Rule 18: the difference of two amounts of nine digits has ten."""
    lowest, highest = "-999999999.999999999", "999999999.999999999"
    warehouse.receipt("cdrs", write_csv(tmp_path / "a.csv", record("a", cost=lowest), record("b", cost=lowest)))
    again = warehouse.receipt(
        "cdrs", write_csv(tmp_path / "b.csv", record("a", cost=highest), record("b", cost=highest))
    )
    assert (again.superseded, Decimal(again.cost_difference)) == (2, Decimal("3999999999.999999996"))


@pytest.mark.parametrize("write", [write_csv, write_jsonl, write_parquet])
def test_an_error_of_a_statement_of_ours_is_not_told_as_the_files_and_tells_no_value(
    warehouse, tmp_path, monkeypatch, write
):
    def fails(connection, *_):
        connection.execute("select record_id::integer from source")

    monkeypatch.setattr(records, "write", fails)
    path = write(tmp_path / f"day.{write.__name__.removeprefix('write_')}", record("a-secret-id"))
    with pytest.raises(RuntimeError) as error:
        warehouse.land("cdrs", path)
    told = "".join(traceback.format_exception(error.value))
    assert f"A statement of this software failed over {path}: Conversion Error: Could not convert string" in told
    assert "a-secret-id" not in told
    assert "cannot be read" not in told
    assert warehouse.receipts == []


def test_each_delivery_is_compared_with_the_one_before_it(warehouse, tmp_path):
    """1, 2, 1 are three deliveries that say something new: the last one holds, and nothing of it is a duplicate."""
    receipt = warehouse.receipt(
        "cdrs", write_csv(tmp_path / "one.csv", record("a", cost="1"), record("a", cost="2"), record("a", cost="1"))
    )
    assert (receipt.duplicates, receipt.superseded, Decimal(receipt.cost_difference)) == (0, 2, Decimal(0))
    again = warehouse.receipt("cdrs", write_csv(tmp_path / "two.csv", record("a", cost="1"), record("b")))
    assert (again.duplicates, again.superseded) == (1, 0)


def test_a_record_that_moves_to_the_next_month_supersedes(warehouse, tmp_path):
    warehouse.receipt("cdrs", write_csv(tmp_path / "one.csv", record("a", started_at="2026-02-28T23:59:59Z")))
    receipt = warehouse.receipt("cdrs", write_csv(tmp_path / "two.csv", record("a", started_at="2026-03-01T00:00:00Z")))
    assert (receipt.duplicates, receipt.superseded) == (0, 1)


def test_a_rejected_row_neither_repeats_nor_replaces(warehouse, tmp_path):
    receipt = warehouse.receipt(
        "cdrs", write_csv(tmp_path / "one.csv", record("a"), record("a", cost="much"), record("a"))
    )
    assert (receipt.rejected_rows, receipt.duplicates, receipt.superseded) == (1, 1, 0)


# Batches --------------------------------------------------------------------------------------------------------------


def test_a_batch_is_named_by_its_place_and_the_hash_of_its_file(warehouse, tmp_path):
    paths = [write_csv(tmp_path / f"{n}.csv", record(f"r{n}")) for n in (1, 2)]
    names = [warehouse.receipt("cdrs", path).batch_id for path in paths]
    digests = [hashlib.sha256(path.read_bytes()).hexdigest()[:12] for path in paths]
    assert names == [f"0000000{n}-{digest}" for n, digest in zip((1, 2), digests, strict=True)]
    assert {batch for (batch,) in warehouse.usable(columns="batch_id")} == set(names)
    assert [receipt.folder.name for receipt in warehouse.receipts] == names


def test_what_landed_can_be_checked_without_this_software(warehouse, tmp_path):
    receipt = warehouse.receipt("cdrs", write_csv(tmp_path / "a.csv", record("a"), outbound("b", cost="")))
    checked = subprocess.run(
        ["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=receipt.folder, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0
    listed = {line.removesuffix(": OK") for line in checked.stdout.splitlines()}
    held = {str(path.relative_to(receipt.folder)) for path in receipt.folder.rglob("*") if path.is_file()}
    assert listed == held - {"SHA256SUMS"}
    assert {"receipt.json", "rejected.parquet"} < listed


def test_a_batch_is_read_only(warehouse, tmp_path):
    receipt = warehouse.receipt("cdrs", write_csv(tmp_path / "a.csv", record("a")))
    modes = {path.stat().st_mode & 0o222 for path in [receipt.folder, *receipt.folder.rglob("*")]}
    assert modes == {0}


def test_files_of_a_call_land_together_in_their_order(warehouse, tmp_path):
    paths = [write_csv(tmp_path / f"{name}.csv", record("a", call_id=name)) for name in ("z", "a", "m")]
    landings = warehouse.land("cdrs", *paths)
    assert [landing.receipt.file_name for landing in landings] == ["z.csv", "a.csv", "m.csv"]
    assert [landing.receipt.sequence for landing in landings] == [1, 2, 3]
    assert [landing.receipt.superseded for landing in landings] == [0, 1, 1]


def test_files_of_a_call_land_all_or_none(warehouse, tmp_path):
    paths = [write_csv(tmp_path / f"{n}.csv", record(f"r{n}")) for n in range(3)]
    bad = write_csv(tmp_path / "bad.csv", record("x", started_at="2026-03-05T10:00:00"))
    with pytest.raises(Refused, match=r"bad\.csv"):
        warehouse.land("cdrs", *paths, bad)
    assert (warehouse.receipts, tree(warehouse.settings.data)) == ([], {})


class Crash(Exception):
    """What no module here knows."""


def test_a_crash_before_the_rename_leaves_nothing_and_the_next_landing_works(warehouse, tmp_path, monkeypatch):
    path = write_csv(tmp_path / "a.csv", record("a"))
    warehouse.receipt("cdrs", write_csv(tmp_path / "before.csv", record("b")))
    before = tree(warehouse.settings.data)

    def crash(*_):
        raise Crash

    with monkeypatch.context() as broken:
        broken.setattr(files, "publish", crash)
        with pytest.raises(Crash):
            warehouse.land("cdrs", path)
    assert tree(warehouse.settings.data) == before
    assert warehouse.receipt("cdrs", path).sequence == 2


@pytest.mark.slow
def test_a_crash_between_two_files_of_a_call_leaves_whole_batches_and_the_same_call_goes_on(
    warehouse, tmp_path, monkeypatch
):
    paths = [write_csv(tmp_path / f"{n}.csv", record(f"r{n}")) for n in range(3)]
    publish, published = files.publish, []

    def crash_at_the_second(staged, final):
        if published:
            raise Crash
        published.append(final)
        publish(staged, final)

    with monkeypatch.context() as broken:
        broken.setattr(files, "publish", crash_at_the_second)
        with pytest.raises(Crash):
            warehouse.land("cdrs", *paths)
    assert all(files.check_folder(receipt.folder) == [] for receipt in warehouse.receipts)
    assert [landing.is_new for landing in warehouse.land("cdrs", *paths)] == [False, True, True]
    assert sorted(name for (name,) in warehouse.usable(columns="record_id")) == ["r0", "r1", "r2"]


def test_a_full_disk_refuses_and_leaves_nothing(warehouse, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "seal_folder", full)
    with pytest.raises(Refused, match="No space left on device"):
        warehouse.land("cdrs", write_csv(tmp_path / "a.csv", record("a")))
    assert tree(warehouse.settings.data) == {}


def test_a_half_staged_batch_of_a_killed_landing_is_never_read(warehouse, tmp_path):
    left = warehouse.settings.build / "landing" / "00000001-abcdefabcdef"
    write_csv(left / "receipt.json", record("half"))
    receipt = warehouse.receipt("cdrs", write_csv(tmp_path / "a.csv", record("a")))
    assert receipt.sequence == 1
    assert not left.exists()

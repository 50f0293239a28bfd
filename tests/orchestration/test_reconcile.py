"""A closed month beside a carrier's bill: totals, records, and every way in which they can differ."""

import csv
import gzip
import json
from pathlib import Path

import pytest

from tests.orchestration.conftest import AFTER_APRIL
from tests.unit.deliveries import write_csv

# March as landed: five inbound records cost 25.01, three outbound ones 7.
AGREED = [
    {"service": "inbound_conversational", "direction": "inbound", "cost": "25.0100", "record_count": "5"},
    {"service": "outbound_conversational", "direction": "outbound", "cost": "7", "record_count": "3"},
]
RECORDS = {"in-alpha": "0.01", "in-beta": "0.25", "in-nobody": "8", "in-released": "16", "twice": "0.75",
           "out-header": "1", "out-ip": "2", "out-case": "4"}  # fmt: skip


@pytest.fixture
def line(copy_of, closed_march):
    return copy_of(closed_march)


def reconcile(line, *rows: dict, options: str = ""):
    bill = write_csv(line.folder / "bill.csv", *rows)
    return line.run(f"reconcile 2026-03 {bill} {options}")


def written(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def test_a_bill_of_totals_that_agrees_is_done(line):
    outcome = reconcile(line, *AGREED)
    assert (outcome.exit_status, outcome.stderr) == (0, "")
    assert "Compared: 2 matched." in outcome.stdout
    assert [row["status"] for row in written(line.folder / "reconciliation-2026-03.csv")] == ["matched", "matched"]


def test_a_bill_may_leave_out_directions_and_counts(line):
    short = [{"service": row["service"], "cost": row["cost"]} for row in AGREED]
    assert reconcile(line, *short).exit_status == 0


def test_every_difference_of_totals_is_told_and_ends_with_1(line):
    """Rule 28."""
    rows = [
        AGREED[0] | {"cost": "25.010000001"},
        AGREED[1] | {"record_count": "4"},
        {"service": "cnam_lookup", "direction": "inbound", "cost": "0.5", "record_count": "1"},
    ]
    outcome = reconcile(line, *rows, options="--out found/differences.csv")
    assert outcome.exit_status == 1
    assert "2026-03 and" in outcome.stderr
    assert {
        row["service"]: (row["status"], row["difference"]) for row in written(line.folder / "found/differences.csv")
    } == {
        "inbound_conversational": ("amount differs", "0.000000001"),
        "outbound_conversational": ("count differs", "0.000000000"),
        "cnam_lookup": ("carrier only", "0.500000000"),
    }


def test_what_only_we_have_and_another_currency_are_differences(line):
    reconcile(line, AGREED[0], AGREED[1] | {"currency": "EUR"})
    statuses = [
        (row["service"], row["currency"], row["status"]) for row in written(line.folder / "reconciliation-2026-03.csv")
    ]
    assert statuses == [
        ("inbound_conversational", "USD", "matched"),
        ("outbound_conversational", "EUR", "carrier only"),
        ("outbound_conversational", "USD", "ours only"),
    ]


def test_a_bill_of_records_is_compared_record_by_record_and_says_where_ours_went(line):
    billed = {name: cost for name, cost in RECORDS.items() if name != "out-ip"}
    billed |= {"in-beta": "0.35", "broken": "1", "unheard-of": "2"}
    outcome = reconcile(line, *({"record_id": name, "cost": cost} for name, cost in billed.items()), options="--json")
    assert outcome.exit_status == 1
    found = json.loads(outcome.stdout)
    assert found["counts"] == {"amount differs": 2, "carrier only": 2, "matched": 6, "ours only": 1}
    assert {row["record_id"]: (row["status"], row["difference"], row["note"]) for row in found["records"]} == {
        "in-beta": ("amount differs", "0.100000000", None),
        "out-ip": ("ours only", "-2.000000000", None),
        "broken": ("carrier only", "1.000000000", "rejected: cost_unusable"),
        "unheard-of": ("carrier only", "2.000000000", None),
    }


def test_corrections_are_part_of_the_month_that_states_them(copy_of, closed_april):
    line = copy_of(closed_april, AFTER_APRIL)
    # April's own record, March's late one, and a cent more for one that was stated in March.
    bill = write_csv(
        line.folder / "bill.csv",
        *(
            {"record_id": name, "cost": cost}
            for name, cost in {"april": "128", "late": "64", "in-alpha": "0.01"}.items()
        ),
    )
    outcome = line.run(f"reconcile 2026-04 {bill} --json")
    (row,) = json.loads(outcome.stdout)["records"]
    # The correction says the difference of one record, and no new record: its count is 0.
    assert (row["record_id"], row["status"]) == ("in-alpha", "count differs")


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([{"cost": "1"}], "has neither record_id nor service"),
        ([{"service": "x", "cost": "1"}, {"service": "x", "cost": "one"}], "row 2 has no record_id, no readable cost"),
        ([{"service": "x", "price": "1"}], "lacks cost, and has unknown columns 'price'"),
        ([{"record_id": "", "cost": "1"}], "row 1 has no record_id"),
    ],
)
def test_a_file_that_is_no_bill_is_refused(line, rows, sentence):
    outcome = reconcile(line, *rows)
    assert outcome.exit_status == 1
    assert sentence in outcome.stderr


def test_a_torn_bill_and_one_without_end_are_refused(line):
    """Four gigabytes in four megabytes; and rows that DuckDB would leave out in silence."""
    whole = write_csv(line.folder / "whole.csv", *({"record_id": name, "cost": cost} for name, cost in RECORDS.items()))
    endless = line.folder / "endless.csv.gz"
    endless.write_bytes(gzip.compress(b"a" * 10_000_000) * 400)
    torn = line.folder / "torn.csv"
    torn.write_bytes(whole.read_bytes().rstrip() + bytes(64_000_100))
    for bill in (endless, torn):
        outcome = line.run(f"reconcile 2026-03 {bill}")
        assert outcome.exit_status == 1
        assert f"{bill} has a line of more than 4,000,000 bytes" in outcome.stderr


def test_an_open_month_has_nothing_to_compare(line):
    assert "2026-04 is not closed" in line.run(f"reconcile 2026-04 {write_csv(line.folder / 'b.csv', *AGREED)}").stderr


def test_a_bill_without_a_currency_has_that_of_the_setting(line):
    line.set("STATEMENTS_DEFAULT_CURRENCY", "EUR")
    assert "Compared: 2 carrier only, 2 ours only." in reconcile(line, *AGREED).stdout
    in_dollars = [row | {"currency": "USD"} for row in AGREED]
    assert reconcile(line, *in_dollars).exit_status == 0


def test_a_record_that_a_later_month_corrects_says_so_and_a_revised_bill_is_compared_with_all_of_it(
    copy_of, closed_april
):
    """Rule 28."""
    line = copy_of(closed_april, AFTER_APRIL)
    # In April the carrier charged two cents for one call of March, and for one that came late.
    revised = RECORDS | {"in-alpha": "0.02", "late": "64"}
    rows = [{"record_id": record_id, "cost": cost} for record_id, cost in revised.items()]
    outcome = reconcile(line, *rows, options="--with-corrections")
    assert (outcome.exit_status, outcome.stderr) == (0, "")
    assert reconcile(line, *rows).exit_status == 1
    different = {
        row["record_id"]: (row["status"], row["note"])
        for row in written(line.folder / "reconciliation-2026-03.csv")
        if row["level"] == "record" and row["status"] != "matched"
    }
    assert different == {
        "in-alpha": (
            "amount differs",
            "restatement of 0.020000000 USD in 2026-04; reversal of -0.010000000 USD in 2026-04",
        ),
        "late": ("carrier only", "late of 64.000000000 USD in 2026-04"),
    }

"""Rejected rows that are written out, mended and landed again, in the columns in which they came."""

import csv
import json
from pathlib import Path

import pytest

from orchestration.errors import Refused
from orchestration.months import Month
from orchestration.reports import ignored, rejected
from tests.unit.conftest import Warehouse
from tests.unit.deliveries import record, write_csv, write_jsonl
from tests.unit.test_shipped_sources import ACC, EXAMPLE, json_cdr

MARCH = Month(2026, 3)


def mend(path: Path, **changes: str) -> Path:
    """Change cells of every row of an exported CSV, as an editor would."""
    with path.open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    for row in rows:
        row.update(changes)
    return write_csv(path, *rows)


def states(warehouse: Warehouse) -> dict[str, str]:
    return {row["record_id"]: row["state"] for row in rejected.rows(warehouse.settings, None)}


def test_a_canonical_row_is_mended_where_it_is_and_clears(warehouse, tmp_path):
    odd = record("odd", cost="", number="=1+1", call_id="'quoted", from_number="+12015550100")
    warehouse.land("cdrs", write_csv(tmp_path / "day.csv", record("good"), odd))
    out = tmp_path / "out.csv"
    assert rejected.export(warehouse.settings, MARCH, None, out) == 1
    (row,) = csv.DictReader(out.open(encoding="utf-8"))
    assert list(row) == [*odd, "rejected_record_id", "rejected_reason", "rejected_file", "rejected_row"]
    assert (row["number"], row["rejected_reason"], row["rejected_file"], row["rejected_row"]) == (
        "'=1+1", "cost_missing", "day.csv", "2"
    )  # fmt: skip
    receipt = warehouse.receipt("cdrs", mend(out, cost="-0.5"))
    assert receipt.rejected_rows == 0
    assert warehouse.usable(columns="record_id, number, call_id, from_number, cost::varchar")[-1] == (
        "odd", "=1+1", "'quoted", "+12015550100", "-0.500000000"
    )  # fmt: skip
    assert states(warehouse) == {"odd": "cleared"}


def test_the_first_of_many_are_counted_without_the_others(warehouse, tmp_path):
    bad = [record(f"bad-{place}", cost="free") for place in range(5)]
    warehouse.land("cdrs", write_csv(tmp_path / "day.csv", *bad))
    warehouse.land("cdrs", write_csv(tmp_path / "mended.csv", record("bad-0")))
    first = rejected.first_rows(warehouse.settings, MARCH, 2)
    assert ([row["record_id"] for row in first[0]], first[1]) == (["bad-0", "bad-1"], 5)
    still_open = rejected.first_rows(warehouse.settings, MARCH, 2, only_open=True)
    assert ([row["record_id"] for row in still_open[0]], still_open[1]) == (["bad-1", "bad-2"], 4)


@pytest.mark.slow
def test_a_row_that_is_still_wrong_stays_and_can_be_written_out_again(warehouse, tmp_path):
    warehouse.land("cdrs", write_csv(tmp_path / "day.csv", record("odd", cost="free")))
    rejected.export(warehouse.settings, None, None, tmp_path / "first.csv")
    warehouse.land("cdrs", mend(tmp_path / "first.csv", cost="gratis"))
    assert rejected.export(warehouse.settings, None, None, tmp_path / "second.csv") == 1
    warehouse.land("cdrs", mend(tmp_path / "second.csv", cost="0.01"))
    assert set(states(warehouse).values()) == {"cleared"}
    with pytest.raises(Refused, match="No rejected row is waiting"):
        rejected.export(warehouse.settings, None, None, tmp_path / "third.csv")


@pytest.mark.slow
def test_a_switch_without_header_gets_its_row_back_under_the_same_record(warehouse, tmp_path):
    folder = warehouse.settings.sources
    folder.mkdir(parents=True)
    (folder / "freeswitch-csv.toml").write_text(
        'extends = "freeswitch-csv"\nzone = "America/New_York"\n', encoding="utf-8"
    )
    path = tmp_path / "Master.csv"
    path.write_text(
        EXAMPLE.splitlines()[0].replace("2026-03-05 10:00:00", "2026-03-08 02:30:00") + "\n", encoding="utf-8"
    )
    warehouse.land("cdrs", path, source="freeswitch-csv@pbx1")
    out = tmp_path / "out.csv"
    rejected.export(warehouse.settings, None, None, out)
    # An offset says which clock was meant. The switch has no cost, so that is not all.
    warehouse.land("cdrs", mend(out, start_stamp="2026-03-08 02:30:00-05:00"), source="freeswitch-csv@pbx1")
    assert warehouse.rejected("record_id, reason") == [
        ("freeswitch-csv:pbx1:u-1", "time_does_not_exist"),
        ("freeswitch-csv:pbx1:u-1", "cost_missing"),
    ]


def test_of_a_record_rejected_twice_the_last_row_alone_stands(warehouse, tmp_path):
    """Rule 19."""
    warehouse.land("cdrs", write_csv(tmp_path / "first.csv", record("odd", cost="free"), record("", cost="free")))
    warehouse.land("cdrs", write_csv(tmp_path / "again.csv", record("", cost="free"), record("odd", cost="free")))
    rows = rejected.rows(warehouse.settings, None)
    # A row without an id is nobody's later delivery.
    assert [(row["record_id"], row["state"]) for row in rows] == [
        ("odd", "cleared"), (None, "open"), (None, "open"), ("odd", "open"),
    ]  # fmt: skip


def test_a_rejected_row_is_answered_when_the_carrier_takes_its_record_back(warehouse, tmp_path):
    """Rule 29."""
    warehouse.land("cdrs", write_csv(tmp_path / "day.csv", record("odd", cost="free")))
    warehouse.land("cdrs", write_csv(tmp_path / "back.csv", record("odd", cost="", withdrawn="true")))
    assert states(warehouse) == {"odd": "cleared"}


BUSY = "id,t,cost,status\na,2026-03-10T10:00:00Z,0.01,completed\nb,2026-03-10T10:00:00Z,,busy\n"
OWN = """
title = "Our switch"
columns = ["id", "t", "cost", "status"]
[record]
record_id = "id"
service = "'outbound_conversational'"
direction = "'outbound'"
cost = "cost"
started_at = { instant = "t" }
"""


@pytest.mark.slow
def test_a_rejected_row_is_answered_when_a_rule_of_its_source_leaves_its_record_out(warehouse, tmp_path):
    """Rule 19."""
    folder = warehouse.settings.sources
    folder.mkdir(parents=True)
    (folder / "ours.toml").write_text(OWN, encoding="utf-8")
    path = tmp_path / "day.csv"
    path.write_text(BUSY, encoding="utf-8")
    warehouse.land("cdrs", path, source="ours")
    assert states(warehouse) == {"ours:main:b": "open"}
    (folder / "ours.toml").write_text(OWN + "[ignore]\nbusy = \"status = 'busy'\"\n", encoding="utf-8")
    receipt = warehouse.receipt("cdrs", path, source="ours")
    assert (receipt.rows, receipt.ignored, receipt.duplicates) == (1, {"busy": 1}, 1)
    assert states(warehouse) == {"ours:main:b": "cleared"}
    (row,) = ignored.rows(warehouse.settings, MARCH)
    assert (row["record_id"], row["reason"], row["source_row"], row["month"]) == ("ours:main:b", "busy", 2, "2026-03")
    assert ignored.rows(warehouse.settings, MARCH.next) == []


@pytest.mark.slow
def test_a_json_line_is_mended_whole(warehouse, tmp_path):
    folder = warehouse.settings.sources
    folder.mkdir(parents=True)
    (folder / "mine.toml").write_text('extends = "freeswitch-json"\n[record]\ncost = "\'0.01\'"\n', encoding="utf-8")
    path = tmp_path / "cdrs.jsonl"
    path.write_text(json_cdr("j-1", "public", start_uepoch="never") + "\n", encoding="utf-8")
    warehouse.land("cdrs", path, source="mine")
    with pytest.raises(Refused, match=r"1 rows can be written as \.jsonl"):
        rejected.export(warehouse.settings, None, None, tmp_path / "out.csv")
    out = tmp_path / "out.jsonl"
    rejected.export(warehouse.settings, None, None, out)
    (row,) = map(json.loads, out.read_text(encoding="utf-8").splitlines())
    assert (row["rejected_record_id"], row["rejected_reason"], row["rejected_row"]) == (
        "mine:main:j-1",
        "time_unreadable",
        1,
    )
    row["variables"]["start_uepoch"] = "1772701200123456"
    warehouse.land("cdrs", write_jsonl(tmp_path / "mended.jsonl", row), source="mine")
    assert states(warehouse) == {"mine:main:j-1": "cleared"}


@pytest.mark.slow
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_call_joined_from_several_rows_is_mended_in_one(warehouse, tmp_path, form):
    folder = warehouse.settings.sources
    folder.mkdir(parents=True)
    (folder / "kamailio-acc.toml").write_text('extends = "kamailio-acc"\n[rates]\nfile = "rates.csv"\n', "utf-8")
    rates = folder / "rates.csv"
    rates.write_text("service,prefix,price,increment,fee\noutbound_conversational,+44,0.02,1/1,\n", "utf-8")
    path = tmp_path / f"acc.{form}"
    if form == "csv":
        path.write_text(ACC, encoding="utf-8")
    else:
        write_jsonl(path, *(row | {"call_id": row["callid"]} for row in csv.DictReader(ACC.splitlines())))
    warehouse.land("cdrs", path, source="kamailio-acc")
    out = tmp_path / f"out.{form}"
    assert rejected.export(warehouse.settings, None, None, out) == 4
    rates.write_text("service,prefix,price,increment,fee\noutbound_conversational,,0.06,1/1,\n", "utf-8")
    receipt = warehouse.receipt("cdrs", out, source="kamailio-acc")
    assert (receipt.rows, receipt.rejected_rows, receipt.ignored) == (4, 2, {})
    assert warehouse.usable(columns="record_id, duration_seconds, cost::varchar") == [
        ("kamailio-acc:main:k-1;tag=a;tag=b", 62, "0.062000000"),
        ("kamailio-acc:main:k-2;tag=c", 0, "0.000000000"),
    ]
    assert states(warehouse)["kamailio-acc:main:k-1;tag=a;tag=b"] == "cleared"


@pytest.mark.slow
def test_rows_of_two_sources_are_written_to_a_file_each(warehouse, tmp_path):
    warehouse.land("cdrs", write_csv(tmp_path / "day.csv", record("odd", cost="")))
    path = tmp_path / "acc.csv"
    path.write_text(ACC, encoding="utf-8")
    warehouse.land("cdrs", path, source="kamailio-acc")
    with pytest.raises(Refused, match="canonical, kamailio-acc@main have different columns: name one with --source"):
        rejected.export(warehouse.settings, None, None, tmp_path / "out.csv")
    assert rejected.export(warehouse.settings, None, "kamailio-acc@main", tmp_path / "out.csv") == 4
    with pytest.raises(Refused, match="exists already"):
        rejected.export(warehouse.settings, None, "canonical", tmp_path / "out.csv")
    with pytest.raises(Refused, match=r"as \.csv, or as \.jsonl"):
        rejected.export(warehouse.settings, None, None, tmp_path / "out.xlsx")


def test_a_bill_keeps_its_last_digit_on_the_way_out_of_parquet(warehouse, tmp_path):
    from decimal import Decimal

    import pyarrow as pa

    from tests.unit.deliveries import write_parquet

    row = record("odd", service="telegram", cost=Decimal("123456789.123456789"))
    warehouse.land("cdrs", write_parquet(tmp_path / "day.parquet", row, types={"cost": pa.decimal128(18, 9)}))
    out = tmp_path / "out.csv"
    rejected.export(warehouse.settings, None, None, out)
    warehouse.land("cdrs", mend(out, service="inbound_conversational"))
    assert warehouse.usable(columns="cost::varchar") == [("123456789.123456789",)]

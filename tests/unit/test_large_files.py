"""Compressed files as they come, and what is said while a large one lands."""

import gzip
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from orchestration.commands.land import Delivery, land
from orchestration.errors import Refused
from orchestration.landing import pace
from orchestration.landing.pace import Pace
from tests.unit.deliveries import record, write_csv, write_jsonl
from tests.unit.test_shipped_sources import ACC, json_cdr


def packed(path: Path, suffix: str) -> Path:
    target = path.with_name(path.name + suffix)
    if suffix == ".gz":
        target.write_bytes(gzip.compress(path.read_bytes()))
    else:
        with pa.output_stream(str(target), compression="zstd") as stream:
            stream.write(path.read_bytes())
    return target


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize(("write", "name"), [(write_csv, "day.csv"), (write_jsonl, "day.jsonl")])
def test_a_compressed_file_lands_as_it_is(warehouse, tmp_path, write, name, suffix):
    path = packed(write(tmp_path / name, record("a"), record("b")), suffix)
    receipt = warehouse.receipt("cdrs", path)
    assert (receipt.file_name, receipt.rows, receipt.source_bytes) == (path.name, 2, path.stat().st_size)
    assert warehouse.usable(columns="record_id") == [("a",), ("b",)]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_compressed_file_of_a_switch_does_too(warehouse, tmp_path, suffix):
    for source, name, content in (
        ("kamailio-acc", "acc.csv", ACC),
        ("freeswitch-json", "cdrs.jsonl", json_cdr("j", "public")),
    ):
        path = tmp_path / name
        path.write_text(content, encoding="utf-8")
        (landing,) = warehouse.land("cdrs", packed(path, suffix), source=source)
        assert landing.receipt.rows == (4 if source == "kamailio-acc" else 1)


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_torn_or_mislabelled_compressed_file_is_refused(warehouse, tmp_path, suffix):
    whole = packed(
        write_csv(tmp_path / "day.csv", *(record(f"r{at}", call_id=f"{at * 7919:x}") for at in range(20_000))), suffix
    )
    torn = tmp_path / f"torn.csv{suffix}"
    torn.write_bytes(whole.read_bytes()[:-2000])
    plain = tmp_path / f"plain.csv{suffix}"
    plain.write_text("record_id\n", encoding="utf-8")
    for path in (torn, plain):
        with pytest.raises(Refused, match=path.name):
            warehouse.land("cdrs", path)
    assert warehouse.receipts == []


@pytest.mark.parametrize("name", ["day.gz", "day.parquet.gz", "day.csv.bz2", "day"])
def test_a_name_that_does_not_say_what_the_file_is_is_refused(warehouse, tmp_path, name):
    (tmp_path / name).write_text("x", encoding="utf-8")
    with pytest.raises(Refused, match=r"the name must end in \.csv"):
        warehouse.land("cdrs", tmp_path / name)


def test_bytes_and_then_rows_are_told_with_their_rate(monkeypatch):
    seconds = iter([0, 2, 2, 3, 5, 6])
    monkeypatch.setattr(pace.time, "monotonic", lambda: next(seconds))
    told = Pace(5_000_000_000)
    assert told.line(-1) is None
    assert told.line(50) == "reading ██████░░░░░░  50 %, 2,500 of 5,000 MB, 1,250 MB/s"
    told.rows_are(30_000_000)
    assert told.line(10) == "writing █░░░░░░░░░░░  10 %, 3,000,000 of 30,000,000 rows, 3,000,000 rows/s"
    # Another query over the rows started since, within half a second.
    assert told.line(5) == "writing █░░░░░░░░░░░   5 %, 1,500,000 of 30,000,000 rows, 1,000,000 rows/s"


def test_of_a_file_in_parts_what_linux_counts_is_told(tmp_path, monkeypatch):
    counts = tmp_path / "io"
    monkeypatch.setattr(pace, "COUNTS", counts)
    with duckdb.connect() as connection:
        # Nothing is told where nothing is counted.
        told = Pace(1_000)
        told.rows_are(10, in_parts=True)
        assert told.percent(connection) == -1
        counts.write_text("rchar: 5000\nwchar: 7\n", encoding="ascii")
        told.rows_are(10, in_parts=True)
        counts.write_text("rchar: 5250\nwchar: 7\n", encoding="ascii")
        assert told.percent(connection) == 25
        # What runs when the parts have been read is a query, which DuckDB knows.
        counts.write_text("rchar: 6000\nwchar: 7\n", encoding="ascii")
        assert told.percent(connection) == connection.query_progress()


@pytest.mark.slow
def test_a_landing_that_is_followed_says_how_far_it_is(warehouse, tmp_path, monkeypatch):
    monkeypatch.setattr(pace, "INTERVAL_SECONDS", 0.001)
    said: list[str] = []
    path = write_csv(tmp_path / "day.csv", *(record(f"r{at}") for at in range(50_000)))
    land(warehouse.settings, "cdrs", [path], Delivery(follow=said.append))
    assert any("of 50,000 rows" in line for line in said)

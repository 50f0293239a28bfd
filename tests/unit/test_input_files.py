"""A file is looked through before it is read: lines have ends, the last one too, and its hash is that of what was read."""

import gzip
import hashlib
import os
import random
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from orchestration.errors import FileChanged, Refused
from orchestration.landing import csv_parts, input_files, records, source_files
from orchestration.landing.input_files import InputFile, look_at
from orchestration.months import Month
from orchestration.reports import reconcile
from orchestration.sources import checking, mapping
from tests.unit.deliveries import record, write_csv, write_jsonl, write_parquet

LONGEST = 4_000_000


def packed(path: Path, content: bytes) -> Path:
    """Write a file, compressed as its name says."""
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(content, compresslevel=1))
    elif path.suffix == ".zst":
        path.write_bytes(pa.compress(content, codec="zstd", asbytes=True))
    else:
        path.write_bytes(content)
    return path


# Lines ----------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.csv.zst", "a.jsonl", "a.jsonl.gz", "a.jsonl.zst"])
@pytest.mark.parametrize("before", [0, 7, 3_999_999, 9_000_000])
def test_a_line_may_have_four_million_bytes_and_not_one_more(tmp_path, name, before):
    lines = b"x" * (before % LONGEST) + b"\n" + (b"y" * 999_999 + b"\n") * (before // LONGEST) if before else b""
    look_at(packed(tmp_path / name, lines + b"z" * LONGEST + b"\n" + b"rest"))
    look_at(packed(tmp_path / name, lines + b"z" * LONGEST))
    unpacked = " unpacked" if name.endswith((".gz", ".zst")) else ""
    for end in (b"\nrest", b""):
        path = packed(tmp_path / name, lines + b"z" * (LONGEST + 1) + end)
        with pytest.raises(Refused) as refused:
            look_at(path)
        place = f"{path} has a line of more than 4,000,000 bytes, after its first {len(lines):,}{unpacked} bytes."
        assert place in str(refused.value)


def test_lines_may_end_as_on_an_old_macintosh_in_csv_alone(tmp_path):
    content = (b"x" * 3_000_000 + b"\r") * 3
    assert look_at(packed(tmp_path / "a.csv", content)).is_ended
    with pytest.raises(Refused, match="a line of more than"):
        look_at(packed(tmp_path / "a.jsonl", content))


@pytest.mark.slow
def test_blocks_say_the_same_as_a_look_at_every_line(tmp_path, monkeypatch):
    chance = random.Random(14)
    monkeypatch.setattr(input_files, "LONGEST_LINE", 10)
    for _ in range(3_000):
        monkeypatch.setattr(input_files, "BLOCK", chance.randrange(1, 40))
        content = bytes(chance.choices(b"x\n\r", [chance.choice([2, 8, 30]), 1, 1], k=chance.randrange(1, 80)))
        path = packed(tmp_path / "a.csv", content)
        lines = content.replace(b"\r", b"\n").split(b"\n")
        if all(len(line) <= 10 for line in lines):
            assert look_at(path).is_ended == (lines[-1] == b""), content
        else:
            with pytest.raises(Refused):
                look_at(path)


def test_the_hash_is_that_of_the_bytes_as_they_came(tmp_path):
    for name in ("a.csv", "a.csv.gz", "a.jsonl.zst", "a.parquet"):
        path = packed(tmp_path / name, b"some,text\n" * 900_000)
        assert look_at(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


# The last line --------------------------------------------------------------------------------------------------------

# Where DuckDB's buffers end: of CSV 16 lines of the longest, of JSON what it takes for objects of 16 MB.
CSV_BUFFER, JSON_BUFFER = 64_000_000, 33_554_424


def rows_up_to(place: int, head: bytes, row: Callable[[bytes], bytes]) -> tuple[bytes, int]:
    """Rows of a megabyte, the last of which ends exactly at a place; and how many they are."""
    size = 1_000_000
    count = (place - len(head)) // size - 1
    rest = place - len(head) - count * size
    rows = [row(b"x" * (length - len(row(b"")))) for length in (size, rest // 2, rest - rest // 2)]
    content = head + rows[0] * count + rows[1] + rows[2]
    assert len(content) == place
    return content, count + 2


def read(file: InputFile, scratch: Path) -> int | str:
    """The number of rows that DuckDB finds in a text, or its error."""
    text = file.ended(scratch)
    if file.form.kind == "csv":
        query = source_files.read_csv(text, file.form.compression, ["a", "b", "c"])
    else:
        query = source_files.read_json(text, file.form.compression)
    with duckdb.connect(config={"threads": 2}) as connection:
        try:
            return connection.execute(f"select count(*) from {query}").fetchall()[0][0]
        except duckdb.Error as error:
            return str(error)


CSV_TAILS = {
    "a row": (b"1,2," + b"y" * 96, True),
    "a row that is torn": (b"1," + b"y" * 98, False),
    "a row that is torn in its first value": (b"y" * 100, False),
    "a row that is torn after a quote": (b'1,"' + b"y" * 96 + b'"', False),
    "a row that is torn inside quotes": (b'1,2,"' + b"y\n" * 47 + b"y", False),
    "a row that is torn, and NUL bytes": (b"1," + bytes(98), False),
}
JSON_TAILS = {
    "an object": (b'{"a":"' + b"y" * 92 + b'"}', True),
    "an object that is torn": (b'{"a":"' + b"y" * 94, False),
    "NUL bytes": (bytes(100), False),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "before",
    [
        0,
        *(pytest.param(before, marks=pytest.mark.long) for before in (1, 50, 99)),
    ],
)
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_a_last_row_that_crosses_a_buffer_is_read_or_refused(tmp_path, name, before):
    """DuckDB drops a torn one, however long, without a word."""
    content, count = rows_up_to(CSV_BUFFER - before, b"a,b,c\n", lambda value: b"1,2," + value + b"\n")
    for tail, is_whole in CSV_TAILS.values():
        file = look_at(packed(tmp_path / name, content + tail))
        assert not file.is_ended
        found = read(file, tmp_path)
        assert found == count + 1 if is_whole else isinstance(found, str), tail


@pytest.mark.slow
@pytest.mark.parametrize(
    "before",
    [
        99,
        pytest.param(0, marks=pytest.mark.slow),
        *(pytest.param(before, marks=pytest.mark.long) for before in (1, 50)),
    ],
)
@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.zst"])
def test_a_last_object_that_crosses_a_buffer_is_read_or_refused(tmp_path, name, before):
    """DuckDB drops it, or takes a part of it for the whole."""
    content, count = rows_up_to(JSON_BUFFER - before, b"", lambda value: b'{"a":"' + value + b'"}\n')
    for tail, is_whole in JSON_TAILS.values():
        found = read(look_at(packed(tmp_path / name, content + tail)), tmp_path)
        assert found == count + 1 if is_whole else isinstance(found, str), tail


@pytest.mark.parametrize("line_break", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.csv.zst"])
def test_the_last_line_ends_as_the_first_does(tmp_path, name, line_break):
    file = look_at(packed(tmp_path / name, line_break.join([b"a,b,c", b"1,2,3", b"4,5,6"])))
    with input_files.open_bytes(file.ended(tmp_path), file.form.compression) as handle:
        assert handle.read() == line_break.join([b"a,b,c", b"1,2,3", b"4,5,6", b""])
    assert read(file, tmp_path) == 2


def test_a_text_that_ends_with_a_line_break_is_read_where_it_lies(tmp_path):
    path = packed(tmp_path / "a.csv", b"a,b,c\n1,2,3\n")
    assert look_at(path).ended(tmp_path) == path


@pytest.mark.slow
def test_a_torn_file_padded_with_nul_bytes_is_refused_in_every_form(warehouse, tmp_path):
    """duckdb#25825: a last line that fills a buffer is dropped, and 50 rows landed as if they were all."""
    for write, ending in ((write_csv, ".csv"), (write_jsonl, ".jsonl")):
        whole = write(tmp_path / f"whole{ending}", *(record(f"r{number}") for number in range(51))).read_bytes()
        content = whole.rstrip(b"\r\n}") + bytes(64_000_100)
        for suffix in ("", ".gz", ".zst"):
            path = packed(tmp_path / f"torn{ending}{suffix}", content)
            with pytest.raises(Refused, match=f"{path.name} has a line of more than 4,000,000 bytes"):
                warehouse.land("cdrs", path)
    assert warehouse.receipts == []


# The same bytes -------------------------------------------------------------------------------------------------------


def times_put_back(change: Callable[[Path], None]) -> Callable[[Path], None]:
    """A change after which the file shows the time of change that it had."""

    def changed(path: Path) -> None:
        before = path.stat()
        change(path)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    return changed


def turned_round(path: Path) -> None:
    """The last byte but one of the file becomes another; its size stays."""
    with path.open("r+b") as handle:
        handle.seek(-2, os.SEEK_END)
        byte = handle.read(1)
        handle.seek(-1, os.SEEK_CUR)
        handle.write(bytes([byte[0] ^ 1]))


def replaced(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    other.replace(path)


def longer(path: Path) -> None:
    with path.open("ab") as handle:
        handle.write(b"\n")


def and_back(path: Path) -> None:
    turned_round(path)
    turned_round(path)


CHANGES: dict[str, Callable[[Path], None]] = {
    "written to in place": times_put_back(turned_round),
    "written to and back": times_put_back(and_back),
    "replaced": times_put_back(replaced),
    "continued": longer,
    "cut short": lambda path: os.truncate(path, path.stat().st_size - 3),
    "emptied": lambda path: os.truncate(path, 0),
    "removed": Path.unlink,
}
WRITERS = {".csv": write_csv, ".jsonl": write_jsonl, ".parquet": write_parquet}


@pytest.fixture
def in_the_middle(monkeypatch):
    """A function that lets something happen when a file has been opened and its rows are about to be judged."""

    def let(happen: Callable[[], None]) -> None:
        judge = records.create_normalized
        once = iter([happen])

        def judged(*arguments, **others) -> None:
            next(once, lambda: None)()
            judge(*arguments, **others)

        monkeypatch.setattr(records, "create_normalized", judged)

    return let


@pytest.mark.slow
@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("suffix", WRITERS)
def test_a_file_that_changes_while_it_lands_is_refused(warehouse, tmp_path, in_the_middle, suffix, what):
    path = WRITERS[suffix](tmp_path / f"day{suffix}", *(record(f"r{number}") for number in range(50)))
    in_the_middle(lambda: CHANGES[what](path))
    assert_refused_as_changed(warehouse, path)


@pytest.mark.parametrize("what", CHANGES)
def test_so_is_one_that_is_read_in_parts(warehouse, tmp_path, monkeypatch, in_the_middle, what):
    path = write_csv(tmp_path / "day.csv", *(record(f"r{number}") for number in range(50)))
    monkeypatch.setattr(csv_parts, "SMALLEST_PART", 1)
    monkeypatch.setattr(input_files, "BLOCK", 400)
    in_the_middle(lambda: CHANGES[what](path))
    assert_refused_as_changed(warehouse, path)


def assert_refused_as_changed(warehouse, path: Path) -> None:
    with pytest.raises(FileChanged) as refused:
        warehouse.land("cdrs", path)
    assert str(refused.value) == (
        f"{path} changed while it was read. Land it again when its writer is done. Nothing of it was landed."
    )
    assert warehouse.receipts == []
    assert [left for left in warehouse.settings.build.rglob("*") if left.is_file()] == []


def test_a_link_that_is_pointed_elsewhere_is_a_change(warehouse, tmp_path, in_the_middle):
    first, second = (write_csv(tmp_path / name, record("a")) for name in ("first.csv", "second.csv"))
    link = tmp_path / "latest.csv"
    link.symlink_to(first)

    def point_elsewhere() -> None:
        link.unlink()
        link.symlink_to(second)

    in_the_middle(point_elsewhere)
    with pytest.raises(FileChanged):
        warehouse.land("cdrs", link)


def test_a_change_that_no_time_shows_is_found_by_the_hash(warehouse, tmp_path, in_the_middle, monkeypatch):
    """As through a memory map, or on a file system that keeps time in seconds."""
    path = write_csv(tmp_path / "day.csv", record("a"))
    shown = input_files.stamp(path)
    monkeypatch.setattr(input_files, "stamp", lambda _: shown)
    in_the_middle(lambda: turned_round(path))
    with pytest.raises(FileChanged):
        warehouse.land("cdrs", path)


def test_a_fault_that_a_change_brought_is_told_as_the_change(warehouse, tmp_path, in_the_middle):
    path = write_csv(tmp_path / "day.csv", record("a", started_at="2026-03-05T10:00:00"))
    in_the_middle(lambda: longer(path))
    with pytest.raises(FileChanged):
        warehouse.land("cdrs", path)


def test_events_and_a_switchs_own_file_are_held_to_it_too(warehouse, tmp_path, monkeypatch):
    charge = {"id": "1", "charge": "cnam", "direction": "inbound", "start_time": "2026-03-05 10:00:00", "cost": "0.01"}
    ips = write_csv(
        tmp_path / "ips.csv", {"ip": "192.0.2.1", "account_id": "alpha", "recorded_at": "2026-01-01T00:00:00Z"}
    )
    switch = write_csv(tmp_path / "switch.csv", charge)
    for feed, path, source, module, name in (
        ("ip_assignments", ips, None, source_files, "open_source"),
        ("cdrs", switch, "skyetel-style", mapping, "open_source"),
    ):
        opens = getattr(module, name)

        def opened(*arguments, opens=opens, path=path):
            found = opens(*arguments)
            turned_round(path)
            return found

        with monkeypatch.context() as patched:
            patched.setattr(module, name, opened)
            with pytest.raises(FileChanged):
                warehouse.land(feed, path, source=source)
    assert warehouse.receipts == []


def test_a_trial_and_a_bill_are_held_to_it_too(warehouse, tmp_path, in_the_middle, monkeypatch):
    charge = {"id": "1", "charge": "cnam", "direction": "inbound", "start_time": "2026-03-05 10:00:00", "cost": "0.01"}
    path = write_csv(tmp_path / "switch.csv", charge)
    in_the_middle(lambda: longer(path))
    with pytest.raises(FileChanged):
        checking.check(warehouse.settings, "skyetel-style", path, 10)

    bill = write_csv(tmp_path / "bill.csv", {"service": "cnam_lookup", "cost": "1"})
    value = reconcile._value

    def changed(*arguments):
        longer(bill)
        return value(*arguments)

    monkeypatch.setattr(reconcile.manifests, "require_closed", lambda *_: None)
    monkeypatch.setattr(reconcile.manifests, "require_undamaged", lambda *_, **__: None)
    monkeypatch.setattr(reconcile, "_value", changed)
    with pytest.raises(FileChanged):
        reconcile.reconcile(warehouse.settings, Month(2026, 3), reconcile.Bill(bill), tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_a_rate_table_that_is_not_the_one_whose_hash_was_taken_is_refused(warehouse, tmp_path, monkeypatch):
    folder = warehouse.settings.sources
    folder.mkdir(parents=True)
    (folder / "mine.toml").write_text('extends = "asterisk-csv"\nzone = "UTC"\n[rates]\nfile = "rates.csv"\n')
    rates = folder / "rates.csv"
    rates.write_text("service,prefix,price,increment,fee\noutbound_conversational,,0.01,60/60,\n")
    opens = mapping.open_file

    def opened(*arguments):
        rates.write_text("service,prefix,price,increment,fee\noutbound_conversational,,0.02,60/60,\n")
        return opens(*arguments)

    monkeypatch.setattr(mapping, "open_file", opened)
    path = tmp_path / "Master.csv"
    path.write_text(
        '"","2001","15035550123","from-internal","""2001"" <2001>","SIP/2001-1","SIP/t-2","Dial","x",'
        '"2026-03-05 10:00:00","2026-03-05 10:00:02","2026-03-05 10:01:02",62,60,"ANSWERED","DOCUMENTATION","1772704800.1",""\n'
    )
    with pytest.raises(FileChanged, match=r"rates\.csv changed while it was read"):
        warehouse.land("cdrs", path, source="mine")

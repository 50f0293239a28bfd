"""A large CSV is read in parts: the same rows with the same numbers as of the whole, or the same refusal."""

import _thread
import random
import resource
import threading
import time
from pathlib import Path

import duckdb
import pytest

from orchestration import engine
from orchestration.errors import Refused
from orchestration.landing import csv_parts, feeds, input_files, normalization, records, source_files
from tests.unit.deliveries import record, write_csv
from tests.unit.test_landing_files import REFUSED

# What texts are put together from, between a header and the end: whole rows, and what is hard about some.
ROWS = [b"1,2,3\n", b'"a","b","c"\n', b'"a\nb",2,3\n', b'4,"x""y",6\n', b'7,"",""\n', b"\xef\xbb\xbf8,,\n", b"\n"]
PIECES = [
    b"x",
    b",",
    b"\n",
    b'"',
    b'""',
    b'"x"',
    b'","',
    b'",',
    b',"',
    b'"\n',
    b'\n"',
    b"\xc3\xa9",
    b"\xe9",
    b" ",
    b"\r",
]
PIECES += [b"\r\n", b"\0", b"\\", b"\xef\xbb\xbf"]


@pytest.fixture
def small_parts(monkeypatch):
    """Any file is large enough for parts, and is looked at a few bytes at a time."""
    monkeypatch.setattr(csv_parts, "SMALLEST_PART", 1)
    monkeypatch.setattr(input_files, "BLOCK", 7)
    monkeypatch.setattr(csv_parts, "COPIED", 5)


def texts(chance: random.Random, number: int):
    for _ in range(number):
        strange = chance.choice([[], PIECES, chance.sample(PIECES, 3)])
        chosen = [
            chance.choice(strange if strange and chance.random() < 0.4 else ROWS) for _ in range(chance.randrange(16))
        ]
        text = b"a,b,c\n" + b"".join(chosen) + chance.choice([b"", b"", b"\n"])
        yield chance.choice([text, text, text.replace(b"\n", b"\r\n"), text.replace(b"3\n", b"3\r\n")])


def read(connection: duckdb.DuckDBPyConnection, query: str):
    """The rows of a query, each with its number, or that it cannot be read."""
    try:
        return connection.execute(f"select * from ({query}) order by source_row").fetchall()
    except duckdb.Error:
        return "cannot be read"


def test_parts_have_the_rows_of_the_whole(tmp_path, monkeypatch, small_parts):
    chance, columns = random.Random(19), ["a", "b", "c"]
    path, cut = tmp_path / "whole.csv", set()
    with duckdb.connect() as connection:
        for content in texts(chance, 800):
            path.write_bytes(content)
            monkeypatch.setattr(input_files, "BLOCK", chance.randrange(1, 30))
            parts = csv_parts.parts(input_files.look_at(path).row_ends, chance.randrange(1, 5))
            if not parts:
                continue
            opened = [
                f"select *, row_number() over () + {part.rows_before} as source_row "
                f"from {source_files.read_csv(copy, 'none', columns, header=part.start == 0)}"
                for part, copy in zip(parts, csv_parts.cut(path, parts, tmp_path), strict=True)
            ]
            assert [part.start for part in parts] == [0, *(part.stop for part in parts[:-1])]
            assert parts[-1].stop == len(content)
            whole = f"select *, row_number() over () as source_row from {source_files.read_csv(path, 'none', columns)}"
            expected = read(connection, whole)
            assert read(connection, " union all ".join(opened)) == expected, content
            if isinstance(expected, list):
                assert sum(part.rows for part in parts) == len(expected), content
            cut.add((len(parts), isinstance(expected, list)))
    # Each number of parts came up, of files that can be read and of others.
    assert len(cut) == 8


def test_what_is_no_plain_csv_is_not_cut(tmp_path, small_parts):
    path = tmp_path / "a.csv"
    for content in (
        b"a\r\n1\n",
        b"a\n1\r\n",
        b'a\r\n"1\n"\r\n',
        b"a\r1\r",
        b"a\n1\r2\n",
        b"a\r\n1\r2\r\n",
        b"a\n1",
        b'a\n1"2"\n',
        b'a\n "1"\n',
        b'a\n"1" \n',
        b'a\n"1\n',
        b'\xef\xbb\xbf"a"\n1\n',
    ):
        path.write_bytes(content)
        assert input_files.look_at(path).row_ends == (), content


def test_small_files_are_not_cut_and_large_ones_in_as_many_parts_as_asked():
    ends = [csv_parts.RowEnd(place, place // 100) for place in range(1_000_000, 100_000_001, 1_000_000)]
    assert csv_parts.parts(ends[:63], 2) == []
    assert [(part.start, part.stop) for part in csv_parts.parts(ends[:64], 2)] == [
        (0, 32_000_000),
        (32_000_000, 64_000_000),
    ]
    first, second, third = csv_parts.parts(ends, 3)
    assert (first.rows, second.rows_before, third.rows_before) == (329_999, 329_999, 669_999)
    assert sum(part.rows for part in (first, second, third)) == ends[-1].rows - 1


def delivery(path: Path, line_break: bytes = b"\n") -> Path:
    """Two hundred records of three days, some of which cannot be used and some of which are taken back."""
    rows = [
        record(
            f"r{place}",
            started_at=f"2026-03-0{place % 3 + 1}T10:00:00Z",
            cost="much" if place % 50 == 7 else "0.0010",
            x_tenant=["alpha", 'a "quoted" one', "", "two\nlines"][place % 4],
            withdrawn="true" if place % 60 == 3 else "",
        )
        for place in range(200)
    ]
    write_csv(path, *rows)
    path.write_bytes(path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", line_break))
    return path


@pytest.mark.parametrize(("threads", "line_break"), [(1, b"\n"), (2, b"\n"), (2, b"\r\n"), (3, b"\n"), (16, b"\n")])
def test_a_file_lands_in_parts_as_it_does_whole(warehouse, tmp_path, monkeypatch, threads, line_break):
    monkeypatch.setenv("STATEMENTS_THREADS", str(threads))
    monkeypatch.setenv("STATEMENTS_MEMORY_LIMIT", "700MB")
    path = delivery(tmp_path / "day.csv", line_break)
    columns = ", ".join(["source_row", *feeds.CDRS.values])
    whole = warehouse.receipt("cdrs", path)
    landed, rejected = warehouse.usable(columns=columns), warehouse.rejected("* exclude (batch_id)")
    assert (len(landed), whole.withdrawn_rows, whole.rejected_rows) == (192, 4, 4)

    opened: list[csv_parts.Part] = []
    monkeypatch.setattr(csv_parts, "SMALLEST_PART", 1)
    monkeypatch.setattr(input_files, "BLOCK", 400)
    parts = csv_parts.parts
    monkeypatch.setattr(csv_parts, "parts", lambda ends, number: opened.extend(parts(ends, number)) or opened)
    other = type(warehouse)(tmp_path / "in parts", monkeypatch)
    in_parts = other.receipt("cdrs", path)
    assert len(opened) == min(threads, 3)
    assert other.usable(columns=columns) == landed
    assert other.rejected("* exclude (batch_id)") == rejected
    counts = ("source_sha256", "rows", "rejected_by_month", "withdrawn_rows", "duplicates", "superseded")
    assert [getattr(in_parts, name) for name in counts] == [getattr(whole, name) for name in counts]


def test_a_file_has_no_more_parts_than_there_is_memory_for(warehouse, tmp_path, small_parts):
    file = input_files.look_at(delivery(tmp_path / "day.csv"))
    for memory, parts in (("700MB", 3), ("599MB", 2), ("399MB", 0)):
        with duckdb.connect(config={"threads": 3, "memory_limit": memory}) as connection:
            normalization.load(connection)
            assert len(source_files.open_source(connection, feeds.CDRS, file, tmp_path).parts) == parts


REFUSED_CSV = {what: case for what, case in REFUSED.items() if case[0].endswith(".csv") and case[2]}


@pytest.mark.parametrize("what", REFUSED_CSV)
def test_a_file_is_refused_in_parts_in_the_words_for_the_whole(warehouse, tmp_path, monkeypatch, what):
    name, make, words = REFUSED_CSV[what]
    path, said = tmp_path / name, []
    make(path)
    for smallest in (csv_parts.SMALLEST_PART, 1):
        monkeypatch.setattr(csv_parts, "SMALLEST_PART", smallest)
        with pytest.raises(Refused) as refused:
            warehouse.receipt("cdrs", path)
        said.append(str(refused.value))
    assert words in said[0]
    assert said[0] == said[1]
    assert warehouse.receipts == []


def test_a_torn_row_of_a_part_is_told_by_its_line_in_the_file(warehouse, tmp_path, small_parts):
    path = delivery(tmp_path / "day.csv")
    with path.open("a", encoding="utf-8") as file:
        file.write("torn,row\n")
    with pytest.raises(Refused, match="cannot be read to its end: line 202: it has 2 columns instead of 9"):
        warehouse.receipt("cdrs", path)
    assert warehouse.receipts == []


def test_rows_that_were_counted_wrongly_never_land(warehouse, tmp_path, monkeypatch, small_parts):
    path, parts = delivery(tmp_path / "day.csv"), csv_parts.parts

    def miscounted(ends, number):
        first, *others = parts(ends, number)
        return [csv_parts.Part(first.start, first.stop, 0, first.rows - 1), *others]

    monkeypatch.setattr(csv_parts, "parts", miscounted)
    with pytest.raises(RuntimeError, match="A statement of this software failed"):
        warehouse.receipt("cdrs", path)
    assert warehouse.receipts == []


@pytest.mark.parametrize("missing", [1, 20, 300_000])
def test_a_part_that_the_disk_takes_a_piece_of_is_an_error(tmp_path, missing):
    """A disk that fills up writes what it has room for, and tells of it by the number of bytes alone."""
    path = tmp_path / "day.csv"
    path.write_bytes(b"0123456789" * 90_000)
    whole = csv_parts.Part(0, path.stat().st_size, 0, 1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (whole.stop - missing, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            csv_parts.cut(path, [whole], tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    (part,) = csv_parts.cut(path, [whole], tmp_path)
    assert part.read_bytes() == path.read_bytes()


def test_ctrl_c_ends_every_part(warehouse, tmp_path, monkeypatch, small_parts):
    begun = threading.Event()

    def write_part(connection, draft, place: int) -> int:
        if place == 0:
            begun.set()
            connection.execute("select sum(range) from range(1_000_000_000_000)")
        begun.wait()
        time.sleep(0.2)
        raise KeyboardInterrupt

    monkeypatch.setenv("STATEMENTS_THREADS", "2")
    monkeypatch.setattr(records, "_write_usable_part", write_part)
    with pytest.raises(KeyboardInterrupt):
        warehouse.receipt("cdrs", delivery(tmp_path / "day.csv"))
    assert warehouse.receipts == []


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_in_a_query_is_no_mistake_of_ours(warehouse):
    def press_while_it_runs(connection) -> None:
        threading.Timer(0.3, _thread.interrupt_main).start()
        connection.execute("select sum(range) from range(1_000_000_000_000)")

    with pytest.raises(KeyboardInterrupt), engine.connect(warehouse.settings) as connection:
        press_while_it_runs(connection)


def test_connections_beside_another_end_with_it(warehouse):
    with engine.connect(warehouse.settings) as connection:
        with engine.beside(connection, 2) as (other, same):
            assert same is connection
            assert other.execute(
                "select current_setting('TimeZone'), current_setting('external_threads')"
            ).fetchall() == [("UTC", 2)]
        with pytest.raises(duckdb.ConnectionException):
            other.execute("select 1")
        assert connection.execute("select current_setting('external_threads')").fetchall() == [(1,)]

"""Connections of several processes at once, each of which spills; rows that are made when a query asks for them."""

import subprocess
import sys
from contextlib import suppress

import duckdb
import pyarrow as pa
import pytest

from orchestration import engine, settings
from orchestration.errors import Refused
from orchestration.settings import PROJECT_ROOT

SORT = """
import sys
from pathlib import Path
from orchestration import engine, settings
from orchestration.errors import Refused
first = int(sys.argv[2])
with engine.connect(settings.load(Path(sys.argv[1]))) as connection:
    print(connection.execute(
        f"select count(*), sum(n) from (select n, lag(n) over (order by key) as before from "
        f"(select n, md5(n::varchar) as key from range({first}, {first} + 3_000_000) as numbers (n)))"
    ).fetchone())
"""


@pytest.mark.long
def test_two_processes_that_spill_at_once_do_not_meet(tmp_path, monkeypatch):
    monkeypatch.setenv("STATEMENTS_MEMORY_LIMIT", "150MB")
    monkeypatch.setenv("STATEMENTS_THREADS", "1")
    firsts = [10**9 * place for place in (1, 2, 3)]
    sorting = [
        subprocess.Popen(
            [sys.executable, "-c", SORT, tmp_path / "data", str(first)],
            cwd=PROJECT_ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for first in firsts
    ]
    spills = settings.load(tmp_path / "data").spill
    seen = 0
    while any(process.poll() is None for process in sorting):
        # A folder may go between being listed and being opened.
        with suppress(FileNotFoundError):
            seen = max(seen, len({path.parent for path in spills.glob("*/duckdb_temp_storage*")}))
    said = [process.communicate() for process in sorting]
    assert said == [(f"{(3_000_000, sum(range(first, first + 3_000_000)))}\n", "") for first in firsts]
    assert seen == len(firsts)
    assert list(spills.iterdir()) == []


@pytest.mark.parametrize(
    ("memory", "spill", "setting"),
    [("2MB", "1GB", "STATEMENTS_MEMORY_LIMIT"), ("60MB", "1MB", "STATEMENTS_SPILL_LIMIT")],
)
def test_a_query_without_room_says_which_settings_make_room(tmp_path, monkeypatch, memory, spill, setting):
    monkeypatch.setenv("STATEMENTS_MEMORY_LIMIT", memory)
    monkeypatch.setenv("STATEMENTS_SPILL_LIMIT", spill)
    monkeypatch.setenv("STATEMENTS_THREADS", "1")
    query = "create table made as select md5(n::varchar) as key from range(2_000_000) as numbers (n) order by key"
    with (
        pytest.raises(Refused, match=f"more than {memory} of memory for 1 thread, or .* {spill} .*{setting}"),
        engine.connect(settings.load(tmp_path / "data")) as connection,
    ):
        connection.execute(query)


NUMBERS = pa.schema([("n", pa.int64())])


def numbers(*until):
    """Two batches, and then what is to go wrong."""
    for first in (0, 2):
        yield pa.record_batch([pa.array([first, first + 1])], schema=NUMBERS)
    for error in until:
        raise error


def test_rows_that_are_made_when_a_query_asks_for_them_are_all_there():
    with duckdb.connect() as connection, engine.streamed(connection, "found", NUMBERS, numbers()):
        assert connection.execute("select n from found").fetchall() == [(0,), (1,), (2,), (3,)]


@pytest.mark.parametrize("error", [OSError(5, "Input/output error", "a.parquet"), KeyboardInterrupt()])
def test_what_goes_wrong_in_making_rows_is_raised_as_it_is(error):
    with duckdb.connect() as connection:
        with pytest.raises(type(error)) as raised, engine.streamed(connection, "found", NUMBERS, numbers(error)):
            connection.execute("create table made as select n from found")
        assert raised.value is error
        assert connection.execute("select count(*) from duckdb_tables()").fetchall() == [(0,)]


def test_a_mistake_in_a_query_over_them_is_its_own():
    with (
        duckdb.connect() as connection,
        pytest.raises(duckdb.BinderException),
        engine.streamed(connection, "found", NUMBERS, numbers()),
    ):
        connection.execute("select missing from found")


@pytest.mark.parametrize("error", [duckdb.IOException("Could not read"), duckdb.FatalException("fsync failed!")])
def test_what_the_machine_refuses_a_connection_is_a_sentence(tmp_path, error):
    with pytest.raises(Refused, match="The machine would not do it: "), engine.connect(settings.load(tmp_path)):
        raise error

"""Connections of several processes at once, each of which spills."""

import subprocess
import sys
from contextlib import suppress

import pytest

from orchestration import settings
from orchestration.settings import PROJECT_ROOT

SORT = """
import sys
from pathlib import Path
from orchestration import engine, settings
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

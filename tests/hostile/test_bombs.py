"""No file takes more memory than the settings allow, whatever it unpacks to."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostile.bombs import BOMBS, Bomb
from tests.reach import FULL

LIMIT_MB = 256


def landed(folder: Path, *bombs: Bomb) -> dict[str, dict]:
    """The outcomes of files that one process lands, one after the other, with 256 MB for queries."""
    for bomb in bombs:
        bomb.make(folder / bomb.name)
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile.bombs", "cdrs", str(folder / "data"), *(folder / b.name for b in bombs)],
        env=os.environ | {"STATEMENTS_MEMORY_LIMIT": f"{LIMIT_MB}MB", "STATEMENTS_THREADS": "2"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    return {told["file"]: told for told in map(json.loads, done.stdout.splitlines())}


@pytest.mark.long
def test_a_small_file_that_unpacks_to_gigabytes_is_refused_within_the_memory_of_a_query(tmp_path):
    bombs = [bomb for bomb in BOMBS if not bomb.is_large]
    outcomes = landed(tmp_path, *bombs)
    for bomb in bombs:
        assert bomb.words in outcomes[bomb.name]["outcome"], outcomes[bomb.name]
    assert all((tmp_path / bomb.name).stat().st_size < 7_000_000 for bomb in bombs if bomb.name != "footer.parquet")
    assert max(told["peak_mb"] for told in outcomes.values()) < LIMIT_MB


@pytest.mark.skipif(not FULL, reason="minutes: make test-hostile")
@pytest.mark.parametrize("bomb", [bomb for bomb in BOMBS if bomb.is_large], ids=lambda bomb: bomb.name)
def test_a_file_of_wide_rows_lands_or_is_refused_within_what_the_limit_allows(tmp_path, bomb):
    """DuckDB counts its buffers and not the texts of an expression: up to half as much again."""
    told = landed(tmp_path, bomb)[bomb.name]
    print(f"{bomb.name}: {told['peak_mb']} MB above the imports with a limit of {LIMIT_MB} MB; {told['outcome'][:90]}")
    assert bomb.words in told["outcome"]
    assert told["peak_mb"] < 2 * LIMIT_MB

"""A CSV that a spreadsheet opens without running a cell reads back to what was written, by the rule that README gives."""

import csv
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration import guarded_csv

# What spreadsheets are known to run (OWASP), the guard itself, and what CSV, numbers and other formulas are made of.
TELLING = "=+-@\t\r\n\x00'\",;\uff1d\uff0b\uff0d\uff20 +0123456789.aé\U0001f4a3\u202e"
TEXTS = st.one_of(
    st.text(alphabet=TELLING, min_size=1, max_size=12),
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
    st.from_regex(r"\+[0-9]{5,17}", fullmatch=True),
    st.from_regex(r"[=+\-@']{1,3}[A-Z(0-9]{1,8}", fullmatch=True),
)
AMOUNTS = st.decimals(-(10**8), 10**8, places=9)
STARTERS = "=+-@\t\r\n\x00\uff1d\uff0b\uff0d\uff20"


def read_back(cell: str) -> str | None:
    """README's rule for the text columns: empty is absent, and of a quote at the start one goes."""
    return cell.removeprefix("'") or None


def is_e164(text: str) -> bool:
    return text.isascii() and text[:1] == "+" and text[1:].isdigit() and text[1] != "0" and 8 <= len(text) <= 16


@pytest.mark.long
@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.none() | TEXTS, AMOUNTS), min_size=1, max_size=20))
def test_what_is_written_reads_back_and_no_cell_runs(tmp_path_factory, rows: list[tuple[str | None, Decimal]]):
    target: Path = tmp_path_factory.mktemp("csv") / "given.csv"
    with duckdb.connect() as connection:
        connection.execute("create table given (place integer, cell varchar, cost decimal(38, 9))")
        connection.executemany("insert into given values (?, ?, ?)", [(place, *row) for place, row in enumerate(rows)])
        guarded_csv.write(connection, "select * from given", ("place",), target)
    with target.open(encoding="utf-8", newline="") as handle:
        found = list(csv.DictReader(handle, strict=True))
    assert [(read_back(row["cell"]), Decimal(row["cost"])) for row in found] == rows
    for row, (text, _) in zip(found, rows, strict=True):
        assert row["cell"][:1] not in STARTERS or not text or is_e164(text)
        assert row["cell"] == (text or "") or row["cell"] == f"'{text}"


def test_numbers_and_amounts_stay_readable(tmp_path):
    with duckdb.connect() as connection:
        query = "select '+15551234567' as number, -1.5::decimal(38, 9) as cost, '-1' as call_id, '+1' as short"
        guarded_csv.write(connection, query, ("number",), tmp_path / "given.csv")
    assert (tmp_path / "given.csv").read_text(encoding="utf-8").splitlines()[1] == "+15551234567,-1.500000000,'-1,'+1"

"""docs/sql.md: each question has the answer that the story of the folder leads to, and its Python runs.

What belongs here: the answers, by hand. What does not: the story itself, which is in `conftest`.
"""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from orchestration.errors import Refused
from orchestration.reports import frames, sql
from orchestration.settings import PROJECT_ROOT, load

PAGE = (PROJECT_ROOT / "docs" / "sql.md").read_text(encoding="utf-8")
# The months, tenant and number of the story, for those of the README that the page names.
HERE = {
    "2026-09": "2026-04",
    "2026-08": "2026-03",
    "bigcustomer.mypbx.com": "alpha",
    "+12015550124": "+12015550103",
}


def told(text: str) -> str:
    for there, here in HERE.items():
        text = text.replace(there, here)
    return text


QUESTIONS = {
    int(number): told(query)
    for number, query in re.findall(r"^## (\d+)\. .*?^```sql\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
}
D = Decimal
MARCH, APRIL = date(2026, 3, 1), date(2026, 4, 1)
ANSWERS = {
    1: [
        ("alpha", "=Alpha, Inc", "USD", D(128), D("64.01"), D("192.01")),
        ("beta", "beta Inc", "USD", D(0), D(0), D(0)),
        ("quiet", "quiet Inc", "USD", D(0), D(0), D(0)),
    ],
    2: [(1, "alpha", "USD", D("0.76"), D("192.01"), D("191.25")), (2, "beta", "USD", D("3.25"), D(0), D("-3.25"))],
    3: [
        (MARCH, "Inbound calls", "USD", 5, D("25.01"), None),
        (APRIL, "Inbound calls", "USD", 2, D("192.01"), D("167.00")),
    ],
    4: [
        ("The number had been released", "USD", 1, D(16)),
        ("Nobody was ever given the number before the call", "USD", 1, D(8)),
        ("The header differs from an Account ID in upper and lower case", "USD", 1, D(4)),
    ],
    5: [
        ("+12015550103", "number_unassigned", "USD", 1, D(16)),
        ("+12015550199", "number_unknown", "USD", 1, D(8)),
        ("BETA", "header_case_mismatch", "USD", 1, D(4)),
    ],
    8: [("2026-04", MARCH, "alpha", "USD", D("64.01"))],
    10: [],
}


@pytest.fixture
def data(closed_april: Path) -> Path:
    return closed_april / "data"


def answer(data: Path, number: int) -> list[tuple]:
    return [tuple(row.values()) for row in sql.run(load(data), QUESTIONS[number]).rows]


def test_there_are_ten_questions():
    assert sorted(QUESTIONS) == list(range(1, 11))


@pytest.mark.parametrize("number", ANSWERS)
def test_a_question_has_its_answer(data, number):
    assert answer(data, number) == ANSWERS[number]


def test_the_questions_about_single_records_and_holders_have_their_answers(data):
    ((asset, by, currency, _, cost),) = answer(data, 6)
    assert (asset, by, currency, cost) == ("+12015550101", "number", "USD", D("192.01"))
    ((account, start, end, _),) = answer(data, 7)
    assert (account, start, end) == ("alpha", datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
    ((started_at, *_, cost, currency, record_id),) = answer(data, 9)
    assert (started_at, cost, currency, record_id) == (datetime(2026, 4, 10, tzinfo=UTC), D(128), "USD", "april")


def test_the_python_of_the_page_runs(data, monkeypatch):
    monkeypatch.setenv("STATEMENTS_DATA_DIR", str(data))
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    names: dict = {}
    exec(told(code), names)
    assert dict(names["by_section"]) == {("USD", "inbound"): D("1.01"), ("USD", "outbound"): D(3)}
    assert names["trend"]["USD"].to_dict() == {MARCH: D("0.76"), APRIL: D("192.01")}
    assert names["busiest"].to_dict() == {"+12015550101": 2}
    assert list(names["periods"]["account_id"].isna()) == [False, True]
    assert dict(names["late"].values) == {"waiting": 1, "before_first_month": 1}


def test_amounts_are_exact_decimals_and_times_are_zoned_in_every_frame(data):
    for frame in (frames.statements(data=data), frames.lines(data=data), frames.usage("alpha", data=data)):
        kinds = {name: str(kind) for name, kind in frame.dtypes.items()}
        assert all(kind.startswith("decimal128") for name, kind in kinds.items() if name.endswith(("cost", "minutes")))
        assert all(kind == "timestamp[us, tz=UTC][pyarrow]" for name, kind in kinds.items() if name.endswith("_at"))
        assert not any(kind.startswith(("float", "double", "object")) for kind in kinds.values())
        assert isinstance(frame["cost" if "cost" in kinds else "total_cost"].sum(), Decimal)
    assert set(frames.lines(account_id="beta", data=data)["account_id"]) == {"beta"}
    assert set(frames.statements("2026-03", data=data)["month"]) == {"2026-03"}


def test_sums_that_floats_get_wrong_are_right_in_a_frame(data):
    """As floats, 0.1 ten times is 0.9999999999999999, and 17 digits with 9 places do not fit at all."""
    frame = frames.query(
        "select i % 2 as half, case when i < 10 then 0.1 else 12345678901234567.000000001 end::decimal(38, 9) as cost "
        "from range(20) as given (i)",
        data=data,
    )
    assert frame["cost"].sum() == D("1.0") + 10 * D("12345678901234567.000000001")
    sums = frame.groupby("half")["cost"].sum()
    assert list(sums) == [D("0.5") + 5 * D("12345678901234567.000000001")] * 2
    joined = frame.merge(pd.DataFrame({"half": [0]}), on="half")
    assert joined["cost"].sum() == sums[0]


def test_a_history_is_found_in_any_usual_spelling(data):
    held = frames.history("+12015550101", data=data)
    assert len(held) > 0
    assert frames.history("(201) 555-0101", data=data).equals(held)
    assert set(frames.history("192.0.2.1:5060", data=data)["ip"]) == {"192.0.2.1"}
    with pytest.raises(Refused, match="neither a telephone number nor an IP address"):
        frames.history("alpha", data=data)


def test_a_frame_of_nothing_is_refused_in_a_sentence(tmp_path, data):
    with pytest.raises(Refused, match="There is no warehouse"):
        frames.statements(data=tmp_path)
    with pytest.raises(Refused, match="is not a month"):
        frames.lines("March", data=data)

"""A month: what is one, where it begins and ends, and which others are beside it."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from orchestration.errors import Refused
from orchestration.months import Month


@pytest.mark.parametrize("text", ["2026-01", "2026-12", "1999-07", "0001-01"])
def test_a_month_reads_and_prints_as_itself(text):
    assert str(Month.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "2026-13",
        "2026-00",
        "2026-1",
        "2026-03-01",
        "202603",
        "26-03",
        "0000-01",
        " 2026-03",
        "2026-03\n",
        "٢٠٢٦-٠٣",
        "",
        "March",
    ],
)
def test_what_is_no_month_is_refused_with_an_example(text):
    with pytest.raises(Refused, match="YYYY-MM"):
        Month.parse(text)


def test_a_month_is_half_open():
    march = Month.parse("2026-03")
    assert march.start == datetime(2026, 3, 1, tzinfo=UTC)
    assert march.end == datetime(2026, 4, 1, tzinfo=UTC)
    assert Month.of(march.start) == march
    assert Month.of(march.end - timedelta(microseconds=1)) == march
    assert Month.of(march.end) == Month.parse("2026-04")


def test_the_month_of_an_instant_is_that_of_utc_and_not_of_its_own_zone():
    kolkata = timezone(timedelta(hours=5, minutes=30))
    assert Month.of(datetime(2026, 4, 1, 5, 29, 59, tzinfo=kolkata)) == Month.parse("2026-03")
    assert Month.of(datetime(2026, 4, 1, 5, 30, tzinfo=kolkata)) == Month.parse("2026-04")


def test_years_end_after_december():
    assert Month.parse("2026-12").next == Month.parse("2027-01")
    assert Month.parse("2026-01").previous == Month.parse("2025-12")
    assert Month.parse("2026-12").end == datetime(2027, 1, 1, tzinfo=UTC)


def test_next_and_previous_undo_each_other():
    month = Month.parse("2023-11")
    for _ in range(30):
        assert month.next.previous == month
        assert month < month.next
        month = month.next
    assert month == Month.parse("2026-05")


@pytest.mark.parametrize(
    ("text", "length"),
    [("2024-02", 29), ("2026-02", 28), ("2000-02", 29), ("2100-02", 28), ("2026-03", 31), ("2026-04", 30)],
)
def test_the_days_of_a_month_are_all_of_them(text, length):
    days = Month.parse(text).days
    assert len(days) == length == len(set(days))
    assert days[0] == date(int(text[:4]), int(text[5:]), 1)
    assert days[-1].day == length


def test_months_sort_by_time():
    texts = ["2026-02", "2025-12", "2026-10", "2026-09"]
    assert [str(month) for month in sorted(map(Month.parse, texts))] == sorted(texts)

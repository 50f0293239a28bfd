"""The words and forms of a statement, apart from any month: numbers, dates, titles, and what a long table leaves out."""

import csv
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from orchestration import settings
from orchestration.errors import Refused
from orchestration.landing import services
from orchestration.months import Month
from orchestration.reports.documents import page, workbook
from orchestration.reports.documents.contents import Account, AssetTotal, Call, Contents, Correction, MonthTotal
from orchestration.reports.documents.issuer import Issuer
from orchestration.reports.documents.wording import Wording, places
from orchestration.settings import SEEDS

MARCH = Month(2026, 3)
NONE = Decimal(0)


def contents(**changes) -> Contents:
    """A tenant's March without any usage."""
    account = Account("a/2026-03/USD", "USD", {"outbound": NONE}, NONE, 0, NONE, NONE, [], [], [])
    return Contents(
        month=MARCH, account_id="a", name="A", first_effective_at=None, archived_at=None, asset_changes=0, peak_channels=0,
        local_numbers=0, toll_free_numbers=0, accounts=[replace(account, **changes)], holdings=[], corrections=[],
        tenants=[], unattributed=[], manifest_sha256="0" * 64, leaf_sha256=None,
        root_sha256=None,
    )  # fmt: skip


def table(stated: page.Page, title: str) -> page.Table:
    (found,) = (table for table in stated.tables if table.title.startswith(title))
    return found


@pytest.mark.parametrize(
    ("language", "shown"),
    [
        ("en", "\u22121,234,567.100000001"),
        ("de", "\u22121.234.567,100000001"),
        ("fr-CH", "\u22121\u202f234\u202f567,100000001"),
        ("en-IN", "\u221212,34,567.100000001"),
    ],
)
def test_an_amount_keeps_every_digit_in_every_language(language, shown):
    """Rule 24."""
    assert Wording(language).amount(Decimal("-1234567.100000001")) == shown


def test_digits_stand_in_the_groups_of_their_language():
    """Of three; in India of two above the last three; in POSIX there are none."""
    assert [Wording("en-IN").count(count) for count in (0, 999, 1_000, 100_000)] == ["0", "999", "1,000", "1,00,000"]
    # As many digits as an amount may have before its point.
    assert Wording("en").count(10**28) == "10" + 9 * ",000"
    assert Wording("en-IN").count(10**28) == "10" + 12 * ",00" + ",000"
    assert Wording("en-US-POSIX").count(10**28) == "1" + 28 * "0"


def test_one_call_and_one_change_are_told_in_the_singular():
    (calls, changes) = page.of(replace(contents(), peak_channels=1, asset_changes=1), Issuer()).facts[:2]
    assert calls == "At most 1 call was in progress at once."
    assert changes == "Within the month, 1 number or IP address came to the account or left it."
    (calls, changes) = page.of(replace(contents(), peak_channels=2, asset_changes=2), Issuer()).facts[:2]
    assert calls == "At most 2 calls were in progress at once."
    assert changes == "Within the month, 2 numbers or IP addresses came to the account or left it."


def test_amounts_stand_one_below_the_other():
    assert places([Decimal("1.500000000"), Decimal("2.125000000"), Decimal(7)]) == 3
    assert places([]) == 2
    assert Wording("en", 3).amount(Decimal("1.5")) == "1.500"


@pytest.mark.parametrize(
    ("minutes", "shown"),
    [("0.005000", "0.01"), ("0.004999", "0.00"), ("-0.005000", "\u22120.01"), ("1234.5", "1,234.50")],
)
def test_minutes_are_rounded_half_away_from_zero(minutes, shown):
    assert Wording("en").minutes(Decimal(minutes)) == shown


def test_days_are_those_of_utc_and_an_end_at_midnight_is_the_day_before():
    def days(start: datetime, end: datetime) -> str:
        return Wording("en-GB").days(start, end)

    first = datetime(2026, 10, 1, tzinfo=UTC)
    assert days(first, datetime(2026, 10, 15, tzinfo=UTC)) == "1\u201314 Oct"
    assert days(first, datetime(2026, 10, 15, 0, 0, 0, 1, tzinfo=UTC)) == "1\u201315 Oct"
    assert days(first, first + timedelta(microseconds=1)) == "1 October"


def test_a_duration_has_hours_minutes_and_seconds():
    assert [Wording("en").duration(seconds) for seconds in (0, 61, 3_661, -59)] == [
        "0:00:00",
        "0:01:01",
        "1:01:01",
        "\u22120:00:59",
    ]


def test_a_spreadsheet_keeps_fifteen_digits():
    assert workbook.fits(Decimal("123456.123456789"))
    assert not workbook.fits(Decimal("1234567.123456789"))
    assert workbook.fits(Decimal("1234567.123456000"))


def test_a_long_table_is_cut_with_the_sum_of_what_is_left_out(monkeypatch):
    monkeypatch.setattr(page, "MOST_ROWS", 3)
    assets = [AssetTotal("number", f"+1201555000{at}", 1, 60, Decimal(at)) for at in range(6)]
    shown = table(page.of(contents(assets=assets, usage_cost=Decimal(15)), Issuer()), "Usage by number")
    assert [row.cells for row in shown.rows] == [
        ["+12015550000", "1", "1.00", "0.00"],
        ["+12015550001", "1", "1.00", "1.00"],
        ["+12015550002", "1", "1.00", "2.00"],
        ["3 others", "", "", "12.00"],
        ["Usage in USD", "", "", "15.00"],
    ]


def test_long_call_detail_says_how_much_is_left_out_and_where_it_is(monkeypatch):
    monkeypatch.setattr(page, "MOST_CALLS", 2)
    start = datetime(2026, 3, 5, tzinfo=UTC)
    calls = [
        Call(
            "usage",
            "number",
            number,
            date(2026, 3, 1),
            name,
            "usage",
            1,
            start,
            "Inbound calls",
            "",
            61,
            61,
            Decimal("0.5"),
            "USD",
        )
        for number, name in (("+12015550101", "a"), ("+12015550102", "b"), ("+12015550102", "c"))
    ]
    shown = table(page.of(contents(), Issuer(), calls), "Call detail")
    assert [row.kind for row in shown.rows] == ["group", "plain", "subtotal", "group", "plain", "subtotal"]
    assert "The first 2 records are here; 1 more record is in the workbook" in shown.note


@pytest.mark.parametrize(
    ("old", "new", "currency", "cells"),
    [
        ("0.01", "0.02", "USD", ["0.01 USD", "0.02 USD", "0.01", "cost"]),
        ("0.01", None, None, ["0.01 USD", "none", "\u22120.01", "taken back"]),
        (None, "0.02", "USD", ["none", "0.02 USD", "0.02", "arrived after the month was closed"]),
        ("0.01", "0.02", "EUR", ["0.01 USD", "0.02 EUR", "", "cost"]),
    ],
)
def test_a_correction_shows_before_now_and_difference(old, new, currency, cells):
    """Rule 26. Rule 24: two currencies have no difference."""
    correction = Correction(
        date(2026, 2, 1), "r", datetime(2026, 2, 5, tzinfo=UTC), "Inbound calls", "USD", old and Decimal(old), new and Decimal(new), currency, ["cost"]
    )  # fmt: skip
    (row,) = table(page.of(replace(contents(), corrections=[correction]), Issuer()), "Corrections, record").rows
    assert row.cells[4:] == cells


def test_the_bars_of_a_chart_stand_over_one_zero():
    history = [MonthTotal(MARCH.previous, Decimal(-25)), MonthTotal(MARCH, Decimal(75))]
    (chart,) = page.of(contents(history=history), Issuer()).charts
    assert [(bar.base, bar.height, bar.is_this_month) for bar in chart.bars] == [(0, 250, False), (250, 750, True)]
    assert chart.summary == "Totals in USD: Feb 2026: \u221225.00; Mar 2026: 75.00."


# Titles ---------------------------------------------------------------------------------------------------------------


def test_every_shipped_service_has_a_title_and_no_two_have_the_same(tmp_path):
    titles = services.titles(settings.load(tmp_path))
    with (SEEDS / "services.csv").open(encoding="utf-8", newline="") as handle:
        assert set(titles) == {(row["service"], row["direction"]) for row in csv.DictReader(handle)}
    assert len(set(titles.values())) == len(titles)


def test_an_operator_may_give_titles_and_the_rows_are_read_as_without(tmp_path):
    configuration = settings.load(tmp_path)
    head, row = "service,direction,attributed_by,unit,section", "chat,inbound,number,each,messaging"
    configuration.services.write_text(f"{head},title\n{row},Chats received\n", encoding="utf-8")
    assert services.titles(configuration)["chat", "inbound"] == "Chats received"
    with_title = services.load(configuration).rows
    configuration.services.write_text(f"{head}\n{row}\n", encoding="utf-8")
    assert services.load(configuration).rows == with_title
    assert ("chat", "inbound") not in services.titles(configuration)


@pytest.mark.parametrize("title", ["x" * 81, "a\u202eb"])
def test_a_title_that_cannot_be_printed_is_refused_with_its_line(tmp_path, title):
    configuration = settings.load(tmp_path)
    configuration.services.write_text(
        f"service,direction,attributed_by,unit,section,title\nchat,inbound,number,each,messaging,{title}\n",
        encoding="utf-8",
    )
    with pytest.raises(Refused, match="line 2: a title is printable text of up to 80 characters"):
        services.load(configuration)

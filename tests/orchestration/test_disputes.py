"""A tenant asks: who owes what, which record it was, and an answer that can be sent to the tenant."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestration.cli import app
from tests.conftest import CommandLine, command_line_in
from tests.orchestration.conftest import AFTER_APRIL, closing, land, stand_in
from tests.unit.deliveries import ip_of, number_of, record, tenant, write_csv

pytestmark = pytest.mark.slow
PBX = """
title = "A switch"
columns = ["id", "seconds", "to"]

[record]
record_id = "id"
service = "'outbound_conversational'"
direction = "'outbound'"
started_at = { instant = "'2026-03-05T10:00:00Z'" }
duration_seconds = "seconds"
from_number = "'+12015550101'"
to_number = "\\"to\\""
source_ip = "'192.0.2.1'"

[rates]
file = "rates.csv"
"""
RATES = """service,prefix,price,increment,fee
outbound_conversational,+1,0.0125,60/60,
outbound_conversational,+44,0.02,60/6,0.01
"""


@pytest.fixture
def line(closed_april: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    here = stand_in(tmp_path, monkeypatch, AFTER_APRIL)
    here.data = closed_april / "data"
    return here


@pytest.fixture(scope="module")
def rated(tmp_path_factory) -> Iterator[CommandLine]:
    """March, with calls of a switch that rates of the operator's price."""
    with command_line_in(tmp_path_factory.mktemp("rated")) as line:
        line.at("2026-04-02T12:00:00+00:00")
        land(line, "tenants", tenant("alpha", name="=Alpha"), tenant("beta"))
        land(line, "number_assignments", number_of("beta", "+12015550109"), number_of("beta", "+12015550108"))
        land(line, "ip_assignments", ip_of("alpha"))
        plain = record("plain", number="+12015550109", from_number="12015550101")
        gone = record("gone", number="+12015550108")
        short = record("short", service="outbound_conversational", direction="outbound", number="", source_ip="192.0.2.1",
                       to_number="411", started_at="2026-03-07T10:00:00Z")  # fmt: skip
        land(line, "cdrs", plain, gone, short)
        (line.data / "sources").mkdir()
        (line.data / "sources" / "pbx.toml").write_text(PBX, encoding="utf-8")
        (line.data / "sources" / "rates.csv").write_text(RATES, encoding="utf-8")
        calls = [
            {"id": "us", "seconds": "61", "to": "+12015550188"},
            {"id": "uk", "seconds": "61", "to": "+442071838750"},
        ]
        line.must(f"land cdrs --source pbx {write_csv(line.folder / 'calls.csv', *calls)}")
        closing(line)
        land(line, "cdrs", {**plain, "cost": "5"}, {**gone, "withdrawn": "true"})
        yield line


def json_of(line: CommandLine, command: str):
    return json.loads(line.must(f"{command} --json").stdout)


# Who owes what --------------------------------------------------------------------------------------------------------


def test_every_tenants_month_stands_on_one_line(line):
    march = {row["account"]: row for row in json_of(line, "show 2026-03 --tenants")}
    assert list(march) == ["alpha", "beta", "quiet"]
    assert (march["alpha"]["name"], march["alpha"]["currency"], march["alpha"]["records"]) == ("=Alpha, Inc", "USD", 2)
    assert (march["alpha"]["total"], march["alpha"]["change"]) == ("0.760000000", None)
    assert march["quiet"]["flags"] == "no usage"
    april = {row["account"]: row for row in json_of(line, "show 2026-04 --tenants")}
    assert (april["alpha"]["usage"], april["alpha"]["corrections"]) == ("128.000000000", "64.010000000")
    assert (april["alpha"]["total"], april["alpha"]["change"]) == ("192.010000000", "191.250000000")
    assert april["alpha"]["flags"] == "corrections"
    assert april["beta"]["change"] == "-3.250000000"


def test_the_list_is_sorted_as_asked_and_comes_as_csv_that_runs_nothing(line):
    assert [row["account"] for row in json_of(line, "show 2026-03 --tenants --sort total")] == [
        "beta",
        "alpha",
        "quiet",
    ]
    assert [row["account"] for row in json_of(line, "show 2026-03 --tenants --sort name")] == ["alpha", "beta", "quiet"]
    printed = CliRunner().invoke(
        app, ["--data-dir", str(line.data), *["show", "2026-03", "--tenants", "--sort", "total", "--csv"]]
    )
    rows = list(csv.DictReader(io.StringIO(printed.stdout)))
    assert [(row["account"], row["total"]) for row in rows] == [
        ("beta", "3.250000000"),
        ("alpha", "0.760000000"),
        ("quiet", "0.000000000"),
    ]
    assert rows[1]["name"] == "'=Alpha, Inc"
    assert "beta" in line.must("show 2026-03 --tenants").stdout


def test_a_list_that_cannot_be_is_refused(line):
    assert "'cost' is no column of the list" in line.run("show 2026-03 --tenants --sort cost").stderr
    assert "2026-05 is not closed" in line.run("show 2026-05 --tenants").stderr
    for usage in ("show 2026-03 --sort total", "show 2026-03 alpha --tenants", "show 2026-03 --tenants --csv --json"):
        assert line.run(usage).exit_status == 2, usage


# Which record it was --------------------------------------------------------------------------------------------------


def test_a_record_is_found_by_a_number_of_it_and_its_day(rated):
    for number in ("(201) 555-0101", "+12015550101"):
        found = json_of(rated, f"find --number '{number}' --day 2026-03-05")
        assert [row["record_id"] for row in found] == ["pbx:main:uk", "pbx:main:us", "plain"]
    assert [row["record_id"] for row in json_of(rated, "find --number +442071838750 --day 2026-03-05")] == [
        "pbx:main:uk"
    ]
    assert [row["record_id"] for row in json_of(rated, "find --number +12015550109 --day 2026-03-05")] == ["plain"]
    many = "find --number +12015550101 --day 2026-03-05"
    assert [row["record_id"] for row in json_of(rated, f"{many} --min-cost 0.03")] == ["pbx:main:uk"]
    assert [row["record_id"] for row in json_of(rated, f"{many} --account beta")] == ["plain"]
    assert json_of(rated, "find --number +12015550101 --day 2026-03-06") == []
    assert "Outbound calls" in rated.must(many).stdout


def test_a_call_to_a_short_number_is_found_by_it(rated):
    assert [row["record_id"] for row in json_of(rated, "find --number 411 --day 2026-03-07")] == ["short"]
    assert json_of(rated, "find --number 911 --day 2026-03-07") == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--number 5 --day 2026-03-05", "'5' is no telephone number"),
        ("--number +12015550101 --day 5.3.2026", "'5.3.2026' is not a day"),
        ("--number +12015550101 --day 2026-04-05", "2026-04 is not closed"),
        ("--number +12015550101 --day 2026-03-05 --account Alpah", "Did you mean alpha?"),
        ("--number +12015550101 --day 2026-03-05 --min-cost much", "'much' is not an amount"),
        ("--number +12015550101 --day 2026-03-05 --min-cost NaN", "'NaN' is not an amount"),
    ],
)
def test_a_question_that_cannot_be_is_refused(rated, options, words):
    outcome = rated.run(f"find {options}")
    assert (outcome.exit_status, words in outcome.stderr) == (1, True), outcome


# An answer to send ----------------------------------------------------------------------------------------------------


def test_the_seconds_and_the_rate_are_explained_where_our_rates_made_the_price(rated):
    said = rated.must("explain pbx:main:us --for-tenant").stdout
    assert (
        "Its 61 s are billed as 120 s (each 60 s begun), at 0.0125 USD a minute to numbers that begin with +1: 0.025 USD."
        in said
    )
    said = rated.must("explain pbx:main:uk --for-tenant").stdout
    # 60 s and one step of 6 s: 66 s at 0.02 a minute, and the fee.
    assert (
        "Its 61 s are billed as 66 s (the first 60 s whole, then each 6 s begun), at 0.02 USD a minute to numbers that begin with +44, plus 0.01 USD for the call: 0.032 USD."
        in said
    )
    assert (
        "is a charge of 0.032 USD for “Outbound calls” at 2026-03-05 10:00:00 UTC, from +12015550101 to +442071838750, 61 s long."
        in said
    )
    assert "the IP address 192.0.2.1 was yours when it began, from 2026-01-01 00:00:00 UTC on." in said
    assert "billed as" not in rated.must("explain plain --for-tenant").stdout


def test_a_rate_that_has_changed_since_is_not_told(rated):
    path = rated.data / "sources" / "rates.csv"
    path.write_text(RATES.replace("0.0125", "0.02"), encoding="utf-8")
    try:
        assert "billed as" not in rated.must("explain pbx:main:us --for-tenant").stdout
    finally:
        path.write_text(RATES, encoding="utf-8")


@pytest.mark.parametrize(
    ("record_id", "account", "sentences"),
    [
        ("in-alpha", "alpha", ["number +12015550101 was yours", "to take back the earlier charge", "as a correction of 2026-03: 0.02 USD", "alpha/2026-04/USD"]),
        ("out-header", "beta", ["carried your Account ID, beta, in its X-Tenant header", "beta/2026-03/USD"]),
        ("out-ip", "beta", ["IP address 192.0.2.2 was yours"]),
        ("late", "alpha", ["arrived after 2026-03 was closed", "alpha/2026-04/USD"]),
    ],
)  # fmt: skip
def test_an_answer_names_no_other_tenant_no_batch_and_no_rule(line, record_id, account, sentences):
    found = json_of(line, f"explain {record_id} --for-tenant")
    assert found["account_id"] == account
    assert set(found) == {"record_id", "account_id", "explanation"}
    said = " ".join(found["explanation"])
    assert [words for words in sentences if words not in said] == [], said
    others = {"alpha", "beta", "quiet"} - {account}
    # The record's own id may have a name in it.
    assert [other for other in others if other in said.replace(record_id, "")] == []
    entries = json_of(line, f"explain {record_id}")["entries"]
    assert [entry["batch_id"] for entry in entries if entry["batch_id"] in said] == []
    assert "ule " not in said


def test_an_answer_says_what_has_come_since(rated):
    """Rules 26 and 29."""
    said = rated.must("explain plain --for-tenant").stdout
    assert "A change of it has arrived since, and a later statement will state it." in said
    said = rated.must("explain gone --for-tenant").stdout
    assert "The carrier has taken it back since, so a later statement will reverse it." in said
    assert "since, " not in rated.must("explain pbx:main:us --for-tenant").stdout


@pytest.mark.parametrize("record_id", ["in-nobody", "out-case", "may", "nothing"])
def test_a_record_of_nobodys_statement_is_not_answered_for(line, record_id):
    outcome = line.run(f"explain {record_id} --for-tenant")
    assert (outcome.exit_status, "is on no tenant's statement" in outcome.stderr) == (1, True)

"""The oracle's own tests: the requirement document's cases by hand, and laws that hold for any history.

Here belong literal expectations and properties of the oracle alone; holding a build against it happens
elsewhere. Each law has a counter-test that breaks the oracle on purpose and expects the law to notice.
"""

import csv
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracle import timelines
from tests.oracle.facts import ASSET_COLUMN, Landing, Refused, Row, instant
from tests.oracle.forgeries import Forger
from tests.oracle.histories import MONTH, MONTH_END, HistorySet, generate, tenant_row, write_csv
from tests.oracle.memory import collector_at_rest
from tests.oracle.oracle import (
    JudgedRecord,
    MonthAnswer,
    collect_deliveries,
    judge,
    month_bounds,
    month_of,
    replay,
    settle,
)
from tests.oracle.owners import Attribution, Owners
from tests.oracle.statements import Measures, exact_arithmetic, minutes
from tests.oracle.timelines import Event

PBX = "bigcustomer.mypbx.com"
NUMBER, OTHER_NUMBER = "+12065550100", "+12065550199"
ADDRESS, OTHER_ADDRESS = "18.192.51.102", "203.0.113.9"
JANUARY = "2026-01-01T00:00:00Z"


def tenants(*named: tuple[str, str], landed: str = "2026-02-01T00:00:00Z", **options: object) -> Landing:
    """Land tenants, each with its record time."""
    return Landing("tenants", [tenant_row(name, recorded) for name, recorded in named], instant(landed), **options)


def numbers(*rows: Row, landed: str = "2026-03-31T00:00:00Z", **options: object) -> Landing:
    """Land number assignments."""
    return Landing("number_assignments", rows, instant(landed), **options)


def addresses(*rows: Row, landed: str = "2026-03-31T00:00:00Z", **options: object) -> Landing:
    """Land IP assignments."""
    return Landing("ip_assignments", rows, instant(landed), **options)


def assigned(account: str | None, recorded: str = JANUARY, asset: str = NUMBER, **columns: str) -> Row:
    """Build a row of either assignment feed."""
    column = "number" if asset.startswith("+") else "ip"
    return {column: asset, "account_id": account, "recorded_at": recorded, **columns}


def call(record_id: str = "r1", at: str = "2026-03-10T12:00:00Z", outbound: bool = False, **columns: str) -> Row:
    """Build a record: an inbound call to NUMBER, or an outbound one from ADDRESS."""
    kind = {"service": "outbound_conversational", "direction": "outbound", "source_ip": ADDRESS}
    if not outbound:
        kind = {"service": "inbound_conversational", "direction": "inbound", "number": NUMBER}
    return {"record_id": record_id, "started_at": at, "duration_seconds": "60", "cost": "0.01", **kind, **columns}


def cdrs(*rows: Row) -> Landing:
    """Land call records after the month."""
    return Landing("cdrs", rows, MONTH_END + timedelta(hours=9))


def attributions(*landings: Landing, month: str = MONTH) -> dict[str, Attribution]:
    """Judge, and return each record's attribution."""
    return {judged.record_id: judged.attribution for judged in judge(landings, month).records}


def only(*landings: Landing) -> Attribution:
    """Judge one record."""
    (attribution,) = attributions(*landings).values()
    return attribution


# What an outsider tries first ---------------------------------------------------------------------------------------


def test_the_documents_invite_belongs_to_the_tenant_in_x_tenant() -> None:
    invite = call("invite", outbound=True, x_tenant=PBX)
    bare = call("bare", outbound=True)
    found = attributions(tenants((PBX, JANUARY)), addresses(assigned(None, asset=ADDRESS)), cdrs(invite, bare))
    assert found["invite"] == Attribution(PBX, "header")
    assert found["bare"].account_id is None
    assert found["bare"].reason == "ip_unassigned"


def test_a_number_routed_to_anothers_ip_stays_with_its_tenant() -> None:
    world = [
        tenants(("a", JANUARY), ("b", JANUARY)),
        numbers(assigned("a")),
        addresses(assigned("b", asset=ADDRESS)),
    ]
    inbound = call("in", routed_to=ADDRESS, source_ip=ADDRESS, x_tenant="b")
    found = attributions(*world, cdrs(inbound, call("out", outbound=True, number=NUMBER)))
    assert (found["in"].account_id, found["in"].attributed_by) == ("a", "number")
    assert (found["out"].account_id, found["out"].attributed_by) == ("b", "ip")


def test_a_tenant_created_on_the_15th_has_nothing_before_and_a_partial_month() -> None:
    answer = judge(
        [
            tenants(("a", "2026-03-15T00:00:00Z"), landed="2026-03-15T01:00:00Z"),
            numbers(assigned("a")),
            cdrs(call("before", "2026-03-14T23:59:59.999999Z"), call("after", "2026-03-15T00:00:00Z")),
        ],
        MONTH,
    )
    found = {judged.record_id: judged.attribution for judged in answer.records}
    assert found["before"].reason == "tenant_not_yet_created"
    assert found["after"].account_id == "a"
    statement = answer.statements["a", "USD"]
    assert statement["is_partial_month"] is True
    assert statement["first_effective_at"] == datetime(2026, 3, 15, tzinfo=UTC)
    assert statement["inbound_calls_count"] == 1
    assert answer.inventory[NUMBER].held_from == datetime(2026, 3, 15, tzinfo=UTC)


def test_a_change_dated_back_acts_from_when_it_was_recorded() -> None:
    change = assigned("b", "2026-03-20T00:00:00Z", valid_from="2026-03-01T00:00:00Z")
    found = attributions(
        tenants(("a", JANUARY), ("b", JANUARY)),
        numbers(assigned("a"), change),
        cdrs(call("before", "2026-03-19T23:59:59.999999Z"), call("at", "2026-03-20T00:00:00Z")),
    )
    assert (found["before"].account_id, found["at"].account_id) == ("a", "b")


@pytest.fixture(params=["UTC", "America/Los_Angeles", "Asia/Kolkata"])
def _time_zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_time_zone")
@pytest.mark.parametrize(
    ("last", "first", "months"),
    [
        ("2026-03-31T23:59:59.999999Z", "2026-04-01T00:00:00Z", ("2026-03", "2026-04")),
        ("2026-03-31T23:59:59.9999999Z", "2026-04-01T05:30:00+05:30", ("2026-03", "2026-04")),
        ("2024-02-29T23:59:59.999999Z", "2024-03-01T00:00:00Z", ("2024-02", "2024-03")),
        ("2025-12-31T23:59:59.999999Z", "2026-01-01T00:00:00Z", ("2025-12", "2026-01")),
    ],
)
def test_a_month_ends_at_its_last_microsecond_in_utc(last: str, first: str, months: tuple[str, str]) -> None:
    landings = [cdrs(call("last", last), call("first", first))]
    stated = [[judged.record_id for judged in judge(landings, month).records] for month in months]
    assert stated == [["last"], ["first"]]


def test_every_row_twice_counts_once() -> None:
    again = call(duration_seconds="060", cost="0.010", currency="USD", at="2026-03-10T17:30:00+05:30")
    answer = judge([cdrs(call(), call("r2")), cdrs(again, call("r2"))], MONTH)
    assert answer.counts == {"accepted": 2, "duplicate": 2, "superseded": 0}


def test_the_latest_delivery_of_an_id_is_what_counts() -> None:
    dearer = call(cost="0.02")
    answer = judge([cdrs(call(), dearer, dearer, call())], MONTH)
    assert answer.counts == {"accepted": 1, "duplicate": 1, "superseded": 2}
    assert answer.organization["USD"]["usage_cost"] == Decimal("0.01")
    assert answer.records[0].delivery == (0, 4)


def test_an_id_that_moves_to_another_month_leaves_this_one() -> None:
    landings = [cdrs(call(), call("r2")), cdrs(call(at="2026-04-01T00:00:00Z"))]
    march, april = judge(landings, "2026-03"), judge(landings, "2026-04")
    assert [judged.record_id for judged in march.records] == ["r2"]
    assert march.counts == {"accepted": 1, "duplicate": 0, "superseded": 1}
    assert [judged.record_id for judged in april.records] == ["r1"]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("BigCustomer.mypbx.com", "header_case_mismatch"),
        (f"{PBX},{PBX}", "header_malformed"),
        (f"{PBX}, {PBX}", "header_malformed"),
        (f"{PBX}\n", "header_malformed"),
        (f"{PBX}\u00a0", "header_malformed"),
        ("two..dots", "header_malformed"),
        ("nobody.example.com", "header_unknown_tenant"),
    ],
)
def test_a_header_that_names_nobody_never_falls_back_to_the_ip(header: str, expected: str) -> None:
    world = [tenants((PBX, JANUARY), ("a", JANUARY)), addresses(assigned("a", asset=ADDRESS))]
    assert only(*world, cdrs(call(outbound=True, x_tenant=header))) == Attribution(reason=expected)


@pytest.mark.parametrize(
    ("header", "account", "method"),
    [(f"{PBX} ", PBX, "header"), (f"\t{PBX}", PBX, "header"), ("", "a", "ip"), (" \t", "a", "ip")],
)
def test_blanks_around_a_header_are_not_part_of_it(header: str, account: str, method: str) -> None:
    world = [tenants((PBX, JANUARY), ("a", JANUARY)), addresses(assigned("a", asset=ADDRESS))]
    found = only(*world, cdrs(call(outbound=True, x_tenant=header)))
    assert (found.account_id, found.attributed_by) == (account, method)
    assert found.conflict_header_ip is (method == "header")


# Rules that the list leaves out -------------------------------------------------------------------------------------


def test_a_header_of_an_archived_tenant_is_archived_from_that_instant_on() -> None:
    gone = Landing(
        "tenants",
        [tenant_row("a", JANUARY), tenant_row("a", "2026-03-10T00:00:00Z", archived="true")],
        instant("2026-03-10T01:00:00Z"),
    )
    found = attributions(
        gone,
        cdrs(
            call("before", "2026-03-09T23:59:59.999999Z", outbound=True, x_tenant="a"),
            call("at", "2026-03-10T00:00:00Z", outbound=True, x_tenant="a"),
        ),
    )
    assert found["before"].account_id == "a"
    assert found["at"].reason == "tenant_archived"
    answer = judge([gone, numbers(assigned("a"))], MONTH)
    assert answer.inventory == {}
    assert answer.statements["a", "USD"]["archived_at"] == datetime(2026, 3, 10, tzinfo=UTC)
    assert judge([gone], "2026-04").statements == {}
    with pytest.raises(Refused, match="for good"):
        judge([gone, tenants(("a", "2026-03-11T00:00:00Z"), landed="2026-03-12T00:00:00Z")], MONTH)


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"number": ""}, "number_missing"),
        ({"number": "anonymous"}, "number_malformed"),
        ({"number": OTHER_NUMBER}, "number_unknown"),
        ({"at": "2025-12-31T23:59:59.999999Z"}, "number_unknown"),
    ],
)
def test_an_unattributed_record_says_why(columns: dict[str, str], reason: str) -> None:
    world = [tenants(("a", JANUARY)), numbers(assigned("a"))]
    record = call(**columns)
    month = record["started_at"][:7]
    assert attributions(*world, cdrs(record), month=month)["r1"].reason == reason


def test_at_one_instant_the_last_row_wins_and_no_change_starts_no_period() -> None:
    tie = [assigned(owner) for owner in ("b", None, "a")]
    answer = judge(
        [tenants(("a", JANUARY), ("b", JANUARY)), numbers(*tie, assigned("a", "2026-03-05T00:00:00Z")), cdrs(call())],
        MONTH,
    )
    assert answer.records[0].attribution == Attribution("a", "number", assignment=(1, 3))
    assert answer.statements["a", "USD"]["asset_changes"] == 0


def test_of_equal_rows_of_one_file_the_last_counts_and_one_that_landed_before_is_a_duplicate() -> None:
    world = tenants(("a", JANUARY), ("b", JANUARY))
    first, other, again = (assigned(owner) for owner in ("a", "b", "a"))
    found = only(world, numbers(first, other, again), cdrs(call()))
    assert found == Attribution("a", "number", assignment=(1, 3))
    found = only(world, numbers(first), numbers(other, again), cdrs(call()))
    assert found == Attribution("b", "number", assignment=(2, 1))


def test_a_future_change_waits_and_only_one_for_the_same_instant_cancels_it() -> None:
    planned = assigned("b", valid_from="2026-03-20T00:00:00Z")
    immediate = assigned("c", "2026-03-15T00:00:00Z")
    cancelling = assigned("c", "2026-03-16T00:00:00Z", valid_from="2026-03-20T00:00:00Z")
    world = tenants(("a", JANUARY), ("b", JANUARY), ("c", JANUARY))
    late_in_month = cdrs(call(at="2026-03-20T00:00:00Z"))
    assert only(world, numbers(assigned("a"), planned, immediate), late_in_month).account_id == "b"
    for rows in ((planned, cancelling), (cancelling, planned)):
        assert only(world, numbers(assigned("a"), immediate, *rows), late_in_month).account_id == "c"


def test_an_end_acts_before_a_start_at_the_same_instant_and_only_on_its_own_tenant() -> None:
    world = tenants(("a", JANUARY), ("b", JANUARY))
    first = assigned("a", valid_to="2026-03-10T12:00:00Z")
    second = assigned("b", valid_from="2026-03-10T12:00:00Z")
    assert only(world, numbers(second, first), cdrs(call())).account_id == "b"
    sold = assigned("b", valid_from="2026-03-09T00:00:00Z")
    assert only(world, numbers(first, sold), cdrs(call())).account_id == "b"
    assert only(world, numbers(first), cdrs(call())).reason == "number_unassigned"
    renewed = assigned("a", valid_from="2026-03-10T12:00:00Z")
    assert only(world, numbers(renewed, first), cdrs(call())).account_id == "a"


def test_a_late_event_is_refused_or_acts_from_the_seal_on() -> None:
    world = tenants(("a", JANUARY), ("b", JANUARY))
    history = numbers(assigned("a"), landed="2026-03-12T00:00:00Z", cutoff=instant("2026-03-11T00:00:00Z"))
    forged = [assigned("b", "2026-01-02T00:00:00Z")]
    around = cdrs(call("before", "2026-03-10T23:59:59.999999Z"), call("at", "2026-03-11T00:00:00Z"))
    with pytest.raises(Refused, match="late"):
        judge([world, history, numbers(*forged)], MONTH)
    found = attributions(world, history, numbers(*forged, accept_late=True), around)
    assert (found["before"].account_id, found["at"].account_id) == ("a", "b")


def test_a_late_event_that_a_newer_one_has_overtaken_changes_nothing() -> None:
    world = tenants(("a", JANUARY), ("b", JANUARY))
    history = numbers(assigned("a", "2026-02-01T00:00:00Z"), cutoff=instant("2026-03-01T00:00:00Z"))
    stale = numbers(assigned("b", "2026-01-31T00:00:00Z"), accept_late=True)
    assert only(world, history, stale, cdrs(call())).account_id == "a"


def beside(*newer: Row, recorded: str = "2026-02-10T00:00:00Z") -> str | None:
    """Land what `a` holds since January and newer changes; then a late one for `c`. Return whose a later call is."""
    history = numbers(assigned("a"), *newer, cutoff=instant("2026-03-01T00:00:00Z"))
    late = numbers(assigned("c", recorded), accept_late=True)
    everybody = tenants(("a", JANUARY), ("b", JANUARY), ("c", JANUARY))
    return only(everybody, history, late, cdrs(call())).account_id


def test_only_a_newer_event_that_decides_at_the_seal_overtakes_a_late_one() -> None:
    assert beside(assigned("b", "2026-02-20T00:00:00Z")) == "b"
    assert beside(assigned("a", "2026-02-20T00:00:00Z")) == "a"
    assert beside(assigned(None, "2026-02-20T00:00:00Z")) is None
    ended = {"valid_from": JANUARY, "valid_to": "2026-02-21T00:00:00Z", "end_recorded_at": "2026-02-20T00:00:00Z"}
    assert beside(assigned("a", **ended)) is None
    # Not yet in effect; in effect and over again by an older order; over when it was recorded; for a tenant without it.
    assert beside(assigned("b", "2026-02-20T00:00:00Z", valid_from="2026-04-01T00:00:00Z")) == "c"
    ordered = assigned("a", "2026-01-02T00:00:00Z", valid_from="2026-02-25T00:00:00Z")
    assert beside(assigned("b", "2026-02-20T00:00:00Z"), ordered) == "c"
    over = {"valid_from": JANUARY, "valid_to": "2026-02-15T00:00:00Z"}
    assert beside(assigned("b", "2026-02-20T00:00:00Z", **over)) == "c"
    gone = assigned(
        "b", "2025-12-01T00:00:00Z", valid_to="2026-02-20T00:00:00Z", end_recorded_at="2026-02-20T00:00:00Z"
    )
    assert beside(gone) == "c"


def test_of_two_ends_the_first_acts_and_of_two_at_one_instant_the_one_recorded_last() -> None:
    ends = {"valid_from": JANUARY, "valid_to": "2026-02-05T00:00:00Z", "end_recorded_at": "2026-02-04T00:00:00Z"}
    found_nobody = {"valid_to": "2026-02-21T00:00:00Z", "end_recorded_at": "2026-02-20T00:00:00Z"}
    assert beside(assigned("a", **ends), assigned("a", **ends | found_nobody)) == "c"
    assert beside(assigned("a", **ends), assigned("a", **ends | {"end_recorded_at": "2026-02-03T00:00:00Z"})) == "c"
    both = {"valid_from": JANUARY, "valid_to": "2026-02-21T00:00:00Z", "end_recorded_at": "2026-02-04T00:00:00Z"}
    assert beside(assigned("a", **both), assigned("a", **both | {"end_recorded_at": "2026-02-20T00:00:00Z"})) is None


def test_a_row_that_was_over_before_it_was_recorded_never_acts() -> None:
    over = {"valid_from": JANUARY, "valid_to": "2026-02-01T00:00:00Z"}
    row = assigned("b", "2026-02-01T00:00:00Z", **over)
    world = tenants(("a", JANUARY), ("b", JANUARY))
    assert only(world, numbers(assigned("a"), row), cdrs(call())).account_id == "a"
    assert only(world, numbers(row), cdrs(call())).reason == "number_unknown"
    later_by_a_tick = row | {"end_recorded_at": "2026-02-01T00:00:00.000001Z"}
    assert only(world, numbers(assigned("a"), later_by_a_tick), cdrs(call())).reason == "number_unassigned"
    # Of equal starts the last counts: its row says whether it was over.
    still_open = assigned("b", "2026-02-01T00:00:00Z", valid_from=JANUARY)
    assert only(world, numbers(row, still_open), cdrs(call())).account_id == "b"
    assert only(world, numbers(still_open, row), cdrs(call())).reason == "number_unknown"


def test_a_full_export_again_is_no_lateness() -> None:
    world = tenants(("a", JANUARY))
    history = numbers(assigned("a"), cutoff=instant("2026-03-01T00:00:00Z"))
    ended = assigned("a", valid_from=JANUARY, valid_to="2026-03-05T00:00:00Z", end_recorded_at="2026-03-04T00:00:00Z")
    answer = judge([world, history, numbers(assigned("a")), numbers(ended), cdrs(call())], MONTH)
    assert answer.records[0].attribution == Attribution(reason="number_unassigned", assignment=(3, 1))
    without = {key: value for key, value in ended.items() if key != "end_recorded_at"}
    with pytest.raises(Refused, match="end_recorded_at"):
        judge([world, history, numbers(without)], MONTH)


def test_the_operators_command_neither_seals_nor_counts_as_history() -> None:
    world = tenants(("a", JANUARY), ("b", JANUARY))
    command = numbers(assigned("b", ""), landed="2026-03-15T00:00:00Z", registry=True)
    history = numbers(assigned("a"))
    around = cdrs(call("before", "2026-03-14T00:00:00Z"), call("at", "2026-03-15T00:00:00Z"))
    found = attributions(world, command, history, around)
    assert (found["before"].account_id, found["at"].account_id) == ("a", "b")


def test_files_of_one_call_are_history_together() -> None:
    world = tenants(("a", JANUARY), ("b", JANUARY))
    sealed = {"cutoff": instant("2026-03-20T00:00:00Z")}
    first, second = numbers(assigned("a"), **sealed), numbers(assigned("b", "2026-02-01T00:00:00Z"), **sealed)
    together = [replace(landing, call="history") for landing in (first, second)]
    assert only(world, *together, cdrs(call())).account_id == "b"
    with pytest.raises(Refused, match="late"):
        judge([world, first, second], MONTH)


def test_a_freeze_moves_the_seal_of_histories_too() -> None:
    world = tenants(("a", JANUARY))
    landings = [world, numbers(assigned("a")), cdrs(call("march"), call("april", "2026-04-01T00:00:00Z"))]
    frozen = [(1, MONTH_END)]
    assert judge(landings, "2026-03", frozen).records[0].attribution.reason == "number_unknown"
    assert judge(landings, "2026-04", frozen).records[0].attribution.account_id == "a"


def test_a_tenant_landed_after_the_months_end_is_not_known_in_it() -> None:
    later = tenants(("a", "2026-04-01T00:00:00Z"), landed="2026-04-01T01:00:00Z")
    found = attributions(
        later, numbers(assigned("a")), cdrs(call("header", outbound=True, x_tenant="a"), call("number"))
    )
    assert found["header"].reason == "header_unknown_tenant"
    assert found["number"].reason == "tenant_not_yet_created"


def test_the_running_month_has_no_statement() -> None:
    with pytest.raises(Refused, match="has not ended"):
        judge([], MONTH, now=MONTH_END - timedelta(microseconds=1))
    assert judge([], MONTH, now=MONTH_END).records == []


def test_a_life_that_only_touches_the_month_makes_no_difference_to_it() -> None:
    start = "2026-03-01T00:00:00Z"
    rows = [tenant_row("born", start), tenant_row("gone", JANUARY), tenant_row("gone", start, archived="true")]
    answer = judge([Landing("tenants", rows, MONTH_END)], MONTH)
    assert set(answer.statements) == {("born", "USD")}
    assert answer.statements["born", "USD"]["is_partial_month"] is False
    assert answer.statements["born", "USD"]["first_effective_at"] is None


def test_changes_of_assets_count_from_the_months_first_instant_to_its_last() -> None:
    changes = [
        assigned("b", "2026-02-28T23:59:59.999999Z"),
        assigned("a", "2026-03-01T00:00:00Z"),
        assigned("b", "2026-03-31T23:59:59.999999Z"),
        assigned("a", "2026-04-01T00:00:00Z"),
    ]
    known = tenants(("a", JANUARY), ("b", JANUARY))
    answer = judge([known, numbers(assigned("a"), *changes, landed="2026-04-01T00:00:00Z")], MONTH)
    assert {key[0]: row["asset_changes"] for key, row in answer.statements.items()} == {"a": 2, "b": 2}
    assert answer.inventory[NUMBER].account_id == "b"


def test_december_ends_where_january_begins() -> None:
    assert month_bounds("2025-12") == (datetime(2025, 12, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0"), (1, "0.016667"), (60, "1"), (61, "1.016667"), (100, "1.666667"), (-1, "-0.016667"), (2, "0.033333")],
)
def test_minutes_round_to_six_places(seconds: int, expected: str) -> None:
    assert minutes(seconds) == Decimal(expected)


def test_channels_end_before_they_start_and_a_call_of_no_length_holds_none() -> None:
    one_at_a_time = [call(str(n), f"2026-03-10T12:0{n}:00Z") for n in range(5)]
    assert judge([cdrs(*one_at_a_time)], MONTH).organization["USD"]["peak_channels"] == 1
    rows = [
        call("1", "2026-03-10T12:00:00Z", duration_seconds="60"),
        call("2", "2026-03-10T12:01:00Z", duration_seconds="60"),
        call("3", "2026-03-10T12:01:59.999999Z", duration_seconds="1", currency="EUR"),
        call("4", "2026-03-10T12:01:30Z", duration_seconds="0"),
    ]
    answer = judge([tenants(("a", JANUARY)), numbers(assigned("a")), cdrs(*rows)], MONTH)
    assert {key: row["peak_channels"] for key, row in answer.statements.items()} == {("a", "USD"): 2, ("a", "EUR"): 2}
    assert answer.statements["a", "USD"]["inbound_calls_count"] == 3
    assert answer.statements["a", "USD"]["inbound_minutes"] == 2
    assert answer.statements["a", "USD"]["local_numbers"] == 1


def test_every_service_counts_in_its_own_section() -> None:
    bought = [
        ("outbound_highcost", "outbound", "1"),
        ("inbound_toll_free", "inbound", "10"),
        ("cnam_lookup", "inbound", "100"),
        ("call_recording", "outbound", "1000"),
        ("vfax", "inbound", "10000"),
        ("vfax", "outbound", "10000"),
        ("sms_sent", "outbound", "100000"),
        ("number_e911", "inbound", "1000000"),
    ]
    rows = [
        call(str(n), service=service, direction=direction, cost=price, number=NUMBER, x_tenant="a")
        for n, (service, direction, price) in enumerate(bought)
    ]
    figures = judge([tenants(("a", JANUARY)), numbers(assigned("a")), cdrs(*rows)], MONTH).statements["a", "USD"]
    expected = {
        "outbound_cost": 1, "outbound_calls_count": 1, "outbound_minutes": 1, "outbound_highcost_minutes": 1,
        "inbound_cost": 110, "inbound_calls_count": 1, "inbound_minutes": 1, "cnam_lookup_count": 1,
        "features_cost": 21_000, "vfax_count": 2, "vfax_cost": 20_000, "messaging_cost": 100_000, "sms_sent_count": 1,
        "numbers_cost": 1_000_000, "usage_cost": 1_121_111, "total_cost": 1_121_111, "correction_count": 0,
    }  # fmt: skip
    assert {column: figures[column] for column in expected} == expected


def test_costs_add_up_without_any_rounding() -> None:
    rows = [call(str(n), cost=cost) for n, cost in enumerate(("0.1", "0.2", "9E-7", "123456789.123456789", "-1"))]
    answer = judge([cdrs(*rows)], MONTH)
    assert answer.organization["USD"]["total_cost"] == Decimal("123456788.423457689")


def test_an_idle_tenant_has_a_statement_with_zero_usage_under_its_latest_name() -> None:
    renamed = [tenant_row("a", JANUARY), tenant_row("a", "2026-03-31T23:59:59.999999Z", name="New")]
    answer = judge([Landing("tenants", [*renamed, tenant_row("b", JANUARY)], MONTH_END)], MONTH, default_currency="EUR")
    assert set(answer.statements) == {("a", "EUR"), ("b", "EUR")}
    assert answer.statements["a", "EUR"]["tenant_name"] == "New"
    assert answer.statements["a", "EUR"]["is_partial_month"] is False
    assert answer.statements["a", "EUR"]["total_cost"] == 0


def test_the_latest_stated_type_of_a_number_counts() -> None:
    rows = [assigned("a", number_type="toll_free"), assigned("a", "2026-03-02T00:00:00Z")]
    toll_free = "+18005550100"
    answer = judge([tenants(("a", JANUARY)), numbers(*rows, assigned("a", asset=toll_free))], MONTH)
    assert {number: held.number_type for number, held in answer.inventory.items()} == {
        NUMBER: "toll_free",
        toll_free: "toll_free",
    }


# Laws ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many() -> HistorySet:
    """Draw the histories that the laws are tried on."""
    return generate(seed=20260301, histories=2_000)


@pytest.fixture(scope="module")
def answer(many: HistorySet) -> MonthAnswer:
    """Judge them once."""
    return judge(many.landings, many.month)


def test_histories_reach_every_reason_and_leave_no_two_readings(answer: MonthAnswer) -> None:
    kinds = Counter(judged.attribution.reason or judged.attribution.attributed_by for judged in answer.records)
    by_asset = ("missing", "malformed", "unknown", "unassigned")
    expected = {f"{asset}_{why}" for asset in ("number", "ip") for why in by_asset}
    expected |= {"header_malformed", "header_case_mismatch", "header_unknown_tenant"}
    expected |= {"tenant_not_yet_created", "tenant_archived", "number", "ip", "header"}
    assert set(kinds) == expected
    assert min(kinds.values()) > 50
    assert sum(judged.attribution.conflict_header_ip for judged in answer.records) > 50
    settled = sum(bool(row["asset_changes_settled"]) for row in answer.statements.values())
    assert settled > len(answer.statements) / 2


def test_histories_reach_ties_and_late_changes_beside_events_that_never_acted(many: HistorySet) -> None:
    turns = Counter()
    for landing in many.landings:
        rows_of_instant: dict[tuple, list[tuple]] = defaultdict(list)
        for row in landing.rows if landing.feed in ASSET_COLUMN else ():
            at = (instant(row["recorded_at"]), instant(row.get("valid_from") or row["recorded_at"]))
            rows_of_instant[row[ASSET_COLUMN[landing.feed]], *at].append(row.get("account_id"))
        turns.update(_is_tie(owners) for owners in rows_of_instant.values())
    assert turns[True] > 500
    ledgers = replay(many.landings).ledgers
    beside_nothing = [
        late
        for feed in ASSET_COLUMN
        for events in ledgers[feed].events.values()
        for late in events
        if late.late and late.can_act and any(_never_acted_but_newer(newer, late) for newer in events)
    ]
    assert (
        sum(event.void for feed in ASSET_COLUMN for events in ledgers[feed].events.values() for event in events) > 200
    )
    assert len(beside_nothing) > 100


def _is_tie(owners: list[str | None]) -> bool:
    """Tell whether an equal row stands before the last one, with another between them."""
    return owners[-1] in owners[:-1] and owners[-2:] != owners[-1:] * 2


def _never_acted_but_newer(newer: Event, late: Event) -> bool:
    came_before = newer.fact.position.step < late.fact.position.step
    may_never_act = newer.void or newer.fact.is_end
    return (
        came_before and may_never_act and newer.effective <= late.effective and newer.fact.recorded > late.fact.recorded
    )


def test_nothing_is_lost_and_nothing_is_counted_twice(many: HistorySet, answer: MonthAnswer) -> None:
    assert_conserved(many.landings, answer)


@pytest.mark.parametrize("loss", ["records", "lines", "counts", "statements"])
def test_a_loss_anywhere_is_noticed(many: HistorySet, answer: MonthAnswer, loss: str) -> None:
    damaged = {
        "records": replace(answer, records=answer.records[1:]),
        "lines": replace(answer, lines=dict(list(answer.lines.items())[1:])),
        "counts": replace(answer, counts=answer.counts | {"duplicate": 0}),
        "statements": replace(
            answer, statements={key: row | {"usage_cost": 1} for key, row in answer.statements.items()}
        ),
    }
    with pytest.raises(AssertionError):
        assert_conserved(many.landings, damaged[loss])


def assert_conserved(landings: Sequence[Landing], answer: MonthAnswer) -> None:
    """Assert that landed = accepted + duplicate + superseded, and that every sum of parts is the whole."""
    landed = sum(
        month_of(instant(row["started_at"])) == answer.month
        for landing in landings
        if landing.feed == "cdrs"
        for row in landing.rows
        if not row.get("withdrawn")
    )
    assert sum(answer.counts.values()) == landed
    assert answer.counts["accepted"] == len(answer.records)
    with exact_arithmetic():
        for currency, whole in answer.organization.items():
            parts = [measures for key, measures in answer.lines.items() if key[1] == currency]
            orphans = [measures for key, measures in answer.unattributed.items() if key[0] == currency]
            stated = [row["usage_cost"] for (_, spent), row in answer.statements.items() if spent == currency]
            accepted = [judged.record.cost for judged in answer.records if judged.record.currency == currency]
            assert cost(parts) == sum(stated)
            assert cost(parts) + cost(orphans) == whole["usage_cost"] == sum(accepted)
            assert count(parts) + count(orphans) == len(accepted)
        for line in answer.organization_lines.values():
            assert line.total.cost == line.attributed.cost + line.unattributed.cost
            assert line.total.record_count == line.attributed.record_count + line.unattributed.record_count


def cost(parts: Sequence[Measures]) -> Decimal:
    """Add costs."""
    return sum((part.cost for part in parts), Decimal(0))


def count(parts: Sequence[Measures]) -> int:
    """Add record counts."""
    return sum(part.record_count for part in parts)


def test_the_order_of_records_within_a_file_does_not_matter(many: HistorySet, answer: MonthAnswer) -> None:
    rng = random.Random(1)
    once = {record_id for record_id, delivered in collect_deliveries(many.landings).items() if len(delivered) == 1}
    shuffled = [_shuffled(landing, once, rng) if landing.feed == "cdrs" else landing for landing in many.landings]
    assert [landing.rows for landing in shuffled] != [landing.rows for landing in many.landings]
    other = judge(shuffled, many.month)
    assert attribution_of(other.records) == attribution_of(answer.records)
    assert (other.lines, other.unattributed, other.statements) == (answer.lines, answer.unattributed, answer.statements)
    assert (other.organization, other.counts) == (answer.organization, answer.counts)


def attribution_of(records: Sequence[JudgedRecord]) -> dict[str, Attribution]:
    """Return attributions by record id."""
    return {judged.record_id: judged.attribution for judged in records}


def _shuffled(landing: Landing, free: set[str], rng: random.Random) -> Landing:
    """Mix the rows that land once; those delivered again keep their order among themselves."""
    rows = list(landing.rows)
    places = [index for index, row in enumerate(rows) if row["record_id"] in free]
    mixed = rng.sample(places, len(places))
    for place, source in zip(places, mixed, strict=True):
        rows[place] = landing.rows[source]
    return replace(landing, rows=rows)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=8))
@settings(max_examples=300, deadline=None)
def test_exactly_one_delivery_of_an_id_stands(costs: list[int]) -> None:
    landings = [cdrs(*(call(cost=str(amount)) for amount in costs))]
    (deliveries,) = collect_deliveries(landings).values()
    standing, fates = settle(deliveries)
    assert fates.count("accepted") == 1
    assert fates[standing] == "accepted"
    assert costs[standing] == costs[-1]
    assert len(set(costs[standing:])) == 1
    assert fates.count("duplicate") == sum(costs[i] == costs[i - 1] for i in range(1, len(costs)))


# Never retroactive --------------------------------------------------------------------------------------------------


# How much is known about a header that names nobody: a tenant created later in the month may sharpen the reason.
SHARPER = {"header_unknown_tenant": 0, "header_case_mismatch": 1, "tenant_not_yet_created": 2}


def violations(histories: HistorySet, seed: int) -> tuple[int, list[str]]:
    """Count how many sealed calls were tried against later files, and list those that changed.

    After each landing of an assignment feed: all that really lands later, and a forged file of every feed.
    A call counts as sealed when it lies before the seal of every feed that has a say in it.
    """
    forger = Forger(histories.landings, seed)
    assignments = [landing for landing in histories.landings if landing.feed != "cdrs"]
    records = [delivered[-1][1] for delivered in collect_deliveries(histories.landings).values()]
    records = [record for record in records if record is not None and month_of(record.started_at) == MONTH]
    finally_owned = _forged_owners(assignments, forger)
    final = {record.record_id: finally_owned.attribute(record) for record in records}
    tried, changed = 0, []
    for landed in range(1, len(assignments) + 1):
        seal = _common_seal(assignments[:landed])
        if assignments[landed - 1].registry or assignments[landed - 1].accept_late or seal is None:
            continue
        before = Owners(replay(assignments[:landed]), MONTH_END)
        forged = _forged_owners(assignments[:landed], forger)
        sealed = [record for record in records if record.started_at < seal]
        tried += len(sealed)
        for record in sealed:
            judgement = before.attribute(record)
            outcomes = (forged.attribute(record), final[record.record_id])
            if not all(_same(judgement, outcome) for outcome in outcomes):
                changed.append(record.record_id)
    return tried, changed


def _common_seal(assignments: Sequence[Landing]) -> datetime | None:
    """Return the earliest of the feeds' seals, or None while a feed has no history yet."""
    seals: dict[str, datetime] = {}
    for landing in assignments:
        if not landing.registry:
            latest = landing.cutoff or max(instant(row["recorded_at"]) for row in landing.rows)
            seals[landing.feed] = max(latest, seals.get(landing.feed, latest))
    return min(seals.values()) if len(seals) == 3 else None


def _forged_owners(assignments: Sequence[Landing], forger: Forger) -> Owners:
    landed_at = assignments[-1].landed_at
    feeds = ("tenants", "number_assignments", "ip_assignments")
    return Owners(replay([*assignments, *(forger.forge(feed, landed_at) for feed in feeds)]), MONTH_END)


def _same(before: Attribution, after: Attribution) -> bool:
    if before.reason in SHARPER and after.reason in SHARPER:
        return SHARPER[before.reason] <= SHARPER[after.reason]
    return before == after


@pytest.mark.long
def test_no_later_file_changes_a_sealed_call_however_forged(many: HistorySet) -> None:
    with collector_at_rest():
        tried, changed = violations(many, seed=3)
    assert tried > 20_000
    assert changed == []


@pytest.mark.parametrize("trusting", ["valid_from", "recorded_at"])
def test_without_the_seal_forged_files_would_change_sealed_calls(
    monkeypatch: pytest.MonkeyPatch, trusting: str
) -> None:
    def naive(asked: datetime, recorded: datetime, _floor: datetime | None) -> datetime:
        return asked if trusting == "valid_from" else max(asked, recorded)

    monkeypatch.setattr(timelines, "effective_instant", naive)
    _, changed = violations(generate(seed=4, histories=100), seed=4)
    assert len(changed) > 100


def test_no_record_is_too_far_ahead_of_its_file_and_every_file_comes_in_time(many: HistorySet) -> None:
    landed_at = [landing.landed_at for landing in many.landings]
    assert landed_at == sorted(landed_at)
    assert landed_at[-1] < many.close_at
    assert many.landings[-1].feed == "cdrs"
    for landing in many.landings:
        if landing.feed == "cdrs":
            latest = max(instant(row["started_at"]) for row in landing.rows if not row.get("withdrawn"))
            assert latest < landing.landed_at + timedelta(hours=24)


def test_the_same_seed_draws_the_same_histories(many: HistorySet) -> None:
    assert generate(many.seed, many.histories) == many


def test_a_written_file_reads_back_as_the_rows_it_came_from(many: HistorySet, tmp_path: Path) -> None:
    for landing in many.landings:
        path = tmp_path / "landing.csv"
        write_csv(landing, path)
        with path.open(encoding="utf-8", newline="") as file:
            read = list(csv.DictReader(file))
        assert [{column: text for column, text in row.items() if text} for row in read] == [
            {column: text for column, text in row.items() if text} for row in landing.rows
        ]

"""Who held what from when, as it lands: nobody can move the past, and what is refused says why and what to do."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from orchestration import files
from orchestration.commands import registry
from orchestration.errors import Refused
from tests.unit.deliveries import CONTACT, ip_of, number_of, tenant, tree, write_csv, write_jsonl

EVENTS = "account_id, recorded_at, sealed_at, is_late, is_overtaken"
JANUARY, FEBRUARY = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)


def refused(warehouse, words: str, feed: str, *paths, **options) -> str:
    """The call is refused with these words, and nothing lasting has changed."""
    before = tree(warehouse.settings.data)
    with pytest.raises(Refused) as refusal:
        warehouse.land(feed, *paths, **options)
    assert words in str(refusal.value)
    assert tree(warehouse.settings.data) == before
    return str(refusal.value)


# Tenants (rules 2 to 4) -----------------------------------------------------------------------------------------------


def test_the_fields_that_a_tenant_lacks_are_listed_by_row(warehouse, tmp_path):
    """Rule 3."""
    rows = [tenant("alpha"), tenant("beta", city="", contact_phone=""), tenant("gamma", name="")]
    said = refused(warehouse, "all fields of a tenant are required", "tenants", write_csv(tmp_path / "t.csv", *rows))
    assert "row 2 (city contact_phone); row 3 (name)" in said


def test_only_the_second_address_line_may_be_absent(warehouse, tmp_path):
    required = ["account_id", "name", *CONTACT]
    rows = [tenant("alpha", address2="Suite 1") | {field: ""} for field in required]
    said = refused(warehouse, "are required", "tenants", write_csv(tmp_path / "t.csv", *rows))
    assert all(f"row {number} ({field})" in said for number, field in enumerate(required[:10], start=1))
    assert warehouse.receipt("tenants", write_csv(tmp_path / "u.csv", tenant("alpha", address2=""))).rows == 1


@pytest.mark.parametrize("field", CONTACT)
def test_a_tenants_file_without_a_required_column_is_refused(warehouse, tmp_path, field):
    row = {name: value for name, value in tenant("alpha").items() if name != field}
    refused(warehouse, f"lacks {field}", "tenants", write_csv(tmp_path / "t.csv", row))


def test_what_can_be_an_account_id(warehouse, tmp_path):
    good = ["bigcustomer.mypbx.com", "a", "7", "A-b_c.d", "x" * 128]
    warehouse.receipt("tenants", write_csv(tmp_path / "good.csv", *map(tenant, good)))
    assert sorted(name for (name,) in warehouse.usable("tenants", "account_id")) == sorted(good)


def test_what_cannot_be_an_account_id(warehouse, tmp_path):
    bad = ["big customer", " a", "a ", "a@b", "a/b", "a\\b", "a:b", "a,b", "a;b", "a'b", 'a"b', "a*", "a?", "a..b", "-a", "a.", "é",
           "a\tb", "a\nb", "x" * 129, "..", "\u0430lpha"]  # fmt: skip
    for start in range(0, len(bad), 8):
        some = bad[start : start + 8]
        said = refused(warehouse, "account_id may hold", "tenants", write_csv(tmp_path / "bad.csv", *map(tenant, some)))
        assert all(f"row {row}" in said for row in range(1, len(some) + 1))


def test_account_ids_that_differ_by_case_alone_are_refused_within_a_file_and_across_files(warehouse, tmp_path):
    """Rule 2."""
    twins = write_csv(tmp_path / "twins.csv", tenant("alpha"), tenant("Alpha"))
    said = refused(warehouse, "other upper and lower case", "tenants", twins)
    assert "row 1 (alpha); row 2 (Alpha)" in said
    warehouse.receipt("tenants", write_csv(tmp_path / "one.csv", tenant("alpha")))
    later = write_csv(tmp_path / "later.csv", tenant("ALPHA", recorded_at="2026-02-01T00:00:00Z"))
    refused(warehouse, "row 1 (ALPHA)", "tenants", later)


def test_archiving_is_final(warehouse, tmp_path):
    """Rule 4."""
    archived = tenant("alpha", archived="true", recorded_at="2026-02-01T00:00:00Z")
    warehouse.receipt("tenants", write_csv(tmp_path / "t.csv", tenant("alpha"), archived))
    again = write_csv(tmp_path / "again.csv", tenant("alpha", recorded_at="2026-03-01T00:00:00Z"))
    refused(warehouse, "archiving is final", "tenants", again)
    renamed = {**archived, "name": "Alpha (closed)", "recorded_at": "2026-03-01T00:00:00Z"}
    assert warehouse.receipt("tenants", write_csv(tmp_path / "renamed.csv", renamed)).rows == 1


def test_archiving_is_final_within_one_file_too(warehouse, tmp_path):
    rows = [tenant("alpha", archived="true"), tenant("alpha", archived="false", recorded_at="2026-02-01T00:00:00Z")]
    refused(warehouse, "row 2 (alpha)", "tenants", write_csv(tmp_path / "t.csv", *rows))


def test_other_details_change_by_landing_the_tenant_again(warehouse, tmp_path):
    warehouse.receipt("tenants", write_csv(tmp_path / "a.csv", tenant("alpha")))
    changed = tenant("alpha", billing_email="new@customer.example", recorded_at="2026-02-01T00:00:00Z")
    receipt = warehouse.receipt("tenants", write_csv(tmp_path / "b.csv", changed))
    assert (receipt.duplicates, receipt.files[0].rows) == (0, 1)


def test_archived_is_true_or_false(warehouse, tmp_path):
    path = write_csv(tmp_path / "t.csv", tenant("alpha", archived="maybe"))
    refused(warehouse, "neither true nor false", "tenants", path)


# The seal (rules 12 and 13) -------------------------------------------------------------------------------------------


def test_the_first_batch_is_history_and_is_trusted_once(warehouse, tmp_path):
    old = number_of("alpha", recorded_at="2019-05-05T00:00:00Z")
    new = number_of("beta", recorded_at="2026-01-01T00:00:00Z")
    receipt = warehouse.receipt("number_assignments", write_csv(tmp_path / "n.csv", new, old))
    assert (receipt.is_history, receipt.sealed_at, receipt.late, receipt.cutoff) == (True, None, 0, JANUARY)
    older = write_csv(tmp_path / "older.csv", number_of("gamma", recorded_at="2020-01-01T00:00:00Z"))
    refused(warehouse, "recorded before 2026-01-01 00:00:00 UTC", "number_assignments", older)


def test_what_comes_late_is_refused_with_its_rows_and_the_way_out(warehouse, tmp_path):
    warehouse.receipt("ip_assignments", write_csv(tmp_path / "a.csv", ip_of("alpha")))
    rows = [
        ip_of("beta", recorded_at="2026-01-01T00:00:00Z"),
        ip_of("beta", recorded_at="2025-12-31T23:59:59.999999Z"),
        ip_of("beta", "192.0.2.2", recorded_at="2025-06-01T00:00:00Z"),
    ]
    said = refused(warehouse, "recorded before", "ip_assignments", write_csv(tmp_path / "b.csv", *rows))
    assert "--accept-late" in said
    assert "row 2 (192.0.2.1" in said
    assert "row 3 (192.0.2.2" in said
    assert "row 1" not in said


def test_an_event_recorded_at_the_very_seal_is_not_late(warehouse, tmp_path):
    warehouse.receipt("ip_assignments", write_csv(tmp_path / "a.csv", ip_of("alpha")))
    receipt = warehouse.receipt("ip_assignments", write_csv(tmp_path / "b.csv", ip_of("beta")))
    assert (receipt.late, receipt.sealed_at) == (0, JANUARY)


def test_accepted_late_changes_land_flagged_with_the_seal_they_act_from(warehouse, tmp_path):
    warehouse.receipt("ip_assignments", write_csv(tmp_path / "a.csv", ip_of("alpha")))
    late = write_csv(
        tmp_path / "b.csv", ip_of("beta", recorded_at="2025-06-01T00:00:00Z", valid_from="2025-06-01T00:00:00Z")
    )
    receipt = warehouse.receipt("ip_assignments", late, accept_late=True)
    assert (receipt.late, receipt.overtaken, receipt.sealed_at) == (1, 1, JANUARY)
    other = write_csv(tmp_path / "c.csv", ip_of("beta", "192.0.2.2", recorded_at="2025-06-01T00:00:00Z"))
    receipt = warehouse.receipt("ip_assignments", other, accept_late=True)
    assert (receipt.late, receipt.overtaken) == (1, 0)
    assert [row[2:] for row in warehouse.usable("ip_assignments", EVENTS)] == [
        (None, False, False),
        (JANUARY, True, True),
        (JANUARY, True, False),
    ]


def test_a_newer_change_that_is_only_ordered_for_later_overtakes_nothing(warehouse, tmp_path):
    ordered = ip_of("beta", recorded_at="2026-02-01T00:00:00Z", valid_from="2026-06-01T00:00:00Z")
    warehouse.receipt("ip_assignments", write_csv(tmp_path / "a.csv", ordered))
    late = write_csv(tmp_path / "b.csv", ip_of("gamma", recorded_at="2026-01-15T00:00:00Z"))
    receipt = warehouse.receipt("ip_assignments", late, accept_late=True)
    assert (receipt.late, receipt.overtaken, receipt.sealed_at) == (1, 0, FEBRUARY)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("newer", "holder_stays"),
    [
        pytest.param({"recorded_at": "2026-02-20T00:00:00Z"}, True, id="another holder"),
        pytest.param({"recorded_at": "2026-02-20T00:00:00Z", "account_id": "alpha"}, True, id="the same holder again"),
        pytest.param({"recorded_at": "2026-02-20T00:00:00Z", "account_id": ""}, True, id="a release"),
        pytest.param(
            {"account_id": "alpha", "valid_to": "2026-02-21T00:00:00Z", "end_recorded_at": "2026-02-20T00:00:00Z"},
            True,
            id="the holder's end",
        ),
        pytest.param(
            {
                "recorded_at": "2026-02-20T00:00:00Z",
                "valid_from": "2026-01-05T00:00:00Z",
                "valid_to": "2026-02-15T00:00:00Z",
            },
            False,
            id="over when it was recorded",
        ),
        pytest.param(
            {
                "recorded_at": "2025-12-01T00:00:00Z",
                "valid_to": "2026-02-20T00:00:00Z",
                "end_recorded_at": "2026-02-20T00:00:00Z",
            },
            False,
            id="the end of a former holder",
        ),
    ],
)
def test_only_what_decides_at_the_seal_who_holds_the_asset_overtakes_a_late_change(
    warehouse, tmp_path, newer, holder_stays
):
    """Rule 13: `alpha` holds the IP since 1 January, and the late change was recorded on 10 February."""
    rows = [
        {"valid_from": "", "valid_to": "", "end_recorded_at": ""} | row
        for row in (ip_of("alpha"), ip_of("beta") | newer)
    ]
    warehouse.receipt("ip_assignments", write_csv(tmp_path / "a.csv", *rows), cutoff="2026-03-01T00:00:00+00:00")
    late = write_csv(tmp_path / "b.csv", ip_of("gamma", recorded_at="2026-02-10T00:00:00Z"))
    receipt = warehouse.receipt("ip_assignments", late, accept_late=True)
    assert (receipt.late, receipt.overtaken) == (1, int(holder_stays))


def test_a_newer_change_that_an_older_order_has_ended_overtakes_nothing(warehouse, tmp_path):
    """Rule 13: it was in effect for a while, and no longer is at the seal."""
    rows = [
        ip_of("alpha", valid_from="2026-02-25T00:00:00Z"),
        ip_of("beta", recorded_at="2026-02-20T00:00:00Z", valid_from=""),
    ]
    warehouse.receipt("ip_assignments", write_csv(tmp_path / "a.csv", *rows), cutoff="2026-03-01T00:00:00+00:00")
    late = write_csv(tmp_path / "b.csv", ip_of("gamma", recorded_at="2026-02-10T00:00:00Z"))
    assert warehouse.receipt("ip_assignments", late, accept_late=True).overtaken == 0


def test_of_two_ends_of_one_holding_only_the_first_overtakes(warehouse, tmp_path):
    """Rules 13 and 14: the second finds nobody who holds the IP."""
    ends = {"valid_to": "2026-02-05T00:00:00Z", "end_recorded_at": "2026-02-04T00:00:00Z"}
    again = {"valid_to": "2026-02-21T00:00:00Z", "end_recorded_at": "2026-02-20T00:00:00Z"}
    path = write_csv(tmp_path / "a.csv", ip_of("alpha", **ends), ip_of("alpha", **again))
    warehouse.receipt("ip_assignments", path, cutoff="2026-03-01T00:00:00+00:00")
    rows = [ip_of("gamma", recorded_at=f"2026-02-0{day}T00:00:00Z") for day in (3, 6)]
    receipt = warehouse.receipt("ip_assignments", write_csv(tmp_path / "b.csv", *rows), accept_late=True)
    assert (receipt.late, receipt.overtaken) == (2, 1)


def test_accepting_late_changes_flags_only_those_that_are_late(warehouse, tmp_path):
    warehouse.receipt("ip_assignments", write_csv(tmp_path / "a.csv", ip_of("alpha")))
    rows = [ip_of("beta", "192.0.2.2", recorded_at=when) for when in ("2025-06-01T00:00:00Z", "2026-02-01T00:00:00Z")]
    receipt = warehouse.receipt("ip_assignments", write_csv(tmp_path / "b.csv", *rows), accept_late=True)
    assert (receipt.late, receipt.cutoff) == (1, FEBRUARY)


def test_a_full_export_again_is_duplicates_and_lands_what_is_new(warehouse, tmp_path):
    first = [number_of("alpha"), number_of("beta", recorded_at="2026-02-01T00:00:00Z")]
    warehouse.receipt("number_assignments", write_csv(tmp_path / "jan.csv", *first))
    spelled_otherwise = {**first[0], "number": "001 2015550101", "recorded_at": "2026-01-01T05:30:00+05:30"}
    third = number_of("", recorded_at="2026-03-01T00:00:00Z")
    spelled_otherwise["number"] = "1 (201) 555-0101"
    receipt = warehouse.receipt(
        "number_assignments", write_jsonl(tmp_path / "mar.jsonl", spelled_otherwise, first[1], third)
    )
    assert (receipt.duplicates, receipt.late, [file.rows for file in receipt.files]) == (2, 0, [1])


def test_of_equal_rows_in_one_file_the_last_counts(warehouse, tmp_path):
    """Rule 12: A, B, A at one instant leaves A. Rule 13: a row that had landed before is a duplicate, wherever it stands."""
    alpha, beta = number_of("alpha"), number_of("beta")
    receipt = warehouse.receipt("number_assignments", write_csv(tmp_path / "a.csv", alpha, beta, alpha, alpha))
    assert (receipt.rows, receipt.duplicates, receipt.files[0].rows) == (4, 2, 2)
    assert warehouse.usable("number_assignments", "source_row, account_id") == [(2, "beta"), (4, "alpha")]
    gamma = number_of("gamma")
    receipt = warehouse.receipt("number_assignments", write_csv(tmp_path / "b.csv", beta, gamma, beta))
    assert receipt.duplicates == 2
    assert warehouse.usable("number_assignments", "account_id")[-1:] == [("gamma",)]


def test_of_a_tenants_equal_rows_in_one_file_the_last_counts(warehouse, tmp_path):
    rows = [tenant("alpha"), tenant("alpha", name="Beta"), tenant("alpha")]
    assert warehouse.receipt("tenants", write_csv(tmp_path / "t.csv", *rows)).duplicates == 1
    assert warehouse.usable("tenants", "source_row, name") == [(2, "Beta"), (3, "alpha Inc")]


def test_the_end_of_the_last_frozen_month_seals_too(warehouse, tmp_path):
    warehouse.receipt("ip_assignments", write_csv(tmp_path / "a.csv", ip_of("alpha")))
    (warehouse.settings.statements / "month=2026-02").mkdir(parents=True)
    late = write_csv(tmp_path / "b.csv", ip_of("beta", recorded_at="2026-02-28T23:59:59Z"))
    refused(warehouse, "recorded before 2026-03-01 00:00:00 UTC", "ip_assignments", late)
    fine = write_csv(tmp_path / "c.csv", ip_of("beta", recorded_at="2026-03-01T00:00:00Z"))
    assert warehouse.receipt("ip_assignments", fine).sealed_at == datetime(2026, 3, 1, tzinfo=UTC)


def test_history_that_lands_after_a_freeze_acts_from_the_freeze_on(warehouse, tmp_path):
    (warehouse.settings.statements / "month=2026-02").mkdir(parents=True)
    receipt = warehouse.receipt("ip_assignments", write_csv(tmp_path / "a.csv", ip_of("alpha")))
    assert (receipt.is_history, receipt.late, receipt.sealed_at) == (True, 0, datetime(2026, 3, 1, tzinfo=UTC))


def test_each_feed_has_a_seal_of_its_own(warehouse, tmp_path):
    warehouse.receipt(
        "ip_assignments", write_csv(tmp_path / "a.csv", ip_of("alpha", recorded_at="2026-03-01T00:00:00Z"))
    )
    receipt = warehouse.receipt("number_assignments", write_csv(tmp_path / "b.csv", number_of("alpha")))
    assert (receipt.is_history, receipt.sealed_at) == (True, None)


def test_a_history_of_several_files_is_one_call(warehouse, tmp_path):
    newer = write_csv(tmp_path / "2026.csv", ip_of("beta", recorded_at="2026-02-01T00:00:00Z"))
    older = write_csv(tmp_path / "2025.csv", ip_of("alpha", recorded_at="2025-01-01T00:00:00Z"))
    landings = warehouse.land("ip_assignments", newer, older)
    assert [(landing.receipt.is_history, landing.receipt.late) for landing in landings] == [(True, 0), (True, 0)]


def test_the_second_file_of_a_history_that_comes_in_a_call_of_its_own_is_late(warehouse, tmp_path):
    newer = write_csv(tmp_path / "2026.csv", ip_of("beta", recorded_at="2026-02-01T00:00:00Z"))
    older = write_csv(tmp_path / "2025.csv", ip_of("alpha", recorded_at="2025-01-01T00:00:00Z"))
    warehouse.land("ip_assignments", newer)
    refused(warehouse, "recorded before", "ip_assignments", older)
    refused(warehouse, "recorded before", "ip_assignments", newer, older)


def test_a_history_call_that_was_cut_off_goes_on_as_history(warehouse, tmp_path, monkeypatch):
    newer = write_csv(tmp_path / "2026.csv", ip_of("beta", recorded_at="2026-02-01T00:00:00Z"))
    older = write_csv(tmp_path / "2025.csv", ip_of("alpha", recorded_at="2025-01-01T00:00:00Z"))
    publish = files.publish

    def only_the_first(staged, final):
        if warehouse.receipts:
            raise KeyboardInterrupt
        publish(staged, final)

    with monkeypatch.context() as broken:
        broken.setattr(files, "publish", only_the_first)
        with pytest.raises(KeyboardInterrupt):
            warehouse.land("ip_assignments", newer, older)
    landings = warehouse.land("ip_assignments", newer, older)
    assert [landing.is_new for landing in landings] == [False, True]
    assert (landings[1].receipt.is_history, landings[1].receipt.late) == (True, 0)


def test_changes_may_be_recorded_five_minutes_ahead_and_no_more(warehouse, tmp_path):
    warehouse.at("2026-03-20T12:00:00+00:00")
    ahead = write_csv(tmp_path / "a.csv", ip_of("alpha", recorded_at="2026-03-20T12:05:00.000001Z"))
    refused(warehouse, "more than 5 minutes ahead of now", "ip_assignments", ahead)
    within = write_csv(tmp_path / "b.csv", ip_of("alpha", recorded_at="2026-03-20T12:05:00Z"))
    assert warehouse.receipt("ip_assignments", within).rows == 1


def test_an_end_may_not_be_recorded_ahead_of_now_either(warehouse, tmp_path):
    row = ip_of("alpha", valid_to="2026-06-01T00:00:00Z", end_recorded_at="2026-05-01T00:00:00Z")
    refused(warehouse, "more than 5 minutes ahead", "ip_assignments", write_csv(tmp_path / "a.csv", row))


def test_a_change_may_be_ordered_for_any_later_instant(warehouse, tmp_path):
    row = ip_of("alpha", valid_from="2030-01-01T00:00:00Z")
    assert warehouse.receipt("ip_assignments", write_csv(tmp_path / "a.csv", row)).cutoff == JANUARY


# Cutoffs --------------------------------------------------------------------------------------------------------------


def test_a_cutoff_is_the_latest_recorded_at_unless_a_later_one_is_named(warehouse, tmp_path):
    path = write_csv(tmp_path / "a.csv", ip_of("alpha"))
    assert warehouse.receipt("ip_assignments", path).cutoff == JANUARY
    assert warehouse.receipt("ip_assignments", path, cutoff="2026-02-01T00:00:00+00:00").cutoff == FEBRUARY
    again = warehouse.land("ip_assignments", path, cutoff="2026-01-20T00:00:00+00:00")
    assert [landing.is_new for landing in again] == [False]


def test_a_cutoff_before_what_the_file_says_is_refused(warehouse, tmp_path):
    path = write_csv(tmp_path / "a.csv", ip_of("alpha"))
    refused(warehouse, "after the cutoff", "ip_assignments", path, cutoff="2025-12-31T23:59:59+00:00")
    refused(warehouse, "lies in the future", "ip_assignments", path, cutoff="2026-03-20T12:00:01+00:00")


def test_an_earlier_cutoff_does_not_open_the_seal_again(warehouse, tmp_path):
    warehouse.receipt(
        "ip_assignments", write_csv(tmp_path / "a.csv", ip_of("alpha")), cutoff="2026-02-01T00:00:00+00:00"
    )
    none = tmp_path / "none.csv"
    none.write_text("ip,account_id,recorded_at\n", encoding="utf-8")
    warehouse.receipt("ip_assignments", none, cutoff="2026-01-10T00:00:00+00:00")
    refused(
        warehouse,
        "2026-02-01",
        "ip_assignments",
        write_csv(tmp_path / "b.csv", ip_of("beta", recorded_at="2026-01-31T00:00:00Z")),
    )


# Extracts with valid_to (rule 14) -------------------------------------------------------------------------------------


def test_an_end_is_an_event_of_its_own(warehouse, tmp_path):
    """Rule 14."""
    row = ip_of("alpha", valid_from="2026-01-05T00:00:00Z", valid_to="2026-02-01T00:00:00Z")
    warehouse.receipt("ip_assignments", write_csv(tmp_path / "a.csv", row))
    assert warehouse.usable("ip_assignments", "event_type, account_id, valid_from, recorded_at", "valid_from") == [
        ("start", "alpha", datetime(2026, 1, 5, tzinfo=UTC), JANUARY),
        ("end", "alpha", FEBRUARY, JANUARY),
    ]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"valid_to": "2026-01-01T00:00:00Z"}, "valid_to is not after valid_from"),
        (
            {"valid_from": "2026-02-01T00:00:00Z", "valid_to": "2026-01-31T00:00:00Z"},
            "valid_to is not after valid_from",
        ),
        ({"account_id": "", "valid_to": "2026-03-01T00:00:00Z"}, "names no account_id"),
        ({"end_recorded_at": "2026-03-01T00:00:00Z"}, "has no valid_to"),
    ],
)
def test_periods_that_cannot_be_are_refused(warehouse, tmp_path, changes, words):
    refused(warehouse, words, "ip_assignments", write_csv(tmp_path / "a.csv", ip_of("alpha") | changes))


def test_a_row_that_was_over_before_it_was_recorded_never_acts(warehouse, tmp_path):
    """A history extract tells of holdings that had ended when it was made; one that ends later than it acts is real."""
    at = "2026-02-01T00:00:00Z"
    rows = [
        number_of("alpha", "+12025550101", valid_from="2026-01-01T00:00:00Z", valid_to="2026-01-15T00:00:00Z", recorded_at=at),
        number_of("alpha", "+12025550102", valid_from="2026-01-01T00:00:00Z", valid_to="2026-02-01T00:00:00Z", recorded_at=at),
        number_of("alpha", "+12025550103", valid_from="2026-01-01T00:00:00Z", valid_to="2026-02-01T00:00:00.000001Z", recorded_at=at),
        number_of("alpha", "+12025550104", valid_from="2026-01-01T00:00:00Z", recorded_at=at),
    ]  # fmt: skip
    rows = [{"valid_to": ""} | row for row in rows]
    warehouse.receipt("number_assignments", write_csv(tmp_path / "n.csv", *rows))
    found = warehouse.usable("number_assignments", "number, event_type, is_void")
    assert {(number[-1], kind): void for number, kind, void in found} == {
        ("1", "start"): True, ("1", "end"): True, ("2", "start"): True, ("2", "end"): True,
        ("3", "start"): False, ("3", "end"): False, ("4", "start"): False,
    }  # fmt: skip


@pytest.mark.parametrize("last_is_over", [True, False])
def test_of_equal_starts_in_one_file_the_last_row_tells_whether_it_was_over(warehouse, tmp_path, last_is_over):
    at = "2026-02-01T00:00:00Z"
    still_open = {"valid_to": ""} | ip_of("alpha", valid_from="2026-01-01T00:00:00Z", recorded_at=at)
    over = still_open | {"valid_to": "2026-01-15T00:00:00Z"}
    rows = [still_open, over] if last_is_over else [over, still_open]
    warehouse.receipt("ip_assignments", write_csv(tmp_path / "a.csv", *rows))
    found = warehouse.usable("ip_assignments", "event_type, source_row, is_void", "event_type")
    assert found == [("end", 2 if last_is_over else 1, True), ("start", 2, last_is_over)]


def test_an_impossible_number_or_ip_never_acts(warehouse, tmp_path):
    numbers = [number_of("alpha", number) for number in ("+1202", "anonymous", "+12025550101")]
    ips = [ip_of("alpha", ip) for ip in ("2001:db8::1::2", "300.1.1.1", "2001:db8::12")]
    warehouse.receipt("number_assignments", write_csv(tmp_path / "n.csv", *numbers))
    warehouse.receipt("ip_assignments", write_csv(tmp_path / "i.csv", *ips))
    assert sorted(warehouse.usable("number_assignments", "number, is_void")) == [
        ("+1202", True), ("+12025550101", False), ("anonymous", True),
    ]  # fmt: skip
    assert sorted(warehouse.usable("ip_assignments", "ip, is_void")) == [
        ("2001:db8::12", False), ("2001:db8::1::2", True), ("300.1.1.1", True),
    ]  # fmt: skip


def test_after_the_first_batch_an_end_says_when_it_was_recorded(warehouse, tmp_path):
    warehouse.receipt("ip_assignments", write_csv(tmp_path / "a.csv", ip_of("alpha")))
    row = ip_of("alpha", valid_to="2026-02-10T00:00:00Z")
    refused(warehouse, "valid_to needs end_recorded_at", "ip_assignments", write_csv(tmp_path / "b.csv", row))
    row["end_recorded_at"] = "2026-02-09T00:00:00Z"
    receipt = warehouse.receipt("ip_assignments", write_csv(tmp_path / "c.csv", row))
    assert (receipt.duplicates, receipt.late, receipt.cutoff) == (1, 0, datetime(2026, 2, 9, tzinfo=UTC))


# The registry ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def with_registry(warehouse):
    warehouse.with_published_warehouse()
    return warehouse


def added(warehouse, tmp_path, account_id: str) -> None:
    row = {name: value for name, value in tenant(account_id).items() if name != "recorded_at"}
    registry.add_tenants(warehouse.settings, write_csv(tmp_path / "new-tenant.csv", row))


@pytest.mark.slow
def test_the_registry_records_now_and_leaves_the_seal_where_it_is(with_registry, tmp_path):
    warehouse = with_registry
    warehouse.receipt("tenants", write_csv(tmp_path / "t.csv", tenant("alpha")))
    warehouse.receipt("ip_assignments", write_csv(tmp_path / "a.csv", ip_of("alpha")))
    warehouse.at("2026-03-20T12:34:56.123456+00:00")
    receipt = registry.assign(warehouse.settings, "ip", "192.0.2.9", "alpha").receipt
    assert (receipt.landed_by, receipt.cutoff, receipt.is_history) == ("registry", None, False)
    assert warehouse.usable("ip_assignments", "ip, valid_from, recorded_at")[-1] == (
        "192.0.2.9",
        datetime(2026, 3, 20, 12, 34, 56, 123456, UTC),
        datetime(2026, 3, 20, 12, 34, 56, 123456, UTC),
    )
    between = write_csv(tmp_path / "b.csv", ip_of("beta", "192.0.2.3", recorded_at="2026-03-01T00:00:00Z"))
    assert warehouse.receipt("ip_assignments", between).late == 0


@pytest.mark.long
@pytest.mark.slow
def test_the_registry_is_not_the_first_batch(with_registry, tmp_path):
    warehouse = with_registry
    added(warehouse, tmp_path, "alpha")
    registry.assign(warehouse.settings, "number", "2015550101", "alpha")
    history = warehouse.receipt(
        "number_assignments", write_csv(tmp_path / "n.csv", number_of("beta", recorded_at="2020-01-01T00:00:00Z"))
    )
    assert (history.is_history, history.late, history.sealed_at) == (True, 0, None)


@pytest.mark.slow
def test_the_registry_knows_the_living_and_only_them(with_registry, tmp_path):
    warehouse = with_registry
    added(warehouse, tmp_path, "alpha")
    with pytest.raises(Refused, match="there is such a tenant already"):
        added(warehouse, tmp_path, "ALPHA")
    registry.assign(warehouse.settings, "ip", "192.0.2.9:5060", "alpha")
    registry.archive_tenant(warehouse.settings, "alpha")
    with pytest.raises(Refused, match="archived"):
        registry.assign(warehouse.settings, "ip", "192.0.2.8", "alpha")
    with pytest.raises(Refused, match="archived"):
        registry.archive_tenant(warehouse.settings, "alpha")
    with pytest.raises(Refused, match="never used again"):
        added(warehouse, tmp_path, "alpha")
    assert warehouse.usable("tenants", "archived, name") == [(False, "alpha Inc"), (True, "alpha Inc")]


@pytest.mark.slow
def test_two_people_who_assign_at_once_both_do(with_registry, tmp_path):
    warehouse = with_registry
    added(warehouse, tmp_path, "alpha")
    addresses = [f"192.0.2.{place}" for place in range(1, 7)]
    with ThreadPoolExecutor(len(addresses)) as people:
        with files.only_writer(warehouse.settings.lock):
            waiting = [people.submit(registry.assign, warehouse.settings, "ip", ip, "alpha") for ip in addresses]
            time.sleep(0.5)
        for one in waiting:
            one.result()
    assert sorted(ip for (ip,) in warehouse.usable("ip_assignments", "ip")) == addresses


@pytest.mark.long
@pytest.mark.slow
def test_of_two_people_who_create_the_same_tenant_at_once_one_does(with_registry, tmp_path):
    warehouse = with_registry
    row = {name: value for name, value in tenant("alpha").items() if name != "recorded_at"}
    path = write_csv(tmp_path / "new-tenant.csv", row)
    with ThreadPoolExecutor(2) as people:
        with files.only_writer(warehouse.settings.lock):
            waiting = [people.submit(registry.add_tenants, warehouse.settings, path) for _ in range(2)]
            time.sleep(0.5)
        refused = [one.exception() for one in waiting]
    assert sorted(map(str, refused)) == [
        "None",
        "alpha: there is such a tenant already, and an account_id is never used again.",
    ]

"""The demo's made-up feeds: complete, repeatable, honest about time, and odd in all the ways that they promise."""

import csv
import json
import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from orchestration.demo.carrier import CarrierFiles, write_feeds

# Each test makes up a carrier's months.
pytestmark = pytest.mark.slow

ACCOUNT_ID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?")
RECORDS = 2_500
MICROSECOND = timedelta(microseconds=1)

# Rule 25, row by row.
PAIRS = {
    ("outbound_conversational", "outbound"),
    ("outbound_highcost", "outbound"),
    ("outbound_dialer", "outbound"),
    ("outbound_local_presence", "outbound"),
    ("inbound_conversational", "inbound"),
    ("inbound_local_presence", "inbound"),
    ("inbound_toll_free", "inbound"),
    ("cnam_lookup", "inbound"),
    ("spam_prevention", "inbound"),
    ("call_recording", "inbound"),
    ("call_recording", "outbound"),
    ("call_transcription", "inbound"),
    ("call_transcription", "outbound"),
    ("voicemail_transcription", "inbound"),
    ("vfax", "inbound"),
    ("vfax", "outbound"),
    ("sms_received", "inbound"),
    ("mms_received", "inbound"),
    ("sms_sent", "outbound"),
    ("mms_sent", "outbound"),
    ("number_local", "inbound"),
    ("number_toll_free", "inbound"),
    ("number_message_enabled", "inbound"),
    ("number_e911", "inbound"),
}
EACH_MINUTE = {"outbound_conversational", "outbound_highcost", "outbound_dialer", "outbound_local_presence"}
EACH_MINUTE |= {"inbound_conversational", "inbound_local_presence", "inbound_toll_free"}
BY_ORIGIN = {pair for pair in PAIRS if pair[1] == "outbound" and pair[0].startswith(("outbound_", "call_"))}

MOMENTS = {
    "autumn": datetime(2026, 11, 23, 16, 0, tzinfo=UTC),
    "year_crossing": datetime(2027, 1, 15, 9, 30, tzinfo=UTC),
    "leap_day": datetime(2028, 3, 2, 0, 0, 1, tzinfo=UTC),
    "first_instant": datetime(2027, 2, 1, tzinfo=UTC),
}
MONTHS = {
    "autumn": ("2026-07", "2026-08", "2026-09", "2026-10"),
    "year_crossing": ("2026-09", "2026-10", "2026-11", "2026-12"),
    "leap_day": ("2027-11", "2027-12", "2028-01", "2028-02"),
    "first_instant": ("2026-10", "2026-11", "2026-12", "2027-01"),
}


@dataclass(frozen=True)
class Feeds:
    files: CarrierFiles
    now: datetime
    tenants: list[dict[str, str]]
    numbers: list[dict[str, str | None]]
    ips: list[dict[str, str]]
    deliveries: dict[str, list[dict[str, object]]]

    @property
    def rows(self) -> list[dict[str, object]]:
        return [row for rows in self.deliveries.values() for row in rows]


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_records(path: Path) -> list[dict[str, object]]:
    """The rows of a delivery with absent values as None, exact costs and times in UTC."""
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    if path.suffix == ".csv":
        raw: list[dict] = read_csv(path)
    else:
        lines = path.read_text(encoding="utf-8").splitlines()
        raw = [json.loads(line, parse_float=Decimal) for line in lines]
    columns = ("call_id", "number", "from_number", "to_number", "source_ip", "x_tenant", "routed_to")
    return [
        row
        | {column: row.get(column) or None for column in columns}
        | {
            "started_at": datetime.fromisoformat(row["started_at"]).astimezone(UTC),
            "duration_seconds": int(row["duration_seconds"]),
            "billed_seconds": int(row["billed_seconds"]),
            "cost": Decimal(row["cost"]),
            "currency": row.get("currency") or "USD",
        }
        for row in raw
    ]


@pytest.fixture(scope="module", params=MOMENTS)
def feeds(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Feeds:
    now = MOMENTS[request.param]
    files = write_feeds(tmp_path_factory.mktemp(request.param), now, records_per_month=RECORDS)
    assert files.months == MONTHS[request.param]
    return Feeds(
        files=files,
        now=now,
        tenants=read_csv(files.tenants),
        numbers=[json.loads(line) for line in files.number_assignments.read_text(encoding="utf-8").splitlines()],
        ips=read_csv(files.ip_assignments),
        deliveries={path.name: read_records(path) for path in files.cdrs},
    )


@pytest.fixture(scope="module")
def autumn(tmp_path_factory: pytest.TempPathFactory) -> CarrierFiles:
    folder = tmp_path_factory.mktemp("once")
    return write_feeds(folder, MOMENTS["autumn"], months=3, records_per_month=1_500)


@pytest.mark.long
def test_every_service_and_direction_occurs_in_every_month(feeds: Feeds) -> None:
    for month in feeds.files.months:
        rows = [row for row in feeds.rows if str(row["record_id"]).startswith(f"C{month}-")]
        assert {(row["service"], row["direction"]) for row in rows} == PAIRS


def test_each_month_has_the_asked_number_of_distinct_records(feeds: Feeds) -> None:
    ids = {str(row["record_id"]) for row in feeds.rows}
    assert Counter(record_id[1:8] for record_id in ids) == dict.fromkeys(feeds.files.months, RECORDS)


def test_formats_are_mixed_and_deliveries_are_in_order(feeds: Feeds) -> None:
    assert {path.suffix for path in feeds.files.cdrs} == {".parquet", ".csv", ".jsonl"}
    assert [path.stem for path in feeds.files.cdrs] == [
        f"cdrs-{month}{part}" for month in feeds.files.months for part in ("", "-redelivery")
    ]


def test_times_lie_in_the_month_of_their_file_up_to_its_very_edges(feeds: Feeds) -> None:
    ends = [*feeds.files.months[1:], f"{feeds.now:%Y-%m}"]
    for month, following in zip(feeds.files.months, ends, strict=True):
        start = datetime.fromisoformat(f"{month}-01").replace(tzinfo=UTC)
        end = datetime.fromisoformat(f"{following}-01").replace(tzinfo=UTC)
        times = [
            row["started_at"]
            for name, rows in feeds.deliveries.items()
            if name.startswith(f"cdrs-{month}")
            for row in rows
        ]
        assert min(times) == start
        assert max(times) == end - MICROSECOND


def test_every_hour_is_busier_by_day_and_every_week_has_its_weekend(feeds: Feeds) -> None:
    calls = [row["started_at"] for row in feeds.rows if row["service"] in EACH_MINUTE]
    hours = Counter(moment.hour for moment in calls)
    days = Counter(moment.isoweekday() for moment in calls)
    assert hours[16] > 5 * hours[4]
    assert days[3] > 2 * days[7]


def test_accounts_are_valid_and_unique_ignoring_case(feeds: Feeds) -> None:
    accounts = {row["account_id"] for row in feeds.tenants}
    assert len(accounts) == 40
    assert len({account.lower() for account in accounts}) == 40
    assert all(ACCOUNT_ID.fullmatch(account) and ".." not in account for account in accounts)
    assert feeds.files.showcase_account in accounts
    named = {row["account_id"] for row in [*feeds.numbers, *feeds.ips] if row["account_id"]}
    assert named <= accounts


def test_tenants_are_complete_and_their_contacts_are_fictional(feeds: Feeds) -> None:
    for row in feeds.tenants:
        assert all(value for column, value in row.items() if column != "address2")
        assert re.fullmatch(r"[a-z0-9.]+@example\.(com|net|org)", row["billing_email"])
        assert re.fullmatch(r"\+1 202-555-01[0-9]{2}", row["phone"])
        assert re.fullmatch(r"\+1 202-555-01[0-9]{2}", row["contact_phone"])
    names = {row["name"] for row in feeds.tenants}
    assert any("," in name for name in names)
    assert any("ü" in name for name in names)


def test_tenants_come_go_and_are_renamed_in_mid_month(feeds: Feeds) -> None:
    first_month = f"{feeds.files.months[0]}-01"
    first_seen: dict[str, str] = {}
    names: dict[str, set[str]] = {}
    for row in feeds.tenants:
        first_seen.setdefault(row["account_id"], row["recorded_at"])
        names.setdefault(row["account_id"], set()).add(row["name"])
    assert sum(moment >= first_month for moment in first_seen.values()) == 5
    assert sum(row["archived"] == "true" for row in feeds.tenants) == 2
    assert sum(len(spellings) > 1 for spellings in names.values()) == 1


def test_directory_feeds_are_recorded_in_order_and_reach_past_the_last_month_but_not_past_now(
    feeds: Feeds,
) -> None:
    end = f"{feeds.now:%Y-%m}-01T00:00:00.000000Z"
    now = f"{feeds.now:%Y-%m-%dT%H:%M:%S.%fZ}"
    for rows in (feeds.tenants, feeds.numbers, feeds.ips):
        recorded = [str(row["recorded_at"]) for row in rows]
        assert recorded == sorted(recorded)
        assert len(set(recorded)) == len(recorded)
        assert end <= recorded[-1] <= now


def test_assignments_change_hands_are_released_and_are_ordered_ahead(feeds: Feeds) -> None:
    for rows, asset, moved in ((feeds.numbers, "number", 20), (feeds.ips, "ip", 9)):
        holders: dict[str, list[str | None]] = {}
        for row in rows:
            digits = re.sub(r"^\(([0-9]{3})\) ([0-9]{3})-", r"+1\1\2", str(row[asset]))
            holders.setdefault(digits, []).append(row["account_id"] or None)
        assert sum(len(set(accounts)) > 1 for accounts in holders.values()) >= moved
        assert any(accounts[-1] is None for accounts in holders.values())
        ahead = [row for row in rows if row.get("valid_from") and str(row["valid_from"]) > str(row["recorded_at"])]
        assert ahead
        assert len(ahead) < len(rows) / 20
        stated = [row for row in rows if row.get("valid_from")]
        assert 0 < len(stated) < len(rows) / 2
    assert len({str(row["number"])[-10:] for row in feeds.numbers}) > 550
    assert any(":" in row["ip"] for row in feeds.ips)


def test_repeats_are_equal_or_only_rated_anew_and_come_in_both_deliveries(feeds: Feeds) -> None:
    first: dict[object, dict[str, object]] = {}
    seen: Counter[tuple[bool, bool]] = Counter()
    for name, rows in feeds.deliveries.items():
        for row in rows:
            original = first.setdefault(row["record_id"], row)
            if row is original:
                assert "redelivery" not in name
                continue
            differing = {column for column in original if row.get(column) != original[column]}
            assert differing <= {"cost", "number", "source_ip"}
            seen["redelivery" in name, "cost" in differing] += 1
    months = len(feeds.files.months)
    assert seen == {
        (False, False): 2 * months,
        (True, False): 2 * months,
        (False, True): months,
        (True, True): months,
    }


def test_costs_are_exact_and_durations_are_sensible(feeds: Feeds) -> None:
    for row in feeds.rows:
        cost = row["cost"]
        assert 0 <= cost < 10
        assert cost == cost.quantize(Decimal("1e-9"))
        assert 0 <= row["duration_seconds"] < 4 * 3_600
        if row["service"] in EACH_MINUTE:
            assert row["duration_seconds"] <= row["billed_seconds"] < row["duration_seconds"] + 60
        if row["service"] in EACH_MINUTE and row["duration_seconds"] == 0:
            assert cost == 0
    assert {row["currency"] for row in feeds.rows} == {"USD", "CAD"}


def test_all_the_ways_to_stay_unattributed_occur_but_rarely(feeds: Feeds) -> None:
    accounts = {row["account_id"] for row in feeds.tenants}
    folded = {account.lower() for account in accounts}
    known_ips = {row["ip"] for row in feeds.ips}
    showcase = feeds.files.showcase_account
    rows = feeds.rows
    origin = [row for row in rows if (row["service"], row["direction"]) in BY_ORIGIN]
    numbered = [row for row in rows if (row["service"], row["direction"]) not in BY_ORIGIN]
    headers = Counter(str(row["x_tenant"]).strip(" \t") for row in origin if row["x_tenant"])
    assert 0 < sum(row["number"] is None for row in numbered) < len(numbered) / 50
    assert any(row["number"] == "anonymous" for row in numbered)
    assert any(row["source_ip"] is None and row["x_tenant"] is None for row in origin)
    assert any(row["source_ip"] == "203.0.113.999" for row in origin)
    assert any(row["source_ip"] and row["source_ip"] not in known_ips and row["x_tenant"] is None for row in origin)
    right = sum(count for header, count in headers.items() if header in accounts)
    wrong_case = sum(count for header, count in headers.items() if header not in accounts and header.lower() in folded)
    malformed = sum(count for header, count in headers.items() if not ACCOUNT_ID.fullmatch(header))
    assert right > 20 * (sum(headers.values()) - right)
    assert wrong_case
    assert malformed
    assert headers["nobody.mypbx.com"]
    assert any(row["x_tenant"] == f"{showcase}\t" for row in origin)


def test_some_headers_contradict_the_tenant_of_their_ip(feeds: Feeds) -> None:
    held = {row["ip"]: row["account_id"] for row in feeds.ips}
    own_ip = {ip for ip, account in held.items() if account == "summit-freight"}
    showcase = feeds.files.showcase_account
    assert any(row["x_tenant"] == showcase and row["source_ip"] in own_ip for row in feeds.rows)


def test_calls_fall_on_the_very_instant_of_changes_and_just_before(feeds: Feeds) -> None:
    changes = {
        datetime.fromisoformat(str(row["recorded_at"]))
        for row in [*feeds.numbers, *feeds.ips]
        if str(row["recorded_at"])[:7] in feeds.files.months and not row.get("valid_from")
    }
    calls = {row["started_at"] for row in feeds.rows}
    assert len(changes) > 15
    assert changes <= calls
    assert {moment - MICROSECOND for moment in changes} <= calls


def test_companions_share_the_call_id_of_a_call_with_the_same_owner(feeds: Feeds) -> None:
    calls = {row["call_id"]: row for row in feeds.rows if row["service"] in EACH_MINUTE}
    follow = {
        "cnam_lookup",
        "spam_prevention",
        "call_recording",
        "call_transcription",
        "voicemail_transcription",
    }
    companions = [row for row in feeds.rows if row["service"] in follow]
    assert companions
    for row in companions:
        call = calls[row["call_id"]]
        for column in ("direction", "started_at", "x_tenant"):
            assert row[column] == call[column]


def test_every_number_on_the_account_is_charged_once_at_the_first_instant(feeds: Feeds) -> None:
    for month in feeds.files.months:
        charges = {
            row["record_id"]: row
            for row in feeds.rows
            if row["service"] in ("number_local", "number_toll_free") and str(row["record_id"])[1:8] == month
        }
        assert 550 < len(charges) <= 600
        assert {f"{row['started_at']:%Y-%m-%dT%H:%M:%S.%f}" for row in charges.values()} == {
            f"{month}-01T00:00:00.000000"
        }


def test_text_files_spell_numbers_as_people_do_and_parquet_does_not(feeds: Feeds) -> None:
    spellings: dict[str, set[str]] = {".parquet": set(), ".text": set()}
    for name, rows in feeds.deliveries.items():
        kind = ".parquet" if name.endswith(".parquet") else ".text"
        spellings[kind] |= {re.sub("[0-9]", "9", str(row["number"])) for row in rows if row["number"]}
    assert {"(999) 999-9999", "9999999999", "99999999999", "sip:+99999999999@edge.example.net"} <= spellings[".text"]
    assert all(shape.startswith("+9") or shape == "anonymous" for shape in spellings[".parquet"])


def test_parquet_holds_decimal_costs_and_utc_times(autumn: CarrierFiles) -> None:
    schema = pq.read_schema(next(path for path in autumn.cdrs if path.suffix == ".parquet"))
    assert str(schema.field("cost").type) == "decimal128(18, 9)"
    assert str(schema.field("started_at").type) == "timestamp[us, tz=UTC]"


@pytest.mark.long
def test_the_same_arguments_give_the_same_bytes_and_another_seed_does_not(
    autumn: CarrierFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    again = write_feeds(tmp_path / "again", MOMENTS["autumn"], months=3, records_per_month=1_500)
    other = write_feeds(tmp_path / "other", MOMENTS["autumn"], months=3, records_per_month=1_500, seed=8)
    names = [path.name for path in autumn.cdrs]
    assert [path.name for path in again.cdrs] == names
    for path in (*autumn.cdrs, autumn.tenants, autumn.number_assignments, autumn.ip_assignments):
        if path.suffix == ".parquet":
            with duckdb.connect() as con:
                query = "select count(*), bit_xor(hash(rows)) from read_parquet(?) as rows"
                both = [con.execute(query, [str(p)]).fetchone() for p in (path, tmp_path / "again" / path.name)]
            assert both[0] == both[1]
        else:
            assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()
            assert path.read_bytes() != (other.tenants.parent / path.name).read_bytes()


def test_one_tiny_month_still_has_one_of_everything(tmp_path: Path) -> None:
    files = write_feeds(tmp_path, MOMENTS["leap_day"], months=1, records_per_month=1)
    rows = [row for path in files.cdrs for row in read_records(path)]
    assert files.months == ("2028-02",)
    assert {(row["service"], row["direction"]) for row in rows} == PAIRS


def test_months_and_now_must_make_sense(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one month"):
        write_feeds(tmp_path, MOMENTS["autumn"], months=0)
    with pytest.raises(ValueError, match="with its zone"):
        write_feeds(tmp_path, datetime(2026, 11, 23))  # noqa: DTZ001

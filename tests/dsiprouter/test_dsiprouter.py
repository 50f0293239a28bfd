"""Half a year of a real switch: we give back the owner that the switch itself stamped on each outbound call.

The tables `cdrs` and `acc` of a dSIPRouter (data/README.md) become our feeds. `acc` has one row per SIP transaction,
with the endpoint group that its source IP belonged to (`src_gwgroupid`): an IP changes hands when an INVITE first shows
it in another group. Only INVITEs count, since a BYE bears the group of its call whichever side hung up. An INVITE that
set up a call has the very time of its `call_start_time`, to the second, so a change acts from its own time on. Their
costs are all 0; ours are made up, a cent a call.
"""

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow.parquet as pq
import pytest

from orchestration.months import Month
from tests.conftest import CommandLine, command_line_in

DATA = Path(__file__).parent / "data"
Row = dict[str, str]
# July's calls are all of no known direction, so October is the first month that can be stated.
# July's calls are all of no known direction, and there are none in August and September: October comes first.
STATED = [Month(2025, 10), Month(2025, 11), Month(2025, 12), Month(2026, 1), Month(2026, 2), Month(2026, 3)]
TENANT_DETAILS = (
    *("address1", "city", "state", "postal_code", "country", "phone", "billing_email", "contact_person"),
    "contact_phone",
)


class Change(NamedTuple):
    """From this instant on, the IP was seen in this group; `callid` is the call on which it was seen first."""

    instant: str
    ip: str
    account_id: str
    callid: str


def read(name: str) -> list[Row]:
    with (DATA / f"{name}.csv").open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def utc(time: str) -> str:
    return time.replace(" ", "T") + "Z"


def changes() -> list[Change]:
    """The history of IPs and groups, as far as the stamps on INVITEs tell it, in order of time."""
    found: list[Change] = []
    group_of: Row = {}
    for row in sorted(read("acc"), key=lambda row: (row["time"], int(row["id"]))):
        group = row["src_gwgroupid"]
        if row["method"] == "INVITE" and group and group_of.get(row["src_ip"]) != group:
            group_of[row["src_ip"]] = group
            found.append(Change(utc(row["time"]), row["src_ip"], f"group-{group}", row["callid"]))
    return found


def calls(calltype: str) -> list[Row]:
    return [row for row in read("cdrs") if row["calltype"] == calltype]


def canonical(row: Row) -> Row:
    """A row of theirs as our cdrs feed has it. The type of call says service and direction; blank, it says neither."""
    calltype = row["calltype"]
    return {
        "record_id": row["cdr_id"],
        "call_id": row["sip_call_id"],
        "service": f"{calltype}_conversational" if calltype else "",
        "direction": calltype,
        "started_at": utc(row["call_start_time"]),
        "duration_seconds": row["duration"],
        "number": row["dst_username"] if calltype == "inbound" else "",
        "from_number": row["src_username"],
        "to_number": row["dst_username"],
        "source_ip": row["src_ip"],
        "cost": "0.01",
    }


def write(path: Path, rows: list[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """Everything landed at the end and every month closed after that, so that a close has to look back in time."""
    with command_line_in(tmp_path_factory.mktemp("dsiprouter")) as line:
        line.close_directly()
        deliver(line)
        for month in STATED:
            line.must(f"close {month}")
        yield line


def deliver(line: CommandLine) -> None:
    """Land all feeds, a few days after the last call."""
    groups = sorted({change.account_id for change in changes()})
    filled = dict.fromkeys(TENANT_DETAILS, "x") | {"recorded_at": "2025-07-01T00:00:00Z"}
    write(line.folder / "tenants.csv", [{"account_id": group, "name": group} | filled for group in groups])
    write(
        line.folder / "ips.csv",
        [{"ip": change.ip, "account_id": change.account_id, "recorded_at": change.instant} for change in changes()],
    )
    write(line.folder / "cdrs.csv", [canonical(row) for row in read("cdrs")])
    line.at("2026-04-01T13:00:00Z")
    line.must("land tenants tenants.csv")
    line.must("land ip_assignments ips.csv")
    line.must("land cdrs cdrs.csv")


def usage(line: CommandLine) -> list[dict]:
    return [
        row
        for path in sorted(line.data.glob("statements/month=*/usage/day=*.parquet"))
        for row in pq.ParquetFile(path).read().to_pylist()
    ]


@pytest.mark.long
def test_every_outbound_call_goes_to_the_group_that_the_switch_stamped(closed: CommandLine) -> None:
    stamped = {row["cdr_id"]: (f"group-{row['src_gwgroupid']}", "ip") for row in calls("outbound")}
    ours = {
        row["record_id"]: (row["account_id"], row["attributed_by"])
        for row in usage(closed)
        if row["direction"] == "outbound"
    }
    assert len(stamped) == 37
    assert ours == stamped


def test_the_table_of_any_one_day_gives_some_outbound_call_to_the_wrong_group() -> None:
    wrong = {}
    for day in sorted({change.instant[:10] for change in changes()}):
        at_its_end = {change.ip: change.account_id for change in changes() if change.instant[:10] <= day}
        wrong[day] = sum(at_its_end.get(row["src_ip"]) != f"group-{row['src_gwgroupid']}" for row in calls("outbound"))
    # 17 calls of group 13 in October, 20 of group 32 in March, none of group 56, all from one IP.
    assert wrong == {
        "2025-07-18": 37,
        "2025-10-27": 20,
        "2025-10-31": 20,
        "2025-11-06": 20,
        "2026-02-13": 17,
        "2026-03-01": 17,
    }


def test_no_change_that_an_outbound_call_hangs_on_was_learned_from_a_call_that_is_checked() -> None:
    origins = {row["src_ip"] for row in calls("outbound")}
    learned_from = {change.callid for change in changes() if change.ip in origins}
    assert learned_from
    assert not learned_from & {row["sip_call_id"] for row in read("cdrs")}


def test_an_invite_that_set_up_a_call_has_the_time_of_its_start() -> None:
    invites = [row for row in read("acc") if row["method"] == "INVITE" and row["sip_code"] == "200"]
    answered = {row["callid"]: row["time"] for row in invites}
    assert all(answered[row["sip_call_id"]] == row["call_start_time"] for row in calls("outbound"))


@pytest.mark.long
def test_calls_of_no_known_direction_are_rejected_and_listed(closed: CommandLine) -> None:
    with duckdb.connect(str(closed.data / "warehouse.duckdb"), read_only=True) as connection:
        rejected = connection.execute("select month, reason, record_id from operations.rejected_rows").fetchall()
        waiting = connection.execute("select * from operations.late_records").fetchall()
    assert Counter((month, reason) for month, reason, _ in rejected) == {("2025-07", "service_missing"): 38}
    assert {record_id for _, _, record_id in rejected} == {row["cdr_id"] for row in calls("")}
    assert waiting == []


def test_a_month_with_rejected_rows_alone_is_refused_for_them(command_line: CommandLine) -> None:
    deliver(command_line)
    outcome = command_line.run("close 2025-07")
    assert outcome.exit_status == 1
    assert "38 rejected rows stand against closing 2025-07: 38 × service_missing" in outcome.stderr
    assert not (command_line.data / "statements").exists()


@pytest.mark.long
def test_inbound_calls_to_a_project_id_are_nobodys_and_still_counted(closed: CommandLine) -> None:
    inbound = [row for row in usage(closed) if row["direction"] == "inbound"]
    assert {(row["account_id"], row["reason"]) for row in inbound} == {(None, "number_malformed")}
    assert Counter(f"{row['started_at']:%Y-%m}" for row in inbound) == {
        "2025-10": 16,
        "2025-11": 96,
        "2025-12": 9,
        "2026-01": 20,
        "2026-02": 3,
        "2026-03": 6,
    }


@pytest.mark.long
def test_statements_show_the_calls_in_the_month_and_group_they_belong_to(closed: CommandLine) -> None:
    with duckdb.connect(str(closed.data / "warehouse.duckdb"), read_only=True) as connection:
        statements = connection.execute(
            "select month, account_id, outbound_calls_count, outbound_minutes::varchar, total_cost::varchar "
            "from statements.statements"
        ).fetchall()
    assert len(statements) == len(STATED) * len({change.account_id for change in changes()})
    # 510 and 1,416 seconds.
    assert sorted(row for row in statements if row[2]) == [
        ("2025-10", "group-13", 17, "8.500000", "0.170000000"),
        ("2026-03", "group-32", 20, "23.600000", "0.200000000"),
    ]

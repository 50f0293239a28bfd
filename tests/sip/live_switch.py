"""A live switch: Kamailio accounts real calls that sipp makes, and the tenants' statements are made of what it wrote.

Not part of `make test`: it needs Debian's packages kamailio, kamailio-sqlite-modules and sip-tester, and the port 5060 of
127.0.0.1. `make test-sip` runs it. The INVITE of the document that the project implements is the first call.
"""

import csv
import json
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq
import pytest

from orchestration.months import Month
from tests.conftest import CommandLine, command_line_in
from tests.unit.deliveries import ip_of, tenant, write_csv

HERE = Path(__file__).parent
BIG, SMALL = "bigcustomer.mypbx.com", "smallcustomer"
# One IP that two tenants share, and one that is a tenant's own.
SHARED, OWN = "127.0.0.2", "127.0.0.3"
BUSY, HANGS_UP, FORKED, INVITED = "12015550000", "12015550001", "12015550002", "12015550003"


class Call(NamedTuple):
    """A call as it is made, and whose it has to be: an account, or the reason why it is nobody's."""

    name: str
    source_ip: str
    headers: tuple[str, ...]
    account_id: str | None
    verdict: str
    callee: str = "12015550123"
    ending: str = "bye.xml"
    scenario: str = "call.xml"
    call_id: str | None = None


CALLS = [
    Call("the document's INVITE", SHARED, (f"X-accountcode: {BIG}", f"X-Tenant: {BIG}"), BIG, "header"),
    Call("another tenant behind the same IP", SHARED, (f"X-Tenant: {SMALL}",), SMALL, "header"),
    Call("no header from the shared IP", SHARED, (), None, "ip_unassigned"),
    Call("only an account code", SHARED, (f"X-accountcode: {BIG}",), None, "ip_unassigned"),
    Call("no header from an IP of its own", OWN, (), SMALL, "ip"),
    Call("wrong case from an IP of its own", OWN, ("X-Tenant: BigCustomer.mypbx.com",), None, "header_case_mismatch"),
    Call("a header that names nobody", OWN, ("X-Tenant: nobody",), None, "header_unknown_tenant"),
    Call("the header against the IP", OWN, (f"X-Tenant: {BIG}",), BIG, "header"),
    Call("spaces around the value", SHARED, (f"X-Tenant:   {BIG}  ",), BIG, "header"),
    Call("a busy callee", OWN, (f"X-Tenant: {SMALL}",), SMALL, "header", BUSY),
    Call("a callee that hangs up", OWN, (), SMALL, "ip", HANGS_UP, "wait.xml"),
    Call("a second INVITE in the call", OWN, (), SMALL, "ip", INVITED, "again.xml"),
    Call("a Call-ID", OWN, (), SMALL, "ip", call_id="12-again"),
    Call("a Call-ID that is used again", OWN, (), SMALL, "ip", HANGS_UP, "wait.xml", call_id="12-again"),
    Call("two callees at once", OWN, (), SMALL, "ip", FORKED, scenario="fork.xml"),
]


# What ends a call at the callee of each port; two of them answer the forked one.
CALLEES = {5071: "hang_up.xml", 5072: "be_hung_up.xml", 5073: "be_hung_up.xml", 5074: "take_again.xml"}


@contextmanager
def running(folder: Path, name: str, *command: str) -> Iterator[None]:
    with (folder / f"{name}.log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=20)


@pytest.fixture(scope="module")
def accounted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with acc.csv: what Kamailio accounted of all calls, in the columns of its table."""
    for program in ("kamailio", "sipp"):
        assert shutil.which(program), (
            f"{program} is not installed: apt-get install kamailio kamailio-sqlite-modules sip-tester"
        )
    folder = tmp_path_factory.mktemp("switch")
    database = folder / "acc.sqlite"
    with sqlite3.connect(database) as connection:
        connection.executescript((HERE / "acc.sql").read_text(encoding="utf-8"))
    kamailio = [
        *("kamailio", "-f", str(HERE / "kamailio.cfg"), "-DD", "-E", "-m", "32", "-M", "4", "-Y", str(folder)),
        *("-A", f'DATABASE="sqlite:///{database}"', "-A", 'CARRIER="sip:127.0.0.1:5070"'),
    ]
    answers = (HERE / "answer.xml").read_text(encoding="utf-8")
    with ExitStack() as stack:
        for port, ending in CALLEES.items():
            scenario = folder / f"callee-{port}.xml"
            scenario.write_text(
                answers.replace("ENDING\n", (HERE / ending).read_text(encoding="utf-8")), encoding="utf-8"
            )
            callee = ["sipp", "-sf", str(scenario), "-i", "127.0.0.1", "-p", str(port), "-nostdin"]
            stack.enter_context(running(folder, f"callee-{port}", *callee))
        stack.enter_context(
            running(folder, "carrier", "sipp", "-sn", "uas", "-i", "127.0.0.1", "-p", "5070", "-nostdin")
        )
        stack.enter_context(running(folder, "kamailio", *kamailio))
        time.sleep(2)
        for number, call in enumerate(CALLS):
            make(folder, number, call)
        time.sleep(1)
    with (
        sqlite3.connect(database) as connection,
        (folder / "acc.csv").open("w", encoding="utf-8", newline="") as handle,
    ):
        cursor = connection.execute("select * from acc order by id")
        writer = csv.writer(handle)
        writer.writerow([column[0] for column in cursor.description])
        writer.writerows(cursor.fetchall())
    return folder


def make(folder: Path, number: int, call: Call) -> None:
    """One call. Its Call-ID begins with its number, so that its record can be found."""
    scenario = folder / f"call-{number}.xml"
    template = (HERE / call.scenario).read_text(encoding="utf-8")
    template = template.replace("ENDING\n", (HERE / call.ending).read_text(encoding="utf-8"))
    scenario.write_text(template.replace("HEADERS\n", "".join(f"{line}\n" for line in call.headers)), encoding="utf-8")
    command = [
        "sipp",
        "-sf",
        str(scenario),
        "-i",
        call.source_ip,
        "-p",
        "5062",
        "-m",
        "1",
        "-s",
        call.callee,
        "-nostdin",
    ]
    command += ["-cid_str", call.call_id or f"{number}-%u-%p@%s", "127.0.0.1:5060"]
    made = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert made.returncode == 0, f"{call.name}: {made.stdout[-2000:]}"


@pytest.fixture(scope="module")
def closed(accounted: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[CommandLine, Month]]:
    """The month of the calls, landed after its end and closed."""
    month = Month.of(datetime.now(UTC))
    before = (month.start - timedelta(days=1)).isoformat()
    with command_line_in(tmp_path_factory.mktemp("statements")) as line:
        line.close_directly()
        line.at((month.end + timedelta(days=1)).isoformat())
        tenants = [tenant(name, recorded_at=before) for name in (BIG, SMALL)]
        ips = [ip_of("", SHARED, recorded_at=before), ip_of(SMALL, OWN, recorded_at=before)]
        folder = line.data / "sources"
        folder.mkdir(parents=True)
        (folder / "kamailio-acc.toml").write_text(
            'extends = "kamailio-acc"\n[rates]\nfile = "rates.csv"\n', encoding="utf-8"
        )
        (folder / "rates.csv").write_text(
            "service,prefix,price,increment,fee\noutbound_conversational,+1,0.0125,60/60,\n", encoding="utf-8"
        )
        line.must(f"land tenants {write_csv(line.folder / 'tenants.csv', *tenants)}")
        line.must(f"land ip_assignments {write_csv(line.folder / 'ips.csv', *ips)}")
        line.must(f"land cdrs --source kamailio-acc@edge {accounted / 'acc.csv'}")
        line.must(f"close {month} --accept-rejected")
        yield line, month


def stated(closed: tuple[CommandLine, Month]) -> dict[int, dict]:
    """The records by the number of their call. A Call-ID that is used again counts on."""
    line, month = closed
    folder = line.data / "statements" / f"month={month}" / "usage"
    rows = [row for path in sorted(folder.glob("day=*.parquet")) for row in pq.ParquetFile(path).read().to_pylist()]
    numbered: dict[int, dict] = {}
    for row in sorted(rows, key=lambda row: row["started_at"]):
        number = int(row["record_id"].removeprefix("kamailio-acc:edge:").split("-")[0])
        numbered[number + (number in numbered)] = row
    assert len(numbered) == len(rows)
    return numbered


def test_every_call_is_a_record_and_goes_where_the_rules_say(closed):
    found = {
        CALLS[number].name: (row["account_id"], row["attributed_by"] or row["reason"])
        for number, row in stated(closed).items()
    }
    assert found == {call.name: (call.account_id, call.verdict) for call in CALLS}


def test_the_switch_saw_the_addresses_that_the_calls_came_from(closed):
    assert {number: row["source_ip"] for number, row in stated(closed).items()} == {
        number: call.source_ip for number, call in enumerate(CALLS)
    }


def test_an_answered_call_is_a_minute_begun_and_a_busy_one_costs_nothing(closed):
    found = {
        number: (row["duration_seconds"], row["billed_seconds"], str(row["cost"]))
        for number, row in stated(closed).items()
    }
    assert found == {number: expected_length(call) for number, call in enumerate(CALLS)}


def expected_length(call: Call) -> tuple[int, int, str]:
    """A callee that hangs up waits a second, as a caller does who invites again."""
    if call.callee == BUSY:
        return 0, 0, "0E-9"
    return (2 if call.callee in (HANGS_UP, INVITED) else 1), 60, "0.012500000"


def test_a_re_invite_has_a_to_tag_already_and_the_invite_that_begins_a_call_has_none(accounted):
    """So a file that begins within a call can be told from one that holds its start."""
    with (accounted / "acc.csv").open(encoding="utf-8", newline="") as handle:
        answered = [row for row in csv.DictReader(handle) if row["method"] == "INVITE" and row["sip_code"] == "200"]
    again = [row["callid"] for row in answered if row["req_to_tag"]]
    assert len(again) == 1
    assert [row["req_to_tag"] for row in answered if row["callid"] == again[0]] == [
        "",
        answered_tag(answered, again[0]),
    ]


def answered_tag(answered: list[dict[str, str]], call_id: str) -> str:
    """The To tag that the first answer of a call gave it."""
    return next(row["to_tag"] for row in answered if row["callid"] == call_id)


def test_of_a_forked_call_kamailio_accounts_one_answer_and_both_ends(closed):
    """The module acc sees the first 2xx of a transaction alone, so the other callee's BYE has no start and is rejected."""
    line, _ = closed
    rejected = json.loads(line.must("rejected --json").stdout)
    ((record_id, reason),) = [(row["record_id"], row["reason"]) for row in rejected]
    assert record_id.startswith(f"kamailio-acc:edge:{len(CALLS) - 1}-")
    assert reason == "call_without_start"


def test_the_tenants_statements_add_up(closed):
    line, month = closed
    table = pq.ParquetFile(line.data / "statements" / f"month={month}" / "statements.parquet").read().to_pylist()
    assert {row["account_id"]: (row["outbound_calls_count"], str(row["total_cost"])) for row in table} == {
        BIG: (3, "0.037500000"),
        SMALL: (8, "0.087500000"),
    }

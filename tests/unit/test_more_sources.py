"""Shipped sources of carriers and of tables with CDRs: rows of the shape that their documentation shows, with traps.

What belongs here: a file as it comes, with made-up numbers, and what was worked out by hand from it. What does not: the
switches of `test_shipped_sources`.
"""

import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestration.errors import Refused
from tests.unit.conftest import Warehouse

# Each lands a whole export, some of them several.
pytestmark = pytest.mark.slow

FACTS = (
    "split_part(record_id, ':', 3), direction, strftime(started_at, '%Y-%m-%dT%H:%M:%S'), duration_seconds, "
    "billed_seconds, number, cost::decimal(12, 6)::varchar"
)
RATES = "service,prefix,price,increment,fee\noutbound_conversational,+1,0.01,6/6,\ninbound_conversational,,0.005,1/1,\n"


@pytest.fixture
def land(warehouse: Warehouse, tmp_path: Path) -> Callable:
    """A function that lands a file of a source; with `declared`, of one that extends it with these lines."""
    warehouse.at("2026-12-20T12:00:00+00:00")

    def run(source: str, name: str, content: str | bytes, declared: str = "", **tables: str):
        folder = warehouse.settings.sources
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{source}.toml").write_text(f'extends = "{source}"\n{declared}', encoding="utf-8")
        for table, text in tables.items():
            (folder / f"{table}.csv").write_text(text, encoding="utf-8")
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        (landing,) = warehouse.land("cdrs", path, source=source)
        return landing.receipt

    return run


def found(warehouse: Warehouse) -> list[tuple]:
    return warehouse.usable(columns=FACTS, order="batch_id, source_row")


def reasons(warehouse: Warehouse) -> dict[str, str]:
    return dict(warehouse.rejected("split_part(record_id, ':', 3), reason"))


def lines(*rows: dict) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


CX = """Call 1,00A_1,00:05:36,2026/03/05 13:33:54,2026/03/05 13:33:54,2026/03/05 13:39:31,TerminatedBySrc,+15035550100,Ext.960,10021,960,960,QFwdToDNA,Ext.504,504,,,,,Chain: +15035550100;Ext.960;Ext.504;
Call 2,00A_2,00:01:01,2026/03/05 14:00:00,2026/03/05 14:00:05,2026/03/05 14:01:06,TerminatedByDst,Ext.504,12015550123,504,10021,12015550123,,,,,,,,Chain: Ext.504;12015550123;
Call 3,00A_3,00:00:20,2026/03/05 15:00:00,,2026/03/05 15:00:20,NoAnswer,Ext.504,12015550123,504,10021,12015550123,,,,,,,,Chain: Ext.504;
Call 4,00A_4,00:00:20,2026/03/05 15:00:00,2026/03/05 15:00:02,2026/03/05 15:00:20,TerminatedBySrc,Ext.504,Ext.505,504,505,505,,,,,,,,Chain: Ext.504;Ext.505;
Call 5,00A_5,00:02:00,2026/03/05 16:00:00,2026/03/05 16:00:02,2026/03/05 16:02:02,TerminatedBySrc,Ext.504,442071234567,504,10021,442071234567,,,,,0.02,0.0400,UK,Chain: Ext.504;
Call 6,00A_1,00:00:02,2026/03/06 09:00:00,2026/03/06 09:00:01,2026/03/06 09:00:03,TerminatedBySrc,Ext.504,12015550124,504,10021,12015550124,,,,,,,,Chain: Ext.504;
"""
CX_DECLARED = (
    'zone = "America/New_York"\n[rates]\nfile = "rates.csv"\n[record]\nnumber = "case when is_inbound then trunks.number end"\n'
    '[lookups.trunks]\nfile = "trunks.csv"\nkey = "from_dn"\n'
)


def test_3cx_parts_of_calls(land, warehouse):
    receipt = land(
        "3cx",
        "cdr.log",
        CX.replace("\n", "\r\n"),
        CX_DECLARED,
        rates=RATES,
        trunks="from_dn,number\n10021,+12015550150\n",
    )
    assert found(warehouse) == [
        ("00A_1/2026/03/05 13", "inbound", "2026-03-05T18:33:54", 336, 336, "+12015550150", "0.028000"),
        ("00A_2/2026/03/05 14", "outbound", "2026-03-05T19:00:00", 61, 66, None, "0.011000"),
        ("00A_3/2026/03/05 15", "outbound", "2026-03-05T20:00:00", 20, 0, None, "0.000000"),
        ("00A_5/2026/03/05 16", "outbound", "2026-03-05T21:00:00", 120, 120, None, "0.040000"),
        ("00A_1/2026/03/06 09", "outbound", "2026-03-06T14:00:00", 2, 6, None, "0.001000"),
    ]
    assert receipt.ignored == {"call_between_extensions": 1}


def test_3cx_without_the_trunks_numbers_rejects_inbound_calls(land, warehouse):
    land("3cx", "cdr.log", CX.splitlines()[0] + "\n", 'zone = "UTC"\n[rates]\nfile = "rates.csv"\n', rates=RATES)
    assert list(reasons(warehouse).values()) == ["unrated"]
    with pytest.raises(Refused, match="3cx has local times"):
        land("3cx", "other.log", CX)


TWILIO = {
    "sid": "CA1", "direction": "outbound-api", "start_time": "Thu, 05 Mar 2026 10:00:00 +0000", "status": "completed",
    "duration": "61", "from": "+12015550101", "to": "+15035550100", "price": "-0.02800", "price_unit": "USD",
    "parent_call_sid": None,
}  # fmt: skip


def test_twilio_calls_of_the_api_and_of_bulk_export(land, warehouse):
    rows = [
        TWILIO,
        TWILIO | {"sid": "CA2", "direction": "inbound", "from": "+15035550100", "to": "+12015550101", "price": "-0.0085",
                  "start_time": "2026-03-05T10:00:00Z"},
        TWILIO | {"sid": "CA3", "parent_call_sid": "CA2", "direction": "outbound-dial"},
        TWILIO | {"sid": "CA4", "status": "busy", "price": None, "duration": "0"},
        TWILIO | {"sid": "CA5", "price": None},
        TWILIO | {"sid": "CA6", "price": "-1"},
        TWILIO | {"sid": "CA7", "direction": "trunking-originating", "to": "+12015550101", "price": "-0.0045"},
        TWILIO | {"sid": "CA8", "price": "0.01"},
        TWILIO | {"sid": "CAA", "price": "--1"},
        {"sid": "CA9", "direction": "outbound-dial", "startTime": "2026-03-05T10:00:00+00:00", "duration": "5",
         "to": "+15035550100", "price": "-0.014", "priceUnit": "usd", "status": "completed"},
    ]  # fmt: skip
    land("twilio", "calls.json.gz", gzip.compress(lines(*rows).encode()))
    at = "2026-03-05T10:00:00"
    assert found(warehouse) == [
        ("CA1", "outbound", at, 61, 61, None, "0.028000"),
        ("CA2", "inbound", at, 61, 61, "+12015550101", "0.008500"),
        ("CA3", "outbound", at, 61, 61, None, "0.028000"),
        ("CA4", "outbound", at, 0, 0, None, "0.000000"),
        ("CA7", "inbound", at, 61, 61, "+12015550101", "0.004500"),
        # A refund is the other way round.
        ("CA8", "outbound", at, 61, 61, None, "-0.010000"),
        ("CA9", "outbound", at, 5, 5, None, "0.014000"),
    ]
    assert reasons(warehouse) == {"CA5": "cost_missing", "CA6": "cost_missing", "CAA": "cost_unusable"}


def test_opensips_rows_with_durations(land, warehouse):
    content = """id,method,from_tag,to_tag,callid,sip_code,sip_reason,time,duration,setuptime,created,ms_duration,src_ip,x_tenant,src_user,dst_user,x_direction
1,INVITE,b,a,c-1,200,OK,2026-03-05 10:00:05,61,5,2026-03-05 10:00:00,60001,203.0.113.7,alpha,15035550100,12015550123,
2,INVITE,b,z,c-1,200,OK,2026-03-05 10:00:06,10,5,2026-03-05 10:00:00,,203.0.113.7,alpha,15035550100,12015550123,
3,INVITE,b,,c-2,487,Cancelled,2026-03-05 10:00:06,0,5,,,203.0.113.7,alpha,15035550100,12015550123,
4,INVITE,b,,c-2,407,Proxy Authentication Required,2026-03-05 10:00:06,0,5,,,203.0.113.7,alpha,15035550100,12015550123,
5,BYE,b,q,c-3,200,OK,2026-03-05 10:00:06,0,0,,,203.0.113.7,,15035550100,12015550123,
6,INVITE,b,q,c-4,200,OK,2026-03-05 10:00:06,7,0,0000-00-00 00:00:00,,198.51.100.1,,15035550100,12015550124,inbound
"""
    receipt = land("opensips-acc", "acc.csv", content, '[rates]\nfile = "rates.csv"\n', rates=RATES)
    assert found(warehouse) == [
        ("c-1;tag=a;tag=b", "outbound", "2026-03-05T10:00:00", 61, 66, None, "0.011000"),
        ("c-1;tag=b;tag=z", "outbound", "2026-03-05T10:00:00", 10, 12, None, "0.002000"),
        ("c-2;tag=;tag=b", "outbound", "2026-03-05T10:00:06", 0, 0, None, "0.000000"),
        ("c-4;tag=b;tag=q", "inbound", "2026-03-05T10:00:06", 7, 7, "+12015550124", "0.000583"),
    ]
    assert (reasons(warehouse), receipt.ignored) == ({"c-3;tag=b;tag=q": "transaction_and_no_cdr"}, {"challenge": 1})


def test_kamailio_dialogs_that_ended(land, warehouse):
    content = """id,start_time,end_time,duration,callid,from_tag,to_tag,src_ip,x_tenant,src_user,dst_user,x_direction
1,2026-03-05 10:00:00,2026-03-05 10:01:01,60.001,c-1,b,a,203.0.113.7,alpha,15035550100,12015550123,
2,2026-03-05 10:00:00,2026-03-05 10:01:00,60.000,c-1,b,z,203.0.113.7,alpha,15035550100,12015550123,
3,2026-03-05 10:00:00,2026-03-05 10:01:00,-1,c-2,b,z,203.0.113.7,alpha,15035550100,12015550123,
"""
    land("kamailio-cdrs", "acc_cdrs.csv", content, '[rates]\nfile = "rates.csv"\n', rates=RATES)
    assert found(warehouse) == [
        ("c-1;tag=a;tag=b", "outbound", "2026-03-05T10:00:00", 61, 66, None, "0.011000"),
        ("c-1;tag=b;tag=z", "outbound", "2026-03-05T10:00:00", 60, 60, None, "0.010000"),
    ]
    assert reasons(warehouse) == {"c-2;tag=b;tag=z": "duration_unusable"}


def test_didww_exports_in_both_directions(land, warehouse):
    inbound = """Date/Time Start (UTC),Date/Time Connect (UTC),Date/Time End (UTC),Status,Source,Source Name,Destination DID,Duration (sec),Attempt,Disconnect Code,Response,Disconnect Initiator,Voice IN Trunk,Destination,Trunk Group,Capacity Group,Toll-free (USD),PSTN (USD),Metered (USD),CNAM IN (USD),Total (USD),Call ID
2026-03-05 10:00:00,,2026-03-05 10:00:05,failed,15035550100,,12015550124,0,1,503,Unavailable,Destination,t,sip:a@example.com,,,0.0,0.0,0.0,0.004,0.004,abc
2026-03-05 10:00:05,2026-03-05 10:00:06,2026-03-05 10:01:07,answered,15035550100,,12015550124,61,2,200,Bye,Origination,u,sip:b@example.com,,,0.0,0.0,0.01,0.0,0.01,abc
2026-03-05 11:00:00,2026-03-05 11:00:06,2026-03-05 11:01:07,answered,15035550100,,18005550124,61,1,200,Bye,Origination,u,sip:b@example.com,,,0.02,0.0,0.0,0.0,0.02,def
"""
    outbound = """Date/Time Start (UTC),Date/Time Connect (UTC),Date/Time End (UTC),Status,Source,CLI,Destination Number,Call Duration (sec),Billing Duration (sec),Disconnect Code,Disconnect Reason,Voice OUT Trunk,Destination Country,Network,Call Type,Rate (USD),Charged (USD)
2026-03-05 10:00:00,2026-03-05 10:00:05,2026-03-05 10:01:06,answered,12015550101,12015550101,442071234567,61,90,200,Bye,east,United Kingdom,BT,Local,0.012,0.018
"""
    land("didww", "in.csv.gz", gzip.compress(inbound.encode()))
    land(
        "didww",
        "out.csv",
        outbound,
        '[record]\nx_tenant = "trunks.account_id"\n[lookups.trunks]\nfile = "trunks.csv"\nkey = "\\"Voice OUT Trunk\\""\n',
        trunks="trunk,account_id\neast,alpha\n",
    )
    assert warehouse.usable(
        columns=f"{FACTS.partition('), ')[2]}, service, x_tenant", order="batch_id, source_row"
    ) == [
        ("inbound", "2026-03-05T10:00:00", 0, 0, "+12015550124", "0.004000", "inbound_conversational", None),
        ("inbound", "2026-03-05T10:00:05", 61, 61, "+12015550124", "0.010000", "inbound_conversational", None),
        ("inbound", "2026-03-05T11:00:00", 61, 61, "+18005550124", "0.020000", "inbound_toll_free", None),
        ("outbound", "2026-03-05T10:00:00", 61, 90, None, "0.018000", "outbound_conversational", "alpha"),
    ]
    assert [name for name, *_ in found(warehouse)][:3] == ["abc/1", "abc/2", "def/1"]


VOIPMS = {
    "date": "2026-03-05 11:43:12", "callerid": "5035550100", "destination": "2015550124", "description": "Inbound DID",
    "account": "100000", "disposition": "ANSWERED", "duration": "00:01:01", "seconds": "61", "rate": "0.00900000",
    "total": "0.00915000", "uniqueid": "2125241911", "useragent": "", "ip": "",
}  # fmt: skip


def test_voipms_calls(land, warehouse):
    rows = [
        VOIPMS,
        VOIPMS | {"uniqueid": "2", "description": "Inbound Toll Free", "destination": "8005550124"},
        VOIPMS | {"uniqueid": "3", "description": "USA - Oregon", "destination": "15035550100", "callerid": "2015550124",
                  "total": "0.01", "ip": "203.0.113.7"},
        VOIPMS | {"uniqueid": "4", "description": "USA - Oregon", "disposition": "BUSY", "seconds": "0", "total": "0"},
        VOIPMS | {"uniqueid": "0"},
    ]  # fmt: skip
    land("voipms", "cdrs.jsonl", lines(*rows))
    at = "2026-03-05T11:43:12"
    assert warehouse.usable(columns=f"{FACTS}, service, source_ip", order="source_row") == [
        ("2125241911", "inbound", at, 61, 61, "+12015550124", "0.009150", "inbound_conversational", None),
        ("2", "inbound", at, 61, 61, "+18005550124", "0.009150", "inbound_toll_free", None),
        ("3", "outbound", at, 61, 61, None, "0.010000", "outbound_conversational", "203.0.113.7"),
        ("4", "outbound", at, 0, 0, None, "0.000000", "outbound_conversational", None),
    ]
    assert warehouse.rejected("reason") == [("record_id_missing",)]


TELNYX = {
    "id": "t-1", "record_type": "sip-trunking", "direction": "outbound", "started_at": "2026-03-05T10:00:00Z",
    "finished_at": "2026-03-05T10:00:50Z", "call_sec": 50, "billed_sec": 60, "cli": "+12015550101",
    "cld": "+15035550100", "cost": "0.002", "currency": "USD", "rate": "0.002", "telnyx_session_id": "s-1",
}  # fmt: skip


def test_telnyx_records_are_rounded_already(land, warehouse):
    rows = [TELNYX, TELNYX | {"id": "t-2", "direction": "inbound", "cli": "+15035550100", "cld": "+12015550101"}]
    rows.append(TELNYX | {"id": "t-3", "direction": ""})
    land("telnyx", "calls.jsonl", lines(*rows), '[rates]\nfile = "rates.csv"\n', rates=RATES)
    assert found(warehouse) == [
        ("t-1", "outbound", "2026-03-05T10:00:00", 50, 60, None, "0.002000"),
        ("t-2", "inbound", "2026-03-05T10:00:00", 50, 60, "+12015550101", "0.002000"),
    ]
    assert reasons(warehouse) == {"t-3": "service_missing"}


def leg(_id: str, resource: str | None, **values) -> dict:
    """A leg of Kazoo's that ended at 2026-03-05T10:01:00Z, after 50 s of which 42 were answered."""
    seconds_since_the_year_0 = 62_167_219_200 + int(datetime(2026, 3, 5, 10, 1, tzinfo=UTC).timestamp())
    ours = {"account_id": "acme"} | ({"resource_type": resource} if resource else {})
    return {
        "_id": _id, "call_id": f"{_id}@sip", "interaction_id": "63939-1", "timestamp": seconds_since_the_year_0,
        "duration_seconds": 50, "billing_seconds": 42, "caller_id_number": "+15035550100",
        "request": "+12015550101@carrier", "to": "+15035550199@carrier", "custom_channel_vars": ours,
    } | values  # fmt: skip


def test_kazoos_legs_to_and_from_a_carrier_are_the_charges(land, warehouse):
    rows = [
        leg("202603-a", "offnet-origination", call_direction="inbound"),
        leg("202603-b", None, call_direction="outbound"),
        leg("202603-c", "offnet-termination", call_direction="outbound"),
        leg("202603-d", "onnet-termination"),
        leg("202603-e", "onnet-origination"),
        leg("202603-f", "offnet-somewhere"),
        leg("202603-g", "offnet-termination", timestamp="soon"),
    ]
    receipt = land("kazoo", "cdrs.jsonl", lines(*rows), '[rates]\nfile = "rates.csv"\n', rates=RATES)
    at = "2026-03-05T10:00:10"
    assert warehouse.usable(columns=f"{FACTS}, x_tenant, to_number", order="source_row") == [
        ("202603-a", "inbound", at, 50, 42, "+12015550101", "0.003500", None, "+12015550101"),
        ("202603-c", "outbound", at, 50, 42, None, "0.007000", "acme", "+15035550199"),
    ]
    assert receipt.ignored == {"leg_within_the_switch": 1, "between_accounts": 2}
    assert reasons(warehouse) == {"202603-f": "service_missing", "202603-g": "record.started_at.epoch_s_failed"}


@pytest.mark.parametrize(
    ("source", "header", "row"),
    [
        ("kamailio-cdrs", "start_time,end_time,duration,callid,from_tag,to_tag,dst_user",
         "{at},{at},60.000,c,f,{tag},12015550123"),
        ("opensips-acc", "method,from_tag,to_tag,callid,sip_code,time,duration,created,dst_user",
         "INVITE,f,{tag},c,200,{at},60,{at},12015550123"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("tag", ["", pytest.param("NULL", marks=pytest.mark.long)])
def test_dialogs_without_a_tag_are_told_by_their_start(land, warehouse, source, header, row, tag):
    rows = [row.format(at=at, tag=tag) for at in ("2026-03-05 10:00:00", "2026-03-06 10:00:00")]
    rates = {"declared": '[rates]\nfile = "rates.csv"\n', "rates": RATES}
    first = land(source, "one.csv", "\n".join([header, *rows]) + "\n", **rates)
    assert (first.superseded, first.duplicates, len(found(warehouse))) == (0, 0, 2)
    # The same instants with a fraction, as another database client writes them.
    again = land(source, "two.csv", "\n".join([header, *rows]).replace(":00:00,", ":00:00.000,") + "\n", **rates)
    assert again.duplicates == 2


def test_a_didww_call_keeps_its_id_when_a_later_export_has_a_call_id(land, warehouse):
    header = "Date/Time Start (UTC),Date/Time End (UTC),{source},CLI,Destination Number,Billing Duration (sec),Voice OUT Trunk,Charged (USD){more}"
    row = "2026-03-05 10:00:00,2026-03-05 10:01:06,12015550101,12015550101,442071234567,90,east,{cost}{more}"
    land(
        "didww",
        "v1.csv",
        header.format(source="Source Number", more="") + "\n" + row.format(cost="0.018", more="") + "\n",
    )
    later = header.format(source="Source", more=",Call ID") + "\n" + row.format(cost="0.020", more=",abc") + "\n"
    receipt = land("didww", "v2.csv", later)
    assert (receipt.superseded, len({name for name, *_ in found(warehouse)})) == (1, 1)


def test_a_rate_of_0_that_3cx_had_no_name_for_is_none(land, warehouse):
    row = CX.splitlines()[1]
    rows = [row.replace(",,,,,,,,Chain", f",,,,,{bill},Chain").replace("00A_2", name)
            for name, bill in (("a", "0.00,0.0000,"), ("b", "0.00,0.0000,Free"), ("c", "0.02,0.0200,"))]  # fmt: skip
    land(
        "3cx",
        "cdr.log",
        "\n".join(rows) + "\n",
        CX_DECLARED,
        rates=RATES,
        trunks="from_dn,number\n10021,+12015550150\n",
    )
    assert warehouse.usable(columns="left(split_part(record_id, ':', 3), 1), cost::decimal(12, 4)::varchar") == [
        ("a", "0.0110"), ("b", "0.0000"), ("c", "0.0200"),
    ]  # fmt: skip

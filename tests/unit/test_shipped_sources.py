"""Each shipped source, on rows of the shape its switch writes: what they become, and the traps that each switch sets.

What belongs here: a file as it comes, and what was worked out by hand from it. What does not: declarations and rating as
such (`test_sources`).
"""

import csv
import json
from pathlib import Path

import pytest

from orchestration.errors import Refused
from orchestration.settings import PROJECT_ROOT
from tests.unit.conftest import Warehouse
from tests.unit.deliveries import tenant

# Each lands a whole export, some of them several.
pytestmark = pytest.mark.slow

COLUMNS = (
    "record_id, direction, strftime(started_at, '%Y-%m-%dT%H:%M:%S.%g'), billed_seconds, number, source_ip, x_tenant"
)
RATES = """service,prefix,price,increment,fee
outbound_conversational,,0.02,60/60,
outbound_conversational,+1,0.01,6/6,
inbound_conversational,,0.005,1/1,
"""


@pytest.fixture
def land(warehouse: Warehouse, tmp_path: Path):
    """A function that lands a text as a file of a source, declared with rates and, if need be, a zone."""
    warehouse.at("2026-12-20T12:00:00+00:00")

    def run(source: str, name: str, content: str, zone: str | None = None, rates: str | None = RATES):
        folder = warehouse.settings.sources
        folder.mkdir(parents=True, exist_ok=True)
        declared = f'extends = "{source}"\n' + (f'zone = "{zone}"\n' if zone else "")
        if rates:
            (folder / "rates.csv").write_text(rates, encoding="utf-8")
            declared += '[rates]\nfile = "rates.csv"\n'
        (folder / f"{source}.toml").write_text(declared, encoding="utf-8")
        path = tmp_path / name
        path.write_text(content, encoding="utf-8")
        (landing,) = warehouse.land("cdrs", path, source=f"{source}@pbx1")
        return landing.receipt

    return run


def reasons(warehouse: Warehouse) -> dict[str, str]:
    return dict(warehouse.rejected("record_id, reason"))


# FreeSWITCH -----------------------------------------------------------------------------------------------------------

EXAMPLE = (
    '"Big ""Bob"" Customer","15035550100","12015550123","default","2026-03-05 10:00:00","2026-03-05 10:00:05",'
    '"2026-03-05 10:01:05","65","61","NORMAL_CLEARING","u-1","u-2","acct","PCMU","PCMU"\n'
    '"","2015550199","2015550124","public","2026-07-05 10:00:00","","2026-07-05 10:00:09","9","0","NO_ANSWER","u-3","",""'
    ',"",""\n'
    '"Ext","1001","1002","default","2026-03-05 10:00:00","","","5","0","NO_ANSWER","u-4","","","",""\n'
)


def test_freeswitch_example_lines_have_no_header_doubled_quotes_and_local_times(land, warehouse):
    receipt = land("freeswitch-csv", "Master.csv", EXAMPLE, zone="America/New_York")
    assert warehouse.usable(columns=COLUMNS) == [
        ("freeswitch-csv:pbx1:u-1", "outbound", "2026-03-05T15:00:00.000", 66, None, None, None),
        ("freeswitch-csv:pbx1:u-3", "inbound", "2026-07-05T14:00:00.000", 0, "+12015550124", None, None),
    ]
    assert (receipt.source, receipt.rows, receipt.ignored) == ("freeswitch-csv@pbx1", 3, {})
    # Nothing in the template tells a call to an extension from one to a short number over a trunk.
    assert reasons(warehouse) == {"freeswitch-csv:pbx1:u-4": "unrated"}


def test_freeswitch_lines_with_the_sender_and_an_epoch_need_no_zone_and_skip_the_leg_the_switch_placed(land, warehouse):
    line = EXAMPLE.splitlines()[0]
    content = f'{line},"1772701200123456","203.0.113.7","bigcustomer.mypbx.com","inbound",""\n'
    content += f'{line.replace("u-1", "u-2")},"1772701200123456","","","outbound","carrier"\n'
    receipt = land("freeswitch-csv", "Master.csv", content)
    assert warehouse.usable(columns=COLUMNS) == [
        (
            "freeswitch-csv:pbx1:u-1",
            "outbound",
            "2026-03-05T09:00:00.123",
            66,
            None,
            "203.0.113.7",
            "bigcustomer.mypbx.com",
        )
    ]
    assert receipt.ignored == {"leg_placed_by_the_switch": 1}


@pytest.mark.parametrize("zone", [None, "UTC"])
def test_a_file_without_a_header_that_has_no_dates_is_none_of_a_switch(land, warehouse, zone):
    """A tenants file without its header has as many columns as some switch; its details would become ids of records."""
    row = ",".join(str(value) for value in tenant("alpha").values())
    with pytest.raises(Refused, match="no row has a date where the time of a call is") as refused:
        land("freeswitch-csv", "tenants.csv", f"{row},\n{row},\n", zone=zone)
    assert "Springfield" not in str(refused.value)
    assert warehouse.receipts == []


def test_freeswitch_sql_lines_lose_what_stands_around_their_values(land, warehouse):
    rows = EXAMPLE.replace(',"PCMU","PCMU"', "").replace(',"",""\n', "\n").splitlines()
    content = "".join(f"INSERT INTO cdr VALUES ({row});\n" for row in rows)
    land("freeswitch-csv", "Master.csv", content, zone="America/New_York")
    assert warehouse.usable(columns="record_id, from_number") == [
        ("freeswitch-csv:pbx1:u-1", "15035550100"),
        ("freeswitch-csv:pbx1:u-3", "2015550199"),
    ]
    with pytest.raises(Refused, match="1 line is not INSERT INTO cdr VALUES"):
        land("freeswitch-csv", "other.csv", content + "DROP TABLE cdr;\n", zone="America/New_York")


def test_freeswitch_times_that_a_clock_skips_or_shows_twice_are_rejected(land, warehouse):
    row = EXAMPLE.splitlines()[0]
    lines = [
        row.replace("2026-03-05 10:00:00", time).replace("u-1", name)
        for name, time in (
            ("skipped", "2026-03-08 02:30:00"),
            ("twice", "2026-11-01 01:30:00"),
            ("after", "2026-11-01 02:00:00"),
        )
    ]
    land("freeswitch-csv", "Master.csv", "\n".join(lines) + "\n", zone="America/New_York")
    assert reasons(warehouse) == {
        "freeswitch-csv:pbx1:skipped": "time_does_not_exist",
        "freeswitch-csv:pbx1:twice": "time_ambiguous",
    }
    assert warehouse.usable(columns="record_id, started_at::varchar") == [
        ("freeswitch-csv:pbx1:after", "2026-11-01 07:00:00+00")
    ]


def json_cdr(uuid: str, context: str, **variables: str) -> str:
    return json.dumps(
        {
            "core-uuid": "c",
            "switchname": "pbx",
            "channel_data": {"direction": "inbound", "state_number": "11"},
            "variables": {"uuid": uuid, "direction": "inbound", "start_uepoch": "1772701200123456", "duration": "65",
                          "billsec": "61", "sip_network_ip": "203.0.113.7", "rtp_audio_in_mos": "4.49"} | variables,
            "callflow": [
                {"caller_profile": {"context": context, "caller_id_number": "15035550100", "destination_number": "%2B12015550123"}}
            ],
        }
    )  # fmt: skip


def test_freeswitch_json_reads_variables_encoded_or_not_and_skips_b_legs(land, warehouse):
    lines = [
        json_cdr("j-1", "default", **{"sip_h_X-Tenant": "bigcustomer.mypbx.com", "sip_call_id": "a%40b"}),
        json_cdr("j-2", "public", direction="inbound", billsec="0"),
        json_cdr("j-3", "default", originating_leg_uuid="j-1"),
        json_cdr("j-4", "default", direction="outbound"),
    ]
    receipt = land("freeswitch-json", "cdrs.jsonl", "\n".join(lines) + "\n")
    assert warehouse.usable(columns=f"{COLUMNS}, call_id") == [
        (
            "freeswitch-json:pbx1:j-1",
            "outbound",
            "2026-03-05T09:00:00.123",
            66,
            None,
            "203.0.113.7",
            "bigcustomer.mypbx.com",
            "a@b",
        ),
        ("freeswitch-json:pbx1:j-2", "inbound", "2026-03-05T09:00:00.123", 0, "+12015550123", None, None, None),
    ]
    assert receipt.ignored == {"leg_placed_by_the_switch": 2}


def test_fusionpbx_takes_seconds_and_not_milliseconds_and_its_domain_for_the_header(land, warehouse):
    content = """xml_cdr_uuid,domain_name,leg,direction,start_epoch,start_stamp,duration,billsec,billmsec,caller_id_name,caller_id_number,caller_destination,destination_number,network_addr,json
f-1,bigcustomer.mypbx.com,a,outbound,1772701200,2026-03-05 10:00:00+01,65,61,60999,"O""Neil, Al",15035550100,,12015550123,203.0.113.7,"{""a"": 1}"
f-2,bigcustomer.mypbx.com,a,inbound,1772701200,,9,0,0,,15035550100,(201) 555-0124,1001,198.51.100.1,
f-3,bigcustomer.mypbx.com,b,outbound,1772701200,,65,61,60999,,15035550100,,12015550123,,
f-4,bigcustomer.mypbx.com,a,local,1772701200,,65,61,60999,,1001,,1002,,
f-5,bigcustomer.mypbx.com,a,,1772701200,,65,61,60999,,15035550100,,12015550123,,
f-6,bigcustomer.mypbx.com,a,outbound,1772701200000,,65,61,60999,,15035550100,,12015550123,,
"""
    receipt = land("fusionpbx", "v_xml_cdr.csv", content)
    assert warehouse.usable(columns=COLUMNS) == [
        ("fusionpbx:pbx1:f-1", "outbound", "2026-03-05T09:00:00.000", 66, None, "203.0.113.7", "bigcustomer.mypbx.com"),
        ("fusionpbx:pbx1:f-2", "inbound", "2026-03-05T09:00:00.000", 0, "+12015550124", None, None),
    ]
    assert receipt.ignored == {"leg_b": 1, "local_call": 1}
    # Milliseconds where seconds belong are no time of this age, and never read as one.
    assert reasons(warehouse) == {"fusionpbx:pbx1:f-5": "service_missing", "fusionpbx:pbx1:f-6": "time_unreadable"}


def test_fusionpbx_as_its_button_exports_it_is_refused_when_a_name_holds_a_quote(land):
    content = '"xml_cdr_uuid","direction","start_epoch","destination_number","caller_id_name"\n'
    content += '"f-1","outbound","1772701200","12015550123","Al "Big" Smith"\n'
    with pytest.raises(Refused, match="cannot be read to its end"):
        land("fusionpbx", "export.csv", content)


# Asterisk -------------------------------------------------------------------------------------------------------------

MASTER = (
    '"","15035550100","12015550123","from-internal","""Al"" <1001>","PJSIP/1001-00000001","PJSIP/trunk-00000002","Dial",'
    '"PJSIP/trunk/12015550123,30","2026-03-05 10:00:00","2026-03-05 10:00:05","2026-03-05 10:01:06",66,61,"ANSWERED","DOCUMENTATION"'
)


@pytest.mark.parametrize(
    ("more", "record_id", "tenant"),
    [
        ("", "/", None),
        (',"1772701200.1"', "1772701200.1/", None),
        (',"1772701200.1","X-Tenant=big.example;source_ip=203.0.113.7"', "1772701200.1/", "big.example"),
        (
            ',"1772701200.1","X-Tenant=big.example;source_ip=203.0.113.7","","1772701200.1","42"',
            "1772701200.1/42",
            "big.example",
        ),
    ],
    ids=["16 columns", "17 columns", "18 columns", "21 columns"],
)
def test_asterisk_master_csv_of_every_width(land, warehouse, more, record_id, tenant):
    land("asterisk-csv", "Master.csv", f"{MASTER}{more}\n", zone="Europe/Berlin")
    ((found, *rest),) = warehouse.usable(columns=COLUMNS)
    assert found.startswith(f"asterisk-csv:pbx1:{record_id}")
    ip = "203.0.113.7" if tenant else None
    assert rest == ["outbound", "2026-03-05T09:00:00.000", 66, None, ip, tenant]


def test_asterisk_rows_of_one_call_are_told_apart_and_an_unanswered_one_has_no_answer_time(land, warehouse):
    queue = MASTER.replace("from-internal", "from-trunk").replace("12015550123", "2015550123")
    rows = [
        queue.replace("PJSIP/trunk-00000002", f"PJSIP/100{agent}-0000000{agent}") + ',"1772701200.9"'
        for agent in (3, 4)
    ]
    rows.append(
        MASTER.replace('"2026-03-05 10:00:05"', "").replace("66,61", "9,0").replace("ANSWERED", "NO ANSWER")
        + ',"1772701200.10"'
    )
    land("asterisk-csv", "Master.csv", "\n".join(rows) + "\n", zone="Europe/Berlin")
    found = warehouse.usable(columns="record_id, call_id, direction, number, billed_seconds", order="source_row")
    assert [row[1:] for row in found] == [
        ("1772701200.9", "inbound", "+12015550123", 61),
        ("1772701200.9", "inbound", "+12015550123", 61),
        ("1772701200.10", "outbound", None, 0),
    ]
    assert len({row[0] for row in found}) == 3


def test_asterisk_lines_of_another_width_are_refused(land):
    with pytest.raises(Refused, match=r"its first line has 15 columns, and without a header there must be 16 to 21"):
        land("asterisk-csv", "Master.csv", MASTER.rsplit(",", 1)[0] + "\n", zone="UTC")


def test_asterisk_local_times_without_a_zone_refuse_the_file(land):
    with pytest.raises(Refused, match=r"asterisk-csv has local times \(row 1\), and nothing says of which zone"):
        land("asterisk-csv", "Master.csv", MASTER + "\n")


def test_asterisk_table_with_freepbx_names_null_spellings_zero_dates_and_minutes(land, warehouse):
    content = r"""calldate,clid,src,dst,dcontext,channel,dstchannel,lastapp,lastdata,duration,billsec,disposition,amaflags,accountcode,uniqueid,userfield,did,recordingfile,answer,sequence
2026-03-05 10:00,"""  # Minutes are all that some exports hold.
    content += r"""Al,15035550100,12015550123,from-internal,PJSIP/1001-1,PJSIP/t-2,Dial,x,66,61,ANSWERED,3,,u.1,\N,\N,,2026-03-05 10:00:05,7
2026-03-05 10:00:00,Al,15035550100,s,from-trunk,PJSIP/t-3,PJSIP/1001-4,Dial,x,9,0,NO ANSWER,3,,u.2,,12015550124,,0000-00-00 00:00:00,8
0000-00-00 00:00:00,Al,15035550100,12015550123,from-internal,PJSIP/1001-5,PJSIP/t-6,Dial,x,9,0,FAILED,3,,u.3,,,,,9
2026-02-30 10:00:00,Al,15035550100,12015550123,from-internal,PJSIP/1001-7,PJSIP/t-8,Dial,x,9,0,FAILED,3,,u.4,,,,,10
"""
    land("asterisk-db", "cdr.csv", content, zone="Europe/Berlin")
    assert warehouse.usable(columns=COLUMNS) == [
        ("asterisk-db:pbx1:u.1/7", "outbound", "2026-03-05T09:00:00.000", 66, None, None, None),
        ("asterisk-db:pbx1:u.2/8", "inbound", "2026-03-05T09:00:00.000", 0, "+12015550124", None, None),
    ]
    assert reasons(warehouse) == {
        "asterisk-db:pbx1:u.3/9": "time_missing",
        "asterisk-db:pbx1:u.4/10": "time_unreadable",
    }


# Kamailio -------------------------------------------------------------------------------------------------------------

ACC = """id,method,from_tag,to_tag,callid,sip_code,sip_reason,time,time_attr,time_exten,src_ip,x_tenant,src_user,dst_user
1,INVITE,a,,k-1,407,Proxy Authentication Required,2026-03-05 10:00:00,1772704800,1,203.0.113.7,big.example,15035550100,12015550123
2,INVITE,a,b,k-1,200,OK,2026-03-05 10:00:01,1772704801,250000,203.0.113.7,big.example,15035550100,12015550123
3,INVITE,a,b,k-1,200,OK,2026-03-05 10:00:20,1772704820,0,203.0.113.7,big.example,15035550100,12015550123
4,BYE,b,a,k-1,200,OK,2026-03-05 10:01:02,1772704862,250001,198.51.100.1,,,
5,INVITE,c,,k-2,486,Busy here,2026-03-05 10:02:00,1772704920,0,203.0.113.8,,15035550100,2015550123
6,INVITE,d,e,k-3,200,OK,2026-03-05 23:59:00,1772755140,0,203.0.113.8,,15035550100,2015550123
7,BYE,f,g,k-4,200,OK,2026-03-05 00:00:05,1772668805,0,203.0.113.8,,,
"""


def test_kamailio_transactions_become_calls(land, warehouse):
    receipt = land("kamailio-acc", "acc.csv", ACC)
    assert warehouse.usable(columns=f"{COLUMNS}, duration_seconds") == [
        # 61.000001 seconds are 62 begun, billed by six.
        (
            "kamailio-acc:pbx1:k-1;tag=a;tag=b",
            "outbound",
            "2026-03-05T10:00:01.250",
            66,
            None,
            "203.0.113.7",
            "big.example",
            62,
        ),
        ("kamailio-acc:pbx1:k-2;tag=c", "outbound", "2026-03-05T10:02:00.000", 0, None, "203.0.113.8", None, 0),
    ]
    assert reasons(warehouse) == {
        "kamailio-acc:pbx1:k-3;tag=d;tag=e": "call_without_end",
        "kamailio-acc:pbx1:k-4;tag=f;tag=g": "call_without_start",
    }
    assert (receipt.rows, receipt.ignored) == (4, {"part_of_another": 3})


@pytest.mark.long
def test_kamailio_table_without_the_finer_times_and_in_another_zone(land, warehouse):
    rows = [",".join(cell for at, cell in enumerate(line.split(",")) if at not in (8, 9)) for line in ACC.splitlines()]
    land("kamailio-acc", "acc.csv", "\n".join(rows[:6]) + "\n", zone="America/New_York")
    assert warehouse.usable(columns=f"{COLUMNS}, duration_seconds") == [
        (
            "kamailio-acc:pbx1:k-1;tag=a;tag=b",
            "outbound",
            "2026-03-05T15:00:01.000",
            66,
            None,
            "203.0.113.7",
            "big.example",
            61,
        ),
        ("kamailio-acc:pbx1:k-2;tag=c", "outbound", "2026-03-05T15:02:00.000", 0, None, "203.0.113.8", None, 0),
    ]


@pytest.mark.parametrize(
    ("first", "last"), [(1772704801, 1772704862), (1772704801.25, 1772704862.5)], ids=["seconds", "milliseconds"]
)
def test_kamailio_acc_json_has_epochs_and_names_the_call_id_otherwise(land, warehouse, first, last):
    shared = {"from_tag": "a", "to_tag": "b", "call_id": "k-1", "sip_code": "200", "sip_reason": "OK"}
    lines = [
        {
            "method": "INVITE",
            "time": first,
            **shared,
            "src_ip": "203.0.113.7",
            "x_tenant": "big.example",
            "dst_user": "2015550123",
        },
        {"method": "BYE", "time": last, **shared},
    ]
    land("kamailio-acc", "acc.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    ((record_id, _, _, billed, _, ip, tenant, duration),) = warehouse.usable(columns=f"{COLUMNS}, duration_seconds")
    assert (record_id, ip, tenant) == ("kamailio-acc:pbx1:k-1;tag=a;tag=b", "203.0.113.7", "big.example")
    assert (duration, billed) == ((61, 66) if isinstance(first, int) else (62, 66))


def test_a_call_over_the_end_of_a_file_is_whole_in_the_next_that_holds_both_ends(land, warehouse):
    land("kamailio-acc", "first.csv", ACC)
    land("kamailio-acc", "second.csv", ACC + "8,BYE,d,e,k-3,200,OK,2026-03-06 00:01:00,1772755260,0,203.0.113.8,,,\n")
    assert ("kamailio-acc:pbx1:k-3;tag=d;tag=e", 120) in warehouse.usable(columns="record_id, duration_seconds")


# dSIPRouter and the carrier -------------------------------------------------------------------------------------------


def test_dsiprouter_costs_count_only_where_they_were_rated(land, warehouse):
    content = """cdr_id,src_username,dst_username,call_start_time,duration,sip_call_id,src_ip,cost,rated,calltype
1,15035550100,12015550123,2026-03-05 10:00:00,61,c,203.0.113.7,0,0,outbound
2,15035550100,12015550123,2026-03-05 10:00:00,61,c,203.0.113.7,0.033,1,outbound
3,2000,2001,2026-03-05 10:00:00,61,c,203.0.113.7,0,0,
"""
    land("dsiprouter", "cdrs.csv", content)
    assert warehouse.usable(columns="record_id, cost::varchar, billed_seconds") == [
        ("dsiprouter:pbx1:1", "0.011000000", 66),
        ("dsiprouter:pbx1:2", "0.033000000", 61),
    ]
    assert reasons(warehouse) == {"dsiprouter:pbx1:3": "service_missing"}


def test_dsiprouter_without_rates_leaves_unrated_calls_rejected(land, warehouse):
    land(
        "dsiprouter",
        "cdrs.csv",
        "cdr_id,src_username,dst_username,call_start_time,duration,src_ip,calltype\n"
        "1,15035550100,12015550123,2026-03-05 10:00:00,61,203.0.113.7,outbound\n",
        rates=None,
    )
    assert reasons(warehouse) == {"dsiprouter:pbx1:1": "cost_missing"}


def test_skyetel_style_has_a_record_for_each_charge_of_one_call_and_numbers_in_five_spellings(land, warehouse):
    content = """id,callid,charge,direction,start_time,duration,phone_number,src_number,src_ip,x_tenant,cost
s-1,c-1,conversational,inbound,2026-03-05T10:00:00-05:00,61,+12015550123,15035550100,,,0.004
s-2,c-1,cnam,inbound,2026-03-05 15:00:00,,12015550123,,,,0.0045
s-3,c-1,audio_recording,inbound,2026-03-05 15:00:00,61,(201) 555-0123,,,,0.002
s-4,,number_local,,2026-03-01 00:00:00,,2015550123,,,,1.000000001
s-5,c-2,conversational,outbound,2026-03-05 15:00:00,30,,2015550123,203.0.113.7,big.example,0.0000005
s-6,,sms,outbound,2026-03-05 15:00:00,,sip:12015550123@example.com,,,,0.01
s-7,,fax_page,outbound,2026-03-05 15:00:00,,12015550123,,,,0.01
s-8,c-3,conversational,outbound,2026-03-05 15:00:00,30,,,203.0.113.7,,
"""
    land("skyetel-style", "charges.csv", content, rates=None)
    found = warehouse.usable(columns="record_id[20:], service, direction, number, cost::varchar", order="source_row")
    assert found == [
        ("s-1", "inbound_conversational", "inbound", "+12015550123", "0.004000000"),
        ("s-2", "cnam_lookup", "inbound", "+12015550123", "0.004500000"),
        ("s-3", "call_recording", "inbound", "+12015550123", "0.002000000"),
        ("s-4", "number_local", "inbound", "+12015550123", "1.000000001"),
        ("s-5", "outbound_conversational", "outbound", None, "0.000000500"),
        ("s-6", "sms_sent", "outbound", "+12015550123", "0.010000000"),
    ]
    assert reasons(warehouse) == {"skyetel-style:pbx1:s-7": "service_missing", "skyetel-style:pbx1:s-8": "cost_missing"}
    assert warehouse.usable(columns="started_at::varchar", order="source_row")[0] == ("2026-03-05 15:00:00+00",)


@pytest.mark.long
def test_the_table_of_a_real_dsiprouter_becomes_what_was_mapped_by_hand(land, warehouse):
    content = (PROJECT_ROOT / "tests" / "dsiprouter" / "data" / "cdrs.csv").read_text(encoding="utf-8")
    receipt = land("dsiprouter", "cdrs.csv", content, rates=RATES + "outbound_conversational,+52,0.01,60/60,\n")
    by_hand = {
        (
            f"dsiprouter:pbx1:{row['cdr_id']}",
            row["calltype"],
            row["call_start_time"],
            int(row["duration"]),
            row["src_ip"],
        )
        for row in csv.DictReader(content.splitlines())
        if row["calltype"]
    }
    columns = "record_id, direction, strftime(started_at, '%Y-%m-%d %H:%M:%S'), duration_seconds, source_ip"
    # Its inbound calls went to project ids, which are no numbers: no rate covers them but one without a prefix.
    unrated = {record_id for record_id, reason in warehouse.rejected("record_id, reason") if reason == "unrated"}
    assert {row for row in by_hand if row[0] not in unrated} == set(warehouse.usable(columns=columns))
    assert (receipt.rows, len(by_hand)) == (225, 187)
    assert sorted(warehouse.rejected("reason")) == [("service_missing",)] * 38 + [("unrated",)] * len(unrated)


@pytest.mark.long
def test_kamailio_days_of_sqlite_are_no_times(land, warehouse):
    content = "method,from_tag,to_tag,callid,sip_code,time\nINVITE,a,b,k-1,486,2461369.672517361\n"
    land("kamailio-acc", "acc.csv", content)
    assert reasons(warehouse) == {"kamailio-acc:pbx1:k-1;tag=a": "time_unreadable"}


# Feeds from the field -------------------------------------------------------------------------------------------------

FIELD = Path(__file__).with_name("field")
FIELD_RATES = """service,prefix,price,increment,fee
outbound_conversational,,0.012,1/1,
outbound_conversational,=411,0.012,1/1,
inbound_conversational,,0.006,1/1,
"""
NEW_YORK = "America/New_York"
FACTS = "direction, strftime(started_at, '%Y-%m-%dT%H:%M:%S'), duration_seconds, billed_seconds, cost::varchar, number"


def field(name: str) -> str:
    return (FIELD / name).read_text(encoding="utf-8")


def test_both_branches_of_a_forked_invite_are_calls(land, warehouse):
    """RFC 3261, 12 and 13.2.2.4: each 2xx with a To tag of its own makes a dialog."""
    receipt = land("kamailio-acc", "acc.csv", field("kamailio-fork.csv"), rates=FIELD_RATES)
    assert warehouse.usable(columns=f"record_id, {FACTS}", order="started_at") == [
        ("kamailio-acc:pbx1:fork-1@pbx;tag=f1;tag=tA", "outbound", "2026-10-05T10:00:00", 1, 1, "0.000200000", None),
        (
            "kamailio-acc:pbx1:fork-1@pbx;tag=f1;tag=tB",
            "outbound",
            "2026-10-05T10:00:01",
            300,
            300,
            "0.060000000",
            None,
        ),
    ]
    assert receipt.ignored == {"part_of_another": 2}


def test_a_call_id_that_is_used_again_is_another_call_in_the_same_file_and_in_the_next_month(land, warehouse):
    land("kamailio-acc", "october.csv", field("kamailio-reuse.csv"), rates=FIELD_RATES)
    november = land("kamailio-acc", "november.csv", field("kamailio-reuse-next-month.csv"), rates=FIELD_RATES)
    assert warehouse.usable(columns="strftime(started_at, '%m-%d'), duration_seconds", order="started_at") == [
        ("10-06", 60), ("10-07", 600), ("11-07", 600),
    ]  # fmt: skip
    assert (november.superseded, november.duplicates) == (0, 0)


def kamailio(*rows: str) -> str:
    """Transactions of one caller, who hears from t1: method, From tag, To tag, code, time of 5 October."""
    lines = [f"{method},{one},{other},{call},{code},2026-10-05 {time},192.0.2.17,15555550199"
             for method, one, other, call, code, time in (row.split() for row in rows)]  # fmt: skip
    return "\n".join(["method,from_tag,to_tag,callid,sip_code,time,src_ip,dst_user", *lines]) + "\n"


@pytest.mark.parametrize(
    ("rows", "calls", "rejected"),
    [
        # The callee hangs up, and either side invites again meanwhile.
        (["INVITE f t c 200 10:00:00", "INVITE t f c 200 10:00:30", "INVITE f t c 488 10:00:40", "BYE t f c 200 10:01:00"],
         {"c;tag=f;tag=t": 60}, {}),
        # Challenged, then answered; the BYE is challenged too, and a forged one does not end the call.
        (["INVITE f x c 407 09:59:59", "INVITE f t c 200 10:00:00", "BYE f t c 407 10:00:10", "BYE f t c 200 10:01:00"],
         {"c;tag=f;tag=t": 60}, {}),
        # Both hang up at once; the first counts.
        (["INVITE f t c 200 10:00:00", "BYE f t c 200 10:01:00", "BYE t f c 481 10:01:05"], {"c;tag=f;tag=t": 60}, {}),
        # A branch fails, another answers, and so does a third.
        (["INVITE f a c 486 10:00:00", "INVITE f b c 200 10:00:01", "INVITE f c c 200 10:00:02", "BYE f b c 200 10:00:03",
          "BYE c f c 200 10:01:02"], {"c;tag=b;tag=f": 2, "c;tag=c;tag=f": 60}, {}),
        # A failover: the last attempt of one caller is the call of no seconds, and another caller's its own.
        (["INVITE f a c 503 10:00:00", "INVITE f b c 486 10:00:01", "INVITE g a c 486 10:00:02"],
         {"c;tag=f": 0, "c;tag=g": 0}, {}),
        # One branch is never heard of again; the BYE of a call that began before the file has no start.
        (["INVITE f a c 200 10:00:00", "INVITE f b c 200 10:00:00", "BYE f b c 200 10:01:00", "BYE p q d 200 10:00:00"],
         {"c;tag=b;tag=f": 60}, {"c;tag=a;tag=f": "call_without_end", "d;tag=p;tag=q": "call_without_start"}),
        # A device that gives every call the same name.
        (["INVITE f t c 200 10:00:00", "BYE f t c 200 10:01:00", "INVITE f t c 200 11:00:00", "BYE f t c 200 11:05:00"],
         {"c;tag=f;tag=t": 60, "c;tag=f;tag=t;at=1791198000000000": 300}, {}),
    ],
    ids=["re-invite", "challenges", "two byes", "forks", "failures", "halves", "one name"],
)  # fmt: skip
def test_kamailio_dialogs_are_those_of_rfc_3261(land, warehouse, rows, calls, rejected):
    content = kamailio(*rows)
    receipt = land("kamailio-acc", "acc.csv", content, rates=FIELD_RATES)
    prefix = "kamailio-acc:pbx1:"
    assert dict(warehouse.usable(columns="record_id, duration_seconds")) == {
        prefix + name: length for name, length in calls.items()
    }
    assert reasons(warehouse) == {prefix + name: reason for name, reason in rejected.items()}
    # Every transaction is a record or a part of one.
    assert receipt.rows + sum(receipt.ignored.values()) == len(rows)


@pytest.mark.long
def test_a_kamailio_call_over_a_change_of_clocks_lasts_as_long_as_it_did(land, warehouse):
    content = kamailio("INVITE f t c 200 10:00:00", "BYE f t c 200 10:00:00").replace(
        "2026-10-05 10:00:00", "2026-03-08 01:59:00", 1
    )
    land("kamailio-acc", "acc.csv", content.replace("2026-10-05 10:00:00", "2026-03-08 03:01:00"), zone=NEW_YORK)
    assert warehouse.usable(columns="duration_seconds") == [(120,)]


OLD_IDS = """
[record]
record_id = "callid"
"""


@pytest.mark.parametrize("name", ["kamailio-fork.csv", pytest.param("kamailio-reuse.csv", marks=pytest.mark.long)])
def test_a_call_that_landed_under_its_call_id_keeps_that_id_and_only_what_was_lost_is_new(land, warehouse, name):
    """Rule 18: what version 0.2.0 landed is not charged a second time under another name."""
    first, lost = field(name).splitlines()[0:2], field(name)
    # All that version 0.2.0 made of the file: the first dialog, under the Call-ID.
    bye = next(
        line for line in lost.splitlines() if line.startswith("BYE") and line.split(",")[2] == first[1].split(",")[2]
    )
    land_old(land, warehouse, "\n".join([*first, bye]) + "\n")
    receipt = land("kamailio-acc", "acc.csv", lost, rates=FIELD_RATES)
    call_id = first[1].split(",")[3]
    assert (receipt.rows, receipt.duplicates, receipt.superseded) == (2, 1, 0)
    latest = dict(warehouse.usable(columns="record_id, duration_seconds"))
    assert len(latest) == 2
    assert f"kamailio-acc:pbx1:{call_id}" in latest
    again = land("kamailio-acc", "again.csv", lost + "\n", rates=FIELD_RATES)
    assert (again.rows, again.duplicates) == (2, 2)


def land_old(land, warehouse, content: str) -> None:
    """Land transactions as version 0.2.0 did: a call's id is its Call-ID."""
    folder = warehouse.settings.sources
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rates.csv").write_text(FIELD_RATES, encoding="utf-8")
    shipped = PROJECT_ROOT / "orchestration" / "sources" / "shipped" / "kamailio-acc.toml"
    text = shipped.read_text(encoding="utf-8")
    start = text.index('record_id = """callid'), text.index("call_id = ")
    text = text[: start[0]] + 'record_id = "callid"\n' + text[start[1] :]
    (folder / "kamailio-acc.toml").write_text(text + '[rates]\nfile = "rates.csv"\n', encoding="utf-8")
    path = warehouse.folder / "old.csv"
    path.write_text(content, encoding="utf-8")
    warehouse.land("cdrs", path, source="kamailio-acc@pbx1")


@pytest.mark.long
def test_a_later_call_under_a_call_id_of_old_gets_an_id_of_its_own(land, warehouse):
    land_old(land, warehouse, kamailio("INVITE f t c 200 10:00:00", "BYE f t c 200 10:01:00"))
    receipt = land("kamailio-acc", "acc.csv", kamailio("INVITE g u c 200 11:00:00", "BYE g u c 200 11:05:00"))
    assert (receipt.duplicates, receipt.superseded) == (0, 0)
    assert dict(warehouse.usable(columns="record_id, duration_seconds")) == {
        "kamailio-acc:pbx1:c": 60, "kamailio-acc:pbx1:c;tag=g;tag=u": 300,
    }  # fmt: skip


@pytest.mark.long
def test_what_was_rejected_under_a_call_id_clears_when_the_whole_call_lands(land, warehouse):
    """Also a file that begins within a call: its BYE tells that it is the same one."""
    land_old(land, warehouse, kamailio("INVITE f t c 200 10:00:00", "BYE p q d 200 10:00:05"))
    assert reasons(warehouse) == {
        "kamailio-acc:pbx1:c": "call_without_end", "kamailio-acc:pbx1:d": "call_without_start",
    }  # fmt: skip
    land("kamailio-acc", "acc.csv", kamailio(
        "INVITE f t c 200 10:00:00", "BYE f t c 200 10:01:00", "INVITE p q d 200 09:59:00", "BYE p q d 200 10:00:05",
    ))  # fmt: skip
    assert dict(warehouse.usable(columns="record_id, duration_seconds")) == {
        "kamailio-acc:pbx1:c": 60, "kamailio-acc:pbx1:d": 65,
    }  # fmt: skip


@pytest.mark.long
def test_a_call_that_landed_from_its_middle_on_is_the_same_when_it_lands_whole(land, warehouse):
    land_old(land, warehouse, kamailio("INVITE f t c 200 10:30:00", "BYE f t c 200 11:00:00"))
    receipt = land("kamailio-acc", "acc.csv", kamailio(
        "INVITE f t c 200 10:00:00", "INVITE f t c 200 10:30:00", "BYE f t c 200 11:00:00",
    ))  # fmt: skip
    assert (receipt.superseded, warehouse.usable(columns="record_id, duration_seconds", order="batch_id")[-1]) == (
        1, ("kamailio-acc:pbx1:c", 3600),
    )  # fmt: skip


def test_freepbx_inbound_calls_are_told_by_did_and_by_the_trunks_channel(land, warehouse):
    content = field("freepbx-inbound.csv")
    row = content.splitlines()[1]
    # A second row without did, of a ring group; the leg that FreePBX placed itself; an extension in the same queue.
    content += row.replace("12015550101", "").replace("ext-queues", "ext-group").replace(",100", ",101") + "\n"
    content += (
        row.replace("PJSIP/trunk-0007", "Local/102@from-queue-000a;2")
        .replace("12015550101", "")
        .replace("Local/102@from-queue-000a;1", "PJSIP/102-000b")
        .replace(",100", ",102")
        + "\n"
    )
    content += (
        row.replace("PJSIP/trunk-0007", "PJSIP/103-000c").replace("12015550101", "").replace(",100", ",103") + "\n"
    )
    receipt = land("asterisk-db", "cdr.csv", content, zone=NEW_YORK, rates=FIELD_RATES)
    assert warehouse.usable(columns=FACTS) == [
        ("inbound", "2026-09-22T16:00:00", 70, 60, "0.006000000", "+12015550101")
    ]
    # Without a number that was called, nobody can be charged; the row is not lost.
    assert reasons(warehouse) == {"asterisk-db:pbx1:1727000700.1/101": "unrated"}
    assert receipt.ignored == {"call_between_extensions": 2}


@pytest.mark.parametrize("number", ["411", "911", pytest.param("118118", marks=pytest.mark.long)])
@pytest.mark.parametrize("is_rated", [True, False])
def test_a_short_number_over_a_trunk_is_a_charge_rated_or_rejected(land, warehouse, number, is_rated):
    rates = FIELD_RATES.replace("=411", f"={number}" if is_rated else "=311")
    receipt = land(
        "asterisk-db",
        "cdr.csv",
        field("short-number-over-trunk.csv").replace(",411,", f",{number},"),
        zone=NEW_YORK,
        rates=rates,
    )
    assert receipt.ignored == {}
    if is_rated:
        assert warehouse.usable(columns=FACTS) == [("outbound", "2026-09-22T16:00:00", 70, 60, "0.012000000", None)]
    else:
        assert list(reasons(warehouse).values()) == ["unrated"]


@pytest.mark.long
def test_a_short_number_is_a_charge_in_master_csv_and_freeswitch_too(land, warehouse):
    master = MASTER.replace("12015550123", "411") + ',"1772701200.1","","","","42"\n'
    receipts = [
        land("asterisk-csv", "Master.csv", master, zone=NEW_YORK, rates=FIELD_RATES),
        land("freeswitch-csv", "Master.csv", field("short-number-freeswitch.csv"), zone=NEW_YORK, rates=FIELD_RATES),
        land(
            "freeswitch-json",
            "cdrs.jsonl",
            json_cdr("j-1", "default").replace("%2B12015550123", "411") + "\n",
            rates=FIELD_RATES,
        ),
    ]
    assert [receipt.ignored for receipt in receipts] == [{}, {}, {}]
    assert warehouse.usable(columns="direction, billed_seconds, cost::varchar") == [
        ("outbound", 61, "0.012200000"), ("outbound", 59, "0.011800000"), ("outbound", 61, "0.012200000"),
    ]  # fmt: skip


@pytest.mark.long
def test_calls_between_extensions_are_told_by_their_channels(land, warehouse):
    internal = MASTER.replace("PJSIP/trunk-00000002", "PJSIP/1002-00000002").replace("12015550123", "1002")
    application = MASTER.replace('"PJSIP/trunk-00000002","Dial"', '"","VoiceMailMain"').replace("12015550123", "*97")
    unreachable = MASTER.replace('"PJSIP/trunk-00000002"', '""').replace("66,61", "6,0")
    receipt = land(
        "asterisk-csv", "Master.csv", "".join(f"{row}\n" for row in (internal, application, unreachable)), zone=NEW_YORK
    )
    assert receipt.ignored == {"call_between_extensions": 2}
    assert warehouse.usable(columns="to_number, billed_seconds") == [("12015550123", 0)]
    json_calls = (
        json_cdr("j-1", "default", bridge_channel="sofia/internal/1002%40192.0.2.5%3A5060")
        + "\n"
        + json_cdr("j-2", "default", bridge_channel="sofia/external/12015550123")
        + "\n"
    )
    assert land("freeswitch-json", "cdrs.jsonl", json_calls).ignored == {"call_between_extensions": 1}
    line = EXAMPLE.splitlines()[0]
    both = f'{line},"","","","inbound","","sofia/internal/1002@192.0.2.5","internal","1002"\n'
    assert land("freeswitch-csv", "Master.csv", both, zone=NEW_YORK).ignored == {"call_between_extensions": 1}


@pytest.mark.long
def test_an_inbound_call_of_freeswitch_that_was_transferred_is_still_inbound(land, warehouse):
    transferred = json.loads(json_cdr("j-1", "default"))
    transferred["callflow"].append({"caller_profile": {"context": "public", "destination_number": "12015550124"}})
    land("freeswitch-json", "cdrs.jsonl", json.dumps(transferred) + "\n")
    line = EXAMPLE.splitlines()[0].replace('"12015550123"', '"1000"')
    land(
        "freeswitch-csv",
        "Master.csv",
        f'{line},"","","","inbound","","sofia/internal/1000@192.0.2.5","external","12015550124"\n',
        zone=NEW_YORK,
    )
    assert warehouse.usable(columns="direction, number") == [("inbound", "+12015550124"), ("inbound", "+12015550124")]


def test_a_sequence_that_is_always_zero_tells_no_calls_apart(land, warehouse):
    receipt = land("asterisk-db", "cdr.csv", field("sequence-zero.csv"), zone=NEW_YORK, rates=FIELD_RATES)
    assert warehouse.usable(columns="billed_seconds", order="started_at") == [(2,), (45,)]
    assert (receipt.superseded, receipt.duplicates) == (0, 0)


@pytest.mark.long
def test_what_landed_as_sequence_zero_keeps_its_id(land, warehouse):
    content = field("sequence-zero.csv")
    folder = warehouse.settings.sources
    folder.mkdir(parents=True, exist_ok=True)
    old = f'extends = "asterisk-db"\nzone = "{NEW_YORK}"\n[rates]\nfile = "rates.csv"\n'
    old += "[record]\nrecord_id = \"uniqueid || '/' || sequence\"\n"
    (folder / "old.toml").write_text(old, encoding="utf-8")
    (folder / "rates.csv").write_text(FIELD_RATES, encoding="utf-8")
    path = warehouse.folder / "old.csv"
    path.write_text(content, encoding="utf-8")
    (folder / "asterisk-db.toml").write_text(
        old.replace('extends = "asterisk-db"', 'extends = "asterisk-db"'), encoding="utf-8"
    )
    (first,) = warehouse.land("cdrs", path, source="asterisk-db@pbx1")
    # Version 0.2.0 kept the later one of the two.
    assert first.receipt.superseded_in_file == 1
    receipt = land("asterisk-db", "cdr.csv", content, zone=NEW_YORK, rates=FIELD_RATES)
    assert (receipt.duplicates, receipt.superseded) == (1, 0)
    assert len({record_id for (record_id,) in warehouse.usable(columns="record_id")}) == 2


def test_legs_of_ring_groups_and_agents_are_no_charges_of_their_own(land, warehouse):
    receipt = land("fusionpbx", "v_xml_cdr.csv", field("fusionpbx-legs.csv"), rates=FIELD_RATES)
    assert warehouse.usable(columns="record_id, billed_seconds") == [("fusionpbx:pbx1:u-1", 60)]
    assert receipt.ignored == {"agent_leg": 1, "leg_placed_by_the_switch": 1}


@pytest.mark.long
def test_the_transactions_of_a_real_switch_become_the_calls_that_its_own_procedure_made(land, warehouse):
    """dSIPRouter joins its table acc to cdrs by Call-ID and tags; the two tables are of one switch."""
    folder = PROJECT_ROOT / "tests" / "dsiprouter" / "data"
    transactions = list(csv.DictReader((folder / "acc.csv").read_text(encoding="utf-8").splitlines()))
    receipt = land("kamailio-acc", "acc.csv", (folder / "acc.csv").read_text(encoding="utf-8"), rates=FIELD_RATES)
    theirs = {
        (row["sip_call_id"], *sorted((row["sip_from_tag"], row["sip_to_tag"]))): int(row["duration"])
        for row in csv.DictReader((folder / "cdrs.csv").read_text(encoding="utf-8").splitlines())
    }
    found = [
        (record_id.removeprefix("kamailio-acc:pbx1:").split(";tag="), seconds)
        for record_id, seconds in [
            *warehouse.usable(columns="record_id, duration_seconds"),
            *warehouse.rejected("record_id, null"),
        ]
    ]
    ours = {tuple(name): seconds for name, seconds in found if len(name) == 3}
    assert receipt.rows + sum(receipt.ignored.values()) == len(transactions) == 553
    assert set(theirs) <= set(ours)
    # The others went to extensions, which no line of the rate table is for.
    lengths = {name: ours[name] for name in theirs if ours[name] is not None}
    assert lengths == {name: theirs[name] for name in lengths}
    assert (len(theirs), len(lengths)) == (225, 193)


# A row of FreePBX's table with what was dialled; `{…}` are what a case is about.
DIALLED = (
    "calldate,src,dst,dcontext,channel,dstchannel,lastapp,lastdata,duration,billsec,disposition,uniqueid,did,sequence\n"
)


def dialled(sequence: int, **changes: str) -> str:
    """A call from a carrier's trunk to extension 102, in a context that the operator named."""
    row = {
        "src": "15035550100", "dst": "12015550101", "context": "incoming", "channel": "PJSIP/carrier-0001",
        "called": "PJSIP/102-0002", "app": "Dial", "data": "PJSIP/102/sip:102@192.0.2.5:5060,20",
    } | changes  # fmt: skip
    return (
        f"2026-09-22 12:00:00,{row['src']},{row['dst']},{row['context']},{row['channel']},{row['called']},{row['app']},"
        f'"{row["data"]}",70,60,ANSWERED,u.{sequence},,{sequence}\n'
    )


INTERNAL = {"src": "101", "context": "from-internal", "channel": "PJSIP/101-0001"}
DIALLED_ROWS = {
    "own context, whole number": ({}, "inbound"),
    "own context, queue": ({"called": "", "app": "Queue", "data": "sales"}, "inbound"),
    "own context, no number": ({"dst": "s"}, "trunk_or_extension"),
    "from one trunk to another": ({"called": "PJSIP/other-1", "data": "PJSIP/12015550101@other"}, "outbound"),
    "between telephones": (INTERNAL | {"dst": "102"}, "ignored"),
    "between telephones, one with a name": (INTERNAL | {"dst": "102", "channel": "PJSIP/alice-1"}, "ignored"),
    "a number's own extension": (INTERNAL, "ignored"),
    "numbered trunk, SIP": (INTERNAL | {"called": "SIP/77123-1", "data": "SIP/77123/12015550101,300,T"}, "outbound"),
    "numbered trunk, PJSIP": (INTERNAL | {"called": "PJSIP/3000-1", "data": "PJSIP/12015550101@3000,300,T"}, "outbound"),
    "numbered trunk, short number": (INTERNAL | {"dst": "411", "called": "PJSIP/3000-1", "data": "PJSIP/411@3000"}, "outbound"),
    "numbered trunk or telephone": (INTERNAL | {"called": "SIP/77123-1", "app": "", "data": ""}, "trunk_or_extension"),
}  # fmt: skip


def test_asterisk_trunks_are_told_by_channels_and_by_what_was_dialled_and_never_guessed(land, warehouse):
    # A sequence of 0 would tell nothing.
    rows = [dialled(at, **changes) for at, (changes, _) in enumerate(DIALLED_ROWS.values(), start=1)]
    receipt = land("asterisk-db", "cdr.csv", DIALLED + "".join(rows), zone=NEW_YORK, rates=FIELD_RATES)
    became = dict(warehouse.usable(columns="split_part(record_id, '/', 2)::integer, direction"))
    became |= dict(warehouse.rejected("split_part(record_id, '/', 2)::integer, reason"))
    assert {name: became.get(at, "ignored") for at, name in enumerate(DIALLED_ROWS, start=1)} == {
        name: outcome for name, (_, outcome) in DIALLED_ROWS.items()
    }
    assert receipt.ignored == {"call_between_extensions": 3}


SEQUENCED = field("short-number-over-trunk.csv").replace(",411,", ",15035550100,")


@pytest.mark.parametrize("absent", ["", "NULL", "\\N"])
def test_asterisk_rows_without_uniqueid_or_sequence_are_told_by_channel_and_time(land, warehouse, absent):
    """A sequence begins anew with each start of Asterisk, and phpMyAdmin writes NULL for an absent value."""
    header, row = SEQUENCED.splitlines()
    one = row.replace("1727000800.1,,1727000800.1,101", f"{absent},{absent},{absent},5")
    other = row.replace("1727000800.1,,1727000800.1,101", f"u.1,{absent},{absent},{absent}")
    rows = [one, one.replace("12:00:00", "13:00:00"), other, other.replace("12:00:00", "13:00:00")]
    receipt = land("asterisk-db", "cdr.csv", "\n".join([header, *rows]) + "\n", zone=NEW_YORK, rates=FIELD_RATES)
    assert (receipt.superseded, receipt.duplicates) == (0, 0)
    assert warehouse.usable(columns="direction, billed_seconds") == [("outbound", 60)] * 4


@pytest.mark.long
def test_an_asterisk_row_is_the_same_call_in_an_export_of_fewer_columns(land, warehouse):
    content = DIALLED + dialled(0)
    land("asterisk-db", "cdr.csv", content, zone=NEW_YORK, rates=FIELD_RATES)
    bare = content.replace(",lastapp,lastdata", "").replace(',Dial,"PJSIP/102/sip:102@192.0.2.5:5060,20"', "")
    again = land("asterisk-db", "bare.csv", bare, zone=NEW_YORK, rates=FIELD_RATES)
    assert (again.rows, again.duplicates) == (1, 1)


@pytest.mark.parametrize("absent", ["NULL", "\\N"])
def test_a_null_of_another_database_is_no_originating_leg(land, warehouse, absent):
    content = field("fusionpbx-legs.csv").replace(
        ",a,,NORMAL_CLEARING,\n", f",a,{absent},NORMAL_CLEARING,{absent}\n", 1
    )
    assert absent in content
    receipt = land("fusionpbx", "cdr.csv", content, rates=FIELD_RATES)
    assert warehouse.usable(columns="record_id") == [("fusionpbx:pbx1:u-1",)]
    assert receipt.ignored == {"agent_leg": 1, "leg_placed_by_the_switch": 1}


@pytest.mark.long
def test_kamailio_calls_without_tags_are_told_by_their_start_in_every_file(land, warehouse):
    """The default of a tag's column is no identity: two months' calls of one Call-ID stay two."""
    content = kamailio("INVITE f - c 200 10:00:00", "BYE f - c 200 10:01:00").replace(",-,", ",,")
    land("kamailio-acc", "october.csv", content, rates=FIELD_RATES)
    receipt = land("kamailio-acc", "november.csv", content.replace("2026-10-05", "2026-11-05"), rates=FIELD_RATES)
    assert (receipt.superseded, receipt.duplicates) == (0, 0)
    again = land("kamailio-acc", "again.csv", content + "\n", rates=FIELD_RATES)
    assert again.duplicates == 1
    assert warehouse.usable(columns="distinct strftime(started_at, '%m-%d')", order="1") == [("10-05",), ("11-05",)]


@pytest.mark.parametrize(
    "end",
    ["2026-11-01 01:30:00,", "0000-00-00 00:00:00,", "2026-10-05 10:01:00,99999999999999999", "2026-10-05 10:01:00,soon"],
    ids=["shown twice", "zero", "beyond", "word"],
)  # fmt: skip
def test_a_kamailio_call_whose_end_cannot_be_read_is_rejected_and_not_one_of_no_seconds(land, warehouse, end):
    start = "2026-11-01 00:30:00," if end.startswith("2026-11") else "2026-10-05 10:00:00,"
    content = (
        "method,from_tag,to_tag,callid,sip_code,time,time_attr,dst_user\n"
        f"INVITE,f,t,c,200,{start},15555550199\nBYE,f,t,c,200,{end},\n"
        "INVITE,f,t,d,200,2026-10-05 10:00:00,,15555550199\nBYE,f,t,d,200,2026-10-05 10:01:00,,\n"
    )
    land("kamailio-acc", "acc.csv", content, zone=NEW_YORK, rates=FIELD_RATES)
    assert reasons(warehouse) == {"kamailio-acc:pbx1:c;tag=f;tag=t": "end_unreadable"}
    assert warehouse.usable(columns="duration_seconds") == [(60,)]


@pytest.mark.long
def test_a_re_invite_begins_no_call_where_its_tag_tells_it(land, warehouse):
    """Session timers (RFC 4028) re-INVITE in every long call, so also in the file after the one where it began."""
    header = "method,from_tag,to_tag,callid,sip_code,time,req_to_tag,dst_user\n"
    invite = "INVITE,f,t,c,200,2026-10-05 10:00:00,,15555550199\n"
    rest = (
        "INVITE,t,f,c,200,2026-10-05 10:30:00,f,15555550199\nINVITE,f,t,c,488,2026-10-05 10:40:00,t,15555550199\n"
        "BYE,f,t,c,200,2026-10-05 11:00:00,t,15555550199\n"
    )
    land("kamailio-acc", "first.csv", header + invite, rates=FIELD_RATES)
    land("kamailio-acc", "second.csv", header + rest, rates=FIELD_RATES)
    assert warehouse.usable(columns="record_id") == []
    assert warehouse.rejected("reason") == [("call_without_end",), ("call_without_start",)]
    land("kamailio-acc", "both.csv", header + invite + rest, rates=FIELD_RATES)
    assert warehouse.usable(columns="record_id, duration_seconds") == [("kamailio-acc:pbx1:c;tag=f;tag=t", 3600)]


def test_an_asterisk_row_without_a_sequence_keeps_the_id_that_it_landed_under(land, warehouse):
    """Version 0.2.0 took lastapp and lastdata into such an id; landed again, the call is no second charge."""
    content = DIALLED + dialled(0)
    folder = warehouse.settings.sources
    folder.mkdir(parents=True)
    (folder / "rates.csv").write_text(FIELD_RATES, encoding="utf-8")
    old = """coalesce(uniqueid, '') || '/' || md5(row(null, calldate, channel, dstchannel, dst, lastapp, lastdata)::varchar)"""
    (folder / "asterisk-db.toml").write_text(
        f'extends = "asterisk-db"\nzone = "{NEW_YORK}"\n[record]\nrecord_id = """{old}"""\n[rates]\nfile = "rates.csv"\n',
        encoding="utf-8",
    )
    path = warehouse.folder / "old.csv"
    content = content.replace(",0\n", ",\n")
    path.write_text(content, encoding="utf-8")
    warehouse.land("cdrs", path, source="asterisk-db@pbx1")
    again = land("asterisk-db", "again.csv", content, zone=NEW_YORK, rates=FIELD_RATES)
    assert (again.rows, again.duplicates) == (1, 1)

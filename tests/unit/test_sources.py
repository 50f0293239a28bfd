"""Declarations, local times and rating: what a source may say, judged apart from any switch.

Judges: `zoneinfo` for local times, `Decimal` and the longest prefix found by hand for rates; neither is used by the code.
"""

import json
import random
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest

from orchestration.errors import Refused
from orchestration.landing import normalization
from orchestration.sources import declaration, mapping
from tests.conftest import CommandLine
from tests.unit.deliveries import write_csv

SIMPLE = """
title = "A switch"
columns = ["id", "began", "seconds", "to"]

[record]
record_id = "id"
service = "'outbound_conversational'"
direction = "'outbound'"
started_at = { instant = "began" }
duration_seconds = "seconds"
to_number = "\\"to\\""
"""


@pytest.fixture
def declare(warehouse):
    """A function that writes a declaration, and a rate table, into the data folder."""

    def write(content: str, name: str = "mine", rates: str | None = None) -> Path:
        folder = warehouse.settings.sources
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.toml"
        path.write_text(content, encoding="utf-8")
        if rates is not None:
            (folder / "rates.csv").write_text(rates, encoding="utf-8")
        return path

    return write


def call(name: str, **changes: str) -> dict[str, str]:
    return {"id": name, "began": "2026-03-05T10:00:00Z", "seconds": "61", "to": "12015550123"} | changes


# Declarations ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("title = ", "is not TOML"),
        ("titel = 'x'", "titel is unknown. Known are title"),
        ("title = 'x'", "columns is missing; record is missing"),
        (SIMPLE.replace("record_id = ", "recordid = "), "record.record_id is missing; record.recordid is no column"),
        (
            SIMPLE.replace('{ instant = "began" }', '"at"'),
            "record.started_at must be a table of one or more of instant",
        ),
        (SIMPLE.replace('"seconds"\n', "7\n"), "record.duration_seconds must be a text, an SQL expression"),
        (SIMPLE.replace('["id", ', '["id", "id", '), "a column cannot be called id, or is named twice"),
        (SIMPLE + "[rates]\nfile = 'none.csv'\n", "none.csv does not exist"),
        (SIMPLE + "[rates]\nplaces = true\n", "rates.places is of the wrong kind"),
        (SIMPLE + "[ignore]\n'B leg' = 'true'\n", "ignore.B leg: a reason is small letters"),
        ('extends = "nothing"', "extends 'nothing', and there is no such source"),
        ("joined = ['ended']\n" + SIMPLE, "joined names what rows takes from other rows, and there is no rows"),
        ("header = 'maybe'\n" + SIMPLE, 'header is true, false or "either"'),
        ("formats = ['xls']\n" + SIMPLE, "formats may name csv, jsonl and xlsx"),
    ],
)
def test_a_declaration_that_will_not_do_says_where_and_why(warehouse, declare, content, sentence):
    path = declare(content)
    with pytest.raises(Refused) as refused:
        declaration.load(warehouse.settings, "mine")
    assert sentence in str(refused.value)
    assert str(path.parent) in str(refused.value)


@pytest.mark.parametrize("name", ["nothing", "../mine", "", "Mine", "mine@", "mine@a/b"])
def test_a_name_that_is_no_source_is_refused(warehouse, declare, name):
    declare(SIMPLE)
    with pytest.raises(Refused, match=r"is no source|an instance is letters"):
        declaration.load(warehouse.settings, name)


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (SIMPLE.replace('"seconds"\n', '"secnods"\n'), "record.duration_seconds"),
        (SIMPLE.replace('{ instant = "began" }', '{ epoch_s = "began +" }'), "record.started_at.epoch_s"),
        (SIMPLE + "[ignore]\nb_leg = 'leg = 1'\n", "ignore.b_leg"),
        ("rows = 'select id from file'\n" + SIMPLE, "rows must give"),
        ("joined = ['ended']\nrows = 'select * exclude (ended) from file'\n" + SIMPLE, "rows must give ended too"),
        ("rows = 'select * from file cross join range(2)'\n" + SIMPLE, "rows makes 2 records of 1 rows"),
        ("rows = 'select'\n" + SIMPLE, "rows cannot be evaluated"),
        (SIMPLE + "cost = 'seconds::double * 0.01'\n", "record.cost is DOUBLE, and money would be inexact"),
        ("zone = 'Mars/Base'\n" + SIMPLE, "zone 'Mars/Base' is none of the IANA time zones"),
    ],
)
def test_an_expression_that_cannot_be_evaluated_is_named(warehouse, declare, tmp_path, content, place):
    declare(content)
    with pytest.raises(Refused, match=place):
        warehouse.land("cdrs", write_csv(tmp_path / "a.csv", call("a")), source="mine")


def test_every_shipped_source_is_whole_and_says_how_its_files_are_made(warehouse):
    found = declaration.available(warehouse.settings)
    assert [source.name for source in found] == [
        "3cx", "asterisk-csv", "asterisk-db", "didww", "dsiprouter", "freeswitch-csv", "freeswitch-json", "fusionpbx",
        "kamailio-acc", "kamailio-cdrs", "kazoo", "opensips-acc", "skyetel-style", "telnyx", "twilio", "voipms",
    ]  # fmt: skip
    assert all(len(source.about) > 200 and source.is_shipped for source in found)


def test_a_declaration_takes_over_what_it_extends_and_may_take_parts_away(warehouse, declare):
    declare(
        'extends = "asterisk-csv"\nzone = "UTC"\n[ignore]\ncall_between_extensions = ""\n[record]\nnumber = "dst"\n'
    )
    mine = declaration.load(warehouse.settings, "mine@pbx-2")
    assert (mine.zone, mine.ignore, mine.record["number"], mine.record["from_number"]) == ("UTC", {}, "dst", "src")
    assert mine.label == "mine@pbx-2"


@pytest.mark.slow
def test_the_same_file_is_another_delivery_under_other_rules_and_another_record_from_another_switch(
    warehouse, declare, tmp_path
):
    table = "service,prefix,price,increment,fee\noutbound_conversational,,0.60,60/60,\n"
    declared = SIMPLE + "[rates]\nfile = 'rates.csv'\n"
    declare(declared, rates=table)
    path = write_csv(tmp_path / "a.csv", call("a"))
    (first,) = warehouse.land("cdrs", path, source="mine")
    (again,) = warehouse.land("cdrs", path, source="mine")
    declare(declared.replace("A switch", "Our switch"), rates=table)
    (reworded,) = warehouse.land("cdrs", path, source="mine")
    assert (first.is_new, again.is_new, reworded.is_new) == (True, False, False)
    declare(declared, rates=table.replace("0.60", "0.90"))
    (rerated,) = warehouse.land("cdrs", path, source="mine")
    assert (rerated.is_new, rerated.receipt.superseded, rerated.receipt.cost_difference) == (True, 1, "0.600000000")
    (elsewhere,) = warehouse.land("cdrs", path, source="mine@second")
    assert (elsewhere.is_new, elsewhere.receipt.superseded) == (True, 0)
    assert {record_id for (record_id,) in warehouse.usable(columns="record_id")} == {"mine:main:a", "mine:second:a"}


def test_an_expression_that_fails_for_a_row_rejects_that_row_with_its_name(warehouse, declare, tmp_path):
    """Rule 19."""
    declare(
        SIMPLE.replace('"seconds"\n', '"seconds::integer"\n')
        + "cost = \"'0.01'\"\n[ignore]\nlong = 'seconds::integer > 900'\n[derived]\nshort = 'right(began, 6)::date'\n"
    )
    file = write_csv(
        tmp_path / "a.csv", call("a"), call("b", seconds="a secret"), call("c", seconds="901"), call("d", seconds="")
    )
    (landing,) = warehouse.land("cdrs", file, source="mine")
    assert landing.receipt.ignored == {"long": 1}
    # A derived column comes before what is made of it.
    assert set(warehouse.rejected("record_id, reason")) == {
        ("mine:main:a", "derived.short_failed"),
        ("mine:main:b", "derived.short_failed"),
        ("mine:main:d", "derived.short_failed"),
    }
    declare(SIMPLE.replace('"seconds"\n', '"seconds::integer"\n') + "cost = \"'0.01'\"\n")
    warehouse.land("cdrs", file, source="mine@again")
    assert {row for row in warehouse.rejected("record_id, reason") if ":again:" in row[0]} == {
        ("mine:again:b", "record.duration_seconds_failed")
    }
    assert len([row for row in warehouse.usable(columns="record_id") if ":again:" in row[0]]) == 3


def test_an_id_a_time_and_a_rule_that_fail_are_named_too(warehouse, declare, tmp_path):
    declare(SIMPLE.replace('"id"\n\n', "").replace('record_id = "id"', 'record_id = "id::integer"'))
    file = write_csv(tmp_path / "a.csv", call("1"), call("x"))
    warehouse.land("cdrs", file, source="mine")
    assert warehouse.rejected("record_id, reason") == [
        ("mine:main:1", "cost_missing"), (None, "record.record_id_failed"),
    ]  # fmt: skip
    declare(
        SIMPLE.replace('{ instant = "began" }', '{ epoch_s = "began::integer" }')
        + "[reject]\nodd = 'id::integer > 5'\n"
    )
    warehouse.land("cdrs", file, source="mine@b")
    assert [reason for record_id, reason in warehouse.rejected("record_id, reason") if "b:" in str(record_id)] == [
        "record.started_at.epoch_s_failed", "record.started_at.epoch_s_failed",
    ]  # fmt: skip


def test_a_mistake_in_a_declaration_is_told_with_its_line_also_where_it_is_inherited(warehouse, declare, tmp_path):
    file = write_csv(tmp_path / "a.csv", call("a"))
    path = declare(SIMPLE.replace('"seconds"\n', '"secnods"\n'))
    with pytest.raises(Refused, match=rf"{path}, line 10: record.duration_seconds cannot be evaluated"):
        warehouse.land("cdrs", file, source="mine")
    declare('extends = "mine"\n[ignore]\nall = "id = 1 +"\n', name="heir")
    with pytest.raises(Refused, match=rf"{path}, line 10: record.duration_seconds"):
        warehouse.land("cdrs", file, source="heir")
    path = declare(SIMPLE + "\n[ignore]\n# A comment.\nb_leg = 'leg = 1'\n")
    with pytest.raises(Refused, match=rf"{path}, line 15: ignore.b_leg"):
        warehouse.land("cdrs", file, source="mine")
    path = declare("titel = 'x'\n" + SIMPLE)
    with pytest.raises(Refused, match=rf"{path}, line 1: titel is unknown"):
        warehouse.land("cdrs", file, source="mine")


def test_an_expression_with_a_query_fails_for_the_file(warehouse, declare, tmp_path):
    """DuckDB cannot try such an expression row by row."""
    path = declare(SIMPLE.replace('"seconds"\n', '"(select max(x::integer) from (select seconds as x))"\n'))
    with pytest.raises(Refused) as refused:
        warehouse.land("cdrs", write_csv(tmp_path / "a.csv", call("a", seconds="a secret")), source="mine")
    assert str(refused.value).startswith(f"{path}: rows, or an expression with a query in it, fails for a row of")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(("name", "limit"), [("mine.toml", "1,000,000"), ("rates.csv", "16,000,000")])
def test_a_declaration_or_a_rate_table_without_end_is_refused(warehouse, declare, name, limit):
    path = declare(SIMPLE + "[rates]\nfile = 'rates.csv'\n", rates="service,prefix,price,increment,fee\n")
    with (path.parent / name).open("r+b") as handle:
        handle.truncate(10**12)
    with pytest.raises(Refused, match=f"{name} has more than {limit} bytes"):
        declaration.load(warehouse.settings, "mine")


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ("", "has a column without a name"),
        ("BEGAN", "repeats began"),
        ("source_row", "has a column that is called source_row or file_row_number"),
        ("file_row_number", "has a column that is called source_row or file_row_number"),
        ("made.up", "or that begins with record. or made."),
        ("Jo Miller,jo miller", "repeats 1 columns"),
    ],
)
def test_a_header_with_a_name_that_no_column_can_have_is_refused(warehouse, declare, tmp_path, more, sentence):
    declare(SIMPLE)
    path = tmp_path / "a.csv"
    path.write_text(f"id,began,seconds,to,{more}\na,2026-03-05T10:00:00Z,61,12015550123,x\n", encoding="utf-8")
    with pytest.raises(Refused) as refused:
        warehouse.land("cdrs", path, source="mine")
    assert sentence in str(refused.value)
    assert "Miller" not in str(refused.value)


def test_a_file_with_more_columns_than_a_switch_writes_is_refused(warehouse, declare, tmp_path):
    declare(SIMPLE)
    path = write_csv(tmp_path / "a.csv", call("a") | {f"c{number}": "" for number in range(1_000)})
    with pytest.raises(Refused, match=r"has 1,004 columns, more than 1,000"):
        warehouse.land("cdrs", path, source="mine")


def test_only_cdrs_have_sources(warehouse, declare, tmp_path):
    declare(SIMPLE)
    with pytest.raises(Refused, match="--source belongs to cdrs"):
        warehouse.land("tenants", write_csv(tmp_path / "a.csv", call("a")), source="mine")


def test_sources_are_listed_shown_and_tried_on_the_command_line(command_line: CommandLine):
    command_line.at("2026-03-20T12:00:00Z")
    (command_line.data / "sources").mkdir(parents=True)
    (command_line.data / "sources" / "mine.toml").write_text(SIMPLE, encoding="utf-8")
    write_csv(command_line.folder / "a.csv", call("a"), call("b", began="never"))
    assert "asterisk-csv" in command_line.must("sources").stdout
    assert "mine" in command_line.must("sources list").stdout
    assert "loguniqueid=yes" in command_line.must("sources show asterisk-csv").stdout
    said = command_line.must("sources check mine@x a.csv").stdout
    assert "mine:x:a" in said
    assert "2 records, of which 0 usable. Nothing was landed. Rejected: 1 × cost_missing, 1 × time_unreadable." in said
    assert not (command_line.data / "landing").exists()
    assert list((command_line.data / "build").glob("check-*")) == []
    assert command_line.run("sources check nobody a.csv").exit_status == 1


def test_a_file_may_call_its_columns_what_it_likes(warehouse, declare, tmp_path):
    names = [
        "billed_seconds",
        "digits",
        "local_time",
        "reason",
        "cost",
        "direction",
        "rows",
        "line",
        "file",
        "rate",
        "month",
    ]
    declare(
        SIMPLE + "[rates]\nfile = 'rates.csv'\n",
        rates="service,prefix,price,increment,fee\noutbound_conversational,,0.60,60/60,\n",
    )
    odd = dict.fromkeys(names, "odd")
    warehouse.land(
        "cdrs", write_csv(tmp_path / "a.csv", call("a") | odd, call("b", began="never") | odd), source="mine"
    )
    assert warehouse.usable(columns="record_id, billed_seconds, cost::varchar") == [("mine:main:a", 120, "1.200000000")]
    ((values,),) = warehouse.rejected("source_values")
    assert json.loads(values) == call("b", began="never") | odd


# Local times ----------------------------------------------------------------------------------------------------------


def instants_by_zoneinfo(shown: datetime, zone: ZoneInfo) -> set[datetime]:
    """The instants at which a clock of the zone shows this, tried one quarter of an hour of offset at a time."""
    offsets = {shown.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1)}
    candidates = {(shown - offset).replace(tzinfo=UTC) for offset in offsets}
    return {instant for instant in candidates if instant.astimezone(zone).replace(tzinfo=None) == shown}


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("America/New_York", "2026-03-08"),
        ("America/New_York", "2026-11-01"),
        ("Europe/Berlin", "2026-10-25"),
        ("Europe/London", "2026-03-29"),
        ("Australia/Lord_Howe", "2026-04-05"),
        ("Africa/Casablanca", "2026-03-22"),
        ("America/Sao_Paulo", "2018-11-04"),
        ("Pacific/Apia", "2011-12-30"),
        ("Asia/Kolkata", "2026-03-29"),
        ("UTC", "2026-03-29"),
    ],
)
def test_local_times_around_a_change_of_clocks_are_what_zoneinfo_says(zone, day):
    """Rule 20."""
    start = datetime.fromisoformat(day) - timedelta(days=1)
    shown = [start + timedelta(minutes=5 * step, microseconds=step % 3) for step in range(12 * 24 * 3)]
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(normalization.SCRIPT.read_text(encoding="utf-8"))
        connection.execute(mapping.LOCAL_TIME.read_text(encoding="utf-8"))
        found = connection.execute(
            "select shown, instants_shown(local_timestamp(shown), ?) from (select unnest(?::varchar[]) as shown)",
            [zone, [moment.isoformat(sep=" ") for moment in shown]],
        ).fetchall()
    ours = {shown: {instant.astimezone(UTC) for instant in instants} for shown, instants in found}
    assert ours == {moment.isoformat(sep=" "): instants_by_zoneinfo(moment, ZoneInfo(zone)) for moment in shown}


# Rates ----------------------------------------------------------------------------------------------------------------

RATES = {
    "": ("0.02", "60/60", "0"),
    "+1": ("0.01", "6/6", "0"),
    "+1201": ("0.0123456", "30/6", "0.001"),
    "+1201555": ("0.000000001", "1/1", "0"),
    "+44": ("0.013333333", "60/1", "0.05"),
    "+4420": ("0", "60/60", "0"),
}


def cost_by_hand(number: str, talk: int, places: int) -> tuple[Decimal, int]:
    """Cost and billed seconds, with the table above: longest prefix, increments, half away from zero."""
    price, increment, fee = RATES[max((prefix for prefix in RATES if number.startswith(prefix)), key=len)]
    first, following = map(int, increment.split("/"))
    if talk == 0:
        return Decimal(0), 0
    billed = first
    while billed < talk:
        billed += following
    exact = Decimal(price) * billed / 60
    return exact.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP) + Decimal(fee), billed


@pytest.mark.parametrize("places", [9, 4, 0])
def test_costs_are_what_decimal_arithmetic_says(warehouse, declare, tmp_path, places):
    declare(
        SIMPLE + f"[rates]\nfile = 'rates.csv'\nplaces = {places}\n",
        rates="service,prefix,price,increment,fee\n"
        + "".join(f"outbound_conversational,{prefix},{','.join(rate)}\n" for prefix, rate in RATES.items()),
    )
    chance = random.Random(places)
    starts = ["1201555", "1201", "1503", "4420", "4479", "4930", "8210"]
    calls = {
        f"call-{at}": (
            f"+{chance.choice(starts)}{chance.randrange(10**6, 10**7)}"[:15],
            chance.choice([0, 1, 6, 7, 29, 30, 31, 59, 60, 61, chance.randrange(90_000)]),
        )
        for at in range(500)
    }
    rows = [call(name, to=number, seconds=str(talk)) for name, (number, talk) in calls.items()]
    warehouse.land("cdrs", write_csv(tmp_path / "a.csv", *rows), source="mine")
    found = {
        name.removeprefix("mine:main:"): (cost, billed)
        for name, cost, billed in warehouse.usable(columns="record_id, cost, billed_seconds")
    }
    assert found == {name: cost_by_hand(number, talk, places) for name, (number, talk) in calls.items()}


def test_what_no_rate_covers_is_rejected_and_what_has_no_length_is_not_free(warehouse, declare, tmp_path):
    declare(
        SIMPLE + "[rates]\nfile = 'rates.csv'\n",
        rates="service,prefix,price,increment,fee\noutbound_conversational,+1,0.01,6/6,\n",
    )
    rows = [
        call("abroad", to="442071234567"),
        call("odd", to="operator"),
        call("none", seconds=""),
        call("half", seconds="6.5"),
    ]
    warehouse.land("cdrs", write_csv(tmp_path / "a.csv", *rows), source="mine")
    assert dict(warehouse.rejected("record_id, reason")) == {
        "mine:main:abroad": "unrated",
        "mine:main:odd": "unrated",
        "mine:main:none": "duration_unusable",
        "mine:main:half": "duration_unusable",
    }


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("telegram,,0.01,6/6,", "service is none of the shipped ones or of services.csv in the data folder, in line 3"),
        ("outbound_conversational,44,0.01,6/6,", "prefix is neither empty nor"),
        ("outbound_conversational,+44,1e-3x,6/6,", "price is not an amount"),
        ("outbound_conversational,+44,-0.01,6/6,", "price is not an amount"),
        ("outbound_conversational,+44,0.0000000001,6/6,", "price is not an amount"),
        ("outbound_conversational,+44,0.01,,", "needs an increment such as 60/60"),
        ("outbound_conversational,+44,0.01,60/0,", "needs an increment such as 60/60"),
        ("cnam_lookup,,0.01,60/60,", "and no other service has one"),
        ("outbound_conversational,+1,0.02,6/6,", "the prefix stands twice for its service, in line 2, 3"),
        ("outbound_conversational,+44,0.01,6/6,free", "fee is not an amount"),
    ],
)
def test_a_rate_table_with_a_bad_line_is_refused(warehouse, declare, tmp_path, line, sentence):
    declare(
        SIMPLE + "[rates]\nfile = 'rates.csv'\n",
        rates=f"service,prefix,price,increment,fee\noutbound_conversational,+1,0.01,6/6,\n{line}\n",
    )
    with pytest.raises(Refused) as refused:
        warehouse.land("cdrs", write_csv(tmp_path / "a.csv", call("a")), source="mine")
    assert sentence in str(refused.value)

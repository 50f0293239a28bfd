"""Exports as they come: their names, text, numerals, tables beside a declaration, and what a refusal tells to write.

What belongs here: one switch, whose file is written in many ways. What does not: shipped sources (`test_shipped_sources`)
or the arithmetic of rates (`test_sources`).
"""

import gzip
import io
import json
import zipfile
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from pathlib import Path

import openpyxl
import pyarrow as pa
import pytest

from orchestration.errors import Refused
from orchestration.reports import rejected
from tests.conftest import CommandLine
from tests.unit.conftest import Warehouse

SWITCH = """
title = "A switch"
columns = ["id", "began", "seconds", "to", "price"]

[record]
record_id = "id"
service = "'outbound_conversational'"
direction = "'outbound'"
started_at = { instant = "began", local = "began" }
duration_seconds = "seconds"
to_number = "\\"to\\""
cost = "price"
"""
HEADER = "id,began,seconds,to,price"
ROW = "a,2026-03-05T10:00:00Z,61,12015550123,0.0125"
FACTS = "record_id, strftime(started_at, '%H:%M:%S'), duration_seconds, cost::varchar, currency"
USUAL = ("mine:main:a", "10:00:00", 61, "0.012500000", "USD")


@pytest.fixture
def land(warehouse: Warehouse, tmp_path: Path) -> Callable:
    """A function that lands a file of these bytes under a declaration with these lines above its first table."""

    def run(content: bytes | str, name: str = "calls.csv", keys: str = "", tables: str = "", **files: str):
        folder = warehouse.settings.sources
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "mine.toml").write_text(keys + SWITCH + tables, encoding="utf-8")
        for other, text in files.items():
            (folder / f"{other}.csv").write_text(text, encoding="utf-8")
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        (landing,) = warehouse.land("cdrs", path, source="mine")
        return landing

    return run


def zipped(*members: tuple[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


# Names ----------------------------------------------------------------------------------------------------------------

TEXT = f"{HEADER}\n{ROW}\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("Master.csv.2026-09-30-23-59-59", TEXT.encode()),
        ("Master.csv.1", TEXT.encode()),
        ("cdr.log", TEXT.encode()),
        ("cdr", TEXT.encode()),
        ("Master.csv.1.gz", gzip.compress(TEXT.encode(), mtime=0)),
        ("cdr.log.zst", pa.compress(TEXT.encode(), codec="zstd", asbytes=True)),
        ("calls.zip", zipped(("calls.csv", TEXT.encode()))),
        ("calls.zip", zipped(("folder/", b""), ("folder/cdr.log", TEXT.rstrip("\n").encode()))),
    ],
    ids=[
        "rotated by date",
        "rotated by number",
        "log",
        "no end",
        "rotated and packed",
        "log, packed",
        "zip",
        "zip, folder",
    ],
)
def test_a_declared_source_knows_its_format_whatever_its_file_is_called(land, warehouse, name, content):
    landing = land(content, name)
    assert warehouse.usable(columns=FACTS) == [USUAL]
    assert (landing.receipt.file_name, landing.receipt.file_kind) == (name, "csv")


def test_between_csv_and_json_the_first_character_decides(land, warehouse):
    row = json.dumps(dict(zip(HEADER.split(","), ROW.split(","), strict=True)))
    land(f"{row}\n", "cdr.1", keys='formats = ["csv", "jsonl"]\n')
    land(TEXT.replace("\na,", "\nb,"), "cdr.2", keys='formats = ["csv", "jsonl"]\n')
    assert [row[0] for row in warehouse.usable(columns=FACTS)] == ["mine:main:a", "mine:main:b"]


def test_rejected_lines_of_a_rotated_json_file_are_exported_as_json(land, warehouse, tmp_path):
    row = dict(zip(HEADER.split(","), ROW.split(","), strict=True)) | {"price": "free", "more": [1]}
    land(json.dumps(row) + "\n", "cdr.log", keys='formats = ["jsonl"]\n')
    assert rejected.export(warehouse.settings, None, None, tmp_path / "mend.jsonl") == 1
    assert json.loads((tmp_path / "mend.jsonl").read_text(encoding="utf-8"))["more"] == [1]


def test_a_file_in_the_columns_of_its_feed_still_says_what_it_is(warehouse, tmp_path):
    path = tmp_path / "cdr.log"
    path.write_text("record_id\n", encoding="utf-8")
    with pytest.raises(Refused, match="the name must end in"):
        warehouse.land("cdrs", path)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (zipped(("a.csv", b"x"), ("b.csv", b"x")), "holds 2 files"),
        (zipped(), "holds 0 files"),
        (zipped(("calls.csv", TEXT.encode() * 500))[:-60], "is not a whole .zip file"),
        (b"PK\x03\x04", "is not a whole .zip file"),
        (zipped(("calls.xlsx", b"x")), "a workbook packs itself"),
        (zipped(("calls.csv", b"x" * 5_000_000)), "has a line of more than 4,000,000 bytes"),
    ],
    ids=["two", "none", "torn", "head", "workbook", "bomb"],
)
def test_a_zip_that_will_not_do_is_refused(land, content, sentence):
    with pytest.raises(Refused, match=sentence):
        land(content, "calls.zip")


def test_a_zip_of_which_a_byte_changed_is_refused(land):
    content = bytearray(zipped(("calls.csv", TEXT.encode() * 50)))
    content[60] ^= 1
    with pytest.raises(Refused, match="is not a whole zip file"):
        land(bytes(content), "calls.zip")


# Text -----------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("keys", "content"),
    [
        ('encoding = "utf-16"\n', f"{HEADER},name\n{ROW},Zoë\n".encode("utf-16")),
        ('encoding = "latin-1"\n', f"{HEADER},name\n{ROW},Zoë\n".encode("latin-1")),
        ('encoding = "cp1252"\nskip_lines = 2\n', f"Übersicht €\n\n{HEADER}\n{ROW}".encode("cp1252")),
        ("skip_lines = 1\n", f"\ufeffCalls of March\r\n{HEADER}\r\n{ROW}\r\n".encode()),
        ('delimiter = ";"\n', TEXT.replace(",", ";").encode()),
        ('null = ["\\\\N", "NULL"]\n', f"{HEADER},note\n{ROW},NULL\n".encode()),
        (
            'delimiter = "\\t"\nescape = "\\\\"\n',
            f'{HEADER},note\n{ROW},"a ""\n'.replace(",", "\t").replace('a "', 'a \\"').encode(),
        ),
    ],
)
def test_text_is_read_as_it_is_declared(land, warehouse, keys, content):
    land(content, keys=keys)
    assert warehouse.usable(columns=FACTS) == [USUAL]


@pytest.mark.slow
def test_a_mended_row_is_read_as_it_was_written_out_whatever_the_switchs_files_look_like(land, warehouse, tmp_path):
    keys = 'encoding = "utf-16"\nskip_lines = 1\ndelimiter = ";"\ndecimal_mark = ","\n'
    content = f"Zoë\n{HEADER}\n{ROW}\n".replace(",", ";").replace("0.0125", "0.01.25")
    land(content.encode("utf-16"), keys=keys)
    rejected.export(warehouse.settings, None, None, tmp_path / "mend.csv")
    mended = (tmp_path / "mend.csv").read_text(encoding="utf-8").replace("0.01.25", '"0,0125"')
    land(mended, "mended.csv", keys=keys)
    assert warehouse.usable(columns=FACTS) == [USUAL]
    assert [row["state"] for row in rejected.rows(warehouse.settings, None)] == ["cleared"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (TEXT.replace(",", ";"), "separated by ';': write delimiter = \";\" into"),
        (TEXT.replace(",", "\t"), 'separated by tabs: write delimiter = "\\t" into'),
        (TEXT.replace(",", "|"), "separated by '|': write delimiter = \"|\" into"),
        (f"Report\nof March\n{TEXT}", "have its header in line 3: write skip_lines = 2 into"),
        (f"Report\n{TEXT}".replace(",", ";"), "separated by ';' and to have its header in line 2: write delimiter = \";\" and skip_lines = 1"),
        ('[{"id": "a"}]\n', "It seems to be one JSON array: write one object a line, for example with `jq -c '.[]'"),
        (f"{HEADER}\n{ROW}Zoë\n".replace("id,", "idë,").encode("cp1252"), 'is not text in UTF-8. If it is in another encoding, write it into'),
    ],
    ids=["semicolons", "tabs", "bars", "preamble", "both", "array", "encoding"],
)  # fmt: skip
def test_a_file_that_does_not_fit_is_told_what_it_seems_to_be_and_what_to_write(land, warehouse, content, sentence):
    with pytest.raises(Refused) as refused:
        land(content)
    assert sentence in str(refused.value)
    assert str(warehouse.settings.sources / "mine.toml") in str(refused.value) or "array" in sentence
    assert "Report" not in str(refused.value)


def test_a_shipped_source_is_told_where_to_write_it(warehouse, tmp_path):
    path = tmp_path / "cdrs.csv"
    path.write_text("xml_cdr_uuid;direction;start_epoch;destination_number\n", encoding="utf-8")
    with pytest.raises(
        Refused, match='into fusionpbx.toml in the folder sources of your data, below extends = "fusionpbx"'
    ):
        warehouse.land("cdrs", path, source="fusionpbx")


def test_a_json_array_where_lines_belong_is_told_what_to_write(land):
    with pytest.raises(Refused, match="one JSON array: write one object a line"):
        land('[\n{"id": "a"},\n{"id": "b"}\n]\n', "calls.json", keys='formats = ["jsonl"]\n')


def test_an_object_over_several_lines_is_told_what_to_write(land):
    """FreeSWITCH writes its calls so, a file each."""
    with pytest.raises(Refused, match="JSON over several lines: write one object a line, as `jq -c . FILE"):
        land('{\n  "id": "a"\n}\n', "calls.json", keys='formats = ["jsonl"]\n')


@pytest.mark.slow
@pytest.mark.parametrize("written", ["61.4", "-1", "1:01"])
def test_the_seconds_that_a_rate_cannot_bill_are_shown_and_no_other_cell(land, warehouse, written):
    row = ROW.replace("0.0125", "").replace(",61,", f",{written},")
    land(f"{HEADER},total\n{row},75\n", tables=f'billed_seconds = "total"\n{RATED}', rates=OVER_TIME)
    land(f"{HEADER},total\n{row},75\n".replace(f",{written},", ",75,").replace(",75\n", f",{written}\n"),
         tables=f'billed_seconds = "total"\n{RATED}', rates=OVER_TIME)  # fmt: skip
    assert warehouse.rejected("reason, value")[-1] == ("duration_unusable", written)


def test_an_own_declaration_without_a_zone_is_told_to_name_one_in_itself(land, warehouse):
    with pytest.raises(Refused) as refused:
        land(TEXT.replace("T10:00:00Z", " 10:00:00"))
    assert f'Write a line such as zone = "America/New_York" into {warehouse.settings.sources / "mine.toml"}' in str(
        refused.value
    )
    assert "extends" not in str(refused.value)


# Ids ------------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("written", ["0", "-", "NULL", "None", "n/a", "\\N", "00000000-0000-0000-0000-000000000000"])
def test_a_default_of_a_column_is_no_id(land, warehouse, written):
    """Two calls of one default would be one."""
    rows = [ROW.replace("a,", f"{written},", 1), ROW.replace("a,", f"{written},", 1).replace("T10", "T11"), ROW]
    landing = land("\n".join([HEADER, *rows]) + "\n")
    assert warehouse.rejected("record_id, reason") == [(None, "record_id_missing")] * 2
    assert (landing.receipt.superseded, warehouse.usable(columns=FACTS)) == (0, [USUAL])


# Numerals -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("keys", "written", "seconds"),
    [
        ('durations = "hh:mm:ss"\n', "0:01:01", 61),
        ('durations = "hh:mm:ss"\n', "100:00:00", 360_000),
        ('durations = "hh:mm:ss"\n', "1:01", None),
        # Where durations are clock times, a bare number may be minutes or seconds.
        ('durations = "hh:mm:ss"\n', "61", None),
        ('durations = "hh:mm:ss"\n', "0:61:00", None),
        ('durations = "hh:mm:ss"\nrounding = "up"\n', "00:01:00.4", 61),
        ('durations = "mm:ss"\n', "61:01", 3_661),
        ('durations = "mm:ss"\nrounding = "nearest"\ndecimal_mark = ","\n', '"0:59,5"', 60),
        ('rounding = "up"\n', "60.000001", 61),
        ('rounding = "up"\n', "60.000", 60),
        ('rounding = "down"\n', "60.999", 60),
        ('rounding = "nearest"\n', "60.5", 61),
        ('rounding = "nearest"\n', "60.4999", 60),
        ('rounding = "up"\n', "-1", None),
        ("", "60.5", None),
        ('durations = "hh:mm:ss"\n', "99999:59:59", 359_999_999 + 0),
    ],
)
def test_durations_are_read_as_they_are_declared(land, warehouse, keys, written, seconds):
    content = f"{HEADER}\n{ROW}\n".replace(",61,", f",{written},").replace(
        "0.0125", '"0,0125"' if "decimal" in keys else "0.0125"
    )
    land(content, keys=keys)
    if seconds is None:
        assert warehouse.rejected("reason, value") == [("duration_unusable", written)] or (
            warehouse.rejected("reason, trim(value)") == [("duration_unusable", written)]
        )
    else:
        assert warehouse.usable(columns="duration_seconds") == [(seconds,)]


COMMA = 'decimal_mark = ","\n'
DOTS = COMMA + 'thousands_mark = "."\n'
SIGNS = 'currency_signs = { "$" = "USD", "€" = "EUR", "US$" = "USD", "CHF" = "CHF" }\n'


@pytest.mark.slow
@pytest.mark.parametrize(
    ("keys", "written", "amount", "currency"),
    [
        (COMMA, "0,0125", "0.012500000", "USD"),
        (COMMA, "-1,5", "-1.500000000", "USD"),
        # A point where commas are decimal is neither.
        (COMMA, "1.234", None, None),
        (DOTS, "1.234,5", "1234.500000000", "USD"),
        (DOTS, "1.234.567", "1234567.000000000", "USD"),
        (DOTS, "1.23,5", None, None),
        ('thousands_mark = ","\n', "1,234.5", "1234.500000000", "USD"),
        ('thousands_mark = " "\n' + COMMA, "1 234,5", "1234.500000000", "USD"),
        ('thousands_mark = " "\n' + COMMA, "1\u00a0234,5", "1234.500000000", "USD"),
        (SIGNS, "$0.50", "0.500000000", "USD"),
        (SIGNS + DOTS, "1.000,50 €", "1000.500000000", "EUR"),
        (SIGNS, "US$ 2", "2.000000000", "USD"),
        (SIGNS, "-€0.25", "-0.250000000", "EUR"),
        (SIGNS, "0.5", "0.500000000", "USD"),
        (SIGNS, "£0.50", None, None),
        ("", "$0.50", None, None),
    ],
)
def test_amounts_are_read_as_they_are_declared(land, warehouse, keys, written, amount, currency):
    land(f"{HEADER}\n{ROW}\n".replace("0.0125", f'"{written}"'), keys=keys)
    if amount is None:
        assert warehouse.rejected("reason, trim(value)") == [("cost_unusable", written)]
    else:
        assert warehouse.usable(columns="cost::varchar, currency") == [(amount, currency)]


def test_a_sign_that_contradicts_the_currency_rejects_the_row(land, warehouse):
    content = f"{HEADER},cur\n{ROW},EUR\n{ROW},USD\n".replace("0.0125", "$1").replace("\na,", "\nb,", 1)
    tables = '\n[derived]\ncur_text = "upper(cur)"\n'
    land(content, keys=SIGNS, tables='currency = "cur"\n' + tables)
    assert warehouse.rejected("reason") == [("currency_contradicts_sign",)]
    assert warehouse.usable(columns="cost::varchar, currency") == [("1.000000000", "USD")]


def test_expressions_can_use_amounts_and_seconds_as_they_are_declared(land, warehouse):
    content = f'{HEADER},tax,ring\n{ROW},"0,5",0:00:09\n'.replace("0.0125", '"1.000,25"').replace(",61,", ",0:01:01,")
    tables = ""
    keys = DOTS + 'durations = "hh:mm:ss"\n'
    sums = SWITCH.replace('"price"\n', '"amount(price) + amount(tax)"\n').replace(
        '= "seconds"', '= "seconds(seconds) + seconds(ring)"'
    )
    folder = warehouse.settings.sources
    folder.mkdir(parents=True)
    (folder / "sums.toml").write_text(keys + sums + tables, encoding="utf-8")
    path = warehouse.folder / "sums.csv"
    path.write_text(content, encoding="utf-8")
    warehouse.land("cdrs", path, source="sums")
    assert warehouse.usable(columns="cost::varchar, duration_seconds") == [("1000.750000000", 70)]


def test_the_value_is_shown_where_the_operator_looks_and_not_in_what_is_said(land, warehouse, tmp_path):
    rows = [
        ROW.replace("0.0125", "a lot"),
        ROW.replace("a,", "b,").replace(",61,", ",a while,"),
        ROW.replace("a,", "c,").replace("2026-03-05T10:00:00Z", "soon"),
    ]
    land("\n".join([HEADER, *rows]) + "\n")
    listed = {
        row["record_id"][-1]: (row["reason"], row["value"], row["accepted"])
        for row in rejected.rows(warehouse.settings, None)
    }
    assert listed["a"] == (
        "cost_unusable",
        "a lot",
        "digits, at most 9 before the point and 9 after it, such as 0.0125",
    )
    assert listed["b"][:2] == ("duration_unusable", "a while")
    assert listed["c"][:2] == ("time_unreadable", "soon")
    assert all(accepted for _, _, accepted in listed.values())


# Tables beside a declaration -----------------------------------------------------------------------------------------

CUSTOMERS = "pbx,account,prefix\np1,alpha,9\np2,beta,\n"
LOOKUP = """
[lookups.customers]
file = "customers.csv"
key = "left(id, 2)"
"""
BY_CUSTOMER = 'x_tenant = "customers.account"\nrouted_to = "coalesce(customers.prefix, \'none\')"\n' + LOOKUP


def test_a_lookup_table_gives_its_columns_and_its_content_is_part_of_the_rules(land, warehouse):
    content = "\n".join([HEADER, *(ROW.replace("a,", f"{name},", 1) for name in ("p1-1", "p2-1", "p3-1"))]) + "\n"
    first = land(content, tables=BY_CUSTOMER, customers=CUSTOMERS)
    assert warehouse.usable(columns="x_tenant, routed_to") == [("alpha", "9"), ("beta", "none"), (None, "none")]
    assert land(content, tables=BY_CUSTOMER, customers=CUSTOMERS).is_new is False
    changed = land(content, tables=BY_CUSTOMER, customers=CUSTOMERS.replace("beta", "gamma"))
    assert (first.is_new, changed.is_new, changed.receipt.superseded, changed.receipt.duplicates) == (True, True, 1, 2)


@pytest.mark.parametrize(
    ("tables", "customers", "sentence"),
    [
        (BY_CUSTOMER, "pbx\np1\n", "its first line must name two columns or more"),
        (BY_CUSTOMER, CUSTOMERS + "p1,gamma,\n", "1 values stand twice in pbx"),
        (BY_CUSTOMER, CUSTOMERS + "p4\n", "customers.csv cannot be read"),
        (BY_CUSTOMER.replace("left(id, 2)", "left(ident, 2)"), CUSTOMERS, "lookups.customers.key cannot be evaluated"),
        (BY_CUSTOMER.replace("customers.account", "customers.acount"), CUSTOMERS, "record.x_tenant cannot be evaluated"),
        (BY_CUSTOMER.replace("customers.csv", "others.csv"), CUSTOMERS, "the lookup table .*others.csv does not exist"),
        (BY_CUSTOMER.replace('key = "left(id, 2)"', ""), CUSTOMERS, "lookups.customers must name a file and a key"),
        (BY_CUSTOMER.replace("lookups.customers]", "lookups.price]"), CUSTOMERS, "price is taken"),
    ],
)  # fmt: skip
def test_a_lookup_that_will_not_do_is_refused(land, tables, customers, sentence):
    with pytest.raises(Refused, match=sentence):
        land(TEXT, tables=tables, customers=customers)


@pytest.mark.slow
def test_the_instance_is_a_column_of_expressions(land, warehouse, tmp_path):
    land(TEXT, tables='x_tenant = "instance"\n')
    warehouse.land("cdrs", tmp_path / "calls.csv", source="mine@alpha")
    assert warehouse.usable(columns="record_id, x_tenant") == [("mine:main:a", "main"), ("mine:alpha:a", "alpha")]
    with pytest.raises(Refused, match="has a column that is called instance, as something in"):
        land(f"{HEADER},instance\n{ROW},x\n", tables='x_tenant = "instance"\n')
    # A file that calls a column so, and whose declaration does not care, lands.
    land(f"{HEADER},instance\n{ROW},x\n".replace("\na,", "\nz,"))


RATED = '\n[rates]\nfile = "rates.csv"\n'
OVER_TIME = """service,prefix,price,increment,fee,valid_from
outbound_conversational,+1,0.60,60/60,,
outbound_conversational,+1,1.20,60/60,,2026-03-05T10:00:00Z
outbound_conversational,+1201,3.00,60/60,,2026-03-06T00:00:00+01:00
outbound_conversational,,9.00,60/60,,2026-03-07T00:00:00Z
"""


@pytest.mark.slow
def test_a_call_is_rated_by_the_price_at_its_start(land, warehouse):
    times = {
        "a": "2026-03-05T09:59:59.999999Z",
        "b": "2026-03-05T10:00:00Z",
        "c": "2026-03-05T22:59:59Z",
        "d": "2026-03-05T23:00:00Z",
    }
    rows = [f"{name},{at},60,12015550123," for name, at in times.items()]
    rows += [
        "e,2026-03-06T23:59:59Z,60,442071234567,",
        "f,2026-03-07T00:00:00Z,60,442071234567,",
        "g,never,60,12015550123,",
    ]
    land("\n".join([HEADER, *rows]) + "\n", tables=RATED, rates=OVER_TIME)
    assert dict(warehouse.usable(columns="record_id[11:], cost::decimal(9, 2)::varchar")) == {
        "a": "0.60", "b": "1.20", "c": "1.20", "d": "3.00", "f": "9.00",
    }  # fmt: skip
    assert dict(warehouse.rejected("record_id[11:], reason")) == {"e": "unrated", "g": "time_unreadable"}


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("outbound_conversational,+44,1,60/60,,2026-03-01", "valid_from is no instant such as 2026-03-01T00:00:00Z, with Z or an offset, in line 6"),
        ("outbound_conversational,+1,7,60/60,,2026-03-05T11:00:00+01:00", "the prefix stands twice for its service, in line 3, 6"),
        ("outbound_conversational,+1,7,60/60,,", "the prefix stands twice for its service, in line 2, 6"),
    ],
)  # fmt: skip
def test_rates_over_time_that_will_not_do_are_refused(land, line, sentence):
    with pytest.raises(Refused, match=sentence.replace("+", "\\+")):
        land(TEXT, tables=RATED, rates=OVER_TIME + line + "\n")


# Sheets ---------------------------------------------------------------------------------------------------------------

XLSX = 'formats = ["xlsx"]\nzone = "UTC"\n'


def workbook(*rows: list, sheet: str = "Calls", more: tuple[str, ...] = ()) -> bytes:
    book = openpyxl.Workbook()
    book.active.title = sheet
    for row in rows:
        book.active.append(row)
    for name in more:
        book.create_sheet(name)
    held = io.BytesIO()
    book.save(held)
    return held.getvalue()


def at(clock: str) -> datetime:
    """A time of 5 March, without a zone, as a cell holds it."""
    return datetime.combine(date(2026, 3, 5), time.fromisoformat(clock))


def test_a_sheet_is_read_as_the_text_that_it_shows(land, warehouse):
    content = workbook(
        ["Calls of March"],
        HEADER.split(","),
        ["a", at("10:00:00.250"), 61, 12015550123, "0.123456789"],
        [],
        ["b", at("11:00:00"), timedelta(hours=30, seconds=1), 12015550123.0, 0.1 + 0.2],
        ["c", "2026-03-05 12:00:00", time(0, 1, 1), "+12015550123", 1e-7],
        ["d", at("13:00:00"), 1.0, True, None],
    )
    keys = XLSX + "skip_lines = 1\n"
    tables = ""
    own = SWITCH.replace(
        '= "seconds"',
        """= "case when contains(seconds, ':') then spelled_seconds(seconds, 'hh:mm:ss', '.', null) else seconds end\"""",
    )
    folder = warehouse.settings.sources
    folder.mkdir(parents=True)
    (folder / "own.toml").write_text(keys + own + tables, encoding="utf-8")
    path = warehouse.folder / "calls.xlsx"
    path.write_bytes(content)
    warehouse.land("cdrs", path, source="own")
    assert warehouse.usable(columns="record_id[10:], strftime(started_at, '%H:%M:%S.%f'), duration_seconds, to_number, cost::varchar") == [
        ("a", "10:00:00.250000", 61, "12015550123", "0.123456789"),
        ("b", "11:00:00.000000", 108_001, "12015550123", "0.300000000"),
        ("c", "12:00:00.000000", 61, "+12015550123", "0.000000100"),
    ]  # fmt: skip
    assert warehouse.rejected("record_id[10:], reason") == [("d", "cost_missing")]


@pytest.mark.slow
def test_one_sheet_of_several_has_to_be_named(land, warehouse):
    content = workbook(HEADER.split(","), ROW.split(","), more=("Summary",))
    with pytest.raises(Refused, match="has 2 sheets: name the one to read"):
        land(content, "calls.xlsx", keys=XLSX)
    with pytest.raises(Refused, match="has no sheet that is called Other"):
        land(content, "calls.xlsx", keys=XLSX + 'sheet = "Other"\n')
    land(content, "calls.xlsx", keys=XLSX + 'sheet = "Calls"\n')
    assert warehouse.usable(columns=FACTS) == [USUAL]


def altered(content: bytes, name: str, change: Callable[[bytes], bytes]) -> bytes:
    """A workbook of which one part is another."""
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        return zipped(
            *((part, change(book.read(part)) if part == name else book.read(part)) for part in book.namelist())
        )


SHEET = "xl/worksheets/sheet1.xml"
BOOK = workbook(HEADER.split(","), ROW.split(","))
LAUGHS = (
    b'<!DOCTYPE l [<!ENTITY a "ha">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9))
    + b"]>"
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (BOOK[: len(BOOK) // 2], "is not a whole workbook"),
        (b"PK\x03\x04 and so on", "is not a whole workbook"),
        (altered(BOOK, SHEET, lambda xml: xml[:-40]), "is not a whole workbook"),
        (altered(BOOK, SHEET, lambda xml: xml.replace(b"<row", b"<row" + b" " * 9_000_000, 1)), "has a row of more than 4,000,000 bytes"),
        (altered(BOOK, "xl/styles.xml", lambda xml: xml + b" " * 64_000_001), "a part of more than 64,000,000 bytes"),
        (altered(BOOK, SHEET, lambda xml: xml.replace(b'<row r="2"', b'<row r="1048577"')), "has more rows than a sheet can have"),
        (altered(BOOK, SHEET, lambda xml: xml.replace(b"<worksheet", LAUGHS + b"<worksheet", 1).replace(b"<t>", b"<t>&j;", 1)), "is not a whole workbook"),
        (zipped(*((f"{n}.xml", b"") for n in range(1_001))), "has 1,001 parts"),
    ],
    ids=["torn", "no zip", "torn xml", "long row", "large part", "far row", "laughs", "parts"],
)  # fmt: skip
def test_a_workbook_without_end_or_torn_is_refused(land, content, sentence):
    with pytest.raises(Refused, match=sentence):
        land(content, "calls.xlsx", keys=XLSX)


# On the command line --------------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.slow
def test_a_file_that_landed_as_another_instance_is_told_apart(command_line: CommandLine):
    """Its ids begin with another name, so nothing else shows that each of its calls is stated twice."""
    command_line.at("2026-03-20T12:00:00Z")
    folder = command_line.data / "sources"
    folder.mkdir(parents=True)
    (folder / "mine.toml").write_text(SWITCH, encoding="utf-8")
    for name, text in (("calls.csv", TEXT), ("none.csv", f"{HEADER}\n")):
        (command_line.folder / name).write_text(text, encoding="utf-8")
    assert "very same" not in command_line.must("land cdrs --source mine@pbx1 calls.csv").stdout
    assert "very same" not in command_line.must("land cdrs --source mine@pbx1 calls.csv").stdout
    said = command_line.must("land cdrs --source mine calls.csv").stdout
    assert "The very same file landed as mine@pbx1 before." in " ".join(said.split())
    told = json.loads(command_line.must("land cdrs --source mine@pbx2 calls.csv --json").stdout)
    assert told[0]["same_file_as"] == ["mine@main", "mine@pbx1"]
    # Empty extracts of two switches are alike, and state nothing.
    command_line.must("land cdrs --source mine@pbx1 none.csv")
    assert "very same" not in command_line.must("land cdrs --source mine@pbx2 none.csv").stdout


@pytest.mark.slow
def test_check_shows_the_first_rows_of_each_reason_and_rule(command_line: CommandLine):
    """A rule that is wrong is seen before anything lands."""
    command_line.at("2026-03-20T12:00:00Z")
    folder = command_line.data / "sources"
    folder.mkdir(parents=True)
    (folder / "mine.toml").write_text(SWITCH + '\n[ignore]\nshort = "length(\\"to\\") < 7"\n', encoding="utf-8")
    rows = [ROW.replace("a,", f"s{number},").replace("12015550123", f"41{number}") for number in range(5)]
    rows += [ROW.replace("a,", "bad,").replace("0.0125", "a lot"), ROW]
    (command_line.folder / "calls.csv").write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    told = json.loads(command_line.must("sources check mine calls.csv --json").stdout)
    assert [(row["rule"], row["source_row"], row["direction"], row["cost"]) for row in told["ignored_rows"]] == [
        ("short", number, "outbound", "0.0125") for number in (1, 2, 3)
    ]
    assert json.loads(told["ignored_rows"][0]["own_values"])["to"] == "410"
    ((reason, value, accepted),) = [(row["reason"], row["value"], row["accepted"]) for row in told["rejected_rows"]]
    assert (reason, value) == ("cost_unusable", "a lot")
    assert accepted.startswith("digits")
    all_told = json.loads(command_line.must("sources check mine calls.csv --json --ignored").stdout)
    assert len(all_told["ignored_rows"]) == 5
    said = command_line.must("sources check mine calls.csv").stdout
    assert "the first rows of each rule" in said
    assert "a lot" in said


@pytest.mark.slow
def test_a_record_that_is_rejected_and_then_left_out_stands_against_nothing(land, warehouse):
    content = (Path(__file__).with_name("field") / "rejected-then-ignored.csv").read_text(encoding="utf-8")
    folder = warehouse.settings.sources
    folder.mkdir(parents=True)
    declared = (
        'title = "x"\ncolumns = ["id", "t", "cost", "status"]\n[record]\nrecord_id = "id"\n'
        'service = "\'outbound_conversational\'"\ndirection = "\'outbound\'"\nstarted_at = { instant = "t" }\ncost = "cost"\n'
    )
    path = warehouse.folder / "calls.csv"
    path.write_text(content, encoding="utf-8")
    warehouse.at("2026-10-02T12:00:00+00:00")
    (folder / "own.toml").write_text(declared, encoding="utf-8")
    warehouse.land("cdrs", path, source="own")
    assert [(row["record_id"], row["reason"], row["state"]) for row in rejected.rows(warehouse.settings, None)] == [
        ("own:main:b", "cost_missing", "open")
    ]
    (folder / "own.toml").write_text(declared + "[ignore]\nbusy = \"status = 'busy'\"\n", encoding="utf-8")
    warehouse.land("cdrs", path, source="own")
    assert [row["state"] for row in rejected.rows(warehouse.settings, None)] == ["cleared"]

"""A file lands whole or not at all: what is refused for its form, in one sentence, and what three formats have in common."""

import gzip
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestration.errors import Refused
from orchestration.landing import parquet_types
from orchestration.landing.feeds import Column
from tests.conftest import CommandLine
from tests.reach import alternately
from tests.unit.conftest import Warehouse
from tests.unit.deliveries import (
    RECORDED,
    ip_of,
    number_of,
    record,
    tenant,
    tree,
    write_csv,
    write_jsonl,
    write_parquet,
)

MICROSECONDS = pa.timestamp("us", tz="UTC")
NOON = datetime(2026, 3, 5, 12, tzinfo=UTC)


# Files that are refused -----------------------------------------------------------------------------------------------


def text(content: str):
    return lambda path: path.write_text(content, encoding="utf-8", newline="")


def raw(content: bytes):
    return lambda path: path.write_bytes(content)


def rows(*given):
    return lambda path: {".csv": write_csv, ".jsonl": write_jsonl, ".parquet": write_parquet}[path.suffix](path, *given)


def parquet(*given, **types):
    return lambda path: write_parquet(path, *given, types=types)


def without(row: dict, name: str) -> dict:
    return {key: value for key, value in row.items() if key != name}


def int96(path: Path) -> None:
    table = pa.table({name: [value] for name, value in record("a").items()})
    table = table.set_column(table.column_names.index("started_at"), "started_at", pa.array([NOON], pa.timestamp("ns")))
    pq.write_table(table, path, use_deprecated_int96_timestamps=True)


def cut_short(path: Path) -> None:
    write_parquet(path, *(record(f"r{n}") for n in range(500)))
    path.write_bytes(path.read_bytes()[:-100])


def torn_inside(path: Path) -> None:
    """The footer is whole and the pages are not."""
    write_parquet(path, *(record(f"r{n}", call_id=f"{n * 7919}") for n in range(500)))
    content = bytearray(path.read_bytes())
    content[20:1200] = bytes(1180)
    path.write_bytes(content)


def nested(path: Path) -> None:
    pq.write_table(pa.table({**{k: [v] for k, v in record("a").items()}, "x_tenant": [["alpha"]]}), path)


HEADER = "record_id,service,direction,started_at,cost"
GOOD = "a,inbound_conversational,inbound,2026-03-05T10:00:00Z,0.01"
LINE = json.dumps(record("a"))

REFUSED = {
    "a missing column": ("a.csv", rows(without(record("a"), "cost")), "lacks cost"),
    "a missing column in JSON": ("a.jsonl", rows(without(record("a"), "cost")), "lacks cost"),
    "a missing column in Parquet": ("a.parquet", rows(without(record("a"), "cost")), "lacks cost"),
    "an unknown column": ("a.csv", rows(record("a", colour="red")), "unknown columns 'colour'"),
    "an unknown column in JSON": ("a.jsonl", rows(record("a"), record("b", colour="red")), "'colour'"),
    "an unknown column in Parquet": ("a.parquet", rows(record("a", colour="red")), "'colour'"),
    "a column named in other case": ("a.csv", rows({**record("a"), "Currency": "USD"}), "'Currency'"),
    "a column twice": ("a.csv", text(f"{HEADER},cost\n{GOOD},1\n"), "repeats cost"),
    "a quote that is never closed": ("a.csv", text(f'{HEADER}\n"a,inbound_conversational\n'), "quote"),
    "text after a closed quote": ("a.csv", text(f'{HEADER}\n"a"x,{GOOD[2:]}\n'), ""),
    "a row that is too short": ("a.csv", text(f"{HEADER}\n{GOOD}\nb,inbound_conversational\n"), "3"),
    "a row that is too long": ("a.csv", text(f"{HEADER}\n{GOOD},1,2\n"), "2"),
    "a CSV with semicolons": ("a.csv", text(f"{HEADER}\n{GOOD}\n".replace(",", ";")), "lacks"),
    "a CSV of bytes that are not UTF-8": ("a.csv", raw(f"{HEADER}\n{GOOD}\n".encode() + b"\xe9,b,c,d,1\n"), ""),
    "a CSV in UTF-16": ("a.csv", raw(f"{HEADER}\n{GOOD}\n".encode("utf-16")), "UTF-8"),
    "a CSV that is compressed": ("a.csv", raw(gzip.compress(f"{HEADER}\n{GOOD}\n".encode())), "UTF-8"),
    "a Parquet file that was cut short": ("a.parquet", cut_short, "not a whole Parquet file"),
    "a Parquet file that is torn inside": ("a.parquet", torn_inside, "cannot be read"),
    "text renamed to .parquet": ("a.parquet", text(f"{HEADER}\n{GOOD}\n"), "not a whole Parquet file"),
    "Parquet renamed to .csv": ("a.csv", rows(record("a")), None),
    "a name that says no format": ("a.xlsx", text("x"), "must end in .csv"),
    "an empty file": ("a.csv", text(""), "is empty"),
    "a directory": ("a.csv", lambda path: path.mkdir(), "is a directory"),
    "a file that is not there": ("a.csv", lambda path: None, "does not exist"),
    "a file of another feed": ("a.csv", rows(number_of("alpha")), "does not fit the feed cdrs"),
    "a time without zone": ("a.csv", rows(record("a", started_at="2026-03-05T10:00:00")), "has no zone in row 1"),
    "a time without zone in JSON": ("a.jsonl", rows(record("a", started_at="2026-03-05 10:00:00")), "has no zone"),
    "a time without zone in a row that is bad anyway": ("a.csv", rows(record("", started_at="2026-03-05T10:00:00")), "no zone"),
    "a naive Parquet timestamp": (
        "a.parquet",
        parquet(record("a", started_at=NOON.replace(tzinfo=None)), started_at=pa.timestamp("us")),
        "without a zone",
    ),
    "an INT96 timestamp": ("a.parquet", int96, "without a zone"),
    "a cost that is a float": ("a.parquet", parquet(record("a", cost=0.1), cost=pa.float32()), "inexact"),
    "a cost that is a double": ("a.parquet", parquet(record("a", cost=0.1), cost=pa.float64()), "inexact"),
    "a cost of 50 digits": ("a.parquet", parquet(record("a", cost=Decimal("1.5")), cost=pa.decimal256(50, 9)), "read as DOUBLE"),
    "a cost of 76 digits": ("a.parquet", parquet(record("a", cost=Decimal("1.5")), cost=pa.decimal256(76, 38)), "read as DOUBLE"),
    "seconds that are a decimal": ("a.parquet", parquet(record("a", duration_seconds=Decimal(1)), duration_seconds=pa.decimal128(9, 0)), "must hold seconds"),
    "a cost that is half a float": ("a.parquet", parquet(record("a", cost=0.5), cost=pa.float16()), "inexact"),
    "a date for a time": ("a.parquet", parquet(record("a", started_at=NOON.date()), started_at=pa.date32()), "must hold instant"),
    "seconds that are a double": ("a.parquet", parquet(record("a", duration_seconds=1.5), duration_seconds=pa.float64()), "seconds"),
    "a number that is an integer": ("a.parquet", parquet(record("a", number=12015550101), number=pa.int64()), "must hold text"),
    "bytes for text": ("a.parquet", parquet(record("a", number=b"x"), number=pa.binary()), "must hold text"),
    "a list in Parquet": ("a.parquet", nested, "must hold text"),
    "a list in JSON": ("a.jsonl", text(LINE[:-1] + ', "x_tenant": ["alpha"]}\n'), "list or an object"),
    "an object in JSON": ("a.jsonl", text(LINE[:-1] + ', "x_tenant": {"a": 1}}\n'), "list or an object"),
    "a name twice in JSON": ("a.jsonl", text(LINE[:-1] + ', "cost": "0.02"}\n'), "each name once"),
    "a broken line in JSON": ("a.jsonl", text(f"{LINE}\n{LINE[:-9]}\n"), ""),
    "an array of records": ("a.json", text(f"[{LINE}]\n"), "one JSON array"),
    "lines that are no objects": ("a.jsonl", text(f"{LINE}\n3\n"), "1 line is not a JSON object with"),
    "JSON that is not UTF-8": ("a.jsonl", raw(LINE.replace("10:00", "10\xe9").encode("latin-1") + b"\n"), ""),
}  # fmt: skip


@pytest.fixture(scope="module")
def landed_once(tmp_path_factory) -> Iterator[Path]:
    """A folder with a warehouse in which something has landed. Nothing here changes it, so one serves all."""
    folder = tmp_path_factory.mktemp("landed")
    with pytest.MonkeyPatch.context() as monkeypatch:
        first = CommandLine(folder, monkeypatch)
        first.at("2026-03-20T12:00:00+00:00")
        write_csv(folder / "tenants.csv", tenant("alpha"))
        first.must("land tenants tenants.csv")
        yield folder


@pytest.fixture
def landed(landed_once, command_line, monkeypatch) -> CommandLine:
    """The command line on that folder, with what files of `a.*` other tests left there out of the way."""
    for path in landed_once.iterdir():
        if path.is_dir() and path.suffix:
            path.rmdir()
        elif path.is_file() and path.name != "tenants.csv":
            path.unlink()
    here = CommandLine(landed_once, monkeypatch)
    here.at("2026-03-20T12:00:00+00:00")
    return here


def assert_refused(command_line: CommandLine, line: str, words: str) -> str:
    """The command ends with 1 and a sentence, says nothing else, and nothing lasting has changed."""
    before = tree(command_line.data)
    outcome = command_line.run(line)
    assert outcome.exit_status == 1, outcome
    assert words in outcome.stderr
    assert outcome.stderr.endswith((".", "…", "?"))
    assert "Traceback" not in outcome.stderr
    assert outcome.stdout == ""
    assert tree(command_line.data) == before
    return outcome.stderr


@pytest.mark.parametrize("what", alternately(REFUSED, pytest.mark.slow))
def test_is_refused_in_one_sentence_and_nothing_changes(landed, what):
    name, make, words = REFUSED[what]
    path = landed.folder / name
    if what == "Parquet renamed to .csv":
        write_parquet(landed.folder / "a.parquet", record("a")).rename(path)
    else:
        make(path)
    said = assert_refused(landed, f"land cdrs {name}", words or "")
    assert name in said


def test_a_refused_file_takes_the_good_files_of_its_call_along(landed):
    write_csv(landed.folder / "good.csv", record("a"))
    write_csv(landed.folder / "bad.csv", record("b", started_at="2026-03-05T10:00:00"))
    assert_refused(landed, "land cdrs good.csv bad.csv", "bad.csv")


@pytest.mark.parametrize(
    ("feed", "row", "words"),
    [
        ("tenants", tenant("beta", recorded_at="2026-01-01T00:00:00"), "recorded_at has no zone"),
        ("number_assignments", number_of("alpha", valid_from="2026-01-01 00:00"), "valid_from has no zone"),
        ("ip_assignments", ip_of("alpha", recorded_at="2026-01-01"), "recorded_at has no zone"),
        ("ip_assignments", ip_of("alpha", valid_to="2026-13-01T00:00:00Z"), "valid_to is not a time"),
        ("ip_assignments", ip_of("alpha", recorded_at=""), "recorded_at is missing"),
        ("ip_assignments", ip_of("alpha", ip=""), "ip is missing"),
        ("number_assignments", number_of("alpha", number_type="mobile"), "neither local nor toll_free"),
        ("number_assignments", number_of("alpha beta"), "account_id may hold"),
    ],
)  # fmt: skip
def test_one_bad_row_refuses_an_assignment_file(landed, feed, row, words):
    good = {"tenants": tenant("gamma"), "number_assignments": number_of("alpha"), "ip_assignments": ip_of("alpha")}
    write_csv(landed.folder / "a.csv", good[feed], row)
    assert "row 2" in assert_refused(landed, f"land {feed} a.csv", words)


# A row of each feed, to be written in other ways than as CSV with its header in line 1.
OF_EACH_FEED = {
    "cdrs": record("r-4711", from_number="+12015550188"),
    "tenants": tenant("alpha", state="Illinois", country="Utopia"),
    "number_assignments": number_of("alpha"),
    "ip_assignments": ip_of("alpha"),
}
# How such a file is written → the end of its name, its text from the cells of its lines, and the sentence about it.
BY_COMMAS = "write it with commas between its values and its header in line 1"
PREAMBLE = "Export of Pat Doe, billing@customer.example\n\n"


def separated(mark: str, above: str = "", quote: str = "") -> Callable[[list[list[str]]], str]:
    return lambda lines: above + "".join(mark.join(f"{quote}{cell}{quote}" for cell in line) + "\n" for line in lines)


def array(indent: int | None) -> Callable[[list[list[str]]], str]:
    return lambda lines: (
        json.dumps([dict(zip(lines[0], line, strict=True)) for line in lines[1:]], indent=indent) + "\n"
    )


ONE_ARRAY = "It seems to be one JSON array: write one object a line, for example with `jq -c '.[]' FILE > FILE.jsonl`."
OVER_LINES = "It seems to be JSON over several lines: write one object a line, as `jq -c . FILE > FILE.jsonl` does."
WRITTEN_OTHERWISE = {
    "semicolons": (".csv", separated(";"), f"It seems to be separated by ';': {BY_COMMAS}"),
    "semicolons and quotes": (".csv", separated(";", quote='"'), f"It seems to be separated by ';': {BY_COMMAS}"),
    "tabs": (".csv", separated("\t"), f"It seems to be separated by tabs: {BY_COMMAS}"),
    "bars": (".csv", separated("|"), f"It seems to be separated by '|': {BY_COMMAS}"),
    "preamble": (".csv", separated(",", PREAMBLE), f"It seems to have its header in line 3: {BY_COMMAS}"),
    "preamble in quotes": (".csv", separated(",", '"Pat" Doe\n'), f"It seems to have its header in line 2: {BY_COMMAS}"),
    "both": (".csv", separated(";", PREAMBLE), f"It seems to be separated by ';' and to have its header in line 3: {BY_COMMAS}"),
    "packed": (".csv.gz", separated("\t"), f"It seems to be separated by tabs: {BY_COMMAS}"),
    "array": (".json", array(None), ONE_ARRAY),
    "array over lines": (".jsonl", array(2), ONE_ARRAY),
    "array in CSV": (".csv", array(None), ONE_ARRAY),
    "object over lines": (".jsonl", lambda lines: array(2)(lines)[2:-3] + "\n", OVER_LINES),
    "array, packed": (".json.gz", array(None), ONE_ARRAY),
    "UTF-16": (".csv", separated(","), "is not text in UTF-8. If it is in another encoding, write it in UTF-8, for example with `iconv -f utf-16 -t utf-8"),
}  # fmt: skip


@pytest.mark.parametrize("feed", OF_EACH_FEED)
@pytest.mark.parametrize("how", alternately(WRITTEN_OTHERWISE, pytest.mark.slow))
def test_a_file_in_the_columns_of_its_feed_is_told_what_it_seems_to_be_and_what_to_do(warehouse, feed, how):
    end, written, sentence = WRITTEN_OTHERWISE[how]
    row = OF_EACH_FEED[feed]
    content = written([list(row), list(row.values())]).encode("utf-16" if how == "UTF-16" else "utf-8")
    path = warehouse.folder / f"extract{end}"
    path.write_bytes(gzip.compress(content) if end.endswith(".gz") else content)
    with pytest.raises(Refused) as refused:
        warehouse.land(feed, path)
    said = str(refused.value)
    assert said.startswith(str(path))
    assert sentence in said
    assert said.endswith(".")
    # A source takes records written otherwise; no source takes another feed.
    assert ("statements sources new" in said) == (feed == "cdrs" and BY_COMMAS in sentence)
    assert [value for value in [*row.values(), "Pat"] if str(value) in said.replace(str(path), "")] == []
    assert warehouse.receipts == []


def test_withdrawals_with_semicolons_are_told_so_too(warehouse):
    path = warehouse.folder / "withdrawn.csv"
    path.write_text("record_id;withdrawn\na;true\n", encoding="utf-8")
    with pytest.raises(Refused, match="It seems to be separated by ';'"):
        warehouse.land("cdrs", path)


def test_a_file_that_is_no_table_at_all_is_not_guessed_at(warehouse):
    path = warehouse.folder / "letter.csv"
    path.write_text("Dear Sir; dear Madam\n\nthe ip is in line 3\n", encoding="utf-8")
    with pytest.raises(Refused) as refused:
        warehouse.land("ip_assignments", path)
    assert "seems" not in str(refused.value)


# Values and usage on the command line ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("close 2026-13", "is not a month"),
        ("show 2026-13", "is not a month"),
        ("export 2026-13", "is not a month"),
        ("verify 2026-13", "is not a month"),
        ("close 2026-3", "is not a month"),
        ("close 9999-12", "is not a month"),
        ("show 9999-12", "is not a month"),
        ("export 2026-03 --format docx", "no format"),
        ("land calls tenants.csv", "'calls' is no feed"),
        ("land tenants tenants.csv --cutoff yesterday", "is not a time"),
        ("land tenants tenants.csv --cutoff 2026-03-01T00:00:00", "has no zone"),
        ("land tenants tenants.csv --cutoff 2026-03-21T00:00:00Z", "lies in the future"),
        ("land ip_assignments ips.csv --cutoff 2026-02-28T00:00:00Z", "after the cutoff"),
        ("land cdrs tenants.csv --cutoff 2026-03-01T00:00:00Z", "--cutoff belongs to assignment feeds"),
        ("assign number +12015550101 nobody", "There is no tenant 'nobody'"),
        ("assign number +12015550101 ALPHA", "There is no tenant 'ALPHA'"),
        ("assign number 12 alpha", "is no telephone number"),
        ("assign ip 300.1.1.1 alpha", "is no IP address"),
        ("assign fax +12015550101 alpha", "neither number nor ip"),
        ("release ip 192.0.2.9", "belongs to nobody"),
        ("tenant archive nobody", "There is no tenant"),
        ("assignments +12015550199", "was never assigned"),
        ("assignments nonsense", "neither a telephone number nor an IP"),
        ("explain nothing", "No record 'nothing' has landed"),
        ("tenant add --from missing.csv", "missing.csv"),
        ("tenant add --from long.jsonl", "has more than 16,000,000 bytes"),
    ],
)
def test_a_value_that_will_not_do_is_refused(landed, line, words):
    write_csv(landed.folder / "ips.csv", ip_of("alpha", recorded_at="2026-03-01T00:00:00Z"))
    with (landed.folder / "long.jsonl").open("wb") as handle:
        handle.truncate(10**12)
    assert_refused(landed, line, words)


@pytest.mark.parametrize(
    "line",
    ["landing", "close --force", "land", "land cdrs", "show", "export", "explain", "assign number", "tenant", "tenant add",
     "close 2026-03 2026-04", "land cdrs a.csv --valid-from 2026-01-01", "ui --port many"],
)  # fmt: skip
def test_wrong_usage_ends_with_2(landed, line):
    before = tree(landed.data)
    outcome = landed.run(line)
    assert outcome.exit_status == 2
    assert "Traceback" not in outcome.stderr
    assert tree(landed.data) == before


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STATEMENTS_FIRST_MONTH", "2026-13"),
        ("STATEMENTS_DEFAULT_CURRENCY", "dollars"),
        ("STATEMENTS_MEMORY_LIMIT", "much"),
        ("STATEMENTS_SPILL_LIMIT", "0GB"),
        ("STATEMENTS_THREADS", "0"),
        ("STATEMENTS_GRACE_HOURS", "-1"),
        ("STATEMENTS_GRACE_HOURS", "99999999999999999999"),
    ],
)
def test_a_setting_that_will_not_do_is_refused_by_name(landed, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert_refused(landed, "status", name)


# The same records in every format -------------------------------------------------------------------------------------

SAME = [
    record("a", started_at="2026-03-05T12:00:00Z", cost="0.1", currency="EUR", duration_seconds="61", call_id="c, \"1\"\n2"),
    record("b", started_at="2026-03-05T13:00:00.123456+01:00", cost="-123456789.123456789", billed_seconds="6"),
    record("c", started_at="2026-02-28T23:59:59.999999Z", cost="7", x_tenant="é", number="", duration_seconds=""),
]  # fmt: skip
CANONICAL = "* exclude (batch_id)"


def landed_rows(warehouse, path: Path) -> list[tuple]:
    warehouse.receipt("cdrs", path)
    return warehouse.usable(columns=CANONICAL, order="source_row")


@pytest.fixture(scope="module")
def expected(tmp_path_factory) -> list[tuple]:
    """What the records are when they land from CSV."""
    folder = tmp_path_factory.mktemp("csv")
    with pytest.MonkeyPatch.context() as monkeypatch:
        return landed_rows(Warehouse(folder, monkeypatch), write_csv(folder / "same.csv", *SAME))


def test_the_records_are_what_the_csv_says(expected):
    by_name = [(row[0], row[4], row[5], row[6], row[13], row[14]) for row in expected]
    assert by_name == [
        ("a", NOON, 61, 61, Decimal("0.1"), "EUR"),
        ("b", NOON + timedelta(microseconds=123456), 60, 6, Decimal("-123456789.123456789"), "USD"),
        ("c", datetime(2026, 2, 28, 23, 59, 59, 999999, UTC), 0, 0, Decimal(7), "USD"),
    ]
    assert [row[1] for row in expected] == ['c, "1"\n2', None, None]
    assert [row[-1] for row in expected] == [1, 2, 3]


def test_json_lines_with_text_land_the_same_rows(warehouse, tmp_path, expected):
    assert landed_rows(warehouse, write_jsonl(tmp_path / "same.jsonl", *SAME)) == expected


def test_json_lines_with_numbers_and_nulls_land_the_same_rows(warehouse, tmp_path, expected):
    lines = [json.dumps({name: value or None for name, value in row.items()}) for row in SAME]
    lines = [
        line.replace(f'"{name}": "{row[name]}"', f'"{name}": {row[name]}')
        for line, row in zip(lines, SAME, strict=True)
        for name in ["cost"]
    ]
    assert '"cost": -123456789.123456789' in lines[1]
    path = tmp_path / "same.ndjson"
    path.write_text("\n".join(lines), encoding="utf-8")
    assert landed_rows(warehouse, path) == expected


def test_parquet_with_text_lands_the_same_rows(warehouse, tmp_path, expected):
    assert landed_rows(warehouse, write_parquet(tmp_path / "same.parquet", *SAME)) == expected


def typed(row: dict) -> dict:
    return {
        **row,
        "started_at": datetime.fromisoformat(row["started_at"]),
        "cost": Decimal(row["cost"]),
        "duration_seconds": int(row["duration_seconds"]) if row["duration_seconds"] else None,
        "billed_seconds": int(row["billed_seconds"]) if row.get("billed_seconds") else None,
    }


@pytest.mark.parametrize(
    ("instant", "seconds"),
    [
        (MICROSECONDS, pa.int16()),
        (pa.timestamp("ns", tz="UTC"), pa.int32()),
        (pa.timestamp("us", tz="America/New_York"), pa.uint64()),
    ],
)
def test_parquet_with_types_of_its_own_lands_the_same_rows(warehouse, tmp_path, expected, instant, seconds):
    text_type = pa.dictionary(pa.int32(), pa.string())
    types = {
        "started_at": instant,
        "cost": pa.decimal128(18, 9),
        "duration_seconds": seconds,
        "billed_seconds": seconds,
        "service": text_type,
        "direction": text_type,
        "call_id": pa.large_string(),
        "currency": pa.dictionary(pa.int8(), pa.large_string()),
    }
    path = write_parquet(tmp_path / "same.parquet", *map(typed, SAME), types=types)
    assert landed_rows(warehouse, path) == expected


def test_a_wide_decimal_is_read_exactly_or_its_row_is_rejected(warehouse, tmp_path):
    costs = [Decimal("0.100000000000"), Decimal("0.0000000001"), Decimal("1234567890"), Decimal("-999999999.999999999")]
    path = tmp_path / "wide.parquet"
    write_parquet(
        path, *(record(f"r{n}", cost=cost) for n, cost in enumerate(costs)), types={"cost": pa.decimal128(38, 12)}
    )
    warehouse.receipt("cdrs", path)
    assert warehouse.usable(columns="record_id, cost") == [("r0", Decimal("0.1")), ("r3", costs[3])]
    assert warehouse.rejected("record_id, reason") == [("r1", "cost_unusable"), ("r2", "cost_unusable")]


@pytest.mark.parametrize(
    ("kind", "digits"),
    [(pa.decimal32(9, 2), 9), (pa.decimal64(18, 9), 18), (pa.decimal256(18, 9), 18), (pa.decimal256(38, 12), 38)],
)
def test_a_decimal_that_duckdb_reads_exactly_lands_however_wide_its_storage(warehouse, tmp_path, kind, digits):
    path = write_parquet(tmp_path / "a.parquet", record("a", cost=Decimal("-1234567.25")), types={"cost": kind})
    warehouse.receipt("cdrs", path)
    assert warehouse.usable(columns="cost") == [(Decimal("-1234567.25"),)], digits


def test_a_decimal_with_more_digits_than_its_type_is_rejected(warehouse, tmp_path):
    """A broken writer's: 2,147,483,647 in a column of nine digits."""
    path = tmp_path / "a.parquet"
    table = pa.Table.from_pylist([record("a", cost=None)])
    table = table.set_column(
        table.column_names.index("cost"), "cost", pa.array([Decimal(987654321)], pa.decimal128(9, 0))
    )
    pq.write_table(
        table, path, store_decimal_as_integer=True, compression="none", use_dictionary=False, write_statistics=False
    )
    content = path.read_bytes()
    assert content.count((987654321).to_bytes(4, "little")) == 1
    path.write_bytes(content.replace((987654321).to_bytes(4, "little"), (2**31 - 1).to_bytes(4, "little")))
    warehouse.receipt("cdrs", path)
    assert warehouse.rejected("record_id, reason") == [("a", "cost_unusable")]


@pytest.mark.slow
def test_every_type_that_is_accepted_is_read_as_what_it_is(tmp_path):
    """What the file declares, beside what DuckDB reads: a difference would be silent."""
    kinds = [pa.string(), pa.large_string(), pa.null(), pa.bool_(), MICROSECONDS, pa.timestamp("ns", tz="UTC")]
    kinds += [getattr(pa, f"{sign}int{bits}")() for sign in ("", "u") for bits in (8, 16, 32, 64)]
    kinds += [pa.decimal128(digits, 2) for digits in (3, 9, 18, 19, 38)]
    kinds += [pa.dictionary(pa.int8(), kind) for kind in (pa.string(), pa.decimal128(18, 9))]
    for number, kind in enumerate(kinds):
        path = tmp_path / f"{number}.parquet"
        empty = pa.array([], kind.value_type if pa.types.is_dictionary(kind) else kind)
        column = (
            pa.DictionaryArray.from_arrays(pa.array([], pa.int8()), empty) if pa.types.is_dictionary(kind) else empty
        )
        pq.write_table(pa.table({"a": column}), path)
        declared = pq.read_schema(path).field("a").type
        with duckdb.connect() as connection:
            ((_, read, *_),) = connection.execute(f"describe from read_parquet('{path}')").fetchall()
        column = Column("a", kind={"b": "flag", "t": "instant", "i": "seconds", "u": "seconds", "d": "money"}.get(str(kind)[0], "text"))  # fmt: skip
        if pa.types.is_dictionary(kind) and pa.types.is_decimal(kind.value_type):
            column = Column("a", kind="money")
        assert parquet_types.accepted_type(path, column, declared, read)
        for other in ("DOUBLE", "VARCHAR[]", "DECIMAL(38,3)", "HUGEINT", "TIMESTAMP", "TIMESTAMP_NS"):
            with pytest.raises(Refused):
                parquet_types.accepted_type(path, column, declared, other)


def test_an_integer_cost_is_whole_money(warehouse, tmp_path):
    warehouse.receipt("cdrs", write_parquet(tmp_path / "a.parquet", record("a", cost=3), types={"cost": pa.int64()}))
    assert warehouse.usable(columns="cost") == [(Decimal(3),)]


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_nanoseconds_are_cut_and_never_rounded_into_the_next_month(warehouse, tmp_path, form):
    text_of_it = "2026-03-31T23:59:59.999999999Z"
    warehouse.at("2026-04-02T00:00:00+00:00")
    if form == "parquet":
        last = pa.scalar(1775001599999999999, pa.timestamp("ns", tz="UTC"))
        table = pa.table({**{k: [v] for k, v in record("a").items()}, "started_at": pa.array([last.value], last.type)})
        path = tmp_path / "a.parquet"
        pq.write_table(table, path)
    else:
        path = {"csv": write_csv, "jsonl": write_jsonl}[form](
            tmp_path / f"a.{form}", record("a", started_at=text_of_it)
        )
    receipt = warehouse.receipt("cdrs", path)
    assert [file.month for file in receipt.files] == ["2026-03"]
    assert warehouse.usable(columns="started_at") == [(datetime(2026, 3, 31, 23, 59, 59, 999999, UTC),)]


def test_money_is_the_literal_text_of_a_json_number(warehouse, tmp_path):
    literals = {
        "0.1": "0.1",
        "123456789.123456789": "123456789.123456789",
        "9E-7": "0.0000009",
        "1e2": "100",
        "-0.000000001": "-0.000000001",
        "0.30000000000000000": "0.3",
        "100000000.000000001": "100000000.000000001",
    }
    misleading = '9E-7 "cost": 0.1'
    path = tmp_path / "money.jsonl"
    lines = [json.dumps(record(literal, cost="COST", call_id=misleading)) for literal in literals]
    path.write_text(
        "\n".join(line.replace('"COST"', literal) for line, literal in zip(lines, literals, strict=True)),
        encoding="utf-8",
    )
    warehouse.receipt("cdrs", path)
    assert dict(warehouse.usable(columns="record_id, cost")) == {key: Decimal(cost) for key, cost in literals.items()}
    assert {call for (call,) in warehouse.usable(columns="call_id")} == {misleading}


def test_the_order_of_columns_is_free(warehouse, tmp_path, expected):
    names = sorted({name for row in SAME for name in row})
    reordered = [{name: row.get(name, "") for name in names} for row in SAME]
    assert landed_rows(warehouse, write_csv(tmp_path / "same.csv", *reordered)) == expected


def test_a_byte_order_mark_and_crlf_change_nothing(warehouse, tmp_path, expected):
    content = write_csv(tmp_path / "same.csv", *SAME).read_text(encoding="utf-8")
    lines = content.replace("\r\n", "\n").replace('\n2"', "\x00").replace("\n", "\r\n").replace("\x00", '\n2"')
    path = tmp_path / "windows.csv"
    path.write_bytes(b"\xef\xbb\xbf" + lines.encode())
    assert landed_rows(warehouse, path) == expected


def test_line_feeds_alone_end_rows_too(warehouse, tmp_path, expected):
    content = write_csv(tmp_path / "same.csv", *SAME).read_bytes().replace(b"\r\n", b"\n")
    path = tmp_path / "unix.csv"
    path.write_bytes(content.rstrip(b"\n"))
    assert landed_rows(warehouse, path) == expected


def test_a_byte_order_mark_in_json_lines_is_refused_by_name(warehouse, tmp_path):
    path = tmp_path / "bom.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + write_jsonl(tmp_path / "same.jsonl", *SAME).read_bytes())
    with pytest.raises(Refused, match="byte order mark"):
        warehouse.land("cdrs", path)


def test_names_in_upper_case_say_the_format_too(warehouse, tmp_path, expected):
    assert landed_rows(warehouse, write_csv(tmp_path / "SAME.CSV", *SAME)) == expected


def test_a_file_name_with_glob_and_quote_characters_is_only_a_name(warehouse, tmp_path, expected):
    write_csv(tmp_path / "day-1.csv", record("other"))
    folder = tmp_path / "it's [a] *folder?"
    assert landed_rows(warehouse, write_csv(folder / "day-[1]*'s.csv", *SAME)) == expected


@pytest.mark.slow
@pytest.mark.parametrize("write", [write_csv, write_jsonl, write_parquet])
@pytest.mark.parametrize("stem", ["*", "?", "[a-z]", "**"])
def test_a_file_whose_name_is_a_pattern_lands_alone(warehouse, tmp_path, write, stem):
    suffix = {write_csv: ".csv", write_jsonl: ".jsonl", write_parquet: ".parquet"}[write]
    for name in ("a", "b"):
        write(tmp_path / f"{name}{suffix}", record("other"))
    assert warehouse.receipt("cdrs", write(tmp_path / f"{stem}{suffix}", record("mine"))).rows == 1
    assert warehouse.usable(columns="record_id") == [("mine",)]


def test_an_extract_without_rows_can_carry_a_cutoff(warehouse, tmp_path):
    warehouse.at("2026-03-20T12:00:00+00:00")
    path = tmp_path / "none.csv"
    path.write_text("ip,account_id,recorded_at\n", encoding="utf-8")
    receipt = warehouse.receipt("ip_assignments", path, cutoff="2026-03-20T11:00:00+00:00")
    assert (receipt.rows, receipt.files) == (0, [])
    assert receipt.cutoff == datetime(2026, 3, 20, 11, tzinfo=UTC)
    later = warehouse.receipt("ip_assignments", path, cutoff="2026-03-20T12:00:00+00:00")
    assert later.cutoff == datetime(2026, 3, 20, 12, tzinfo=UTC)
    assert later.batch_id != receipt.batch_id


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_cdrs_file_without_rows_lands_as_a_batch_without_rows(warehouse, tmp_path, form):
    path = tmp_path / f"none.{form}"
    if form == "csv":
        path.write_text(HEADER, encoding="utf-8")
    elif form == "jsonl":
        path.write_text("\n", encoding="utf-8")
    else:
        pq.write_table(pa.table({name: pa.array([], pa.string()) for name in HEADER.split(",")}), path)
    receipt = warehouse.receipt("cdrs", path)
    assert (receipt.rows, receipt.files, receipt.rejected) == (0, [], None)


def test_an_event_file_is_the_same_in_every_format(warehouse, tmp_path):
    events = [
        number_of("alpha", number="(201) 555-0101", recorded_at="2026-01-01T00:00:00Z"),
        number_of("", recorded_at="2026-02-01T00:00:00Z"),
    ]
    warehouse.receipt("number_assignments", write_csv(tmp_path / "n.csv", *events))
    from_csv = warehouse.usable("number_assignments", "number, account_id, event_type, valid_from, recorded_at")
    assert [row[:3] for row in from_csv] == [("+12015550101", "alpha", "start"), ("+12015550101", None, "release")]
    again = warehouse.receipt("number_assignments", write_jsonl(tmp_path / "n.jsonl", *events))
    typed_events = [{**row, "recorded_at": datetime.fromisoformat(row["recorded_at"])} for row in events]
    once_more = warehouse.receipt(
        "number_assignments", write_parquet(tmp_path / "n.parquet", *typed_events, types={"recorded_at": MICROSECONDS})
    )
    assert (again.duplicates, again.files, once_more.duplicates, once_more.files) == (2, [], 2, [])
    assert RECORDED.startswith("2026-01-01")

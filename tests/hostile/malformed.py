"""The table of malformed files: what a carrier's or a registry's export looks like on a bad day, and what becomes of it.

What belongs here: how each file is made, and whether it lands. What does not: landing it. Each feed has two good rows,
and each case does one thing to a file of them. A case that lands says how many rows become usable and how many are
rejected; one that is refused says a word of the sentence.
"""

import gzip
import json
import random
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.unit.deliveries import Row, ip_of, number_of, record, tenant, write_csv, write_jsonl, write_parquet

Make = Callable[[Path], object]

GOOD: dict[str, list[Row]] = {
    "cdrs": [record("good-1"), record("good-2", cost="0.02")],
    "tenants": [tenant("alpha"), tenant("beta")],
    "number_assignments": [number_of("alpha", "+12015550101"), number_of("beta", "+12015550102")],
    "ip_assignments": [ip_of("alpha", "192.0.2.1"), ip_of("beta", "192.0.2.2")],
}
WRITERS = {".csv": write_csv, ".jsonl": write_jsonl, ".parquet": write_parquet}
# A column of text, of time and an optional one, in each feed.
TEXT = {"cdrs": "record_id", "tenants": "city", "number_assignments": "number", "ip_assignments": "ip"}
TIME = {"cdrs": "started_at", "tenants": "recorded_at", "number_assignments": "recorded_at", "ip_assignments": "recorded_at"}  # fmt: skip
OPTIONAL = {"cdrs": "call_id", "tenants": "address2", "number_assignments": "valid_from", "ip_assignments": "valid_from"}  # fmt: skip
# Where only the form of a file differs, one feed of records and one of who held what stand for all.
FEEDS_OF_FORMS = ("cdrs", "tenants")
NOON = datetime(2026, 3, 5, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Lands:
    """The file lands, with so many usable and so many rejected rows."""

    usable: int
    rejected: int = 0


@dataclass(frozen=True)
class Refused:
    """The file is refused, and the sentence has these words in it."""

    words: str = ""


@dataclass(frozen=True)
class Either:
    """Bytes that were damaged at random: whether a reader notices is its luck, but it must do so without a traceback."""


Outcome = Lands | Refused | Either


@dataclass(frozen=True)
class Case:
    """A file of a feed that something was done to."""

    feed: str
    suffix: str
    what: str
    make: Make
    outcome: Outcome

    @property
    def name(self) -> str:
        return f"{self.feed}{self.suffix}: {self.what}"


def written(rows: list[Row]) -> Make:
    return lambda path: WRITERS[path.suffix](path, *rows)


def renamed(row: Row, old: str, new: str) -> Row:
    return {new if name == old else name: value for name, value in row.items()}


# Schema drift: every feed in every format -----------------------------------------------------------------------------


def drifted(feed: str) -> dict[str, tuple[list[Row], Outcome]]:
    """How the columns of an export change over the years: what happened → the rows, and what becomes of them."""
    text, moment, optional = TEXT[feed], TIME[feed], OPTIONAL[feed]
    is_cdrs = feed == "cdrs"
    # A bad row of cdrs is rejected on its own; in a feed that says who held what it refuses the file.
    bad_rows = Lands(0, 2) if is_cdrs else Refused("Nothing of the file was landed")
    empty_text = bad_rows if is_cdrs else Refused("missing")
    kinds: dict[str, tuple[Callable[[Row], Row], Outcome]] = {
        "a column is gone": (lambda row: {k: v for k, v in row.items() if k != text}, Refused(f"lacks {text}")),
        "a column is new": (lambda row: {**row, "colour": "red"}, Refused("unknown column")),
        "a column has another name": (lambda row: renamed(row, text, f"the_{text}"), Refused("lacks")),
        "a column has its name in capitals": (lambda row: renamed(row, text, text.upper()), Refused("lacks")),
        "a column has a blank before its name": (lambda row: renamed(row, text, f" {text}"), Refused("lacks")),
        "the columns stand the other way round": (lambda row: dict(reversed(row.items())), Lands(2)),
        "an optional column is there": (lambda row: {**row, optional: row.get(optional, "")}, Lands(2)),
        "a column is empty in every row": (lambda row: {**row, text: ""}, empty_text),
        "times have lost their zone": (lambda row: {**row, moment: row[moment].removesuffix("Z")}, Refused("zone")),
        "times are seconds since 1970": (lambda row: {**row, moment: "1772704800"}, bad_rows),
        "times are written as Americans do": (lambda row: {**row, moment: "03/05/2026 10:00 AM"}, bad_rows),
        "the header is gone": (lambda row: {str(value) or name: value for name, value in row.items()}, Refused("lacks")),
    }  # fmt: skip
    return {what: ([change(row) for row in GOOD[feed]], outcome) for what, (change, outcome) in kinds.items()}


def drifts() -> Iterator[Case]:
    for feed in GOOD:
        for suffix in WRITERS:
            for what, (rows, outcome) in drifted(feed).items():
                yield Case(feed, suffix, what, written(rows), outcome)
            yield Case(feed, suffix, "a file of another feed", written(GOOD[OTHER[feed]]), Refused(OTHER[feed]))


OTHER = {
    "cdrs": "tenants",
    "tenants": "ip_assignments",
    "number_assignments": "cdrs",
    "ip_assignments": "number_assignments",
}


# Bytes that are no such file ------------------------------------------------------------------------------------------


def text_of(feed: str, suffix: str) -> str:
    """The good rows as the text of a file, with line feeds."""
    rows = GOOD[feed]
    if suffix == ".jsonl":
        return "".join(json.dumps(row) + "\n" for row in rows)
    lines = [",".join(rows[0]), *(",".join(str(value) for value in row.values()) for row in rows)]
    return "".join(f"{line}\n" for line in lines)


def content(given: str | bytes) -> Make:
    raw = given.encode() if isinstance(given, str) else given
    return lambda path: path.write_bytes(raw)


def zipped(given: str) -> Make:
    def make(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("xl/worksheets/sheet1.xml", given)

    return make


def foreign_bytes() -> Iterator[Case]:
    """What is under a name that it does not deserve, for both formats of text and every feed."""
    for feed in FEEDS_OF_FORMS:
        for suffix in (".csv", ".jsonl"):
            text = text_of(feed, suffix)
            noise = random.Random(feed).randbytes(4096)
            kinds: dict[str, tuple[Make, Outcome]] = {
                "nothing at all": (content(b""), Refused("is empty")),
                "a byte order mark and nothing else": (content(b"\xef\xbb\xbf"), Refused()),
                "UTF-16 with its mark": (content(text.encode("utf-16")), Refused()),
                "UTF-16 without": (content(text.encode("utf-16-le")), Refused()),
                "UTF-32": (content(text.encode("utf-32")), Refused()),
                "Latin-1 with an umlaut": (content(text.replace("0", "\xfc", 1).encode("latin-1")), Refused()),
                "an overlong encoding": (content(text.encode().replace(b"0", b"\xc0\xaf", 1)), Refused()),
                "gzip": (content(gzip.compress(text.encode(), mtime=0)), Refused()),
                "a workbook": (zipped(text), Refused()),
                "noise": (content(noise), Refused()),
                "NUL bytes alone": (content(bytes(4096)), Refused()),
                "a page that says Bad Gateway": (content("<html>\n<h1>502 Bad Gateway</h1>\n</html>\n"), Refused()),
                "a Parquet file": (lambda path, rows=GOOD[feed]: write_parquet(path, *rows), Refused()),
                "a line without end": (content(text.splitlines()[0] + "x" * 5_000_000), Refused()),
            }
            for what, (make, outcome) in kinds.items():
                yield Case(feed, suffix, what, make, outcome)


# CSV ------------------------------------------------------------------------------------------------------------------


def csv_forms() -> Iterator[Case]:
    for feed in FEEDS_OF_FORMS:
        text = text_of(feed, ".csv")
        header, first, second = text.splitlines()
        names = header.split(",")
        in_text = names.index(TEXT[feed])

        def with_text(value: str, row: str = first, place: int = in_text) -> str:
            cells = row.split(",")
            cells[place] = value
            return ",".join(cells)

        lines = f"{header}\n{{}}\n{second}\n".format
        # Text columns take any text; who is named in an assignment has to be a number or an IP to be of use, and lands.
        kinds: dict[str, tuple[str | bytes, Outcome]] = {
            "a header without rows": (header, Lands(0)),
            "Windows line ends": (text.replace("\n", "\r\n"), Lands(2)),
            "line ends of both kinds": (text.replace("\n", "\r\n", 1), Refused("do not all end alike")),
            "line ends of an old Macintosh": (text.replace("\n", "\r"), Lands(2)),
            "no line end at its end": (text.rstrip("\n"), Lands(2)),
            "a byte order mark": (b"\xef\xbb\xbf" + text.encode(), Lands(2)),
            "two byte order marks": (b"\xef\xbb\xbf" * 2 + text.encode(), Refused("lacks")),
            "a header in quotes": (text.replace(header, ",".join(f'"{name}"' for name in names)), Lands(2)),
            "a quote that is opened and never closed": (lines(with_text('"open')), Refused()),
            "a quote that is closed early": (lines(with_text('"a"b')), Refused()),
            "a quote that is never closed in the header": (text.replace(names[0], f'"{names[0]}', 1), Refused()),
            "a header twice": (f"{header}\n{text}", Lands(2, 1) if feed == "cdrs" else Refused()),
            "a column twice": (f"{header},{names[-1]}\n", Refused("repeats")),
            "semicolons": (text.replace(",", ";"), Refused("lacks")),
            "tabs": (text.replace(",", "\t"), Refused("lacks")),
            "a comma too many in each row": (f"{header}\n{first},\n{second},\n", Lands(2)),
            "a comma too many in the header": (f"{header},\n{first}\n{second}\n", Refused("unknown column")),
            "a row that is too short": (lines(first.rsplit(",", 2)[0]), Refused()),
            "a row that is too long": (lines(first + ",more,and more"), Refused()),
            "an empty line between": (f"{header}\n{first}\n\n{second}\n", Lands(2)),
            "a comment on top": (f"# made by hand\n{text}", Refused("lacks")),
            "Excel's own first line": (f"sep=,\n{text}", Refused("lacks")),
            "five thousand columns": (",".join(f"c{number}" for number in range(5_000)) + "\n", Refused("unknown")),
            "a name of a megabyte": ("x" * 1_000_000 + f",{text}", Refused()),
        }
        for what, (given, outcome) in kinds.items():
            yield Case(feed, ".csv", what, content(given), outcome)

    header, first, second = text_of("cdrs", ".csv").splitlines()
    values: dict[str, tuple[str, Outcome]] = {
        "an id of 300 characters": ("x" * 300, Lands(2)),
        "an id of a megabyte": ("x" * 1_000_000, Lands(2)),
        "an id of five megabytes": ("x" * 5_000_000, Refused()),
        "a NUL byte inside a value": ("a\x00b", Lands(2)),
        "a line break inside quotes": ('"a\nb"', Lands(2)),
        "quotes inside quotes": ('"a""b"', Lands(2)),
        "a blank alone": (" ", Lands(2)),
        "a mark that turns text around": ("a\u202eb", Lands(2)),
        "a line separator": ("a\u2028b", Lands(2)),
        "a character beyond the first plane": ("\U0001f4a3", Lands(2)),
        "a character that does not exist": ("\uffff", Lands(2)),
    }
    for what, (value, outcome) in values.items():
        row = ",".join([value, *first.split(",")[1:]])
        yield Case("cdrs", ".csv", what, content(f"{header}\n{row}\n{second}\n"), outcome)
    for what, name, value in REJECTED_VALUES:
        yield Case("cdrs", ".csv", what, written([{**GOOD["cdrs"][0], name: value}, GOOD["cdrs"][1]]), Lands(1, 1))
    for what, value in ODD_TIMES.items():
        yield Case("cdrs", ".csv", what, written([{**GOOD["cdrs"][0], "started_at": value}, GOOD["cdrs"][1]]), Lands(1, 1))  # fmt: skip
    for what, value in HOSTILE_ACCOUNTS.items():
        for feed in ("tenants", "number_assignments", "ip_assignments"):
            rows = [{**GOOD[feed][0], "account_id": value}, GOOD[feed][1]]
            yield Case(feed, ".csv", f"an Account ID {what}", written(rows), Refused("account_id may hold"))


REJECTED_VALUES = [
    ("a cost that is no number", "cost", "NaN"),
    ("a cost without end", "cost", "Infinity"),
    ("a cost in hexadecimal", "cost", "0x10"),
    ("a cost with a comma for a point", "cost", "0,01"),
    ("a cost in dollars", "cost", "$0.01"),
    ("a cost in Arabic digits", "cost", "\u0660.\u0660\u0661"),
    ("a cost of a hundred digits", "cost", "9" * 100),
    ("a cost with an exponent without end", "cost", "1e999999999"),
    ("a cost that is a formula", "cost", "=1+1"),
    ("seconds below zero", "duration_seconds", "-1"),
    ("seconds with a fraction", "duration_seconds", "1.5"),
    ("seconds beyond every call", "duration_seconds", "9" * 30),
    ("a service nobody knows", "service", "'; drop table usage; --"),
    ("a direction nobody knows", "direction", "sideways"),
    ("a currency nobody knows", "currency", "XXY"),
]
ODD_TIMES = {
    "the thirtieth of February": "2026-02-30T10:00:00Z",
    "the twenty-fifth hour": "2026-03-05T25:00:00Z",
    "a leap second": "2026-03-05T23:59:60Z",
    "the year zero": "0000-03-05T10:00:00Z",
    "the year 294247": "294247-01-10T04:00:54Z",
    "the day after tomorrow": "2026-04-20T10:00:00Z",
    "the end of time": "infinity",
    "a zone by its name": "2026-03-05T10:00:00 Europe/Berlin",
    "an offset of a day": "2026-03-05T10:00:00+24:00",
    "a time of NUL bytes": "\x00\x00",
}
HOSTILE_ACCOUNTS = {
    "that climbs": "../../etc/passwd",
    "with two dots": "a..b",
    "with a blank": "a b",
    "with a line break": "alpha\n",
    "with a NUL byte": "al\x00pha",
    "of 300 characters": "x" * 300,
    "in Greek": "\u03b1lpha",
}


# JSON Lines -----------------------------------------------------------------------------------------------------------


def json_forms() -> Iterator[Case]:
    for feed in FEEDS_OF_FORMS:
        text = text_of(feed, ".jsonl")
        first, second = text.splitlines()
        name = TEXT[feed]
        kinds: dict[str, tuple[str, Outcome]] = {
            "an array around the lines": (f"[{first},{second}]\n", Refused("JSON object")),
            "a comma after each line": (f"{first},\n{second},\n", Refused()),
            "an object over many lines": (json.dumps(GOOD[feed][0], indent=1) + "\n", Refused()),
            "single quotes": (text.replace('"', "'"), Refused()),
            "a line that ends early": (f"{first}\n{second[:-9]}\n", Refused()),
            "a bare word": (f"{first}\nnothing\n", Refused()),
            "a null for a line": (f"{first}\nnull\n", Refused("JSON object")),
            "a name twice in a line": (first[:-1] + f', "{name}": "again"}}\n{second}\n', Refused("each name once")),
            "a list for a value": (first[:-1] + ', "colour": ["red"]}\n' + second + "\n", Refused()),
            "an object for a value": (text.replace(f'"{name}": "', f'"{name}": {{"a": "').replace('",', '"},', 1), Refused()),
            "a thousand lists in each other": (first[:-1] + f', "{OPTIONAL[feed]}": {"[" * 1000}{"]" * 1000}}}\n', Refused()),
            "a hundred thousand lists in each other": (first[:-1] + f', "{OPTIONAL[feed]}": {"[" * 100_000}\n', Refused()),
            "an empty name": (first[:-1] + ', "": "x"}\n' + second + "\n", Refused("unknown column")),
            "a name that is a JSON path": (first[:-1] + ', "$.cost\\"]": "x"}\n' + second + "\n", Refused("unknown column")),
            "an object without names": ("{}\n", Refused("lacks")),
            "a comment": (f"// by hand\n{text}", Refused()),
            "empty lines between": (text.replace("\n", "\n\n"), Lands(2)),
            "Windows line ends": (text.replace("\n", "\r\n"), Lands(2)),
        }  # fmt: skip
        for what, (given, outcome) in kinds.items():
            yield Case(feed, ".jsonl", what, content(given), outcome)
    first, second = text_of("cdrs", ".jsonl").splitlines()
    values: dict[str, tuple[str, str, Outcome]] = {
        "a NUL in a value": ("record_id", r'"a\u0000b"', Lands(2)),
        "half a character": ("record_id", r'"a\ud800b"', Refused()),
        "an id that is a number": ("record_id", "17", Lands(2)),
        "a cost that is no number": ("cost", "NaN", Lands(1, 1)),
        "a cost without end": ("cost", "Infinity", Lands(1, 1)),
        "a cost with an exponent without end": ("cost", "1e999", Lands(1, 1)),
        "a cost with zeros in front": ("cost", "007", Refused()),
        "a cost that is true": ("cost", "true", Lands(1, 1)),
        "a cost of null": ("cost", "null", Lands(1, 1)),
        "a time that is a number": ("started_at", "1772704800", Lands(1, 1)),
        "a time with a broken escape": ("started_at", r'"2026\x"', Refused()),
    }
    for what, (name, value, outcome) in values.items():
        line = first.replace(json.dumps(GOOD["cdrs"][0][name]), value, 1)
        assert line != first
        yield Case("cdrs", ".jsonl", what, content(f"{line}\n{second}\n"), outcome)


# Parquet --------------------------------------------------------------------------------------------------------------


def whole_parquet(feed: str, path: Path) -> bytes:
    write_parquet(path, *GOOD[feed] * 200)
    return path.read_bytes()


def damaged(feed: str, damage: Callable[[bytes], bytes]) -> Make:
    return lambda path: path.write_bytes(damage(whole_parquet(feed, path)))


def retyped(feed: str, name: str, value: object, kind: pa.DataType) -> Make:
    """The good rows, one column of another type."""

    def make(path: Path) -> None:
        table = pa.table({n: pa.array([row.get(n) for row in GOOD[feed]]) for n in GOOD[feed][0]})
        column = pa.array([value] * 2, type=kind)
        if name in table.column_names:
            table = table.set_column(table.column_names.index(name), name, column)
        else:
            table = table.append_column(name, column)
        pq.write_table(table, path)

    return make


def with_options(**options) -> Make:
    return lambda path: pq.write_table(pa.Table.from_pylist(GOOD["cdrs"]), path, **options)


def int96(path: Path) -> None:
    table = pa.Table.from_pylist(GOOD["cdrs"])
    table = table.set_column(
        table.column_names.index("started_at"), "started_at", pa.array([NOON, NOON], pa.timestamp("ns", tz="UTC"))
    )
    pq.write_table(table, path, use_deprecated_int96_timestamps=True)


def a_column_twice(path: Path) -> None:
    rows = GOOD["cdrs"]
    names = [*rows[0], "cost"]
    pq.write_table(pa.table([pa.array([row[name] for row in rows]) for name in names], names=names), path)


def flipped(at: float) -> Callable[[bytes], bytes]:
    """One byte turned round, at a fraction of the file's length."""

    def damage(raw: bytes) -> bytes:
        place = int(len(raw) * at)
        return raw[:place] + bytes([raw[place] ^ 0xFF]) + raw[place + 1 :]

    return damage


def parquet_forms() -> Iterator[Case]:
    for feed in FEEDS_OF_FORMS:
        kinds: dict[str, tuple[Callable[[bytes], bytes], Outcome]] = {
            "another magic at its start": (lambda raw: b"PAR2" + raw[4:], Either()),
            "another magic at its end": (lambda raw: raw[:-4] + b"PAR2", Refused("not a whole Parquet file")),
            "the magic of an encrypted file": (lambda raw: b"PARE" + raw[4:-4] + b"PARE", Refused()),
            "the magic and nothing else": (lambda _: b"PAR1", Refused()),
            "the magic twice": (lambda _: b"PAR1PAR1", Refused()),
            "a footer that lost a byte": (lambda raw: raw[:-9] + raw[-8:], Refused()),
            "a footer that is cut": (lambda raw: raw[:-100], Refused()),
            "its first half": (lambda raw: raw[: len(raw) // 2], Refused()),
            "its last half": (lambda raw: raw[len(raw) // 2 :], Refused()),
            "a footer of length zero": (lambda raw: raw[:-8] + struct.pack("<I", 0) + b"PAR1", Refused()),
            "a footer longer than the file": (lambda raw: raw[:-8] + struct.pack("<I", 2**31 - 1) + b"PAR1", Refused()),
            "a footer of noise": (lambda raw: raw[:-200] + random.Random(1).randbytes(192) + raw[-8:], Refused()),
            "pages of zeros": (lambda raw: raw[:8] + bytes(600) + raw[608:], Refused()),
            "bytes after its end": (lambda raw: raw + b"and more", Refused()),
            "nothing at all": (lambda _: b"", Refused("is empty")),
            "the text of a CSV file": (lambda _: text_of("cdrs", ".csv").encode(), Refused("not a whole Parquet")),
        }
        for what, (damage, outcome) in kinds.items():
            yield Case(feed, ".parquet", what, damaged(feed, damage), outcome)
    for percent in range(1, 100, 4):
        yield Case("cdrs", ".parquet", f"a byte turned round at {percent} %", damaged("cdrs", flipped(percent / 100)), Either())  # fmt: skip

    naive = NOON.replace(tzinfo=None)
    utc = {unit: pa.timestamp(unit, tz="UTC") for unit in ("s", "ms", "us", "ns")}
    long_ago, far_ahead = -(2**63) + 1, 2**63 - 1
    types: dict[str, tuple[str, object, pa.DataType, Outcome]] = {
        "times in whole seconds": ("started_at", NOON, utc["s"], Lands(2)),
        "times in milliseconds": ("started_at", NOON, utc["ms"], Lands(2)),
        "times in nanoseconds": ("started_at", NOON, utc["ns"], Lands(2)),
        "times without a zone": ("started_at", naive, pa.timestamp("us"), Refused("zone")),
        "times in nanoseconds without a zone": ("started_at", naive, pa.timestamp("ns"), Refused("zone")),
        "dates for times": ("started_at", date(2026, 3, 5), pa.date32(), Refused("must hold")),
        "times of day for times": ("started_at", time(10), pa.time64("us"), Refused("must hold")),
        "integers for times": ("started_at", 1772704800, pa.int64(), Refused("must hold")),
        "a time before all times": ("started_at", long_ago, utc["us"], Lands(0, 2)),
        "a time after all times": ("started_at", far_ahead, utc["us"], Lands(0, 2)),
        "a time in milliseconds beyond microseconds": ("started_at", far_ahead // 1000, utc["ms"], Lands(0, 2)),
        "a time in the year 10000": ("started_at", 253402300800000000, utc["us"], Lands(0, 2)),
        "a time in the year 9999": ("started_at", 253402300799000000, utc["us"], Lands(0, 2)),
        "a time before our era": ("started_at", -62135596800000001, utc["us"], Lands(0, 2)),
        "a cost that is a double": ("cost", 0.1, pa.float64(), Refused("inexact")),
        "a cost that is no number": ("cost", float("nan"), pa.float64(), Refused("inexact")),
        "a cost that is half a float": ("cost", 0.5, pa.float16(), Refused("inexact")),
        "a cost that is true": ("cost", True, pa.bool_(), Refused("must hold")),
        "a cost of 76 digits": ("cost", Decimal(1), pa.decimal256(76, 9), Refused("read as DOUBLE")),
        "a cost of 38 digits in wider storage": ("cost", Decimal(1), pa.decimal256(38, 9), Lands(2)),
        "a cost that is too large": ("cost", Decimal(10**20), pa.decimal128(38, 9), Lands(0, 2)),
        "seconds below zero": ("duration_seconds", -1, pa.int64(), Lands(0, 2)),
        "seconds beyond every call": ("duration_seconds", 2**64 - 1, pa.uint64(), Lands(0, 2)),
        "an id that is a number": ("record_id", 17, pa.int64(), Refused("must hold text")),
        "an id of bytes": ("record_id", b"\xff\xfe", pa.binary(), Refused("must hold text")),
        "an id of bytes of one length": ("record_id", b"\xff\xfe", pa.binary(2), Refused("must hold text")),
        "an id in a list": ("record_id", ["a"], pa.list_(pa.string()), Refused("must hold text")),
        "an id in a struct": ("record_id", {"a": "b"}, pa.struct({"a": pa.string()}), Refused("must hold text")),
        "an id in a map": ("record_id", [("a", "b")], pa.map_(pa.string(), pa.string()), Refused("must hold text")),
        "a struct for a column of its own": ("colour", {"a": "b"}, pa.struct({"a": pa.string()}), Refused("unknown")),
        "a struct with a column's name inside": ("call_id", {"cost": "1"}, pa.struct({"cost": pa.string()}), Refused("must hold")),
        "an id that is always null": ("record_id", None, pa.null(), Lands(0, 2)),
        "an id that is one of few": ("record_id", "few", pa.dictionary(pa.int8(), pa.string()), Lands(2)),
        "an id that is one of few numbers": ("record_id", 1, pa.dictionary(pa.int8(), pa.int64()), Refused("must hold")),
        "an id that is true": ("record_id", True, pa.bool_(), Refused("must hold text")),
        "an id of 300 characters": ("record_id", "x" * 300, pa.string(), Lands(2)),
        "an id with a NUL": ("record_id", "a\x00b", pa.string(), Lands(2)),
    }  # fmt: skip
    for what, (name, value, kind, outcome) in types.items():
        yield Case("cdrs", ".parquet", what, retyped("cdrs", name, value, kind), outcome)
    whole: dict[str, tuple[Make, Outcome]] = {
        "INT96 for times": (int96, Refused("zone")),
        "a column twice": (a_column_twice, Refused("repeats cost")),
        "no columns": (lambda path: pq.write_table(pa.table({}), path), Refused("lacks")),
        "five thousand columns": (lambda path: pq.write_table(pa.table({f"c{n}": ["x"] for n in range(5_000)}), path), Refused("unknown")),
        "a row group a row": (with_options(row_group_size=1), Lands(2)),
        "gzip inside": (with_options(compression="gzip"), Lands(2)),
        "brotli inside": (with_options(compression="brotli"), Lands(2)),
        "no compression": (with_options(compression="none"), Lands(2)),
        "other encodings": (with_options(use_dictionary=False, column_encoding="DELTA_BYTE_ARRAY"), Lands(2)),
        "page checksums": (with_options(write_page_checksum=True), Lands(2)),
    }  # fmt: skip
    for what, (make, outcome) in whole.items():
        yield Case("cdrs", ".parquet", what, make, outcome)


CASES = {
    case.name: case
    for make in (drifts, foreign_bytes, csv_forms, json_forms, parquet_forms)
    for case in make()
}  # fmt: skip

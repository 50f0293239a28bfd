"""A first declaration of a file that no source covers: what its columns seem to be, written down to be finished.

What belongs here: looking at a sample, and the text of the draft. What does not: reading the file in earnest, or
judging the draft; `checking` does that as for any source. Nothing relies on a guess: an operator reads the draft.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from orchestration import files
from orchestration.errors import Refused
from orchestration.landing import guesses, input_files
from orchestration.landing.input_files import InputFile
from orchestration.settings import Settings
from orchestration.sources import declaration

SAMPLE = 1_000_000
MOST_ROWS = 2_000
# How a date and time that is not ISO 8601 may be written. Of two that fit the first is taken, and both are named.
TIME_FORMATS = (
    "%m/%d/%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p", "%d/%m/%Y %I:%M:%S %p", "%m/%d/%Y %H:%M",
    "%d/%m/%Y %H:%M", "%m/%d/%Y %I:%M %p", "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d-%m-%Y %H:%M:%S",
    "%Y/%m/%d %H:%M:%S", "%Y%m%d%H%M%S", "%d %b %Y %H:%M:%S", "%b %d, %Y %I:%M:%S %p", "%d-%b-%Y %H:%M:%S",
)  # fmt: skip
ISO_LOCAL = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?")
ISO_INSTANT = re.compile(ISO_LOCAL.pattern + r" ?(Z|[+-]\d{2}:?(\d{2})?)")
EPOCHS = {10: "epoch_s", 13: "epoch_ms", 16: "epoch_us"}
CLOCK = {"hh:mm:ss": re.compile(r"\d{1,5}:[0-5]?\d:[0-5]?\d([.,]\d+)?"), "mm:ss": re.compile(r"\d{1,7}:[0-5]?\d")}
NUMBER = re.compile(r"[+(]?[\d(][\d() .-]{2,19}")
POINT = re.compile(r"[+-]?\d{1,3}(,\d{3})*(\.\d+)?|[+-]?\d+(\.\d+)?")
COMMA = re.compile(r"[+-]?\d{1,3}(\.\d{3})*(,\d+)?|[+-]?\d+(,\d+)?")
SIGNS = {"€": "EUR", "$": "USD", "£": "GBP", "USD": "USD", "EUR": "EUR", "GBP": "GBP", "AUD": "AUD", "CAD": "CAD"}
IP = re.compile(r"\d{1,3}(\.\d{1,3}){3}")
# The names that columns often have, best first. A name counts when it holds one of these words.
NAMES = {
    "record_id": (
        "uuid",
        "uniqueid",
        "unique id",
        "cdr id",
        "record id",
        "call id",
        "callid",
        "sid",
        "id",
        "reference",
    ),
    "started_at": ("start", "call date", "calldate", "date time", "datetime", "timestamp", "date", "time", "begin"),
    "duration_seconds": (
        "total duration",
        "call duration",
        "duration",
        "seconds",
        "secs",
        "length",
        "talk",
        "dauer",
        "dur",
    ),
    "billed_seconds": ("billable duration", "billed", "billable", "billsec", "charged duration", "rated"),
    "from_number": (
        "call from",
        "caller",
        "source",
        "originating",
        "from",
        "ani",
        "cli",
        "calling",
        "src",
        "quelle",
        "origen",
    ),
    "to_number": (
        "call to",
        "callee",
        "destination",
        "terminating",
        "dialled",
        "dialed",
        "called",
        "dnis",
        "to",
        "dst",
        "ziel",
        "destino",
    ),
    "source_ip": ("source ip", "src ip", "ip"),
    "cost": ("total cost", "cost", "charge", "amount", "price", "total", "fee"),
    "currency": ("currency",),
    "direction": ("direction", "call type", "type"),
}
INBOUND = ("in", "inbound", "incoming", "received", "eingehend", "entrant", "entrante", "inkomend")
OUTBOUND = ("out", "outbound", "outgoing", "dialed", "dialled", "ausgehend", "sortant", "saliente", "uitgaand")


@dataclass(frozen=True)
class _Sample:
    """The start of a file: how its text is written, its columns, and some of the values of each."""

    keys: dict[str, object]
    columns: tuple[str, ...]
    values: dict[str, list[str]]


@dataclass(frozen=True)
class Draft:
    """A declaration to be finished, and what is left to do, a sentence each."""

    text: str
    to_do: list[str]


def write(settings: Settings, file: Path, name: str | None, zone: str | None) -> tuple[Path, Draft]:
    """Write the draft of a file's declaration into the operator's sources; refused where one of its name stands."""
    name = name or re.sub("[^a-z0-9]+", "-", file.name.partition(".")[0].lower()).strip("-")[:60]
    if not declaration.NAME.fullmatch(name):
        raise Refused(f"{name!r} is no name of a source: small letters, digits, '-' and '_'. Give one with --name.")
    target = settings.sources / f"{name}.toml"
    shipped = declaration.SHIPPED / target.name
    if target.exists() or shipped.exists():
        raise Refused(f"{target if target.exists() else shipped} exists already. Give another name with --name.")
    made = draft(file, zone)
    with files.disk_errors():
        settings.sources.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as handle:
            handle.write(made.text)
    return target, made


def draft(path: Path, zone: str | None) -> Draft:
    """A declaration of a file's columns as they seem to be. Refused when no table can be seen in it."""
    file = input_files.look_at(path, declaration.FORMATS)
    if file.form.kind == "xlsx":
        raise Refused(f'{path}: save the sheet as CSV first, draft its declaration, and then write formats = ["xlsx"].')
    sample = _json_sample(file) if file.form.kind == "json" else _csv_sample(file)
    return _Writer(path, sample, zone).draft()


def _json_sample(file: InputFile) -> _Sample:
    start = _start(file)
    if seems := guesses.json(start):
        raise Refused(f"{file.path} cannot be looked at. {seems}")
    values: dict[str, list[str]] = {}
    for line in start.decode("utf-8", "replace").splitlines()[:MOST_ROWS]:
        try:
            found = json.loads(line, parse_float=str, parse_int=str)
        except ValueError:
            continue
        for name, value in found.items() if isinstance(found, dict) else ():
            if isinstance(value, str) and value:
                values.setdefault(name, []).append(value)
    if not values:
        raise Refused(f"{file.path} has no line that is a JSON object with values.")
    return _Sample({"formats": ["jsonl"]}, tuple(values), values)


def _csv_sample(file: InputFile) -> _Sample:
    start = _start(file)
    keys: dict[str, object] = {}
    try:
        text = start.decode("utf-8-sig", "strict" if len(start) < SAMPLE else "ignore")
    except UnicodeDecodeError:
        encoding = guesses.encoding(start)
        keys["encoding"] = encoding
        text = start.decode(encoding, "replace")
    lines = text.splitlines()[: MOST_ROWS + guesses.MOST_PREAMBLE]
    delimiter, preamble = _layout(lines)
    if preamble:
        keys["skip_lines"] = preamble
    if delimiter != ",":
        keys["delimiter"] = delimiter
    rows = csv.reader(io.StringIO("\n".join(lines[preamble:]) + "\n"), delimiter=delimiter)
    header = next(rows, [])
    if len(header) < 3 or "" in header or len({name.lower() for name in header}) < len(header):
        raise Refused(
            f"{file.path}: no line that names three columns or more was seen. A file without a header is declared by "
            "hand: header = false, and columns."
        )
    values: dict[str, list[str]] = {name: [] for name in header}
    for row in rows:
        for name, value in zip(header, row, strict=False):
            if value.strip():
                values[name].append(value.strip())
    return _Sample(keys, tuple(header), values)


def _start(file: InputFile) -> bytes:
    """The first lines of a file, whole."""
    with input_files.open_bytes(file.path, file.form.compression) as handle:
        start = handle.read(SAMPLE)
    return start if len(start) < SAMPLE else start[: start.rfind(b"\n") + 1]


def _layout(lines: Sequence[str]) -> tuple[str, int]:
    """The delimiter and the lines above the header: the first of the lines that have the most cells in common."""
    best = (1, 0, ",", 0)
    for delimiter in guesses.DELIMITERS:
        cells = [len(next(csv.reader([line], delimiter=delimiter), [])) for line in lines]
        for width in set(cells[:100]):
            if width > 1:
                place = cells.index(width)
                best = max(best, (cells.count(width) * width, -place, delimiter, place))
    return best[2], best[3]


class _Writer:
    """The text of a draft, made column by column."""

    def __init__(self, path: Path, sample: _Sample, zone: str | None) -> None:
        self.path, self.sample, self.zone = path, sample, zone
        self.keys = dict(sample.keys)
        self.to_do: list[str] = []
        self.taken: set[str] = set()

    def draft(self) -> Draft:
        started_at = self._started_at()
        seconds = {name: self._seconds(name) for name in ("billed_seconds", "duration_seconds")}
        if not any(seconds.values()):
            self.to_do.append("no column of durations was seen; without duration_seconds, every call lasts 0 seconds.")
        before = set(self.taken)
        cost = self._cost()
        record_id = self._record_id(rated=self.taken - before)
        direction = self._direction()
        plain = {name: self._column(name, fits) for name, fits in (
            ("source_ip", IP), ("from_number", NUMBER), ("to_number", NUMBER), ("currency", re.compile("[A-Z]{3}")),
        )}  # fmt: skip
        suffix = " || '_conversational'"
        record = [
            "# The key of a charge: two charges never have the same one, and one charge never gets another.",
            f"record_id = {_toml(record_id)}",
            f"service = {_toml(direction + suffix)}",
            f"direction = {_toml(direction)}",
            f"started_at = {started_at}",
            *(f"{name} = {_toml(_sql(column))}" for name, column in sorted(seconds.items(), reverse=True) if column),
            *(f"{name} = {_toml(_sql(column))}" for name, column in plain.items() if column),
        ]
        if plain["to_number"]:
            called = _sql(plain["to_number"])
            # Digits of another country than the NANP's are a number with + before them, and none without.
            dialled = f"'+' || {called}" if self._match(plain["to_number"], r"[2-9]\d{9,14}") else called
            inbound = f"case when {direction} = 'inbound' then {dialled} end"
            record.append("# Your own number of an inbound call; the tenant that holds it is charged.")
            record.append(f"number = {_toml(inbound)}")
        else:
            self.to_do.append("no column of called numbers was seen; without number, inbound calls belong to nobody.")
        record += cost
        record.append("# Of an outbound call the tenant is told by source_ip, or by x_tenant, an Account ID:")
        record.append('# x_tenant = "…"')
        return Draft(self._text(record), self.to_do)

    def _text(self, record: list[str]) -> str:
        keys = "".join(f"{key} = {_toml(value)}\n" for key, value in self.keys.items())
        columns = "".join(f"    {_toml(name)},\n" for name in self.sample.columns)
        to_do = "".join(f"# TO DO: {sentence}\n" for sentence in self.to_do)
        return (
            f"# Drafted from {self.path.name}. Every key is described in docs/sources.md.\n{to_do}"
            f'title = "{_plain(self.path.stem)}"\n{keys}'
            f"# Take columns out that you do not use: a file that lacks one of these is refused.\n"
            f"columns = [\n{columns}]\n\n[record]\n" + "\n".join(record) + "\n\n"
            "# Rows that are no charge of their own are left out by name, such as a total at the end:\n"
            '# [ignore]\n# total_row = "…"\n'
        )

    def _candidates(self, field: str) -> Iterator[str]:
        """Columns that are called as such a field often is, best first, then by their place."""
        ranked = []
        for place, column in enumerate(self.sample.columns):
            words = " ".join(re.findall("[a-z]+|[0-9]+", re.sub("([a-z])([A-Z])", r"\1 \2", column).lower()))
            ranks = [rank for rank, name in enumerate(NAMES[field]) if re.search(rf"\b{name}", words)]
            if ranks and column not in self.taken:
                ranked.append((min(ranks), place, column))
        yield from (column for *_, column in sorted(ranked))

    def _others(self, field: str) -> Iterator[str]:
        """Columns that are called otherwise, as in another language: their values alone tell what they could be."""
        named = set(self._candidates(field))
        yield from (column for column in self.sample.columns if column not in named | self.taken)

    def _column(self, field: str, fits: re.Pattern[str]) -> str | None:
        """The column of a field: called so, and with values that fit."""
        for column in self._candidates(field):
            if self._match(column, fits.pattern):
                self.taken.add(column)
                return column
        return None

    def _all(self, column: str, holds: Callable[[str], bool]) -> bool:
        """Whether nearly all values of a column hold; there may be a total row, or a word for none."""
        values = self.sample.values.get(column, [])
        return bool(values) and sum(map(holds, values)) >= 0.9 * len(values)

    def _match(self, column: str, pattern: str) -> bool:
        return self._all(column, lambda value: bool(re.fullmatch(pattern, value)))

    def _started_at(self) -> str:
        named = list(self._candidates("started_at"))
        for column in (*named, *self._others("started_at")):
            if self._match(column, ISO_INSTANT.pattern):
                return self._time(column, f"{{ instant = {_toml(_sql(column))} }}")
            if self._match(column, ISO_LOCAL.pattern):
                return self._local(column, _sql(column))
            for length, kind in EPOCHS.items():
                # A number of ten digits may be a telephone's.
                if column in named and self._match(column, rf"1\d{{{length - 1}}}(\.\d+)?"):
                    return self._time(column, f"{{ {kind} = {_toml(_sql(column))} }}")
            fitting = [form for form in TIME_FORMATS if self._all(column, partial(_is_time, form=form))]
            if fitting:
                if len(fitting) > 1:
                    self.to_do.append(
                        f"the times of {_plain(column)} can be read as {' and as '.join(fitting)}; write the right one."
                    )
                return self._local(column, f"try_strptime({_sql(column)}, '{fitting[0]}')")
        self.to_do.append("no column of times was seen; name it in started_at.")
        return '{ instant = "…" }'

    def _time(self, column: str, started_at: str) -> str:
        self.taken.add(column)
        return started_at

    def _local(self, column: str, expression: str) -> str:
        if self.zone:
            self.keys["zone"] = self.zone
        else:
            self.to_do.append(
                'the times say no zone; write a line such as zone = "America/New_York" or zone = "UTC" above columns.'
            )
        return self._time(column, f"{{ local = {_toml(expression)} }}")

    def _seconds(self, field: str) -> str | None:
        for column in self._candidates(field):
            for form, pattern in CLOCK.items():
                if self._match(column, pattern.pattern):
                    self.keys["durations"] = form
                    self.taken.add(column)
                    return column
            if self._match(column, r"\d{1,9}([.,]\d+)?"):
                if any(re.search(r"[.,]\d*[1-9]", value) for value in self.sample.values[column]):
                    self.keys["rounding"] = "up"
                    self.to_do.append(
                        f"{_plain(column)} has fractions of seconds, which are rounded up; or down, nearest."
                    )
                self.taken.add(column)
                return column
        return None

    def _cost(self) -> list[str]:
        for column in (*self._candidates("cost"), *self._others("cost")):
            bare = [_without_sign(value) for value in self.sample.values.get(column, [])]
            is_named = column in self._candidates("cost")
            if not bare or not (is_named or any(sign or re.search(r"[.,]\d{2}", value) for value, sign in bare)):
                continue
            is_comma = sum(bool(COMMA.fullmatch(value)) for value, _ in bare) > sum(
                bool(POINT.fullmatch(value)) for value, _ in bare
            )
            pattern, thousands = (COMMA, ".") if is_comma else (POINT, ",")
            if sum(bool(pattern.fullmatch(value)) for value, _ in bare) < 0.9 * len(bare):
                continue
            if is_comma:
                self.keys["decimal_mark"] = ","
            if any(thousands in value for value, _ in bare):
                self.keys["thousands_mark"] = thousands
            if signs := sorted({sign for _, sign in bare if sign}):
                self.keys["currency_signs"] = {sign: SIGNS[sign] for sign in signs}
            self.taken.add(column)
            if all(value.startswith("-") for value, _ in bare if re.search("[1-9]", value)):
                self.to_do.append(f"{_plain(column)} is negative for a charge; cost turns its sign.")
                return [f"cost = {_toml(f'-amount({_sql(column)})')}"]
            return [f"cost = {_toml(_sql(column))}"]
        self.to_do.append("no column of costs was seen; name it, or write a rate table and [rates] at the end.")
        return ['# cost = "…", or a rate table at the end:', "# [rates]", '# file = "rates.csv"']

    def _record_id(self, rated: set[str]) -> str:
        """A column that is a key, else all columns but the rated ones: a call that is rated anew is the same call."""
        for column in self._candidates("record_id"):
            values = self.sample.values.get(column, [])
            if len(values) > 1 and len(set(values)) == len(values):
                self.taken.add(column)
                return _sql(column)
        lasting = [column for column in self.sample.columns if column not in rated]
        self.to_do.append(
            "no column is a key of its own; rows that are alike in all that record_id names are one record."
        )
        return f"md5(row({', '.join(map(_sql, lasting))})::varchar)"

    def _direction(self) -> str:
        for column in (*self._candidates("direction"), *self._others("direction")):
            words = {value.lower() for value in self.sample.values.get(column, [])}
            if words and words <= {*INBOUND, *OUTBOUND}:
                self.taken.add(column)
                name = f"lower({_sql(column)})"
                return (
                    f"case when {name} in ({_listed(INBOUND)}) then 'inbound' "
                    f"when {name} in ({_listed(OUTBOUND)}) then 'outbound' end"
                )
        self.to_do.append(
            "no column of directions was seen; every call counts as outbound until direction says otherwise."
        )
        return "'outbound'"


def _is_time(value: str, form: str) -> bool:
    try:
        datetime.strptime(value, form)  # noqa: DTZ007
    except ValueError:
        return False
    return True


def _without_sign(value: str) -> tuple[str, str | None]:
    for sign in sorted(SIGNS, key=len, reverse=True):
        if sign in value:
            return value.replace(sign, "").strip(), sign
    return value, None


def _listed(words: Sequence[str]) -> str:
    return ", ".join(f"'{word}'" for word in words)


def _sql(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _plain(text: str) -> str:
    """A name as part of a comment or a title: on one line, without what TOML would take for its own."""
    return re.sub(r'[\x00-\x1f\\"]', " ", text)


def _toml(value: object) -> str:
    """A value as TOML: texts are written as JSON's, which is TOML's basic string too."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_toml(key)} = {_toml(item)}" for key, item in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")

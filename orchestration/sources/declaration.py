"""Sources: the names, columns and meaning of a switch's own files, declared in one TOML file each.

What belongs here: finding, reading and judging declarations. What does not: opening a file (`reading`), or turning its
rows into records (`mapping`). Expressions are SQL over the file's columns and run as they are: a declaration is code,
and a user who may write to `data/sources` may do everything the operator may.
"""

import codecs
import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestration import files
from orchestration.errors import Refused, did_you_mean
from orchestration.landing.feeds import CDRS
from orchestration.settings import Settings

SHIPPED = Path(__file__).with_name("shipped")
NAME = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?")
INSTANCE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")
# Where the operator has one switch of a kind, its records need no name to be told apart.
ONLY_INSTANCE = "main"
FORMATS = ("csv", "jsonl", "xlsx")
TIMES = ("instant", "epoch_us", "epoch_ms", "epoch_s", "local")
RECORD = tuple(CDRS.names)
REQUIRED = ("record_id", "service", "direction", "started_at")
# How a fraction of a second becomes whole seconds, and how a duration may be written.
ROUNDINGS = ("up", "down", "nearest")
DURATIONS = ("seconds", "hh:mm:ss", "mm:ss")
KEYS = {
    "title": str,
    "about": str,
    "extends": str,
    "formats": list,
    "header": (bool, str),
    "columns": list,
    "optional": list,
    "paths": dict,
    "line_prefix": str,
    "line_suffix": str,
    "encoding": str,
    "skip_lines": int,
    "sheet": str,
    "delimiter": str,
    "escape": str,
    "null": (str, list),
    "zone": str,
    "durations": str,
    "rounding": str,
    "decimal_mark": str,
    "thousands_mark": str,
    "currency_signs": dict,
    "rows": str,
    "joined": list,
    "lookups": dict,
    "derived": dict,
    "former_record_id": str,
    "record": dict,
    "ignore": dict,
    "reject": dict,
    "rates": dict,
}
RATES_KEYS = {"file": str, "number": str, "places": int}
LOOKUP_KEYS = {"file": str, "key": str}
# Columns and expressions bear such names beside those of the file.
OWN_NAME = re.compile("[a-z][a-z0-9_]{0,39}")
INSTANCE_COLUMN = "instance"
LARGEST_DECLARATION = 1_000_000
# Lines above a header; a file whose header stands lower is not read by a person either.
MOST_SKIPPED = 1_000
# A rate or lookup table: half a million prefixes. DuckDB reads such a file in one piece, so its last line cannot be
# lost between two.
LARGEST_TABLE = 16_000_000


@dataclass(frozen=True)
class Rates:
    """A rate table, the number it is looked up by, and the places an amount is rounded to, half away from zero.

    `sha256` is the hash of its bytes as they were when the declaration was read.
    """

    file: Path
    sha256: str
    number: str
    places: int


@dataclass(frozen=True)
class Lookup:
    """A table beside the declaration, whose first column is looked up by `key`, an expression over the file's columns.

    `sha256` is the hash of its bytes as they were when the declaration was read.
    """

    name: str
    file: Path
    sha256: str
    key: str


@dataclass(frozen=True)
class Numerals:
    """How a file writes seconds and amounts. `currency_signs` maps a sign to its currency."""

    durations: str
    rounding: str | None
    decimal_mark: str
    thousands_mark: str
    currency_signs: Mapping[str, str]

    @property
    def are_plain(self) -> bool:
        """Whether amounts are written as in the feed."""
        return self.decimal_mark == "." and not self.thousands_mark and not self.currency_signs


@dataclass(frozen=True)
class Source:
    """A declaration, whole: what it extends is merged in. `texts` are its file, at `path`, and those that it
    extends."""

    name: str
    instance: str
    path: Path
    texts: tuple[Path, ...]
    is_shipped: bool
    title: str
    about: str
    formats: tuple[str, ...]
    encoding: str
    skip_lines: int
    sheet: str | None
    header: bool | str
    columns: tuple[str, ...]
    optional: tuple[str, ...]
    paths: Mapping[str, str]
    line_prefix: str
    line_suffix: str
    delimiter: str
    escape: str
    null: tuple[str, ...]
    zone: str | None
    numerals: Numerals
    rows: str | None
    joined: tuple[str, ...]
    lookups: tuple[Lookup, ...]
    derived: Mapping[str, str]
    former_record_id: str | None
    record: Mapping[str, str]
    times: Mapping[str, str]
    ignore: Mapping[str, str]
    reject: Mapping[str, str]
    rates: Rates | None
    rules_sha256: str

    @property
    def label(self) -> str:
        """`NAME@INSTANCE`, as a receipt says it."""
        return f"{self.name}@{self.instance}"

    @property
    def id_prefix(self) -> str:
        return f"{self.name}:{self.instance}:"

    @property
    def own_names(self) -> tuple[str, ...]:
        """The names that expressions use beside the file's columns."""
        names = (*self.derived, *(lookup.name for lookup in self.lookups))
        return (*names, INSTANCE_COLUMN) if self._uses_instance else names

    @property
    def _uses_instance(self) -> bool:
        keys = [lookup.key for lookup in self.lookups]
        tables = (self.derived, self.record, self.times, self.ignore, self.reject)
        texts = [*keys, *(sql for table in tables for sql in table.values())]
        is_column = INSTANCE_COLUMN in (*self.columns, *self.optional)
        return not is_column and any(re.search(rf"\b{INSTANCE_COLUMN}\b", sql) for sql in texts)

    def place(self, key: str) -> str:
        """The file and the line in which a key such as `record.cost` is declared, for messages."""
        for path in self.texts:
            text = path.read_text(encoding="utf-8")
            # A kind of time stands in the table of started_at.
            if line := line_of(text, key) or line_of(text, key.rpartition(".")[0]):
                return f"{path}, line {line}"
        return str(self.path)


def line_of(text: str, key: str) -> int | None:
    """The line of a TOML text that declares `key` or `table.key`, the first one being 1; none where it does not."""
    table, _, name = key.rpartition(".")
    heading = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if found := re.match(r"\s*\[([^\[\]]+)\]", line):
            heading = found[1].strip()
        elif heading == table and re.match(rf"\s*[\"']?{re.escape(name)}[\"']?\s*=", line):
            return number
    return None


def available(settings: Settings) -> list[Source]:
    """Every declared source, the operator's before a shipped one of the same name."""
    return [load(settings, name) for name in names(settings)]


def names(settings: Settings) -> list[str]:
    """The names of all declared sources, in order."""
    return sorted({path.stem for folder in (SHIPPED, settings.sources) for path in folder.glob("*.toml")})


def load(settings: Settings, reference: str) -> Source:
    """The source that `NAME[@INSTANCE]` names."""
    name, _, instance = reference.partition("@")
    if "@" in reference and not INSTANCE.fullmatch(instance):
        raise Refused(
            f"{reference!r}: an instance is letters, digits, '.', '_' and '-', for example asterisk-csv@pbx1."
        )
    path = _find(settings, name)
    merged = _merged(settings, path, [])
    return _source(name, instance or ONLY_INSTANCE, path, merged)


def _find(settings: Settings, name: str) -> Path:
    for folder in (settings.sources, SHIPPED):
        path = folder / f"{name}.toml"
        if NAME.fullmatch(name) and path.is_file():
            return path
    declared = names(settings)
    raise Refused(
        f"{name!r} is no source. The sources are {', '.join(declared)}; your own stand in {settings.sources}."
        f"{did_you_mean(name, declared)}"
    )


@dataclass(frozen=True)
class _Merged:
    """A declaration over the one it extends. `folders` has the folder that each table's file is named from."""

    content: dict[str, Any]
    folders: dict[str, Path]
    texts: tuple[Path, ...]


def _merged(settings: Settings, path: Path, through: list[Path]) -> _Merged:
    """Tables are merged name by name, anything else is replaced, and an empty text takes away what was inherited."""
    if path in through:
        raise Refused(f"{path}: extends itself.")
    content = _read(path)
    base_name = content.pop("extends", None)
    folders = {f"lookups.{name}": path.parent for name in content.get("lookups", {})}
    if "file" in content.get("rates", {}):
        folders["rates"] = path.parent
    if base_name is None:
        return _Merged(content, folders, (path,))
    shipped = SHIPPED / f"{base_name}.toml"
    own = settings.sources / f"{base_name}.toml"
    base_path = own if path.parent != SHIPPED and own != path and own.is_file() else shipped
    if not NAME.fullmatch(base_name) or not base_path.is_file():
        raise Refused(f"{path}: extends {base_name!r}, and there is no such source.")
    base = _merged(settings, base_path, [*through, path])
    merged = dict(base.content)
    for key, value in content.items():
        merged[key] = base.content.get(key, {}) | value if isinstance(value, dict) else value
    return _Merged(merged, base.folders | folders, (path, *base.texts))


def _read(path: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(files.small(path, LARGEST_DECLARATION).decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Refused(f"{path} is not TOML: {error}.") from error
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}.") from error
    _require_keys(path, "", content, KEYS)
    _require_keys(path, "rates.", content.get("rates", {}), RATES_KEYS)
    for name, lookup in content.get("lookups", {}).items():
        if not isinstance(lookup, dict) or not OWN_NAME.fullmatch(name):
            raise Refused(f"{path}: lookups.{name} must be a table of file and key; its name is small letters.")
        _require_keys(path, f"lookups.{name}.", lookup, LOOKUP_KEYS)
    return content


def _require_keys(path: Path, within: str, content: Mapping[str, Any], kinds: Mapping[str, Any]) -> None:
    for key, value in content.items():
        if key not in kinds:
            line = line_of(path.read_text(encoding="utf-8"), f"{within}{key}")
            at = f", line {line}" if line else ""
            raise Refused(f"{path}{at}: {within}{key} is unknown. Known are {', '.join(kinds)}.")
        if not isinstance(value, kinds[key]) or (isinstance(value, bool) and kinds[key] is int):
            raise Refused(f"{path}: {within}{key} is of the wrong kind.")
        if isinstance(value, list) and not all(isinstance(item, str) for item in value):
            raise Refused(f"{path}: {within}{key} must be a list of texts.")


def _source(name: str, instance: str, path: Path, merged: _Merged) -> Source:
    content = merged.content
    if problems := _problems(content):
        raise Refused(f"{path}: {'; '.join(problems)}.")
    record = {key: value for key, value in content["record"].items() if key != "started_at" and value}
    started_at = content["record"]["started_at"]
    times = {kind: started_at[kind] for kind in TIMES if started_at.get(kind)}
    rates, table = _rates(path, content.get("rates", {}), merged.folders)
    lookups = _lookups(path, content.get("lookups", {}), merged.folders)
    return Source(
        name=name,
        instance=instance,
        path=path,
        texts=merged.texts,
        is_shipped=path.parent == SHIPPED,
        title=content["title"],
        about=content.get("about", ""),
        formats=tuple(content.get("formats", ["csv"])),
        encoding=content.get("encoding") or "utf-8",
        skip_lines=content.get("skip_lines", 0),
        sheet=content.get("sheet") or None,
        header=content.get("header", True),
        columns=tuple(content["columns"]),
        optional=tuple(content.get("optional", [])),
        paths=content.get("paths", {}),
        line_prefix=content.get("line_prefix", ""),
        line_suffix=content.get("line_suffix", ""),
        delimiter=content.get("delimiter", ","),
        escape=content.get("escape", '"'),
        null=_listed(content.get("null")),
        zone=content.get("zone") or None,
        numerals=Numerals(
            durations=content.get("durations", "seconds"),
            rounding=content.get("rounding") or None,
            decimal_mark=content.get("decimal_mark", "."),
            thousands_mark=content.get("thousands_mark", ""),
            currency_signs=content.get("currency_signs", {}),
        ),
        rows=content.get("rows") or None,
        joined=tuple(content.get("joined", [])),
        lookups=lookups,
        derived=_present(content.get("derived", {})),
        former_record_id=content.get("former_record_id") or None,
        record=record,
        times=times,
        ignore=_present(content.get("ignore", {})),
        reject=_present(content.get("reject", {})),
        rates=rates,
        rules_sha256=_digest(content, table, lookups),
    )


def _listed(texts: str | list[str] | None) -> tuple[str, ...]:
    """One text or several; an empty one takes away what was inherited."""
    return tuple(text for text in ([texts] if isinstance(texts, str) else texts or []) if text)


def _present(expressions: Mapping[str, str]) -> dict[str, str]:
    """The expressions that were not taken away."""
    return {name: expression for name, expression in expressions.items() if expression}


def _problems(content: Mapping[str, Any]) -> list[str]:
    """The faults of a merged declaration, one sentence each."""
    problems = [f"{key} is missing" for key in ("title", "columns", "record") if not content.get(key)]
    if problems:
        return problems
    record = content["record"]
    problems += [f"record.{key} is missing" for key in REQUIRED if not record.get(key)]
    problems += [
        f"record.{key} is no column of the cdrs feed ({', '.join(RECORD)})" for key in record if key not in RECORD
    ]
    problems += [
        f"{table}.{key} must be a text, an SQL expression"
        for table in ("record", "derived", "ignore", "reject", "paths")
        for key, value in content.get(table, {}).items()
        if not isinstance(value, str) and (table, key) != ("record", "started_at")
    ]
    problems += [
        f"{table}.{key}: a {kind} is small letters, digits and _"
        for table, kind in (("ignore", "reason"), ("reject", "reason"), ("derived", "name"))
        for key in content.get(table, {})
        if not OWN_NAME.fullmatch(key)
    ]
    started_at = record.get("started_at")
    if not isinstance(started_at, dict) or not set(started_at) <= set(TIMES) or not any(started_at.values()):
        problems.append(f"record.started_at must be a table of one or more of {', '.join(TIMES)}")
    if not set(content.get("formats", ["csv"])) <= set(FORMATS) or content.get("formats") == []:
        problems.append(f"formats may name {', '.join(FORMATS[:-1])} and {FORMATS[-1]}")
    if content.get("header", True) not in (True, False, "either"):
        problems.append('header is true, false or "either"')
    return [*problems, *_problems_of_names(content), *_problems_of_text(content)]


def _problems_of_names(content: Mapping[str, Any]) -> list[str]:
    """The faults of the names of columns."""
    problems = []
    names = [*content["columns"], *content.get("optional", []), *content.get("joined", [])]
    reserved = {name for name in names if name.startswith(("record.", "made.")) or name == "source_row"}
    if odd := sorted(reserved | {name for name in names if names.count(name) > 1}):
        problems.append(f"a column cannot be called {', '.join(odd)}, or is named twice")
    own = [*content.get("derived", {}), *content.get("lookups", {})]
    if taken := sorted({name for name in own if own.count(name) > 1 or name in (*names, INSTANCE_COLUMN)}):
        problems.append(f"derived and lookups need names of their own, and {', '.join(taken)} is taken")
    if content.get("joined") and not content.get("rows"):
        problems.append("joined names what rows takes from other rows, and there is no rows")
    return problems


def _problems_of_text(content: Mapping[str, Any]) -> list[str]:
    """The faults of how a file's text is described."""
    problems = []
    for key in ("delimiter", "escape", "decimal_mark"):
        if len(content.get(key, ",")) != 1:
            problems.append(f"{key} is one character")
    if len(content.get("thousands_mark", "")) > 1 or content.get("thousands_mark") == content.get("decimal_mark", "."):
        problems.append("thousands_mark is one character, and not the decimal_mark")
    for key, known in (("durations", DURATIONS), ("rounding", ROUNDINGS)):
        if content.get(key) and content[key] not in known:
            problems.append(f"{key} is {', '.join(known[:-1])} or {known[-1]}")
    if not 0 <= content.get("skip_lines", 0) <= MOST_SKIPPED:
        problems.append(f"skip_lines is 0 to {MOST_SKIPPED}")
    try:
        codecs.lookup(content.get("encoding") or "utf-8")
        "".encode(content.get("encoding") or "utf-8")
    except LookupError:
        problems.append("encoding is none that Python knows; utf-8, utf-16, latin-1 and cp1252 are common ones")
    if any(
        not sign or not isinstance(currency, str) or not re.fullmatch("[A-Z]{3}", currency)
        for sign, currency in content.get("currency_signs", {}).items()
    ):
        problems.append('currency_signs maps signs to codes of ISO 4217, such as { "€" = "EUR" }')
    return problems


def _rates(path: Path, content: Mapping[str, Any], folders: Mapping[str, Path]) -> tuple[Rates | None, bytes]:
    """The rates that a declaration names, and the bytes of their table."""
    if not content.get("file"):
        return None, b""
    places = content.get("places", 9)
    if not 0 <= places <= 9:
        raise Refused(f"{path}: rates.places is {places}: amounts have 0 to 9 places.")
    number = content.get("number", "case when direction = 'outbound' then to_number else number end")
    file, table = _table(path, "the rate table", folders["rates"] / content["file"])
    return Rates(file, hashlib.sha256(table).hexdigest(), number, places), table


def _lookups(path: Path, content: Mapping[str, Mapping[str, str]], folders: Mapping[str, Path]) -> tuple[Lookup, ...]:
    """The lookup tables that a declaration names; one whose file is an empty text was taken away."""
    lookups = []
    for name, lookup in content.items():
        if lookup.get("file") == "":
            continue
        if not lookup.get("file") or not lookup.get("key"):
            raise Refused(f"{path}: lookups.{name} must name a file and a key, the expression that is looked up.")
        file, table = _table(path, "the lookup table", folders[f"lookups.{name}"] / lookup["file"])
        lookups.append(Lookup(name, file, hashlib.sha256(table).hexdigest(), lookup["key"]))
    return tuple(lookups)


def _table(path: Path, what: str, file: Path) -> tuple[Path, bytes]:
    """A table beside a declaration, and its bytes."""
    if not file.is_file():
        raise Refused(f"{path}: {what} {file} does not exist.")
    return file, files.small(file, LARGEST_TABLE)


def _digest(content: Mapping[str, Any], table: bytes, lookups: tuple[Lookup, ...]) -> str:
    """The hash of what makes a record: the declaration but for its prose, and the bytes of its tables."""
    rules = {key: value for key, value in content.items() if key not in ("title", "about")}
    looked_up = "".join(lookup.sha256 for lookup in lookups)
    return hashlib.sha256(json.dumps(rules, sort_keys=True).encode() + table + looked_up.encode()).hexdigest()

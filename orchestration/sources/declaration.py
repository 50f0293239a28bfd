"""Sources: the names, columns and meaning of a switch's own files, declared in one TOML file each.

What belongs here: finding, reading and judging declarations. What does not: opening a file (`reading`), or turning its
rows into records (`mapping`). Expressions are SQL over the file's columns and run as they are: a declaration is code,
and a user who may write to `data/sources` may do everything the operator may.
"""

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
FORMATS = ("csv", "jsonl")
TIMES = ("instant", "epoch_us", "epoch_ms", "epoch_s", "local")
RECORD = tuple(CDRS.names)
REQUIRED = ("record_id", "service", "direction", "started_at")
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
    "delimiter": str,
    "escape": str,
    "null": str,
    "zone": str,
    "rows": str,
    "joined": list,
    "record": dict,
    "ignore": dict,
    "reject": dict,
    "rates": dict,
}
RATES_KEYS = {"file": str, "number": str, "places": int}
LARGEST_DECLARATION = 1_000_000
# Half a million prefixes. DuckDB reads such a file in one piece, so its last line cannot be lost between two.
LARGEST_RATE_TABLE = 16_000_000


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
class Source:
    """A declaration, whole: what it extends is merged in. `path` is where it stands, for messages."""

    name: str
    instance: str
    path: Path
    is_shipped: bool
    title: str
    about: str
    formats: tuple[str, ...]
    header: bool | str
    columns: tuple[str, ...]
    optional: tuple[str, ...]
    paths: Mapping[str, str]
    line_prefix: str
    line_suffix: str
    delimiter: str
    escape: str
    null: str | None
    zone: str | None
    rows: str | None
    joined: tuple[str, ...]
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
    content, rates_folder = _merged(settings, path, [])
    return _source(name, instance or ONLY_INSTANCE, path, content, rates_folder)


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


def _merged(settings: Settings, path: Path, through: list[Path]) -> tuple[dict[str, Any], Path]:
    """A declaration over the one it extends, and the folder its rate table is named from.

    Tables are merged name by name, anything else is replaced, and an empty text takes away what was inherited.
    """
    if path in through:
        raise Refused(f"{path}: extends itself.")
    content = _read(path)
    base_name = content.pop("extends", None)
    folder = path.parent
    if base_name is None:
        return content, folder
    shipped = SHIPPED / f"{base_name}.toml"
    own = settings.sources / f"{base_name}.toml"
    base_path = own if path.parent != SHIPPED and own != path and own.is_file() else shipped
    if not NAME.fullmatch(base_name) or not base_path.is_file():
        raise Refused(f"{path}: extends {base_name!r}, and there is no such source.")
    base, base_folder = _merged(settings, base_path, [*through, path])
    merged = dict(base)
    for key, value in content.items():
        merged[key] = base.get(key, {}) | value if isinstance(value, dict) else value
    return merged, folder if "file" in content.get("rates", {}) else base_folder


def _read(path: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(files.small(path, LARGEST_DECLARATION).decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Refused(f"{path} is not TOML: {error}.") from error
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}.") from error
    _require_keys(path, "", content, KEYS)
    _require_keys(path, "rates.", content.get("rates", {}), RATES_KEYS)
    return content


def _require_keys(path: Path, within: str, content: Mapping[str, Any], kinds: Mapping[str, Any]) -> None:
    for key, value in content.items():
        if key not in kinds:
            raise Refused(f"{path}: {within}{key} is unknown. Known are {', '.join(kinds)}.")
        if not isinstance(value, kinds[key]) or (isinstance(value, bool) and kinds[key] is int):
            raise Refused(f"{path}: {within}{key} is of the wrong kind.")
        if isinstance(value, list) and not all(isinstance(item, str) for item in value):
            raise Refused(f"{path}: {within}{key} must be a list of texts.")


def _source(name: str, instance: str, path: Path, content: dict[str, Any], rates_folder: Path) -> Source:
    if problems := _problems(content):
        raise Refused(f"{path}: {'; '.join(problems)}.")
    record = {key: value for key, value in content["record"].items() if key != "started_at" and value}
    started_at = content["record"]["started_at"]
    times = {kind: started_at[kind] for kind in TIMES if started_at.get(kind)}
    rates, table = _rates(path, content.get("rates", {}), rates_folder)
    return Source(
        name=name,
        instance=instance,
        path=path,
        is_shipped=path.parent == SHIPPED,
        title=content["title"],
        about=content.get("about", ""),
        formats=tuple(content.get("formats", ["csv"])),
        header=content.get("header", True),
        columns=tuple(content["columns"]),
        optional=tuple(content.get("optional", [])),
        paths=content.get("paths", {}),
        line_prefix=content.get("line_prefix", ""),
        line_suffix=content.get("line_suffix", ""),
        delimiter=content.get("delimiter", ","),
        escape=content.get("escape", '"'),
        null=content.get("null"),
        zone=content.get("zone") or None,
        rows=content.get("rows") or None,
        joined=tuple(content.get("joined", [])),
        record=record,
        times=times,
        ignore={key: value for key, value in content.get("ignore", {}).items() if value},
        reject={key: value for key, value in content.get("reject", {}).items() if value},
        rates=rates,
        rules_sha256=_digest(content, table),
    )


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
        for table in ("record", "ignore", "reject", "paths")
        for key, value in content.get(table, {}).items()
        if not isinstance(value, str) and (table, key) != ("record", "started_at")
    ]
    problems += [
        f"{table}.{key}: a reason is small letters, digits and _"
        for table in ("ignore", "reject")
        for key in content.get(table, {})
        if not re.fullmatch("[a-z][a-z0-9_]{0,39}", key)
    ]
    started_at = record.get("started_at")
    if not isinstance(started_at, dict) or not set(started_at) <= set(TIMES) or not any(started_at.values()):
        problems.append(f"record.started_at must be a table of one or more of {', '.join(TIMES)}")
    if not set(content.get("formats", ["csv"])) <= set(FORMATS) or content.get("formats") == []:
        problems.append(f"formats may name {' and '.join(FORMATS)}")
    if content.get("header", True) not in (True, False, "either"):
        problems.append('header is true, false or "either"')
    names = [*content["columns"], *content.get("optional", []), *content.get("joined", [])]
    reserved = {name for name in names if name.startswith(("record.", "made.")) or name == "source_row"}
    if odd := sorted(reserved | {name for name in names if names.count(name) > 1}):
        problems.append(f"a column cannot be called {', '.join(odd)}, or is named twice")
    if content.get("joined") and not content.get("rows"):
        problems.append("joined names what rows takes from other rows, and there is no rows")
    for key in ("delimiter", "escape"):
        if len(content.get(key, ",")) != 1:
            problems.append(f"{key} is one character")
    return problems


def _rates(path: Path, content: Mapping[str, Any], folder: Path) -> tuple[Rates | None, bytes]:
    """The rates that a declaration names, and the bytes of their table."""
    if not content.get("file"):
        return None, b""
    file = folder / content["file"]
    if not file.is_file():
        raise Refused(f"{path}: the rate table {file} does not exist.")
    places = content.get("places", 9)
    if not 0 <= places <= 9:
        raise Refused(f"{path}: rates.places is {places}: amounts have 0 to 9 places.")
    number = content.get("number", "case when direction = 'outbound' then to_number else number end")
    table = files.small(file, LARGEST_RATE_TABLE)
    return Rates(file, hashlib.sha256(table).hexdigest(), number, places), table


def _digest(content: Mapping[str, Any], table: bytes) -> str:
    """The hash of what makes a record: the declaration but for its prose, and the bytes of its rate table."""
    rules = {key: value for key, value in content.items() if key not in ("title", "about")}
    return hashlib.sha256(json.dumps(rules, sort_keys=True).encode() + table).hexdigest()

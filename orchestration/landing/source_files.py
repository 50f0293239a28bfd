"""Opening a file that somebody delivered: one relation `source` with the file's own columns and `source_row`.

What belongs here: CSV, JSON Lines and Parquet as they come, and every reason to refuse a file as a whole for its form.
What does not: what a value means (`normalize.sql`) or what a row becomes (`records`, `events`).
"""

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Literal, cast

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from orchestration import engine, files, guarded_csv
from orchestration.engine import identifier, text, this_file
from orchestration.errors import Refused
from orchestration.landing.feeds import CDRS, FEEDS, TENANTS, Column, Feed

Kind = Literal["csv", "json", "parquet"]
Compression = Literal["none", "gzip", "zstd"]
FORMATS: dict[str, Kind] = {".csv": "csv", ".jsonl": "json", ".ndjson": "json", ".json": "json", ".parquet": "parquet"}
# A compressed file lands as it is; Parquet compresses itself.
COMPRESSIONS: dict[str, Compression] = {".gz": "gzip", ".zst": "zstd"}
UNPACKED_AT_ONCE = 4_000_000
# The columns that `statements rejected --export` adds to a row. A mended file still has them; none is part of a record.
MENDED_COLUMNS = ("rejected_record_id", "rejected_reason", "rejected_file", "rejected_row")
# Rows of a CSV and lines of a JSON Lines file may be long, but a file without line breaks is not one.
LONGEST_LINE = 4_000_000
# A refusal shows so many unknown columns, each cut to so many characters: enough to see what the file is.
COLUMNS_NAMED, LONGEST_NAME_SHOWN = 12, 40
# A query that is wrong is not the file's fault.
OUR_MISTAKES = (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException)
# A JSON number is kept as its literal text, since DuckDB's JSON reader goes through double. Every string of the line is
# matched whole, so that nothing inside a string is taken for a number; chr(1) and chr(2) cannot occur in valid JSON.
QUOTE_NUMBERS = r"""
    replace(replace(replace(
        regexp_replace(
            json::varchar,
            '("(?:[^"\\]|\\.)*")(\s*:\s*)?(-?[0-9][0-9.eE+-]*)?',
            '\1\2' || chr(1) || '\3' || chr(2),
            'g'
        ),
        chr(1) || chr(2), ''), chr(1), '"'), chr(2), '"')::json
"""


@dataclass(frozen=True)
class Form:
    """The form of a file, from its name: `kind` csv, json or parquet, and how it is compressed."""

    kind: Kind
    compression: Compression


def form_of(path: Path) -> Form:
    """The form of a file, from the end of its name; refused when the name does not say."""
    name = path.name.lower()
    packed = next((suffix for suffix in COMPRESSIONS if name.endswith(suffix)), "")
    compression: Compression = COMPRESSIONS[packed] if packed else "none"
    kind = FORMATS.get(Path(name.removesuffix(packed)).suffix)
    if kind is None or (kind == "parquet" and compression != "none"):
        raise Refused(
            f"{path}: the name must end in {', '.join(FORMATS)}, "
            f"or in one of the text ones and {' or '.join(COMPRESSIONS)}, to say what the file is."
        )
    return Form(kind, compression)


def open_bytes(path: Path, compression: Compression) -> BinaryIO:
    """The file's bytes, unpacked."""
    if compression == "none":
        return path.open("rb")
    return cast(BinaryIO, pa.input_stream(str(path), compression=compression))


@dataclass(frozen=True)
class InputFile:
    """A file to be read, looked at once: it is there, readable, not empty and not torn. `size` is in bytes."""

    path: Path
    form: Form
    size: int

    @cached_property
    def sha256(self) -> str:
        """The hash of its bytes, read when it is first asked for."""
        return files.sha256(self.path)


@dataclass(frozen=True)
class SourceFile:
    """An input file opened as relation `source`: `types` maps each of its columns to the DuckDB type it arrives with.

    `mapped`: the canonical values stand beside the file's own, as text in columns `record.…`, and `record.reason` says
    what only its source could know against a row. `ignored` counts the rows that are no record of their own.
    """

    path: Path
    rows: int
    types: dict[str, str]
    mapped: bool = False
    ignored: dict[str, int] = field(default_factory=dict)

    @property
    def reason(self) -> str:
        """SQL of the declared reason against a row, null without one."""
        return 'source."record.reason"' if self.mapped else "null::varchar"

    def has(self, name: str) -> bool:
        """Whether the file can hold values of this canonical column."""
        return self.mapped or name in self.types

    def value(self, column: Column) -> str:
        """SQL of a canonical column's value as it came, null when absent; its type is that in `types`."""
        if self.mapped:
            return f"source.{identifier('record.' + column.name)}"
        if column.name not in self.types:
            return "null::varchar"
        name = f"source.{identifier(column.name)}"
        return f"present({name}::varchar)" if self.types[column.name] == "VARCHAR" else name


def look_at(path: Path) -> InputFile:
    """The file at a path; refused when there is none with something in it, or when its name does not say its form."""
    files.require_printable(path, "The file")
    if path.is_dir():
        raise Refused(f"{path} is a directory: name the files to land.")
    if not path.exists():
        raise Refused(f"{path} does not exist.")
    if not path.is_file():
        raise Refused(f"{path} is not a regular file.")
    form = form_of(path)
    try:
        size = path.stat().st_size
        path.open("rb").close()
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}.") from error
    if size == 0:
        raise Refused(f"{path} is empty. An extract without rows still has its header.")
    if form.compression != "none":
        _require_whole(path, form.compression)
    return InputFile(path, form, size)


def _require_whole(path: Path, compression: Compression) -> None:
    """Unpack a file to its end: DuckDB takes the end of a torn one for the end of its rows."""
    try:
        with open_bytes(path, compression) as handle:
            while handle.read(UNPACKED_AT_ONCE):
                pass
    except (pa.ArrowException, OSError) as error:
        raise Refused(
            f"{path} is not a whole {compression} file: {str(error).splitlines()[0][:160]}. Nothing of it was landed."
        ) from error


def open_source(connection: duckdb.DuckDBPyConnection, feed: Feed, file: InputFile, scratch: Path) -> SourceFile:
    """Create relation `source` over the file, or refuse it: unreadable, or not of this feed's columns."""
    with reading(file.path):
        if file.form.kind == "parquet":
            return _open_parquet(connection, feed, file.path)
        open_text = _open_csv if file.form.kind == "csv" else _open_json
        return open_text(connection, feed, file, scratch)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Refuse the file when its bytes turn out to be unreadable, however far in."""
    try:
        yield
    except (duckdb.OutOfMemoryException, *OUR_MISTAKES):
        raise
    except (duckdb.Error, pa.ArrowException, UnicodeDecodeError) as error:
        # Torn bytes raise whatever the reader was doing just then, so no narrower kind would catch them all.
        if any(cause in str(error) for cause in ("No space left", "Could not write")):
            raise
        raise Refused(f"{path} cannot be read to its end: {_reason(error)} Nothing of it was landed.") from error


def _reason(error: Exception) -> str:
    """Where DuckDB stopped reading, without the line itself: a tenants file's values must not reach a log."""
    if "state machine" in str(error):
        return "its rows do not all end alike, or a quote stands where none may."
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    located = next((line for line in lines if "Line:" in line or "line:" in line), lines[0] if lines else "")
    cause = next(
        (line for line in lines if line.lower().startswith(("expected number", "value with unterminated"))), ""
    )
    place = located.split("Original Line")[0].removeprefix("Invalid Input Error: ").removeprefix("CSV Error on ")
    return " ".join(part.rstrip(".") + "." for part in (place[:200], cause[:120]) if part)


def _require_columns(feed: Feed, path: Path, names: Sequence[str]) -> None:
    problems = []
    if repeated := [name for name in feed.names if names.count(name) > 1]:
        problems.append(f"repeats {', '.join(repeated)}")
    if missing := [name for name in feed.required if name not in names]:
        problems.append(f"lacks {', '.join(missing)}")
    if unknown := [name for name in names if name not in feed.names]:
        problems.append(f"has unknown columns{_shown(feed, unknown)}")
    if problems:
        fitting = [other.name for other in FEEDS.values() if set(other.required) <= set(names) <= set(other.names)]
        hint = f" It fits the feed {fitting[0]}." if fitting else ""
        raise Refused(
            f"{path} does not fit the feed {feed.name}: it {', and '.join(problems)}.{hint} "
            f"The columns of {feed.name} are {', '.join(feed.names)}."
        )


def _shown(feed: Feed, unknown: list[str]) -> str:
    """The names, or how many they are where they may be values: a tenants file without its header begins with some."""
    if feed is TENANTS:
        return f" ({len(unknown)} of them; in a file without a header they are values, so they are not shown)"
    more = " and more" if len(unknown) > COLUMNS_NAMED else ""
    return f" {', '.join(repr(name[:LONGEST_NAME_SHOWN]) for name in unknown[:COLUMNS_NAMED])}{more}"


def _open_csv(connection: duckdb.DuckDBPyConnection, feed: Feed, file: InputFile, scratch: Path) -> SourceFile:
    path, compression = file.path, file.form.compression
    try:
        with io.TextIOWrapper(open_bytes(path, compression), encoding="utf-8-sig", newline="") as handle:
            header = next(csv.reader(handle, strict=True), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise Refused(f"{path} is not CSV in UTF-8: {error}.") from error
    is_mended = feed is CDRS and set(MENDED_COLUMNS) <= set(header)
    own = [name for name in header if not (is_mended and name in MENDED_COLUMNS)]
    _require_columns(feed, path, own)
    columns = "{" + ", ".join(f"{text(name)}: 'VARCHAR'" for name in header) + "}"
    read = (
        f"read_csv({this_file(path)}, auto_detect = false, header = true, delim = ',', quote = '\"', escape = '\"', "
        f"strict_mode = true, max_line_size = {LONGEST_LINE}, compression = {text(compression)}, columns = {columns})"
    )
    values = guarded_csv.unguarded(own) if is_mended else "*"
    return stage(connection, path, f"select {values} from {read}", own, scratch)


def json_lines(file: InputFile) -> str:
    """DuckDB's reader of a JSON Lines file: one row a line, its object in column `json`."""
    compression = "uncompressed" if file.form.compression == "none" else file.form.compression
    return (
        f"read_ndjson_objects({this_file(file.path)}, maximum_object_size = {LONGEST_LINE}, "
        f"compression = {text(compression)}, ignore_errors = false)"
    )


def _open_json(connection: duckdb.DuckDBPyConnection, feed: Feed, file: InputFile, scratch: Path) -> SourceFile:
    path, read = file.path, json_lines(file)
    lines, names, torn = engine.row(
        connection,
        f"""
        with lines as (select json_type(json) as type, json_keys(json) as keys from {read})
        select
            count(*),
            list_distinct(flatten(list(distinct keys))),
            count(*) filter (where type <> 'OBJECT' or len(keys) <> len(list_distinct(keys)))
        from lines
        """,
    )
    if torn:
        raise Refused(f"{path}: {torn} lines are not JSON objects with each name once. Nothing of it was landed.")
    present = sorted(names or [])
    # Only a file without a line may go without names: it is an extract without rows.
    _require_columns(feed, path, present if lines else feed.required)
    fields = ", ".join(f"json_extract_string(line, {text('$.' + name)}) as {identifier(name)}" for name in present)
    nested = " or ".join(f"json_type(line, {text('$.' + name)}) in ('OBJECT', 'ARRAY')" for name in present)
    if present and engine.row(connection, f"select count(*) from (select json as line from {read}) where {nested}") != (
        0,
    ):
        raise Refused(f"{path}: a value is a list or an object. Every value must be text, a number or true/false.")
    query = f"select {fields} from (select {QUOTE_NUMBERS} as line from {read})" if present else "select 1 limit 0"
    return stage(connection, path, query, present, scratch)


def stage(
    connection: duckdb.DuckDBPyConnection, path: Path, query: str, names: Sequence[str], scratch: Path
) -> SourceFile:
    """Write a text file's values to Parquet once, in order: parsed once, and each row knows its place in the file."""
    staged = scratch / "source.parquet"
    connection.execute("set preserve_insertion_order = true")
    (rows,) = engine.row(
        connection, f"copy ({query}) to {text(staged)} (format parquet, compression lz4_raw, row_group_size 60000)"
    )
    connection.execute("set preserve_insertion_order = false")
    _view(connection, staged)
    return SourceFile(path, rows, dict.fromkeys(names, "VARCHAR"))


def _view(connection: duckdb.DuckDBPyConnection, file: Path) -> None:
    connection.execute(
        f"create or replace temp view source as "
        f"select * exclude (file_row_number), file_row_number + 1 as source_row "
        f"from {engine.parquet([file], file_row_number=True)}"
    )


def _open_parquet(connection: duckdb.DuckDBPyConnection, feed: Feed, path: Path) -> SourceFile:
    try:
        footer = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise Refused(f"{path} is not a whole Parquet file: {str(error).splitlines()[0][:160]}.") from error
    schema = footer.schema_arrow
    _require_columns(feed, path, schema.names)
    physical = [footer.schema.column(index) for index in range(len(footer.schema))]
    without_zone = {column.name for column in physical if column.physical_type == "INT96"}
    types = {
        column.name: _accepted_type(
            path, column, schema.field(column.name).type, has_zone=column.name not in without_zone
        )
        for column in feed.columns
        if column.name in schema.names
    }
    _view(connection, path)
    return SourceFile(path, footer.metadata.num_rows, types)


def _accepted_type(path: Path, column: Column, kind: pa.DataType, *, has_zone: bool) -> str:
    """The type a Parquet column is read with: its own where that is exact, else its text; refuses the others."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind):
        return "VARCHAR"
    if pa.types.is_timestamp(kind):
        if column.kind != "instant":
            raise Refused(f"{path}: column {column.name} holds times, and must hold {column.kind}.")
        if kind.tz is None or not has_zone:
            raise Refused(
                f"{path}: column {column.name} holds times without a zone. "
                "Write them as timestamps adjusted to UTC, or as text with an offset or Z."
            )
        return "TIMESTAMPTZ"
    if pa.types.is_floating(kind):
        reason = "money would be inexact" if column.kind == "money" else f"it must hold {column.kind}"
        raise Refused(f"{path}: column {column.name} is {kind}, and {reason}. Write it as text or DECIMAL.")
    if column.kind == "money" and pa.types.is_decimal(kind):
        fits = kind.scale <= 9 and kind.precision - kind.scale <= 9
        return "DECIMAL" if fits else "VARCHAR"
    if column.kind == "seconds" and pa.types.is_integer(kind):
        return "INTEGER"
    if column.kind == "money" and pa.types.is_integer(kind):
        return "VARCHAR"
    if column.kind == "flag" and pa.types.is_boolean(kind):
        return "BOOLEAN"
    raise Refused(f"{path}: column {column.name} is {kind}, and must hold {column.kind}.")

"""Opening a file that somebody delivered: one relation `source` with the file's own columns and `source_row`.

What belongs here: CSV, JSON Lines and Parquet as they come, and every reason to refuse a file as a whole for its form.
What does not: what a value means (`normalize.sql`) or what a row becomes (`records`, `events`).
"""

import csv
import io
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from orchestration import engine, guarded_csv
from orchestration.engine import identifier, text, this_file
from orchestration.errors import Refused
from orchestration.landing import csv_parts, guesses
from orchestration.landing.csv_parts import Part
from orchestration.landing.feeds import CDRS, Column, Feed
from orchestration.landing.headers import UNKNOWN_COUNTED, require_columns
from orchestration.landing.input_files import LONGEST_LINE, Compression, InputFile, open_bytes
from orchestration.landing.parquet_types import accepted_type
from orchestration.layout import counted

# The columns that `statements rejected --export` adds to a row. A mended file still has them; none is part of a record.
MENDED_COLUMNS = ("rejected_record_id", "rejected_reason", "rejected_file", "rejected_row")
# A file of withdrawals needs no others.
OF_WITHDRAWALS = ("record_id", "withdrawn")
# The footer of a Parquet file with ten thousand row groups has half of it.
LARGEST_FOOTER = 64_000_000
# How values are staged, which are read once or twice and removed: as they are, but for the columns of few values. That
# takes twice the disk, and two thirds of the time, of a packed file.
STAGED = "format parquet, compression uncompressed, parquet_version v2, dictionary_size_limit 100"
TOO_LONG = "a value is too long"
# What reading and writing a part takes: two buffers of 32 MB, and a row group for each day.
MEMORY_OF_A_PART = 200_000_000
# A phrase of DuckDB's about a CSV → the cause in our words.
CAUSES = {
    "state machine": "its rows do not all end alike, or a quote stands where none may",
    r"Expected Number of Columns: (\d+) Found: (\d+)": r"it has \2 columns instead of \1",
    "unterminated quote": "a quote is not closed, or stands where none may",
    "Maximum line size": f"its row, or the empty lines before it, have more than {LONGEST_LINE:,} bytes",
    "(?i)unicode|utf-8": "it is not text in UTF-8",
    TOO_LONG: f"a value has more than {LONGEST_LINE:,} bytes",
}
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
class SourceFile:
    """An input file opened as relation `source`: `types` maps each of its columns to the DuckDB type it arrives with.

    `mapped`: the canonical values stand beside the file's own, as text in columns `record.…`, and `record.reason` says
    what only its source could know against a row. `ignored` counts the rows that are no record of their own.
    `unread`: what has the whole file, where no statement has read it to its end yet. `parts`: queries that have the
    rows of `source` between them, each for one thread to read.
    """

    path: Path
    rows: int
    types: dict[str, str]
    mapped: bool = False
    ignored: dict[str, int] = field(default_factory=dict)
    unread: str | None = None
    parts: Sequence[str] = ()

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


def open_source(connection: duckdb.DuckDBPyConnection, feed: Feed, file: InputFile, scratch: Path) -> SourceFile:
    """Create relation `source` over the file, or refuse it: unreadable, or not of this feed's columns."""
    if file.form.kind == "parquet":
        return _open_parquet(connection, feed, file.path)
    open_text = _open_csv if file.form.kind == "csv" else _open_json
    return open_text(connection, feed, file, scratch)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Around statements that do nothing but read a file: refuse it when its bytes cannot be read, however far in."""
    try:
        yield
    except (duckdb.OutOfMemoryException, *engine.OUR_MISTAKES):
        raise
    except (duckdb.Error, pa.ArrowException, UnicodeDecodeError) as error:
        # Torn bytes raise whatever the reader was doing just then, so no narrower kind would catch them all.
        if any(cause in str(error) for cause in ("No space left", "Could not write")):
            raise
        raise Refused(f"{path} cannot be read to its end: {_reason(str(error))}. Nothing of it was landed.") from error


@contextmanager
def over_source(connection: duckdb.DuckDBPyConnection, source: SourceFile) -> Iterator[None]:
    """Around statements of ours over relation `source`: their failure is a mistake of ours, and tells no values.

    A file that was staged was read to its end when the relation was made. Another is read by these very statements, so
    after a failure it is read by itself, and refused if that is what fails.
    """
    try:
        yield
        return
    except (duckdb.Error, UnicodeDecodeError) as error:
        if source.unread and not isinstance(error, (duckdb.OutOfMemoryException, *engine.OUR_MISTAKES)):
            with reading(source.path):
                connection.execute(f"select max(hash(columns(*))) from {source.unread}").fetchall()
        if isinstance(error, engine.MACHINE_ERRORS):
            raise
        # A statement that is wrong names our own columns alone.
        said = engine.first_line(error) if isinstance(error, engine.OUR_MISTAKES) else engine.without_values(error)
        place = error.__traceback__
    message = f"A statement of this software failed over {source.path}: {said}"
    raise RuntimeError(message).with_traceback(place) from None


def _reason(said: str) -> str:
    """The place and the cause at which DuckDB stopped reading.

    DuckDB quotes the line or the value, and a tenants file's values must not reach a log: numbers and fixed phrases are
    taken from its sentence, and nothing else.
    """
    if json := re.search(r'Malformed JSON in file ".*", at byte (\d+) in line (\d+): ([a-zA-Z0-9 ()-]+)', said):
        # DuckDB counts the lines of JSON from two.
        return f"line {int(json[2]) - 1}, byte {json[1]}: {json[3]}"
    line = re.search(r"CSV Error on Line: (\d+)", said)
    place = f"line {line[1]}: " if line else ""
    for phrase, cause in CAUSES.items():
        if found := re.search(phrase, said):
            return place + found.expand(cause)
    return f"{place}its bytes are damaged"


def _open_csv(connection: duckdb.DuckDBPyConnection, feed: Feed, file: InputFile, scratch: Path) -> SourceFile:
    path, compression = file.path, file.form.compression
    try:
        with io.TextIOWrapper(open_bytes(path, compression), encoding="utf-8-sig", newline="") as handle:
            header = next(csv.reader(_lines_within_reach(handle), strict=True), [])
    except UnicodeDecodeError as error:
        encoding = guesses.encoding(guesses.start_of(path, compression))
        raise Refused(
            f"{path} is not text in UTF-8. If it is in another encoding, write it in UTF-8, for example with "
            f"`iconv -f {encoding} -t utf-8 FILE > FILE.csv`."
        ) from error
    except csv.Error as error:
        raise Refused(f"{path} is not CSV: {error}. {_seems(feed, file)}".rstrip()) from error
    is_mended = feed is CDRS and set(MENDED_COLUMNS) <= set(header)
    own = [name for name in header if not (is_mended and name in MENDED_COLUMNS)]
    is_lacking = not set(feed.required_beside(own)) <= set(own)
    require_columns(feed, path, own, _seems(feed, file) if is_lacking else "")
    if feed is CDRS and not is_mended and (parts := _parts(connection, file)):
        return _open_in_parts(connection, path, header, parts, scratch)
    values = guarded_csv.unguarded(own) if is_mended else "*"
    query = f"select {values} from {read_csv(file.ended(scratch), compression, header)}"
    return stage(connection, path, query, own, scratch)


def _parts(connection: duckdb.DuckDBPyConnection, file: InputFile) -> list[Part]:
    """A part of a CSV for each thread, or for as many as there is memory for; none where the file is small, not plain,
    or as quickly read as a whole."""
    threads, memory = engine.row(
        connection, "select current_setting('threads'), parse_formatted_bytes(current_setting('memory_limit'))"
    )
    number = min(threads, memory // MEMORY_OF_A_PART)
    return csv_parts.parts(file.row_ends, number) if number >= min(threads, 2) else []


def _open_in_parts(
    connection: duckdb.DuckDBPyConnection, path: Path, header: Sequence[str], parts: Sequence[Part], scratch: Path
) -> SourceFile:
    """Create relation `source` over parts of a CSV. One thread reads a part, so it can number the rows."""
    numbered = [
        f"""
        select
            * exclude (place),
            case when place <= {part.rows} then {part.rows_before} + place else error('it has more rows') end
                as source_row
        from (
            select *, row_number() over () as place
            from {read_csv(copy, "none", header, header=part.start == 0)}
        )
        """
        for part, copy in zip(parts, csv_parts.cut(path, parts, scratch), strict=True)
    ]
    connection.execute(f"create or replace temp view source as {' union all '.join(numbered)}")
    rows, types = sum(part.rows for part in parts), dict.fromkeys(header, "VARCHAR")
    whole = read_csv(path, "none", header)
    return SourceFile(path, rows, types, unread=whole, parts=numbered)


def _seems(feed: Feed, file: InputFile) -> str:
    """A sentence on what a text that is no CSV of its feed seems to be, and what to do; none without a guess."""
    start = guesses.start_of(file.path, file.form.compression)
    if seems := guesses.json(start):
        return seems
    guess = guesses.header(start, feed.required)
    if guess is None and feed is CDRS:
        guess = guesses.header(start, OF_WITHDRAWALS)
    seems = guess.seems(",") if guess else ""
    if not seems:
        return ""
    or_declare = "; or let `statements sources new FILE` draft a source that takes such files" if feed is CDRS else ""
    return f"{seems}: write it with commas between its values and its header in line 1{or_declare}."


def _lines_within_reach(handle: io.TextIOWrapper) -> Iterator[str]:
    """The first lines of a text, in which its header has to end: quotes can hold line breaks without end."""
    left = LONGEST_LINE
    while left > 0 and (line := handle.readline(left)):
        left -= len(line)
        yield line


def read_csv(
    path: Path, compression: Compression, columns: Sequence[str], **dialect: str | bool | Sequence[str]
) -> str:
    """DuckDB's reader of a CSV file: every value as text. `dialect` has what is not as in RFC 4180 with a header.

    The size of its buffers stays the one that follows from the longest line: DuckDB loses rows with a smaller one.
    """
    rfc_4180: dict[str, str | bool | Sequence[str]] = {"header": True, "delim": ",", "quote": '"', "escape": '"'}
    options = rfc_4180 | {"strict_mode": True} | dialect
    listed = ", ".join(f"{name} = {_literal(value)}" for name, value in options.items())
    types = "{" + ", ".join(f"{text(name)}: 'VARCHAR'" for name in columns) + "}"
    return (
        f"read_csv({this_file(path)}, auto_detect = false, max_line_size = {LONGEST_LINE}, "
        f"compression = {text(compression)}, columns = {types}, {listed})"
    )


def _literal(value: str | bool | Sequence[str]) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return text(value) if isinstance(value, str) else f"[{', '.join(map(text, value))}]"


def read_json(path: Path, compression: Compression) -> str:
    """DuckDB's reader of a JSON Lines file: one row a line, its object in column `json`."""
    unpacked_by = "uncompressed" if compression == "none" else compression
    return (
        f"read_ndjson_objects({this_file(path)}, maximum_object_size = {LONGEST_LINE}, "
        f"compression = {text(unpacked_by)}, ignore_errors = false)"
    )


def _open_json(connection: duckdb.DuckDBPyConnection, feed: Feed, file: InputFile, scratch: Path) -> SourceFile:
    path, read = file.path, read_json(file.ended(scratch), file.form.compression)
    if seems := guesses.json(guesses.start_of(path, file.form.compression)):
        raise Refused(f"{path} does not fit the feed {feed.name}. {seems} Nothing of it was landed.")
    known = f"[{', '.join(text(name) for name in feed.names)}]"
    with reading(path):
        lines, names, unknown, torn = engine.row(
            connection,
            f"""
            with lines as (select json_type(json) as type, json_keys(json) as keys from {read}),
            counted as (
                select
                    count(*) as lines,
                    list_distinct(flatten(list(distinct keys))) as names,
                    count(*) filter (where type <> 'OBJECT' or len(keys) <> len(list_distinct(keys))) as torn
                from lines
            )
            select
                lines,
                list_filter(names, lambda name: list_contains({known}, name)),
                list_filter(names, lambda name: not list_contains({known}, name))[:{UNKNOWN_COUNTED}],
                torn
            from counted
            """,
        )
    if torn:
        are = counted(torn, "line is not a JSON object", "lines are not JSON objects")
        raise Refused(f"{path}: {are} with each name once. Nothing of it was landed.")
    present = sorted(names or [])
    # Only a file without a line may go without names: it is an extract without rows.
    require_columns(feed, path, [*present, *sorted(unknown)] if lines else feed.required)
    fields = ", ".join(f"json_extract_string(line, {text('$.' + name)}) as {identifier(name)}" for name in present)
    nested = " or ".join(f"json_type(line, {text('$.' + name)}) in ('OBJECT', 'ARRAY')" for name in present)
    with reading(path):
        if present and engine.row(
            connection, f"select count(*) from (select json as line from {read}) where {nested}"
        ) != (0,):
            raise Refused(f"{path}: a value is a list or an object. Every value must be text, a number or true/false.")
    query = f"select {fields} from (select {QUOTE_NUMBERS} as line from {read})" if present else "select 1 limit 0"
    return stage(connection, path, query, present, scratch)


def stage(
    connection: duckdb.DuckDBPyConnection, path: Path, query: str, names: Sequence[str], scratch: Path
) -> SourceFile:
    """Write a text file's values to Parquet once, in order: parsed once, and each row knows its place in the file."""
    staged = scratch / "source.parquet"
    connection.execute("set preserve_insertion_order = true")
    with reading(path):
        (rows,) = engine.row(connection, f"copy ({query}) to {text(staged)} ({STAGED}, row_group_size 60000)")
    connection.execute("set preserve_insertion_order = false")
    _view(connection, staged)
    return SourceFile(path, rows, dict.fromkeys(names, "VARCHAR"))


def _view(connection: duckdb.DuckDBPyConnection, file: Path, unbounded: Sequence[str] = ()) -> None:
    """Create relation `source` over a Parquet file. `unbounded` are the columns of text that no line has bounded."""
    bounded = ", ".join(
        f"case when strlen({name}) > {LONGEST_LINE} then error({text(TOO_LONG)}) else {name} end as {name}"
        for name in map(identifier, unbounded)
    )
    values = f"* exclude (file_row_number){f' replace ({bounded})' if bounded else ''}"
    connection.execute(
        f"create or replace temp view source as select {values}, file_row_number + 1 as source_row "
        f"from {engine.parquet([file], file_row_number=True)}"
    )


def _open_parquet(connection: duckdb.DuckDBPyConnection, feed: Feed, path: Path) -> SourceFile:
    try:
        footer = _footer(path)
        schema = footer.schema_arrow
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise Refused(f"{path} is not a whole Parquet file: its footer cannot be read.") from error
    require_columns(feed, path, schema.names)
    with reading(path):
        described = connection.execute(f"describe select * from {engine.parquet([path])}").fetchall()
    read = {name: kind for name, kind, *_ in described}
    types = {
        column.name: accepted_type(path, column, schema.field(column.name).type, read[column.name])
        for column in feed.columns
        if column.name in schema.names
    }
    _view(connection, path, [name for name in types if read[name] == "VARCHAR"])
    return SourceFile(path, footer.metadata.num_rows, types, unread="source")


def _footer(path: Path) -> pq.ParquetFile:
    """The file by its footer, which is read in one piece and so may not have any length."""
    with path.open("rb") as handle:
        handle.seek(-8, os.SEEK_END)
        end = handle.read(8)
        if end.endswith(b"PAR1") and int.from_bytes(end[:4], "little") > LARGEST_FOOTER:
            raise Refused(f"{path} is no Parquet file of records: its footer has more than {LARGEST_FOOTER:,} bytes.")
    return pq.ParquetFile(path)

"""Opening a switch's file: relation `file`, every value as the text it is, and where each row stands in it.

What belongs here: header or none, affixes around a line, JSON paths, columns that may be missing. What does not: what a
value means (`mapping`).
"""

import csv
import io
from collections import Counter
from dataclasses import replace
from pathlib import Path

import duckdb

from orchestration import engine, guarded_csv
from orchestration.engine import identifier, text
from orchestration.errors import Refused
from orchestration.landing.input_files import LONGEST_LINE, Compression, InputFile, open_bytes
from orchestration.landing.source_files import (
    MENDED_COLUMNS,
    QUOTE_NUMBERS,
    SourceFile,
    read_csv,
    read_json,
    reading,
    stage,
)
from orchestration.sources.declaration import Source

# The names that number the rows on the way.
OUR_COLUMNS = ("source_row", "file_row_number")
# More columns than a switch writes; each costs every reader memory.
MOST_COLUMNS = 1_000
# A column of its own keeps a JSON line whole, so that a rejected row can be mended where it is.
LINE = "line"


def open_file(connection: duckdb.DuckDBPyConnection, source: Source, file: InputFile, scratch: Path) -> SourceFile:
    """Create relation `file`: the file's own columns, null where one is empty or lacking, and `source_row`."""
    kind = "jsonl" if file.form.kind == "json" else file.form.kind
    if kind not in source.formats:
        raise Refused(f"{file.path}: {source.name} takes {' and '.join(source.formats)} files.")
    opened = (_open_csv if kind == "csv" else _open_json)(connection, source, file, scratch)
    lacking = [*source.columns, *source.optional, *source.joined, *MENDED_COLUMNS]
    columns = [name for name, *_ in connection.execute("describe source").fetchall()]
    if taken := [name for name in source.own_names if name.lower() in {column.lower() for column in columns}]:
        raise Refused(
            f"{file.path} has a column that is called {', '.join(taken)}, as something in {source.path} is. Give that "
            "another name, or name the column in columns."
        )
    absent = "".join(f", null::varchar as {identifier(name)}" for name in lacking if name not in columns)
    # Absent is absent, as an empty text too: an expression has one thing to think of.
    present = ", ".join(
        f"nullif({identifier(name)}, '') as {identifier(name)}" for name in columns if name not in (LINE, "source_row")
    )
    replaced = f" replace ({present})" if present else ""
    connection.execute(f"create or replace temp view file as select *{replaced}{absent} from source")
    return opened


def _open_csv(connection: duckdb.DuckDBPyConnection, source: Source, file: InputFile, scratch: Path) -> SourceFile:
    path, compression = file.path, file.form.compression
    first = _first_line(source, path, compression)
    if is_mended := set(MENDED_COLUMNS) <= set(first.split(",")):
        # Written by us, whatever the switch's own files look like.
        source = replace(source, header=True, delimiter=",", escape='"', null=None)
    names, has_header = _columns(source, path, first)
    read = file.ended(scratch)
    if source.line_prefix and first.startswith(source.line_prefix):
        read, compression = _strip(connection, source, file, scratch), "none"
    dialect: dict[str, str | bool] = {"header": has_header, "delim": source.delimiter, "escape": source.escape}
    if source.null is not None:
        dialect["nullstr"] = source.null
    rows = read_csv(read, compression, names, **dialect)
    if is_mended:
        own = [name for name in names if name not in MENDED_COLUMNS]
        opened = stage(connection, path, f"select {guarded_csv.unguarded(names)} from {rows}", names, scratch)
        return replace(opened, types=dict.fromkeys(own, "VARCHAR"))
    return stage(connection, path, f"select * from {rows}", names, scratch)


def _first_line(source: Source, path: Path, compression: Compression) -> str:
    try:
        with io.TextIOWrapper(open_bytes(path, compression), encoding="utf-8-sig", newline="") as handle:
            return handle.readline(LONGEST_LINE).rstrip("\r\n")
    except (UnicodeDecodeError, OSError) as error:
        raise Refused(f"{path} is not a {source.name} file in UTF-8: {error}.") from error


def _columns(source: Source, path: Path, first: str) -> tuple[list[str], bool]:
    """The file's columns, and whether its first line names them."""
    columns = [*source.columns, *source.optional]
    bare = first
    if source.line_prefix and first.startswith(source.line_prefix):
        bare = first.removeprefix(source.line_prefix).removesuffix(source.line_suffix)
    try:
        cells = next(csv.reader([bare], delimiter=source.delimiter, strict=True), [])
    except csv.Error:
        cells = bare.split(source.delimiter)
    named = set(source.columns) <= set(cells)
    if source.header is True or (source.header == "either" and named):
        return _named_columns(source, path, cells), True
    if not len(source.columns) <= len(cells) <= len(columns):
        wanted = f"{len(source.columns)}" + (f" to {len(columns)}" if source.optional else "")
        raise Refused(
            f"{path} does not fit {source.name}: its first line has {len(cells)} columns, and without a header there "
            f"must be {wanted}: {', '.join(columns)}."
        )
    return columns[: len(cells)], False


def _named_columns(source: Source, path: Path, cells: list[str]) -> list[str]:
    """The columns of a header. A name that is not declared is not shown: without a header, it is a value."""
    declared = [*source.columns, *source.optional]
    problems = []
    # DuckDB does not tell small letters from capitals in a name.
    if repeated := {name for name, count in Counter(name.lower() for name in cells).items() if count > 1}:
        named = [name for name in declared if name.lower() in repeated]
        problems.append(f"repeats {', '.join(named) or f'{len(repeated):,} columns'}")
    if missing := [name for name in source.columns if name not in cells]:
        problems.append(f"lacks {', '.join(missing)}")
    if "" in cells:
        problems.append("has a column without a name")
    if any(name in OUR_COLUMNS or name.startswith(("record.", "made.")) for name in cells):
        problems.append(f"has a column that is called {' or '.join(OUR_COLUMNS)}, or that begins with record. or made.")
    if len(cells) > MOST_COLUMNS:
        problems.append(f"has {len(cells):,} columns, more than {MOST_COLUMNS:,}")
    if problems:
        raise Refused(
            f"{path} does not fit {source.name}: it {', and '.join(problems)}. "
            f"The columns needed are {', '.join(source.columns)}."
        )
    return cells


def _strip(connection: duckdb.DuckDBPyConnection, source: Source, file: InputFile, scratch: Path) -> Path:
    """Write each line without what stands around its values, as in `INSERT INTO cdr VALUES (…);`."""
    bare = scratch / "bare.csv"
    # Without a delimiter and quotes, a line is one value.
    lines_of_file = read_csv(
        file.ended(scratch), file.form.compression, ["line"], header=False, delim="", quote="", escape=""
    )
    connection.execute("set preserve_insertion_order = true")
    with reading(file.path):
        (left,) = engine.row(
            connection,
            f"""
            copy (
                select line[{len(source.line_prefix) + 1}:len(line) - {len(source.line_suffix)}] as line
                from {lines_of_file}
                where starts_with(line, {text(source.line_prefix)}) and ends_with(line, {text(source.line_suffix)})
            ) to {text(bare)} (format csv, header false, delimiter '', quote '', escape '')
            """,
        )
        (lines,) = engine.row(connection, f"select count(line) from {lines_of_file}")
    connection.execute("set preserve_insertion_order = false")
    if left != lines:
        raise Refused(
            f"{file.path}: {lines - left} lines are not {source.line_prefix}…{source.line_suffix}, as the others are. "
            "Nothing of the file was landed."
        )
    return bare


def _open_json(connection: duckdb.DuckDBPyConnection, source: Source, file: InputFile, scratch: Path) -> SourceFile:
    """One object a line. Each column is what its path finds, with numbers as they are spelled."""
    path, read = file.path, read_json(file.ended(scratch), file.form.compression)
    with reading(path):
        (torn,) = engine.row(connection, f"select count(*) from {read} where json_type(json) <> 'OBJECT'")
    if torn:
        raise Refused(f"{path}: {torn} lines are not JSON objects. Nothing of it was landed.")
    names = [*source.columns, *source.optional, *source.joined, *MENDED_COLUMNS]
    fields = ", ".join(
        f"json_extract_string(quoted, {text(source.paths.get(name) or _path(name))}) as {identifier(name)}"
        for name in names
    )
    query = (
        f"select line::varchar as {LINE}, {fields} from (select json as line, {QUOTE_NUMBERS} as quoted from {read})"
    )
    opened = stage(connection, path, query, [LINE], scratch)
    if opened.rows:
        counted = ", ".join(f"count({identifier(name)})" for name in source.columns)
        counts = engine.row(connection, f"select {counted} from source")
        missing = [name for name, count in zip(source.columns, counts, strict=True) if not count]
        if missing:
            raise Refused(
                f"{path} does not fit {source.name}: no line has "
                f"{', '.join(source.paths.get(name) or _path(name) for name in missing)}."
            )
    return opened


def _path(name: str) -> str:
    return f'$."{name}"'

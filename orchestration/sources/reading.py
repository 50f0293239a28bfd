"""Opening a switch's file: relation `file`, every value as the text it is, and where each row stands in it.

What belongs here: header or none, affixes around a line, JSON paths, columns that may be missing. What does not: what a
value means (`mapping`).
"""

import csv
import io
from dataclasses import replace
from pathlib import Path

import duckdb

from orchestration import engine, guarded_csv
from orchestration.engine import identifier, text, this_file
from orchestration.errors import Refused
from orchestration.landing.source_files import (
    LONGEST_LINE,
    MENDED_COLUMNS,
    QUOTE_NUMBERS,
    Compression,
    InputFile,
    SourceFile,
    json_lines,
    open_bytes,
    stage,
)
from orchestration.sources.declaration import Source

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
    read = path
    if source.line_prefix and first.startswith(source.line_prefix):
        read, compression = _strip(connection, source, file, scratch), "none"
    columns = "{" + ", ".join(f"{text(name)}: 'VARCHAR'" for name in names) + "}"
    null = f", nullstr = {text(source.null)}" if source.null is not None else ""
    read_csv = (
        f"read_csv({this_file(read)}, auto_detect = false, header = {str(has_header).lower()}, "
        f"delim = {text(source.delimiter)}, quote = '\"', escape = {text(source.escape)}, strict_mode = true, "
        f"max_line_size = {LONGEST_LINE}, compression = {text(compression)}, columns = {columns}{null})"
    )
    if is_mended:
        own = [name for name in names if name not in MENDED_COLUMNS]
        opened = stage(connection, path, f"select {guarded_csv.unguarded(names)} from {read_csv}", names, scratch)
        return replace(opened, types=dict.fromkeys(own, "VARCHAR"))
    return stage(connection, path, f"select * from {read_csv}", names, scratch)


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
    problems = []
    if repeated := sorted({name for name in cells if cells.count(name) > 1}):
        problems.append(f"repeats {', '.join(repeated)}")
    if missing := [name for name in source.columns if name not in cells]:
        problems.append(f"lacks {', '.join(missing)}")
    if odd := [name for name in cells if name == "source_row" or name.startswith(("record.", "made."))]:
        problems.append(f"has columns that cannot be called {', '.join(odd)}")
    if problems:
        raise Refused(
            f"{path} does not fit {source.name}: it {', and '.join(problems)}. "
            f"The columns needed are {', '.join(source.columns)}."
        )
    return cells


def _strip(connection: duckdb.DuckDBPyConnection, source: Source, file: InputFile, scratch: Path) -> Path:
    """Write each line without what stands around its values, as in `INSERT INTO cdr VALUES (…);`."""
    bare = scratch / "bare.csv"
    connection.execute("set preserve_insertion_order = true")
    (left,) = engine.row(
        connection,
        f"""
        copy (
            select line[{len(source.line_prefix) + 1}:len(line) - {len(source.line_suffix)}] as line
            from {_lines(file)}
            where starts_with(line, {text(source.line_prefix)}) and ends_with(line, {text(source.line_suffix)})
        ) to {text(bare)} (format csv, header false, delimiter '', quote '', escape '')
        """,
    )
    (lines,) = engine.row(connection, f"select count(line) from {_lines(file)}")
    connection.execute("set preserve_insertion_order = false")
    if left != lines:
        raise Refused(
            f"{file.path}: {lines - left} lines are not {source.line_prefix}…{source.line_suffix}, as the others are. "
            "Nothing of the file was landed."
        )
    return bare


def _lines(file: InputFile) -> str:
    return (
        f"read_csv({this_file(file.path)}, auto_detect = false, header = false, delim = '', quote = '', escape = '', "
        f"max_line_size = {LONGEST_LINE}, compression = {text(file.form.compression)}, columns = {{'line': 'VARCHAR'}})"
    )


def _open_json(connection: duckdb.DuckDBPyConnection, source: Source, file: InputFile, scratch: Path) -> SourceFile:
    """One object a line. Each column is what its path finds, with numbers as they are spelled."""
    path, read = file.path, json_lines(file)
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

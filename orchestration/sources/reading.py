"""Opening a switch's file: relation `file`, every value as the text it is, and where each row stands in it.

What belongs here: header or none, affixes around a line, JSON paths, columns that may be missing, text in other
encodings. What does not: what a value means (`mapping`).
"""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import pyarrow as pa

from orchestration import engine, guarded_csv
from orchestration.engine import identifier, text
from orchestration.errors import Refused
from orchestration.landing import guesses
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
from orchestration.layout import counted
from orchestration.sources import spreadsheets
from orchestration.sources.declaration import Source

# The names that number the rows on the way.
OUR_COLUMNS = ("source_row", "file_row_number")
# More columns than a switch writes; each costs every reader memory.
MOST_COLUMNS = 1_000
# A column of its own keeps a JSON line whole, so that a rejected row can be mended where it is.
LINE = "line"
# Characters of a text that are brought into UTF-8 together.
CHARACTERS = 1_000_000
KIND_NAMES = {"json": "jsonl"}


@dataclass(frozen=True)
class _Text:
    """The text of an input file, in UTF-8 from its header on, as DuckDB can read it: the file itself, or a copy.

    `path` is that of the file, for messages.
    """

    path: Path
    read: Path
    compression: Compression


def open_file(connection: duckdb.DuckDBPyConnection, source: Source, file: InputFile, scratch: Path) -> SourceFile:
    """Create relation `file`: the file's own columns, null where one is empty or lacking, and `source_row`."""
    is_mended = file.form.kind == "csv" and _is_mended(file)
    kind = KIND_NAMES.get(file.form.kind, file.form.kind)
    if kind not in source.formats and not is_mended:
        raise Refused(f"{file.path}: {source.name} takes {' and '.join(source.formats)} files.")
    if is_mended:
        # Written by us, whatever the switch's own files look like.
        source = replace(
            source, header=True, delimiter=",", escape='"', null=(), encoding="utf-8", skip_lines=0, line_prefix=""
        )
    elif kind == "xlsx":
        source = replace(source, delimiter=",", escape='"')
    content = _text(source, file, scratch)
    opened = (_open_json if kind == "jsonl" else _open_csv)(connection, source, content, scratch)
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


def _is_mended(file: InputFile) -> bool:
    """Whether a file is one that `statements rejected --export` wrote."""
    return set(MENDED_COLUMNS) <= set(
        guesses.start_of(file.path, file.form.compression)
        .decode("utf-8", "replace")
        .partition("\n")[0]
        .rstrip("\r")
        .split(",")
    )


def _text(source: Source, file: InputFile, scratch: Path) -> _Text:
    """The text to read: the file itself, where DuckDB can read it as it is."""
    copy = scratch / "text.zst"
    if file.form.kind == "xlsx":
        spreadsheets.write_csv(file.path, source.sheet, source.skip_lines, copy)
        return _Text(file.path, copy, "zstd")
    is_plain = source.encoding.lower().replace("_", "-") in ("utf-8", "utf8") and not source.skip_lines
    if is_plain and file.form.compression != "zip":
        return _Text(file.path, file.ended(scratch), file.form.compression)
    encoding = "utf-8-sig" if source.encoding.lower() in ("utf-8", "utf8") else source.encoding
    try:
        # Packed again: a bomb stays small on the disk.
        with (
            io.TextIOWrapper(open_bytes(file.path, file.form.compression), encoding=encoding, newline="") as characters,
            pa.output_stream(str(copy), compression="zstd") as packed,
        ):
            for _ in range(source.skip_lines):
                characters.readline(LONGEST_LINE)
            last = ""
            while block := characters.read(CHARACTERS):
                packed.write(block.encode())
                last = block[-1]
            if last not in ("\n", "\r"):
                packed.write(b"\n")
    except UnicodeError as error:
        raise Refused(f"{file.path} is not text in {source.encoding}, the encoding of {source.name}.") from error
    return _Text(file.path, copy, "zstd")


def _open_csv(connection: duckdb.DuckDBPyConnection, source: Source, content: _Text, scratch: Path) -> SourceFile:
    first = _first_line(source, content)
    names, has_header = _columns(source, content, first)
    if source.line_prefix and first.startswith(source.line_prefix):
        content = _strip(connection, source, content, scratch)
    dialect: dict[str, str | bool | Sequence[str]] = {
        "header": has_header,
        "delim": source.delimiter,
        "escape": source.escape,
    }
    if source.null:
        dialect["nullstr"] = source.null
    rows = read_csv(content.read, content.compression, names, **dialect)
    if has_header and set(MENDED_COLUMNS) <= set(names):
        own = [name for name in names if name not in MENDED_COLUMNS]
        opened = stage(connection, content.path, f"select {guarded_csv.unguarded(names)} from {rows}", names, scratch)
        return replace(opened, types=dict.fromkeys(own, "VARCHAR"))
    return stage(connection, content.path, f"select * from {rows}", names, scratch)


def _first_line(source: Source, content: _Text) -> str:
    try:
        with io.TextIOWrapper(
            open_bytes(content.read, content.compression), encoding="utf-8-sig", newline=""
        ) as handle:
            return handle.readline(LONGEST_LINE).rstrip("\r\n")
    except UnicodeDecodeError as error:
        guess = guesses.encoding(guesses.start_of(content.read, content.compression))
        raise Refused(
            f"{content.path} is not text in UTF-8. If it is in another encoding, write it into {source.path}, for "
            f'example encoding = "{guess}", above its first table.'
        ) from error
    except OSError as error:
        raise Refused(f"{content.path} cannot be read: {error.strerror}.") from error


def _columns(source: Source, content: _Text, first: str) -> tuple[list[str], bool]:
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
        return _named_columns(source, content, cells), True
    if not len(source.columns) <= len(cells) <= len(columns):
        wanted = f"{len(source.columns)}" + (f" to {len(columns)}" if source.optional else "")
        raise Refused(
            f"{content.path} does not fit {source.name}: its first line has {len(cells)} columns, and without a header "
            f"there must be {wanted}: {', '.join(columns)}.{_seems(source, content)}"
        )
    return columns[: len(cells)], False


def _named_columns(source: Source, content: _Text, cells: list[str]) -> list[str]:
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
            f"{content.path} does not fit {source.name}: it {', and '.join(problems)}. "
            f"The columns needed are {', '.join(source.columns)}.{_seems(source, content) if missing else ''}"
        )
    return cells


def _seems(source: Source, content: _Text) -> str:
    """A sentence on what a file that lacks columns seems to be, and what to write; none without a guess."""
    start = guesses.start_of(content.read, content.compression)
    if seems := guesses.json(start):
        return f" {seems}"
    guess = guesses.header(start, source.columns)
    seems = guess.seems(source.delimiter, source.skip_lines) if guess else ""
    if not guess or not seems:
        return ""
    lines = []
    if guess.delimiter != source.delimiter:
        lines.append(f'delimiter = "{guesses.WRITTEN.get(guess.delimiter, guess.delimiter)}"')
    if guess.skip_lines:
        lines.append(f"skip_lines = {guess.skip_lines + source.skip_lines}")
    where = f"into {source.path}, above its first table"
    if source.is_shipped:
        where = f'into {source.name}.toml in the folder sources of your data, below extends = "{source.name}"'
    return f" {seems}: write {' and '.join(lines)} {where}."


def _strip(connection: duckdb.DuckDBPyConnection, source: Source, content: _Text, scratch: Path) -> _Text:
    """Write each line without what stands around its values, as in `INSERT INTO cdr VALUES (…);`."""
    bare = scratch / "bare.csv"
    # Without a delimiter and quotes, a line is one value.
    lines_of_file = read_csv(content.read, content.compression, ["line"], header=False, delim="", quote="", escape="")
    connection.execute("set preserve_insertion_order = true")
    with reading(content.path):
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
            f"{content.path}: {counted(lines - left, 'line is', 'lines are')} not "
            f"{source.line_prefix}…{source.line_suffix}, as the others are. Nothing of the file was landed."
        )
    return _Text(content.path, bare, "none")


def _open_json(connection: duckdb.DuckDBPyConnection, source: Source, content: _Text, scratch: Path) -> SourceFile:
    """One object a line. Each column is what its path finds, with numbers as they are spelled."""
    path, read = content.path, read_json(content.read, content.compression)
    if seems := guesses.json(guesses.start_of(content.read, content.compression)):
        raise Refused(f"{path} does not fit {source.name}. {seems} Nothing of it was landed.")
    with reading(path):
        (torn,) = engine.row(connection, f"select count(*) from {read} where json_type(json) <> 'OBJECT'")
    if torn:
        are = counted(torn, "line is not a JSON object", "lines are not JSON objects")
        raise Refused(f"{path}: {are}. Nothing of it was landed.")
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
        each = ", ".join(f"count({identifier(name)})" for name in source.columns)
        counts = engine.row(connection, f"select {each} from source")
        missing = [name for name, count in zip(source.columns, counts, strict=True) if not count]
        if missing:
            raise Refused(
                f"{path} does not fit {source.name}: no line has "
                f"{', '.join(source.paths.get(name) or _path(name) for name in missing)}."
            )
    return opened


def _path(name: str) -> str:
    return f'$."{name}"'

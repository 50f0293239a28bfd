"""DuckDB connections, all with the same settings: UTC, bounded memory and spilling, no network.

What belongs here: how a connection is made, how rows become values, and quoting of what cannot be a parameter. What
does not: any query.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from orchestration import files
from orchestration.errors import Refused, refused_by_machine
from orchestration.settings import MORE_ROOM, Settings

if TYPE_CHECKING:
    import pyarrow as pa

# How every Parquet file is written. Level 1 of zstd gives files of the size of the usual level 3 on this data, in a
# quarter less time; version 2 encodes times and texts more tightly; a column with more than 8,000 values in a row group
# is no longer tried as a dictionary, which saves an eighth of the time and costs a hundredth of the size.
PARQUET = "format parquet, compression zstd, compression_level 1, parquet_version v2, dictionary_size_limit 8000"
# Errors that the machine causes and not our SQL: a full disk, a file that went away, memory that ran out. One
# connection at a time writes, so a transaction fails for no other reason; and it is fatal to DuckDB when the disk does
# not confirm what was written.
MACHINE_ERRORS = (duckdb.IOException, duckdb.OutOfMemoryException, duckdb.TransactionException, duckdb.FatalException)
# Those of a statement that is wrong, which no file is to blame for.
OUR_MISTAKES = (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException)
# What DuckDB says for Ctrl+C.
INTERRUPTED = "Query interrupted"
# What is set for each connection to a database.
SESSION = "set TimeZone = 'UTC'; set enable_progress_bar = false"


@contextmanager
def connect(
    settings: Settings, path: Path | None = None, *, keep_order: bool = False
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to `path` (in memory without one), closed at the end.

    `keep_order` keeps the order of the rows of a file that is copied, which costs memory; leave it off elsewhere.
    """
    options: dict[str, str | bool | int | float | list[str]] = {
        "threads": settings.threads,
        "memory_limit": settings.memory_limit,
        "preserve_insertion_order": keep_order,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    with spill_folder(settings) as spill:
        options["temp_directory"] = spill
        try:
            with (
                duckdb.connect(str(path) if path else ":memory:", config=options) as connection,
                _ended_by_ctrl_c(connection),
            ):
                connection.execute(SESSION)
                # Given at connect, DuckDB shows it and does not keep to it.
                connection.execute(f"set max_temp_directory_size = {text(settings.spill_limit)}")
                yield connection
        except duckdb.OutOfMemoryException as error:
            raise Refused(
                f"A query needs {settings.too_much}. No file is half written. {MORE_ROOM} and try again."
            ) from error
        except MACHINE_ERRORS as error:
            raise refused_by_machine(first_line(error).rstrip(".")) from error


@contextmanager
def _ended_by_ctrl_c(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Around all that a connection does: Ctrl+C in a query is what it is elsewhere.

    Threads of DuckDB's go on with the query until they are told, and closing the connection waits for them.
    """
    try:
        yield
    except RuntimeError as error:
        if str(error) != INTERRUPTED:
            raise
        connection.interrupt()
        raise KeyboardInterrupt from None


@contextmanager
def beside(connection: duckdb.DuckDBPyConnection, number: int) -> Iterator[list[duckdb.DuckDBPyConnection]]:
    """So many connections to the database of one, which is the last of them, for as many threads of ours.

    Threads of DuckDB's own would look for work all the time, and take that of ours.
    """
    others = [connection.cursor() for _ in range(number - 1)]
    for other in others:
        other.execute(SESSION)
    connection.execute(f"set external_threads = {number}")
    try:
        yield [*others, connection]
    finally:
        connection.execute("reset external_threads")
        for other in others:
            other.close()


@contextmanager
def spill_folder(settings: Settings) -> Iterator[str]:
    """A folder for what one connection spills: DuckDB gives its files the same names in each process."""
    with files.own_folder(settings.spill) as folder:
        yield str(folder)


def load_macros(connection: duckdb.DuckDBPyConnection, script: Path) -> None:
    """Define the macros of a SQL file in this connection."""
    connection.execute(script.read_text(encoding="utf-8"))


def records(
    connection: duckdb.DuckDBPyConnection, query: str, parameters: Sequence[object] = ()
) -> list[dict[str, Any]]:
    """The rows of a query, each as a mapping from column to value."""
    cursor = connection.execute(query, list(parameters))
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def create_table(
    connection: duckdb.DuckDBPyConnection, name: str, columns: dict[str, str], rows: Sequence[Sequence[object]]
) -> None:
    """A table of these rows. `columns` maps their names to types, in the order of a row's values."""
    import pyarrow as pa

    listed = ", ".join(f"{column} {kind}" for column, kind in columns.items())
    connection.execute(f"create table {name} ({listed})")
    # Not as parameters: for each value of each row, DuckDB looks for packages that may define its type.
    values: list[Any] = [pa.array([row[place] for row in rows]) for place in range(len(columns))]
    connection.register("given", pa.table(values, names=list(columns)))
    connection.execute(f"insert into {name} select * from given")
    connection.unregister("given")


@contextmanager
def streamed(
    connection: duckdb.DuckDBPyConnection, name: str, schema: "pa.Schema", batches: Iterable["pa.RecordBatch"]
) -> Iterator[None]:
    """A relation of these batches, each made when a query asks for it: it can be read once.

    What goes wrong in making them is raised as it is. DuckDB would tell it as a mistake of the query.
    """
    # DuckDB imports the second for itself, where Ctrl+C would go unheard.
    import pyarrow as pa
    import pyarrow.dataset

    raised: list[BaseException] = []

    def kept() -> Iterator[pa.RecordBatch]:
        try:
            yield from batches
        except BaseException as error:
            raised.append(error)
            raise

    connection.register(name, pa.RecordBatchReader.from_batches(schema, kept()))
    try:
        yield
    except duckdb.Error:
        if raised:
            raise raised[0] from None
        raise
    finally:
        connection.unregister(name)


def row(connection: duckdb.DuckDBPyConnection, query: str, parameters: Sequence[object] = ()) -> tuple[Any, ...]:
    """The first row of a statement that always has one, such as an aggregate or a COPY."""
    first = connection.execute(query, list(parameters)).fetchone()
    assert first is not None, query
    return first


def first_line(error: Exception) -> str:
    """DuckDB's own sentence, without the query and the hints that follow it."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def without_values(error: Exception) -> str:
    """DuckDB's own sentence up to the first value or name that it quotes: what it read must not reach a log."""
    return re.split("['\"]", first_line(error))[0].strip()


def text(value: object) -> str:
    """A SQL text literal. For paths and names that cannot be a parameter, as in COPY … TO and in views."""
    return "'" + str(value).replace("'", "''") + "'"


def identifier(name: str) -> str:
    """A quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def ordered(names: Iterable[str]) -> str:
    """The columns of an ORDER BY, nulls last."""
    return ", ".join(f"{identifier(name)} nulls last" for name in names)


def parquet(files: Iterable[Path], **options: bool) -> str:
    """`read_parquet` over exactly these files: an explicit list, with the glob characters of their names escaped."""
    listed = ", ".join(this_file(file) for file in files)
    switches = "".join(f", {name} = {str(value).lower()}" for name, value in options.items())
    return f"read_parquet([{listed}], hive_partitioning = false{switches})"


def this_file(path: Path) -> str:
    """A SQL text literal of a file to read, and no other: DuckDB's readers take a name for a pattern."""
    return text("".join(f"[{character}]" if character in "*?[" else character for character in str(path)))

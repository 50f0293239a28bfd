"""A month's build on Apache Spark: pins as views of its session, dbt, and the files that are to be frozen.

What belongs here: the steps that Spark does in a way of its own, and work over many files on its executors. What does
not: the session and its settings (`spark_session`), what is pinned, or any file beside the usage: those are small, and
DuckDB writes them from Spark's tables as it writes its own, byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from orchestration import engine, files
from orchestration.close import dbt_build, spark_session, tables
from orchestration.close.dbt_build import NodeResult, Progress
from orchestration.close.pinning import ClosePeriod, FilesPin, Part, Pins, RowsPin, Workspace
from orchestration.errors import Refused
from orchestration.landing.landed_rows import Place
from orchestration.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

T = TypeVar("T")
# DuckDB's name of a type, as pins and contracts use it → Spark's, as the macro `spark_type` has it, and Arrow's.
TYPES: Mapping[str, tuple[str, pa.DataType]] = {
    "varchar": ("string", pa.string()),
    "bigint": ("bigint", pa.int64()),
    "integer": ("int", pa.int32()),
    "boolean": ("boolean", pa.bool_()),
    "date": ("date", pa.date32()),
    "timestamptz": ("timestamp", pa.timestamp("us", "UTC")),
    "timestamp with time zone": ("timestamp", pa.timestamp("us", "UTC")),
    "decimal(18, 9)": ("decimal(18, 9)", pa.decimal128(18, 9)),
}
# A column that tells a row's place. A batch is numbered, and has fewer than 2^35 rows; a file comes as a URI.
PLACES: Mapping[Place, str] = {
    "row_id": f"cast(substr(batch_id, 1, 8) as bigint) * {1 << 35} + source_row",
    "stated_file": "url_decode(replace(regexp_replace(_metadata.file_path, '^file:/+', '/'), '+', '%2B'))",
}
# So many bytes hold a few hundred thousand rows: two tasks work on them in seconds, and this machine hashes and
# adds them up sooner than it hands out tasks.
FEW_BYTES = 16 * 1024 * 1024
# Spark's and Java's words for a full disk, for too little memory, and for files that an executor does not see.
FULL_DISK = ("No space left on device",)
OUT_OF_MEMORY = ("OutOfMemory", "UNABLE_TO_ACQUIRE_MEMORY", "Java heap space")
NOT_SHARED = ("FILE_NOT_EXIST", "FileNotFoundException", "PATH_NOT_FOUND")


def build(settings: Settings, pins: Pins, workspace: Workspace, progress: Progress) -> tuple[str, Sequence[NodeResult]]:
    """Run the models over the pins, and write the files of the month. Returns the engine's version and what dbt ran.

    Raises DoesNotAddUp when a model or a test fails, and Refused when Spark cannot do its work.
    """
    session = spark_session.connect(settings)
    with spark_session.errors():
        spark_session.suit(session, few_rows=_are_few_bytes(_pinned(pins)))
        _begin(session, workspace)
        _show(session, pins, workspace)
    nodes = [
        replace(node, message=spark_session.sentence(node.message) if node.message else "")
        for node in dbt_build.run(dbt_build.SPARK, workspace.folder, progress)
    ]
    if failed := dbt_build.failures(nodes):
        raise _refusal(workspace, failed, nodes)
    # dbt sets what it likes before each statement: the settings that held are those that it left.
    spark_session.require_settings(session)
    progress("Writing the tables")
    with spark_session.errors():
        _write_tables(settings, session, workspace)
        _name_days(settings, session, workspace)
        session.sql("drop database main cascade")
    return spark_session.version(session), nodes


def on_executors(settings: Settings, work: Callable[[Path], T], paths: Sequence[Path]) -> list[T]:
    """Work on files as tasks, one a file; `work` and its results travel, the files do not. Few bytes are read here."""
    if _are_few_bytes(paths):
        return files.two_at_a_time(work, paths)
    session = spark_session.connect(settings)
    with spark_session.errors():
        results: list[T] = session.sparkContext.parallelize(paths, len(paths)).map(work).collect()
        return results


def _pinned(pins: Pins) -> list[Path]:
    return [file for pin in pins.files for part in pin.parts for file in part.files]


def _are_few_bytes(paths: Iterable[Path]) -> bool:
    return sum(path.stat().st_size for path in paths if path.is_file()) <= FEW_BYTES


def _begin(session: SparkSession, workspace: Workspace) -> None:
    """An empty database whose tables lie in the private build. One that a failed close left is forgotten."""
    session.sql("drop database if exists main cascade")
    session.sql(f"create database main location {_text(_uri(workspace.folder / 'tables'))}")


def _show(session: SparkSession, pins: Pins, workspace: Workspace) -> None:
    """Create a view of the session for each pin, under the name of its relation."""
    period = RowsPin("control.close", _types(ClosePeriod), [astuple(pins.period)])
    for pin in pins.files:
        rows = [_rows(session, pin, part) for part in pin.parts if part.files]
        shown = rows[0] if rows else _nothing(session, pin)
        for more in rows[1:]:
            shown = shown.unionAll(more)
        shown.createOrReplaceGlobalTempView(_identifier(pin.name))
    folder = workspace.folder / "pins"
    folder.mkdir()
    for given in (period, *pins.rows):
        file = folder / f"{given.name}.parquet"
        _write(given, file)
        _read(session, given.columns, [file]).createOrReplaceGlobalTempView(_identifier(given.name))


def _types(described: type[ClosePeriod]) -> dict[str, str]:
    return {field.name: "timestamptz" if "datetime" in str(field.type) else "varchar" for field in fields(described)}


def _identifier(name: str) -> str:
    return name.partition(".")[2]


def _rows(session: SparkSession, pin: FilesPin, part: Part) -> DataFrame:
    """The rows of a part: the pin's columns, its place, and what all rows of the part share."""
    values = [*pin.columns]
    if pin.place:
        values.append(f"{PLACES[pin.place]} as {pin.place}")
    values += [f"{_literal(value)} as {name}" for name, value in part.constants.items()]
    return _read(session, pin.columns, [*part.files]).selectExpr(*values)


def _nothing(session: SparkSession, pin: FilesPin) -> DataFrame:
    """A relation without rows, of the same columns as one with files."""
    values = [f"cast(null as {TYPES[kind][0]}) as {name}" for name, kind in pin.columns.items()]
    if pin.place:
        values.append(f"cast(null as {'bigint' if pin.place == 'row_id' else 'string'}) as {pin.place}")
    values += [f"{_literal(value)} as {name}" for name, value in pin.parts[0].constants.items()]
    return session.sql(f"select {', '.join(values)} where false")


def _read(session: SparkSession, columns: Mapping[str, str], paths: Sequence[Path]) -> DataFrame:
    """These columns of exactly these files, null where one lacks it: nothing is guessed, and no name is a pattern."""
    schema = ", ".join(f"{name} {TYPES[kind][0]}" for name, kind in columns.items())
    return session.read.schema(schema).parquet(*map(_uri, paths))


def _uri(path: Path) -> str:
    """A path on the file system that all machines share, whatever file system the cluster takes for its own.

    Spark takes a name for a pattern, and none of its settings stops it from reading such a file twice.
    """
    if pattern := sorted(set("*?[]{}\\") & set(str(path))):
        raise Refused(
            f"{path} has {' '.join(pattern)} in its path, which Spark takes for a pattern: choose another data folder."
        )
    return f"file://{path}"


def _literal(value: bool | str) -> str:
    return _text(value) if isinstance(value, str) else str(value).lower()


def _text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _write(pin: RowsPin, file: Path) -> None:
    columns = {name: TYPES[kind][1] for name, kind in pin.columns.items()}
    values = [pa.array([row[place] for row in pin.rows], kind) for place, kind in enumerate(columns.values())]
    pq.write_table(pa.table(values, names=[*columns]), file)


def _refusal(workspace: Workspace, failed: Sequence[NodeResult], nodes: list[NodeResult]) -> Refused:
    """The reason why nothing was published: disk, memory or storage of the cluster, or figures that do not agree."""
    said = " ".join(node.message for node in failed)
    if any(word in said for word in FULL_DISK):
        return Refused(
            f"A disk is full, of the executors or under {workspace.folder.parent}, so nothing was published. "
            "Make room and close again."
        )
    if any(word in said for word in OUT_OF_MEMORY):
        return Refused(
            "Spark needs more memory than it may have, so nothing was published. Raise spark.executor.memory, or "
            "spark.driver.memory where Spark runs on this machine alone, and close again."
        )
    if any(word in said for word in NOT_SHARED):
        return Refused(
            f"An executor does not find a file that this machine has, so nothing was published. "
            f"{workspace.folder.parents[1]} has to be on a file system that all machines have at this path."
        )
    return dbt_build.does_not_add_up(failed, nodes)


def _write_tables(settings: Settings, session: SparkSession, workspace: Workspace) -> None:
    """Write each table that is handed over as its one file, in its order, by DuckDB."""
    with engine.connect(settings) as connection:
        for handed in dbt_build.handed_over(dbt_build.SPARK):
            folder = workspace.figures if handed.folder == "figures_dir" else workspace.output
            parts = [_path(uri) for uri in session.table(f"main.{handed.name}").inputFiles()]
            columns = ", ".join(handed.columns)
            nothing = ", ".join(f"null::{kind} as {name}" for name, kind in handed.columns.items())
            rows = f"select {columns} from {engine.parquet(parts)}" if parts else f"select {nothing} where false"
            tables.copy_parquet(connection, rows, handed.file_order, folder / f"{handed.file}.parquet")


def _name_days(settings: Settings, session: SparkSession, workspace: Workspace) -> None:
    """Name the usage's files by their days. A day without records has no file yet; one of two parts is refused."""
    written: dict[str, list[Path]] = {}
    for uri in session.table("main.usage_days").inputFiles():
        part = _path(uri)
        written.setdefault(part.parent.name.removeprefix("written_day="), []).append(part)
    nothing = ", ".join(f"null::{kind} as {name}" for name, kind in dbt_build.contract("usage").items())
    with engine.connect(settings) as connection:
        for day in workspace.month.days:
            file = workspace.output / "usage" / f"day={day:%d}.parquet"
            parts = written.pop(day.isoformat(), [])
            if len(parts) > 1:
                raise Refused(
                    f"Spark wrote {day.isoformat()} in {len(parts)} parts, and a day of the usage is one sorted file, "
                    "so nothing was published. Take what splits a write out of Spark's configuration, and close again."
                )
            if parts:
                parts[0].rename(file)
            else:
                tables.copy_parquet(connection, f"select {nothing} where false", tables.USAGE.key, file)
    assert not written, f"usage of {sorted(written)} is outside of {workspace.month}"


def _path(uri: str) -> Path:
    return Path("/" + unquote(uri.removeprefix("file:")).lstrip("/"))

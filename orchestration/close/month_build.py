"""A month's private build: a folder in which dbt turns the pinned inputs into the files that are to be frozen.

What belongs here: the order of a build on either engine, and the one type that it hands over. Everything after it reads
files and asks nothing of the engine. What does not: how an engine does it (`on_duckdb`, `on_spark`), what the models
say, or what becomes of the files.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq

from orchestration import files
from orchestration.close import dbt_build, on_duckdb, on_spark, pinning
from orchestration.close.content import Counts
from orchestration.close.dbt_build import NodeResult
from orchestration.close.inputs import Inputs
from orchestration.close.pinning import Workspace
from orchestration.files import EachFile, two_at_a_time
from orchestration.settings import SPARK, Settings


@dataclass(frozen=True)
class Build:
    """The result of a build: `folder` with the Parquet files to be frozen, the nodes that ran, and its figures.

    `counts` are those of the manifest; `used_frozen_files` are the files of frozen months from which statements were
    taken back or stated anew. `engine` names what computed it, and `each_file` is its way to work on many files.
    """

    folder: Path
    nodes: Sequence[NodeResult]
    counts: Counts
    used_frozen_files: Sequence[Path]
    engine: str
    each_file: EachFile


def make(settings: Settings, inputs: Inputs, folder: Path, progress: Callable[[str], None]) -> Build:
    """Build and check the month in a fresh folder, outside of every read path. Raises DoesNotAddUp."""
    # A close that was killed may have left its build here.
    files.remove(folder)
    workspace = Workspace(folder, inputs.close.month)
    (workspace.output / "usage").mkdir(parents=True)
    workspace.figures.mkdir()
    progress("Pinning what has landed")
    pins = pinning.of_close(settings, inputs, workspace)
    if settings.engine == SPARK:
        engine, nodes = on_spark.build(settings, pins, workspace, progress)
    else:
        on_duckdb.show(settings, pins, workspace)
        engine, nodes = on_duckdb.VERSION, dbt_build.build(settings, workspace.database, progress)
    return handed_over(workspace, nodes, engine, each_file(settings))


def each_file(settings: Settings) -> EachFile:
    """The engine's way to work on many files: in this process, or as tasks on Spark's executors."""
    return partial(on_spark.on_executors, settings) if settings.engine == SPARK else two_at_a_time


def handed_over(
    workspace: Workspace,
    nodes: Sequence[NodeResult],
    engine: str = on_duckdb.VERSION,
    each_file: EachFile = two_at_a_time,
) -> Build:
    """The finished build in this workspace, its figures read from their files."""
    counts = pq.read_table(workspace.figures / "counts.parquet").to_pylist()
    used = pq.read_table(workspace.figures / "used_frozen_files.parquet").to_pylist()
    return Build(
        folder=workspace.output,
        nodes=nodes,
        counts=Counts(**{row["count_name"]: row["row_count"] for row in counts}),
        used_frozen_files=[Path(row["stated_file"]) for row in used],
        engine=engine,
        each_file=each_file,
    )

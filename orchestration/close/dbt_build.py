"""dbt, run inside this process with a manifest that was made ahead, on a private database of either engine.

What belongs here: preparing the manifests, running the models, and the compiled SQL of single models. What does not:
what the models say, or what is done with their results. dbt is imported when it is needed: importing it takes seconds.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestration import engine, files
from orchestration.close import dbt_events
from orchestration.errors import Refused
from orchestration.settings import DBT_PROJECT, MORE_ROOM, PROJECT_ROOT, SEEDS, Settings

Progress = Callable[[str], None]

if TYPE_CHECKING:
    from dbt.artifacts.schemas.run import RunResult
    from dbt.cli.main import dbtRunnerResult
    from dbt.contracts.graph.manifest import Manifest
    from dbt_common.events.base_types import EventMsg

TARGET = DBT_PROJECT / "target"
# DuckDB's words for a full disk, and those of Dagster's SQLite, which notes a model's progress.
FULL_DISK = ("No space left", "disk is full", "disk I/O error")
QUOTED_VALUE = re.compile("'[^']*'")
# DuckDB's words for a query that needs more memory than it may have, and more disk than it may spill to.
OUT_OF_ROOM = ("Out of Memory", "max_temp_directory_size")
# The variable with the path of DuckDB's file, which the profile reads.
BUILD_FILE = "STATEMENTS_BUILD_FILE"
QUIET = ("--no-version-check", "--log-level", "none", "--log-level-file", "none")


@dataclass(frozen=True)
class Target:
    """An output of dbt's profile. Its compiled SQL is in a manifest of its own, made by `packages` in `folder`."""

    name: str
    folder: Path
    packages: tuple[str, ...]

    @property
    def manifest(self) -> Path:
        return self.folder / "manifest.json"

    @property
    def parsed(self) -> Path:
        return self.folder / "partial_parse.msgpack"

    @property
    def prepared_from(self) -> Path:
        """A hash of everything that the prepared manifest depends on: dbt would look at every file again."""
        return self.folder / "prepared_from.sha256"


DUCKDB = Target("build", TARGET, ("dbt-core", "dbt-duckdb", "duckdb"))
SPARK = Target("spark", TARGET / "spark", ("dbt-core", "dbt-spark", "pyspark"))


@dataclass(frozen=True)
class NodeResult:
    """One model, seed or test that dbt ran. `rows`: how many a table has; a view's are not counted."""

    unique_id: str
    name: str
    resource_type: str
    status: str
    seconds: float
    failures: int
    message: str
    rows: int | None = None


class DoesNotAddUp(Refused):
    """A model failed, or a test did; `nodes` are those that ran until then."""

    def __init__(self, message: str, nodes: list[NodeResult]) -> None:
        super().__init__(message)
        self.nodes = nodes


@functools.cache
def prepare(target: Target = DUCKDB) -> Path:
    """Make a target's manifest, with compiled SQL, unless it is of this code already. Returns its path.

    A process looks once: its Python code is of its start too.
    """
    if not _is_prepared(target):
        # Two commands may start together after the code has changed.
        with files.only_writer(TARGET / "lock"):
            if not _is_prepared(target):
                _compile(target)
    return target.manifest


def _is_prepared(target: Target) -> bool:
    made = target.prepared_from
    return made.is_file() and target.manifest.is_file() and made.read_text(encoding="utf-8") == made_from(target)


def _compile(target: Target) -> None:
    scratch = target.folder / "prepare"
    scratch.mkdir(parents=True, exist_ok=True)
    target.prepared_from.unlink(missing_ok=True)
    target.parsed.unlink(missing_ok=True)
    with _environment({BUILD_FILE: str(scratch / "build.duckdb")}):
        # `--no-introspect`: no model may need a database to be compiled.
        _invoke(target, ["compile", "--no-introspect", "--target-path", str(target.folder)], manifest=None)
    (scratch / "build.duckdb").unlink(missing_ok=True)
    target.prepared_from.write_text(made_from(target), encoding="utf-8")


@functools.cache
def made_from(target: Target = DUCKDB) -> str:
    """A hash over everything that the prepared manifest depends on: models, seeds, versions of what compiles them."""
    return _hash_of_files(target)


def _hash_of_files(target: Target) -> str:
    digest = hashlib.sha256()
    for name in target.packages:
        digest.update(importlib.metadata.version(name).encode())
    for root in (DBT_PROJECT, SEEDS):
        for path in sorted(root.rglob("*")):
            if path.is_file() and TARGET not in path.parents and path.suffix in (".sql", ".yml", ".md", ".csv"):
                digest.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return digest.hexdigest()


def build(settings: Settings, build_file: Path, progress: Progress = lambda _: None) -> list[NodeResult]:
    """Run every seed, model and data test on `build_file`; the relations of its sources are there already.

    Raises DoesNotAddUp when a model or a test fails, with its name and dbt's message, and Refused when the models have
    changed since this process began.
    """
    with engine.spill_folder(settings) as spill:
        variables = {BUILD_FILE: str(build_file)} | _limits(settings, spill)
        results = run(DUCKDB, build_file.parent, progress, variables)
    failed = failures(results)
    if failed:
        raise _refusal(settings, build_file, failed, results)
    rows = _rows_of_tables(settings, build_file)
    return [replace(result, rows=rows.get(result.name)) for result in results]


def run(
    target: Target, folder: Path, progress: Progress, variables: Mapping[str, str] | None = None
) -> list[NodeResult]:
    """Run every seed, model and data test of a target, with dbt's own files in a private folder, and say how each went.

    `variables` are those of the environment that the profile reads. Refused when the models have changed since this
    process began.
    """
    prepare(target)
    if _hash_of_files(target) != made_from(target):
        raise Refused(
            "The models have changed since this process began, as an upgrade does it, so nothing was published. "
            "Start `statements` again."
        )

    def note(event: EventMsg) -> None:
        if event.info.name in ("LogModelResult", "LogSeedResult"):
            progress(event.data.node_info.node_name)

    with _environment(variables or {}):
        outcome = _invoke(
            target,
            [
                "build",
                "--exclude-resource-type",
                "unit_test",
                "--target-path",
                str(folder / "target"),
                "--no-write-json",
            ],
            manifest=compiled_manifest(target),
            callbacks=[note],
        )
    return [_result(result) for result in _run_results(outcome)]


def failures(results: Sequence[NodeResult]) -> list[NodeResult]:
    """Those of these nodes that failed; what hangs on them was skipped."""
    return [result for result in results if result.status in ("error", "fail", "runtime error")]


def _run_results(outcome: dbtRunnerResult) -> Sequence[RunResult]:
    from dbt.artifacts.schemas.run import RunExecutionResult

    assert isinstance(outcome.result, RunExecutionResult), outcome.result
    return outcome.result.results


def _refusal(settings: Settings, build_file: Path, failed: Sequence[NodeResult], results: list[NodeResult]) -> Refused:
    """The reason why nothing was published: no room on the disk or in memory, or figures that do not agree."""
    if any(sign in result.message for result in failed for sign in FULL_DISK):
        return Refused(
            f"The disk under {build_file.parent} is full, so nothing was published. Make room and try again."
        )
    if any(sign in result.message for result in failed for sign in OUT_OF_ROOM):
        return Refused(
            f"Computing the month needs {settings.too_much}, so nothing was published. {MORE_ROOM} and try again."
        )
    return does_not_add_up(failed, results)


def does_not_add_up(failed: Sequence[NodeResult], results: list[NodeResult]) -> DoesNotAddUp:
    """The refusal of a month because of these failed nodes."""
    reasons = "; ".join(f"{result.name}: {result.message}" for result in failed[:5])
    return DoesNotAddUp(
        f"The month does not add up or cannot be computed, so nothing was published. {reasons}", results
    )


def _rows_of_tables(settings: Settings, build_file: Path) -> dict[str, int]:
    """DuckDB knows the size of its tables; counting the rows of a view could cost as much as the build did."""
    with engine.connect(settings, build_file) as connection:
        return dict(connection.execute("select table_name, estimated_size from duckdb_tables()").fetchall())


def compiled(names: list[str]) -> dict[str, str]:
    """The compiled SQL of these models and of every model and seed below them, in the order to create them.

    Keys are relation names as the SQL spells them. Seeds come as a query over their file.
    """
    nodes = _nodes()
    wanted = [f"model.tenant_statements.{name}" for name in names]
    queries: dict[str, str] = {}

    def visit(unique_id: str) -> None:
        node = nodes.get(unique_id)
        if node is None or node["relation_name"] in queries:
            return
        for parent in node["depends_on"].get("nodes", []):
            visit(parent)
        if node["resource_type"] == "seed":
            queries[node["relation_name"]] = f"select * from read_csv('{SEEDS / node['path']}', all_varchar = true)"
        else:
            queries[node["relation_name"]] = node["compiled_code"]

    for unique_id in wanted:
        visit(unique_id)
    return queries


def compiled_manifest(target: Target = DUCKDB) -> Manifest:
    """The manifest that dbt builds from: each node has its compiled SQL, so that a close does not render it again.

    Each build takes a fresh one, because dbt keeps its progress in it. Unit tests cannot run with it: they replace what
    the SQL refers to before it is compiled.
    """
    from dbt.contracts.graph.manifest import Manifest
    from dbt.contracts.graph.nodes import GenericTestNode

    manifest = Manifest.from_msgpack(target.parsed.read_bytes())
    for unique_id, node in manifest.nodes.items():
        if compiled_code := _nodes(target)[unique_id].get("compiled_code"):
            node.raw_code = compiled_code
            if isinstance(node, GenericTestNode):
                # dbt would render the arguments too, which stand in the SQL by now.
                node.test_metadata.kwargs = {}
    return manifest


@dataclass(frozen=True)
class HandedOver:
    """A model whose rows a build hands over as one Parquet file.

    `columns` are those of its contract: column → DuckDB type. `folder` names the column of `stg_close` with its folder,
    and `file` is its name there without the suffix.
    """

    name: str
    columns: Mapping[str, str]
    file_order: tuple[str, ...]
    folder: str
    file: str


def handed_over(target: Target) -> list[HandedOver]:
    """The models that `parquet_file` writes."""
    usage = contract("usage")
    return [
        HandedOver(
            name=node["name"],
            # Corrections have the columns of the usage, and no contract of their own.
            columns={name: column["data_type"] or usage[name] for name, column in node["columns"].items()},
            file_order=tuple(node["config"]["file_order"]),
            folder=node["config"].get("folder", "out_dir"),
            file=node["config"].get("file", node["name"]),
        )
        for node in _nodes(target).values()
        if node["config"]["materialized"] == "parquet_file"
    ]


def contract(model: str) -> dict[str, str]:
    """Column → type of a mart, as its contract fixes them."""
    node = _nodes()[f"model.tenant_statements.{model}"]
    return {name: column["data_type"] for name, column in node["columns"].items()}


def description(model: str) -> str:
    """The sentences that describe a model, its grain included."""
    return " ".join(_nodes()[f"model.tenant_statements.{model}"]["description"].split())


def column_descriptions(model: str) -> dict[str, str]:
    """Column → the sentences that describe it."""
    columns = _nodes()[f"model.tenant_statements.{model}"]["columns"]
    return {name: " ".join(column["description"].split()) for name, column in columns.items()}


@functools.cache
def _nodes(target: Target = DUCKDB) -> dict[str, Any]:
    """Every node of the prepared manifest, by its unique id."""
    nodes: dict[str, Any] = json.loads(prepare(target).read_text(encoding="utf-8"))["nodes"]
    return nodes


def _invoke(
    target: Target,
    arguments: list[str],
    manifest: Manifest | None,
    callbacks: Sequence[Callable[[EventMsg], None]] = (),
) -> dbtRunnerResult:
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    try:
        with dbt_events.without_debug():
            outcome = dbtRunner(manifest=manifest, callbacks=list(callbacks)).invoke(
                [
                    *QUIET,
                    *arguments,
                    "--target",
                    target.name,
                    "--project-dir",
                    str(DBT_PROJECT),
                    "--profiles-dir",
                    str(DBT_PROJECT),
                ]
            )
    finally:
        # dbt keeps the file open; nobody else in this process could open it with other settings.
        DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
    if isinstance(outcome.exception, Exception):
        raise Refused(f"dbt could not run: {engine.first_line(outcome.exception)}") from outcome.exception
    if outcome.exception is not None:
        # Ctrl+C, by itself or as Dagster tells it.
        raise outcome.exception
    return outcome


def _result(result: RunResult) -> NodeResult:
    # DuckDB quotes the value that it could not take; Dagster would keep it in its history.
    message = QUOTED_VALUE.sub("'…'", (result.message or "").strip())
    return NodeResult(
        unique_id=result.node.unique_id,
        name=result.node.name,
        resource_type=str(result.node.resource_type),
        status=str(result.status),
        seconds=result.execution_time,
        failures=result.failures or 0,
        message=" ".join(message.split())[:300],
    )


def _limits(settings: Settings, spill: str) -> dict[str, str]:
    return {
        "STATEMENTS_TEMP_DIRECTORY": spill,
        "STATEMENTS_SPILL_LIMIT": settings.spill_limit,
        "STATEMENTS_MEMORY_LIMIT": settings.memory_limit,
        "STATEMENTS_THREADS": str(settings.threads),
    }


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set the variables that the profile reads while dbt runs: it takes its values from the environment alone."""
    values = {"DBT_SEND_ANONYMOUS_USAGE_STATS": "false"} | dict(variables)
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def write_docs() -> Path:
    """Write dbt's documentation as one HTML file, for which no database is needed. Returns its path."""
    folder = TARGET / "docs"
    with _environment({BUILD_FILE: str(folder / "build.duckdb")}):
        _invoke(DUCKDB, ["docs", "generate", "--empty-catalog", "--static", "--target-path", str(folder)], None)
    return folder / "static_index.html"


if __name__ == "__main__":
    written = write_docs() if sys.argv[1:] == ["docs"] else prepare()
    print(f"Wrote {written.relative_to(PROJECT_ROOT)}")

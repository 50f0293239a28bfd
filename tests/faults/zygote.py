"""A process that has imported everything, and forks a child for each command of `statements` that it is asked for.

What belongs here: the child, and what may be made of it (a clock, a build made earlier, a limit, a sync left out). What
does not: what is done to the child from outside, or what it must leave behind. Runs as `python -m tests.faults.zygote`:
an order is a line of JSON on standard input, an answer one on standard output. It imports and starts no thread itself,
so that a fork of it is as good as a new process.
"""

import inspect
import json
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import dagster as dg
import dbt.adapters.duckdb.impl
import dbt.cli.main  # noqa: F401
import pyarrow.parquet  # noqa: F401
import rich.live
import rich.progress  # noqa: F401

from orchestration import cli, clock, dagster_run, definitions, files, settings
from orchestration.close import month_build
from orchestration.close.inputs import Inputs
from orchestration.close.month_build import Build
from orchestration.close.pinning import Workspace
from orchestration.commands import close
from orchestration.commands.close import Progress
from orchestration.months import Month
from orchestration.settings import Settings

# What a programmer could leave out of files.py, as the text that would be missing, and what would stand there. The sync in
# `swap` is not among it: DuckDB syncs the new warehouse itself when it closes the file.
WITHOUT = {
    "a frozen file": ("        sync(path)\n", ""),
    "an inner folder": ("        sync(inner)\n", ""),
    "the staged folder": ("    sync(folder)\n", ""),
    "the folders around it": ("        sync(parent)\n", ""),
}


def close_directly(configuration: Settings, month: Month, *, accept_rejected: bool) -> bool:
    """A close without Dagster around it: the same steps, in a tenth of the time."""
    closed = close.close_month(configuration, month, accept_rejected=accept_rejected, progress=lambda _: None)
    return closed.already_frozen


def with_build(prepared: Path) -> Callable:
    """A step that takes what dbt would make from a folder where it was made earlier."""

    def build(configuration: Settings, inputs: Inputs, progress: Progress) -> Build:
        workspace = Workspace(close._build_folder(configuration), inputs.close.month)
        files.remove(workspace.folder)
        workspace.folder.mkdir(parents=True)
        for made in (workspace.output, workspace.figures):
            (prepared / made.name).rename(made)
        return month_build.handed_over(workspace, [])

    return build


def keeping_build(prepared: Path) -> Callable:
    """A step that copies what dbt has made, for `with_build`."""
    make = close._build

    def build(configuration: Settings, inputs: Inputs, progress: Progress) -> Build:
        build = make(configuration, inputs, progress)
        workspace = Workspace(build.folder.parent, inputs.close.month)
        import shutil

        for made in (workspace.output, workspace.figures):
            shutil.copytree(made, prepared / made.name)
        return build

    return build


def leave_out(name: str) -> None:
    """Make files.py anew without one of its syncs, in this process alone."""
    before, after = WITHOUT[name]
    source = inspect.getsource(files)
    assert source.count(before) == 1, f"files.py has {source.count(before)} times {before!r}"
    exec(compile(source.replace(before, after), files.__file__, "exec"), files.__dict__)


def close_as_dagster_does(data: str, month: str) -> None:
    """One run of the job for a partition, as the UI, the schedule or a backfill launches it."""
    configuration = settings.load(Path(data))
    dagster_run.prepare_home(configuration)
    with dg.DagsterInstance.from_config(str(configuration.dagster_home)) as instance:
        job = definitions.build_defs(configuration).resolve_job_def("close_month")
        config = {"ops": {"closing": {"config": {"accept_rejected": True}}}}
        job.execute_in_process(instance=instance, partition_key=month, run_config=config)


def child(order: dict) -> None:
    """Become the command: in a process of its own, with its own output, stopped until somebody lets it go on."""
    said = os.open(order["said"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    for descriptor in (1, 2):
        os.dup2(said, descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.umask(0o022)
    if order["now"]:
        moment = datetime.fromisoformat(order["now"])
        clock.now = lambda: moment
    if order["prepared"]:
        close._build = with_build(Path(order["prepared"]))
    if order["keep_build"]:
        close._build = keeping_build(Path(order["keep_build"]))
    if not order["dagster"]:
        dagster_run.close_through_dagster = close_directly
    if order["without"]:
        leave_out(order["without"])
    if order["file_size"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["file_size"], order["file_size"]))
    os.kill(os.getpid(), signal.SIGSTOP)
    if order["job"]:
        close_as_dagster_does(*order["job"])
    else:
        cli.app(order["command"])


def start(order: dict) -> int:
    pid = os.fork()
    if pid == 0:
        status = 70
        try:
            child(order)
            status = 0
        except SystemExit as ended:
            status = ended.code or 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    os.waitpid(pid, os.WUNTRACED)
    return pid


def main() -> None:
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        # The end of a child: its exit status, or the signal that killed it, negative.
        answer = os.waitstatus_to_exitcode(os.waitpid(order["wait"], 0)[1]) if "wait" in order else start(order)
        print(answer, flush=True)


if __name__ == "__main__":
    main()

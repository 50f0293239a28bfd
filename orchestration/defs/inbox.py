"""The inbox as Dagster sees it: a sensor that asks which files are whole, and a job that lands one of them.

What belongs here: one run for each file, keyed by its hash. What does not: when a file is whole, or how it lands.
"""

from pathlib import Path
from typing import Any

import dagster as dg

from orchestration import files
from orchestration.commands import inbox
from orchestration.commands.inbox import Dropped
from orchestration.defs import feeds, refusal
from orchestration.runtime import run_worker
from orchestration.settings import load


class DroppedFile(dg.Config):
    """A file in the inbox: the name of its folder, and its own."""

    folder: str
    name: str


@dg.op
def landing_dropped_file(context: dg.OpExecutionContext, config: DroppedFile) -> None:
    """Land the file, and move it to `inbox/done` or `inbox/refused`."""
    settings = load()
    run_worker.show_life(context.instance, context.run_id)
    dropped = inbox.dropped_file(settings, config.folder, config.name)
    if not dropped.path.is_file():
        context.log.info(f"{dropped.path} is not there any more: another run, or `land --inbox`, has dealt with it.")
        return
    outcome = inbox.land_one(settings, dropped, context.log.info)
    if outcome.landing is None:
        raise refusal.Failed(str(outcome.refusal), {"file": str(outcome.moved_to)})
    receipt = outcome.landing.receipt
    # Observed like the whole feed, which follows: a materialization would hide every observation of it for good.
    context.log_event(
        dg.AssetObservation(
            asset_key=feeds.key(dropped.feed),
            description="landed" if outcome.landing.is_new else "landed before",
            metadata={
                "file": str(outcome.moved_to),
                "batch_id": receipt.batch_id,
                "source": receipt.source,
                "rows": receipt.rows,
                "rejected_rows": receipt.rejected_rows,
                "source_sha256": receipt.source_sha256,
            },
        )
    )
    for observation in feeds.latest(settings):
        context.log_event(observation)


@dg.job(
    name="land_dropped_file",
    description="Lands one file of the inbox.",
    executor_def=dg.in_process_executor,
)
def land_dropped_file() -> None:
    landing_dropped_file()


@dg.sensor(
    name="inbox_files",
    job=land_dropped_file,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks for a run for each whole file in data/inbox.",
)
def inbox_files() -> list[dg.RunRequest] | dg.SkipReason:
    """One run a file. The time of the file is part of the key: dropped again, or touched, it is asked for again."""
    settings = load()
    inbox.prepare(settings)
    requests = [_request(dropped) for dropped in inbox.ready(settings)]
    return requests or dg.SkipReason("There is no whole file in the inbox.")


def _request(dropped: Dropped) -> dg.RunRequest:
    key = f"{dropped.folder}/{files.sha256(dropped.path)}@{dropped.path.stat().st_mtime_ns}"
    return dg.RunRequest(
        run_key=key,
        run_config=run_config(dropped.path, dropped.folder),
        tags={"file": f"{dropped.folder}/{dropped.path.name}"},
    )


def run_config(path: Path, folder: str) -> dict[str, Any]:
    return {"ops": {"landing_dropped_file": {"config": {"folder": folder, "name": path.name}}}}

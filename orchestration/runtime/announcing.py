"""Which assets Dagster is told of before they are made. An asset that was announced and is not made turns red.

What belongs here: when the parts of a close are announced. What does not: what they are (`defs`).

Dagster announces every asset and check of a run as it creates the run. A close has a hundred of them, so that a refusal
would turn all of the graph red, and writing them down took a quarter of what the history costs.
"""

from collections.abc import Iterable
from typing import Any

import dagster as dg
from dagster._core.events import AssetMaterializationPlannedData, DagsterEvent
from dagster._core.instance.runs.run_domain import RunDomain

# The step that makes everything of a month.
CLOSING = "closing"
_announce_all = RunDomain._log_asset_planned_events


def install() -> None:
    """Let the step `closing` announce for itself what it makes."""
    # A method of Dagster's class is replaced on purpose: no setting leaves a step out.
    RunDomain._log_asset_planned_events = _announce_others  # type: ignore[method-assign, assignment]


def _announce_others(domain: RunDomain, run: dg.DagsterRun, plan: Any, graph: Any) -> None:
    others = [step for step in plan.step_keys_to_execute if step != CLOSING]
    _announce_all(domain, run, plan._replace(step_keys_to_execute=others), graph)


def announce(context: dg.AssetExecutionContext, keys: Iterable[dg.AssetKey]) -> None:
    """Announce assets of the run's month: from now on they turn red if the run fails."""
    for key in keys:
        planned = AssetMaterializationPlannedData(key, partition=context.partition_key, partitions_subset=None)
        event = DagsterEvent.build_asset_materialization_planned_event(context.run.job_name, CLOSING, planned)
        context.instance.report_dagster_event(event, context.run.run_id)

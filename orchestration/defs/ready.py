"""The first step of a close: whether the month may be closed at all.

What belongs here: the asset that alone turns red when a close is refused. What does not: the preconditions
(`close.readiness`), which the close itself holds again, under the lock.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from orchestration.commands import close
from orchestration.defs import OWNERS, feeds, refusal
from orchestration.errors import Damaged, Refused
from orchestration.landing.feeds import FEEDS
from orchestration.months import Month
from orchestration.runtime import run_worker
from orchestration.settings import load

READY = dg.AssetKey("ready_to_close")


def ready_to_close(months: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The asset for these months."""

    @dg.multi_asset(
        name="ready_to_close",
        specs=[
            dg.AssetSpec(
                key=READY,
                deps=[feeds.key(feed) for feed in FEEDS],
                group_name="frozen_statements",
                description=(
                    "Whether a month may be closed. Red is a refusal: its run names the reason, the rejected rows and "
                    "what to press, and nothing else of the month is touched.\n\nNever final: looked at anew by every "
                    "close."
                ),
                kinds={"python"},
                owners=OWNERS,
            )
        ],
        partitions_def=months,
        backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=1),
    )
    def look(context: dg.AssetExecutionContext) -> dg.MaterializeResult[object]:
        """Refuse a month that may not be closed, before anything is announced or made."""
        settings, month = load(), Month.parse(context.partition_key)
        run_worker.show_life(context.instance, context.run.run_id)
        context.instance.add_run_tags(context.run.run_id, {"month": str(month)})
        try:
            is_frozen = close.require_closable(
                settings, month, accept_rejected=_accepts_rejected(context.run.run_config)
            )
        except (Refused, Damaged) as error:
            raise refusal.of_close(settings, month, error) from error
        verdict = "frozen already: it is verified" if is_frozen else "may be closed"
        # The same version each time: a look anew makes no frozen month out of date.
        return dg.MaterializeResult(metadata={"verdict": verdict}, data_version=dg.DataVersion(str(month)))

    return look


def _accepts_rejected(run_config: Mapping[str, Any]) -> bool:
    """The decision of an operator, which the run's configuration has at the step that acts on it."""
    options = run_config.get("ops", {}).get("closing", {}).get("config", {})
    return bool(options.get("accept_rejected", False))

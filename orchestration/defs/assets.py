"""The assets: four landed feeds, dbt's models, the frozen month, the warehouse.

What belongs here: what an asset is called, hangs on and shows. What does not: how a month is closed (`close.close`).
Everything that a close makes is one operation that cannot be split, so no part of it can be materialized alone.
"""

from collections.abc import Iterator

import dagster as dg

from orchestration import settings
from orchestration.close import close
from orchestration.close.close import Closed
from orchestration.defs import models
from orchestration.defs.partitions import months
from orchestration.errors import Damaged, Refused
from orchestration.landing.feeds import FEEDS
from orchestration.months import Month

FEED_DESCRIPTIONS = {
    "cdrs": "Charged events as the carrier delivers them: calls, lookups, recordings, messages, monthly charges.",
    "tenants": "The reseller's customers. Contact details stay in the tenant directory and reach nothing downstream.",
    "number_assignments": "Which tenant holds which number, from when: changes, never overwritten.",
    "ip_assignments": "Which tenant holds which IP, from when; a shared IP belongs to nobody.",
}
landed_feeds = [
    dg.AssetSpec(
        key=["landing", feed],
        group_name="landed_feeds",
        description=f"{FEED_DESCRIPTIONS[feed]} Landed with `statements land {feed} FILE`, append-only and hashed.",
        kinds={"parquet"},
    )
    for feed in FEEDS
]
FROZEN = dg.AssetSpec(
    key="frozen_month",
    deps=models.mart_keys,
    group_name="frozen_statements",
    description=(
        "A month's statements as read-only files with their hashes, for ever. Final as soon as it is there: "
        "closing the month again verifies it and changes nothing."
    ),
    kinds={"parquet", "csv"},
    skippable=True,
)
WAREHOUSE = dg.AssetSpec(
    key="warehouse",
    deps=[FROZEN],
    group_name="frozen_statements",
    description="warehouse.duckdb: views over all frozen months, asset history, operations. A cache, swapped in whole.",
    kinds={"duckdb"},
    skippable=True,
)


class CloseOptions(dg.Config):
    """What an operator may decide for one close."""

    accept_rejected: bool = False


@dg.multi_asset(
    # Not the job's name: a repository refuses two definitions of one name.
    name="closing",
    specs=[*models.specs, FROZEN, WAREHOUSE],
    check_specs=models.check_specs,
    partitions_def=months,
    backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=1),
    can_subset=False,
)
def close_month_assets(
    context: dg.AssetExecutionContext, config: CloseOptions
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """Close the partition's month: pin, build, check, freeze, swap the warehouse. Or verify it, when it is frozen."""
    try:
        closed = close.close_month(
            settings.load(),
            Month.parse(context.partition_key),
            accept_rejected=config.accept_rejected,
            progress=context.log.info,
        )
    except (Refused, Damaged) as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error
    yield from _results(closed)


def _results(closed: Closed) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    yield from _check_results_of_earlier() if closed.already_frozen else _model_results(closed)
    manifest = closed.manifest
    counts = {name: dg.MetadataValue.int(value) for name, value in manifest.content["counts"].items()}
    yield dg.MaterializeResult(
        asset_key=FROZEN.key,
        metadata={
            "outcome": closed.outcome,
            "manifest_sha256": manifest.sha256,
            "folder": dg.MetadataValue.path(str(manifest.folder)),
            "totals": dg.MetadataValue.json(manifest.content["totals"]),
            "warnings": dg.MetadataValue.json(manifest.content["warnings"]),
            **counts,
        },
        data_version=dg.DataVersion(manifest.sha256),
    )
    if not closed.already_frozen:
        yield dg.MaterializeResult(
            asset_key=WAREHOUSE.key, metadata={"file": dg.MetadataValue.path(str(settings.load().warehouse))}
        )


def _model_results(closed: Closed) -> Iterator[dg.MaterializeResult]:
    checks: dict[dg.AssetKey, list[dg.AssetCheckResult]] = {}
    for node in closed.nodes:
        if node.unique_id in models.check_names:
            key, name = models.check_names[node.unique_id]
            found = {"rows_found": node.failures}
            checks.setdefault(key, []).append(
                dg.AssetCheckResult(asset_key=key, check_name=name, passed=node.failures == 0, metadata=found)
            )
    for node in closed.nodes:
        if node.unique_id in models.asset_keys:
            key = models.asset_keys[node.unique_id]
            yield dg.MaterializeResult(
                asset_key=key, metadata={"seconds": round(node.seconds, 3)}, check_results=checks.get(key, [])
            )


def _check_results_of_earlier() -> Iterator[dg.AssetCheckResult]:
    """A month is frozen only when every check held, and its bytes were just proved to be those that were frozen."""
    for key, name in models.check_names.values():
        yield dg.AssetCheckResult(
            asset_key=key, check_name=name, passed=True, metadata={"held": "when the month was frozen; unchanged since"}
        )

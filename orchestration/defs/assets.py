"""The assets that a close makes: dbt's models, the frozen month, the warehouse.

What belongs here: what an asset is called, hangs on and reports. What does not: how a month is closed (`close.close`),
or how its figures are laid out (`showing`). Everything that a close makes is one operation that cannot be split, so no
part of it can be materialized alone.
"""

from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from orchestration import settings
from orchestration.close import manifests, unusual
from orchestration.close.dbt_build import DoesNotAddUp, NodeResult
from orchestration.close.manifests import Manifest
from orchestration.commands import close
from orchestration.commands.close import Closed
from orchestration.defs import feeds, models, showing
from orchestration.defs.partitions import months
from orchestration.errors import Damaged, Refused
from orchestration.months import Month
from orchestration.runtime import run_worker
from orchestration.settings import Settings

FROZEN = dg.AssetSpec(
    key="frozen_month",
    deps=models.mart_keys,
    group_name="frozen_statements",
    description=(
        "A month's statements as read-only files with their hashes, for ever. Green is frozen, a gap is not.\n\n"
        "Final as soon as it is there: closing the month again verifies it and changes nothing. Press *Materialize* "
        "for the oldest month that has ended and is not green; several chosen at once run in order."
    ),
    kinds={"parquet", "csv"},
    owners=models.OWNERS,
)
WAREHOUSE = dg.AssetSpec(
    key="warehouse",
    deps=[FROZEN],
    group_name="warehouse",
    description=(
        "warehouse.duckdb: views over all frozen months, asset history, operations.\n\nNever final: a cache that is "
        "swapped in whole after every close and every landing. `statements rebuild` makes it again."
    ),
    kinds={"duckdb"},
    owners=models.OWNERS,
)
ADDS_UP = dg.AssetCheckSpec(
    "every_figure_adds_up",
    asset=FROZEN.key,
    blocking=True,
    description="Each invariant of the close, in SQL and again from the written files. One difference and nothing is "
    "frozen.",
)
UNUSUAL = [
    dg.AssetCheckSpec(
        "unattributed_share_is_as_usual",
        asset=FROZEN.key,
        description=f"Warns when more than {unusual.LITTLE_SHARE} % of the records belong to nobody, and more than "
        f"{unusual.JUMP} times the share of the month before.",
    ),
    dg.AssetCheckSpec(
        "rejected_rows_are_as_usual",
        asset=FROZEN.key,
        description=f"Warns when more than {unusual.LITTLE_ROWS} rows were rejected, and more than {unusual.JUMP} "
        "times those of the month before.",
    ),
    dg.AssetCheckSpec(
        "every_day_has_records",
        asset=FROZEN.key,
        description="Warns of UTC days without a single record: a file of the carrier may be missing.",
    ),
]


class CloseOptions(dg.Config):
    """What an operator may decide for one close."""

    accept_rejected: bool = Field(
        default=False,
        description=(
            "Close without the rejected rows that stand against the month (`statements rejected` lists them). "
            "The manifest names every row that was left out, for ever."
        ),
    )


@dg.multi_asset(
    # Not the job's name: a repository refuses two definitions of one name.
    name="closing",
    specs=[*models.specs, FROZEN, WAREHOUSE],
    check_specs=[*models.check_specs, ADDS_UP, *UNUSUAL],
    partitions_def=months,
    backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=1),
    can_subset=False,
)
def close_month_assets(
    context: dg.AssetExecutionContext, config: CloseOptions
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """Close the partition's month: pin, build, check, freeze, swap the warehouse. Or verify it, when it is frozen."""
    configuration = settings.load()
    run_worker.show_life(context.instance, context.run.run_id)
    try:
        closed = close.close_month(
            configuration,
            Month.parse(context.partition_key),
            accept_rejected=config.accept_rejected,
            progress=context.log.info,
        )
    except (Refused, Damaged) as error:
        if isinstance(error, DoesNotAddUp):
            yield from (result for result in _check_results(error.nodes) if not result.passed)
        raise dg.Failure(description=str(error), allow_retries=False) from error
    for observation in feeds.observations():
        context.log_event(observation)
    yield from _results(configuration, closed)


def _results(configuration: Settings, closed: Closed) -> Iterator[dg.MaterializeResult]:
    """Parents first. Everything of a month bears its manifest's hash, so that nothing looks out of date."""
    manifest = closed.manifest
    version = dg.DataVersion(manifest.sha256)
    nodes = {node.unique_id: node for node in closed.nodes}
    checks = _checks_held() if closed.already_frozen else _check_results(closed.nodes)
    for unique_id, key in models.asset_keys.items():
        node = nodes.get(unique_id)
        yield dg.MaterializeResult(
            asset_key=key,
            metadata={"outcome": closed.outcome} | _figures(manifest, key.path[-1], node),
            check_results=[check for check in checks if check.asset_key == key],
            data_version=version,
        )
    yield dg.MaterializeResult(
        asset_key=FROZEN.key,
        metadata={"outcome": closed.outcome} | showing.month(configuration, manifest),
        check_results=list(_month_checks(configuration, manifest)),
        data_version=version,
    )
    yield dg.MaterializeResult(
        asset_key=WAREHOUSE.key,
        metadata={"outcome": closed.outcome} | showing.warehouse(configuration, manifest),
        data_version=version,
    )


def _figures(manifest: Manifest, name: str, node: NodeResult | None) -> dict[str, object]:
    rows = showing.rows_of_table(manifest, name)
    if rows is None and node is not None:
        rows = node.rows
    counted = {} if rows is None else {"dagster/row_count": rows}
    return counted | ({"seconds": round(node.seconds, 3)} if node else {})


def _check_results(nodes: list[NodeResult]) -> list[dg.AssetCheckResult]:
    return [
        dg.AssetCheckResult(
            asset_key=models.check_names[node.unique_id][0],
            check_name=models.check_names[node.unique_id][1],
            passed=node.status == "pass",
            metadata={"rows_found": node.failures},
        )
        for node in nodes
        if node.unique_id in models.check_names and node.status != "skipped"
    ]


def _checks_held() -> list[dg.AssetCheckResult]:
    """A month is frozen only when every check held, and its bytes were just proved to be those that were frozen."""
    return [
        dg.AssetCheckResult(
            asset_key=key, check_name=name, passed=True, metadata={"held": "when the month was frozen; unchanged since"}
        )
        for key, name in models.check_names.values()
    ]


def _month_checks(configuration: Settings, manifest: Manifest) -> Iterator[dg.AssetCheckResult]:
    previous = manifests.load(configuration).before(manifest.month).last
    counts = manifest.content.counts
    yield dg.AssetCheckResult(
        asset_key=FROZEN.key,
        check_name=ADDS_UP.name,
        passed=True,
        metadata=showing.adding_up(configuration, manifest),
    )
    before = previous.content.counts if previous else None
    silent = unusual.silent_days(manifest)
    for name, unremarkable, metadata in (
        (
            "unattributed_share_is_as_usual",
            not unusual.share_jumped(manifest, previous),
            {
                "percent": str(unusual.unattributed_percent(counts)),
                "percent_the_month_before": str(unusual.unattributed_percent(before)) if before else "none",
            },
        ),
        (
            "rejected_rows_are_as_usual",
            not unusual.rejected_jumped(manifest, previous),
            {"rows": counts.rejected, "rows_the_month_before": before.rejected if before else "none"},
        ),
        ("every_day_has_records", not silent, {"days": ", ".join(silent) or "none"}),
    ):
        yield dg.AssetCheckResult(
            asset_key=FROZEN.key,
            check_name=name,
            passed=unremarkable,
            severity=dg.AssetCheckSeverity.WARN,
            metadata=metadata,
        )

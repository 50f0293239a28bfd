"""The assets that a close makes: dbt's models, the frozen month, the warehouse.

What belongs here: what an asset is called, hangs on and reports. What does not: how a month is closed (`close.close`),
or how its figures are laid out (`showing`). Everything that a close makes is one operation that cannot be split, so no
part of it can be materialized alone.
"""

from collections.abc import Iterator, Sequence

import dagster as dg
from pydantic import Field

from orchestration.close import manifests, unusual
from orchestration.close.dbt_build import DoesNotAddUp, NodeResult
from orchestration.close.manifests import Manifest
from orchestration.commands import close
from orchestration.commands.close import Closed
from orchestration.defs import OWNERS, feeds, ready, refusal, showing
from orchestration.defs.models import Models
from orchestration.defs.showing import Metadata
from orchestration.errors import Damaged, Refused
from orchestration.months import Month
from orchestration.runtime import announcing, run_worker
from orchestration.settings import Settings, load

FROZEN_MONTH = dg.AssetKey("frozen_month")
WAREHOUSE = dg.AssetSpec(
    key="warehouse",
    deps=[FROZEN_MONTH],
    group_name="warehouse",
    description=(
        "warehouse.duckdb: views over all frozen months, asset history, operations.\n\nNever final: a cache that is "
        "swapped in whole after every close and every landing. `statements rebuild` makes it again."
    ),
    kinds={"duckdb"},
    owners=OWNERS,
)
ADDS_UP = "every_figure_adds_up"


def _checks(months: dg.PartitionsDefinition) -> list[dg.AssetCheckSpec]:
    """The checks of a frozen month beside those of dbt. Only the first of them can stop a close."""
    descriptions = {
        ADDS_UP: "Each invariant of the close, in SQL and again from the written files. One difference and nothing is "
        "frozen.",
        "unattributed_share_is_as_usual": f"Warns when more than {unusual.LITTLE_SHARE} % of the records belong to "
        f"nobody, and more than {unusual.JUMP} times the share of the month before.",
        "rejected_rows_are_as_usual": f"Warns when more than {unusual.LITTLE_ROWS} rows were rejected, and more than "
        f"{unusual.JUMP} times those of the month before.",
        "every_day_has_records": "Warns of UTC days without a single record: a file of the carrier may be missing.",
    }
    return [
        dg.AssetCheckSpec(
            name, asset=FROZEN_MONTH, blocking=name == ADDS_UP, description=description, partitions_def=months
        )
        for name, description in descriptions.items()
    ]


class CloseOptions(dg.Config):
    """The choices of an operator for one close."""

    accept_rejected: bool = Field(
        default=False,
        description=(
            "Close without the rejected rows that stand against the month (`statements rejected` lists them). "
            "The manifest names every row that was left out, for ever."
        ),
    )


def closing(models: Models, months: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """Everything that the close of one of these months makes and checks, as one operation."""

    @dg.multi_asset(
        # Not the job's name: a repository refuses two definitions of one name.
        name=announcing.CLOSING,
        specs=[*models.specs, _frozen_month(models), WAREHOUSE],
        check_specs=[*models.checks.values(), *_checks(months)],
        partitions_def=months,
        backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=1),
        can_subset=False,
    )
    def close_partition(
        context: dg.AssetExecutionContext, config: CloseOptions
    ) -> Iterator[dg.MaterializeResult[object] | dg.AssetCheckResult]:
        """Close the partition's month: pin, build, check, freeze, swap the warehouse.

        Or verify it, when it is frozen.
        """
        settings, month = load(), Month.parse(context.partition_key)
        run_worker.show_life(context.instance, context.run.run_id)
        # Launched by the button of an asset and not of the job, a run has no tag and no first step that writes it.
        context.instance.add_run_tags(context.run.run_id, {"month": str(month)})
        try:
            closed = close.close_month(
                settings,
                month,
                accept_rejected=config.accept_rejected,
                progress=_progress(context),
            )
        except (Refused, Damaged) as error:
            if isinstance(error, DoesNotAddUp):
                yield from (result for result in _check_results(models, error.nodes) if not result.passed)
            raise refusal.of_close(settings, month, error) from error
        for observation in feeds.latest(settings):
            context.log_event(observation)
        yield from results(settings, models, closed, closed.outcome)

    return close_partition


def _progress(context: dg.AssetExecutionContext) -> close.Progress:
    """A log of the steps. The first of them comes after the last precondition: from then on, a failure is red."""
    unannounced = [FROZEN_MONTH, WAREHOUSE.key]

    def log(step: str) -> None:
        announcing.announce(context, unannounced)
        unannounced.clear()
        context.log.info(step)

    return log


def _frozen_month(models: Models) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=FROZEN_MONTH,
        # A refusal skips the close: its first step is what the frozen month hangs on.
        deps=[*models.handed_over, ready.READY],
        group_name="frozen_statements",
        description=(
            "A month's statements as read-only files with their hashes, for ever. Green is frozen, a gap is not.\n\n"
            "Final as soon as it is there: closing the month again verifies it and changes nothing. Press "
            "*Materialize all…* on the job `close_month`, for the oldest month that has ended and is not green; "
            "several chosen at once run in order. *Materialize…* on this page does the same without the job's first "
            "step, after Dagster has listed every model of the close."
        ),
        kinds={"parquet", "csv"},
        owners=OWNERS,
    )


def results(settings: Settings, models: Models, closed: Closed, outcome: str) -> Iterator[dg.MaterializeResult[object]]:
    """Parents first. Everything of a month bears its manifest's hash, so that nothing looks out of date."""
    manifest = closed.manifest
    version = dg.DataVersion(manifest.sha256)
    nodes = {node.unique_id: node for node in closed.nodes}
    checks = _checks_held(models) if closed.already_frozen else _check_results(models, closed.nodes)
    for unique_id, key in models.asset_keys.items():
        yield dg.MaterializeResult(
            asset_key=key,
            metadata={"outcome": outcome, **_figures(manifest, key.path[-1], nodes.get(unique_id))},
            check_results=[check for check in checks if check.asset_key == key],
            data_version=version,
        )
    yield dg.MaterializeResult(
        asset_key=FROZEN_MONTH,
        metadata={"outcome": outcome, **showing.month(settings, manifest)},
        check_results=list(_month_checks(settings, manifest)),
        data_version=version,
    )
    yield dg.MaterializeResult(
        asset_key=WAREHOUSE.key,
        metadata={"outcome": outcome, **showing.warehouse(settings, manifest)},
        data_version=version,
    )


def _figures(manifest: Manifest, name: str, node: NodeResult | None) -> Metadata:
    rows = showing.rows_of_table(manifest, name)
    if rows is None and node is not None:
        rows = node.rows
    figures: Metadata = {} if rows is None else {"dagster/row_count": rows}
    if node is not None:
        figures["seconds"] = round(node.seconds, 3)
    return figures


def _check_results(models: Models, nodes: Sequence[NodeResult]) -> list[dg.AssetCheckResult]:
    return [
        dg.AssetCheckResult(
            asset_key=models.checks[node.unique_id].asset_key,
            check_name=models.checks[node.unique_id].name,
            passed=node.status == "pass",
            metadata={"rows_found": node.failures},
        )
        for node in nodes
        if node.unique_id in models.checks and node.status != "skipped"
    ]


def _checks_held(models: Models) -> list[dg.AssetCheckResult]:
    """A month is frozen only when every check held, and its bytes were just proved to be those that were frozen."""
    return [
        dg.AssetCheckResult(
            asset_key=check.asset_key,
            check_name=check.name,
            passed=True,
            metadata={"held": "when the month was frozen; unchanged since"},
        )
        for check in models.checks.values()
    ]


def _month_checks(settings: Settings, manifest: Manifest) -> Iterator[dg.AssetCheckResult]:
    previous = manifests.load(settings).before(manifest.month).last
    counts = manifest.content.counts
    yield dg.AssetCheckResult(
        asset_key=FROZEN_MONTH,
        check_name=ADDS_UP,
        passed=True,
        metadata=showing.adding_up(settings, manifest),
    )
    before = previous.content.counts if previous else None
    silent = unusual.silent_days(manifest)
    for name, unremarkable, metadata in (
        (
            "unattributed_share_is_as_usual",
            not unusual.share_jumped(manifest, previous),
            {
                "percent": float(unusual.unattributed_percent(counts)),
                "percent_the_month_before": float(unusual.unattributed_percent(before)) if before else "none",
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
            asset_key=FROZEN_MONTH,
            check_name=name,
            passed=unremarkable,
            severity=dg.AssetCheckSeverity.WARN,
            metadata=metadata,
        )

"""The job that closes a month, the one that verifies everything, when they run, and who is told of a failure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg

from orchestration import clock
from orchestration.close import due
from orchestration.defs import history
from orchestration.defs.checks import everything_is_as_it_was
from orchestration.defs.feeds import landed_feeds
from orchestration.errors import Damaged, Refused
from orchestration.months import Month
from orchestration.runtime import alarm
from orchestration.settings import Settings, load

if TYPE_CHECKING:
    # The type that `define_asset_job` returns; Dagster does not export its name.
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


def close_month(
    steps: Sequence[dg.AssetsDefinition], months: dg.PartitionsDefinition
) -> "UnresolvedAssetJobDefinition":
    """The job of these steps for one of the months."""
    return dg.define_asset_job(
        name="close_month",
        # Not the daily look at every month: a close verifies the one before it.
        selection=dg.AssetSelection.assets(*steps) - dg.AssetSelection.checks(everything_is_as_it_was),
        description="Freezes the statements of an ended month, or verifies them when they are frozen.",
        config=dg.PartitionedConfig(
            partitions_def=months,
            run_config_for_partition_key_fn=lambda _: {},
            tags_for_partition_key_fn=_tags,
        ),
        executor_def=dg.in_process_executor,
    )


def _tags(month: str) -> dict[str, str]:
    """The month; and of several months that wait in the queue the oldest runs first, in whatever order they came."""
    parsed = Month.parse(month)
    return {"month": month, "dagster/priority": str(-12 * parsed.year - parsed.number)}


def close_due_months(job: "UnresolvedAssetJobDefinition") -> dg.ScheduleDefinition:
    """The schedule of the job `close_month`."""
    schedule = dg.schedule(
        name="close_due_months",
        job=job,
        # After the default grace of 12 hours. Daily: one tick closes whatever is due, however many were missed.
        cron_schedule="30 12 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Closes every ended month that is not frozen yet, oldest first, once the grace is over.",
    )
    return schedule(_request_due_months)


def _request_due_months(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
    """Request a run for each due month, oldest first; runs queue one at a time. The overview is told anew."""
    settings = load()
    if context.instance_ref:
        history.tell_of_landing(context.instance, settings)
    try:
        months_due = due.due_months(settings)
    except (Refused, Damaged) as error:
        return dg.SkipReason(str(error))
    if not months_due:
        return dg.SkipReason(_nothing_due(settings))
    # A key of the day: a month that was refused yesterday is tried again today, and a double tick runs once.
    today = clock.now().date().isoformat()
    return [
        dg.RunRequest(run_key=f"{month}@{today}", partition_key=str(month), tags=_tags(str(month)))
        for month in months_due
    ]


def _nothing_due(settings: Settings) -> str:
    upcoming = due.next_month(settings)
    return (
        f"Every ended month is frozen. The next one is {upcoming}, "
        f"which can be closed from {upcoming.end + settings.grace:%Y-%m-%d %H:%M} UTC."
    )


verify_everything = dg.define_asset_job(
    name="verify_everything",
    selection=dg.AssetSelection.assets(landed_feeds) | dg.AssetSelection.checks(everything_is_as_it_was),
    description="Looks at what has landed, and hashes and adds up again everything frozen and everything landed.",
    executor_def=dg.in_process_executor,
)
verify_daily = dg.ScheduleDefinition(
    name="verify_daily",
    job=verify_everything,
    # In the night of most carriers, and hours before months are closed.
    cron_schedule="30 5 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Verifies every day that nothing frozen and nothing landed has changed.",
)


def tell_of_failures(settings: Settings) -> dg.SensorDefinition:
    """The sensor that rings the alarm. It runs from the start where a command is set."""
    sensor = dg.run_failure_sensor(
        name="tell_of_failures",
        default_status=dg.DefaultSensorStatus.RUNNING if settings.on_failure else dg.DefaultSensorStatus.STOPPED,
        description="Runs the command of STATEMENTS_ON_FAILURE when a run has failed. Without that setting it is off.",
    )
    return sensor(_tell)


def _tell(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
    """Say which run failed, never why: the reason may name a tenant."""
    run = context.dagster_run
    if run.tags.get("dagster/will_retry") == "true":
        return dg.SkipReason("It is tried once more by itself.")
    command = load().on_failure
    if command is None:
        return dg.SkipReason("STATEMENTS_ON_FAILURE is not set.")
    alarm.ring(command, alarm.message(run.job_name, run.tags.get("dagster/partition"), run.run_id))
    return None

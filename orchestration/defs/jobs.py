"""The one job that closes a month, and the schedule that asks every day which months are due."""

import dagster as dg

from orchestration import clock, settings
from orchestration.close import close
from orchestration.defs.assets import close_month_assets
from orchestration.errors import Damaged, Refused

close_month = dg.define_asset_job(
    name="close_month",
    selection=dg.AssetSelection.assets(close_month_assets),
    description="Freezes the statements of an ended month, or verifies them when they are frozen.",
    executor_def=dg.in_process_executor,
)


@dg.schedule(
    name="close_due_months",
    job=close_month,
    # After the default grace of 12 hours. Daily: one tick closes whatever is due, however many were missed.
    cron_schedule="30 12 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Closes every ended month that is not frozen yet, oldest first, once the grace is over.",
)
def close_due_months() -> list[dg.RunRequest] | dg.SkipReason:
    """Request a run for each due month, oldest first; runs queue one at a time."""
    try:
        due = close.due_months(settings.load())
    except (Refused, Damaged) as error:
        return dg.SkipReason(str(error))
    if not due:
        return dg.SkipReason("Every ended month is frozen.")
    # A key of the day: a month that was refused yesterday is tried again today, and a double tick runs once.
    today = clock.now().date().isoformat()
    return [dg.RunRequest(run_key=f"{month}@{today}", partition_key=str(month)) for month in due]

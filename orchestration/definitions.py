"""Dagster's declarations together: landed feeds → dbt models → frozen statements → warehouse; three jobs.

What belongs here: putting the declarations of `defs` together. What does not: a declaration, or how anything is done.
Nothing happens while this module loads. Dagster's servers and the processes of its runs call `defs`.
"""

import os

import dagster as dg

from orchestration.defs import assets, checks, feeds, inbox, jobs, models, partitions, ready
from orchestration.files import PRIVATE
from orchestration.settings import Settings, load


def build_defs(settings: Settings) -> dg.Definitions:
    """Every declaration. The settings and the data folder decide which months there are, and whether the alarm is on.

    A run, a tick of a schedule and a sensor read the settings anew from the environment when they happen.
    """
    months = partitions.months(settings)
    closing = assets.closing(models.load(months), months)
    ready_to_close = ready.ready_to_close(months)
    close_month = jobs.close_month([ready_to_close, closing], months)
    return dg.Definitions(
        assets=[feeds.landed_feeds, ready_to_close, closing],
        asset_checks=[checks.everything_is_as_it_was],
        jobs=[close_month, jobs.verify_everything, inbox.land_dropped_file],
        schedules=[jobs.close_due_months(close_month), jobs.verify_daily],
        sensors=[inbox.inbox_files, jobs.tell_of_failures(settings)],
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """The code location of workspace.yaml. The process that asks for it writes into the data folder from then on."""
    os.umask(PRIVATE)
    return build_defs(load())

"""What Dagster shows and runs: landed feeds → dbt models → frozen statements → warehouse; three jobs, when they run.

What belongs here: putting the declarations of `defs` together. What does not: a declaration, or how anything is done.
"""

import os

import dagster as dg

from orchestration.defs import assets, checks, feeds, inbox, jobs
from orchestration.files import PRIVATE

# Dagster's servers load this module; the runs that they start write into the data folder.
os.umask(PRIVATE)

defs = dg.Definitions(
    assets=[feeds.landed_feeds, assets.close_month_assets],
    asset_checks=[checks.everything_is_as_it_was],
    jobs=[jobs.close_month, jobs.verify_everything, inbox.land_dropped_file],
    schedules=[jobs.close_due_months, jobs.verify_daily],
    sensors=[inbox.inbox_files, jobs.tell_of_failures],
    executor=dg.in_process_executor,
)

"""What Dagster shows and runs: landed feeds → dbt models → frozen statements → warehouse, one closing job, an inbox.

What belongs here: putting the declarations of `defs` together. What does not: a declaration, or how anything is done.
"""

import os

import dagster as dg

from orchestration.defs import assets, inbox, jobs
from orchestration.files import PRIVATE

# Dagster's servers load this module; the runs that they start write into the data folder.
os.umask(PRIVATE)

defs = dg.Definitions(
    assets=[*assets.landed_feeds, assets.close_month_assets],
    jobs=[jobs.close_month, inbox.land_dropped_file],
    schedules=[jobs.close_due_months],
    sensors=[inbox.inbox_files],
    executor=dg.in_process_executor,
)

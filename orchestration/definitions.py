"""What Dagster shows and runs: landed feeds → dbt models → frozen statements → warehouse; two jobs, when they run.

What belongs here: putting the declarations of `defs` together. What does not: a declaration, or how anything is done.
"""

import dagster as dg

from orchestration.defs import assets, checks, feeds, jobs

defs = dg.Definitions(
    assets=[feeds.landed_feeds, assets.close_month_assets],
    asset_checks=[checks.everything_is_as_it_was],
    jobs=[jobs.close_month, jobs.verify_everything],
    schedules=[jobs.close_due_months, jobs.verify_daily],
    sensors=[jobs.tell_of_failures],
    executor=dg.in_process_executor,
)

"""The months that can be closed: UTC calendar months, from the first one stated on, never the running one."""

import dagster as dg

from orchestration import settings
from orchestration.landing.seal import frozen_months

# Before a first month is chosen, any month that a carrier may still have records of can become it.
EARLIEST = "2015-01"


def _first_month() -> str:
    configuration = settings.load()
    frozen = frozen_months(configuration)
    return str(frozen[0]) if frozen else configuration.first_month or EARLIEST


months = dg.MonthlyPartitionsDefinition(start_date=_first_month(), timezone="UTC", fmt="%Y-%m", end_offset=0)

"""The months that can be closed: UTC calendar months, from the first one stated on, never the running one."""

import dagster as dg

from orchestration import settings
from orchestration.errors import Damaged
from orchestration.frozen import frozen_months
from orchestration.landing import receipts

# Before a first month is chosen, any month with records can become it; and before anything has landed, any month.
EARLIEST = "2015-01"


def _first_month() -> str:
    configuration = settings.load()
    if frozen := frozen_months(configuration):
        return str(frozen[0])
    if configuration.first_month:
        return configuration.first_month
    try:
        landed = receipts.load(configuration)
    except Damaged:
        # The UI has to open, or it could not say so.
        return EARLIEST
    return min((file.month for receipt in landed for file in receipt.records), default=EARLIEST)


months = dg.MonthlyPartitionsDefinition(start_date=_first_month(), timezone="UTC", fmt="%Y-%m", end_offset=0)

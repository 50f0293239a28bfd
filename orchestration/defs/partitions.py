"""The months that can be closed: UTC calendar months, from the first one stated on, never the running one."""

import dagster as dg

from orchestration.errors import Damaged
from orchestration.frozen import frozen_months
from orchestration.landing import receipts
from orchestration.settings import Settings

# Before a first month is chosen, any month with records can become it; and before anything has landed, any month.
EARLIEST = "2015-01"


def months(settings: Settings) -> dg.MonthlyPartitionsDefinition:
    """The months that this data folder offers now; a server that is to offer an earlier one loads its code again."""
    return dg.MonthlyPartitionsDefinition(start_date=_first_month(settings), timezone="UTC", fmt="%Y-%m", end_offset=0)


def _first_month(settings: Settings) -> str:
    if frozen := frozen_months(settings):
        return str(frozen[0])
    if settings.first_month:
        return settings.first_month
    try:
        landed = receipts.load(settings)
    except Damaged:
        # The UI has to open, or it could not say so.
        return EARLIEST
    return min((file.month for receipt in landed for file in receipt.records), default=EARLIEST)

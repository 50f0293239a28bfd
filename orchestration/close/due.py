"""Which months are to be closed next, and which of them are due now (rules 21 and 22).

What belongs here: the order of months and the grace. What does not: whether one of them may be closed (`readiness`).
"""

from orchestration import clock
from orchestration.close import manifests, readiness
from orchestration.errors import Refused
from orchestration.landing import receipts
from orchestration.months import Month
from orchestration.settings import Settings


def next_month(settings: Settings) -> Month:
    """The month to be closed next, whether it is due or not. Refused when no first month is known."""
    if following := manifests.load(settings).next_month:
        return following
    if settings.first_month:
        return Month.parse(settings.first_month)
    raise Refused(
        "Which month is the first to be stated? Name it once with `statements close YYYY-MM`, or set "
        f"STATEMENTS_FIRST_MONTH. {readiness.months_with_records(receipts.load(settings))}"
    )


def due_months(settings: Settings) -> list[Month]:
    """The ended months after the grace that are not frozen, oldest first. Refused when no first month is known."""
    now = clock.now()
    month = next_month(settings)
    due = []
    while now >= month.end + settings.grace:
        due.append(month)
        month = month.next
    return due

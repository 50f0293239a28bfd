"""Records that somebody asks about, by what they know of them: a number, a day, an amount.

What belongs here: looking frozen records up. What does not: explaining one (`explain`).
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from orchestration import frozen
from orchestration.commands import registry
from orchestration.errors import Refused, did_you_mean
from orchestration.landing import services
from orchestration.months import Month
from orchestration.settings import Settings
from orchestration.warehouse import reader

MOST_ROWS = 1_000
# A number that is called and that nobody holds, such as 411.
SHORT = re.compile(r"[0-9*#]{2,6}", re.ASCII)


@dataclass(frozen=True)
class Wanted:
    """What is known of the records: a number in any usual spelling or a short one, a day as YYYY-MM-DD, a least cost, a
    tenant."""

    number: str
    day: str
    least_cost: str | None = None
    account_id: str | None = None


def find(settings: Settings, asked: Wanted) -> list[dict[str, Any]]:
    """The entries on statements of calls from, to or of a number that began on a UTC day, in the order of time.

    Refused when the number is none, the day is none of a closed month, the tenant has no statement at all, or more
    entries fit than a person reads.
    """
    is_short = SHORT.fullmatch(asked.number) is not None
    canonical = asked.number if is_short else registry.normalized(settings, "number", asked.number)
    wanted = _day(asked.day)
    start = datetime(wanted.year, wanted.month, wanted.day, tzinfo=UTC)
    # A record of a month before the first that is closed, or of an open one, stands on no statement.
    frozen.require_closed(settings, Month.of(start))
    if asked.account_id is not None:
        _require_tenant(settings, asked.account_id)
    titles = services.titles(settings)
    spellings = sorted({canonical, asked.number, canonical.removeprefix("+"), canonical.removeprefix("+1")})
    rows = reader.records(
        settings,
        f"""
        select
            record_id, started_at, service, direction, number, from_number, to_number, duration_seconds, cost, currency,
            account_id, month, entry
        from statements.usage
        where started_at >= ? and started_at < ?
            and (
                number = ? or from_number in (select unnest(?::varchar[])) or to_number in (select unnest(?::varchar[]))
            )
            and abs(cost) >= ? and (?::varchar is null or account_id = ?)
        order by started_at, record_id, month, record_count
        limit {MOST_ROWS + 1}
        """,
        [
            start,
            start + timedelta(days=1),
            canonical,
            *[spellings] * 2,
            _cost(asked.least_cost),
            *[asked.account_id] * 2,
        ],
    )
    if len(rows) > MOST_ROWS:
        raise Refused(f"More than {MOST_ROWS:,} records fit. Add --min-cost or --account.")
    return [row | {"service": titles.get((row["service"], row["direction"]), row["service"])} for row in rows]


def _require_tenant(settings: Settings, account_id: str) -> None:
    rows = reader.rows(settings, "select distinct account_id from statements.statements")
    accounts = {account for (account,) in rows}
    if account_id not in accounts:
        raise Refused(f"{account_id!r} has no statement of any month.{did_you_mean(account_id, accounts)}")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise Refused(f"{text!r} is not a day: write it as YYYY-MM-DD, for example 2026-03-05.") from error


def _cost(text: str | None) -> Decimal:
    if not re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text or "0", re.ASCII):
        raise Refused(f"{text!r} is not an amount from 0 to less than a billion: write it as digits, for example 0.25.")
    return Decimal(text or "0")

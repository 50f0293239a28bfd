"""Who owes what: the statements of a closed month, one line for each tenant and currency.

What belongs here: the list with its flags and its order. What does not: a single statement (`show`), or how the list is
printed (`cli`).
"""

from typing import Any

from orchestration.close import manifests
from orchestration.engine import text
from orchestration.errors import Refused
from orchestration.months import Month
from orchestration.settings import Settings
from orchestration.warehouse import reader

COLUMNS = ("account", "name", "currency", "records", "usage", "corrections", "total", "change", "flags")
TEXTS = ("account", "name", "currency", "flags")
# The columns that a narrow terminal does without, in this order: who owes what in which currency stays.
LEAST_ASKED = ("records", "usage", "corrections", "flags", "change", "name")


def rows(settings: Settings, month: Month, sort: str) -> list[dict[str, Any]]:
    """One entry per tenant and currency. `change` is to the month before, NULL where that has no such statement."""
    return reader.records(settings, f"{_query(settings, month)} order by {_order(sort)}")


def _order(sort: str) -> str:
    """Names from A on, figures from the largest on."""
    if sort not in COLUMNS:
        raise Refused(f"{sort!r} is no column of the list. The columns are {', '.join(COLUMNS)}.")
    return f"{sort} {'asc' if sort in TEXTS else 'desc'} nulls last, account, currency"


def _query(settings: Settings, month: Month) -> str:
    manifest = manifests.require_closed(settings, month)
    before = [one for one in manifests.load(settings) if one.month == month.previous]
    manifests.require_undamaged([manifest, *before], with_days=False)
    return f"""
        with this as (
            from statements.statements where month = {text(str(month))}
        ),

        before as (
            from statements.statements where month = {text(str(month.previous))}
        ),

        counted as (
            select account_id, currency, sum(record_count)::bigint as records
            from statements.statement_lines
            where month = {text(str(month))} and line_type = 'usage'
            group by all
        )

        select
            this.account_id as account,
            this.tenant_name as name,
            this.currency,
            coalesce(counted.records, 0) as records,
            this.usage_cost as usage,
            this.correction_cost as corrections,
            this.total_cost as total,
            this.total_cost - before.total_cost as change,
            concat_ws(
                ', ',
                if(this.is_partial_month, 'partial month', null),
                if(this.archived_at is not null, 'archived', null),
                if(counted.records is null, 'no usage', null),
                if(this.correction_count <> 0, 'corrections', null),
                if(this.total_cost < 0, 'credit', null)
            ) as flags
        from this
        left join before using (account_id, currency)
        left join counted using (account_id, currency)
    """

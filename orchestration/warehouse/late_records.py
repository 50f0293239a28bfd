"""`operations.late_records`: records that landed and stand on no statement.

What belongs here: the view that looks them up. What does not: what a late delivery says anew, which the model
`int_judged_deliveries` decides, here as in a close. It is a view, so that only a query of it pays for looking the
records up in the frozen months; and it is one query, so that any client of the warehouse can run it.
"""

import re
from collections.abc import Sequence

import duckdb

from orchestration.close import dbt_build, pinning
from orchestration.close.inputs import Close
from orchestration.close.manifests import Chain
from orchestration.landing import landed_rows
from orchestration.landing.feeds import CDRS
from orchestration.landing.receipts import Files, Receipt, with_columns

JUDGED = "int_judged_deliveries"
# A relation of a build, as compiled SQL names it.
RELATION = re.compile(r'"build"\."(\w+)"\."(\w+)"')


def query(connection: duckdb.DuckDBPyConnection, chain: Chain, batches: Sequence[Receipt]) -> str:
    """Of frozen months, until the next close: `waiting`. Older than the first month: `before_first_month`."""
    columns = f"strftime(started_at at time zone 'UTC', '%Y-%m') as month, {', '.join(CDRS.stored)}"
    first = str(chain.first_month or "")
    early = with_columns((batch, file) for batch in batches for file in batch.records if file.month < first)
    before = landed_rows.select(early, CDRS.stored)
    selects = [f"select 'before_first_month' as status, {columns} from ({before})"]
    if late := _landed_since_the_last_close(chain, batches):
        selects.append(f"select 'waiting' as status, {columns} from ({_waiting(connection, chain, late)})")
    return " union all ".join(selects)


def _landed_since_the_last_close(chain: Chain, batches: Sequence[Receipt]) -> Files:
    if chain.next_month is None:
        return {}
    late = Close(chain.next_month, chain, batches).late_files.values()
    return with_columns((batch, file) for batch, file in late if file.month >= str(chain.first_month))


def _waiting(connection: duckdb.DuckDBPyConnection, chain: Chain, late: Files) -> str:
    """The last delivery of each record that the next close would state, if nothing else had landed for it."""
    sources = {
        # No end and no beginning: every record in these files is late.
        "control.close": pinning.ClosePeriod().row,
        "landed.cdrs": landed_rows.select({}, CDRS.pinned, row_id=True),
        "landed.neighbouring_cdrs": landed_rows.select({}, CDRS.pinned),
        "landed.late_cdrs": landed_rows.select(late, CDRS.pinned),
        "frozen.stated_records": pinning.NO_RECORDS,
        "frozen.stated_entries": pinning.stated_entries(connection, chain.manifests),
    }
    steps = [f'"{name}" as ({sql})' for name, sql in sources.items()]
    steps += [f"{_steps(name)} as ({_steps(sql)})" for name, sql in dbt_build.compiled([JUDGED]).items()]
    casts = ", ".join(f"{name}::{kind} as {name}" for name, kind in CDRS.stored.items())
    return f"""
        with {", ".join(steps)}
        select {casts}
        from "main.{JUDGED}"
        where came_as = 'late'
        qualify
            bool_or(outcome in ('late', 'restatement')) over (partition by record_id)
            and row_number() over (partition by record_id order by batch_id desc, source_row desc) = 1
    """


def _steps(sql: str) -> str:
    """SQL in which each relation of a build is a step of the one query."""
    return RELATION.sub(r'"\1.\2"', sql)

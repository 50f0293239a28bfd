"""`operations.late_records`: records that landed and stand on no statement.

What belongs here: the view that looks them up. What does not: what a late delivery says anew, which the model
`int_judged_deliveries` decides, here as in a close. It is a view, so that only a query of it pays for looking the
records up in the frozen months; and it is one query, so that any client of the warehouse can run it.
"""

import re
from collections.abc import Iterator, Sequence

from orchestration.close import dbt_build, on_duckdb, pinning
from orchestration.close.inputs import Close
from orchestration.close.manifests import Chain
from orchestration.close.pinning import ClosePeriod
from orchestration.landing import landed_rows
from orchestration.landing.feeds import CDRS
from orchestration.landing.receipts import LandedFile, Receipt, with_columns

JUDGED = "int_judged_deliveries"
# A relation of a build, as compiled SQL names it.
RELATION = re.compile(r'"build"\."(\w+)"\."(\w+)"')


def query(chain: Chain, batches: Sequence[Receipt]) -> str:
    """Of frozen months, until the next close: `waiting`. Older than the first month: `before_first_month`.

    Each record stands here once, by its latest delivery, and not at all when that is usage of a month to come.
    """
    columns = f"strftime(started_at at time zone 'UTC', '%Y-%m') as month, {', '.join(CDRS.stored)}"
    selects = [f"select 'before_first_month' as status, {columns} from ({_before_first_month(chain, batches)})"]
    if chain.next_month:
        close = Close(chain.next_month, chain, batches)
        if close.late_files:
            selects.append(f"select 'waiting' as status, {columns} from ({_waiting(close)})")
    return " union all ".join(selects)


def takes_back(chain: Chain, batches: Sequence[Receipt]) -> str:
    """A query of the records that frozen months state and that the next close takes back, one row each."""
    if not chain.next_month:
        return "select null::varchar as record_id where false"
    return f"""
        select record_id
        from ({_judged(Close(chain.next_month, chain, batches))})
        group by record_id
        having bool_or(came_as = 'withdrawal' and outcome = 'withdrawn') and bool_or(came_as = 'stated')
    """


def _before_first_month(chain: Chain, batches: Sequence[Receipt]) -> str:
    """The last deliveries of records that start before the first month."""
    first = str(chain.first_month or "")
    early = with_columns((batch, file) for batch in batches for file in batch.records if file.month < first)
    rows = landed_rows.select(early, CDRS.stored)
    later = landed_rows.places(_delivered_again(batches, first))
    return f"""
        select early.*
        from ({rows}) as early
        where not exists (
            select 1
            from ({later}) as later
            where later.record_id = early.record_id
                and (later.batch_id, later.source_row) > (early.batch_id, early.source_row)
        )
    """


def _delivered_again(batches: Sequence[Receipt], first: str) -> Iterator[tuple[Receipt, LandedFile]]:
    """The files that may hold a later delivery of a record from before the first month, as receipts say."""
    again: dict[str, set[str]] = {}
    for batch in batches:
        repeats = batch.duplicates or batch.superseded
        again.setdefault(batch.batch_id, set()).update(
            file.day for file in batch.records if repeats and file.month < first
        )
        again[batch.batch_id].update(move.day for move in batch.moved if move.earlier_day[:7] < first)
    for batch in batches:
        yield from ((batch, file) for day in sorted(again[batch.batch_id]) for file in batch.files_on(day))
        if batch.withdrawn and "" in again[batch.batch_id]:
            yield batch, batch.withdrawn


def _waiting(close: Close) -> str:
    """The last delivery of each record that the next close would state, if nothing else had landed for it."""
    casts = ", ".join(f"{name}::{kind} as {name}" for name, kind in CDRS.stored.items())
    return f"""
        select {casts}
        from ({_judged(close)})
        where came_as = 'late'
        qualify
            bool_or(outcome in ('late', 'restatement')) over (partition by record_id)
            and row_number() over (partition by record_id order by batch_id desc, source_row desc) = 1
    """


def _judged(close: Close) -> str:
    """Every delivery that the next close looks at, but those of its own month."""
    linked = [found for path, found in close.linked_files.items() if path not in close.late_files]
    sources = {
        # No end and no beginning: every record in these files is late.
        "control.close": on_duckdb.row(ClosePeriod()),
        "landed.cdrs": landed_rows.select({}, CDRS.pinned, place="row_id"),
        "landed.cdrs_elsewhere": on_duckdb.query(pinning.elsewhere(close, linked)),
        "landed.late_cdrs": landed_rows.select(with_columns(close.late_files.values()), CDRS.pinned),
        "landed.withdrawals": on_duckdb.query(pinning.withdrawals(close)),
        "frozen.stated_entries": on_duckdb.query(pinning.stated_entries(close)),
    }
    steps = [f'"{name}" as ({sql})' for name, sql in sources.items()]
    steps += [f"{_steps(name)} as ({_steps(sql)})" for name, sql in dbt_build.compiled([JUDGED]).items()]
    return f'with {", ".join(steps)} select * from "main.{JUDGED}"'


def _steps(sql: str) -> str:
    """SQL in which each relation of a build is a step of the one query."""
    return RELATION.sub(r'"\1.\2"', sql)

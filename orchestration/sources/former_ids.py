"""Records that landed under the id of an earlier declaration keep it when they land again.

A declaration that told calls apart wrongly gets a better `record_id`, and names the old one in `former_record_id`. What
landed under the old rule must not land a second time under a new name, and cannot be named anew: it may be frozen. So a
record takes over its former id when that id's latest delivery is the same call: one that begins or ends when it does.

What belongs here: finding these records. What does not: any declaration's ids, or the comparison of deliveries.
"""

from collections.abc import Sequence
from pathlib import Path

import duckdb

from orchestration import engine
from orchestration.landing import identity
from orchestration.landing.feeds import CDRS
from orchestration.landing.receipts import Receipt
from orchestration.sources.declaration import Source

# Durations are whole seconds, which one rule may have counted up and another down.
SAME_END = "interval 1 second"


def take_over(connection: duckdb.DuckDBPyConnection, source: Source, landed: Sequence[Receipt]) -> None:
    """Give the records of relation `source` their former ids, where records of this source landed under them."""
    earlier = [batch for batch in landed if batch.feed == CDRS.name and batch.source == source.label and batch.ids]
    if not source.former_record_id or not earlier:
        return
    connection.execute(
        """
        create or replace temp table candidate as
        select
            source_row,
            "record.former_id" as record_id,
            instant("record.started_at") as started_at,
            started_at + to_seconds(coalesce(whole_seconds("record.duration_seconds"), 0)) as ended_at
        from source
        where "record.former_id" is distinct from "record.record_id"
        """
    )
    identity.create_deliveries_of(connection, "select record_id from candidate", earlier)
    _create_taken_over(connection, [batch.path(batch.rejected) for batch in earlier if batch.rejected])
    if engine.row(connection, "select count(*) from taken_over") == (0,):
        return
    connection.execute(
        """
        alter view source rename to source_under_new_ids;
        create temp view source as
        select
            source_under_new_ids.*
            replace (coalesce(taken_over.record_id, "record.record_id") as "record.record_id")
        from source_under_new_ids
        left join taken_over using (source_row)
        """
    )


def _create_taken_over(connection: duckdb.DuckDBPyConnection, rejected: Sequence[Path]) -> None:
    """Create table `taken_over`: the rows of `candidate` that are the call of a former id, one for each id."""
    rows = engine.parquet(rejected) if rejected else "(select '' as record_id, '' as month where false)"
    # A rejected row has the month of its time, which is its start or, where that was missing, its end.
    connection.execute(
        f"""
        create or replace temp table taken_over as
        with latest as (
            select record_id, started_at, started_at + to_seconds(duration_seconds) as ended_at
            from delivery
            where not withdrawn
            qualify row_number() over (partition by record_id order by batch_id desc, source_row desc) = 1
        ),
        stood as (
            select distinct record_id, month from {rows} where record_id not in (select record_id from latest)
        ),
        same as (
            select candidate.source_row, record_id, candidate.started_at,
                candidate.started_at = latest.started_at as is_same_start
            from candidate
            inner join latest using (record_id)
            where candidate.started_at = latest.started_at
                or candidate.ended_at between latest.ended_at - {SAME_END} and latest.ended_at + {SAME_END}
            union all
            select candidate.source_row, record_id, candidate.started_at, false as is_same_start
            from candidate
            inner join stood using (record_id)
            where stood.month in (
                strftime(candidate.started_at at time zone 'UTC', '%Y-%m'),
                strftime(candidate.ended_at at time zone 'UTC', '%Y-%m')
            )
        )
        select source_row, record_id
        from same
        qualify row_number() over (
            partition by record_id order by is_same_start desc, started_at, source_row
        ) = 1
        """
    )

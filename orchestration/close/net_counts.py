"""Invariant 4 over all frozen months: each record that was delivered more than once is stated once, or not at all.

What belongs here: the latest deliveries of such records against everything that is stated of them. What does not: a
record with one delivery, which its own month's invariants hold. It finds the records by the ids of all batches, not by
what receipts say of moves: a close goes by those, and this is its judge. Nothing here writes.
"""

from collections.abc import Sequence

import duckdb

from orchestration import engine
from orchestration.close.manifests import Chain
from orchestration.landing import identity
from orchestration.landing.feeds import CDRS
from orchestration.landing.receipts import Receipt
from orchestration.layout import counted
from orchestration.settings import Settings

# The records that a sentence names.
SHOWN = 3


def problems(settings: Settings, chain: Chain, batches: Sequence[Receipt]) -> list[str]:
    """A sentence when the statements do not add up to the latest deliveries that had landed by the last close."""
    if not chain:
        return []
    landed = [batch for batch in batches if batch.feed == CDRS.name and batch.sequence <= chain.landed_up_to]
    with engine.connect(settings) as connection:
        identity.create_moved_ids(connection, landed)
        identity.create_deliveries(connection, landed)
        _create_stated(connection, chain)
        wrong = _wrong(connection, chain)
    if not wrong:
        return []
    listed = ", ".join(f"{record_id} (counts {stated}, not {due})" for record_id, due, stated in wrong[:SHOWN])
    more = f" and {counted(len(wrong) - SHOWN, 'other')}" if len(wrong) > SHOWN else ""
    return [f"the statements do not count each record once over all months: {listed}{more}"]


def _create_stated(connection: duckdb.DuckDBPyConnection, chain: Chain) -> None:
    """Table `stated`: the net count of each of these records over all statements."""
    months = {month for (month,) in connection.execute("select distinct month from delivery").fetchall()}
    paths = [
        path
        for manifest in chain
        for path in (manifest.usage_files if str(manifest.month) in months else manifest.correction_files)
    ]
    entries = engine.parquet(paths) if paths else "(select null::varchar as record_id, 0 as record_count where false)"
    connection.execute(
        f"""
        create temp table stated as
        select record_id, sum(record_count) as net_count
        from {entries}
        where record_id in (select record_id from delivery)
        group by record_id
        """
    )


def _wrong(connection: duckdb.DuckDBPyConnection, chain: Chain) -> list[tuple[str, int, int]]:
    first, last = str(chain.first_month), str(chain.manifests[-1].month)
    return connection.execute(
        """
        with due as (
            select
                record_id,
                case when not withdrawn and month between ? and ? then 1 else 0 end as net_count
            from delivery
            qualify row_number() over (partition by record_id order by batch_id desc, source_row desc) = 1
        )
        select record_id, due.net_count, coalesce(stated.net_count, 0)::bigint
        from due
        left join stated using (record_id)
        where due.net_count <> coalesce(stated.net_count, 0)
        order by record_id
        """,
        [first, last],
    ).fetchall()

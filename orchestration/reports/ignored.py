"""Rows that a source's rules leave out when its files land: which they are, and by which rule.

What belongs here: reading what landing put aside. What does not: the rules, which sources declare.
"""

from typing import Any

from orchestration import engine
from orchestration.engine import text
from orchestration.landing import receipts
from orchestration.months import Month
from orchestration.settings import Settings


def rows(settings: Settings, month: Month | None) -> list[dict[str, Any]]:
    """Every ignored row, or those of a month by their own readable time, in landing order."""
    holders = [batch for batch in receipts.load(settings) if batch.ignored_rows]
    if not holders:
        return []
    paths = [batch.path(batch.ignored_rows) for batch in holders if batch.ignored_rows]
    with engine.connect(settings) as connection:
        engine.create_table(
            connection,
            "batch",
            {"batch_id": "varchar", "source": "varchar", "file_name": "varchar"},
            [(batch.batch_id, batch.source, batch.file_name) for batch in holders],
        )
        return engine.records(
            connection,
            f"""
            select month, source, file_name, batch_id, source_row, record_id, reason
            from {engine.parquet(paths)}
            inner join batch using (batch_id)
            where {f"month = {text(month)}" if month else "true"}
            order by batch_id, source_row
            """,
        )

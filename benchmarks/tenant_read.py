"""How long one tenant's records of a month take, through `warehouse.duckdb`, as an analyst would ask for them.

What belongs here: the question, asked on a connection opened before the clock starts. What does not: other questions.
"""

import argparse
import json
import time
from pathlib import Path

import duckdb

QUESTION = """
    select count(*), sum(billed_seconds), sum(cost), min(started_at), max(started_at)
    from statements.usage
    where month = ? and account_id = ?
"""
EVERY_COLUMN = "create or replace temp table found as select * from statements.usage where month = ? and account_id = ?"


def main() -> None:
    """Ask for the largest tenant and for four others."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("month")
    asked = parser.parse_args()
    connection = duckdb.connect(str(asked.data / "warehouse.duckdb"), read_only=True)
    connection.execute("set TimeZone = 'UTC'; set enable_progress_bar = false")
    ranked = connection.execute(
        "select account_id from statements.statement_lines where month = ? group by all "
        "order by sum(record_count) desc, account_id",
        [asked.month],
    ).fetchall()
    # The largest, and four from all over the list.
    accounts = [ranked[place * (len(ranked) - 1) // 4][0] for place in range(5)]
    figures = []
    for account in accounts:
        started = time.perf_counter()
        (records, *_) = connection.execute(QUESTION, [asked.month, account]).fetchone()
        answered = time.perf_counter()
        connection.execute(EVERY_COLUMN, [asked.month, account])
        figures.append(
            {
                "account_id": account,
                "records": records,
                "sum_ms": round((answered - started) * 1000, 1),
                "every_column_ms": round((time.perf_counter() - answered) * 1000, 1),
            }
        )
    print(
        json.dumps(
            {
                "mean_sum_ms": round(sum(figure["sum_ms"] for figure in figures) / len(figures), 1),
                "mean_every_column_ms": round(sum(figure["every_column_ms"] for figure in figures) / len(figures), 1),
                "tenants": figures,
            }
        )
    )


if __name__ == "__main__":
    main()

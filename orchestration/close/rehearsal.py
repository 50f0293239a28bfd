"""What a dry run shows of a private build: totals, unattributed by reason, corrections, rejected rows, warnings."""

from pathlib import Path
from typing import Any

from orchestration import engine
from orchestration.close.inputs import Inputs
from orchestration.close.publishing import counts, warnings
from orchestration.settings import Settings

QUERIES = {
    "Totals": """
        select currency, section, sum(record_count)::bigint as records, sum(cost)::decimal(38, 9) as cost,
            sum(attributed_cost)::decimal(38, 9) as attributed, sum(unattributed_cost)::decimal(38, 9) as unattributed
        from main.organization_statement group by all order by all
    """,
    "Unattributed by reason": """
        select reason, currency, sum(record_count)::bigint as records, sum(cost)::decimal(38, 9) as cost
        from main.unattributed group by all order by all
    """,
    "Corrections": """
        select currency, usage_month, sum(record_count)::bigint as records, sum(cost)::decimal(38, 9) as cost
        from main.organization_statement where line_type = 'correction' group by all order by all
    """,
}


def figures(settings: Settings, build_file: Path, inputs: Inputs) -> dict[str, list[dict[str, Any]]]:
    """Title → rows."""
    with engine.connect(settings, build_file) as connection:
        found = {"Records": [counts(connection)]}
        for title, query in QUERIES.items():
            cursor = connection.execute(query)
            names = [column[0] for column in cursor.description]
            found[title] = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        odd = warnings(connection, inputs)
    found["Rejected rows"] = [
        {"batch_id": row.batch_id, "source_row": row.source_row, "reason": row.reason}
        for row in inputs.rejected
        if not row.cleared
    ]
    found["Warnings"] = [{"warning": warning} for warning in odd]
    return found

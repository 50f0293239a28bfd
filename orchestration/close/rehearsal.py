"""The figures of a dry run's private build: totals, unattributed by reason, corrections, rejected rows, warnings."""

from dataclasses import asdict
from typing import Any

from orchestration import engine
from orchestration.close import publishing
from orchestration.close.inputs import Inputs
from orchestration.close.month_build import Build
from orchestration.settings import Settings

QUERIES = {
    "Totals": """
        select currency, section, sum(record_count)::bigint as records, sum(cost)::decimal(38, 9) as cost,
            sum(attributed_cost)::decimal(38, 9) as attributed, sum(unattributed_cost)::decimal(38, 9) as unattributed
        from {organization_statement} group by all order by all
    """,
    "Unattributed by reason": """
        select reason, currency, sum(record_count)::bigint as records, sum(cost)::decimal(38, 9) as cost
        from {unattributed} group by all order by all
    """,
    "Corrections": """
        select currency, strftime(usage_month, '%Y-%m') as usage_month, sum(record_count)::bigint as records,
            sum(cost)::decimal(38, 9) as cost
        from {organization_statement} where line_type = 'correction' group by all order by all
    """,
}


def figures(settings: Settings, inputs: Inputs, build: Build) -> dict[str, list[dict[str, Any]]]:
    """Title → rows."""
    source = {
        name: engine.parquet([build.folder / f"{name}.parquet"]) for name in ("organization_statement", "unattributed")
    }
    shown: dict[str, list[dict[str, Any]]] = {"Records": [asdict(build.counts)]}
    with engine.connect(settings) as connection:
        for title, query in QUERIES.items():
            shown[title] = engine.records(connection, query.format(**source))
    shown["Rejected rows"] = [
        {"batch_id": row.batch_id, "source_row": row.source_row, "reason": row.reason}
        for row in inputs.rejected
        if not row.cleared
    ]
    shown["Warnings"] = [{"warning": warning} for warning in publishing.warnings(inputs, build.folder)]
    return shown

"""The UI's view of a frozen month: Markdown tables, a chart, where the files are.

What belongs here: laying out figures that are frozen already. What does not: computing any; and no contact data, not
even a tenant's name: Dagster keeps its metadata in its history.
"""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Any

import dagster as dg

from orchestration import engine, layout
from orchestration.close import unusual
from orchestration.close.manifests import Manifest
from orchestration.settings import Settings

# The metadata that Dagster shows beside a result, by label. A float is a duration, or a point of a plot.
Metadata = dict[str, dg.MetadataValue[Any] | str | int | float]
TENANTS_SHOWN = 10
TOTALS = """
    select currency, line_type, sum(record_count)::bigint, sum(cost)::decimal(38, 9),
        sum(attributed_cost)::decimal(38, 9), sum(unattributed_cost)::decimal(38, 9)
    from {organization_statement} group by all order by currency, line_type desc
"""
SERVICES = """
    select service, currency, sum(cost)::decimal(38, 9), sum(record_count)::bigint, sum(minutes), direction
    from {organization_statement} group by all order by currency, sum(cost) desc, service, direction
"""
TOP_TENANTS = f"""
    select account_id, currency, total_cost from {{statements}}
    order by total_cost desc, account_id, currency limit {TENANTS_SHOWN}
"""
UNATTRIBUTED = """
    select reason, currency, sum(record_count)::bigint, sum(cost)::decimal(38, 9)
    from {unattributed} group by all order by sum(cost) desc, reason, currency
"""
RECONCILIATION = """
    select check_name, count(*), sum(expected), sum(actual), max(abs(difference))
    from {reconciliation} group by all order by check_name
"""
READY_QUERY = """
```sql
-- duckdb -readonly {file}
select account_id, tenant_name, currency, total_cost
from statements.statements
where month = '{month}'
order by total_cost desc;
```
"""


def month(settings: Settings, manifest: Manifest) -> Metadata:
    """Metadata of a frozen month."""
    return {
        "statement": _markdown(
            f"**{manifest.month}**, closed {manifest.closed_at:%Y-%m-%d %H:%M} UTC",
            table(
                ["currency", "lines", "records", "cost", "attributed", "unattributed"],
                _rows(settings, manifest, TOTALS),
            ),
        ),
        "services": _markdown(
            # At 1280 pixels the last column stands beyond the edge: it is the one that most services' names tell.
            table(
                ["service", "currency", "cost", "records", "minutes", "direction"], _rows(settings, manifest, SERVICES)
            )
        ),
        "top_tenants": _markdown(table(["tenant", "currency", "total"], _rows(settings, manifest, TOP_TENANTS))),
        "unattributed_by_reason": _markdown(
            table(["reason", "currency", "records", "cost"], _rows(settings, manifest, UNATTRIBUTED))
        ),
        "records_per_day": _markdown(chart(unusual.records_by_day(manifest))),
        **_plotted(manifest),
        "counts": _markdown(table(["of the month's rows", "rows"], asdict(manifest.content.counts).items())),
        "warnings": _markdown("\n".join(f"- {warning}" for warning in manifest.content.warnings) or "None."),
        "rejected_rows_left_out": len(manifest.content.rejected.left_out),
        "manifest_sha256": manifest.sha256,
        "statements_root_sha256": manifest.content.statements_root_sha256 or "None: frozen before there were any.",
        "folder": dg.MetadataValue.path(str(manifest.folder)),
        "files": _markdown(
            table(
                ["file", "rows", "bytes", "SHA-256"],
                [
                    (output.name, output.rows, output.bytes, output.sha256[:12] + "…")
                    for output in manifest.content.outputs
                ],
            )
        ),
    }


def _plotted(manifest: Manifest) -> Metadata:
    """The figures that Dagster draws from month to month. It draws floats alone; `statement` has the exact amounts."""
    counts = manifest.content.counts
    totals: Metadata = {f"total_{currency}": float(cost) for currency, cost in manifest.content.totals.items()}
    return totals | {
        "records": counts.accepted,
        "unattributed_percent": float(unusual.unattributed_percent(counts)),
        "rejected_rows": counts.rejected,
    }


def adding_up(settings: Settings, manifest: Manifest) -> Metadata:
    """Metadata of the invariants: what was compared, both figures, and the largest difference, which is 0."""
    rows = _rows(settings, manifest, RECONCILIATION)
    return {
        **asdict(manifest.content.counts),
        "unattributed_percent": str(unusual.unattributed_percent(manifest.content.counts)),
        "difference": layout.cell(max((row[-1] for row in rows), default=Decimal(0))),
        "invariants": _markdown(table(["invariant", "compared", "expected", "actual", "difference"], rows)),
    }


def rows_of_table(manifest: Manifest, name: str) -> int | None:
    """How many rows a frozen table has; `usage` is one file a day."""
    counted = [
        output.rows or 0
        for output in manifest.content.outputs
        if output.name == f"{name}.parquet" or output.name.startswith(f"{name}/")
    ]
    return sum(counted) if counted else None


def warehouse(settings: Settings, manifest: Manifest) -> Metadata:
    """Metadata of the warehouse: its tables, and a query to start with."""
    with engine.connect(settings) as connection:
        connection.execute(f"attach {engine.text(settings.warehouse)} as warehouse (read_only)")
        tables = connection.execute(
            "select schema_name, string_agg(name, ', ' order by name) from ("
            "select schema_name, table_name as name from duckdb_tables() where database_name = 'warehouse' "
            "union all select schema_name, view_name from duckdb_views() where database_name = 'warehouse' "
            "and not internal) group by all order by all"
        ).fetchall()
    return {
        "file": dg.MetadataValue.path(str(settings.warehouse)),
        "tables": _markdown(table(["schema", "tables"], tables)),
        "query": _markdown(READY_QUERY.format(file=settings.warehouse, month=manifest.month)),
    }


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table, numbers to the right."""
    listed = [list(row) for row in rows]
    numeric = [all(map(_is_number, column)) for column in zip(*listed, strict=True)] or [False] * len(head)
    rule = ["---:" if number else "---" for number in numeric]
    # A pipe would end the cell. Nothing that a tenant or a carrier may choose freely gets here.
    lines = [head, rule, *([layout.cell(value).replace("|", "\\|") for value in row] for row in listed)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def chart(by_day: dict[str, int]) -> str:
    """Records per day as bars, in an image that needs no server. The UI folds up Markdown of 1,000 characters."""
    most = max(by_day.values(), default=0)
    bars = "".join(
        f"M{10 * place - 5} 60V{60 - 60 * records // (most or 1)}"
        for place, (_, records) in enumerate(sorted(by_day.items()), start=1)
    )
    drawn = (
        "<svg xmlns='http://www.w3.org/2000/svg' width='310' height='60'>"
        f"<path stroke='#4f43dd' stroke-width='8' d='{bars}'/></svg>"
    )
    image = f"data:image/svg+xml;base64,{base64.b64encode(drawn.encode()).decode()}"
    return f"From the first day to the last, UTC; at most {most:,}\n\n![Records per UTC day]({image})"


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | Decimal) and not isinstance(value, bool))


def _markdown(*parts: str) -> dg.MarkdownMetadataValue:
    return dg.MetadataValue.md("\n\n".join(parts))


def _rows(settings: Settings, manifest: Manifest, query: str) -> list[tuple[Any, ...]]:
    tables = ("organization_statement", "statements", "unattributed", "reconciliation")
    relations = {table: engine.parquet([manifest.folder / f"{table}.parquet"]) for table in tables}
    with engine.connect(settings) as connection:
        rows: list[tuple[Any, ...]] = connection.execute(query.format(**relations)).fetchall()
        return rows

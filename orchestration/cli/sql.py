"""The command `sql`: a query of the user's own on the warehouse.

What belongs here: its arguments, help and output. What does not: what a query may do (`reports.sql`).
"""

import sys
from typing import Annotated

import typer

from orchestration import screen
from orchestration.cli.command import STATE, AsCsv, AsJson, Form
from orchestration.layout import Look


def query_warehouse(
    query: Annotated[str, typer.Argument(help="One SELECT, DESCRIBE, SHOW or SUMMARIZE; - reads it from stdin.")],
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Query the warehouse, which nothing can change; times are in UTC. docs/sql.md has queries to begin with.

    Example: statements sql "select account_id, total_cost from statements.statements"
    """
    from orchestration.reports import sql

    form = Form.chosen(as_json=as_json, as_csv=as_csv)
    result = sql.run(STATE.existing, sys.stdin.read() if query == "-" else query)
    if form is Form.JSON:
        screen.as_json(result.rows)
    elif form is Form.CSV:
        screen.as_csv(result.rows, result.columns)
    elif result.rows:
        screen.table("", result.rows, result.columns, Look(grouped=False))
    else:
        screen.say("No rows.")

"""A statement as a person reads it: a tenant's month, or the organization's.

What belongs here: reading one from the warehouse and laying it out. What does not: computing any figure.
"""

from collections.abc import Mapping
from typing import Any

from orchestration import screen
from orchestration.close import manifests
from orchestration.engine import text
from orchestration.errors import Refused
from orchestration.layout import Look, amount, counted
from orchestration.months import Month
from orchestration.settings import SEEDS, Settings
from orchestration.warehouse import reader

LINE = ["section", "service", "direction", "record_count", "minutes", "cost"]
# The organization's lines say besides whose the costs are.
SPLIT = ["attributed_cost", "unattributed_cost"]
# A service is of one section.
NARROW = Look(may_go=("section", "minutes", "attributed_cost"))
SECTIONS = f"read_csv({text(SEEDS / 'sections.csv')}, columns = {{'section': 'varchar', 'position': 'integer'}})"


def read(settings: Settings, month: Month, account_id: str | None) -> dict[str, Any]:
    """`statements` (wide, one per currency) and `lines` of a closed month."""
    # A month whose manifest is damaged is not shown, though the warehouse could.
    manifests.require_closed(settings, month)
    if account_id is None:
        wide, lines, where, values = "organization", "organization_statement", "month = ?", [str(month)]
    else:
        wide, lines, where, values = (
            "statements",
            "statement_lines",
            "month = ? and account_id = ?",
            [str(month), account_id],
        )
    stated = {
        "month": str(month),
        "account_id": account_id,
        "statements": reader.records(
            settings, f"select * from statements.{wide} where {where} order by currency", values
        ),
        "lines": reader.records(
            settings,
            f"select lines.* from statements.{lines} as lines left join {SECTIONS} as sections using (section) "
            f"where {where} order by currency, line_type desc, usage_month, position, service, direction",
            values,
        ),
    }
    if account_id is not None and not stated["statements"]:
        raise Refused(f"{account_id!r} has no statement for {month}: it was no tenant of that month.")
    return stated


def render(stated: dict[str, Any]) -> None:
    """Print it, one table a currency."""
    for statement in stated["statements"]:
        _head(stated, statement)
        lines = [line for line in stated["lines"] if line["currency"] == statement["currency"]]
        columns = LINE if stated["account_id"] else [*LINE, *SPLIT]
        for line_type, title in (("usage", "Usage"), ("correction", "Corrections of earlier months")):
            chosen = [_with_month(line) for line in lines if line["line_type"] == line_type]
            extra = ["usage_month"] if line_type == "correction" else []
            screen.table(title, chosen, [*extra, *columns], NARROW)
        if not lines:
            screen.say("No usage.")
        screen.say(
            f"Total {amount(statement['total_cost'])} {statement['currency']} "
            f"(usage {amount(statement['usage_cost'])}, corrections {amount(statement['correction_cost'])}); "
            f"at most {counted(statement['peak_channels'], 'call')} at once; {statement['local_numbers']:,} local and "
            f"{counted(statement['toll_free_numbers'], 'toll-free number')} held at the month's end.\n"
        )


def _with_month(line: Mapping[str, Any]) -> dict[str, Any]:
    return {**line, "usage_month": f"{line['usage_month']:%Y-%m}"}


def _head(stated: dict[str, Any], statement: dict[str, Any]) -> None:
    if stated["account_id"] is None:
        screen.say(f"Organization, {stated['month']}, {statement['currency']}")
        return
    screen.say(f"Statement {statement['statement_id']}: {statement['tenant_name']}")
    screen.say(
        f"{statement['period_start']:%Y-%m-%d} to {statement['period_end']:%Y-%m-%d} UTC, the end not included; "
        f"{counted(statement['asset_changes'], 'change')} of numbers and IPs in the month."
    )
    if statement["is_partial_month"]:
        screen.say(f"A partial month: the tenant exists since {statement['first_effective_at']:%Y-%m-%d %H:%M:%S} UTC.")
    if statement["archived_at"]:
        screen.say(f"The tenant was archived at {statement['archived_at']:%Y-%m-%d %H:%M:%S} UTC.")

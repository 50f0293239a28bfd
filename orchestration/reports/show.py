"""A statement as a person reads it: a tenant's month, or the organization's.

What belongs here: reading one from the warehouse and laying it out. What does not: computing any figure.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from orchestration import screen
from orchestration.close import manifests
from orchestration.engine import text
from orchestration.errors import Refused, did_you_mean
from orchestration.layout import Look, amount, counted
from orchestration.months import Month
from orchestration.settings import SEEDS, Settings
from orchestration.warehouse import reader

LINE = ["section", "service", "direction", "record_count", "minutes", "cost"]
# The organization's lines say besides whose the costs are.
SPLIT = ["attributed_cost", "unattributed_cost"]
# A service is of one section.
NARROW = Look(may_go=("section", "minutes", "attributed_cost"))
CORRECTION = ["usage_month", "record_id", "service", "direction", "cost_before", "cost_now", "difference"]
CORRECTIONS_SHOWN = 20
SECTIONS = f"read_csv({text(SEEDS / 'sections.csv')}, columns = {{'section': 'varchar', 'position': 'integer'}})"


def read(settings: Settings, month: Month, account_id: str | None) -> dict[str, Any]:
    """`statements` (wide, one per currency), `lines` and `corrections`, record by record, of a closed month."""
    manifests.require_undamaged([manifests.require_closed(settings, month)], with_days=False)
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
        "corrections": _corrections(settings, where, values),
    }
    if account_id is not None and not stated["statements"]:
        tenants = reader.rows(settings, "select account_id from statements.statements where month = ?", [str(month)])
        alike = did_you_mean(account_id, {account for (account,) in tenants})
        raise Refused(f"{account_id!r} has no statement for {month}: it was no tenant of that month.{alike}")
    return stated


def _corrections(settings: Settings, where: str, values: list[str]) -> list[dict[str, Any]]:
    """Each record that the month corrects: what had been stated of it, and what holds instead. The largest first.

    `cost_before` is null of a record that came late, `cost_now` of one that left the statement.
    """
    names = ("usage_month", "service", "direction")
    latest = ", ".join(
        f"coalesce(any_value({name}) filter (where entry <> 'reversal'), any_value({name})) as {name}" for name in names
    )
    return reader.records(
        settings,
        f"""
        select
            record_id, currency, {latest},
            any_value(account_id) filter (where entry = 'reversal') as account_before,
            any_value(account_id) filter (where entry <> 'reversal') as account_now,
            -sum(cost) filter (where entry = 'reversal')::decimal(38, 9) as cost_before,
            sum(cost) filter (where entry <> 'reversal')::decimal(38, 9) as cost_now,
            sum(cost)::decimal(38, 9) as difference
        from statements.usage
        where {where} and line_type = 'correction'
        group by record_id, currency
        order by abs(sum(cost)) desc, record_id, currency
        """,
        values,
    )


def render(stated: dict[str, Any]) -> None:
    """Print it, one table a currency."""
    for statement in stated["statements"]:
        _head(stated, statement)
        lines = [line for line in stated["lines"] if line["currency"] == statement["currency"]]
        usage = [line for line in lines if line["line_type"] == "usage"]
        screen.table("Usage", usage, LINE if stated["account_id"] else [*LINE, *SPLIT], NARROW)
        corrections = [record for record in stated["corrections"] if record["currency"] == statement["currency"]]
        _render_corrections(stated, corrections)
        if not lines:
            screen.say("No usage.")
        screen.say(
            f"Total {amount(statement['total_cost'])} {statement['currency']} "
            f"(usage {amount(statement['usage_cost'])}, corrections {amount(statement['correction_cost'])}); "
            f"at most {counted(statement['peak_channels'], 'call')} at once; {statement['local_numbers']:,} local and "
            f"{counted(statement['toll_free_numbers'], 'toll-free number')} held at the month's end.\n"
        )


def _render_corrections(stated: Mapping[str, Any], corrections: Sequence[Mapping[str, Any]]) -> None:
    """The records that are stated anew, from what they were to what they are: their line would be a net sum."""
    shown = [_with_month(record) for record in corrections[:CORRECTIONS_SHOWN]]
    accounts = [] if stated["account_id"] else ["account_before", "account_now"]
    screen.table(
        "Corrections of earlier months", shown, [*CORRECTION, *accounts], Look(may_go=("direction", "service"))
    )
    if len(corrections) > len(shown):
        screen.say(f"These are the {len(shown)} largest of {len(corrections):,} corrections; --json has all of them.")


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

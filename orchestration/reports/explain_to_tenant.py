"""Why a record is on a tenant's statement, in words that can be sent to the tenant.

What belongs here: sentences about the tenant's own record, number and statements, and the price where rates of the
operator's made it. What does not: other tenants, batches, rules by number, or anything else of the operator's house
(`explain` has these).
"""

from decimal import Decimal
from typing import Any

from orchestration import engine
from orchestration.commands import land
from orchestration.errors import Refused
from orchestration.landing import normalization, receipts, services
from orchestration.landing.feeds import CDRS
from orchestration.layout import amount
from orchestration.reports.explain import deliveries_of, spell, when
from orchestration.settings import Settings
from orchestration.sources import rating
from orchestration.warehouse import reader


def explain(settings: Settings, record_id: str) -> dict[str, Any]:
    """The tenant, and sentences for it about a record that stands, or stood last, on its statements.

    Refused when the record is on no tenant's statement: then there is nobody to send anything to.
    """
    entries = reader.records(
        settings,
        "select * exclude (routed_to) from statements.usage where record_id = ? and account_id is not null "
        "order by month, record_count",
        [record_id],
    )
    if not entries:
        raise Refused(f"The record {record_id!r} is on no tenant's statement. `explain` without --for-tenant says why.")
    account = entries[-1]["account_id"]
    own = [entry for entry in entries if entry["account_id"] == account]
    stated = [entry for entry in own if entry["entry"] != "reversal"]
    # A reversal stands after the entry that it takes back, so there is one.
    last = stated[-1]
    titles = services.titles(settings)
    sentences = [_charge(last, titles.get((last["service"], last["direction"]), last["service"]))]
    sentences += [_stated(entry) for entry in own]
    sentences.append(_because(settings, last))
    deliveries = deliveries_of(settings, record_id)
    sentences += _price(settings, last, deliveries)
    sentences += _since(settings, deliveries, stands=sum(entry["record_count"] for entry in own))
    return {"record_id": record_id, "account_id": account, "explanation": sentences}


def _charge(entry: dict[str, Any], title: str) -> str:
    parties = " ".join(
        f"{word} {entry[name]}" for word, name in (("from", "from_number"), ("to", "to_number")) if entry[name]
    )
    lasted = f", {entry['duration_seconds']} s long" if entry["duration_seconds"] else ""
    return (
        f"The record {entry['record_id']} is a charge of {_money(entry)} for \u201c{title}\u201d at "
        f"{when(entry['started_at'])}{', ' + parties if parties else ''}{lasted}."
    )


def _money(entry: dict[str, Any]) -> str:
    return f"{amount(entry['cost'])} {entry['currency']}"


def _stated(entry: dict[str, Any]) -> str:
    """On which statement an entry stands, and why there."""
    where = f"statement {entry['account_id']}/{entry['month']}/{entry['currency']}"
    of = f"{entry['usage_month']:%Y-%m}"
    return {
        "usage": f"It is stated on {where}, as usage of the month.",
        "late": f"It arrived after {of} was closed, so it is stated on {where}, as a correction of {of}.",
        "reversal": f"It was changed or taken back later: {where} has {_money(entry)} to take back the earlier charge.",
        "restatement": f"As it is now, it is stated on {where}, as a correction of {of}: {_money(entry)}.",
    }[entry["entry"]]


def _because(settings: Settings, entry: dict[str, Any]) -> str:
    by = entry["attributed_by"]
    if by == "header":
        return f"It is yours because the call carried your Account ID, {entry['x_tenant']}, in its X-Tenant header."
    asset = entry["number"] if by == "number" else entry["source_ip"]
    name = "number" if by == "number" else "IP address"
    held = spell(settings, by, asset, entry["started_at"])
    since = f", from {when(held['valid_from'])} on" if held else ""
    until = f" until {when(held['valid_to'])}" if held and held["valid_to"] else ""
    return (
        f"It is yours because the {name} {asset} was yours when it began{since}{until}. Later changes of the {name} do "
        "not move past records."
    )


def _since(settings: Settings, deliveries: list[dict[str, Any]], *, stands: int) -> list[str]:
    """The outcome of changes after the statements: what is reversed already, and what a later statement will say."""
    if not stands:
        return ["So nothing of it stands on your statements any more."]
    if deliveries and deliveries[-1]["withdrawn"]:
        return ["The carrier has taken it back since, so a later statement will reverse it."]
    waiting = reader.rows(
        settings,
        "select 1 from operations.late_records where record_id = ? and status = 'waiting'",
        [deliveries[-1]["record_id"]] if deliveries else [""],
    )
    return ["A change of it has arrived since, and a later statement will state it."] if waiting else []


def _price(settings: Settings, entry: dict[str, Any], deliveries: list[dict[str, Any]]) -> list[str]:
    """How the cost came about where the operator's own rates made it; nothing where it came with the record."""
    stated = [one for one in deliveries if not one["withdrawn"] and one["batch_id"] == entry["batch_id"]]
    batch = next((one for one in receipts.load(settings) if one.batch_id == entry["batch_id"]), None)
    if batch is None or batch.source == receipts.CANONICAL_SOURCE or not stated:
        return []
    try:
        rules = land.rules_of(settings, CDRS, batch.source)
        if rules.source is None or rules.source.rates is None or rules.records is None:
            return []
        with engine.connect(settings) as connection:
            normalization.load(connection)
            lengths = rating.create_rates(connection, rules.source, rules.records.services)
            rate = rating.rate_of(connection, entry)
            priced = rating.price_of(connection, rules.source.rates, lengths, entry)
    except Refused:
        # The declaration or its rates are gone.
        return []
    if rate is None or priced != (entry["billed_seconds"], Decimal(entry["cost"])):
        return []
    return [_by_rate(entry, rate)]


def _by_rate(entry: dict[str, Any], rate: dict[str, str | None]) -> str:
    currency = entry["currency"]
    prefix = rate["prefix"] or ""
    short = f" to {prefix.lstrip('=')}" if prefix.startswith("=") else ""
    numbers = short or (f" to numbers that begin with +{prefix.lstrip('+')}" if prefix else "")
    fee = f", plus {rate['fee']} {currency} for the call" if rate["fee"] else ""
    if rate["increment"] is None:
        return f"Its price is {rate['price']} {currency} each{numbers}{fee}."
    first, following = rate["increment"].split("/")
    steps = (
        f"the first {first} s whole, then each {following} s begun" if first != following else f"each {first} s begun"
    )
    return (
        f"Its {entry['duration_seconds']} s are billed as {entry['billed_seconds']} s ({steps}), at {rate['price']} "
        f"{currency} a minute{numbers}{fee}: {_money(entry)}."
    )

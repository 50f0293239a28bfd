"""Why a record went where it went, in plain words: what a tenant's dispute is answered with.

What belongs here: looking a record's evidence up and wording it. What does not: deciding anything; the frozen usage and
the asset history have decided already.
"""

from datetime import datetime
from itertools import pairwise
from typing import Any

from orchestration import engine
from orchestration.close import manifests, month_services
from orchestration.close.month_services import MonthServices
from orchestration.errors import Refused
from orchestration.landing import identity, receipts, services
from orchestration.landing.feeds import CDRS
from orchestration.layout import amount
from orchestration.months import Month
from orchestration.settings import Settings
from orchestration.warehouse import reader

REASONS = {
    "missing": "the record carries no {asset}",
    "malformed": "its {asset} {value} is not a possible one, so nobody can hold it",
    "unknown": "nobody was ever given the {asset} {value} before the call",
    "unassigned": "the {asset} {value} had been released and belonged to nobody",
    "header_malformed": "its X-Tenant header {value} is not a possible Account ID",
    "header_case_mismatch": "its X-Tenant header {value} differs from an Account ID in upper and lower case",
    "header_unknown_tenant": "its X-Tenant header {value} names no tenant",
    "tenant_not_yet_created": "the tenant it points to did not exist yet",
    "tenant_archived": "the tenant it points to had been archived",
}


def explain(settings: Settings, record_id: str) -> dict[str, Any]:
    """All evidence about a record: deliveries, entries on statements, and sentences that say why."""
    deliveries = _deliveries(settings, record_id)
    rejected = reader.records(
        settings,
        "select batch_id, source_row, reason, month from operations.rejected_rows where record_id = ? order by all",
        [record_id],
    )
    entries = reader.records(
        settings,
        "select * exclude (routed_to) from statements.usage where record_id = ? order by month, record_count",
        [record_id],
    )
    if not deliveries and not rejected:
        raise Refused(f"No record {record_id!r} has landed.")
    late = reader.records(
        settings, "select status, month from operations.late_records where record_id = ?", [record_id]
    )
    sentences = []
    if deliveries:
        sentences += _of_deliveries(deliveries)
    sentences += [
        f"Row {row['source_row']} of batch {row['batch_id']} with this id was rejected: {row['reason']}."
        for row in rejected
    ]
    known = month_services.of_close(settings, manifests.load(settings), services.load(settings))
    for entry in entries:
        if entry["entry"] == "reversal":
            sentences.append(_of_reversal(entry))
        else:
            sentences += _of_entry(settings, entry, _decided_by(settings, known, entry))
    stands = sum(entry["record_count"] for entry in entries)
    if deliveries and deliveries[-1]["withdrawn"]:
        sentences.append(_of_withdrawal(entries, stands))
    elif deliveries and not entries:
        sentences += _of_no_entry(settings, known, deliveries[-1], late)
    elif any(row["status"] == "waiting" for row in late):
        sentences.append("A later delivery says otherwise; it waits in operations.late_records for the next close.")
    return {
        "record_id": record_id,
        "explanation": sentences,
        "deliveries": deliveries,
        "rejected": rejected,
        "entries": entries,
    }


def _deliveries(settings: Settings, record_id: str) -> list[dict[str, Any]]:
    landed = [batch for batch in receipts.load(settings) if batch.feed == CDRS.name]
    with engine.connect(settings) as connection:
        return engine.records(
            connection,
            f"select * from ({identity.delivered(landed)}) where record_id = ? order by batch_id, source_row",
            [record_id],
        )


def _of_withdrawal(entries: list[dict[str, Any]], stands: int) -> str:
    """What the latest delivery, a withdrawal, means for the statements (rule 29)."""
    if stands:
        return "The carrier has taken it back (rule 29): the next close reverses what is stated of it."
    if entries:
        return "The carrier has taken it back (rule 29), and nothing of it stands any more."
    return "The carrier has taken it back (rule 29), so it stands on no statement."


def _of_deliveries(deliveries: list[dict[str, Any]]) -> list[str]:
    charges = [delivery for delivery in deliveries if not delivery["withdrawn"]]
    if not charges:
        return ["Only its withdrawal has landed, and no charge."]
    last = charges[-1]
    measure = f"{last['duration_seconds']} s, {last['billed_seconds']} s billed, " if last["duration_seconds"] else ""
    parties = " ".join(
        f"{word} {last[name]}"
        for word, name in (("from", "from_number"), ("to", "to_number"), ("via", "source_ip"))
        if last[name]
    )
    sentences = [
        f"It is a charge for {last['service']} ({last['direction']}) at {_when(last['started_at'])}: "
        f"{measure}{amount(last['cost'])} {last['currency']}{', ' + parties if parties else ''}."
    ]
    if len(deliveries) > 1:
        for earlier, later in pairwise(deliveries):
            changed = [name for name in CDRS.values if earlier[name] != later[name]]
            what = f"replaced the one before, with another {', '.join(changed)}" if changed else "said nothing new"
            if later["withdrawn"]:
                what = "said nothing new" if earlier["withdrawn"] else "took it back"
            elif earlier["withdrawn"]:
                what = "is a charge again"
            sentences.append(
                f"It was delivered again in row {later['source_row']} of batch {later['batch_id']}, which {what}."
            )
    return sentences


def _of_reversal(entry: dict[str, Any]) -> str:
    stated = f"{amount(entry['cost'])} {entry['currency']}"
    return f"What had been stated of it is taken back in {entry['month']}: {stated}, {_place(entry)}."


def _of_entry(settings: Settings, entry: dict[str, Any], decided_by: str) -> list[str]:
    stated = f"{amount(entry['cost'])} {entry['currency']}"
    sentences = []
    if entry["entry"] == "late":
        sentences.append(
            f"It came after {entry['usage_month']:%Y-%m} was frozen, so {entry['month']} states it: {stated}."
        )
    if entry["entry"] == "restatement":
        sentences.append(f"As a correction of {entry['usage_month']:%Y-%m}, {entry['month']} states it anew: {stated}.")
    sentences.append(_rule(entry, decided_by))
    by = entry["attributed_by"]
    if by == "header":
        sentences.append(
            f"The header says {entry['x_tenant']!r}, byte for byte the Account ID of a tenant that was alive."
        )
    elif by:
        value = entry["number"] if by == "number" else entry["source_ip"]
        sentences.append(_holding(settings, by, value, entry["started_at"]))
    else:
        sentences.append(f"It is attributed to nobody: {_reason(entry)} ({entry['reason']}).")
    sentences += _otherwise(settings, entry, decided_by)
    sentences.append(f"It stands {_place(entry)}.")
    return sentences


def _place(entry: dict[str, Any]) -> str:
    if entry["account_id"]:
        return (
            f"on statement {entry['account_id']}/{entry['month']}/{entry['currency']}, as {entry['line_type']} "
            f"in line {entry['service']} ({entry['direction']})"
        )
    return f"in the organization's statement of {entry['month']}, {entry['currency']}, among the unattributed"


def _decided_by(settings: Settings, known: MonthServices, entry: dict[str, Any]) -> str:
    """What decides, or decided in its month, whose a record of its service is: `number` or `origin`."""
    found = known.find(Month.of(entry["started_at"]), (entry["service"], entry["direction"]))
    if found is None:
        raise Refused(month_services.missing(settings, [(entry["service"], entry["direction"])]))
    return found.attributed_by


def _rule(entry: dict[str, Any], decided_by: str) -> str:
    if decided_by == "number":
        return (
            "Rule 8: this service belongs to the tenant that holds the number at the instant of the record. "
            "Neither a header nor an IP nor the routing matters."
        )
    if entry["x_tenant"]:
        return "Rule 9: an outbound call with an X-Tenant header belongs to the tenant the header names, to no other."
    return "Rule 9: an outbound call without an X-Tenant header belongs to whoever holds its source IP at that instant."


def _reason(entry: dict[str, Any]) -> str:
    reason = entry["reason"]
    if reason in REASONS:
        return REASONS[reason].format(value=repr(entry["x_tenant"]))
    kind, _, why = reason.partition("_")
    value = entry["number"] if kind == "number" else entry["source_ip"]
    return REASONS[why].format(asset="number" if kind == "number" else "source IP", value=value)


def _spell(settings: Settings, kind: str, asset: str | None, instant: datetime) -> dict[str, Any] | None:
    """The holder that an asset was assigned to at an instant, released spells included; none before its first event."""
    if asset is None:
        return None
    rows = reader.records(
        settings,
        f"select * from assets.{kind}_assignment_history where {kind} = ? and valid_from <= ? "
        "and (valid_to is null or valid_to > ?)",
        [asset, instant, instant],
    )
    return rows[0] if rows else None


def _holding(settings: Settings, kind: str, asset: str | None, instant: datetime) -> str:
    """One sentence about who held an asset at an instant."""
    name = "number" if kind == "number" else "source IP"
    spell = _spell(settings, kind, asset, instant)
    if asset is None:
        return f"The record carries no {name}."
    if spell is None:
        return f"The {name} {asset} had been given to nobody by then."
    until = f" until {_when(spell['valid_to'])}" if spell["valid_to"] else ""
    recorded = f"recorded at {_when(spell['recorded_at'])} as {spell['assignment_id']}"
    late = ", which came late and acts from the seal on" if spell["is_late"] else ""
    if spell["account_id"] is None:
        return f"The {name} {asset} belonged to nobody from {_when(spell['valid_from'])} on{until} ({recorded}{late})."
    since = _when(spell["valid_from"])
    return f"The {name} {asset} was held by {spell['account_id']} from {since}{until} ({recorded}{late})."


def _otherwise(settings: Settings, entry: dict[str, Any], decided_by: str) -> list[str]:
    """Sentences on the evidence that does not count, and the tenant it points to."""
    if decided_by == "number":
        sentences = []
        if entry["reason"] and entry["number"]:
            sentences.append(_holding(settings, "number", entry["number"], entry["started_at"]))
        if entry["x_tenant"]:
            sentences.append(f"Its X-Tenant header {entry['x_tenant']!r} is ignored.")
        if entry["source_ip"]:
            sentences.append(
                f"Not consulted: {_lowered(_holding(settings, 'ip', entry['source_ip'], entry['started_at']))}"
            )
        return sentences
    if entry["x_tenant"]:
        holding = _lowered(_holding(settings, "ip", entry["source_ip"], entry["started_at"]))
        conflict = " The header wins over the IP's tenant." if entry["conflict_header_ip"] else ""
        return [f"Without the header, the IP would have decided: {holding}{conflict}"]
    sentences = ["With an X-Tenant header, the header alone would have decided."]
    if entry["reason"]:
        sentences.insert(0, _holding(settings, "ip", entry["source_ip"], entry["started_at"]))
    return sentences


def _lowered(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def _of_no_entry(
    settings: Settings, known: MonthServices, delivery: dict[str, Any], late: list[dict[str, Any]]
) -> list[str]:
    if late and late[0]["status"] == "before_first_month":
        return ["It is older than the first month stated, so it stands on no statement."]
    if late:
        return [
            f"It landed after {late[0]['month']} was frozen. It waits in operations.late_records, on no statement yet: "
            "the next close states it as a correction."
        ]
    decided_by = _decided_by(settings, known, delivery)
    kind = "number" if decided_by == "number" else "ip"
    asset = delivery["number"] if kind == "number" else delivery["source_ip"]
    sentences = [
        "Its month is not closed yet, so it stands on no statement.",
        f"As things stand: {_rule(delivery, decided_by)}",
    ]
    if kind == "ip" and delivery["x_tenant"]:
        sentences.append(f"The header says {delivery['x_tenant']!r}.")
    sentences.append(_holding(settings, kind, asset, delivery["started_at"]))
    return sentences


def _when(instant: datetime) -> str:
    text = f"{instant:%Y-%m-%d %H:%M:%S}"
    return f"{text}.{instant.microsecond:06d} UTC" if instant.microsecond else f"{text} UTC"

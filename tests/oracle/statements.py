"""A month's figures from records whose owner is known: measures per line, the wide row, channels in use at
once.

Here belong the services with their sections, exact sums and minutes. Nothing here decides whose a record is
or when anything was held. Minutes come from integers, costs from Decimal that traps any rounding.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from decimal import Context, Decimal, Inexact, InvalidOperation, localcontext
from typing import NamedTuple

from tests.oracle.facts import Record

Key = tuple[str, ...]


class Service(NamedTuple):
    """How a service and direction is attributed, counted and filed."""

    attributed_by: str
    unit: str
    section: str


@dataclass(frozen=True)
class Measures:
    """The plain sums of a line."""

    record_count: int = 0
    duration_seconds: int = 0
    billed_seconds: int = 0
    cost: Decimal = Decimal(0)

    @property
    def minutes(self) -> Decimal:
        """Return billed minutes at this line's own grain."""
        return minutes(self.billed_seconds)


def _services() -> dict[tuple[str, str], Service]:
    outbound = ("outbound_conversational", "outbound_highcost", "outbound_dialer", "outbound_local_presence")
    inbound = ("inbound_conversational", "inbound_local_presence", "inbound_toll_free")
    numbers = ("number_local", "number_toll_free", "number_message_enabled", "number_e911")
    table = {(name, "outbound"): Service("origin", "minute", "outbound") for name in outbound}
    table |= {(name, "inbound"): Service("number", "minute", "inbound") for name in inbound}
    table |= {(name, "inbound"): Service("number", "each", "inbound") for name in ("cnam_lookup", "spam_prevention")}
    for name in ("call_recording", "call_transcription"):
        table[name, "inbound"] = Service("number", "each", "features")
        table[name, "outbound"] = Service("origin", "each", "features")
    table["voicemail_transcription", "inbound"] = Service("number", "each", "features")
    table |= {("vfax", direction): Service("number", "each", "features") for direction in ("inbound", "outbound")}
    table |= {(name, "inbound"): Service("number", "each", "messaging") for name in ("sms_received", "mms_received")}
    table |= {(name, "outbound"): Service("number", "each", "messaging") for name in ("sms_sent", "mms_sent")}
    table |= {(name, "inbound"): Service("number", "each", "numbers") for name in numbers}
    return table


SERVICES = _services()
UNITS = {service: rule.unit for (service, _), rule in SERVICES.items()}
SECTIONS = ("outbound", "inbound", "features", "messaging", "numbers")


NOTHING = Measures()


def exact_arithmetic() -> AbstractContextManager:
    """Make Decimal refuse to round for as long as the returned context lasts."""
    return localcontext(Context(prec=60, traps=[Inexact, InvalidOperation]))


def minutes(billed_seconds: int) -> Decimal:
    """Return seconds as minutes with six places, a half away from zero."""
    millionths = (abs(billed_seconds) * 2_000_000 + 60) // 120
    return Decimal(millionths if billed_seconds >= 0 else -millionths).scaleb(-6)


def measures(records: Sequence[Record]) -> Measures:
    """Add records up."""
    if not records:
        return NOTHING
    return Measures(
        len(records),
        sum(record.duration_seconds for record in records),
        sum(record.billed_seconds for record in records),
        sum((record.cost for record in records), Decimal(0)),
    )


def measures_by(keyed: Iterable[tuple]) -> dict[Key, Measures]:
    """Add records up per key; the record is the last element of each tuple."""
    groups: dict[Key, list[Record]] = defaultdict(list)
    for *key, record in keyed:
        groups[tuple(key)].append(record)
    return {key: measures(records) for key, records in groups.items()}


def peak_channels(records: Iterable[Record]) -> int:
    """Sweep over starts and ends, ends first at a tie; a call of no length never counts."""
    edges = []
    for record in records:
        if SERVICES[record.service, record.direction].unit == "minute" and record.duration_seconds > 0:
            edges.append((record.started_at, +1))
            edges.append((record.started_at + timedelta(seconds=record.duration_seconds), -1))
    in_progress = peak = 0
    for _, step in sorted(edges):
        in_progress += step
        peak = max(peak, in_progress)
    return peak


def wide_figures(records: Sequence[Record], currency: str, held: Mapping[str, int]) -> dict[str, object]:
    """Return the wide columns of one owner in one currency; channels and numbers held span all currencies."""
    priced = [record for record in records if record.currency == currency]
    figures: dict[str, object] = {}
    for service, unit in UNITS.items():
        total = measures([record for record in priced if record.service == service])
        if unit == "minute":
            figures[f"{service}_minutes"] = total.minutes
        else:
            figures[f"{service}_count"] = total.record_count
        figures[f"{service}_cost"] = total.cost
    for section in SECTIONS:
        figures |= _section_figures(section, priced)
    usage_cost = measures(priced).cost
    return figures | {
        "local_numbers": held.get("local", 0),
        "toll_free_numbers": held.get("toll_free", 0),
        "peak_channels": peak_channels(records),
        "usage_cost": usage_cost,
        "correction_count": 0,
        "correction_cost": Decimal(0),
        "total_cost": usage_cost,
    }


def _section_figures(section: str, records: Sequence[Record]) -> dict[str, object]:
    """Total a section; its minutes and its calls are those of its services counted by the minute."""
    filed = [record for record in records if SERVICES[record.service, record.direction].section == section]
    figures: dict[str, object] = {f"{section}_cost": measures(filed).cost}
    if section in ("outbound", "inbound"):
        calls = [record for record in filed if SERVICES[record.service, record.direction].unit == "minute"]
        total = measures(calls)
        figures[f"{section}_minutes"] = total.minutes
        figures[f"{section}_calls_count"] = total.record_count
    return figures

"""Made-up call records of one history: instants at every edge, assets and headers right and wrong,
deliveries again.

Here belong the rows of the `cdrs` feed alone. Every row is one that lands: what the landing rules would
reject is not drawn. A header names tenants of the same history only.
"""

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Protocol

from tests.oracle.facts import Row
from tests.oracle.statements import SERVICES

TICK = timedelta(microseconds=1)
# The first file lands on the 31st at noon, and a record may lie at most a day ahead of it.
LATEST_AFTER_MONTH = timedelta(hours=11)
EARLIEST_BEFORE_MONTH = timedelta(days=9)
BAD_NUMBERS = ("anonymous", "+0123456789", "+1206555O100", "+123456", "+1234567890123456", "12345")
BAD_ADDRESSES = ("unknown", "10.0.0.256", "10.1.2", "2001:db8::g", "proxy.example.com")
COSTS = (
    "0.1", "0.2", "0.10", "0", "9E-7", "0.000000001", "-0.0045", "+1.25", "123456789.123456789", "-12.5", "1E2",
    "0.007",
)  # fmt: skip
PAIRS = tuple(SERVICES)
# Calls come most often, and those with a header or an address more than those with a number alone.
WEIGHTS = tuple(
    16 if SERVICES[pair].attributed_by == "origin" else 8 if SERVICES[pair].unit == "minute" else 2 for pair in PAIRS
)
# What makes two calls go the same way, so that one owner has several at once.
ROUTE = ("service", "direction", "number", "source_ip", "x_tenant")


class Drawn(Protocol):
    """What a record needs to know of its history."""

    index: int
    rng: random.Random
    accounts: list[str]
    numbers: list[str]
    ips: list[str]
    moments: list[datetime]
    hot: list[datetime]
    default_currency: str

    def spelled(self, moment: datetime) -> str:
        """Write an instant."""
        ...


def record_rows(history: Drawn, steps: Sequence[str], start: datetime, end: datetime) -> Iterator[tuple[str, Row]]:
    """Yield the rows of a history's records, each with the name of the file it belongs in."""
    interesting = [*history.moments, *history.hot]
    clock = Clock(history.rng, interesting, start, end)
    previous: Row | None = None
    for serial in range(history.rng.randint(3, 12)):
        row = first_delivery(history, clock, f"r{history.index}-{serial}")
        if previous is not None and history.rng.random() < 0.4:
            row |= {column: previous[column] for column in ROUTE}
        previous = row
        step = history.rng.choices(range(len(steps)), (60, 40))[0]
        yield steps[step], row
        delivered = [row]
        for _ in range(history.rng.choices((0, 1, 2, 3), (80, 12, 5, 3))[0]):
            step = history.rng.randint(step, len(steps) - 1)
            row = _next_delivery(history, clock, delivered)
            delivered.append(row)
            yield steps[step], row


class Clock:
    """Draws the instants of one history's calls: at edges, at changes, and one call at the end of another."""

    def __init__(self, rng: random.Random, interesting: Sequence[datetime], start: datetime, end: datetime) -> None:
        """Keep to the span in which a record lands."""
        self._rng = rng
        day = timedelta(days=1)
        self._interesting = [moment for moment in interesting if start - day < moment < end + day] or [start]
        self._start, self._end = start, end
        self._earliest, self._latest = start - EARLIEST_BEFORE_MONTH, end + LATEST_AFTER_MONTH
        self._previous: tuple[datetime, int] | None = None

    def draw(self, duration: int) -> datetime:
        """Draw the start of the next call."""
        moment = min(max(self._draw(), self._earliest), self._latest)
        self._previous = (moment, duration)
        return moment

    def _draw(self) -> datetime:
        rng = self._rng
        kind = rng.choices(("change", "any", "edge", "chained"), (40, 25, 12, 23))[0]
        if kind == "chained" and self._previous is not None:
            started, duration = self._previous
            return (
                started + timedelta(seconds=duration) * rng.choice((0, 0.5, 0.5, 1, 1)) + rng.choice((0, 0, 1)) * TICK
            )
        if kind == "edge":
            return rng.choice((self._start, self._end)) + rng.choice((-1, 0, 1)) * TICK
        if kind == "change":
            return rng.choice(self._interesting) + rng.choice((-1, 0, 0, 1)) * TICK
        return self._start + (self._end - self._start) * rng.random()


def first_delivery(history: Drawn, clock: Clock, record_id: str) -> Row:
    rng = history.rng
    service, direction = rng.choices(PAIRS, WEIGHTS)[0]
    duration = _duration(rng, service, direction)
    return {
        "record_id": record_id,
        "call_id": rng.choice((None, f"call-{record_id}")),
        "service": service,
        "direction": direction,
        "started_at": history.spelled(clock.draw(int(duration or 0))),
        "duration_seconds": duration,
        "billed_seconds": None if rng.random() < 0.5 or not duration else str(-(-int(duration) // 6) * 6),
        "number": _number(history),
        "from_number": rng.choice(("anonymous", "2065550100", "+12065550100", None)),
        "to_number": rng.choice(("sip:911@example.com", "+12065550199", None)),
        "source_ip": _address(history),
        "x_tenant": _header(history),
        "routed_to": rng.choice((None, *history.ips, *history.numbers)),
        "cost": _cost(rng),
        "currency": rng.choices((None, "USD", "EUR", "CAD"), (50, 20, 20, 10))[0],
    }


def _duration(rng: random.Random, service: str, direction: str) -> str | None:
    section = SERVICES[service, direction].section
    if section == "features" or SERVICES[service, direction].unit == "minute":
        return rng.choice((None, "0", "1", "7", "59", "60", "61", str(rng.randint(2, 90_000))))
    return None


def _cost(rng: random.Random) -> str:
    if rng.random() < 0.6:
        return rng.choice(COSTS)
    return str(Decimal(rng.randint(-(10**9), 10**11)).scaleb(-9))


def _number(history: Drawn) -> str | None:
    kind = history.rng.choices(("own", "missing", "bad", "unknown"), (85, 5, 5, 5))[0]
    if kind == "own":
        return history.rng.choice(history.numbers)
    # No history owns a number of this country.
    return {"missing": None, "bad": history.rng.choice(BAD_NUMBERS), "unknown": f"+47{history.index:08d}"}[kind]


def _address(history: Drawn) -> str | None:
    kind = history.rng.choices(("own", "missing", "bad", "unknown"), (85, 5, 5, 5))[0]
    if kind == "own":
        return history.rng.choice(history.ips)
    unknown = f"192.0.2.{history.index % 250}"
    return {"missing": None, "bad": history.rng.choice(BAD_ADDRESSES), "unknown": unknown}[kind]


def _header(history: Drawn) -> str | None:
    rng = history.rng
    account = rng.choice(history.accounts)
    kind = rng.choices(("absent", "exact", "padded", "wrong case", "unknown", "malformed"), (45, 27, 5, 7, 6, 10))[0]
    if kind == "malformed":
        other = rng.choice(history.accounts)
        return rng.choice(
            (f"{account},{other}", f"{account}, {account}", f"{account} x", f"{account}\u00a0", f"-{account}",
             f"{account}.", f"a..{account}", f"<{account}>", f"{account};p=1", "x" * 129, f"{account}\u00e9")
        )  # fmt: skip
    return {
        "absent": rng.choice((None, None, "", " \t ")),
        "exact": account,
        "padded": rng.choice((f" {account}", f"{account}\t", f"\t {account}  ")),
        "wrong case": rng.choice((account.swapcase(), account.upper(), account.lower())),
        "unknown": rng.choice((f"nobody{history.index}", f"{account}x", account[:-1] + "0", "x" * 128)),
    }[kind]


def _next_delivery(history: Drawn, clock: Clock, delivered: Sequence[Row]) -> Row:
    """Deliver a record again: unchanged, spelled otherwise, changed, as it was before the last change, or withdrawn."""
    rng = history.rng
    row = dict(next(row for row in reversed(delivered) if not row.get("withdrawn")))
    kind = rng.choices(("same", "respelled", "as before", "changed", "withdrawn"), (25, 15, 10, 42, 8))[0]
    if kind == "withdrawn":
        return withdrawn(history, row)
    if kind == "respelled":
        return respelled(history, row)
    if kind == "as before" and len(delivered) > 1:
        return dict(delivered[-2])
    if kind == "changed":
        return row | change(history, clock, row)
    return row


def withdrawn(history: Drawn, row: Row) -> Row:
    """Take a record back, by its id alone or with some of what it said."""
    kept = row if history.rng.random() < 0.5 else {"record_id": row["record_id"]}
    return kept | {"withdrawn": "true"}


def respelled(history: Drawn, row: Row) -> Row:
    started = datetime.fromisoformat(row["started_at"]).astimezone(UTC)
    duration = row["duration_seconds"] or "0"
    return row | {
        "started_at": history.spelled(started),
        "duration_seconds": duration,
        "billed_seconds": row["billed_seconds"] or duration,
        "cost": f"{Decimal(row['cost']):.9f}",
        "currency": row["currency"] or history.default_currency,
    }


def change(history: Drawn, clock: Clock, row: Row) -> Row:
    rng = history.rng
    column = rng.choice(("cost", "cost", "started_at", "started_at", "number", "x_tenant", "service", "routed_to"))
    if column == "service":
        service, direction = rng.choices(PAIRS, WEIGHTS)[0]
        duration = _duration(rng, service, direction)
        return {"service": service, "direction": direction, "duration_seconds": duration, "billed_seconds": None}
    drawn = {
        "cost": lambda: _cost(rng),
        "started_at": lambda: history.spelled(clock.draw(int(row["duration_seconds"] or 0))),
        "number": lambda: _number(history),
        "x_tenant": lambda: _header(history),
        "routed_to": lambda: f"gateway-{rng.randint(1, 9)}",
    }
    return {column: drawn[column]()}

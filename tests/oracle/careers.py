"""Made-up careers: many small worlds that live through several months together, one landing or command after another.

Here belongs what is landed at each step, drawn from what each world knows of itself. All worlds put their rows of a step
into one file, under keys of their own, so that one close serves them all. What closes state is for the oracle to say.

A record moves from any month to any other, open, frozen or before the first, as far and as often as it likes, and is
withdrawn and delivered again.
"""

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.oracle.facts import Landing, Row, instant
from tests.oracle.histories import Draft, account_of, ip_of, number_of, tenant_row
from tests.oracle.oracle import month_bounds, month_of
from tests.oracle.records import Clock, change, first_delivery, respelled, withdrawn

BEFORE_FIRST = ("2025-10", "2025-11")


def month_after(month: str, places: int = 1) -> str:
    """Return the month some places later, or earlier."""
    number = int(month[:4]) * 12 + int(month[5:]) - 1 + places
    return f"{number // 12:04d}-{number % 12 + 1:02d}"


def months_between(month: str, later: str) -> int:
    """Return how many months later the second one is."""
    return 12 * (int(later[:4]) - int(month[:4])) + int(later[5:]) - int(month[5:])


@dataclass
class World:
    """One career: its keys, its tenants that are still alive, and every delivery of its records."""

    draft: Draft
    alive: list[str] = field(default_factory=list)
    born: dict[str, datetime] = field(default_factory=dict)
    delivered: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))


class Careers:
    """Draws the files of many worlds, step by step. `first` is the first month that is stated."""

    def __init__(self, seed: int, worlds: int, first: str) -> None:
        """Draw who and what there is."""
        self.first = first
        self.steps = 0
        self.worlds = [World(self._draft(seed, index)) for index in range(worlds)]

    @staticmethod
    def _draft(seed: int, index: int) -> Draft:
        rng = random.Random(f"careers/{seed}/{index}")
        draft = Draft(index, rng)
        draft.accounts = [account_of(index, n) for n in range(rng.randint(2, 4))]
        draft.numbers = [number_of(index, n) for n in range(rng.randint(1, 2))]
        draft.ips = [ip_of(index, n) for n in range(rng.randint(1, 2))]
        return draft

    def _landing(self, feed: str, rows: Iterator[Row], at: datetime, **options) -> Landing:
        self.steps += 1
        return Landing(feed, list(rows), at, name=f"{self.steps:03d}-{feed}", **options)

    # Tenants and assets -----------------------------------------------------------------------------------------------

    def new_tenants(self, at: datetime, since: datetime, chance: float) -> Landing:
        """Land tenants that were not there before, and new names of others."""

        def rows() -> Iterator[Row]:
            for world in self.worlds:
                for account in world.draft.accounts:
                    recorded = _within(world.draft.rng, since, at)
                    if account not in world.born and world.draft.rng.random() < chance:
                        world.alive.append(account)
                        world.born[account] = recorded
                        yield tenant_row(account, recorded.isoformat())
                    elif account in world.alive and world.draft.rng.random() < 0.1:
                        yield tenant_row(account, recorded.isoformat(), name=f"Renamed {account} {self.steps}")
            # Some row there has to be, so that the file is one.
            yield tenant_row("everybody", _within(random.Random(self.steps), since, at).isoformat())

        return self._landing("tenants", rows(), at)

    def archived_tenants(self, at: datetime, since: datetime) -> Landing:
        """Land the end of some tenants."""

        def rows() -> Iterator[Row]:
            for world in self.worlds:
                if len(world.alive) > 1 and world.draft.rng.random() < 0.3:
                    account = world.alive.pop(world.draft.rng.randrange(len(world.alive)))
                    yield tenant_row(account, _within(world.draft.rng, since, at).isoformat(), archived="true")
            yield tenant_row("everybody", _within(random.Random(self.steps), since, at).isoformat())

        return self._landing("tenants", rows(), at)

    def assignments(
        self, kind: str, at: datetime, since: datetime, chance: float = 1.0, *, late: bool = False
    ) -> Landing:
        """Land changes of numbers or IPs recorded since the feed's seal; or, late, from long before it."""

        def rows() -> Iterator[Row]:
            for world in self.worlds:
                draft = world.draft
                for asset in draft.numbers if kind == "number" else draft.ips:
                    if draft.rng.random() > chance:
                        continue
                    recorded = _within(draft.rng, since - timedelta(days=80) if late else since, at)
                    begins = draft.rng.choice((None, recorded - timedelta(days=40), recorded + timedelta(days=9)))
                    yield {
                        kind: asset,
                        "account_id": draft.rng.choice((*draft.accounts, None)),
                        "valid_from": begins and begins.isoformat(),
                        "recorded_at": recorded.isoformat(),
                    }

        return self._landing(f"{kind}_assignments", rows(), at, accept_late=late)

    # Records ----------------------------------------------------------------------------------------------------------

    def records(self, at: datetime, month: str) -> Landing:
        """Land new records and old ones again, while `month` is running or has just ended."""

        def rows() -> Iterator[Row]:
            for world in self.worlds:
                for _ in range(world.draft.rng.choice((0, 1, 1, 2))):
                    if world.delivered and world.draft.rng.random() < 0.6:
                        row = self._again(world, at, month)
                    else:
                        row = self._first(world, at, month)
                    world.delivered[row["record_id"]].append(row)
                    yield row

        return self._landing("cdrs", rows(), at)

    def _first(self, world: World, at: datetime, month: str) -> Row:
        record_id = f"c{world.draft.index}-{len(world.delivered)}"
        row = first_delivery(world.draft, self._clock(world, at, self._some_month(world, month)), record_id)
        return row | {"started_at": _not_after(row["started_at"], at)}

    def _again(self, world: World, at: datetime, month: str) -> Row:
        rng = world.draft.rng
        delivered = world.delivered[rng.choice(sorted(world.delivered))]
        row = dict(rng.choice([row for row in delivered if not row.get("withdrawn")][-3:]))
        kinds = ("as before", "respelled", "changed", "moved", "withdrawn")
        kind = rng.choices(kinds, (20, 10, 30, 30, 10))[0]
        if kind == "withdrawn":
            return withdrawn(world.draft, row)
        if kind == "respelled":
            row = respelled(world.draft, row)
        elif kind == "changed":
            row |= change(world.draft, self._clock(world, at, month_of(instant(row["started_at"]))), row)
        elif kind == "moved":
            begins = self._clock(world, at, self._some_month(world, month)).draw(0)
            row["started_at"] = world.draft.spelled(begins)
        row["started_at"] = _not_after(row["started_at"], at)
        return row

    def _some_month(self, world: World, month: str) -> str:
        """Draw the running month, the next one, one before the first, or any in between."""
        rng = world.draft.rng
        kind = rng.choices(("running", "next", "before first", "any"), (50, 10, 8, 32))[0]
        if kind == "any":
            return month_after(self.first, rng.randint(0, months_between(self.first, month)))
        return {"running": month, "next": month_after(month), "before first": rng.choice(BEFORE_FIRST)}[kind]

    def _clock(self, world: World, at: datetime, month: str) -> Clock:
        start, end = month_bounds(month)
        return Clock(world.draft.rng, world.draft.moments[-20:], start, min(end, max(at, start + timedelta(hours=1))))


def _within(rng: random.Random, low: datetime, high: datetime) -> datetime:
    """Draw an instant after `low` and before `high`."""
    return low + (high - low) * rng.uniform(0.001, 0.999)


def _not_after(started_at: str, at: datetime) -> str:
    return min(instant(started_at), at).isoformat()

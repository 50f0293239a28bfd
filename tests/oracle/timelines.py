"""Who held what, and when: the sealed history of each asset and the life of each tenant.

Here belong the seal, the instant at which a landed event takes effect, lateness, and the replay of events
into holdings. Nothing here sees a call record or a statement. It is written for reading, not for speed:
events are kept in lists and replayed in the order that rules 12 to 14 give.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby

from tests.oracle.facts import Fact, Landing, Position, Refused, Row, read_assignment, read_tenant

ASSIGNMENT_FEEDS = ("tenants", "number_assignments", "ip_assignments")
CLOCK_TOLERANCE = timedelta(minutes=5)


@dataclass(frozen=True)
class Event:
    """A landed fact with the instant from which it acts; an overtaken or void one is kept but never acts."""

    fact: Fact
    effective: datetime
    late: bool
    overtaken: bool
    void: bool = False

    @property
    def can_act(self) -> bool:
        """Tell whether the event counts at all."""
        return not self.overtaken and not self.void

    @property
    def order(self) -> tuple:
        """Sort ends before starts at one instant, then by record time, batch and row."""
        return (self.effective, not self.fact.is_end, self.fact.recorded, self.fact.position)


@dataclass(frozen=True)
class Holding:
    """From `since` on, until the next holding of the asset, `account` (or nobody) has it."""

    since: datetime
    account: str | None
    position: Position


@dataclass(frozen=True)
class Life:
    """The span in which a tenant can own anything: `[born, archived)`."""

    born: datetime
    archived: datetime | None

    def includes(self, moment: datetime) -> bool:
        """Tell whether the tenant is alive at an instant."""
        return self.born <= moment and (self.archived is None or moment < self.archived)


def effective_instant(asked: datetime, recorded: datetime, floor: datetime | None) -> datetime:
    """Return when a change takes effect: never before it was recorded, never before the seal."""
    known = max(asked, recorded)
    return known if floor is None else max(known, floor)


class Ledger:
    """Everything landed in one assignment feed, with its seal."""

    def __init__(self, feed: str) -> None:
        """Start a feed in which nothing has landed."""
        self.feed = feed
        self.events: dict[str, list[Event]] = defaultdict(list)
        self._landed_identities: set[tuple] = set()
        self._cutoff: datetime | None = None
        self._frozen_end: datetime | None = None
        self._history_call: str | None = None
        self._has_history = False

    @property
    def seal(self) -> datetime | None:
        """Return the instant before which this feed can change nothing any more."""
        known = [moment for moment in (self._cutoff, self._frozen_end) if moment is not None]
        return max(known, default=None)

    def freeze(self, month_end: datetime) -> None:
        """Note that the months before an instant are frozen."""
        self._frozen_end = month_end if self._frozen_end is None else max(self._frozen_end, month_end)

    def land(self, landing: Landing, step: int) -> None:
        """Add one file, or raise `Refused` and add nothing."""
        history = self._is_history(landing)
        facts = self._read(landing, step, history)
        cutoff = None if landing.registry else _cutoff(landing, facts)
        fresh = self._unseen(facts)
        self._check_tenants(fresh)
        arrivals = [self._arrive(fact, landing, history) for fact in fresh]
        self._refuse_late(arrivals, landing)
        for event in without_rows_that_were_over(facts, arrivals):
            self.events[event.fact.asset].append(event)
            self._landed_identities.add(event.fact.identity)
        if not landing.registry:
            self._note_batch(landing, cutoff)

    def _is_history(self, landing: Landing) -> bool:
        if landing.registry:
            return False
        return not self._has_history or (landing.call is not None and landing.call == self._history_call)

    def _read(self, landing: Landing, step: int, history: bool) -> list[Fact]:
        facts: list[Fact] = []
        for index, row in enumerate(landing.rows, start=1):
            stated = _as_recorded_now(row, landing) if landing.registry else row
            position = Position(step, index)
            if self.feed == "tenants":
                facts.append(read_tenant(stated, position))
            else:
                facts.extend(read_assignment(self.feed, stated, position, may_default_end=history))
        for fact in facts:
            if fact.recorded > landing.landed_at + CLOCK_TOLERANCE:
                raise Refused(f"{fact.asset}: recorded in the future")
        return facts

    def _unseen(self, facts: Iterable[Fact]) -> list[Fact]:
        """Leave out events equal to a landed one; of equal events in one file the last counts."""
        return list({fact.identity: fact for fact in facts if fact.identity not in self._landed_identities}.values())

    def _arrive(self, fact: Fact, landing: Landing, history: bool) -> Event:
        floor = self._frozen_end if history else self.seal
        late = not history and not landing.registry and floor is not None and fact.recorded < floor
        overtaken = late and self._is_overtaken(fact, floor)
        return Event(fact, effective_instant(fact.asked, fact.recorded, floor), late, overtaken)

    def _is_overtaken(self, fact: Fact, seal: datetime) -> bool:
        """Tell whether the event that decides at the seal who holds the asset was recorded later than this one."""
        landed = self.events.get(fact.asset, ())
        current = last_acting(event for event in landed if event.effective <= seal)
        return current is not None and current.fact.recorded > fact.recorded

    def _refuse_late(self, arrivals: Iterable[Event], landing: Landing) -> None:
        late = [event.fact.asset for event in arrivals if event.late]
        if late and not landing.accept_late:
            raise Refused(f"{self.feed}: {len(late)} events are late, the first for {late[0]}")

    def _check_tenants(self, fresh: Iterable[Fact]) -> None:
        if self.feed != "tenants":
            return
        spelled = {account.lower(): account for account in self.events}
        for fact in fresh:
            if spelled.setdefault(fact.asset.lower(), fact.asset) != fact.asset:
                raise Refused(f"{fact.asset} differs from another Account ID by case only")
            if not fact.archived and any(
                event.fact.archived and event.fact.recorded < fact.recorded for event in self.events.get(fact.asset, ())
            ):
                raise Refused(f"{fact.asset} is archived for good")

    def _note_batch(self, landing: Landing, cutoff: datetime | None) -> None:
        if not self._has_history:
            self._has_history, self._history_call = True, landing.call
        if cutoff is not None:
            self._cutoff = cutoff if self._cutoff is None else max(self._cutoff, cutoff)


class World:
    """All that has landed in the assignment feeds."""

    def __init__(self) -> None:
        """Start with nothing landed."""
        self.ledgers = {feed: Ledger(feed) for feed in ASSIGNMENT_FEEDS}

    def land(self, landing: Landing, step: int) -> None:
        """Add a file of an assignment feed; call records change nothing here."""
        if landing.feed in self.ledgers:
            self.ledgers[landing.feed].land(landing, step)

    def freeze(self, month_end: datetime) -> None:
        """Move the seal of every assignment feed."""
        for ledger in self.ledgers.values():
            ledger.freeze(month_end)


def _as_recorded_now(row: Row, landing: Landing) -> Row:
    if row.get("valid_from") or row.get("valid_to"):
        raise Refused("the registry records changes now; there is no way to say when")
    return {**row, "recorded_at": landing.landed_at.isoformat()}


def _cutoff(landing: Landing, facts: Sequence[Fact]) -> datetime | None:
    latest = max((fact.recorded for fact in facts), default=None)
    if landing.cutoff is None:
        return latest
    if landing.cutoff > landing.landed_at or (latest is not None and landing.cutoff < latest):
        raise Refused("the cutoff lies after now, or before a row of the batch")
    return landing.cutoff


def without_rows_that_were_over(facts: Iterable[Fact], arrivals: Iterable[Event]) -> list[Event]:
    """Mark the events of rows whose end takes effect no later than their start: neither of the two ever acts.

    Only a row that brings both has a start to compare with: one that landed before acted then.
    """
    arrived = {event.fact.identity: event for event in arrivals}
    brought: dict[Position, list[Event]] = defaultdict(list)
    for fact in facts:
        event = arrived.get(fact.identity)
        if event is not None and not event.overtaken:
            brought[fact.position].append(event)
    over = {
        position for position, (first, *others) in brought.items() for end in others if end.effective <= first.effective
    }
    return [replace(event, void=event.fact.position in over) for event in arrived.values()]


def acting(events: Iterable[Event]) -> list[Event]:
    """Return the events that act, in order, one per instant: the last there, ends before starts.

    An end acts only on the tenant that holds the asset when the instant comes.
    """
    result: list[Event] = []
    able = sorted((event for event in events if event.can_act), key=lambda event: event.order)
    for _, at_once in groupby(able, key=lambda event: event.effective):
        holder = holder_after(result[-1]) if result else None
        heard = [event for event in at_once if not event.fact.is_end or (holder and holder == event.fact.account)]
        result.extend(heard[-1:])
    return result


def last_acting(events: Iterable[Event]) -> Event | None:
    """Return the event in effect after all the given ones."""
    found = acting(events)
    return found[-1] if found else None


def holder_after(event: Event) -> str | None:
    """Return who has the asset once an event has acted."""
    return None if event.fact.is_end else event.fact.account


def holdings(events: Iterable[Event]) -> list[Holding]:
    """Replay events into holdings: one per instant, and none where the tenant stays the same."""
    result: list[Holding] = []
    for event in acting(events):
        account = holder_after(event)
        if not result or result[-1].account != account:
            result.append(Holding(event.effective, account, event.fact.position))
    return result


def holding_at(timeline: Sequence[Holding], moment: datetime) -> Holding | None:
    """Return the holding in force at an instant; the very instant of a change belongs to the new one."""
    index = bisect_right(timeline, moment, key=lambda holding: holding.since)
    return timeline[index - 1] if index else None


def life(events: Iterable[Event]) -> Life | None:
    """Return the life that a tenant's rows describe, or None where no row counts."""
    counted = [event for event in events if event.can_act]
    if not counted:
        return None
    archivings = [event.effective for event in counted if event.fact.archived]
    return Life(min(event.effective for event in counted), min(archivings, default=None))

"""Whose a record is: one record against the holdings and lives known at the end of its month.

Here belong attribution, the reasons why there is none, the inventory and the changes of assets in a month.
Nothing here reads rows, adds figures up or knows how events came to take effect.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tests.oracle.facts import Position, Record, derived_number_type, is_account_id, is_ip, is_number
from tests.oracle.statements import SERVICES
from tests.oracle.timelines import Holding, Life, World, holding_at, holdings, life


@dataclass(frozen=True)
class Attribution:
    """Whose a record is and by what, or the one reason why it is nobody's.

    `assignment` is the row that decided: of the assignment for `number` and `ip`, also where that row is a
    release or names a tenant that is not alive; None for a header, and where no row was in force.
    """

    account_id: str | None = None
    attributed_by: str | None = None
    reason: str | None = None
    conflict_header_ip: bool = False
    assignment: Position | None = None


@dataclass(frozen=True)
class HeldNumber:
    """A number that somebody holds at the month's last instant."""

    account_id: str
    number_type: str
    held_from: datetime


class Owners:
    """Who held what, seen from a month's end: nothing that takes effect later is known."""

    def __init__(self, world: World, horizon: datetime) -> None:
        """Replay every event that takes effect before the horizon."""
        self.horizon = horizon
        self._events = {
            feed: {
                asset: [event for event in events if event.effective < horizon]
                for asset, events in ledger.events.items()
            }
            for feed, ledger in world.ledgers.items()
        }
        self.lives = {
            account: found for account, events in self._events["tenants"].items() if (found := life(events)) is not None
        }
        self._folded = {account.lower() for account in self.lives}
        self.numbers = self._replayed("number_assignments")
        self.ips = self._replayed("ip_assignments")

    def _replayed(self, feed: str) -> dict[str, list[Holding]]:
        return {asset: holdings(events) for asset, events in self._events[feed].items()}

    def attribute(self, record: Record) -> Attribution:
        """Decide whose a record is."""
        if SERVICES[(record.service, record.direction)].attributed_by == "number":
            return self._by_asset("number", record.number, is_number, self.numbers, record.started_at)
        if record.x_tenant is not None:
            return self._by_header(record)
        return self._by_asset("ip", record.source_ip, is_ip, self.ips, record.started_at)

    def _by_asset(
        self,
        kind: str,
        asset: str | None,
        well_formed: Callable[[str], bool],
        timelines: Mapping[str, Sequence[Holding]],
        moment: datetime,
    ) -> Attribution:
        if asset is None:
            return Attribution(reason=f"{kind}_missing")
        if not well_formed(asset):
            return Attribution(reason=f"{kind}_malformed")
        holding = holding_at(timelines.get(asset, ()), moment)
        if holding is None:
            return Attribution(reason=f"{kind}_unknown")
        if holding.account is None:
            return Attribution(reason=f"{kind}_unassigned", assignment=holding.position)
        if not self.is_alive(holding.account, moment):
            return Attribution(reason=self._why_not_alive(holding.account, moment), assignment=holding.position)
        return Attribution(holding.account, kind, assignment=holding.position)

    def _by_header(self, record: Record) -> Attribution:
        header, moment = record.x_tenant, record.started_at
        if not is_account_id(header):
            return Attribution(reason="header_malformed")
        if header not in self.lives:
            mistyped = header.lower() in self._folded
            return Attribution(reason="header_case_mismatch" if mistyped else "header_unknown_tenant")
        if not self.is_alive(header, moment):
            return Attribution(reason=self._why_not_alive(header, moment))
        by_ip = self._by_asset("ip", record.source_ip, is_ip, self.ips, moment).account_id
        return Attribution(header, "header", conflict_header_ip=by_ip is not None and by_ip != header)

    def is_alive(self, account: str, moment: datetime) -> bool:
        """Tell whether a tenant lives at an instant."""
        return account in self.lives and self.lives[account].includes(moment)

    def _why_not_alive(self, account: str, moment: datetime) -> str:
        lived = self.lives.get(account)
        ended = lived is not None and lived.archived is not None and lived.archived <= moment
        return "tenant_archived" if ended else "tenant_not_yet_created"

    def tenant_name(self, account: str) -> str:
        """Return the name in force at the month's last instant."""
        named = [event for event in self._events["tenants"][account] if event.can_act]
        return max(named, key=lambda event: event.order).fact.name

    def inventory(self) -> dict[str, HeldNumber]:
        """Return who holds each number at the month's last instant."""
        held: dict[str, HeldNumber] = {}
        for number, timeline in self.numbers.items():
            last = timeline[-1] if timeline else None
            lived = self.lives.get(last.account) if last is not None else None
            if lived is not None and lived.archived is None:
                since = max(last.since, lived.born)
                held[number] = HeldNumber(last.account, self._number_type(number), since)
        return held

    def _number_type(self, number: str) -> str:
        events = self._events["number_assignments"][number]
        stated = [event for event in events if event.can_act and event.fact.number_type]
        if not stated:
            return derived_number_type(number)
        return max(stated, key=lambda event: event.order).fact.number_type

    def asset_changes(self, start: datetime) -> dict[str, tuple[int, bool]]:
        """Count, per tenant, the assignment changes in the month that gave it an asset or took one from it.

        A change counts for a tenant that lives then, or lived until then. The flag tells whether two other
        readings give the same number: every change that names the tenant, or the ends of its holdings cut
        to its life.
        """
        counted, naming, bounds = Counter(), Counter(), Counter()
        for timeline in (*self.numbers.values(), *self.ips.values()):
            for account, since, until in _spells(timeline):
                lived = self.lives.get(account)
                if lived is None:
                    continue
                counted[account] += (since >= start and lived.includes(since)) + _is_loss(until, lived, start)
                naming[account] += (since >= start) + (until is not None and until >= start)
                bounds[account] += _bounds_in_month(since, until, lived, start)
        return {
            account: (counted[account], counted[account] == naming[account] == bounds[account])
            for account in self.lives
        }


def _is_loss(until: datetime | None, lived: Life, start: datetime) -> bool:
    if until is None or until < start:
        return False
    return lived.born < until and (lived.archived is None or until <= lived.archived)


def _bounds_in_month(since: datetime, until: datetime | None, lived: Life, start: datetime) -> int:
    first = max(since, lived.born)
    last = min((end for end in (until, lived.archived) if end is not None), default=None)
    if last is not None and last <= first:
        return 0
    return (first >= start) + (last is not None and last >= start)


def _spells(timeline: Sequence[Holding]) -> Iterable[tuple[str, datetime, datetime | None]]:
    for index, holding in enumerate(timeline):
        if holding.account is not None:
            until = timeline[index + 1].since if index + 1 < len(timeline) else None
            yield holding.account, holding.since, until

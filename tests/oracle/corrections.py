"""What a sequence of closes states, from the written rules alone: usage of each month, and corrections of frozen ones.

Here belongs which entries each close makes (rule 26). Plain Python, no code of the product. It looks at everything that
has landed, wherever it lies; whose a record is and which delivery counts is asked of the other modules.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tests.oracle.facts import Landing, Position, Record
from tests.oracle.oracle import collect_deliveries, month_bounds, month_of, settle
from tests.oracle.owners import Attribution, Owners
from tests.oracle.timelines import World


@dataclass(frozen=True)
class Entry:
    """A record on a month's statements, or, with a negative `sign`, what takes an earlier one back."""

    kind: str
    sign: int
    record: Record
    delivery: Position
    attribution: Attribution
    stated_in: str

    @property
    def usage_month(self) -> str:
        """Return the month in which the record started."""
        return month_of(self.record.started_at)


class Books:
    """Every entry of every close, in order; months are closed one after the other."""

    def __init__(self) -> None:
        """Start with nothing closed."""
        self.world = World()
        self.landings: list[Landing] = []
        self.closed: dict[str, list[Entry]] = {}
        self.standing: dict[str, Entry] = {}
        self.stated: set[str] = set()

    def land(self, landing: Landing) -> None:
        """Add a file."""
        self.world.land(landing, len(self.landings))
        self.landings.append(landing)

    def close(self, month: str) -> list[Entry]:
        """State a month: its own records, and what was said since about months closed before."""
        first = next(iter(self.closed), month)
        owners = _OwnersByMonth(self.world)
        entries: list[Entry] = []
        for record_id, deliveries in collect_deliveries(self.landings).items():
            standing, _ = settle(deliveries)
            position, record = deliveries[standing]
            before = self.standing.get(record_id)
            if before is not None and before.record == record:
                continue
            if before is not None:
                entries.append(replace(before, kind="reversal", sign=-1, stated_in=month))
                del self.standing[record_id]
            if record is None:
                continue
            started_in = month_of(record.started_at)
            if not first <= started_in <= month:
                continue
            late = "restatement" if record_id in self.stated else "late"
            kind = "usage" if started_in == month else late
            entry = Entry(kind, 1, record, position, owners.attribute(record), month)
            entries.append(entry)
            self.standing[record_id] = entry
            self.stated.add(record_id)
        self.world.freeze(month_bounds(month)[1])
        self.closed[month] = entries
        return entries

    def entries(self) -> Iterable[Entry]:
        """Return all entries of all closes."""
        return (entry for entries in self.closed.values() for entry in entries)


class _OwnersByMonth:
    """Attribution as at the original call: a record knows what took effect before the end of its own month."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._known: dict[str, Owners] = {}

    def attribute(self, record: Record) -> Attribution:
        month = month_of(record.started_at)
        if month not in self._known:
            self._known[month] = Owners(self._world, month_bounds(month)[1])
        return self._known[month].attribute(record)


def net_counts(entries: Sequence[Entry]) -> dict[str, int]:
    """Return how often each record counts over all statements."""
    counts: dict[str, int] = {}
    for entry in entries:
        counts[entry.record.record_id] = counts.get(entry.record.record_id, 0) + entry.sign
    return counts

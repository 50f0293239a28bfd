"""The services of each month: those that its manifest pins, and those of today for a month that is not frozen.

What belongs here: which table holds for a month. What does not: how a record is judged by it; the models do that, and
find a service in the same way (`int_services`).
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from orchestration.close.manifests import Chain
from orchestration.landing import services
from orchestration.landing.services import Service, Services
from orchestration.months import Month
from orchestration.settings import Settings

Key = tuple[str, str]


@dataclass(frozen=True)
class MonthServices:
    """The services that each frozen month pins, oldest first, and those of the months that are open."""

    frozen: Mapping[Month, Services]
    current: Services

    def rows(self, open_month: Month) -> Iterator[tuple[Month, Service]]:
        """Every row of every month, `open_month` as the one that takes the current ones."""
        for month, table in (*self.frozen.items(), (open_month, self.current)):
            for row in table.rows:
                yield month, row

    def find(self, month: Month, key: Key) -> Service | None:
        """A service for the records of a month: as the first month pins it that has it, from its own on."""
        tables = [table for frozen, table in self.frozen.items() if frozen >= month]
        return next((row for table in (*tables, self.current) for row in table.rows if row.key == key), None)


def missing(settings: Settings, keys: Collection[Key]) -> str:
    """A sentence about services of records that no table has, with the way out."""
    listed = ", ".join(f"{service} ({direction})" for service, direction in sorted(keys))
    return (
        f"Records name a service that no services.csv has any more: {listed}. Add a row for each to "
        f"{settings.services}, with the first line {','.join(services.COLUMNS)}."
    )


def of_close(settings: Settings, chain: Chain, current: Services) -> MonthServices:
    """The services of a close: its own, and those that the frozen months before it pin.

    Manifests of 0.1.0 and early ones of 0.2.0 pin none. Those months take the table of today. That is safe: the shipped
    rows have never changed, a test holds that they stay, and rows of the operator's own can only be added to them.
    """
    pinned = {manifest.month: manifest.content.services for manifest in chain}
    tables = [*pinned.values(), current]
    today = services.load(settings) if any(not table.rows for table in tables) else current
    return MonthServices(
        frozen={month: table if table.rows else today for month, table in pinned.items()},
        current=current if current.rows else today,
    )

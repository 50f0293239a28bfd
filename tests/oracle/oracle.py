"""The judge: what each record's owner is and what a month's statements say, from the written rules alone.

Here belong the whole answer for a month and the attribution of one record. Plain Python and Decimal, no
SQL, no code of the product, no files. It does not decide whether a month may be closed, does not normalize
spellings (values come canonical, or malformed beyond repair), rejects no call records and states no
corrections: whoever compares a build with it closes the month once, after everything has landed. Where the
rules leave two readings the answer says so: `asset_changes_settled` on a statement.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from tests.oracle.facts import Landing, Position, Record, Refused, read_record
from tests.oracle.memory import collector_at_rest
from tests.oracle.owners import Attribution, HeldNumber, Owners
from tests.oracle.statements import NOTHING, Key, Measures, exact_arithmetic, measures_by, wide_figures
from tests.oracle.timelines import Life, World

# A delivery without a record takes it back (rule 29).
Delivery = tuple[Position, Record | None]


@dataclass(frozen=True)
class JudgedRecord:
    """An accepted record, the delivery that counts, and its attribution."""

    record: Record
    delivery: Position
    attribution: Attribution

    @property
    def record_id(self) -> str:
        """Return the record's key."""
        return self.record.record_id


@dataclass(frozen=True)
class OrganizationLine:
    """A service of the whole account, with its split."""

    total: Measures
    attributed: Measures
    unattributed: Measures


@dataclass(frozen=True)
class MonthAnswer:
    """Everything that the rules fix for one month."""

    month: str
    records: list[JudgedRecord]
    counts: dict[str, int]
    lines: dict[Key, Measures]
    unattributed: dict[Key, Measures]
    organization_lines: dict[Key, OrganizationLine]
    statements: dict[tuple[str, str], dict[str, object]]
    organization: dict[str, dict[str, object]]
    inventory: dict[str, HeldNumber]


def month_bounds(month: str) -> tuple[datetime, datetime]:
    """Return the half-open UTC span of a month written `YYYY-MM`."""
    year, number = int(month[:4]), int(month[5:])
    start = datetime(year, number, 1, tzinfo=UTC)
    end = datetime(year + number // 12, number % 12 + 1, 1, tzinfo=UTC)
    return start, end


def month_of(moment: datetime) -> str:
    """Return the UTC month of an instant."""
    return f"{moment.year:04d}-{moment.month:02d}"


def settle(deliveries: Sequence[Delivery]) -> tuple[int, list[str]]:
    """Return the index of the delivery that counts, and what became of each one.

    A delivery equal to the one just before it is a duplicate; otherwise it supersedes what stood until then.
    """
    fates = ["accepted"]
    standing = 0
    for index in range(1, len(deliveries)):
        if deliveries[index][1] == deliveries[index - 1][1]:
            fates.append("duplicate")
            continue
        fates[standing] = "superseded"
        fates.append("accepted")
        standing = index
    return standing, fates


def judge(
    landings: Sequence[Landing],
    month: str,
    frozen_ends: Iterable[tuple[int, datetime]] = (),
    default_currency: str = "USD",
    now: datetime | None = None,
) -> MonthAnswer:
    """Answer for one month, after all landings.

    `frozen_ends` holds pairs: after how many landings a month was frozen, and that month's end. With `now`
    given, a month that has not ended is refused.
    """
    start, end = month_bounds(month)
    if now is not None and now < end:
        raise Refused(f"{month} has not ended")
    with exact_arithmetic(), collector_at_rest():
        world = replay(landings, frozen_ends)
        owners = Owners(world, end)
        deliveries = collect_deliveries(landings, default_currency)
        records, counts = _judge_deliveries(deliveries, owners, month)
        return _answer(month, start, records, counts, owners, default_currency)


def replay(landings: Sequence[Landing], frozen_ends: Iterable[tuple[int, datetime]] = ()) -> World:
    """Land everything in order, with the freezes in between."""
    freezes = defaultdict(list)
    for position, month_end in frozen_ends:
        freezes[position].append(month_end)
    world = World()
    for step, landing in enumerate(landings):
        for month_end in freezes[step]:
            world.freeze(month_end)
        world.land(landing, step)
    for month_end in freezes[len(landings)]:
        world.freeze(month_end)
    return world


def collect_deliveries(landings: Sequence[Landing], default_currency: str = "USD") -> dict[str, list[Delivery]]:
    """Return every delivery of every record id, in the order of batch and row."""
    deliveries: dict[str, list[Delivery]] = defaultdict(list)
    for step, landing in enumerate(landings):
        if landing.feed != "cdrs":
            continue
        for index, row in enumerate(landing.rows, start=1):
            deliveries[row["record_id"]].append((Position(step, index), read_record(row, default_currency)))
    return deliveries


def _judge_deliveries(
    deliveries: Mapping[str, Sequence[Delivery]], owners: Owners, month: str
) -> tuple[list[JudgedRecord], dict[str, int]]:
    records: list[JudgedRecord] = []
    counts = {"accepted": 0, "duplicate": 0, "superseded": 0}
    for delivered in deliveries.values():
        standing, fates = settle(delivered)
        for (_, record), fate in zip(delivered, fates, strict=True):
            if record is not None:
                counts[fate] += month_of(record.started_at) == month
        position, record = delivered[standing]
        if record is not None and month_of(record.started_at) == month:
            records.append(JudgedRecord(record, position, owners.attribute(record)))
    return records, counts


def _answer(
    month: str,
    start: datetime,
    records: list[JudgedRecord],
    counts: dict[str, int],
    owners: Owners,
    default_currency: str,
) -> MonthAnswer:
    owned = [judged for judged in records if judged.attribution.account_id is not None]
    orphaned = [judged for judged in records if judged.attribution.account_id is None]
    inventory = owners.inventory()
    return MonthAnswer(
        month=month,
        records=records,
        counts=counts,
        lines=measures_by(
            (judged.attribution.account_id, *_service_key(judged.record), judged.record) for judged in owned
        ),
        unattributed=measures_by(
            (*_service_key(judged.record), judged.attribution.reason, judged.record) for judged in orphaned
        ),
        organization_lines=_organization_lines(records, owned, orphaned),
        statements=_statements(owned, owners, inventory, start, default_currency),
        organization=_organization(records, inventory, default_currency),
        inventory=inventory,
    )


def _service_key(record: Record) -> tuple[str, str, str]:
    return (record.currency, record.service, record.direction)


def _organization_lines(*parts: Sequence[JudgedRecord]) -> dict[Key, OrganizationLine]:
    total, attributed, unattributed = (
        measures_by((*_service_key(judged.record), judged.record) for judged in part) for part in parts
    )
    return {
        key: OrganizationLine(whole, attributed.get(key, NOTHING), unattributed.get(key, NOTHING))
        for key, whole in total.items()
    }


def _statements(
    owned: Sequence[JudgedRecord],
    owners: Owners,
    inventory: Mapping[str, HeldNumber],
    start: datetime,
    default_currency: str,
) -> dict[tuple[str, str], dict[str, object]]:
    usage: dict[str, list[Record]] = defaultdict(list)
    for judged in owned:
        usage[judged.attribution.account_id].append(judged.record)
    held: dict[str, Counter] = defaultdict(Counter)
    for number in inventory.values():
        held[number.account_id][number.number_type] += 1
    changes = owners.asset_changes(start)
    statements: dict[tuple[str, str], dict[str, object]] = {}
    for account, lived in owners.lives.items():
        if account not in usage and not _lives_in_month(lived, start):
            continue
        count, settled = changes[account]
        about = {
            "tenant_name": owners.tenant_name(account),
            "is_partial_month": lived.born > start,
            "first_effective_at": lived.born if lived.born > start else None,
            "archived_at": lived.archived,
            "asset_changes": count,
            "asset_changes_settled": settled,
        }
        for currency, figures in _wide_by_currency(usage[account], held[account], default_currency).items():
            statements[account, currency] = about | figures
    return statements


def _lives_in_month(lived: Life, start: datetime) -> bool:
    """Tell whether a life known at the month's end has an instant in the month."""
    return lived.archived is None or lived.archived > max(start, lived.born)


def _organization(
    records: Sequence[JudgedRecord], inventory: Mapping[str, HeldNumber], default_currency: str
) -> dict[str, dict[str, object]]:
    held = Counter(number.number_type for number in inventory.values())
    return _wide_by_currency([judged.record for judged in records], held, default_currency)


def _wide_by_currency(
    records: Sequence[Record], held: Mapping[str, int], default_currency: str
) -> dict[str, dict[str, object]]:
    currencies = sorted({record.currency for record in records}) or [default_currency]
    return {currency: wide_figures(records, currency, held) for currency in currencies}


def net_cost(measures: Iterable[Measures]) -> Decimal:
    """Add the costs of lines, exactly."""
    with exact_arithmetic():
        return sum((line.cost for line in measures), Decimal(0))

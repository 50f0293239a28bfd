"""Made-up histories: thousands of small worlds that share one landing sequence, each under keys of its own.

Here belong the calendar of landings, the random rows, and writing them as CSV. Nothing here decides whose a record
is.

How to hold a build against the oracle:

1. Set the product up with an empty data directory, first month `2026-03`, the default currency of the set, default
   grace.
2. Walk through `HistorySet.landings` in order. Set the clock to `landing.landed_at` and:
   - a landing without `registry`: write it with `write_csv` and land it under `landing.feed`, with `--cutoff` when
     `landing.cutoff` is given and `--accept-late` when `landing.accept_late` is set. The two landings whose `call` is
     the same are the files of ONE land command, in that order, and state the same cutoff.
   - a landing with `registry`: one row, one command of the operator. `number_assignments` and `ip_assignments`:
     `assign`, or `release` when `account_id` is empty. `tenants`: `tenant add` with the row, or `tenant archive` when
     `archived` is `true`. There are at most five per registry history; `registry_histories=0` leaves them all out.
   Every file must land whole: no row is late without the flag, none is rejected, none is from the future.
3. Set the clock to `HistorySet.close_at` and close `HistorySet.month`, nothing else before or after.
4. Compare with `judge(landings, month, default_currency=…)`. A position `(step, row)` is the index of the landing in the list and the row
   of its file counted from 1: `(batch_id, source_row)` on a record, `assignment_id` on its attribution. Take
   `assignment` for records attributed by number or ip; compare `asset_changes` where `asset_changes_settled`.

Records outside March lie in February and on 1 April, and serve redeliveries that cross the month's edges.
"""

import csv
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from tests.oracle.facts import RECORD_COLUMNS, TENANT_COLUMNS, Landing, Row
from tests.oracle.memory import collector_at_rest
from tests.oracle.records import record_rows

TICK = timedelta(microseconds=1)
MONTH = "2026-03"
MONTH_START = datetime(2026, 3, 1, tzinfo=UTC)
MONTH_END = datetime(2026, 4, 1, tzinfo=UTC)
INDIA = timezone(timedelta(hours=5, minutes=30))
EARLIEST = datetime(2026, 2, 1, tzinfo=UTC)
CLOSE_AT = datetime(2026, 4, 2, tzinfo=UTC)

ASSIGNMENT_COLUMNS = ("account_id", "valid_from", "recorded_at", "valid_to", "end_recorded_at")
COLUMNS = {
    "cdrs": (*RECORD_COLUMNS, "withdrawn"),
    "tenants": TENANT_COLUMNS,
    "number_assignments": ("number", "number_type", *ASSIGNMENT_COLUMNS),
    "ip_assignments": ("ip", *ASSIGNMENT_COLUMNS),
}
# Not the address of any history: its release is the latest row of the file that states no cutoff.
CUTOFF_SENTINEL_IP = "10.255.255.254"


@dataclass(frozen=True)
class Step:
    """One shared landing: all histories put their rows of it into the same file.

    Rows of a step are recorded in `[opens, cutoff]`; without `accept_late`, `opens` is the feed's seal by
    then.
    """

    name: str
    feed: str
    landed_at: datetime
    opens: datetime = EARLIEST
    cutoff: datetime | None = None
    accept_late: bool = False
    call: str | None = None
    states_cutoff: bool = True


def _march(day: int, hour: int = 0) -> datetime:
    return MONTH_START + timedelta(days=day - 1, hours=hour)


_APRIL_MORNING = _march(32, 6)

TENANT_STEPS = (
    Step("tenants-1", "tenants", _march(8, 6), EARLIEST, _march(8)),
    Step("tenants-2", "tenants", _march(16, 6), _march(8), _march(16)),
    Step("tenants-3-late", "tenants", _march(26, 6), EARLIEST, _march(26), accept_late=True),
    Step("tenants-4", "tenants", _march(32, 10), _march(26), _APRIL_MORNING),
)
NUMBER_STEPS = (
    Step("numbers-1a", "number_assignments", _march(10, 6), EARLIEST, _march(10), call="numbers-history"),
    Step("numbers-1b", "number_assignments", _march(10, 6), EARLIEST, _march(10), call="numbers-history"),
    Step("numbers-2", "number_assignments", _march(20, 6), _march(10), _march(20)),
    Step("numbers-4-late", "number_assignments", _march(28, 6), EARLIEST, _march(28), accept_late=True),
    Step("numbers-5", "number_assignments", _march(32, 11), _march(28), _APRIL_MORNING),
)
# An extract without rows: it makes whatever was recorded before its cutoff late.
EMPTY_STEP = Step("numbers-3-empty", "number_assignments", _march(22, 6), cutoff=_march(22))
IP_STEPS = (
    Step("ips-1", "ip_assignments", _march(12, 6), EARLIEST, _march(12), states_cutoff=False),
    Step("ips-2", "ip_assignments", _march(21, 6), _march(12), _march(21)),
    Step("ips-3-late", "ip_assignments", _march(27, 6), EARLIEST, _march(27), accept_late=True),
    Step("ips-4", "ip_assignments", _march(32, 12), _march(27), _APRIL_MORNING),
)
CDR_STEPS = (
    Step("cdrs-1", "cdrs", _march(31, 12)),
    Step("cdrs-2", "cdrs", _march(32, 13)),
)
STEPS = (*TENANT_STEPS, *NUMBER_STEPS, EMPTY_STEP, *IP_STEPS, *CDR_STEPS)
ASSIGN_BEFORE_HISTORY = _march(9, 12)
ADD_TENANT, ASSIGN_LATER, ARCHIVE_TENANT = _march(24, 10), _march(24, 11), _march(25)

# Instants where an off-by-one would show; a history draws from a few of them, so its events collide.
EDGES = tuple(
    edge + offset
    for edge in {MONTH_START, MONTH_END, *(step.cutoff for step in STEPS if step.cutoff)}
    for offset in (-TICK, timedelta(0), TICK)
)


@dataclass(frozen=True)
class HistorySet:
    """Landings in the order to land them, and the month to close afterwards."""

    seed: int
    histories: int
    landings: list[Landing]
    default_currency: str = "USD"
    month: str = MONTH
    close_at: datetime = CLOSE_AT


@dataclass
class Draft:
    """One history while it is drawn: its keys, its rows per step, and the instants where something happens."""

    index: int
    rng: random.Random
    default_currency: str = "USD"
    accounts: list[str] = field(default_factory=list)
    numbers: list[str] = field(default_factory=list)
    ips: list[str] = field(default_factory=list)
    rows: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    commands: list[Landing] = field(default_factory=list)
    hot: list[datetime] = field(default_factory=list)
    moments: list[datetime] = field(default_factory=list)

    def between(self, low: datetime, high: datetime) -> datetime:
        """Draw an instant of a closed span, often one that this history has used."""
        shared = [moment for moment in self.hot if low <= moment <= high]
        if shared and self.rng.random() < 0.5:
            return self.rng.choice(shared)
        moment = low + (high - low) * self.rng.random()
        if self.rng.random() < 0.3:
            moment = max(low, moment.replace(microsecond=0))
        return moment

    def spelled(self, moment: datetime) -> str:
        """Note an instant as interesting and write it, now and then with another offset."""
        self.moments.append(moment)
        return spell(moment, self.rng)


def spell(moment: datetime, rng: random.Random) -> str:
    """Write an instant with `Z`, sometimes with the offset of another zone."""
    luck = rng.random()
    if luck < 0.9:
        return moment.isoformat().replace("+00:00", "Z")
    return moment.astimezone(INDIA if luck < 0.95 else UTC).isoformat()


def number_of(history: int, index: int) -> str:
    """Return a number that belongs to one history alone; some are toll-free, some are not from the NANP."""
    serial = history * 16 + index
    if history % 9 == 4 and index == 1:
        return f"+4420{serial:08d}"
    area = (206, 312, 415, 800, 888, 646, 305)[(history + index) % 7]
    return f"+1{area}{220 + serial // 10_000 % 700:03d}{serial % 10_000:04d}"


def ip_of(history: int, index: int) -> str:
    """Return an address that belongs to one history alone."""
    serial = history * 16 + index
    if history % 5 == 2 and index % 2:
        return str(IPv6Address("2001:db8::") + serial + 1)
    return str(IPv4Address("10.0.0.0") + serial + 1)


def account_of(history: int, index: int) -> str:
    """Return an Account ID of one history; every one has letters, so that its case can be mistaken."""
    return (f"t{history}-a", f"T{history}.Pbx", f"t{history}_c.example.com", f"{history}x")[index]


def generate(seed: int, histories: int, registry_histories: int = 8, default_currency: str = "USD") -> HistorySet:
    """Draw histories and merge them into one landing sequence."""
    with collector_at_rest():
        drafts = [
            _draft(
                Draft(index, random.Random(f"{seed}/{index}"), default_currency),
                with_registry=index < registry_histories,
            )
            for index in range(histories)
        ]
        return HistorySet(seed, histories, _merge(drafts), default_currency)


def write_csv(landing: Landing, path: Path) -> None:
    """Write a landing as the CSV file that a carrier would deliver, all canonical columns in it."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS[landing.feed])
        writer.writeheader()
        writer.writerows(landing.rows)


def _merge(drafts: Sequence[Draft]) -> list[Landing]:
    landings = [_shared_landing(step, drafts) for step in STEPS]
    landings += [command for draft in drafts for command in draft.commands]
    # Stable: the two files of one call keep their order, commands of one instant that of their histories.
    return sorted(landings, key=lambda landing: landing.landed_at)


def _shared_landing(step: Step, drafts: Sequence[Draft]) -> Landing:
    rows = [row for draft in drafts for row in draft.rows.get(step.name, ())]
    if not step.states_cutoff:
        rows.append({"ip": CUTOFF_SENTINEL_IP, "recorded_at": step.cutoff.isoformat()})
    cutoff = step.cutoff if step.states_cutoff else None
    return Landing(
        step.feed, rows, step.landed_at, cutoff, accept_late=step.accept_late, call=step.call, name=step.name
    )


def _draft(draft: Draft, *, with_registry: bool) -> Draft:
    """Fill the draft of one history."""
    index, rng = draft.index, draft.rng
    draft.hot = rng.sample(EDGES, 4) + [draft.between(EARLIEST, MONTH_END) for _ in range(3)]
    draft.accounts = [account_of(index, n) for n in range(rng.randint(2 if with_registry else 1, 4))]
    for n, account in enumerate(draft.accounts):
        _draft_tenant(draft, account, permanent=with_registry and n < 2)
    draft.numbers = [number_of(index, n) for n in range(rng.randint(1, 3))]
    draft.ips = [ip_of(index, n) for n in range(rng.randint(1, 3))]
    for number in draft.numbers:
        _draft_asset(draft, "number", number, NUMBER_STEPS)
    for address in draft.ips:
        _draft_asset(draft, "ip", address, IP_STEPS)
    if with_registry:
        _draft_registry(draft)
    for step_name, row in record_rows(draft, [step.name for step in CDR_STEPS], MONTH_START, MONTH_END):
        draft.rows[step_name].append(row)
    return draft


# Tenants ------------------------------------------------------------------------------------------------------------


def _draft_tenant(draft: Draft, account: str, permanent: bool) -> None:
    """Draw a tenant's rows: born in some step or never, renamed, archived, exported again."""
    rng = draft.rng
    first = 0 if permanent else rng.choices((0, 1, 2, 3, None), (62, 11, 11, 6, 10))[0]
    if first is None:
        return
    used: list[tuple[int, datetime]] = []

    def state(step: int, low: datetime, high: datetime | None = None, **details: str) -> None:
        recorded = draft.between(max(low, TENANT_STEPS[step].opens), high or TENANT_STEPS[step].cutoff)
        used.append((step, recorded))
        row = tenant_row(account, draft.spelled(recorded), **details)
        draft.rows[TENANT_STEPS[step].name].append(row)
        _export_again(draft, TENANT_STEPS, step, row)

    state(first, EARLIEST, MONTH_START if first == 0 and rng.random() < 0.6 else None)
    for version in range(rng.choices((0, 1, 2), (70, 22, 8))[0]):
        state(rng.randint(used[-1][0], len(TENANT_STEPS) - 1), EARLIEST, name=f"Renamed {version} {account}")
    if not permanent and rng.random() < 0.25:
        after = max(recorded for _, recorded in used) + TICK
        step = rng.randint(used[-1][0], len(TENANT_STEPS) - 1)
        if after <= TENANT_STEPS[step].cutoff:
            state(step, after, archived="true")


def tenant_row(account: str, recorded_at: str, name: str | None = None, archived: str | None = None) -> Row:
    """Return a complete tenant row with made-up contact data."""
    return {
        "account_id": account, "name": name or f"Tenant {account}", "address1": "1 Sample Street", "address2": None,
        "city": "Springfield", "state": "WA", "postal_code": "98101", "country": "US", "phone": "+12065550100",
        "billing_email": f"billing@{account.lower()}.example", "contact_person": "Pat Example",
        "contact_phone": "+12065550101", "archived": archived, "recorded_at": recorded_at,
    }  # fmt: skip


def _export_again(draft: Draft, steps: Sequence[Step], landed_in: int, row: Row) -> None:
    """Repeat a row in later files, as full exports do."""
    for later in steps[landed_in + 1 :]:
        if later.call is None and draft.rng.random() < 0.1:
            draft.rows[later.name].append(dict(row))


# Numbers and addresses ----------------------------------------------------------------------------------------------


def _draft_asset(draft: Draft, column: str, asset: str, steps: Sequence[Step]) -> None:
    """Draw the rows of one number or address over the steps of its feed."""
    rng = draft.rng
    if column == "number" and rng.random() < 0.15:
        _draft_retyped_number(draft, asset)
        return
    about: Row = {column: asset}
    if column == "number":
        about["number_type"] = rng.choice((None, None, "local", "toll_free"))
    for _ in range(rng.choices((0, 1, 2), (76, 18, 6))[0]):
        _draft_tie(draft, about, rng.choice(steps))
    if rng.random() < 0.15:
        _draft_beside_nothing(draft, about, steps)
        if rng.random() < 0.5:
            return
    seen: set[tuple] = set()
    weights = (26, 14, 20, 22, 18) if len(steps) == 5 else (40, 20, 22, 18)
    for index in sorted(rng.choices(range(len(steps)), weights, k=rng.randint(1, 5))):
        row = _assignment_row(draft, about, steps[index], seen, may_default_end=index < len(steps) - 3)
        if row is None:
            continue
        draft.rows[steps[index].name].append(row)
        _export_asset_again(draft, steps, index, row)


def _assignment_row(draft: Draft, about: Row, step: Step, seen: set[tuple], may_default_end: bool) -> Row | None:
    rng = draft.rng
    account = rng.choice([*draft.accounts, *draft.accounts, None])
    # Most of what a history says has been known since before the month.
    from_february = step.opens == EARLIEST and not step.accept_late and rng.random() < 0.6
    recorded = draft.between(step.opens, MONTH_START if from_february else step.cutoff)
    valid_from = _valid_from(draft, recorded)
    identity = (account, valid_from or recorded, recorded)
    if identity in seen:
        return None
    seen.add(identity)
    row: Row = about | {
        "account_id": account,
        "valid_from": draft.spelled(valid_from) if valid_from else None,
        "recorded_at": draft.spelled(recorded),
    }
    if account is not None and rng.random() < 0.3:
        row |= _end(draft, valid_from or recorded, recorded, step.cutoff)
        if may_default_end and rng.random() < 0.5:
            row["end_recorded_at"] = None
    return row


def _draft_tie(draft: Draft, about: Row, step: Step) -> None:
    """Draw rows of one instant in one file, two tenants in turn: equal rows with another one between them.

    Now and then one of them has an end, so that of two equal starts one belongs to a row that may be over already.
    """
    rng = draft.rng
    recorded = draft.between(step.opens, step.cutoff)
    valid_from = _valid_from(draft, recorded)
    pair = rng.choices([*draft.accounts, None], k=2)
    rows = [
        about
        | {"account_id": pair[turn % 2], "recorded_at": draft.spelled(recorded)}
        | ({"valid_from": draft.spelled(valid_from)} if valid_from else {})
        for turn in range(rng.randint(3, 4))
    ]
    ended = rng.choice(rows)
    if ended["account_id"] and rng.random() < 0.4:
        ended |= _end(draft, valid_from or recorded, recorded, rng.choice((recorded, step.cutoff)))
    draft.rows[step.name] += rows


def _draft_beside_nothing(draft: Draft, about: Row, steps: Sequence[Step]) -> None:
    """Draw a late change, and before it in another file a change recorded later that never acts.

    That is a row that was over when it was recorded, or the end of a tenant whose successor has the asset.
    """
    rng = draft.rng
    late = next(index for index, step in enumerate(steps) if step.accept_late)
    history, extract = steps[0], steps[late - 1]
    first, second, third = (rng.choice(draft.accounts) for _ in range(3))
    begun = draft.between(EARLIEST, MONTH_START)
    taken_over = draft.between(begun, history.cutoff)
    newer = draft.between(extract.opens, extract.cutoff)
    draft.rows[history.name].append(about | {"account_id": first, "recorded_at": draft.spelled(begun)})
    if rng.random() < 0.5:
        starts = draft.between(EARLIEST, newer - TICK)
        over = {
            "account_id": second,
            "valid_from": draft.spelled(starts),
            "recorded_at": draft.spelled(newer),
            "valid_to": draft.spelled(draft.between(starts + TICK, newer)),
            "end_recorded_at": draft.spelled(newer),
        }
        draft.rows[extract.name].append(about | over)
    else:
        draft.rows[history.name].append(about | {"account_id": second, "recorded_at": draft.spelled(taken_over)})
        ended = about | {"account_id": first, "recorded_at": draft.spelled(begun)} | _end(draft, begun, newer, newer)
        draft.rows[extract.name].append(ended)
    stale = draft.between(begun, newer)
    draft.rows[steps[late].name].append(about | {"account_id": third, "recorded_at": draft.spelled(stale)})


def _valid_from(draft: Draft, recorded: datetime) -> datetime | None:
    """Leave it out, put it back before the record time, at it, or ahead of it."""
    kind = draft.rng.choices(("absent", "before", "equal", "ahead"), (40, 25, 5, 30))[0]
    if kind == "absent":
        return None
    if kind == "before":
        return draft.between(EARLIEST - timedelta(days=30), recorded)
    if kind == "equal":
        return recorded
    return draft.between(recorded, MONTH_END + timedelta(days=3))


def _end(draft: Draft, starts: datetime, recorded: datetime, latest: datetime) -> Row:
    """Draw an end after the start, known no earlier than the row and no later than the file."""
    ends = draft.between(starts + TICK, max(starts + TICK, MONTH_END) + timedelta(days=3))
    return {
        "valid_to": draft.spelled(ends),
        "end_recorded_at": draft.spelled(draft.between(recorded, max(recorded, latest))),
    }


def _export_asset_again(draft: Draft, steps: Sequence[Step], landed_in: int, row: Row) -> None:
    """Repeat a row in later files, an open one sometimes with the end that has become known since."""
    for later in steps[landed_in + 1 :]:
        if later.call is not None or draft.rng.random() > 0.17:
            continue
        row = dict(row)
        if row.get("valid_to") and not row.get("end_recorded_at"):
            row["end_recorded_at"] = row["recorded_at"]
        elif row["account_id"] and not row.get("valid_to") and draft.rng.random() < 0.5:
            starts = datetime.fromisoformat(row["valid_from"] or row["recorded_at"]).astimezone(UTC)
            recorded = datetime.fromisoformat(row["recorded_at"]).astimezone(UTC)
            row |= _end(draft, starts, max(recorded, later.opens), later.cutoff)
        draft.rows[later.name].append(row)


def _draft_retyped_number(draft: Draft, number: str) -> None:
    """Draw a number whose rows state different types, so plainly that one of them is the latest beyond doubt."""
    on_time = [step for step in NUMBER_STEPS if not step.accept_late]
    recorded = EARLIEST
    for step in on_time:
        if draft.rng.random() < 0.4:
            continue
        if recorded >= step.cutoff:
            continue
        recorded = draft.between(max(recorded + TICK, step.opens), step.cutoff)
        row: Row = {
            "number": number,
            "account_id": draft.rng.choice(draft.accounts),
            "number_type": draft.rng.choice((None, "local", "toll_free")),
            "recorded_at": draft.spelled(recorded),
        }
        draft.rows[step.name].append(row)


# Commands of the operator -------------------------------------------------------------------------------------------


def _draft_registry(draft: Draft) -> None:
    """Add commands: before the numbers' history, between batches, and a tenant's whole life."""
    holder, successor = draft.accounts[:2]
    guest = f"r{draft.index}-t"
    number, guest_number, address = number_of(draft.index, 13), number_of(draft.index, 12), ip_of(draft.index, 12)
    for account in (holder, successor):
        row = tenant_row(account, spell(EARLIEST - timedelta(days=3), draft.rng), name=f"Early {account}")
        draft.rows["tenants-1"].append(row)
    if draft.rng.random() < 0.5:
        earlier = draft.spelled(draft.between(EARLIEST, _march(9)))
        draft.rows["numbers-1b"].append({"number": number, "account_id": successor, "recorded_at": earlier})
    if draft.rng.random() < 0.5:
        late = draft.spelled(draft.between(_march(5), _march(19)))
        draft.rows["numbers-4-late"].append({"number": number, "account_id": successor, "recorded_at": late})
    opened = draft.spelled(draft.between(EARLIEST, _march(9)))
    draft.rows["numbers-1a"].append({"number": guest_number, "account_id": guest, "recorded_at": opened})
    draft.rows["ips-1"].append({"ip": address, "account_id": holder, "recorded_at": opened})
    _command(draft, "number_assignments", ASSIGN_BEFORE_HISTORY, number=number, account_id=holder)
    _command(draft, "tenants", ADD_TENANT, **tenant_row(guest, ""))
    _command(draft, "number_assignments", ASSIGN_LATER, number=number, account_id=draft.rng.choice((None, guest)))
    _command(draft, "ip_assignments", ASSIGN_LATER, ip=address, account_id=guest)
    if draft.index % 2:
        _command(draft, "tenants", ARCHIVE_TENANT, **tenant_row(guest, "", archived="true"))
    draft.accounts.append(guest)
    draft.numbers += [number, guest_number]
    draft.ips.append(address)


def _command(draft: Draft, feed: str, at: datetime, **row: str | None) -> None:
    row["recorded_at"] = draft.spelled(at)
    draft.commands.append(Landing(feed, [row], at, registry=True, name=f"command-{draft.index}"))

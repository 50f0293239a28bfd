"""The made-up reseller behind the demo: its tenants, numbers and IPs, and every change to them over the months.

What belongs here: the directory, a few hundred rows, written out as the three directory feeds. What does not: the
traffic on it and the carrier's files of that traffic, which are in `carrier`. Everybody in it is fictional: names are
invented, mail is at example.com/.net/.org, and numbers and IPs are of ranges reserved for fiction and documentation.
"""

import csv
import json
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

SHOWCASE_ACCOUNT = "bigcustomer.mypbx.com"
FOREVER = datetime(9999, 1, 1, tzinfo=UTC)

# account | name | place | origin: `ip` calls from its own IPs, `header` from shared ones with X-Tenant, or `both`.
# Busiest first: a tenant's share of numbers and traffic falls with its place in this list.
TENANTS = """
summit-freight           | Summit Freight Lines                 | denver    | ip
bigcustomer.mypbx.com    | Big Customer, Inc.                   | portland  | header
CUST-10042               | Harborview Medical Billing           | boston    | ip
RESELLER-OWN             | Lantern Voice (own traffic)          | austin    | both
mapleridge.mypbx.com     | Maple Ridge Property Group           | toronto   | header
100234                   | Quillstone Insurance Agency          | chicago   | ip
pelican.mypbx.com        | Pelican Coast Realty                 | tampa     | header
Northgate.Dental         | Northgate Dental Partners            | seattle   | ip
mueller-soehne.mypbx.com | Müller & Söhne Import                | chicago   | header
T0017                    | Redwood Answering Service            | portland  | both
cedar_grove_schools      | Cedar Grove School District          | denver    | ip
thistledown.mypbx.com    | Thistledown Hotels Ltd               | london    | header
CUST-10077               | Ironbridge Logistics                 | chicago   | ip
bluefin.mypbx.com        | Bluefin Seafood Wholesale            | boston    | header
100377                   | Orchard Lane Pharmacy                | tampa     | ip
vesper.mypbx.com         | Vesper Home Care                     | austin    | header
Granite.Legal            | Granite & Loam Attorneys             | seattle   | ip
highpoint.mypbx.com      | Highpoint Roofing                    | denver    | header
CUST-10103               | Saltmarsh Analytics                  | vancouver | ip
kestrel.mypbx.com        | Kestrel Courier Company              | toronto   | header
acme_hvac                | Acme Heating and Cooling             | tampa     | ip
T0042                    | Fernwood Veterinary Clinic           | portland  | header
lakeshore.mypbx.com      | Lakeshore Community Bank             | chicago   | header
CUST-10131               | Bright Meadow Solar                  | austin    | ip
100498                   | Tern Island Ferries                  | seattle   | ip
oldmill.mypbx.com        | Old Mill Bakery                      | boston    | header
Calder.Print             | Calder Print Works                   | london    | ip
snowberry.mypbx.com      | Snowberry Outfitters                 | vancouver | header
CUST-10158               | Juniper Street Theatre               | austin    | ip
T0063                    | Halcyon Staffing                     | denver    | ip
windrose.mypbx.com       | Windrose Travel                      | tampa     | header
pine-valley-fire         | Pine Valley Fire District            | denver    | ip
CUST-10190               | Copperfield Auto Parts               | chicago   | ip
dovecote.mypbx.com       | Dovecote Nursery Schools             | manchester| header
100561                   | Larkspur Title Company               | boston    | ip
amberlight.mypbx.com     | Amberlight Studios                   | portland  | header
T0088                    | Stonecrop Landscaping                | seattle   | ip
CUST-10222               | Willow Bend Physiotherapy            | toronto   | ip
riverbend.mypbx.com      | Riverbend Apartments                 | austin    | header
CUST-10230               | Foxglove Optical                     | tampa     | ip
"""

# (city, state, postal code, country, street)
PLACES = {
    "austin": ("Austin", "TX", "78701", "US", "Example Street"),
    "boston": ("Boston", "MA", "02108", "US", "Sample Avenue"),
    "chicago": ("Chicago", "IL", "60601", "US", "Placeholder Drive"),
    "denver": ("Denver", "CO", "80202", "US", "Fictional Way"),
    "london": ("London", "England", "EC1A 1BB", "GB", "Specimen Road"),
    "manchester": ("Manchester", "England", "M1 1AE", "GB", "Pattern Lane"),
    "portland": ("Portland", "OR", "97201", "US", "Dummy Boulevard"),
    "seattle": ("Seattle", "WA", "98101", "US", "Model Street"),
    "tampa": ("Tampa", "FL", "33602", "US", "Mockup Court"),
    "toronto": ("Toronto", "ON", "M5H 2N2", "CA", "Template Crescent"),
    "vancouver": ("Vancouver", "BC", "V5K 0A1", "CA", "Invented Road"),
}
CONTACTS = (
    "Ada Fennimore",
    "Boris Okello",
    "Chiara Lund",
    "Dev Marchetti",
    "Esi Halloran",
    "Farid Quist",
    "Greta Moyo",
)

# Account -> (month, day): the month counts from the first, and stops at the last one when there are fewer.
CREATED = {
    "vesper.mypbx.com": (0, 15),
    "CUST-10131": (1, 9),
    "oldmill.mypbx.com": (2, 18),
    "T0063": (2, 6),
    "riverbend.mypbx.com": (3, 12),
}
ARCHIVED = {"highpoint.mypbx.com": (1, 21), "100561": (2, 13)}
RENAMED = {"CUST-10077": (1, 16, "Ironbridge Supply Chain")}

US_AREAS = (
    *("201", "212", "305", "312", "404", "415", "469", "503", "512", "602"),
    *("617", "702", "713", "720", "808", "813", "919", "916", "206", "615"),
)
CA_AREAS = ("416", "604", "514", "403")
TOLL_FREE = ("800", "833", "844", "855", "866", "877", "888")


@dataclass(frozen=True)
class Window:
    """The months of the demo: the first instant of each, the end of the last, and the present."""

    starts: tuple[datetime, ...]
    end: datetime
    now: datetime

    def at(self, month: int, day: int, clock: time) -> datetime:
        """An instant of a month; days up to the 28th exist in each. A month past the last means the last."""
        start = self.starts[min(month, len(self.starts) - 1)]
        return datetime.combine(start.replace(day=day), clock, tzinfo=start.tzinfo)

    def after_end(self, part: int) -> datetime:
        """An instant of the running month that is not after now, even when now is its very first one."""
        return self.end + (self.now - self.end) // part


@dataclass(frozen=True)
class Tenant:
    account_id: str
    name: str
    place: str
    origin: str
    created_at: datetime
    archived_at: datetime

    @property
    def is_settled(self) -> bool:
        """Alive over all the months, so that its assets may be moved about without a thought."""
        return self.account_id not in CREATED and self.account_id not in ARCHIVED


@dataclass(frozen=True)
class Number:
    number: str
    number_type: str
    country: str
    on_account_from: datetime
    weight: int


@dataclass(frozen=True)
class Change:
    """One row of an assignment feed. No account means released."""

    asset: str
    account_id: str | None
    recorded_at: datetime
    valid_from: datetime | None = None

    @property
    def effective_at(self) -> datetime:
        return max(self.recorded_at, self.valid_from or self.recorded_at)


@dataclass(frozen=True)
class Reseller:
    window: Window
    tenants: tuple[Tenant, ...]
    numbers: tuple[Number, ...]
    number_changes: tuple[Change, ...]
    ip_changes: tuple[Change, ...]
    shared_ips: tuple[str, ...]
    stray_ips: tuple[str, ...]


def make_up(window: Window, seed: int) -> Reseller:
    """Make up the reseller, the same one for the same window and seed."""
    rng = random.Random(seed)
    tenants = _tenants(window, rng)
    stock = _stock()
    number_changes = _number_changes(window, tenants, stock, rng)
    shared_ips = tuple(f"192.0.2.{n}" for n in range(10, 14))
    return Reseller(
        window=window,
        tenants=tenants,
        numbers=_numbers_on_account(window, tenants, stock, number_changes, rng),
        number_changes=tuple(sorted(number_changes, key=lambda change: change.recorded_at)),
        ip_changes=tuple(sorted(_ip_changes(window, tenants, shared_ips, rng), key=lambda change: change.recorded_at)),
        shared_ips=shared_ips,
        stray_ips=tuple(f"192.0.2.{n}" for n in range(200, 206)),
    )


def zipf(rank: int) -> float:
    """Share of the tenant at this place (from 0) of the list, before they are made to add up."""
    return 1 / math.pow(rank + 1, 0.9)


def _tenants(window: Window, rng: random.Random) -> tuple[Tenant, ...]:
    tenants = []
    for line in TENANTS.strip().splitlines():
        account_id, name, place, origin = (cell.strip() for cell in line.split("|"))
        before = timedelta(
            days=rng.randint(60, 700), seconds=rng.randrange(86_400), microseconds=rng.randrange(1_000_000)
        )
        clock = time(rng.randint(14, 21), rng.randrange(60), 0, rng.randrange(1_000_000))
        born, gone = CREATED.get(account_id), ARCHIVED.get(account_id)
        created_at = window.at(*born, clock) if born else window.starts[0] - before
        tenants.append(
            Tenant(account_id, name, place, origin, created_at, window.at(*gone, clock) if gone else FOREVER)
        )
    return tuple(tenants)


def _stock() -> tuple[tuple[str, str, str], ...]:
    """Every number that the reseller has or will have: (number, type, country)."""
    stock = [(f"+1{US_AREAS[n % 20]}55501{n // 20:02}", "local", "US") for n in range(400)]
    stock += [(f"+1{CA_AREAS[n % 4]}55501{n // 4:02}", "local", "CA") for n in range(60)]
    stock += [(f"+44{'2079460' if n % 2 else '1614960'}{n // 2 + 100}", "local", "GB") for n in range(40)]
    stock += [(f"+1{TOLL_FREE[n % 7]}55501{n // 7:02}", "toll_free", "US") for n in range(84)]
    stock += [(f"+448081570{n + 100}", "toll_free", "GB") for n in range(16)]
    return tuple(stock)


def _since(tenant: Tenant, window: Window, rng: random.Random) -> datetime:
    """When a tenant gets an asset: within an hour of its creation, or long before the first month."""
    if tenant.account_id in CREATED:
        return tenant.created_at + timedelta(seconds=rng.randint(300, 3_600), microseconds=rng.randrange(1_000_000))
    room = window.starts[0] - timedelta(days=1) - tenant.created_at
    return tenant.created_at + timedelta(microseconds=rng.randrange(room // timedelta(microseconds=1)))


def _change(asset: str, tenant: Tenant | None, recorded_at: datetime, rng: random.Random) -> Change:
    """An immediate change; every third states its valid_from, the others leave it empty."""
    return Change(
        asset, tenant.account_id if tenant else None, recorded_at, recorded_at if rng.random() < 1 / 3 else None
    )


def _someday(window: Window, month: int, rng: random.Random, first_day: int = 3, last_day: int = 26) -> datetime:
    """A moment of an office day, to the microsecond, as a portal records it."""
    return window.at(
        month % len(window.starts),
        rng.randint(first_day, last_day),
        time(rng.randint(13, 22), rng.randrange(60), rng.randrange(60), rng.randrange(1_000_000)),
    )


def _number_changes(
    window: Window, tenants: tuple[Tenant, ...], stock: tuple[tuple[str, str, str], ...], rng: random.Random
) -> list[Change]:
    """First assignments, hand-overs, releases and the odd cases; some numbers nobody ever gets."""
    never = rng.sample([number for number, _, _ in stock], 14)
    firsts = _first_holders(tenants, [entry for entry in stock if entry[0] not in never], rng)
    changes = [_change(number, tenant, _since(tenant, window, rng), rng) for number, tenant in firsts]

    settled = [tenant for tenant in tenants if tenant.is_settled]
    movable = rng.sample([pair for pair in firsts if pair[1].is_settled], 36)

    def other(than: Tenant) -> Tenant:
        return rng.choice([tenant for tenant in settled if tenant != than])

    for n, (number, holder) in enumerate(movable):
        day = _someday(window, n, rng)
        last_start = window.starts[n % len(window.starts)]
        if n < 15:  # changes hands at once
            changes.append(_change(number, other(holder), day, rng))
        elif n < 19:  # a move announced days ahead, to the second
            changes.append(
                Change(number, other(holder).account_id, day, (day + timedelta(days=2)).replace(microsecond=0))
            )
        elif n < 22:  # a move ordered for the first instant of a month
            changes.append(
                Change(number, other(holder).account_id, last_start - timedelta(days=6, seconds=n), last_start)
            )
        elif n < 24:  # claimed since the 1st, but acts from the day it was recorded
            changes.append(Change(number, other(holder).account_id, day, last_start))
        elif n < 29:  # released, and let again a week or so later when the month is long enough
            released = _someday(window, n, rng, 3, 14)
            changes.append(_change(number, None, released, rng))
            changes.append(_change(number, other(holder), released + timedelta(days=rng.randint(4, 11)), rng))
        elif n < 33:  # released for good
            changes.append(_change(number, None, day, rng))
        elif n < 35:  # assigned once more to the same tenant: no new period
            changes.append(_change(number, holder, day, rng))
        else:  # a move that is still to come
            changes.append(Change(number, other(holder).account_id, day, window.now + timedelta(days=20)))

    for tenant in tenants:  # the assets of an archived tenant: some of them go to the next one
        if tenant.account_id in ARCHIVED:
            left = [number for number, holder in firsts if holder == tenant]
            changes += [
                _change(number, other(tenant), tenant.archived_at + timedelta(days=3, minutes=n), rng)
                for n, number in enumerate(left[:2])
            ]
    # A number ordered two hours before its tenant exists, and one assigned in the month still running.
    early = next(tenant for tenant in tenants if tenant.account_id == "oldmill.mypbx.com")
    changes.append(_change(never.pop(), early, early.created_at - timedelta(hours=2), rng))
    changes.append(Change(never.pop(), SHOWCASE_ACCOUNT, window.after_end(3)))
    return changes


def _first_holders(
    tenants: tuple[Tenant, ...], stock: list[tuple[str, str, str]], rng: random.Random
) -> list[tuple[str, Tenant]]:
    """Each number of the stock with its first tenant: of the number's country, and the busy ones more often."""
    home = {country: [t for t in tenants if PLACES[t.place][3] == country] for country in ("CA", "GB")}
    home["CA"] = home["CA"] + list(tenants[1:4])
    home["US"] = list(tenants)
    firsts: list[tuple[str, Tenant]] = []
    for number_type, country, each in (
        ("local", "US", 2),
        ("local", "CA", 1),
        ("local", "GB", 1),
        ("toll_free", "US", 0),
        ("toll_free", "GB", 1),
    ):
        free = [number for number, *kind in stock if kind == [number_type, country]]
        takers = home[country]
        weights = [zipf(tenants.index(t)) for t in takers]
        owners = takers * each + rng.choices(takers, weights, k=len(free) - each * len(takers))
        firsts += zip(free, owners, strict=True)
    return firsts


def _numbers_on_account(
    window: Window,
    tenants: tuple[Tenant, ...],
    stock: tuple[tuple[str, str, str], ...],
    changes: list[Change],
    rng: random.Random,
) -> tuple[Number, ...]:
    """A number is bought for its first tenant, or was there all along; it rings as that tenant's size says."""
    first: dict[str, Change] = {}
    for change in sorted(changes, key=lambda change: change.recorded_at):
        first.setdefault(change.asset, change)
    rank = {tenant.account_id: n for n, tenant in enumerate(tenants)}
    held: dict[str, int] = {}
    for change in first.values():
        held[str(change.account_id)] = held.get(str(change.account_id), 0) + 1
    numbers = []
    for number, number_type, country in stock:
        since, weight = window.starts[0] - timedelta(days=400), 1
        if number in first:
            owner = str(first[number].account_id)
            since = first[number].recorded_at
            weight = max(1, round(zipf(rank[owner]) / held[owner] * rng.choice((300, 600, 900, 1800))))
        numbers.append(Number(number, number_type, country, since, weight))
    return tuple(numbers)


def _ip_changes(
    window: Window, tenants: tuple[Tenant, ...], shared_ips: tuple[str, ...], rng: random.Random
) -> list[Change]:
    """One lasting IP for each tenant that calls from its own, and a few more that come and go."""
    pool = [f"198.51.100.{n}" for n in range(10, 40)] + [f"203.0.113.{n}" for n in range(20, 46)]
    pool += [f"2001:db8:{n:x}::{n * 16 + 5:x}" for n in range(16, 22)]
    rng.shuffle(pool)
    owners = [tenant for tenant in tenants if tenant.origin != "header"]
    spare = pool.pop()
    firsts = list(zip(pool, owners, strict=False))
    settled = [tenant for tenant in owners if tenant.is_settled]
    extra = [(ip, rng.choice(settled)) for ip in pool[len(firsts) :]]
    changes = [_change(ip, tenant, _since(tenant, window, rng), rng) for ip, tenant in firsts + extra]
    for n, (ip, holder) in enumerate(extra[:12]):
        day = _someday(window, n, rng)
        heir = rng.choice([tenant for tenant in settled if tenant != holder])
        if n < 7:
            changes.append(_change(ip, heir, day, rng))
        elif n < 9:
            changes.append(
                Change(
                    ip,
                    heir.account_id,
                    day,
                    (day + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0),
                )
            )
        elif n < 11:
            changes.append(_change(ip, None, day, rng))
        else:
            changes.append(_change(ip, None, _someday(window, n, rng, 3, 10), rng))
            changes.append(_change(ip, heir, _someday(window, n, rng, 16, 26), rng))
    # Two of the shared IPs are on file without a tenant, the other two are not on file at all.
    changes += [Change(ip, None, window.starts[0] - timedelta(days=90 - n)) for n, ip in enumerate(shared_ips[:2])]
    changes.append(Change(spare, "summit-freight", window.after_end(2)))
    return changes


def write_directory(reseller: Reseller, folder: Path) -> tuple[Path, Path, Path]:
    """Write tenants.csv, number_assignments.jsonl and ip_assignments.csv, in the order of recording."""
    paths = folder / "tenants.csv", folder / "number_assignments.jsonl", folder / "ip_assignments.csv"
    tenants = sorted(_tenant_rows(reseller), key=lambda row: row["recorded_at"])
    _write_csv(paths[0], tenants)
    numbers = {number.number: number for number in reseller.numbers}
    lines = (_number_row(n, change, numbers[change.asset]) for n, change in enumerate(reseller.number_changes))
    paths[1].write_bytes("".join(json.dumps(line) + "\n" for line in lines).encode())
    _write_csv(
        paths[2],
        [
            {
                "ip": change.asset,
                "account_id": change.account_id,
                "valid_from": _text(change.valid_from) if change.valid_from else None,
                "recorded_at": _text(change.recorded_at),
            }
            for change in reseller.ip_changes
        ],
    )
    return paths


def _tenant_rows(reseller: Reseller) -> Iterable[dict[str, str]]:
    window = reseller.window
    for n, tenant in enumerate(reseller.tenants):
        row = _tenant_row(n, tenant)
        yield row
        if tenant.account_id in RENAMED:
            month, day, name = RENAMED[tenant.account_id]
            yield row | {"name": name, "recorded_at": _text(window.at(month, day, time(16, 40, 7, 250_000)))}
        if tenant.archived_at < FOREVER:
            yield row | {"archived": "true", "recorded_at": _text(tenant.archived_at)}
    # A new contact person in the running month, so that the extract reaches past the last month's end.
    moved = replace(reseller.tenants[5], created_at=window.after_end(4))
    yield _tenant_row(5, moved) | {"contact_person": "Hana Verbeek"}


def _tenant_row(n: int, tenant: Tenant) -> dict[str, str]:
    city, state, postal_code, country, street = PLACES[tenant.place]
    slug = "".join(c for c in tenant.account_id.lower() if c.isalnum())
    return {
        "account_id": tenant.account_id,
        "name": tenant.name,
        "address1": f"{100 + n * 7} {street}",
        "address2": f"Suite {n * 10}" if n % 3 == 0 and n else "",
        "city": city,
        "state": state,
        "postal_code": postal_code,
        "country": country,
        "phone": f"+1 202-555-{100 + n:04}",
        "billing_email": f"billing.{slug}@example.{('com', 'net', 'org')[n % 3]}",
        "contact_person": CONTACTS[n % len(CONTACTS)],
        "contact_phone": f"+1 202-555-{150 + n:04}",
        "archived": "false",
        "recorded_at": _text(tenant.created_at),
    }


def _number_row(n: int, change: Change, number: Number) -> dict[str, str | None]:
    """One JSON line. Some numbers are spelled as people write them; a type is stated where it cannot be derived."""
    spelled = number.number
    if n % 25 == 7 and spelled.startswith("+1"):
        spelled = f"({spelled[2:5]}) {spelled[5:8]}-{spelled[8:]}"
    row: dict[str, str | None] = {"number": spelled}
    if n % 2 or spelled.startswith("+44808"):
        row["number_type"] = number.number_type
    row["account_id"] = change.account_id
    if change.valid_from:
        row["valid_from"] = _text(change.valid_from)
    return row | {"recorded_at": _text(change.recorded_at)}


def _write_csv(path: Path, rows: Sequence[Mapping[str, str | None]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _text(moment: datetime) -> str:
    """Fixed width, so that sorting the text sorts the time."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

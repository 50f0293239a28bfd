"""What a landed file says, read into plain values.

Here belong the shape of a landing, the fifteen canonical columns of a record, and the facts that one row of
an assignment feed or of the tenants feed states. Nothing here knows about seals, owners or statements. A
value that the landing rules turn away raises `Refused`: the oracle judges what landed, so a history that
raises it is wrong.
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

Row = dict[str, str | None]

RECORD_COLUMNS = (
    "record_id", "call_id", "service", "direction", "started_at", "duration_seconds", "billed_seconds", "number",
    "from_number", "to_number", "source_ip", "x_tenant", "routed_to", "cost", "currency",
)  # fmt: skip
TENANT_COLUMNS = (
    "account_id", "name", "address1", "address2", "city", "state", "postal_code", "country", "phone",
    "billing_email", "contact_person", "contact_phone", "archived", "recorded_at",
)  # fmt: skip
REQUIRED_OF_TENANTS = [column for column in TENANT_COLUMNS if column not in ("address2", "archived")]
ASSET_COLUMN = {"number_assignments": "number", "ip_assignments": "ip"}

_ACCOUNT_ID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?", re.ASCII)
_E164 = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
_MONEY = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?", re.ASCII)
_TOLL_FREE = ("+1800", "+1833", "+1844", "+1855", "+1866", "+1877", "+1888")


class Refused(Exception):
    """A file, row or question that the product turns away."""


@dataclass(frozen=True)
class Landing:
    """One file as the carrier or the operator delivered it.

    `call` names the `land` command that the file came with; files of one command may form a feed's history
    together. A registry landing is one command of the operator: what it says is recorded at `landed_at`.
    """

    feed: str
    rows: Sequence[Row]
    landed_at: datetime
    cutoff: datetime | None = None
    accept_late: bool = False
    registry: bool = False
    call: str | None = None
    name: str = ""


class Position(NamedTuple):
    """Where a row landed: the index of its landing in the sequence, and the row counted from 1."""

    step: int
    row: int


class Record(NamedTuple):
    """The canonical columns of one delivery; two deliveries are the same when all of these are equal."""

    record_id: str
    call_id: str | None
    service: str
    direction: str
    started_at: datetime
    duration_seconds: int
    billed_seconds: int
    number: str | None
    from_number: str | None
    to_number: str | None
    source_ip: str | None
    x_tenant: str | None
    routed_to: str | None
    cost: Decimal
    currency: str


@dataclass(frozen=True)
class Fact:
    """What one row claims about one asset, or about one tenant (its own Account ID is then the asset)."""

    asset: str
    account: str | None
    is_end: bool
    asked: datetime
    recorded: datetime
    position: Position
    identity: tuple
    number_type: str | None = None
    name: str | None = None
    archived: bool = False


def present(row: Row, column: str) -> str | None:
    """Return a cell, or None where it is absent or empty."""
    return row.get(column) or None


@lru_cache(maxsize=1 << 18)
def instant(text: str) -> datetime:
    """Read an ISO-8601 time with an offset as UTC, at microseconds."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise Refused(f"time without zone: {text}")
    return moment.astimezone(UTC)


def is_account_id(text: str) -> bool:
    """Tell whether a text could be somebody's Account ID."""
    return _ACCOUNT_ID.fullmatch(text) is not None and ".." not in text


def is_number(text: str) -> bool:
    """Tell whether a number is in its canonical spelling; anything else counts as malformed here."""
    return _E164.fullmatch(text) is not None


@lru_cache(maxsize=1 << 18)
def is_ip(text: str) -> bool:
    """Tell whether an address is in its canonical spelling; anything else counts as malformed here."""
    try:
        return str(ipaddress.ip_address(text)) == text
    except ValueError:
        return False


def derived_number_type(number: str) -> str:
    """Classify a number that no assignment row has classified."""
    return "toll_free" if number.startswith(_TOLL_FREE) else "local"


def read_record(row: Row, default_currency: str) -> Record | None:
    """Read one delivery, with the defaults of the canonical feed filled in; None when it takes its record back.

    Whatever else a withdrawal says, it says nothing (rule 29).
    """
    _required(row, "record_id")
    if (present(row, "withdrawn") or "false") == "true":
        return None
    duration = int(present(row, "duration_seconds") or 0)
    return Record(
        record_id=_required(row, "record_id"),
        call_id=present(row, "call_id"),
        service=_required(row, "service"),
        direction=_required(row, "direction"),
        started_at=instant(_required(row, "started_at")),
        duration_seconds=duration,
        billed_seconds=int(present(row, "billed_seconds") or duration),
        number=present(row, "number"),
        from_number=present(row, "from_number"),
        to_number=present(row, "to_number"),
        source_ip=present(row, "source_ip"),
        x_tenant=(row.get("x_tenant") or "").strip(" \t") or None,
        routed_to=present(row, "routed_to"),
        cost=_money(_required(row, "cost")),
        currency=present(row, "currency") or default_currency,
    )


def read_assignment(feed: str, row: Row, position: Position, may_default_end: bool) -> list[Fact]:
    """Read the start (or release) that a row states, and its end if it has one."""
    asset = _asset(feed, row)
    account = present(row, "account_id")
    if account is not None and not is_account_id(account):
        raise Refused(f"not an Account ID: {account}")
    recorded = instant(_required(row, "recorded_at"))
    starts = instant(row.get("valid_from") or row["recorded_at"])
    number_type = present(row, "number_type")
    identity = (asset, account, "start", starts, recorded, number_type)
    facts = [Fact(asset, account, False, starts, recorded, position, identity, number_type)]
    if present(row, "valid_to"):
        facts.append(_read_end(row, asset, account, starts, position, may_default_end))
    return facts


def _read_end(
    row: Row, asset: str, account: str | None, starts: datetime, position: Position, may_default: bool
) -> Fact:
    ends = instant(_required(row, "valid_to"))
    if ends <= starts:
        raise Refused(f"{asset}: valid_to is not after valid_from")
    stated = present(row, "end_recorded_at")
    if stated is None and not may_default:
        raise Refused(f"{asset}: end_recorded_at is required after the feed's first batch")
    recorded = instant(stated or _required(row, "recorded_at"))
    identity = (asset, account, "end", ends, recorded)
    return Fact(asset, account, True, ends, recorded, position, identity)


def read_tenant(row: Row, position: Position) -> Fact:
    """Read one tenant row; every required column must be there."""
    missing = [column for column in REQUIRED_OF_TENANTS if not row.get(column)]
    if missing:
        raise Refused(f"tenant row lacks {', '.join(missing)}")
    account = _required(row, "account_id")
    if not is_account_id(account):
        raise Refused(f"not an Account ID: {account}")
    recorded = instant(_required(row, "recorded_at"))
    archived = (present(row, "archived") or "false") == "true"
    details = [row.get(column) or None for column in TENANT_COLUMNS[1:12]]
    identity = (account, archived, recorded, *details)
    return Fact(account, account, False, recorded, recorded, position, identity, name=row["name"], archived=archived)


def _asset(feed: str, row: Row) -> str:
    asset = _required(row, ASSET_COLUMN[feed])
    well_formed = is_number(asset) if feed == "number_assignments" else is_ip(asset)
    if not well_formed:
        raise Refused(f"{feed}: {asset} is not in canonical spelling")
    return asset


def _required(row: Row, column: str) -> str:
    value = present(row, column)
    if value is None:
        raise Refused(f"row lacks {column}")
    return value


def _money(text: str) -> Decimal:
    if _MONEY.fullmatch(text) is None:
        raise Refused(f"not an amount: {text}")
    amount = Decimal(text)
    units = amount.scaleb(9)
    if units != units.to_integral_value() or abs(units) >= 10**18:
        raise Refused(f"does not fit DECIMAL(18,9): {text}")
    return amount

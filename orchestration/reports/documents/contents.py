"""The contents of a statement, of a tenant or of the organization, as types.

What belongs here: which figures stand on a statement. What does not: where they come from (`reading`), their words
(`page`) or how they are written (`html`, `pdf`, `workbook`).
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from orchestration.months import Month


@dataclass(frozen=True)
class Line:
    """The charges for one service in one direction. `minutes` is None for a service that is not counted in minutes
    (rule 25), `attributed_cost` on a tenant's statement."""

    line_type: str
    usage_month: date
    service: str
    direction: str
    section: str
    title: str
    records: int
    minutes: Decimal | None
    cost: Decimal
    attributed_cost: Decimal | None


@dataclass(frozen=True)
class AssetTotal:
    """The usage of a month that a number, an IP or a header brought to the tenant; `seconds` billed of calls."""

    decided_by: str
    asset: str
    records: int
    seconds: int
    cost: Decimal


@dataclass(frozen=True)
class MonthTotal:
    """A frozen month's total, for the chart."""

    month: Month
    total: Decimal


@dataclass(frozen=True)
class Account:
    """A month in one currency: totals, lines, what brought them about, and the months before."""

    statement_id: str
    currency: str
    sections: dict[str, Decimal]
    usage_cost: Decimal
    correction_count: int
    correction_cost: Decimal
    total_cost: Decimal
    lines: list[Line]
    assets: list[AssetTotal]
    history: list[MonthTotal]

    def of_type(self, line_type: str) -> list[Line]:
        return [line for line in self.lines if line.line_type == line_type]


@dataclass(frozen=True)
class Holding:
    """A number and the part of the month in which the tenant held it, `[held_from, held_until)`."""

    number: str
    number_type: str | None
    held_from: datetime
    held_until: datetime


@dataclass(frozen=True)
class Correction:
    """A record of an earlier month that is stated otherwise now. `old` or `new` is None if nothing stood or stands."""

    usage_month: date
    record_id: str
    started_at: datetime
    title: str
    currency: str
    old: Decimal | None
    new: Decimal | None
    new_currency: str | None
    changed: list[str]


@dataclass(frozen=True)
class Call:
    """An entry of the call detail, of any service. The measures of a reversal are negative."""

    line_type: str
    decided_by: str
    asset: str
    usage_month: date
    record_id: str
    entry: str
    records: int
    started_at: datetime
    title: str
    other_party: str
    duration_seconds: int
    billed_seconds: int
    cost: Decimal
    currency: str


@dataclass(frozen=True)
class TenantTotal:
    """A tenant's total in one currency, on the organization's statement."""

    account_id: str
    tenant_name: str
    currency: str
    total_cost: Decimal


@dataclass(frozen=True)
class UnattributedTotal:
    """The charges that belong to no tenant for one reason, on the organization's statement."""

    currency: str
    reason: str
    records: int
    cost: Decimal


@dataclass(frozen=True)
class Contents:
    """A statement. `account_id` is None on the organization's; `leaf_sha256` and `root_sha256`
    are also None where a month has no proofs."""

    month: Month
    account_id: str | None
    name: str
    first_effective_at: datetime | None
    archived_at: datetime | None
    asset_changes: int
    peak_channels: int
    local_numbers: int
    toll_free_numbers: int
    accounts: list[Account]
    holdings: list[Holding]
    corrections: list[Correction]
    tenants: list[TenantTotal]
    unattributed: list[UnattributedTotal]
    manifest_sha256: str
    leaf_sha256: str | None
    root_sha256: str | None

"""The canonical feeds: which columns a file of each must and may have, and what kind of value each holds.

What belongs here: the contract of the input. What does not: how a file is read or a value is normalized.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "instant", "money", "seconds", "flag"]


@dataclass(frozen=True)
class Column:
    """A column of a feed. `required` asks for the column in the file; `filled` for a value in every row too."""

    name: str
    kind: Kind = "text"
    required: bool = False


@dataclass(frozen=True)
class Feed:
    """A kind of input. `sealed` feeds say who held what, and cannot change the past."""

    name: str
    columns: tuple[Column, ...]
    sealed: bool

    @property
    def required(self) -> list[str]:
        return [column.name for column in self.columns if column.required]

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]


def _required(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, required=True) for name in names)


_RECORDED = Column("recorded_at", "instant", required=True)
_PERIOD = (
    # Required as a column: a file that forgot it would release everything it names.
    Column("account_id", required=True),
    Column("valid_from", "instant"),
    _RECORDED,
    Column("valid_to", "instant"),
    Column("end_recorded_at", "instant"),
)

CDRS = Feed(
    "cdrs",
    (
        *_required("record_id", "service", "direction"),
        Column("started_at", "instant", required=True),
        Column("cost", "money", required=True),
        Column("call_id"),
        Column("duration_seconds", "seconds"),
        Column("billed_seconds", "seconds"),
        Column("number"),
        Column("from_number"),
        Column("to_number"),
        Column("source_ip"),
        Column("x_tenant"),
        Column("routed_to"),
        Column("currency"),
    ),
    sealed=False,
)
TENANTS = Feed(
    "tenants",
    (
        *_required("account_id", "name", "address1", "city", "state", "postal_code", "country"),
        *_required("phone", "billing_email", "contact_person", "contact_phone"),
        Column("address2"),
        Column("archived", "flag"),
        _RECORDED,
    ),
    sealed=True,
)
NUMBER_ASSIGNMENTS = Feed("number_assignments", (*_required("number"), Column("number_type"), *_PERIOD), sealed=True)
IP_ASSIGNMENTS = Feed("ip_assignments", (*_required("ip"), *_PERIOD), sealed=True)

FEEDS = {feed.name: feed for feed in (CDRS, TENANTS, NUMBER_ASSIGNMENTS, IP_ASSIGNMENTS)}

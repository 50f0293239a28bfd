"""The canonical feeds: which columns a file of each must and may have, what they mean, and what is stored of them.

What belongs here: the contract of the input, once; pinning, landing, the sources and `docs/feeds.md` take it from here,
and tests hold dbt's macro, contract and descriptions to it. What does not: how a file is read or a value is normalized.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["text", "instant", "money", "seconds", "flag"]
# The DuckDB type in which a value of each kind is stored.
STORED_TYPES: Mapping[Kind, str] = {
    "text": "varchar",
    "instant": "timestamptz",
    "money": "decimal(18, 9)",
    "seconds": "integer",
    "flag": "boolean",
}


@dataclass(frozen=True)
class Column:
    """A column of a feed's files.

    `required` asks for the column in each file. `unit` is the unit or the form of a value; `default` is what holds
    where there is none. A column that is not `stored` lands as part of another row. `confidential` values never leave
    the tenant directory. `later`: added after receipts began to list columns, so batches whose receipt lists none lack
    it.
    """

    name: str
    description: str = ""
    example: str = ""
    kind: Kind = "text"
    unit: str = ""
    required: bool = False
    default: str = ""
    stored: bool = True
    confidential: bool = False
    later: bool = False


@dataclass(frozen=True)
class Feed:
    """A kind of input. `sealed` feeds record holdings, and cannot change the past.

    `key` identifies what a row is about. `derived` and `added` map the columns that landing stores beside those of the
    file to their DuckDB types: `derived` ones are part of what a row says, `added` ones tell how it landed.
    """

    name: str
    description: str
    key: str
    columns: tuple[Column, ...]
    sealed: bool
    derived: Mapping[str, str] = field(default_factory=dict)
    added: Mapping[str, str] = field(default_factory=dict)

    @property
    def required(self) -> list[str]:
        return [column.name for column in self.columns if column.required]

    def required_beside(self, names: Collection[str]) -> list[str]:
        """The columns that a file with these has to have: a file of withdrawals needs their ids alone (rule 29)."""
        return ["record_id"] if self is CDRS and "withdrawn" in names else self.required

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    @property
    def values(self) -> dict[str, str]:
        """The columns of a landed row's content: column → DuckDB type. Rows that agree in all of them are the same."""
        own = {column.name: STORED_TYPES[column.kind] for column in self.columns if column.stored}
        return {**own, **self.derived}

    @property
    def stored(self) -> dict[str, str]:
        """Every column of a landed file, in its order: column → DuckDB type."""
        return {**self.values, **self.added}

    @property
    def pinned(self) -> dict[str, str]:
        """The columns that a build may see: all but the confidential ones."""
        confidential = {column.name for column in self.columns if column.confidential}
        return {name: kind for name, kind in self.stored.items() if name not in confidential}

    @property
    def original(self) -> tuple[str, ...]:
        """The columns of landed files from the time when receipts did not list them."""
        later = {column.name for column in self.columns if column.later}
        return tuple(name for name in self.stored if name not in later)


_INSTANT = "ISO 8601 with `Z` or an offset; microseconds"
_LINEAGE = {"batch_id": "varchar", "source_row": "bigint"}
_SEALED = {"sealed_at": "timestamptz", "is_late": "boolean", "is_overtaken": "boolean"}
_ASSIGNMENT = {**_SEALED, "is_void": "boolean", **_LINEAGE}


def _contact(name: str, description: str, example: str, *, required: bool = True) -> Column:
    return Column(name, description, example, required=required, confidential=True)


def _recorded(description: str) -> Column:
    return Column("recorded_at", description, "2026-03-02T09:15:00Z", kind="instant", unit=_INSTANT, required=True)


def _period(asset: str) -> tuple[Column, ...]:
    """The columns that both assignment feeds have about the holding of an asset."""
    return (
        # Required as a column: a file that forgot it would release everything it names.
        Column(
            "account_id",
            f"The tenant that holds the {asset} from then on.",
            "acme",
            required=True,
            default=f"nobody: the {asset} is released",
        ),
        Column(
            "valid_from",
            "From when the change shall act; it never acts before it was recorded.",
            "2026-03-15T00:00:00Z",
            kind="instant",
            unit=_INSTANT,
            default="`recorded_at`",
        ),
        _recorded("When the change was recorded at its source."),
        Column(
            "valid_to",
            f"When the tenant's holding ends, in extracts that state it. It lands as an event of its own and acts only "
            f"if this tenant then holds the {asset}.",
            "2026-06-01T00:00:00Z",
            kind="instant",
            unit=_INSTANT + "; after `valid_from`",
            default="no end is stated",
            stored=False,
        ),
        Column(
            "end_recorded_at",
            "When that end was recorded. Required beside `valid_to` after the feed's first delivery.",
            "2026-05-20T16:40:00Z",
            kind="instant",
            unit=_INSTANT,
            default="`recorded_at`, in the feed's first delivery",
            stored=False,
        ),
    )


CDRS = Feed(
    "cdrs",
    "Charged events as the carrier delivers them: calls, lookups, recordings, messages, monthly charges.",
    "record_id",
    (
        Column("record_id", "The carrier's unique key of the charged record.", "c-20260301-000017", required=True),
        Column("call_id", "The carrier's key of the call that the charge belongs to.", "8f2c1e-4410@sbc2"),
        Column(
            "service",
            "What was charged, as in `services.csv`.",
            "inbound_conversational",
            unit="a code of `services.csv`",
            required=True,
        ),
        Column(
            "direction",
            "The side of the network, `inbound` or `outbound`.",
            "inbound",
            unit="`inbound` or `outbound`, as its service allows",
            required=True,
        ),
        Column(
            "started_at",
            "The instant that decides both the owner and the month.",
            "2026-03-01T10:00:00.250000Z",
            kind="instant",
            unit=_INSTANT,
            required=True,
        ),
        Column(
            "duration_seconds",
            "Seconds in progress.",
            "61",
            kind="seconds",
            unit="seconds, whole, 0 to 999,999,999",
            default="0",
        ),
        Column(
            "billed_seconds",
            "Seconds charged for.",
            "120",
            kind="seconds",
            unit="seconds, whole, 0 to 999,999,999",
            default="`duration_seconds`",
        ),
        Column(
            "number",
            "The account's own number that the record belongs to, E.164 where possible.",
            "+12025550101",
            unit="E.164; usual spellings are brought to it",
        ),
        Column("from_number", "The caller, as delivered; never used for attribution.", "+12025550199"),
        Column("to_number", "The callee, as delivered; never used for attribution.", "+12025550101"),
        Column(
            "source_ip",
            "The public IP that the carrier saw, canonical where possible.",
            "203.0.113.9",
            unit="IPv4 or IPv6; a port is left out",
        ),
        Column("x_tenant", "The value of the X-Tenant header.", "acme", unit="an Account ID, byte for byte"),
        Column("routed_to", "Where the call was routed; never used for attribution.", "198.51.100.7"),
        Column(
            "withdrawn",
            "True takes the record back: it is not stated, or reversed where it was. Such a row needs its `record_id` "
            "alone, and whatever its other columns hold says nothing.",
            "false",
            kind="flag",
            unit="`true` or `false`",
            default="`false`",
            stored=False,
        ),
        Column(
            "cost",
            "What the account was charged; may be negative.",
            "0.012500000",
            kind="money",
            unit="amount in `currency`, at most 9 digits before the point and 9 after it",
            required=True,
        ),
        Column(
            "currency",
            "ISO 4217 code; amounts in different currencies are never added.",
            "USD",
            unit="ISO 4217, capital letters",
            default="the setting `STATEMENTS_DEFAULT_CURRENCY`",
        ),
    ),
    sealed=False,
    added=_LINEAGE,
)
TENANTS = Feed(
    "tenants",
    "The reseller's customers. Contact details stay in the tenant directory and reach nothing downstream.",
    "account_id",
    (
        Column(
            "account_id",
            "The tenant's Account ID, never used again for another tenant.",
            "acme",
            unit="letters, digits, `.`, `_`, `-`; up to 128; never two that differ by case alone",
            required=True,
        ),
        Column("name", "The tenant's name, as its statements show it.", "Acme Telephony", required=True),
        _contact("address1", "First line of the address.", "12 Harbor Street"),
        _contact("city", "City.", "Portland"),
        _contact("state", "State or region.", "ME"),
        _contact("postal_code", "Postal code.", "04101"),
        _contact("country", "Country.", "US"),
        _contact("phone", "The tenant's telephone.", "+12075550110"),
        _contact("billing_email", "Where bills go.", "billing@acme.example"),
        _contact("contact_person", "Whom to ask for.", "Jo Miller"),
        _contact("contact_phone", "That person's telephone.", "+12075550111"),
        _contact("address2", "Second line of the address.", "Suite 4", required=False),
        Column(
            "archived",
            "True ends the tenant's life, for ever; what it holds is released with it.",
            "false",
            kind="flag",
            unit="`true` or `false`",
            default="`false`",
        ),
        _recorded("When this was recorded at its source: a tenant lives from its first recording on."),
    ),
    sealed=True,
    added={**_SEALED, **_LINEAGE},
)
NUMBER_ASSIGNMENTS = Feed(
    "number_assignments",
    "Which tenant holds which number, from when: changes, never overwritten.",
    "number",
    (
        Column(
            "number",
            "The number that is assigned or released.",
            "+12025550101",
            unit="E.164; usual spellings are brought to it",
            required=True,
        ),
        Column(
            "number_type",
            "The number's type, where the source states it.",
            "toll_free",
            unit="`local` or `toll_free`",
            default="told from the number's prefix",
        ),
        *_period("number"),
    ),
    sealed=True,
    derived={"event_type": "varchar"},
    added=_ASSIGNMENT,
)
IP_ASSIGNMENTS = Feed(
    "ip_assignments",
    "Which tenant holds which IP, from when; a shared IP belongs to nobody.",
    "ip",
    (
        Column(
            "ip",
            "The public IP that is assigned or released.",
            "203.0.113.9",
            unit="IPv4 or IPv6; a port is left out",
            required=True,
        ),
        *_period("IP"),
    ),
    sealed=True,
    derived={"event_type": "varchar"},
    added=_ASSIGNMENT,
)

FEEDS = {feed.name: feed for feed in (CDRS, TENANTS, NUMBER_ASSIGNMENTS, IP_ASSIGNMENTS)}

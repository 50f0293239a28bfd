"""The words about each relation and column of the warehouse: its comments, and the types of the tables made here.

What belongs here: what a relation holds, the grain, units, and the traps of a column. What does not: the frozen tables'
words, which stand beside their models, or any query.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import duckdb

from orchestration.close import dbt_build, statement_documents, tables
from orchestration.engine import identifier, text


@dataclass(frozen=True)
class Relation:
    """The comment of a relation and of its columns. `types`: of a table whose rows Python gives."""

    about: str
    columns: dict[str, str]
    types: dict[str, str]

    @classmethod
    def of(cls, about: str, columns: dict[str, str]) -> "Relation":
        return cls(about, columns, {})

    @classmethod
    def typed(cls, about: str, columns: dict[str, tuple[str, str]]) -> "Relation":
        return cls(
            about,
            {name: words for name, (_, words) in columns.items()},
            {name: kind for name, (kind, _) in columns.items()},
        )


MONTH = "The closed month that states it, `YYYY-MM`."
MONTH_START = "The first day of `month` as a DATE, for charts and joins."
# What an analyst would otherwise find out from a wrong figure.
CURRENCIES = "Amounts in different currencies are never added: group by this."
WHOLE_TENANT = "It is of the whole tenant and repeats on each of its currencies: take max(), not sum()."
EXACT = "Exact; DuckDB's .df() turns it into a float64, `orchestration.reports.frames` does not."
TRAPS = {
    "currency": CURRENCIES,
    **dict.fromkeys(("peak_channels", "local_numbers", "toll_free_numbers", "asset_changes"), WHOLE_TENANT),
}

_HOLDING = {
    "account_id": "The tenant that holds it; null while it is released.",
    "valid_from": "First instant of the period, UTC.",
    "valid_to": "First instant after the period; null while it lasts. Compare half-open: valid_from <= t < valid_to.",
    "recorded_at": "When the change was recorded at its source.",
    "is_late": "True when it was recorded before the seal and accepted all the same; it acts from the seal on.",
    "assignment_id": "Batch and row of the change; the usage that it decided names it.",
    "tenant_alive_from": "First instant of the holder's life; null of a tenant that never landed.",
    "tenant_archived_at": "First instant after the holder's life; null while it lives.",
}
_HELD = {
    "account_id": "The tenant that holds it now; null if nobody does.",
    "held_from": "Since when, UTC.",
    "assignment_id": "Batch and row of the change that gave it.",
}
_NUMBER = {"number": "The telephone number, E.164.", "number_type": "`local` or `toll_free`."}
_IP = {"ip": "The IP address, in its canonical form."}

ASSETS = {
    "tenants": Relation.of(
        "Every tenant that ever landed, without contact data. Grain: one row per tenant.",
        {
            "account_id": "The Account ID.",
            "tenant_name": "The name in force now; a statement has the one of its month.",
            "alive_from": "First instant of the tenant's life, UTC.",
            "archived_at": "First instant after it; null while the tenant lives.",
        },
    ),
    "number_assignment_history": Relation.of(
        "Who held each number, from when to when. Grain: one row per number and period.", _NUMBER | _HOLDING
    ),
    "ip_assignment_history": Relation.of(
        "Who held each IP, from when to when. Grain: one row per IP and period.", _IP | _HOLDING
    ),
    "numbers": Relation.of(
        "Each number with its holder at the time of the query. Grain: one row per number.", _NUMBER | _HELD
    ),
    "ips": Relation.of("Each IP with its holder at the time of the query. Grain: one row per IP.", _IP | _HELD),
}

BATCHES = Relation.typed(
    "The landed files. Grain: one row per batch.",
    {
        "feed": ("varchar", "The feed: cdrs, tenants, number_assignments or ip_assignments."),
        "batch_id": ("varchar", "The landing sequence and 12 hex digits of the file's hash, in landing order."),
        "landed_at": ("timestamptz", "When it landed, UTC."),
        "landed_by": ("varchar", "`file`, or `registry` for a change that a command recorded."),
        "source": ("varchar", "The source of cdrs with its instance; `canonical` for the columns of the feed."),
        "file_name": ("varchar", "The file's name."),
        "source_sha256": ("varchar", "The SHA-256 of its bytes."),
        "source_bytes": ("bigint", "Its size in bytes."),
        "row_count": ("bigint", "Records in it; those that its source leaves out are not counted."),
        "duplicate_rows": ("bigint", "Deliveries that changed nothing."),
        "superseded_rows": ("bigint", "Deliveries that replaced an earlier one."),
        "superseded_in_file": ("bigint", "Rows that a later row of the same file replaces."),
        "superseded_elsewhere": ("bigint", "Deliveries that replaced one of another source."),
        "withdrawn_rows": ("bigint", "Rows that take a record back."),
        "cost_difference": ("decimal(38, 9)", "By how much replacing deliveries changed costs, currencies mixed."),
        "rejected_rows": ("bigint", "Rows that cannot be used."),
        "late_rows": ("bigint", "Assignment changes recorded before the seal."),
        "overtaken_rows": ("bigint", "Those of them that a newer change decides."),
        "cutoff": ("timestamptz", "The instant up to which an assignment extract is complete."),
        "sealed_at": ("timestamptz", "The feed's seal when it landed: nothing before it can change any more."),
    },
)  # fmt: skip
CLOSES = Relation.typed(
    "The closed months. Grain: one row per month.",
    {
        "month": ("varchar", "The closed month, `YYYY-MM`."),
        "month_start": ("date", MONTH_START),
        "period_start": ("timestamptz", "First instant of the month, UTC."),
        "period_end": ("timestamptz", "First instant after it, UTC."),
        "closed_at": ("timestamptz", "When it was frozen."),
        "manifest_sha256": ("varchar", "The head after it: the hash of its manifest, which names the one before."),
        "previous_manifest_sha256": ("varchar", "The hash of the manifest before."),
        "statements_root_sha256": ("varchar", "The root of the tenants' statements; null in manifests of format 1."),
        "landed": ("bigint", "Rows of the month that had landed."),
        "accepted": ("bigint", "Records that the month states as usage; attributed + unattributed."),
        "duplicate": ("bigint", "Deliveries of the month that changed nothing."),
        "superseded": ("bigint", "Deliveries of the month that a later one replaced."),
        "rejected": ("bigint", "Rows of the month that could not be used."),
        "attributed": ("bigint", "Records with a tenant."),
        "unattributed": ("bigint", "Records without one; `statements.unattributed` has the reasons."),
        "late_landed": ("bigint", "Rows of frozen months that had landed since the close before."),
        "late_duplicate": ("bigint", "Those of them that changed nothing."),
        "late_superseded": ("bigint", "Those that a later one replaced."),
        "before_first_month": ("bigint", "Those older than the first month, which no statement has."),
        "withdrawn_landed": ("bigint", "Withdrawals that had landed."),
        "withdrawn_duplicate": ("bigint", "Those that changed nothing."),
        "withdrawn_superseded": ("bigint", "Those that a later delivery replaced."),
        "withdrawn": ("bigint", "Those that hold."),
        "late": ("bigint", "Corrections: records that came after their month was frozen."),
        "restatement": ("bigint", "Corrections: records stated anew."),
        "reversal": ("bigint", "Corrections: entries taken back."),
        "conflict_header_ip": ("bigint", "Records whose header and IP named two live tenants; the header won."),
        "accepted_rejected": ("boolean", "True when an operator left rejected rows out."),
        "totals": ("json", "Currency → cost, as text with all places."),
        "warnings": ("json", "Sentences of the close."),
        "versions": ("json", "The versions of the software that closed it."),
    },
)
REJECTED_ROWS = Relation.typed(
    "Rows of landed cdrs that cannot be used. Grain: one row per row. `statements rejected` tells which still stand.",
    {
        "batch_id": ("varchar", "The batch."),
        "source_row": ("bigint", "The row in its file, from 1; a header is not counted."),
        "record_id": ("varchar", "The record, if its id can be read."),
        "reason": ("varchar", "Why it cannot be used."),
        "month": ("varchar", "The month of its own time, `YYYY-MM`; null if that cannot be read."),
        "source_values": ("varchar", "Its values as they were delivered, as JSON."),
    },
)  # fmt: skip
LATE_RECORDS = Relation.of(
    "Records that landed and stand on no statement, by their latest delivery. Grain: one row per record. A query looks "
    "them up in the frozen months, so it takes longer than others.",
    {
        "status": "`waiting` for the next close, or `before_first_month`.",
        "month": "The month in which the record started, `YYYY-MM`.",
    },
)
OPERATIONS = {
    "batches": BATCHES,
    "closes": CLOSES,
    "rejected_rows": REJECTED_ROWS,
    "late_records": LATE_RECORDS,
}

_CHANGE = {
    "previous_cost": "The same of the month before; null if it has none.",
    "change": "The difference between the two; null without a month before.",
}
SERVICES = Relation.typed(
    "The services with their titles. Grain: one row per service and direction.",
    {
        "service": ("varchar", "The service, as in all other relations."),
        "direction": ("varchar", "`inbound` or `outbound`."),
        "title": ("varchar", "The service in plain words."),
        "section": ("varchar", "The part of the statement that it belongs to."),
        "unit": ("varchar", "`minute` for calls, `each` for everything else."),
        "attributed_by": ("varchar", "What decides the tenant: `number`, or `origin`: the header, then the IP."),
    },
)
REPORTS = {
    "monthly_totals": Relation.of(
        "What each tenant's months come to, with the month before. Grain: one row per month, tenant and currency.",
        {
            "account_id": "The tenant.",
            "tenant_name": "The name in force at the month's last instant.",
            "currency": "ISO 4217 code.",
            "usage_cost": "Cost of the month's own records.",
            "correction_cost": "Cost of corrections of earlier months; may be negative.",
            "total_cost": "Both.",
        }
        | _CHANGE,
    ),
    "service_trend": Relation.of(
        "What the account is charged for each service, attributed or not, with the month before. Grain: one row per "
        "month, service, direction and currency.",
        {
            "service": "The service.",
            "direction": "`inbound` or `outbound`.",
            "title": "The service in plain words.",
            "section": "The part of the statement that it belongs to.",
            "currency": "ISO 4217 code.",
            "record_count": "Net number of records, corrections included.",
            "minutes": "Billed minutes, corrections included.",
            "cost": "Cost, corrections included.",
            "unattributed_cost": "The part of it that no tenant can be charged for.",
        }
        | _CHANGE,
    ),
    "unattributed_by_reason": Relation.of(
        "What no tenant can be charged for, and why. Grain: one row per month, reason and currency.",
        {
            "reason": "The reason (rule 16).",
            "title": "The reason in plain words.",
            "currency": "ISO 4217 code.",
            "record_count": "Net number of records, corrections included.",
            "cost": "Cost, corrections included.",
            "assets": "How many numbers, IPs and header values are concerned.",
        },
    ),
    "top_movers": Relation.of(
        "The tenants whose total changed since the month before, by how much. Grain: one row per month, tenant and "
        "currency.",
        {
            "place": "1 for the largest change of the month and currency, up or down.",
            "account_id": "The tenant.",
            "tenant_name": "The name in force at the month's last instant.",
            "currency": "ISO 4217 code.",
            "total_cost": "Its total.",
        }
        | _CHANGE,
    ),
    "services": SERVICES,
    "reasons": Relation.of(
        "Why a record has no tenant. Grain: one row per reason.",
        {"reason": "The reason, as in `statements.usage`.", "title": "The reason in plain words."},
    ),
}


def _relations() -> dict[tuple[str, str], Relation]:
    """Every relation by schema and name."""
    relations = {
        ("statements", table.name): Relation.of(
            dbt_build.description(table.name), dbt_build.column_descriptions(table.name)
        )
        for table in (*tables.TABLES, tables.USAGE)
    }
    relations["statements", statement_documents.TABLE] = Relation.of(
        statement_documents.ABOUT, statement_documents.COLUMNS
    )
    cdrs = relations["statements", tables.USAGE.name].columns
    relations["operations", "late_records"] = Relation.of(LATE_RECORDS.about, cdrs | LATE_RECORDS.columns)
    for schema, listed in (("assets", ASSETS), ("operations", OPERATIONS), ("reports", REPORTS)):
        relations = {(schema, name): relation for name, relation in listed.items()} | relations
    return relations


def comment(
    connection: duckdb.DuckDBPyConnection,
    database: str,
    schemas: Collection[str],
    notes: dict[tuple[str, str], str],
) -> None:
    """Write the comments of every relation and column of these schemas, in one batch.

    `notes` are put behind a relation's own comment. A month that an older version froze may lack columns.
    """
    relations = {place: relation for place, relation in _relations().items() if place[0] in schemas}
    here = f"database_name = {text(database)} and not internal"
    views = dict.fromkeys(
        connection.execute(f"select schema_name, view_name from duckdb_views() where {here}").fetchall(), "view"
    )
    columns = connection.execute(
        f"select schema_name, table_name, column_name, data_type from duckdb_columns() where {here}"
    ).fetchall()
    statements = []
    for place in sorted({(schema, name) for schema, name, *_ in columns} & relations.keys()):
        about = relations[place].about + (f"\n\n{notes[place]}" if place in notes else "")
        statements.append(f"comment on {views.get(place, 'table')} {_named(database, *place)} is {text(about)}")
    for schema, name, column, kind in columns:
        if (schema, name) in relations:
            words = " ".join(_words(relations[schema, name], column, kind))
            statements.append(f"comment on column {_named(database, schema, name, column)} is {text(words)}")
    connection.execute(f"begin; {'; '.join(statements)}; commit")


def _words(relation: Relation, column: str, kind: str) -> Iterator[str]:
    """The sentences about a column: its own, and the traps of its name and type."""
    common = {"month": MONTH, "month_start": MONTH_START}
    if own := relation.columns.get(column) or common.get(column):
        yield own
    if column in TRAPS:
        yield TRAPS[column]
    if kind.startswith("DECIMAL"):
        yield EXACT


def _named(*parts: str) -> str:
    return ".".join(map(identifier, parts))

"""Statements read from a month's frozen files.

What belongs here: the queries, and sums of frozen figures. What does not: the types that they fill (`contents`).
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import duckdb

from orchestration import engine
from orchestration.close import manifests, merkle, month_services
from orchestration.close.manifests import Manifest
from orchestration.close.month_services import MonthServices
from orchestration.engine import text
from orchestration.landing import services
from orchestration.months import Month
from orchestration.reports import proofs
from orchestration.reports.documents import issuer
from orchestration.reports.documents.contents import (
    Account,
    AssetTotal,
    Call,
    Contents,
    Correction,
    Holding,
    Line,
    MonthTotal,
    TenantTotal,
    UnattributedTotal,
)
from orchestration.reports.documents.issuer import Issuer
from orchestration.reports.proofs import MonthProofs
from orchestration.settings import SEEDS, Settings
from orchestration.warehouse import reader

HISTORY_MONTHS = 12
# The tables of earlier months with the totals that a statement shows.
OF_HISTORY = ("statements", "organization")
# The columns of a record that a correction may change, in the words of a statement.
CHANGEABLE = {
    "service": "service",
    "direction": "direction",
    "started_at": "time",
    "duration_seconds": "duration",
    "billed_seconds": "billed duration",
    "number": "number",
    "from_number": "caller",
    "to_number": "called party",
    "cost": "cost",
    "currency": "currency",
}
# The thing that decides whose a record is, in the words of a statement.
DECIDED_BY = {"number": "number", "ip": "IP", "header": "X-Tenant header"}


@dataclass(frozen=True)
class Source:
    """An opened month: its manifest, a connection with a view of each table, and the words for statements of it."""

    settings: Settings
    manifest: Manifest
    connection: duckdb.DuckDBPyConnection
    issuer: Issuer
    titles: dict[tuple[str, str], str]
    units: MonthServices
    sections: list[str]
    proofs: MonthProofs | None

    def records(self, query: str, parameters: Sequence[object] = ()) -> list[dict[str, Any]]:
        return engine.records(self.connection, query, parameters)

    def title(self, row: dict[str, Any]) -> str:
        """A service in plain words; one without a title of its own by its code."""
        code = row["service"].replace("_", " ")
        return self.titles.get(_key(row)) or f"{code[0].upper()}{code[1:]}, {row['direction']}"

    def minutes(self, row: dict[str, Any]) -> Decimal | None:
        """The minutes of a line, if its service is counted in minutes."""
        service = self.units.find(Month(row["usage_month"].year, row["usage_month"].month), _key(row))
        minutes: Decimal = row["minutes"]
        return minutes if service is None or service.unit == "minute" else None


def _key(row: dict[str, Any]) -> tuple[str, str]:
    return row["service"], row["direction"]


def require_undamaged(settings: Settings, month: Month, *, with_days: bool) -> None:
    """Raise Damaged when what a statement is read from is not as it was frozen. Refused when the month is not closed.

    `with_days`: the records, too, which a statement without them does not need.
    """
    manifests.require_undamaged([manifests.require_closed(settings, month)], with_days=with_days)
    totals = [f"{name}.parquet" for name in OF_HISTORY]
    manifests.require_undamaged(_history_of(settings, month), with_days=False, only=totals)


@contextmanager
def opened(settings: Settings, month: Month) -> Iterator[Source]:
    """A closed month, to read statements from. Refused when it is not closed."""
    manifest = manifests.require_closed(settings, month)
    with engine.connect(settings) as connection:
        for name in ("statements", "statement_lines", "usage_by_asset", "number_inventory"):
            _view(connection, name, [manifest.folder / f"{name}.parquet"])
        for name in ("organization", "organization_statement", "unattributed"):
            _view(connection, name, [manifest.folder / f"{name}.parquet"])
        _view(connection, "usage", manifest.usage_files)
        if manifest.correction_files:
            _view(connection, "corrections", manifest.correction_files)
        else:
            connection.execute("create view corrections as select * from usage limit 0")
        connection.execute(f"create view sections as from read_csv({text(SEEDS / 'sections.csv')})")
        units = month_services.of_close(settings, manifests.load(settings), services.load(settings))
        calls = [row for row in units.frozen[month].rows if row.unit == "minute"]
        connection.execute("create table call_services (service varchar, direction varchar)")
        if calls:
            connection.executemany("insert into call_services values (?, ?)", [row.key for row in calls])
        _make_history(settings, connection, month)
        titles = services.titles(settings)
        yield Source(
            settings=settings,
            manifest=manifest,
            connection=connection,
            issuer=issuer.load(settings),
            titles=titles,
            units=units,
            sections=services.sections(),
            proofs=proofs.of_month(settings, month),
        )


def _view(connection: duckdb.DuckDBPyConnection, name: str, paths: Sequence[Any]) -> None:
    connection.execute(f"create view {name} as from {engine.parquet(paths)}")


def _history_of(settings: Settings, month: Month) -> list[Manifest]:
    return [manifest for manifest in manifests.load(settings) if manifest.month <= month][-HISTORY_MONTHS:]


def _make_history(settings: Settings, connection: duckdb.DuckDBPyConnection, month: Month) -> None:
    """The totals of the last frozen months up to this one, of each tenant; of the organization without an account."""
    last = _history_of(settings, month)
    tenants, organization = (
        engine.parquet([manifest.folder / f"{name}.parquet" for manifest in last]) for name in OF_HISTORY
    )
    connection.execute(
        f"""
        create temp table history as
        select account_id, currency, month, total_cost from {tenants}
        union all
        select null, currency, month, total_cost from {organization}
        """
    )


def account_ids(source: Source) -> list[str]:
    """Every tenant with a statement of the month, in order."""
    rows = source.connection.execute("select distinct account_id from statements order by account_id").fetchall()
    return [account for (account,) in rows]


def of_tenants(source: Source, accounts: Sequence[str]) -> list[Contents]:
    """The statements of these tenants, in order. One pass over each file, however many they are."""
    wanted = [list(accounts)]
    wide = _grouped(source.records("from statements where account_id in (select unnest(?)) order by all", wanted))
    lines = _grouped(
        source.records(
            "select statement_lines.* from statement_lines left join sections using (section) "
            "where account_id in (select unnest(?)) "
            "order by account_id, currency, line_type desc, usage_month, position, service, direction",
            wanted,
        )
    )
    assets = _grouped(
        source.records(
            "select account_id, currency, attributed_by, asset, sum(record_count)::bigint as records, "
            "coalesce(sum(billed_seconds) filter (call_services.service is not null), 0)::bigint as seconds, "
            "sum(cost) as cost from usage_by_asset left join call_services using (service, direction) "
            "where account_id in (select unnest(?)) and line_type = 'usage' "
            "group by all order by account_id, currency, attributed_by desc, asset",
            wanted,
        )
    )
    history = _grouped(
        source.records("from history where account_id in (select unnest(?)) order by account_id, month", wanted)
    )
    holdings = _holdings(source, accounts)
    corrections = _corrections(source, accounts)
    return [
        _of_tenant(
            source,
            wide[account],
            [_account(source, row, lines[account], assets[account], history[account]) for row in wide[account]],
            holdings[account],
            corrections[account],
        )
        for account in accounts
    ]


def _of_tenant(
    source: Source,
    wide: Sequence[dict[str, Any]],
    accounts: list[Account],
    holdings: list[Holding],
    corrections: list[Correction],
) -> Contents:
    # Figures of the whole tenant are the same on each row.
    first = wide[0]
    return Contents(
        month=source.manifest.month,
        account_id=first["account_id"],
        name=first["tenant_name"],
        first_effective_at=first["first_effective_at"],
        archived_at=first["archived_at"],
        asset_changes=first["asset_changes"],
        peak_channels=first["peak_channels"],
        local_numbers=first["local_numbers"],
        toll_free_numbers=first["toll_free_numbers"],
        accounts=accounts,
        holdings=holdings,
        corrections=corrections,
        tenants=[],
        unattributed=[],
        manifest_sha256=source.manifest.sha256,
        leaf_sha256=_leaf(source, first["account_id"]),
        root_sha256=source.manifest.content.statements_root_sha256,
    )


def _leaf(source: Source, account_id: str) -> str | None:
    """The leaf of a tenant's statement in the month's Merkle tree (rule 30), in hex."""
    return merkle.leaf(source.proofs.of(account_id)[0]).hex() if source.proofs else None


def of_organization(source: Source) -> Contents:
    """The organization's statement: the whole month, each tenant's total, and what belongs to nobody."""
    wide = source.records("from organization order by currency")
    lines = source.records(
        "select organization_statement.* from organization_statement left join sections using (section) "
        "order by currency, line_type desc, usage_month, position, service, direction"
    )
    history = source.records("from history where account_id is null order by month")
    tenants = source.records("select account_id, tenant_name, currency, total_cost from statements order by all")
    unattributed = source.records(
        "select currency, reason, sum(record_count)::bigint as records, sum(cost) as cost from unattributed "
        "group by all order by all"
    )
    return Contents(
        month=source.manifest.month,
        account_id=None,
        name="Organization",
        first_effective_at=None,
        archived_at=None,
        asset_changes=0,
        peak_channels=max((row["peak_channels"] for row in wide), default=0),
        local_numbers=max((row["local_numbers"] for row in wide), default=0),
        toll_free_numbers=max((row["toll_free_numbers"] for row in wide), default=0),
        accounts=[_account(source, row, lines, [], history) for row in wide],
        holdings=[],
        corrections=[],
        tenants=[TenantTotal(**row) for row in tenants],
        unattributed=[UnattributedTotal(**row) for row in unattributed],
        manifest_sha256=source.manifest.sha256,
        leaf_sha256=None,
        root_sha256=source.manifest.content.statements_root_sha256,
    )


def calls(source: Source, account: str) -> Iterator[Call]:
    """Every entry on a tenant's statement: usage first, by what decided it, in the order of time; then corrections."""
    cursor = source.connection.execute(
        """
        select
            line_type, attributed_by, case attributed_by when 'number' then number when 'ip' then source_ip
            else x_tenant end as asset, usage_month, record_id, entry, record_count, started_at, service, direction,
            case direction when 'inbound' then from_number else to_number end as other_party, duration_seconds,
            billed_seconds, cost, currency
        from usage
        where account_id = ?
        order by line_type desc, attributed_by desc, asset, currency, started_at, record_id, record_count
        """,
        [account],
    )
    names = [column[0] for column in cursor.description]
    while rows := cursor.fetchmany(2_000):
        for values in rows:
            row = dict(zip(names, values, strict=True))
            yield Call(
                line_type=row["line_type"],
                decided_by=DECIDED_BY[row["attributed_by"]],
                asset=row["asset"],
                usage_month=row["usage_month"],
                record_id=row["record_id"],
                entry=row["entry"],
                records=row["record_count"],
                started_at=row["started_at"],
                title=source.title(row),
                other_party=row["other_party"] or "",
                duration_seconds=row["duration_seconds"],
                billed_seconds=row["billed_seconds"],
                cost=row["cost"],
                currency=row["currency"],
            )


def _grouped(rows: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Rows by their account."""
    grouped: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        grouped[row["account_id"]].append(row)
    return grouped


def _account(
    source: Source,
    wide: dict[str, Any],
    lines: Sequence[dict[str, Any]],
    assets: Sequence[dict[str, Any]],
    history: Sequence[dict[str, Any]],
) -> Account:
    """A tenant's rows of one currency."""
    currency = wide["currency"]
    return Account(
        statement_id=wide.get("statement_id") or f"organization/{wide['month']}/{currency}",
        currency=currency,
        sections={section: wide[f"{section}_cost"] for section in source.sections},
        usage_cost=wide["usage_cost"],
        correction_count=wide["correction_count"],
        correction_cost=wide["correction_cost"],
        total_cost=wide["total_cost"],
        lines=[_line(source, row) for row in lines if row["currency"] == currency],
        assets=[
            AssetTotal(DECIDED_BY[row["attributed_by"]], row["asset"], row["records"], row["seconds"], row["cost"])
            for row in assets
            if row["currency"] == currency
        ],
        history=[
            MonthTotal(Month.parse(row["month"]), row["total_cost"]) for row in history if row["currency"] == currency
        ],
    )


def _line(source: Source, row: dict[str, Any]) -> Line:
    return Line(
        line_type=row["line_type"],
        usage_month=row["usage_month"],
        service=row["service"],
        direction=row["direction"],
        section=row["section"],
        title=source.title(row),
        records=row["record_count"],
        minutes=source.minutes(row),
        cost=row["cost"],
        attributed_cost=row.get("attributed_cost"),
    )


def _holdings(source: Source, accounts: Sequence[str]) -> dict[str, list[Holding]]:
    """The numbers that tenants held within the month, by account.

    Nothing that lands after a month was frozen changes who held a number in it (rule 13), so the history of the
    warehouse tells the same of the month for ever.
    """
    month = source.manifest.month
    rows = reader.records(
        source.settings,
        """
        with held as (
            select
                account_id,
                number,
                greatest(valid_from, tenant_alive_from, cast(? as timestamptz)) as held_from,
                least(valid_to, tenant_archived_at, cast(? as timestamptz)) as held_until
            from assets.number_assignment_history
            where account_id in (select unnest(?))
        )
        from held where held_from < held_until order by account_id, number, held_from
        """,
        [month.start, month.end, list(accounts)],
    )
    # A number has one type in a month, whoever holds it at the end; it is not stated of one that nobody holds then.
    types = dict(
        source.connection.execute(
            "select number, number_type from number_inventory where number in (select unnest(?))",
            [[row["number"] for row in rows]],
        ).fetchall()
    )
    grouped = _grouped(rows)
    return defaultdict(
        list,
        {
            account: [
                Holding(row["number"], types.get(row["number"]), row["held_from"], row["held_until"]) for row in held
            ]
            for account, held in grouped.items()
        },
    )


_CHANGES = ", ".join(
    f"case when taken.{name} is distinct from stated.{name} then {text(word)} end" for name, word in CHANGEABLE.items()
)
# The measures of a reversal are those of the entry that it takes back, with the sign turned.
_CORRECTIONS = f"""
with entries as (
    select * replace (
        record_count * duration_seconds as duration_seconds,
        record_count * billed_seconds as billed_seconds,
        record_count * cost as cost
    )
    from corrections
    where account_id in (select unnest(?))
),

taken as (from entries where entry = 'reversal'),

stated as (from entries where entry <> 'reversal')

select
    coalesce(taken.account_id, stated.account_id) as account_id,
    record_id,
    coalesce(taken.usage_month, stated.usage_month) as usage_month,
    coalesce(stated.started_at, taken.started_at) as started_at,
    coalesce(stated.service, taken.service) as service,
    coalesce(stated.direction, taken.direction) as direction,
    coalesce(taken.currency, stated.currency) as currency,
    taken.cost as old,
    stated.cost as new,
    stated.currency as new_currency,
    case
        when taken.record_id is not null and stated.record_id is not null
            then list_filter([{_CHANGES}], word -> word is not null)
        else []
    end as changed
from taken
full outer join stated using (account_id, record_id)
order by account_id, usage_month, started_at, record_id
"""


def _corrections(source: Source, accounts: Sequence[str]) -> dict[str, list[Correction]]:
    """What is stated otherwise of earlier months, by account: each record's reversal beside what stands instead."""
    rows = source.records(_CORRECTIONS, [list(accounts)])
    return defaultdict(
        list,
        {
            account: [
                Correction(
                    usage_month=row["usage_month"],
                    record_id=row["record_id"],
                    started_at=row["started_at"],
                    title=source.title(row),
                    currency=row["currency"],
                    old=row["old"],
                    new=row["new"],
                    new_currency=row["new_currency"],
                    changed=row["changed"],
                )
                for row in entries
            ]
            for account, entries in _grouped(rows).items()
        },
    )

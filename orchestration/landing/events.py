"""The rows of an assignment feed, turned into events of who holds what from when, or a refusal of the whole file.

What belongs here: rules 3, 4, 12, 13 and 14 up to the event as it lands. What does not: which event wins (dbt decides,
from `valid_from`, `recorded_at` and `sealed_at`), or publishing the batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from orchestration import engine
from orchestration.engine import text
from orchestration.errors import Damaged, Refused
from orchestration.landing import landed_rows, normalization
from orchestration.landing.feeds import FEEDS, TENANTS, Feed
from orchestration.landing.receipts import Files, Receipt, files_of_feed
from orchestration.landing.records import READERS
from orchestration.landing.source_files import SourceFile

CLOCK_TOLERANCE = timedelta(minutes=5)
# A refusal names this many rows: enough to find the pattern, few enough to read.
ROWS_NAMED = 10


@dataclass(frozen=True)
class Seal:
    """How the past is closed for one landing: `at` is the seal that holds, none for a feed that has none yet.

    `trusted` rows are never late: a feed's history, and what the registry records at this moment.
    """

    at: datetime | None
    trusted: bool
    accept_late: bool


@dataclass(frozen=True)
class Outcome:
    """Counts of a landed assignment file. `last_recorded_at` bounds its cutoff.

    `duplicates` are equal to an event that had landed, or that lands with them from a later row of the file.
    """

    duplicates: int
    late: int
    overtaken: int
    unusable_assets: int
    last_recorded_at: datetime | None


def require_marked(receipts: Sequence[Receipt]) -> None:
    """Refuse batches of an early version, which did not mark the events that can never act."""
    for feed in ("number_assignments", "ip_assignments"):
        for oldest in list(files_of_feed(receipts, feed))[:1]:
            try:
                is_marked = "is_void" in pq.read_schema(oldest).names
            except (OSError, pa.ArrowException) as error:
                raise Damaged(
                    f"{oldest} cannot be read. Restore it from a backup; `statements verify` lists what is damaged."
                ) from error
            if not is_marked:
                raise Refused(
                    f"{oldest} was landed by an early version. What that froze can be verified, shown and exported; "
                    "to close more months, land all deliveries again in a new data folder."
                )


def write(
    connection: duckdb.DuckDBPyConnection, source: SourceFile, landed: Files, seal: Seal, draft: Receipt
) -> Outcome:
    """Check every row, drop the events that had landed already, and write the new ones into the draft's folder."""
    feed = FEEDS[draft.feed]
    _create_events(connection, feed, source, seal)
    latest = (draft.landed_at + CLOCK_TOLERANCE).isoformat()
    _refuse_rows(
        connection,
        source,
        f"select source_row, recorded_at from event where recorded_at > timestamptz {text(latest)}",
        "recorded_at is more than 5 minutes ahead of now. A change is recorded when it is made; use valid_from for "
        "a change that shall act later.",
    )
    _create_new_events(connection, feed, landed)
    if feed is TENANTS:
        _check_lives(connection, source, landed)
    _mark_late(connection, source, feed, landed, seal)
    _mark_void(connection, feed, seal)
    return _outcome(connection, feed, _write_judged(connection, feed, seal, draft))


def _create_events(connection: duckdb.DuckDBPyConnection, feed: Feed, source: SourceFile, seal: Seal) -> None:
    """Create relation `event`: the events in the rows of the file, each of them checked."""
    _create_delivered(connection, feed, source)
    if feed is TENANTS:
        _check_tenants(connection, source)
        connection.execute("create or replace temp view event as select * from delivered")
    else:
        _check_assignments(connection, source, feed.key, trusted=seal.trusted)
        _create_assignment_events(connection, feed.key)


def _write_judged(connection: duckdb.DuckDBPyConnection, feed: Feed, seal: Seal, draft: Receipt) -> int:
    """Write the new events to one Parquet file, none when there are none. Returns how many there are."""
    target = draft.folder / f"{feed.name}.parquet"
    order = "source_row" if feed is TENANTS else "source_row, event_type"
    (events,) = engine.row(
        connection,
        f"""
        copy (
            select {", ".join(feed.stored)}
            from (select *, {_instant(seal.at)} as sealed_at, {text(draft.batch_id)} as batch_id from judged_event)
            order by {order}
        ) to {text(target)} ({engine.PARQUET})
        """,
    )
    assert isinstance(events, int)
    if not events:
        target.unlink()
    return events


def _outcome(connection: duckdb.DuckDBPyConnection, feed: Feed, events: int) -> Outcome:
    all_events, last_recorded_at = engine.row(connection, "select count(*), max(recorded_at) from event")
    late, overtaken, unusable = engine.row(
        connection,
        f"""
        select
            count(*) filter (is_late),
            count(*) filter (is_overtaken),
            count(*) filter (not {_is_possible(feed)})
        from judged_event
        """,
    )
    # An event is late only if it is new, and overtaken only if it is late.
    assert overtaken <= late <= events <= all_events
    return Outcome(all_events - events, late, overtaken, unusable, last_recorded_at)


def _is_possible(feed: Feed) -> str:
    """SQL of whether an event is about something that can be held at all."""
    return {"number": "is_e164(number)", "ip": normalization.short("ip", "is_ip", "false")}.get(feed.key, "true")


def _instant(at: datetime | None) -> str:
    return f"timestamptz {text(at.isoformat())}" if at else "null::timestamptz"


def _create_delivered(connection: duckdb.DuckDBPyConnection, feed: Feed, source: SourceFile) -> None:
    """Create table `delivered`: the rows with typed values, and every instant and flag beside the text it came as."""
    columns = []
    for column in feed.columns:
        reader = READERS[column.kind, source.types.get(column.name, "VARCHAR")]
        columns.append(f"{reader.format(source.value(column))} as {column.name}")
        if column.kind in ("instant", "flag"):
            columns.append(f"{source.value(column)}::varchar as delivered_{column.name}")
    instants = [column.name for column in feed.columns if column.kind == "instant"]
    on_calendar = ", ".join(f"calendar_time({name}) as {name}" for name in instants)
    connection.execute(
        f"create or replace temp table delivered as select * replace ({on_calendar}) "
        f"from (select source_row, {', '.join(columns)} from source)"
    )
    for name in instants:
        # In a row that slipped by a column, anything may stand where a time should: not shown.
        _refuse_rows(
            connection,
            source,
            f"select source_row from delivered where {name} is null and lacks_zone(delivered_{name})",
            f"{name} has no zone. Write every time with an offset or Z.",
        )
        _refuse_rows(
            connection,
            source,
            f"select source_row from delivered where {name} is null and delivered_{name} is not null",
            f"{name} is not a time such as 2026-03-01T00:00:00Z.",
        )
    _refuse_rows(
        connection, source, "select source_row from delivered where recorded_at is null", "recorded_at is missing."
    )


def _refuse_rows(connection: duckdb.DuckDBPyConnection, source: SourceFile, query: str, problem: str) -> None:
    """Refuse the file when the query finds rows; what it selects is shown, so none of it is confidential."""
    rows = connection.execute(f"{query} order by source_row limit {ROWS_NAMED + 1}").fetchall()
    if not rows:
        return
    named = "; ".join(
        f"row {row}" + (f" ({', '.join(shown)})" if shown else "")
        for row, *values in rows[:ROWS_NAMED]
        for shown in [[str(value) for value in values if value is not None]]
    )
    more = " and more" if len(rows) > ROWS_NAMED else ""
    raise Refused(f"{source.path}: {problem} In {named}{more}. Nothing of the file was landed.")


ACCOUNT_ID_RULE = (
    "account_id may hold letters, digits, '.', '_' and '-', up to 128, begins and ends with a letter or digit, "
    "and has no '..'."
)


def _check_tenants(connection: duckdb.DuckDBPyConnection, source: SourceFile) -> None:
    required = [column.name for column in TENANTS.columns if column.required and column.kind == "text"]
    lacking = " || ".join(f"case when {name} is null then ' {name}' else '' end" for name in required)
    _refuse_rows(
        connection,
        source,
        f"select source_row, trim({lacking}) from delivered where {lacking} <> ''",
        "all fields of a tenant are required, and some are missing.",
    )
    _refuse_rows(
        connection, source, "select source_row from delivered where not is_account_id(account_id)", ACCOUNT_ID_RULE
    )
    _refuse_rows(
        connection,
        source,
        "select source_row from delivered where archived is null and delivered_archived is not null",
        "archived is neither true nor false.",
    )
    connection.execute("update delivered set archived = coalesce(archived, false)")


def _check_assignments(connection: duckdb.DuckDBPyConnection, source: SourceFile, key: str, *, trusted: bool) -> None:
    _refuse_rows(connection, source, f"select source_row from delivered where {key} is null", f"{key} is missing.")
    _refuse_rows(
        connection,
        source,
        "select source_row from delivered where account_id is not null and not is_account_id(account_id)",
        ACCOUNT_ID_RULE,
    )
    if key == "number":
        _refuse_rows(
            connection,
            source,
            "select source_row from delivered "
            "where number_type is not null and number_type not in ('local', 'toll_free')",
            "number_type is neither local nor toll_free.",
        )
    _refuse_rows(
        connection,
        source,
        "select source_row from delivered where valid_to is not null and account_id is null",
        "valid_to ends what a tenant holds, but the row names no account_id.",
    )
    _refuse_rows(
        connection,
        source,
        "select source_row from delivered where valid_to <= coalesce(valid_from, recorded_at)",
        "valid_to is not after valid_from.",
    )
    _refuse_rows(
        connection,
        source,
        "select source_row from delivered where end_recorded_at is not null and valid_to is null",
        "end_recorded_at says when an end was recorded, but the row has no valid_to.",
    )
    if not trusted:
        _refuse_rows(
            connection,
            source,
            "select source_row from delivered where valid_to is not null and end_recorded_at is null",
            "valid_to needs end_recorded_at, the instant at which the end was recorded.",
        )


def _create_assignment_events(connection: duckdb.DuckDBPyConnection, key: str) -> None:
    """Create view `event`: a row is a start or a release, and its valid_to is an end, recorded at a time of its own."""
    macro, more = ("e164", ", number_type") if key == "number" else ("canonical_ip", "")
    asset = f"{normalization.short(key, macro, key)} as {key}{more}"
    connection.execute(
        f"""
        create or replace temp table event as
        select
            source_row, {asset}, account_id,
            case when account_id is null then 'release' else 'start' end as event_type,
            coalesce(valid_from, recorded_at) as valid_from,
            recorded_at
        from delivered
        union all
        select
            source_row, {asset}, account_id,
            'end' as event_type,
            valid_to as valid_from,
            coalesce(end_recorded_at, recorded_at) as recorded_at
        from delivered
        where valid_to is not null
        """
    )


def _create_new_events(connection: duckdb.DuckDBPyConnection, feed: Feed, landed: Files) -> None:
    """Create table `new_event`: the events that had not landed before. Of equal ones in the file the last counts."""
    names = ", ".join(feed.values)
    connection.execute(
        f"""
        create or replace temp table new_event as
        with fresh as (
            select distinct {names} from event
            except
            select {names} from ({landed_rows.select(landed, feed.values)})
        )
        select max(event.source_row) as source_row, {", ".join(f"event.{name}" for name in feed.values)}
        from event
        inner join fresh on {_same(feed, "event", "fresh")}
        group by all
        """
    )


def _same(feed: Feed, one: str, other: str) -> str:
    """SQL of whether the rows of two relations say the same."""
    return " and ".join(f"{one}.{name} is not distinct from {other}.{name}" for name in feed.values)


def _check_lives(connection: duckdb.DuckDBPyConnection, source: SourceFile, landed: Files) -> None:
    """Account IDs are unique ignoring case, and archiving is final (rules 2 and 4)."""
    about_lives = {name: TENANTS.values[name] for name in ("account_id", "archived", "recorded_at")}
    connection.execute(
        f"""
        create or replace temp table tenant as
        select {", ".join(about_lives)} from new_event
        union all
        select * from ({landed_rows.select(landed, about_lives)})
        """
    )
    _refuse_rows(
        connection,
        source,
        "select source_row, account_id from new_event where exists (select 1 from tenant "
        "where lower(tenant.account_id) = lower(new_event.account_id) "
        "and tenant.account_id <> new_event.account_id)",
        "another tenant has this account_id in other upper and lower case. Two that differ by case alone would be "
        "confused by an exact X-Tenant header.",
    )
    _refuse_rows(
        connection,
        source,
        "select source_row, account_id from new_event where not archived and exists (select 1 from tenant "
        "where tenant.account_id = new_event.account_id and tenant.archived "
        "and tenant.recorded_at <= new_event.recorded_at)",
        "this tenant was archived, and archiving is final. Create a tenant with another account_id.",
    )


def _mark_late(
    connection: duckdb.DuckDBPyConnection, source: SourceFile, feed: Feed, landed: Files, seal: Seal
) -> None:
    """Create table `marked_event`: late events refused or flagged, and overtaken ones, which act no more."""
    late = overtaken = "false"
    if seal.at and not seal.trusted:
        late = f"recorded_at < {_instant(seal.at)}"
        if not seal.accept_late:
            shown = f"case when {_is_possible(feed)} then {feed.key} end"
            _refuse_rows(
                connection,
                source,
                f"select source_row, {shown}, recorded_at from new_event where {late}",
                f"these changes were recorded before {seal.at:%Y-%m-%d %H:%M:%S} UTC, up to which the feed had been "
                "landed or its months frozen, so they come too late to act when they say. "
                "Land them with --accept-late to let them act from that instant on.",
            )
        _create_deciding_events(connection, feed, landed, seal.at, of=f"select {feed.key} from new_event where {late}")
        overtaken = f"""
            {late} and exists (
                select 1
                from deciding_event
                where deciding_event.asset = new_event.{feed.key}
                    and deciding_event.recorded_at > new_event.recorded_at
            )"""
    connection.execute(
        f"create or replace temp table marked_event as "
        f"select *, {late} as is_late, {overtaken} as is_overtaken from new_event"
    )


def _create_deciding_events(
    connection: duckdb.DuckDBPyConnection, feed: Feed, landed: Files, at: datetime, *, of: str
) -> None:
    """Create table `deciding_event`: of each of some assets the landed event that is in effect at an instant, if any.

    That is the last start or release, or the end of that start's tenant if it came since. Of several such ends the
    earliest counts, since later ones found nobody; of those of one instant the one recorded last. Events without a say
    left no trace: overtaken and void ones, and ends of a tenant that did not hold the asset. The tenants feed has no
    ends, and its last event is in effect.
    """
    read = [feed.key, "account_id", "recorded_at", "sealed_at", "is_overtaken", "batch_id", "source_row"]
    asked, is_end, is_void = "recorded_at", "false", "false"
    if feed is not TENANTS:
        read += ["valid_from", "event_type", "is_void"]
        asked, is_end, is_void = "valid_from", "event_type = 'end'", "is_void"
    connection.execute(
        f"""
        create or replace temp table deciding_event as
        with in_effect as (
            select
                {feed.key} as asset, account_id, {is_end} as is_end, recorded_at, batch_id, source_row,
                greatest({asked}, recorded_at, coalesce(sealed_at, recorded_at)) as effective_at
            from ({landed_rows.select(landed, {name: feed.stored[name] for name in read})})
            where {feed.key} in ({of}) and not is_overtaken and not {is_void} and effective_at <= {_instant(at)}
        ),
        last_change as (
            select *
            from in_effect
            where not is_end
            qualify row_number() over (
                partition by asset
                order by effective_at desc, recorded_at desc, batch_id desc, source_row desc
            ) = 1
        ),
        its_end as (
            select ends.asset, ends.recorded_at
            from in_effect as ends
            inner join last_change
                on ends.asset = last_change.asset
                and ends.account_id = last_change.account_id
                and ends.effective_at > last_change.effective_at
            where ends.is_end
            qualify row_number() over (
                partition by ends.asset
                order by ends.effective_at, ends.recorded_at desc
            ) = 1
        )
        select last_change.asset, coalesce(its_end.recorded_at, last_change.recorded_at) as recorded_at
        from last_change
        left join its_end on last_change.asset = its_end.asset
        """
    )


def _mark_void(connection: duckdb.DuckDBPyConnection, feed: Feed, seal: Seal) -> None:
    """Create table `judged_event`: with those that can never act, whatever lands later.

    Nothing is attributed by an asset that is no possible number or IP. And a row that was over before it was recorded
    is a start and an end that act at one instant, or in the wrong order: the tenant would hold the asset for ever. If
    a row's start or end stands in a later row too, the later one counts, and tells whether it was over.
    """
    void = "false"
    if feed is not TENANTS:
        sealed_at = _instant(seal.at) if seal.at else "event.recorded_at"
        connection.execute(
            f"""
            create or replace temp table void_row as
            with effective as (
                select
                    event.source_row, event.event_type,
                    greatest(event.valid_from, event.recorded_at, {sealed_at}) as effective_at
                from event
                inner join marked_event on {_same(feed, "event", "marked_event")}
                where not marked_event.is_overtaken
                    and event.source_row in (select source_row from event where event_type = 'end')
            )
            select source_row
            from effective
            group by source_row
            having max(effective_at) filter (event_type = 'start') >= max(effective_at) filter (event_type = 'end')
            """
        )
        void = f"not {_is_possible(feed)} or source_row in (select source_row from void_row)"
    connection.execute(f"create or replace temp table judged_event as select *, {void} as is_void from marked_event")

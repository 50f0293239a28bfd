"""The rows of a `cdrs` file, judged: usable records by day of their start, withdrawn ones, and rejected rows.

What belongs here: rules 19 and 29 as sets. What does not: opening the file, what was delivered before (`identity`), or
publishing the batch.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event

import duckdb

from orchestration import engine, files, settings
from orchestration.engine import text
from orchestration.errors import Refused
from orchestration.landing import normalization, services
from orchestration.landing.feeds import CDRS, Kind
from orchestration.landing.receipts import Receipt
from orchestration.landing.record_rules import RecordRules
from orchestration.landing.source_files import SourceFile

# A carrier's clock may run ahead of ours, but a call of the day after tomorrow is a broken time.
FURTHEST_AHEAD = timedelta(hours=24)
WITHOUT_ZONE = "time_without_zone"
# SQL of the UTC day of a record's start. `at time zone 'UTC'` asks a calendar, at three times the cost.
DAY_OF_START = "make_timestamp(epoch_us(started_at))::date"
# How a present value of each kind is read, by the type it arrives with; an unreadable one becomes null.
READERS: Mapping[tuple[Kind, str], str] = {
    ("text", "VARCHAR"): "{0}",
    ("instant", "VARCHAR"): "instant({0})",
    ("instant", "TIMESTAMPTZ"): "{0}",
    ("money", "VARCHAR"): normalization.short("{0}", "money"),
    # A broken writer's decimal can have more digits than its type.
    ("money", "DECIMAL"): "case when abs({0}::decimal(38, 9)) <= 999999999.999999999 then {0}::decimal(18, 9) end",
    ("seconds", "VARCHAR"): "whole_seconds({0})",
    ("seconds", "INTEGER"): "case when {0} >= 0 and {0} <= 999999999 then {0}::integer end",
    ("flag", "VARCHAR"): "flag({0})",
    ("flag", "BOOLEAN"): "{0}",
}
CANONICAL = ", ".join(CDRS.values)
# SQL of the value that a reason is about, as it came; null where it is about none or several.
VALUE = """case
    when starts_with(reason, 'time_') then delivered_start::varchar
    when reason = 'cost_unusable' then delivered_cost::varchar
    when reason = 'duration_unusable' then coalesce(delivered_billed::varchar, delivered_duration::varchar)
    when reason = 'billed_unusable' then delivered_billed::varchar
    when reason in ('service_unknown', 'direction_not_of_service') then service
    when reason = 'direction_unknown' then direction
    when reason = 'currency_unknown' then currency
    when reason = 'unrated' then case when direction = 'outbound' then to_number else number end
end"""
# What is taken where a row was rejected, by reason.
ACCEPTED = {
    "time_missing": "a time",
    "time_unreadable": "2026-03-01T10:00:00Z, or what the source's started_at names",
    "time_without_zone": "a time with Z or an offset, or a source with a zone",
    "time_ambiguous": "an epoch or an offset: clocks showed this time twice",
    "time_does_not_exist": "an epoch or an offset: clocks skipped this time",
    "time_in_future": "a time up to a day ahead",
    "service_unknown": "a service of services.csv",
    "service_missing": "a service of services.csv",
    "direction_unknown": "inbound or outbound",
    "direction_missing": "inbound or outbound",
    "direction_not_of_service": "a service that services.csv lists for the direction",
    "cost_missing": "an amount such as 0.0125, or a rate table",
    "cost_unusable": "digits, at most 9 before the point and 9 after it, such as 0.0125",
    "duration_unusable": "whole seconds, 0 to 999999999; a source may declare durations and rounding",
    "billed_unusable": "whole seconds, 0 to 999999999; a source may declare durations and rounding",
    "currency_unknown": "a code of ISO 4217 such as USD",
    "currency_contradicts_sign": "one currency",
    "unrated": "a number after +, 00 or 011 that the rate table covers: by a prefix such as +1, or =411 for 411",
    "record_id_missing": "a record id",
    "withdrawn_unusable": "true or false",
}
WITHDRAWN, WITHDRAWN_FILE, IGNORED_FILE = "withdrawn", "withdrawn.parquet", "ignored.parquet"


def accepted(reason: str) -> str | None:
    """What is taken where a row was rejected for a reason; none for a reason of the source's own."""
    if reason.endswith("_failed"):
        return "a value that the expression takes"
    return ACCEPTED.get(reason)


def write(
    connection: duckdb.DuckDBPyConnection, source: SourceFile, rules: RecordRules, draft: Receipt
) -> dict[str, int]:
    """Write usable rows as `day=YYYY-MM-DD/…parquet` into the draft's folder, the others as `withdrawn.parquet` and
    `rejected.parquet`, where there are any.

    Returns the rejected rows by month of their readable time, under "" where there is none.
    """
    usable = _write_usable(connection, source, rules, draft)
    if usable < source.rows and source.has(WITHDRAWN):
        create_normalized(connection, source, rules, draft.landed_at)
        usable += _write_withdrawn(connection, draft.batch_id, draft.folder)
    if usable == source.rows:
        return {}
    _create_unwritten(connection, source, draft.folder)
    create_normalized(connection, source, rules, draft.landed_at, relation="unwritten")
    return _write_rejected(connection, source, draft.batch_id, draft.folder)


def _write_usable(connection: duckdb.DuckDBPyConnection, source: SourceFile, rules: RecordRules, draft: Receipt) -> int:
    """Write the usable rows of all parts of a file, each part by a thread of its own. Returns how many there are."""
    relations = [f"({part})" for part in source.parts] or ["source"]
    is_over = Event()

    def write_part(place: int) -> int:
        own = connections[place]
        if own is not connection:
            normalization.load(own)
        create_normalized(own, source, rules, draft.landed_at, relation=relations[place])
        return 0 if is_over.is_set() else _write_usable_part(own, draft, place)

    with engine.beside(connection, len(relations)) as connections, ThreadPoolExecutor(len(relations)) as pool:
        *others, last = range(len(relations))
        writing = [pool.submit(write_part, place) for place in others]
        try:
            # By this thread, which is the one that Ctrl+C ends, in the connection that is asked how far it is.
            return write_part(last) + sum(part.result() for part in writing)
        except BaseException:
            is_over.set()
            for place in others:
                connections[place].interrupt()
            raise


def _write_usable_part(connection: duckdb.DuckDBPyConnection, draft: Receipt, place: int) -> int:
    """Write the usable rows of a part, one folder a UTC day of their start. Returns how many there are.

    A close goes through its month day by day. Where a few late deliveries are mixed into every part of a file, each day
    would read several days' worth: dividing costs landing a third of a copy, and saves the close more.
    """
    # Every day that a file touches is open at once, and each holds a row group.
    # The folder is new. DuckDB would look into it for files, and would take one that cannot be listed for an empty one.
    connection.execute("set partitioned_write_flush_threshold = 200000")
    (usable,) = engine.row(
        connection,
        f"""
        copy (
            select {CANONICAL}, {text(draft.batch_id)} as batch_id, source_row, {DAY_OF_START} as day
            from normalized
            where reason is null and not withdrawn
        ) to {text(draft.folder)} (
            {engine.PARQUET}, row_group_size 40960, partition_by (day), overwrite_or_ignore true,
            filename_pattern 'data_{place}_{{i}}'
        )
        """,
    )
    assert isinstance(usable, int)
    return usable


def _write_withdrawn(connection: duckdb.DuckDBPyConnection, batch_id: str, folder: Path) -> int:
    """Write the ids of the records that the carrier takes back: the other values of such a row say nothing (rule 29).

    Returns how many rows there are.
    """
    target = folder / WITHDRAWN_FILE
    (withdrawn,) = engine.row(
        connection,
        f"""
        copy (
            select record_id, {text(batch_id)} as batch_id, source_row
            from normalized
            where reason is null and withdrawn
        ) to {text(target)} ({engine.PARQUET})
        """,
    )
    if not withdrawn:
        target.unlink()
    assert isinstance(withdrawn, int)
    return withdrawn


def _create_unwritten(connection: duckdb.DuckDBPyConnection, source: SourceFile, folder: Path) -> None:
    """Create table `unwritten`: the rows of `source` that are not in the batch's folder, which few rows usually are."""
    written = files.files_below(folder)
    anti_join = f"anti join {engine.parquet(written)} using (source_row)" if written else ""
    # What is read in parts is not read for its numbers, of which none is left out.
    numbered = f"range(1, {source.rows + 1}) as source (source_row)" if source.parts else "source"
    # DuckDB takes any CSV for one of 42 rows, and would hold all of it in memory for a join. The value of an `in`, in
    # place of a filter by it, is found for each row as it comes.
    connection.execute(
        f"""
        create or replace temp table unwritten_row as select source_row from {numbered} {anti_join};
        create or replace temp table unwritten as
            select *
            from source
            where case when source_row in (select source_row from unwritten_row) then true else false end
        """
    )


def create_normalized(
    connection: duckdb.DuckDBPyConnection,
    source: SourceFile,
    rules: RecordRules,
    landed_at: datetime,
    relation: str = "source",
) -> None:
    """Create view `normalized`: every row with its canonical values, and the first reason why it cannot be used.

    `relation` names what has the rows: `source`, or some rows of it.
    """
    connection.execute(
        f"""
        create or replace temp table listed_service as
            select service, direction from {services.relation(rules.services.rows)};
        create or replace temp table listed_currency as
            select currency from read_csv({text(settings.SEEDS / "currencies.csv")}, header = true)
        """
    )
    connection.execute(
        f"""
        create or replace temp view normalized as
        with read_values as ({_read_values(source, rules, relation)}),
        typed as (
            select * replace (calendar_time(started_at) as started_at)
            from read_values
        ),
        judged as (
            select
                * replace (
                    coalesce(duration_seconds, 0) as duration_seconds,
                    coalesce(billed_seconds, duration_seconds, 0) as billed_seconds
                ),
                {_reason(landed_at + FURTHEST_AHEAD)} as reason
            from typed
        )
        select *, {VALUE} as value
        from judged
        """
    )


def _read_values(source: SourceFile, rules: RecordRules, relation: str) -> str:
    """SQL of each row's canonical values, null where they cannot be read, beside those that have to be readable."""
    types = {} if source.mapped else source.types
    read = {column.name: READERS[column.kind, types.get(column.name, "VARCHAR")] for column in CDRS.columns}
    values = ",\n".join(f"{source.value(column)} as {column.name}" for column in CDRS.columns)
    return f"""
            select
                source_row,
                declared_reason,
                record_id,
                call_id,
                service,
                direction,
                {read["started_at"].format("started_at")} as started_at,
                {read["duration_seconds"].format("duration_seconds")} as duration_seconds,
                {read["billed_seconds"].format("billed_seconds")} as billed_seconds,
                {normalization.short("number", "e164", "number")} as number,
                from_number,
                to_number,
                {normalization.short("source_ip", "canonical_ip", "source_ip")} as source_ip,
                header_value(x_tenant) as x_tenant,
                routed_to,
                {read["cost"].format("cost")} as cost,
                coalesce(currency, {text(rules.default_currency)}) as currency,
                coalesce({read["withdrawn"].format("withdrawn")}, false) as withdrawn,
                started_at as delivered_start,
                duration_seconds as delivered_duration,
                billed_seconds as delivered_billed,
                cost as delivered_cost,
                withdrawn is not null and {read["withdrawn"].format("withdrawn")} is null as withdrawn_unreadable
            from (select source_row, {source.reason} as declared_reason, {values} from {relation} as source)
    """


def _reason(latest: datetime) -> str:
    """SQL of the first reason why a row cannot be used, null for a usable one (rule 19)."""
    return f"""
            case
                when withdrawn and record_id is not null then null
                when started_at is null and lacks_zone(delivered_start::varchar) then {text(WITHOUT_ZONE)}
                when record_id is null and declared_reason = 'record.record_id_failed' then declared_reason
                when record_id is null then 'record_id_missing'
                when withdrawn_unreadable then 'withdrawn_unusable'
                when declared_reason is not null then declared_reason
                when delivered_start is null then 'time_missing'
                when started_at is null then 'time_unreadable'
                when started_at > timestamptz {text(latest.isoformat())} then 'time_in_future'
                when service is null then 'service_missing'
                when direction is null then 'direction_missing'
                when direction not in ('inbound', 'outbound') then 'direction_unknown'
                when service not in (select service from listed_service) then 'service_unknown'
                when (service, direction) not in (select (service, direction) from listed_service)
                    then 'direction_not_of_service'
                when delivered_cost is null then 'cost_missing'
                when cost is null then 'cost_unusable'
                when delivered_duration is not null and duration_seconds is null then 'duration_unusable'
                when delivered_billed is not null and billed_seconds is null then 'billed_unusable'
                when currency not in (select currency from listed_currency) then 'currency_unknown'
            end
    """


def write_ignored(connection: duckdb.DuckDBPyConnection, source: SourceFile, draft: Receipt) -> None:
    """Write the rows that their source's rules leave out, with the rule of each and their own values."""
    connection.execute(
        f"""
        copy (
            select {text(draft.batch_id)} as batch_id, source_row, "record.record_id" as record_id,
                "record.reason" as reason,
                strftime(instant("record.started_at") at time zone 'UTC', '%Y-%m') as month,
                {values_of("ignored", source)} as source_values
            from ignored
        ) to {text(draft.folder / IGNORED_FILE)} ({engine.PARQUET})
        """
    )


def values_of(relation: str, source: SourceFile) -> str:
    """SQL of a row's own values as JSON."""
    # As text: a decimal would go through double on its way to JSON.
    values = ", ".join(
        f"{engine.identifier(name)} := {relation}.{engine.identifier(name)}::varchar" for name in source.types
    )
    return f"to_json(struct_pack({values}))::varchar"


def _write_rejected(
    connection: duckdb.DuckDBPyConnection, source: SourceFile, batch_id: str, folder: Path
) -> dict[str, int]:
    """Write the rejected rows with their own values, or refuse the file when a time in it has no zone."""
    target = folder / "rejected.parquet"
    connection.execute(
        f"""
        copy (
            select {text(batch_id)} as batch_id, source_row, normalized.record_id, normalized.reason,
                strftime(normalized.started_at at time zone 'UTC', '%Y-%m') as month,
                normalized.value,
                {values_of("source", source)} as source_values
            from normalized
            inner join unwritten as source using (source_row)
            where normalized.reason is not null
        ) to {text(target)} ({engine.PARQUET})
        """
    )
    rejected = engine.parquet([target])
    rows = connection.execute(
        f"select source_row from {rejected} where reason = {text(WITHOUT_ZONE)} order by 1 limit 5"
    ).fetchall()
    if rows:
        raise Refused(
            f"{source.path}: started_at has no zone in row {', '.join(str(row) for (row,) in rows)}"
            f"{' and perhaps others' if len(rows) == 5 else ''}. A time without a zone could fall into another month: "
            "write it with an offset or Z. Nothing of the file was landed."
        )
    return dict(
        connection.execute(f"select coalesce(month, ''), count(*) from {rejected} group by all order by all").fetchall()
    )

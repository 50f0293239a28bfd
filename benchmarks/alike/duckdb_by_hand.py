"""DuckDB by hand: what one would write without dbt, Dagster and Python around it.

What belongs here: this engine's best plan. One COPY per UTC day, so that a day is all that is sorted at once; lookups
that hold Account IDs as codes, so that the sort carries numbers; assets with many holdings looked up by hour; peaks as
running sums over two integers.
"""

from pathlib import Path

import duckdb

from benchmarks.alike import contract, proof
from benchmarks.alike.contract import Job
from benchmarks.peers.contract import Stages

COPY = "format parquet, compression zstd, compression_level 1, parquet_version v2, dictionary_size_limit 8000"
HOUR = 3_600_000_000
FEW = 4
# Of the 1.5 GB: the rest is Python and PyArrow, which proves the files in the same process.
CAPPED_MEMORY = "850MB"


def main() -> None:
    """Do the job."""
    job, stages = contract.read_job(), Stages()
    connection = duckdb.connect(config={"preserve_insertion_order": False, "threads": 2})
    connection.execute(f"set TimeZone = 'UTC'; set enable_progress_bar = false; set temp_directory = '{job.out}/spill'")
    if job.memory_mb:
        connection.execute(f"set memory_limit = '{CAPPED_MEMORY}'")
    _deduplicate(connection, job)
    stages.done("deduplicate")
    _prepare(connection, job)
    stages.done("prepare lookups")
    for start, end, path in job.days:
        _write_day(connection, start.isoformat(), end.isoformat(), path)
    stages.done("usage")
    _add_up(connection, job)
    stages.done("totals")
    _keep_calls(connection)
    _find_peaks(connection)
    stages.done("peaks")
    _write_tables(connection, job)
    connection.close()
    stages.done("tables")
    proof.prove(job)
    stages.done("prove")
    stages.tell()


def _deduplicate(connection: duckdb.DuckDBPyConnection, job: Job) -> None:
    """Find the repeated ids by hash, and of their deliveries those that do not stand."""
    files = "[" + ", ".join(f"'{path}'" for path in job.cdrs) + "]"
    source = f"read_parquet({files}, hive_partitioning = false, file_row_number = true)"
    carried = ", ".join(contract.CARRIED)
    connection.execute(
        f"""
        create temp view delivered as
            select {carried}, batch_id, source_row, file_index::bigint << 32 | file_row_number as place from {source};
        create temp table repeated as
            select hash(record_id) as h from delivered group by h having count(*) > 1;
        create temp table fallen as
        with compared as (
            select
                record_id, batch_id, source_row, place,
                row_number() over deliveries > 1
                    and ({carried}) is not distinct from lag(({carried})) over deliveries as repeats
            from delivered
            where hash(record_id) in (from repeated)
            window deliveries as (partition by record_id order by batch_id, source_row)
        )
        select place
        from compared
        qualify repeats or row_number() over (
            partition by record_id, repeats order by batch_id desc, source_row desc
        ) > 1
        """
    )


def _prepare(connection: duckdb.DuckDBPyConnection, job: Job) -> None:
    connection.execute(
        f"""
        set variable month_start = timestamptz '{job.start.isoformat()}';
        set variable month_end = timestamptz '{job.end.isoformat()}';
        create temp table tenants as from '{job.tenants}' order by account_id;
        create type account as enum (select account_id from tenants order by account_id);
        create temp table accounts as
            select
                lower(account_id) as account_key, account_id, account_id::account as account, assignment_id,
                alive_from, alive_until
            from tenants;
        create temp table services ({contract.SERVICE_COLUMNS});
        insert into services values {contract.services_sql()};
        -- An account without a life has no code: nothing is ever attributed to it.
        create temp table holdings as
            select
                asset, case when alive_from is not null then account_id::account end as account, account_id is null
                    as is_released, assignment_id, valid_from, valid_until, alive_from, alive_until,
                count(*) over (partition by asset) > {FEW} as is_busy
            from '{job.holdings}';
        create temp table few as
            select * exclude (is_busy), null::text as busy_asset from holdings where not is_busy
            union all
            select distinct asset, null::account, false, null, '-infinity'::timestamptz, 'infinity'::timestamptz, null,
                null, asset
            from holdings where is_busy;
        create temp table by_hour as
            select
                * exclude (is_busy),
                unnest(range(
                    greatest(epoch_us(valid_from), epoch_us(getvariable('month_start'))) // {HOUR},
                    (epoch_us(valid_until) - 1) // {HOUR} + 1
                )) as hour
            from holdings where is_busy;
        drop table holdings
        """
    )


def _write_day(connection: duckdb.DuckDBPyConnection, start: str, end: str, path: Path) -> None:
    """One day, sorted by the account's code; the columns that are the same everywhere come after the sort."""
    connection.execute(
        f"""
        copy (
            with keyed as ({_keyed(start, end)}),
            held as ({_held(start, end)}),
            decided as ({_decided()})
            select
                {", ".join(contract.CARRIED[:5])}, duration_seconds::bigint as duration_seconds,
                billed_seconds::bigint as billed_seconds, {", ".join(contract.CARRIED[7:13])},
                cost::decimal(18, 9) as cost, currency, account::varchar as account_id, attributed_by, reason,
                assignment_id, conflict_header_ip, 'usage' as line_type, 'usage' as entry, 1::bigint as record_count,
                getvariable('month_start')::date as usage_month, batch_id, source_row
            from (from decided order by account nulls last, started_at, record_id)
        ) to '{path}' ({COPY})
        """
    )


def _keyed(start: str, end: str) -> str:
    """A day's records with what each is looked up by."""
    return f"""
        select
            delivered.*,
            by_origin,
            by_origin and x_tenant is not null as by_header,
            case when by_origin then source_ip else delivered.number end as asset,
            -- Numbers begin with a plus and IPs never do: neither may find the other.
            case
                when by_origin and source_ip not like '+%' then source_ip
                when not by_origin and delivered.number like '+%' then delivered.number
            end as asset_key,
            case when by_origin then lower(x_tenant) end as header_key
        from delivered
        inner join services
            on services.service = delivered.service and services.direction = delivered.direction
        where started_at >= timestamptz '{start}' and started_at < timestamptz '{end}'
            and place not in (from fallen)
    """


def _held(start: str, end: str) -> str:
    """The same beside the holder of the asset and the tenant of the header."""
    carried = ", ".join(f"keyed.{name}" for name in contract.CARRIED)
    within = f"valid_until > timestamptz '{start}' and valid_from < timestamptz '{end}'"
    return f"""
        select
            {carried}, keyed.batch_id, keyed.source_row, by_origin, by_header, keyed.asset,
            coalesce(few.account, by_hour.account) as holder,
            coalesce(by_hour.is_released, few.is_released) as is_released,
            coalesce(few.assignment_id, by_hour.assignment_id) as holder_event,
            coalesce(few.alive_from, by_hour.alive_from) as holder_from,
            coalesce(few.alive_until, by_hour.alive_until) as holder_until,
            coalesce(started_at >= holder_from and started_at < holder_until, false) as holder_lives,
            accounts.account_id is not null as is_similar,
            coalesce(x_tenant = accounts.account_id, false) as is_named,
            accounts.account, accounts.assignment_id as header_event, accounts.alive_from as header_from,
            is_named and started_at >= header_from and started_at < accounts.alive_until as header_lives
        from keyed
        left join (from few where {within}) as few
            on keyed.asset_key = few.asset and started_at >= few.valid_from and started_at < few.valid_until
        left join (from by_hour where {within}) as by_hour
            on few.busy_asset = by_hour.asset and epoch_us(started_at) // {HOUR} = by_hour.hour
            and started_at >= by_hour.valid_from and started_at < by_hour.valid_until
        left join accounts on keyed.header_key = accounts.account_key
    """


def _decided() -> str:
    """The account, the method, the reason, the evidence and the conflict (rules 8 to 11, 16 and 17)."""
    return f"""
        select
            {", ".join(contract.CARRIED)}, batch_id, source_row,
            case
                when by_header then if(header_lives, account, null)
                when holder_lives then holder
            end as account,
            case
                when by_header then if(header_lives, 'header', null)
                when holder_lives then if(by_origin, 'ip', 'number')
            end as attributed_by,
            case
                when by_header then case
                    when header_lives then null
                    when is_named and started_at < header_from then 'tenant_not_yet_created'
                    when is_named then 'tenant_archived'
                    when not regexp_full_match(x_tenant, '{contract.ACCOUNT_ID}') or x_tenant like '%..%'
                        then 'header_malformed'
                    when is_similar then 'header_case_mismatch'
                    else 'header_unknown_tenant'
                end
                when holder_lives then null
                when asset is null then if(by_origin, 'ip_missing', 'number_missing')
                when holder_event is null and by_origin
                    then if(regexp_full_match(asset, '{contract.IP}'), 'ip_unknown', 'ip_malformed')
                when holder_event is null
                    then if(regexp_full_match(asset, '{contract.E164}'), 'number_unknown', 'number_malformed')
                when is_released then if(by_origin, 'ip_unassigned', 'number_unassigned')
                when started_at >= holder_until then 'tenant_archived'
                else 'tenant_not_yet_created'
            end as reason,
            case when not by_header then holder_event when is_named then header_event end as assignment_id,
            by_header and header_lives and holder_lives and holder <> held.account as conflict_header_ip
        from held
    """


def _add_up(connection: duckdb.DuckDBPyConnection, job: Job) -> None:
    files = "[" + ", ".join(f"'{path}'" for _, _, path in job.days) + "]"
    connection.execute(
        f"""
        create temp view usage as from read_parquet({files}, hive_partitioning = false);
        create temp table totals as
        with grouped as (
            select
                account_id, attributed_by, reason, services.number as service_number,
                case when by_origin then coalesce(x_tenant, source_ip) else usage.number end as asset,
                currency, count(*) as record_count, sum(duration_seconds) as duration_seconds,
                sum(billed_seconds) as billed_seconds, sum(cost) as cost
            from usage
            inner join services on services.service = usage.service and services.direction = usage.direction
            group by all
        )
        select
            grouped.* exclude (service_number), service, direction, section, unit, 'usage' as line_type,
            getvariable('month_start')::date as usage_month
        from grouped
        inner join services on services.number = service_number
        """
    )


def _keep_calls(connection: duckdb.DuckDBPyConnection) -> None:
    """The calls that take a channel, as three numbers each."""
    connection.execute(
        """
        create temp table calls as
            select
                account_id::account as account, epoch_us(started_at) as began,
                epoch_us(started_at) + duration_seconds * 1000000 as ended
            from usage
            inner join services
                on services.service = usage.service and services.direction = usage.direction and unit = 'minute'
            where duration_seconds > 0
        """
    )


def _find_peaks(connection: duckdb.DuckDBPyConnection) -> None:
    """Each call's beginning and end as one integer that sorts ends first, and running sums over them."""
    connection.execute(
        """
        create temp table peaks as
        with steps as (
            select account, began * 2 + 1 as turn from calls where account is not null
            union all
            select account, ended * 2 from calls where account is not null
        ),
        running as (
            select
                account, sum((turn % 2) * 2 - 1) over (
                    partition by account order by turn rows unbounded preceding
                ) as in_progress
            from steps
        ),
        -- Of everybody: no sort of all, since seconds with few beginnings cannot hold the peak.
        by_second as (
            select second, sum(begun) as begun, sum(step) as net
            from (
                select began // 1000000 as second, 1 as begun, 1 as step from calls
                union all
                select (ended - 1) // 1000000, 0, -1 from calls
            )
            group by second
        ),
        levels as (
            select second, begun, net, sum(net) over (order by second rows unbounded preceding) as carried_out
            from by_second
        ),
        open_seconds as (
            select second, carried_out - net as carried_in
            from levels
            where carried_out - net + begun > (select max(carried_out) from levels)
        ),
        swept as (
            select
                carried_in + sum((turn % 2) * 2 - 1) over (
                    partition by steps.second order by turn rows unbounded preceding
                ) as in_progress
            from (
                select began // 1000000 as second, began * 2 + 1 as turn from calls
                union all
                select (ended - 1) // 1000000, ended * 2 from calls
            ) as steps
            inner join open_seconds on open_seconds.second = steps.second
        )
        select account::varchar as account_id, max(in_progress)::bigint as peak_channels from running group by account
        union all
        select '*', greatest((select max(carried_out) from levels), (select max(in_progress) from swept))::bigint;
        drop table calls
        """
    )


def _write_tables(connection: duckdb.DuckDBPyConnection, job: Job) -> None:
    line_and_section = ", ".join((*contract.LINE, "section"))
    month = (
        f"'{job.month}' as month, getvariable('month_start') as period_start, getvariable('month_end') as period_end"
    )
    queries = {
        "statement_lines": f"select account_id, {line_and_section}, {_measures()} from totals "
        "where account_id is not null group by all",
        "usage_by_asset": f"select account_id, {line_and_section}, attributed_by, asset, {_measures()} from totals "
        "where account_id is not null group by all",
        "unattributed": f"select {line_and_section}, reason, asset, {_measures()} from totals "
        "where account_id is null group by all",
        "organization_statement": f"select {line_and_section}, {_measures()}, "
        f"{_measures('attributed_', 'account_id is not null')}, {_measures('unattributed_', 'account_id is null')} "
        "from totals group by all",
        "organization": f"""
            select {month}, currency, {_wide()},
                (select coalesce(sum(local_numbers), 0)::bigint from tenants) as local_numbers,
                (select coalesce(sum(toll_free_numbers), 0)::bigint from tenants) as toll_free_numbers,
                coalesce((select peak_channels from peaks where account_id = '*'), 0) as peak_channels
            from totals group by currency
        """,
        "statements": f"""
            with sums as (select account_id, currency, {_wide()} from totals where account_id is not null group by all),
            stated as (
                from sums
                union all by name
                select account_id, '{contract.DEFAULT_CURRENCY}' as currency
                from tenants
                where has_statement and account_id not in (select account_id from sums)
            )
            select
                account_id || '/{job.month}/' || currency as statement_id, account_id, tenant_name, {month}, currency,
                alive_from > getvariable('month_start') as is_partial_month,
                case when alive_from > getvariable('month_start') then alive_from end as first_effective_at,
                case when archived_at > getvariable('month_start') then archived_at end as archived_at,
                asset_changes, coalesce(columns(stated.* exclude (account_id, currency)), 0), local_numbers,
                toll_free_numbers, coalesce(peak_channels, 0) as peak_channels
            from stated
            inner join tenants using (account_id)
            left join peaks using (account_id)
        """,
    }
    for table, query in queries.items():
        order = ", ".join(f"{name} nulls last" for name in contract.ORDERS[table])
        connection.execute(f"copy (from ({query}) order by {order}) to '{job.table(table)}' ({COPY})")


def _minutes(seconds: str) -> str:
    return f"((({seconds} * 1000000 + 30) // 60)::decimal(18, 0) * 0.000001::decimal(6, 6))::decimal(38, 6)"


def _total(measure: str, only: str) -> str:
    kind = "decimal(38, 9)" if measure == "cost" else "bigint"
    return f"coalesce(sum({measure}) filter ({only}), 0)::{kind}"


def _measures(prefix: str = "", only: str = "true") -> str:
    sums = {name: _total(name, only) for name in ("record_count", "duration_seconds", "billed_seconds")}
    sums |= {"minutes": _minutes(sums["billed_seconds"]), "cost": _total("cost", only)}
    return ", ".join(f"{total} as {prefix}{name}" for name, total in sums.items())


def _wide() -> str:
    sums = {column.name: _total(column.measure, column.condition) for column in contract.wide()}
    minutes = {
        column.name: _minutes(sums[column.name]) for column in contract.wide() if column.measure == "billed_seconds"
    }
    corrections = {"correction_count": "0::bigint", "correction_cost": "0::decimal(38, 9)"}
    return ", ".join(f"{total} as {name}" for name, total in (sums | minutes | corrections).items())


if __name__ == "__main__":
    main()

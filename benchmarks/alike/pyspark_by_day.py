"""PySpark on two local cores. It has no ASOF join, so holdings are joined by asset where there are few, and by asset
and hour where there are many, both broadcast; days are written by one task each, as one file.

What belongs here: this engine's best plan. A plain range join never ends on the busiest assets.
"""

import os
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from benchmarks.alike import contract, proof
from benchmarks.alike.contract import Job
from benchmarks.peers.contract import Stages

HOUR = 3_600_000_000
FEW = 4
MEMORY = os.environ.get("BENCH_SPARK_MEMORY", "8g")
# Of the 1.5 GB: the JVM's own part beside its heap, and Python, take the rest.
CAPPED_MEMORY = "800m"
MEASURES = ("record_count", "duration_seconds", "billed_seconds", "cost")


def main() -> None:
    """Do the job."""
    job, stages = contract.read_job(), Stages()
    spark = _session(job)
    stages.done("start")
    spark.read.parquet(*job.cdrs).select(*contract.CARRIED, *contract.PLACE).createOrReplaceTempView("delivered")
    _prepare(spark, job)
    _write_days(_usage(spark, job), job)
    stages.done("deduplicate, usage")
    spark.read.parquet(*(str(path) for _, _, path in job.days)).createOrReplaceTempView("written")
    _add_up(spark)
    stages.done("totals")
    _find_peaks(spark)
    stages.done("peaks")
    for name, query in _tables(job).items():
        table = spark.sql(query)
        order = [table[column].asc_nulls_last() for column in contract.ORDERS[name]]
        in_order = table.repartition(1).sortWithinPartitions(*order)
        _as_one_file(in_order, job.out / f"{name}.written", job.table(name))
    spark.stop()
    stages.done("tables")
    proof.prove(job)
    stages.done("prove")
    stages.tell()


def _session(job: Job) -> SparkSession:
    memory = CAPPED_MEMORY if job.memory_mb else MEMORY
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.driver.memory", memory)
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", "16")
        .config("spark.sql.autoBroadcastJoinThreshold", "20MB" if job.memory_mb else "200MB")
        .config("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
        .config("spark.sql.sources.partitionColumnTypeInference.enabled", "false")
        .config("spark.local.dir", str(job.out / "spill"))
        .config("spark.sql.parquet.compression.codec", "zstd")
        .config("spark.hadoop.parquet.compression.codec.zstd.level", "1")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def _prepare(spark: SparkSession, job: Job) -> None:
    """The deliveries that do not stand, the services, the tenants, and the holdings by asset or by hour."""
    said = ", ".join(contract.CARRIED)
    spark.sql(
        f"""
        select batch_id, source_row
        from (
            select
                batch_id, source_row, repeats,
                row_number() over (
                    partition by record_id, repeats order by batch_id desc, source_row desc
                ) as from_last
            from (
                select
                    record_id, batch_id, source_row,
                    row_number() over deliveries > 1
                        and struct({said}) <=> lag(struct({said})) over deliveries as repeats
                from delivered
                left semi join (
                    select xxhash64(record_id) as h from delivered group by 1 having count(*) > 1
                ) as repeated on xxhash64(delivered.record_id) = repeated.h
                window deliveries as (partition by record_id order by batch_id, source_row)
            )
        )
        where repeats or from_last > 1
        """
    ).cache().createOrReplaceTempView("fallen")
    spark.sql(
        f"select * from values {contract.services_sql()} as s(number, service, direction, by_origin, unit, section)"
    ).createOrReplaceTempView("services")
    spark.read.parquet(job.tenants).cache().createOrReplaceTempView("tenants")
    spark.read.parquet(job.holdings).createOrReplaceTempView("given_holdings")
    counted = f"select *, count(*) over (partition by asset) > {FEW} as is_busy from given_holdings"
    spark.sql(counted).cache().createOrReplaceTempView("holdings")
    spark.sql(
        """
        select * from holdings where not is_busy
        union all
        select distinct
            asset, cast(null as string), cast(null as string), timestamp '0001-01-02', timestamp '9999-01-01',
            cast(null as timestamp), cast(null as timestamp), true
        from holdings where is_busy
        """
    ).createOrReplaceTempView("few")
    spark.sql(
        f"""
        select
            *,
            explode(sequence(
                greatest(unix_micros(valid_from), unix_micros(timestamp '{job.start.isoformat()}')) div {HOUR},
                (unix_micros(valid_until) - 1) div {HOUR}
            )) as hour
        from holdings
        where is_busy
        """
    ).createOrReplaceTempView("by_hour")


def _held() -> str:
    """Each record beside the holder of its asset and the tenant of its header."""
    carried = ", ".join(f"keyed.{name}" for name in (*contract.CARRIED, *contract.PLACE))
    return f"""
        select /*+ broadcast(tenants), broadcast(few), broadcast(by_hour) */
            {carried}, by_origin, by_header, keyed.asset, kind,
            coalesce(by_hour.account_id, few.account_id) as holder,
            coalesce(by_hour.assignment_id, few.assignment_id) as holder_event,
            coalesce(by_hour.alive_from, few.alive_from) as holder_from,
            coalesce(by_hour.alive_until, few.alive_until) as holder_until,
            tenants.account_id as header_tenant, tenants.assignment_id as header_event,
            tenants.alive_from as header_from,
            by_header and keyed.x_tenant <=> tenants.account_id as is_named,
            coalesce(started_at >= tenants.alive_from and started_at < tenants.alive_until, false) as is_alive
        from (
            select /*+ broadcast(fallen), broadcast(services) */
                delivered.*, by_origin,
                by_origin and x_tenant is not null as by_header,
                if(by_origin, 'ip', 'number') as kind,
                if(by_origin, source_ip, delivered.number) as asset,
                -- Numbers begin with a plus and IPs never do: neither may find the other.
                case
                    when by_origin and source_ip not like '+%' then source_ip
                    when not by_origin and delivered.number like '+%' then delivered.number
                end as asset_key,
                if(by_origin, lower(x_tenant), null) as header_key
            from delivered
            inner join services
                on services.service = delivered.service and services.direction = delivered.direction
            left anti join fallen
                on delivered.batch_id = fallen.batch_id and delivered.source_row = fallen.source_row
        ) as keyed
        left join few
            on keyed.asset_key = few.asset and started_at >= few.valid_from and started_at < few.valid_until
        left join by_hour
            on few.is_busy and few.asset = by_hour.asset and unix_micros(started_at) div {HOUR} = by_hour.hour
            and started_at >= by_hour.valid_from and started_at < by_hour.valid_until
        left join tenants on keyed.header_key = lower(tenants.account_id)
    """


def _usage(spark: SparkSession, job: Job) -> DataFrame:
    """Every record of the month with its tenant."""
    judged = f"""
        select
            *, is_named and is_alive as header_lives,
            coalesce(started_at >= holder_from and started_at < holder_until, false) as holder_lives
        from ({_held()})
    """
    return spark.sql(
        f"""
        select
            {", ".join(contract.CARRIED[:5])}, cast(duration_seconds as bigint) as duration_seconds,
            cast(billed_seconds as bigint) as billed_seconds, {", ".join(contract.CARRIED[7:13])},
            cast(cost as decimal(18, 9)) as cost, currency,
            case when by_header then if(header_lives, header_tenant, null) when holder_lives then holder end
                as account_id,
            case when by_header then if(header_lives, 'header', null) when holder_lives then kind end as attributed_by,
            {_reason()} as reason,
            case when not by_header then holder_event when is_named then header_event end as assignment_id,
            coalesce(by_header and header_lives and holder_lives and holder <> header_tenant, false)
                as conflict_header_ip,
            'usage' as line_type, 'usage' as entry, 1L as record_count, date '{job.start:%Y-%m-%d}' as usage_month,
            batch_id, source_row, date_format(started_at, 'dd') as day
        from ({judged})
        """
    )


def _reason() -> str:
    """The reason of a record without a tenant (rule 16)."""
    return rf"""case
                when if(by_header, header_lives, holder_lives) then null
                when by_header and is_named and started_at < header_from then 'tenant_not_yet_created'
                when by_header and is_named then 'tenant_archived'
                when by_header and (not x_tenant rlike r'\A(?:{contract.ACCOUNT_ID})\z' or x_tenant like '%..%')
                    then 'header_malformed'
                when by_header and header_tenant is not null then 'header_case_mismatch'
                when by_header then 'header_unknown_tenant'
                when asset is null then kind || '_missing'
                when holder_event is null and by_origin
                    then if(asset rlike r'\A(?:{contract.IP})\z', 'ip_unknown', 'ip_malformed')
                when holder_event is null
                    then if(asset rlike r'\A(?:{contract.E164})\z', 'number_unknown', 'number_malformed')
                when holder is null then kind || '_unassigned'
                when started_at >= holder_until then 'tenant_archived'
                else 'tenant_not_yet_created'
            end"""


def _write_days(usage: DataFrame, job: Job) -> None:
    """One task sorts and writes each day."""
    written = job.out / "usage.written"
    ordered = usage.repartition(31, "day").sortWithinPartitions(
        usage.day, *(usage[name].asc_nulls_last() for name in contract.USAGE_ORDER)
    )
    ordered.write.partitionBy("day").parquet(str(written))
    for start, _, path in job.days:
        _move_the_one_file(written / f"day={start:%d}", path)


def _as_one_file(table: DataFrame, folder: Path, path: Path) -> None:
    table.write.parquet(str(folder))
    _move_the_one_file(folder, path)


def _move_the_one_file(folder: Path, path: Path) -> None:
    (file,) = folder.glob("part-*.parquet")
    file.rename(path)


def _add_up(spark: SparkSession) -> None:
    spark.sql(
        """
        select /*+ broadcast(services) */
            account_id, attributed_by, reason, written.service, written.direction, section, unit,
            if(by_origin, coalesce(x_tenant, source_ip), written.number) as asset, currency, line_type, usage_month,
            count(*) as record_count, sum(duration_seconds) as duration_seconds,
            sum(billed_seconds) as billed_seconds, cast(sum(cost) as decimal(38, 9)) as cost
        from written
        inner join services on services.service = written.service and services.direction = written.direction
        group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
        """
    ).cache().createOrReplaceTempView("totals")


def _find_peaks(spark: SparkSession) -> None:
    """Running sums over beginnings and ends. Of everybody only seconds that can hold the peak are looked into."""
    spark.sql(
        """
        select /*+ broadcast(services) */
            account_id, unix_micros(started_at) as began, unix_micros(started_at) + duration_seconds * 1000000 as ended
        from written
        inner join services
            on services.service = written.service and services.direction = written.direction and unit = 'minute'
        where duration_seconds > 0
        """
    ).createOrReplaceTempView("calls")
    # The last bit sorts ends before beginnings of the same instant.
    spark.sql(
        """
        select account_id, began div 1000000 as second, began * 2 + 1 as turn, 1 as step from calls
        union all
        select account_id, (ended - 1) div 1000000, ended * 2, -1 from calls
        """
    ).createOrReplaceTempView("steps")
    spark.sql(
        """
        select second, net, begun, sum(net) over (order by second rows unbounded preceding) as carried_out
        from (select second, sum(step) as net, count_if(step = 1) as begun from steps group by second)
        """
    ).cache().createOrReplaceTempView("levels")
    spark.sql(
        """
        with running as (
            select account_id, sum(step) over (partition by account_id order by turn rows unbounded preceding) as busy
            from steps where account_id is not null
        ),
        bound as (select max(carried_out) as at_least from levels),
        open_seconds as (
            select second, carried_out - net as carried_in
            from levels cross join bound
            where carried_out - net + begun > at_least
        ),
        swept as (
            select /*+ broadcast(open_seconds) */
                carried_in + sum(step) over (partition by steps.second order by turn rows unbounded preceding) as busy
            from steps inner join open_seconds on open_seconds.second = steps.second
        )
        select account_id, max(busy) as peak_channels from running group by account_id
        union all
        select '*', greatest((select at_least from bound), (select max(busy) from swept))
        """
    ).cache().createOrReplaceTempView("peaks")


def _total(measure: str, only: str) -> str:
    kind = "decimal(38, 9)" if measure == "cost" else "bigint"
    return f"cast(coalesce(sum({measure}) filter (where {only}), 0) as {kind})"


def _minutes(seconds: str) -> str:
    whole = f"cast(({seconds} * 1000000 + 30) div 60 as decimal(18, 0))"
    return f"cast({whole} * cast('0.000001' as decimal(6, 6)) as decimal(38, 6))"


def _measures(prefix: str = "", only: str = "true") -> str:
    sums = {name: _total(name, only) for name in MEASURES}
    sums["minutes"] = _minutes(sums["billed_seconds"])
    return ", ".join(f"{total} as {prefix}{name}" for name, total in sums.items())


def _wide() -> str:
    parts = []
    for column in contract.wide():
        total = _total(column.measure, column.condition)
        parts.append(f"{_minutes(total) if column.measure == 'billed_seconds' else total} as {column.name}")
    return ", ".join([*parts, "0L as correction_count", "cast(0 as decimal(38, 9)) as correction_cost"])


def _tables(job: Job) -> dict[str, str]:
    """Each table's query."""
    line = ", ".join((*contract.LINE, "section"))
    start, end = (f"timestamp '{instant.isoformat()}'" for instant in (job.start, job.end))
    month = f"'{job.month}' as month, {start} as period_start, {end} as period_end"
    names = [column.name for column in contract.wide()] + ["correction_count", "correction_cost"]
    shown = ", ".join(f"coalesce(sums.{name}, 0) as {name}" for name in names)
    currency = f"coalesce(sums.currency, '{contract.DEFAULT_CURRENCY}')"
    queries = {
        name: f"select {key}, {_measures()} from totals where account_id is {only} null group by {key}"
        for name, key, only in (
            ("statement_lines", f"account_id, {line}", "not"),
            ("usage_by_asset", f"account_id, {line}, attributed_by, asset", "not"),
            ("unattributed", f"{line}, reason, asset", ""),
        )
    }
    queries["organization_statement"] = (
        f"select {line}, {_measures()}, {_measures('attributed_', 'account_id is not null')}, "
        f"{_measures('unattributed_', 'account_id is null')} from totals group by {line}"
    )
    queries["organization"] = f"""
        select {month}, sums.*, numbers.*, coalesce(peak_channels, 0) as peak_channels
        from (select currency, {_wide()} from totals group by currency) as sums
        cross join (
            select sum(local_numbers) as local_numbers, sum(toll_free_numbers) as toll_free_numbers from tenants
        ) as numbers
        left join peaks on peaks.account_id = '*'
    """
    queries["statements"] = f"""
        select
            tenants.account_id || '/{job.month}/' || {currency} as statement_id, tenants.account_id, tenant_name,
            {month}, {currency} as currency, alive_from > {start} as is_partial_month,
            case when alive_from > {start} then alive_from end as first_effective_at,
            case when archived_at > {start} then archived_at end as archived_at, asset_changes, {shown},
            local_numbers, toll_free_numbers, coalesce(peak_channels, 0) as peak_channels
        from tenants
        left join (
            select account_id, currency, {_wide()} from totals where account_id is not null group by 1, 2
        ) as sums on tenants.account_id = sums.account_id
        left join peaks on tenants.account_id = peaks.account_id
        where has_statement or sums.currency is not null
    """
    return queries


if __name__ == "__main__":
    main()

"""DuckDB by hand: what one would write without dbt, Dagster, days or order, and with nothing around it.

What belongs here: this engine's best plan. Repeated ids by 64-bit hash, superseded rows by their place in the files,
then one pass that joins and writes. Assets with more than four periods are looked up by hour.
"""

import duckdb

from benchmarks.peers import contract

COPY = "format parquet, compression zstd, compression_level 1, parquet_version v2, dictionary_size_limit 8000"
HOUR = 3_600_000_000
FEW_PERIODS = 4


def main() -> None:
    """Do the job."""
    job, stages = contract.read_job(), contract.Stages()
    connection = duckdb.connect(config={"preserve_insertion_order": False})
    connection.execute(f"set TimeZone = 'UTC'; set enable_progress_bar = false; set temp_directory = '{job.out}/spill'")
    columns = ", ".join(contract.CANONICAL)
    source = f"read_parquet({job.list_of_cdrs}, hive_partitioning = false, file_row_number = true)"
    connection.execute(
        f"""
        create temp view delivered as
            select {columns}, file_index::bigint << 32 | file_row_number as place from {source};
        create temp table repeated as
            select hash(record_id) as h from delivered group by h having count(*) > 1;
        create temp table superseded as
            select place
            from (select record_id, batch_id, source_row, place from delivered where hash(record_id) in (from repeated))
            qualify row_number() over (partition by record_id order by batch_id desc, source_row desc) > 1
        """
    )
    stages.done("deduplicate")
    connection.execute(
        f"""
        create temp table lives as from '{job.lives}';
        create temp table periods as
            select *, case when count(*) over (partition by asset) > {FEW_PERIODS} then asset end as busy_asset
            from '{job.periods}';
        create temp table few as
            select asset, account_id, valid_from, valid_to, busy_asset from periods where busy_asset is null
            union all
            select distinct asset, null, '-infinity'::timestamptz, 'infinity'::timestamptz, busy_asset
            from periods where busy_asset is not null;
        create temp table by_hour as
            select
                busy_asset, account_id, valid_from, valid_to,
                unnest(range(epoch_us(valid_from) // {HOUR}, (epoch_us(valid_to) - 1) // {HOUR} + 1)) as hour
            from periods
            where busy_asset is not null
        """
    )
    stages.done("prepare periods")
    connection.execute(
        f"""
        copy (
            select
                keyed.* exclude (place, is_origin, asset, header),
                coalesce(lives.account_id, few.account_id, by_hour.account_id) as account_id,
                case
                    when lives.account_id is not null then 'header'
                    when coalesce(few.account_id, by_hour.account_id) is not null
                        then if(keyed.is_origin, 'ip', 'number')
                end as attributed_by
            from (
                select
                    *,
                    {contract.is_origin_sql()} as is_origin,
                    case when not is_origin then number when x_tenant is null then source_ip end as asset,
                    case when is_origin then x_tenant end as header
                from delivered
                where place not in (from superseded)
            ) as keyed
            left join lives
                on keyed.header = lives.account_id
                and started_at >= lives.alive_from and started_at < lives.alive_until
            left join few
                on keyed.asset = few.asset and started_at >= few.valid_from and started_at < few.valid_to
            left join by_hour
                on few.busy_asset = by_hour.busy_asset and epoch_us(started_at) // {HOUR} = by_hour.hour
                and started_at >= by_hour.valid_from and started_at < by_hour.valid_to
        ) to '{job.detail}' ({COPY})
        """
    )
    stages.done("attribute and write")
    connection.execute(
        f"""
        copy (
            select {", ".join(contract.LINE)}, count(*) as record_count, sum(billed_seconds) as billed_seconds,
                sum(cost) as cost
            from '{job.detail}'
            group by all
        ) to '{job.lines}' ({COPY})
        """
    )
    stages.done("add up")
    stages.tell()


if __name__ == "__main__":
    main()

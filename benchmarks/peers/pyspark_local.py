"""PySpark on two local cores. It has no ASOF join, so periods are joined as the close does: by asset where there are
few, by asset and hour where there are many, both broadcast.

What belongs here: this engine's best plan. A plain range join never ends on the busiest assets.
"""

import os

from pyspark.sql import SparkSession

from benchmarks.peers import contract

HOUR = 3_600_000_000
FEW_PERIODS = 4
MEMORY = os.environ.get("BENCH_SPARK_MEMORY", "8g")


def main() -> None:
    """Do the job."""
    job, stages = contract.read_job(), contract.Stages()
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.driver.memory", MEMORY)
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", "16")
        .config("spark.sql.autoBroadcastJoinThreshold", "200MB")
        .config("spark.local.dir", str(job.out / "spill"))
        .config("spark.sql.parquet.compression.codec", "zstd")
        .config("spark.hadoop.parquet.compression.codec.zstd.level", "1")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    stages.done("start")
    spark.read.parquet(*job.cdrs).select(*contract.CANONICAL).createOrReplaceTempView("delivered")
    spark.read.parquet(job.lives).createOrReplaceTempView("lives")
    spark.read.parquet(job.periods).createOrReplaceTempView("given_periods")
    spark.sql(
        """
        select superseded.batch_id, superseded.source_row
        from (
            select /*+ broadcast(repeated) */
                delivered.batch_id, delivered.source_row,
                row_number() over (
                    partition by delivered.record_id order by delivered.batch_id desc, delivered.source_row desc
                ) as from_last
            from delivered
            left semi join (
                select xxhash64(record_id) as h from delivered group by 1 having count(*) > 1
            ) as repeated on xxhash64(delivered.record_id) = repeated.h
        ) as superseded
        where from_last > 1
        """
    ).cache().createOrReplaceTempView("superseded")
    counted = f"select *, count(*) over (partition by asset) > {FEW_PERIODS} as busy from given_periods"
    spark.sql(counted).cache().createOrReplaceTempView("periods")
    spark.sql(
        """
        select asset, account_id, valid_from, valid_to, false as busy from periods where not busy
        union all
        select distinct asset, null, timestamp '0001-01-02', timestamp '9999-01-01', true from periods where busy
        """
    ).createOrReplaceTempView("few")
    spark.sql(
        f"""
        select
            asset, account_id, valid_from, valid_to,
            explode(sequence(unix_micros(valid_from) div {HOUR}, (unix_micros(valid_to) - 1) div {HOUR})) as hour
        from periods
        where busy
        """
    ).createOrReplaceTempView("by_hour")
    is_origin = contract.is_origin_sql()
    spark.sql(
        f"""
        select /*+ broadcast(lives), broadcast(few), broadcast(by_hour) */
            {", ".join(f"keyed.{name}" for name in contract.CANONICAL)},
            coalesce(lives.account_id, few.account_id, by_hour.account_id) as account_id,
            case
                when lives.account_id is not null then 'header'
                when coalesce(few.account_id, by_hour.account_id) is null then null
                when is_origin then 'ip' else 'number'
            end as attributed_by
        from (
            select /*+ broadcast(superseded) */
                delivered.*,
                {is_origin} as is_origin,
                case when not {is_origin} then number when x_tenant is null then source_ip end as asset,
                case when {is_origin} then x_tenant end as header
            from delivered
            left anti join superseded
                on delivered.batch_id = superseded.batch_id and delivered.source_row = superseded.source_row
        ) as keyed
        left join lives
            on keyed.header = lives.account_id and started_at >= alive_from and started_at < alive_until
        left join few
            on keyed.asset = few.asset and started_at >= few.valid_from and started_at < few.valid_to
        left join by_hour
            on few.busy and few.asset = by_hour.asset and unix_micros(started_at) div {HOUR} = by_hour.hour
            and started_at >= by_hour.valid_from and started_at < by_hour.valid_to
        """
    ).write.parquet(job.detail)
    stages.done("deduplicate, attribute and write")
    spark.read.parquet(job.detail).createOrReplaceTempView("detail")
    spark.sql(
        f"""
        select
            {", ".join(contract.LINE)}, count(*) as record_count, sum(cast(billed_seconds as bigint)) as billed_seconds,
            sum(cost) as cost
        from detail
        group by {", ".join(contract.LINE)}
        """
    ).coalesce(1).write.parquet(job.lines)
    stages.done("add up")
    stages.tell()
    spark.stop()


if __name__ == "__main__":
    main()

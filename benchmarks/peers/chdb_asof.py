"""ClickHouse, in process: its ASOF join for the periods, a hash join for the lives, and our way of dropping duplicates.

What belongs here: this engine's best plan. Its own ways of dropping duplicates (LIMIT 1 BY, argMax) carry every column
of every row; finding the few repeated ids first is faster and smaller.
"""

from pathlib import Path

from chdb import session

from benchmarks.peers import contract

SETTINGS = (
    "SETTINGS join_use_nulls = 1, max_threads = 2, output_format_parquet_compression_method = 'zstd', "
    "output_format_compression_level = 1, "
    "session_timezone = 'UTC', output_format_parquet_datetime_as_uint32 = 0"
)


def main() -> None:
    """Do the job."""
    job, stages = contract.read_job(), contract.Stages()
    clickhouse = session.Session(str(job.out / "chdb"))
    columns = ", ".join(contract.CANONICAL)
    delivered = _all_of(job.cdrs, job.out / "delivered")
    clickhouse.query(
        f"""
        CREATE TABLE repeated ENGINE = Memory AS
        SELECT h FROM (SELECT cityHash64(record_id) AS h FROM {delivered}) GROUP BY h HAVING count() > 1 {SETTINGS}
        """
    )
    clickhouse.query(
        f"""
        CREATE TABLE superseded ENGINE = Memory AS
        SELECT batch_id, source_row
        FROM (
            SELECT
                batch_id, source_row,
                row_number() OVER (PARTITION BY record_id ORDER BY batch_id DESC, source_row DESC) AS from_last
            FROM {delivered}
            WHERE cityHash64(record_id) IN (SELECT h FROM repeated)
        )
        WHERE from_last > 1 {SETTINGS}
        """
    )
    stages.done("deduplicate")
    origin = contract.is_origin_sql()
    clickhouse.query(
        f"""
        INSERT INTO FUNCTION file('{job.detail}', Parquet)
        SELECT
            {columns},
            coalesce(header_tenant, holder) AS account_id,
            multiIf(header_tenant IS NOT NULL, 'header', holder IS NULL, NULL, is_origin, 'ip', 'number')
                AS attributed_by
        FROM (SELECT
            {", ".join(f"keyed.{name} AS {name}" for name in contract.CANONICAL)},
            keyed.is_origin AS is_origin,
            if(keyed.started_at >= lives.alive_from AND keyed.started_at < lives.alive_until, lives.account_id, NULL)
                AS header_tenant,
            if(keyed.started_at < periods.valid_to, periods.account_id, NULL) AS holder
        FROM (
            SELECT
                {columns},
                ifNull({origin}, 0) AS is_origin,
                multiIf(NOT is_origin, number, x_tenant IS NULL, source_ip, NULL) AS asset,
                if(is_origin, x_tenant, NULL) AS header
            FROM {delivered}
            WHERE (batch_id, source_row) NOT IN (SELECT batch_id, source_row FROM superseded)
        ) AS keyed
        LEFT JOIN {_file(job.lives)} AS lives ON keyed.header = lives.account_id
        ASOF LEFT JOIN {_file(job.periods)} AS periods
            ON keyed.asset = periods.asset AND keyed.started_at >= periods.valid_from)
        {SETTINGS}
        """
    )
    stages.done("attribute and write")
    clickhouse.query(
        f"""
        INSERT INTO FUNCTION file('{job.lines}', Parquet)
        SELECT
            {", ".join(contract.LINE)}, count() AS record_count, sum(billed_seconds) AS billed_seconds,
            sum(cost) AS cost
        FROM {_file(job.detail)}
        GROUP BY {", ".join(contract.LINE)} {SETTINGS}
        """
    )
    stages.done("add up")
    stages.tell()


def _file(path: str) -> str:
    return f"file('{path}', Parquet)"


def _all_of(paths: list[str], folder: Path) -> str:
    """ClickHouse's reader over these files, linked into one folder: its lists in braces may hold no slashes."""
    folder.mkdir()
    for number, path in enumerate(paths):
        (folder / f"{number:05d}.parquet").symlink_to(path)
    return _file(f"{folder}/*.parquet")


if __name__ == "__main__":
    main()

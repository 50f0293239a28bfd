"""Polars: lazy, on its streaming engine, with its ASOF join.

What belongs here: this engine's best plan.
"""

import polars as pl

from benchmarks.peers import contract


def main() -> None:
    """Do the job."""
    job, stages = contract.read_job(), contract.Stages()
    delivered = pl.scan_parquet(job.cdrs).select(contract.CANONICAL)
    superseded = _superseded(delivered)
    stages.done("deduplicate")

    is_origin = (pl.col("direction") == "outbound") & pl.col("service").is_in(contract.origin_services())
    header = pl.when(is_origin).then("x_tenant")
    asset = pl.when(~is_origin).then("number").when(pl.col("x_tenant").is_null()).then("source_ip")
    lives = pl.scan_parquet(job.lives).with_columns(header=pl.col("account_id")).rename({"account_id": "header_tenant"})
    periods = pl.scan_parquet(job.periods).sort("valid_from").rename({"account_id": "holder"})
    at = pl.col("started_at")
    header_tenant = pl.when((at >= pl.col("alive_from")) & (at < pl.col("alive_until"))).then("header_tenant")
    holder = pl.when(at < pl.col("valid_to")).then("holder")
    (
        delivered.join(superseded.lazy(), on=["batch_id", "source_row"], how="anti")
        .with_columns(is_origin=is_origin, header=header, asset=asset)
        .join(lives, on="header", how="left")
        .sort("started_at")
        .join_asof(
            periods,
            left_on="started_at",
            right_on="valid_from",
            by="asset",
            strategy="backward",
            check_sortedness=False,
        )
        .with_columns(header_tenant=header_tenant, holder=holder)
        .select(
            *contract.CANONICAL,
            pl.coalesce("header_tenant", "holder").alias("account_id"),
            pl.when(pl.col("header_tenant").is_not_null())
            .then(pl.lit("header"))
            .when(pl.col("holder").is_not_null())
            .then(pl.when("is_origin").then(pl.lit("ip")).otherwise(pl.lit("number")))
            .alias("attributed_by"),
        )
        .sink_parquet(job.detail, compression="zstd", compression_level=1, maintain_order=False, engine="streaming")
    )
    stages.done("attribute and write")
    (
        pl.scan_parquet(job.detail)
        .group_by(contract.LINE)
        .agg(
            record_count=pl.len().cast(pl.Int64),
            billed_seconds=pl.col("billed_seconds").cast(pl.Int64).sum(),
            cost=pl.col("cost").cast(pl.Decimal(38, 9)).sum(),
        )
        .sink_parquet(job.lines, engine="streaming")
    )
    stages.done("add up")
    stages.tell()


def _superseded(delivered: pl.LazyFrame) -> pl.DataFrame:
    """Batch and row of every delivery that a later one replaces, found by hash first: nearly all ids come once."""
    fingerprint = pl.col("record_id").hash()
    repeated = (
        delivered.select(fingerprint.alias("fingerprint"))
        .group_by("fingerprint")
        .agg(pl.len())
        .filter(pl.col("len") > 1)
        .select("fingerprint")
        .collect(engine="streaming")
    )
    return (
        delivered.select("record_id", "batch_id", "source_row", fingerprint.alias("fingerprint"))
        .join(repeated.lazy(), on="fingerprint", how="semi")
        .collect(engine="streaming")
        .sort("record_id", "batch_id", "source_row")
        .filter(pl.col("record_id") == pl.col("record_id").shift(-1))
        .select("batch_id", "source_row")
    )


if __name__ == "__main__":
    main()

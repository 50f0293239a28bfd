"""Polars: one day at a time through its ASOF join and its sort, peaks by one sort of integers and a running sum.

What belongs here: this engine's best plan. A month at once takes five gigabytes; a day of it is a thirtieth.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import polars as pl

from benchmarks.alike import contract, proof
from benchmarks.alike.contract import Job
from benchmarks.peers.contract import Stages

MEASURES = ("record_count", "duration_seconds", "billed_seconds", "cost")
MONEY = pl.Decimal(38, 9)
WRITE = {"compression": "zstd", "compression_level": 1}


@dataclass(frozen=True)
class Lookups:
    """What a record is looked up in: deliveries that do not stand, holdings by asset, tenants, and services."""

    fallen: pl.DataFrame
    holdings: pl.DataFrame
    tenants: pl.DataFrame
    services: pl.DataFrame


def main() -> None:
    """Do the job."""
    job, stages = contract.read_job(), Stages()
    delivered = pl.scan_parquet(job.cdrs).select(*contract.CARRIED, *contract.PLACE)
    fallen = _fallen(delivered)
    stages.done("deduplicate")
    names = {"account_id": "holder", "alive_from": "holder_from", "alive_until": "holder_until"}
    tenants = pl.read_parquet(job.tenants)
    lookups = Lookups(fallen, pl.read_parquet(job.holdings).rename(names), tenants, _services())
    stages.done("prepare lookups")
    totals, calls = [], []
    for start, end, path in job.days:
        day = _day(delivered, lookups, (start, end))
        day.select(contract.USAGE).write_parquet(path, **WRITE)
        totals.append(_grouped(day.lazy()))
        calls.append(_calls(day.lazy()))
    stages.done("usage, totals of days")
    lines = _rolled_up(pl.concat(totals))
    peaks = _peaks(pl.concat(calls), tenants)
    stages.done("peaks")
    _write_tables(job, lines, tenants, peaks)
    stages.done("tables")
    proof.prove(job)
    stages.done("prove")
    stages.tell()


def _fallen(delivered: pl.LazyFrame) -> pl.DataFrame:
    """Places of the deliveries that do not stand. Ids are compared by hash first: nearly all come once."""
    fingerprint = pl.col("record_id").hash().alias("fingerprint")
    repeated = (
        delivered.select(fingerprint)
        .group_by("fingerprint")
        .len()
        .filter(pl.col("len") > 1)
        .collect(engine="streaming")
    )
    deliveries = (
        delivered.with_columns(fingerprint)
        .join(repeated.lazy(), on="fingerprint", how="semi")
        .drop("fingerprint")
        .collect(engine="streaming")
        .sort("record_id", *contract.PLACE)
    )
    same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift(1)) for name in contract.CARRIED)
    compared = deliveries.with_columns(repeats=same)
    last_change = pl.int_range(pl.len()).filter(~pl.col("repeats")).last().over("record_id")
    return compared.filter(pl.int_range(pl.len()).over("record_id") != last_change).select(contract.PLACE)


def _services() -> pl.DataFrame:
    return pl.DataFrame(
        [
            (row.service, row.direction, row.attributed_by == "origin", row.unit, row.section)
            for row in contract.services()
        ],
        schema=["service", "direction", "by_origin", "unit", "section"],
        orient="row",
    )


def _day(delivered: pl.LazyFrame, lookups: Lookups, day: tuple[datetime, datetime]) -> pl.DataFrame:
    """A day's records with their tenants, in order."""
    return (
        _held(delivered, lookups, day)
        .with_columns(_decided())
        .with_columns(
            pl.col("duration_seconds", "billed_seconds").cast(pl.Int64),
            pl.lit("usage").alias("line_type"),
            pl.lit("usage").alias("entry"),
            pl.lit(1, pl.Int64).alias("record_count"),
            pl.lit(day[0].date().replace(day=1)).alias("usage_month"),
        )
        .sort(contract.USAGE_ORDER, nulls_last=True)
        .collect(engine="streaming")
    )


def _held(delivered: pl.LazyFrame, lookups: Lookups, day: tuple[datetime, datetime]) -> pl.LazyFrame:
    """A day's records beside the holder of the asset and the tenant of the header."""
    start, end = (pl.lit(instant).cast(pl.Datetime("us", "UTC")) for instant in day)
    at, by_origin = pl.col("started_at"), pl.col("by_origin")
    by_header = by_origin & pl.col("x_tenant").is_not_null()
    is_number = pl.col("asset").str.starts_with("+")
    named = lookups.tenants.lazy().select(
        header_key=pl.col("account_id").str.to_lowercase(),
        header_tenant="account_id",
        header_event="assignment_id",
        header_from="alive_from",
        header_until="alive_until",
    )
    keyed = (
        delivered.filter(at >= start, at < end)
        .join(lookups.fallen.lazy(), on=list(contract.PLACE), how="anti")
        .join(lookups.services.lazy(), on=["service", "direction"], how="inner")
        .with_columns(
            by_header=by_header,
            asset=pl.when(by_origin).then("source_ip").otherwise("number"),
            header_key=pl.when(by_origin).then(pl.col("x_tenant").str.to_lowercase()),
        )
        # Numbers begin with a plus and IPs never do: neither may find the other.
        .with_columns(asset_key=pl.when(is_number != by_origin).then("asset"))
    )
    overlapping = lookups.holdings.lazy().filter(pl.col("valid_until") > start, pl.col("valid_from") < end)
    return (
        keyed.sort("started_at")
        .join_asof(
            overlapping.sort("valid_from"),
            left_on="started_at",
            right_on="valid_from",
            by_left="asset_key",
            by_right="asset",
            strategy="backward",
            check_sortedness=False,
        )
        .join(named, on="header_key", how="left")
        .with_columns(
            holder_lives=((at >= pl.col("holder_from")) & (at < pl.col("holder_until"))).fill_null(False),
            is_named=pl.col("x_tenant").eq_missing(pl.col("header_tenant")) & pl.col("by_header"),
        )
        .with_columns(
            header_lives=(pl.col("is_named") & (at >= pl.col("header_from")) & (at < pl.col("header_until"))).fill_null(
                False
            ),
        )
    )


def _decided() -> list[pl.Expr]:
    """The account, the method, the reason, the evidence and the conflict (rules 8 to 11, 16 and 17)."""
    at, kind = pl.col("started_at"), pl.when("by_origin").then(pl.lit("ip")).otherwise(pl.lit("number"))
    by_header, header_lives, holder_lives = pl.col("by_header"), pl.col("header_lives"), pl.col("holder_lives")
    is_account = pl.col("x_tenant").str.contains(f"^(?:{contract.ACCOUNT_ID})$") & ~pl.col("x_tenant").str.contains(
        "..", literal=True
    )
    is_asset = (
        pl.when("by_origin")
        .then(pl.col("asset").str.contains(f"^(?:{contract.IP})$"))
        .otherwise(pl.col("asset").str.contains(f"^(?:{contract.E164})$"))
    )
    header_reason = (
        pl.when(header_lives)
        .then(None)
        .when(pl.col("is_named") & (at < pl.col("header_from")))
        .then(pl.lit("tenant_not_yet_created"))
        .when("is_named")
        .then(pl.lit("tenant_archived"))
        .when(~is_account)
        .then(pl.lit("header_malformed"))
        .when(pl.col("header_tenant").is_not_null())
        .then(pl.lit("header_case_mismatch"))
        .otherwise(pl.lit("header_unknown_tenant"))
    )
    asset_reason = (
        pl.when(holder_lives)
        .then(None)
        .when(pl.col("asset").is_null())
        .then(kind + "_missing")
        .when(pl.col("assignment_id").is_null() & is_asset)
        .then(kind + "_unknown")
        .when(pl.col("assignment_id").is_null())
        .then(kind + "_malformed")
        .when(pl.col("holder").is_null())
        .then(kind + "_unassigned")
        .when(at >= pl.col("holder_until"))
        .then(pl.lit("tenant_archived"))
        .otherwise(pl.lit("tenant_not_yet_created"))
    )
    return [
        pl.when(by_header & header_lives)
        .then("header_tenant")
        .when(~by_header & holder_lives)
        .then("holder")
        .alias("account_id"),
        pl.when(by_header & header_lives)
        .then(pl.lit("header"))
        .when(~by_header & holder_lives)
        .then(kind)
        .alias("attributed_by"),
        pl.when(by_header).then(header_reason).otherwise(asset_reason).alias("reason"),
        pl.when(~by_header).then("assignment_id").when("is_named").then("header_event").alias("assignment_id"),
        (by_header & header_lives & holder_lives & (pl.col("holder") != pl.col("header_tenant")))
        .fill_null(False)
        .alias("conflict_header_ip"),
    ]


def _grouped(day: pl.LazyFrame) -> pl.DataFrame:
    """A day added up at the finest grain."""
    asset = pl.when("by_origin").then(pl.coalesce("x_tenant", "source_ip")).otherwise("number")
    return _rolled_up(day.with_columns(asset=asset, cost=pl.col("cost").cast(MONEY)))


def _rolled_up(rows: pl.LazyFrame | pl.DataFrame) -> pl.DataFrame:
    key = ["account_id", "attributed_by", "reason", "asset", *contract.LINE, "section", "unit"]
    return rows.lazy().group_by(key).agg(pl.col(MEASURES).sum()).collect(engine="streaming")


def _calls(day: pl.LazyFrame) -> pl.DataFrame:
    """The calls that take a channel, without the text of their accounts."""
    began = pl.col("started_at").dt.epoch("us")
    return (
        day.filter(pl.col("unit") == "minute", pl.col("duration_seconds") > 0)
        .select("account_id", began=began, ended=began + pl.col("duration_seconds") * 1_000_000)
        .collect()
    )


def _peaks(calls: pl.DataFrame, tenants: pl.DataFrame) -> pl.DataFrame:
    """The largest number of calls in progress of each tenant, and of all (`*`).

    Every call that begins ends, so a running sum over all tenants one after the other begins anew with each.
    """
    codes = tenants.select("account_id", code=pl.int_range(pl.len(), dtype=pl.Int32))
    coded = calls.join(codes, on="account_id", how="left").select("code", "began", "ended")
    everybody = _largest(coded.with_columns(code=pl.lit(-1, pl.Int32)))
    of_tenants = _largest(coded.drop_nulls("code")).join(codes, on="code")
    total = everybody.select(account_id=pl.lit("*"), peak_channels="peak_channels")
    return pl.concat([of_tenants.select("account_id", "peak_channels"), total])


def _largest(calls: pl.DataFrame) -> pl.DataFrame:
    # The last bit sorts ends before beginnings of the same instant.
    begins = calls.select("code", turn=pl.col("began") * 2 + 1)
    ends = calls.select("code", turn=pl.col("ended") * 2)
    in_progress = ((pl.col("turn") % 2) * 2 - 1).cum_sum()
    return (
        pl.concat([begins, ends])
        .sort("code", "turn")
        .with_columns(in_progress=in_progress)
        .group_by("code")
        .agg(peak_channels=pl.col("in_progress").max().cast(pl.Int64))
    )


def _write_tables(job: Job, totals: pl.DataFrame, tenants: pl.DataFrame, peaks: pl.DataFrame) -> None:
    line = [*contract.LINE, "section"]
    is_somebodys = pl.col("account_id").is_not_null()
    attributed, nobodys = totals.filter(is_somebodys), totals.filter(~is_somebodys)
    month = {"month": pl.lit(job.month), "period_start": pl.lit(job.start), "period_end": pl.lit(job.end)}
    inventory = [
        pl.lit(int(tenants[name].sum()), pl.Int64).alias(name) for name in ("local_numbers", "toll_free_numbers")
    ]
    peak = int(peaks.filter(pl.col("account_id") == "*")["peak_channels"].sum())
    tables = {
        "statement_lines": attributed.group_by("account_id", *line).agg(_measures()),
        "usage_by_asset": attributed.group_by("account_id", *line, "attributed_by", "asset").agg(_measures()),
        "unattributed": nobodys.group_by(*line, "reason", "asset").agg(_measures()),
        "organization_statement": totals.group_by(line).agg(
            [
                *_measures(),
                *_measures("attributed_", is_somebodys),
                *_measures("unattributed_", ~is_somebodys),
            ]
        ),
        "organization": totals.group_by("currency")
        .agg(_wide())
        .with_columns(**month)
        .with_columns(*inventory, pl.lit(peak, pl.Int64).alias("peak_channels")),
        "statements": _statements(job, attributed, tenants, peaks).with_columns(**month),
    }
    for name, table in tables.items():
        table.sort(contract.ORDERS[name], nulls_last=True).write_parquet(job.table(name), **WRITE)


def _statements(job: Job, attributed: pl.DataFrame, tenants: pl.DataFrame, peaks: pl.DataFrame) -> pl.DataFrame:
    start = pl.lit(job.start).cast(pl.Datetime("us", "UTC"))
    sums = attributed.group_by("account_id", "currency").agg(_wide())
    without = (
        tenants.filter("has_statement")
        .join(sums, on="account_id", how="anti")
        .select("account_id", currency=pl.lit(contract.DEFAULT_CURRENCY))
    )
    wide = [name for name in sums.columns if name not in ("account_id", "currency")]
    return (
        pl.concat([sums, without], how="diagonal")
        .with_columns(pl.col(wide).fill_null(0))
        .join(tenants, on="account_id")
        .join(peaks, on="account_id", how="left")
        .select(
            "account_id",
            "tenant_name",
            "currency",
            *wide,
            "asset_changes",
            "local_numbers",
            "toll_free_numbers",
            statement_id=pl.col("account_id") + f"/{job.month}/" + pl.col("currency"),
            is_partial_month=pl.col("alive_from") > start,
            first_effective_at=pl.when(pl.col("alive_from") > start).then("alive_from"),
            archived_at=pl.when(pl.col("archived_at") > start).then("archived_at"),
            peak_channels=pl.col("peak_channels").fill_null(0),
        )
    )


def _minutes(seconds: pl.Expr) -> pl.Expr:
    millionths = (seconds * 1_000_000 + 30) // 60
    return (millionths.cast(pl.Decimal(38, 0)) * pl.lit(Decimal("0.000001"))).cast(pl.Decimal(38, 6))


def _measures(prefix: str = "", only: pl.Expr | None = None) -> list[pl.Expr]:
    sums = {name: (pl.col(name).filter(only) if only is not None else pl.col(name)).sum() for name in MEASURES}
    sums["minutes"] = _minutes(sums["billed_seconds"])
    return [total.alias(prefix + name) for name, total in sums.items()]


def _wide() -> list[pl.Expr]:
    sums = []
    for column in contract.wide():
        only = pl.lit(True)
        for name in ("service", "section"):
            if value := getattr(column, name):
                only = only & (pl.col(name) == value)
        if column.minute_only:
            only = only & (pl.col("unit") == "minute")
        total = pl.col(column.measure).filter(only).sum()
        sums.append((_minutes(total) if column.measure == "billed_seconds" else total).alias(column.name))
    return [
        *sums,
        pl.lit(0, pl.Int64).alias("correction_count"),
        pl.lit(Decimal(0)).cast(MONEY).alias("correction_cost"),
    ]


if __name__ == "__main__":
    main()

"""pandas: merge_asof on the few columns that decide, everything else kept in Arrow and never turned into pandas.

What belongs here: this library's best plan. It has no other way than memory.
"""

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.peers import contract

KEYS = ["record_id", "service", "direction", "started_at", "number", "source_ip", "x_tenant", "batch_id", "source_row"]


def main() -> None:
    """Do the job."""
    job, stages = contract.read_job(), contract.Stages()
    table = pa.concat_tables([pq.read_table(path, columns=list(contract.CANONICAL)) for path in job.cdrs])
    stages.done("read")
    keys = table.select(KEYS).to_pandas(types_mapper=pd.ArrowDtype)
    keys["started_at"] = keys["started_at"].astype("datetime64[us, UTC]")
    keys = keys.loc[~keys.index.isin(_superseded(keys))]
    stages.done("deduplicate")
    decided = _attribute(keys, _with_times(job.lives), _with_times(job.periods))
    stages.done("attribute")
    table = table.take(pa.array(decided.index))
    for name in ("account_id", "attributed_by"):
        table = table.append_column(name, pa.array(decided[name], type=pa.string()))
    pq.write_table(table, job.detail, compression="zstd")
    stages.done("write")
    # Arrow adds decimals exactly, pandas would turn them into objects. Wide enough for any sum.
    wide = table.set_column(table.schema.get_field_index("cost"), "cost", pc.cast(table["cost"], pa.decimal128(38, 9)))
    lines = wide.group_by(list(contract.LINE)).aggregate(
        [([], "count_all"), ("billed_seconds", "sum"), ("cost", "sum")]
    )
    pq.write_table(lines.rename_columns([*contract.LINE, "record_count", "billed_seconds", "cost"]), job.lines)
    stages.done("add up")
    stages.tell()


def _with_times(path: str) -> pd.DataFrame:
    frame = pq.read_table(path).to_pandas(types_mapper=pd.ArrowDtype)
    for name in frame.columns.intersection(["valid_from", "valid_to", "alive_from", "alive_until"]):
        frame[name] = frame[name].astype("datetime64[us, UTC]")
    return frame


def _superseded(keys: pd.DataFrame) -> pd.Index:
    """Index of every delivery that a later one replaces."""
    repeated = keys.loc[keys["record_id"].duplicated(keep=False), ["record_id", "batch_id", "source_row"]]
    in_order = repeated.sort_values(["batch_id", "source_row"])
    return in_order.index[in_order["record_id"].duplicated(keep="last")]


def _attribute(keys: pd.DataFrame, lives: pd.DataFrame, periods: pd.DataFrame) -> pd.DataFrame:
    is_origin = (keys["direction"] == "outbound") & keys["service"].isin(contract.origin_services())
    header = keys["x_tenant"].where(is_origin)
    asset = keys["source_ip"].where(is_origin & keys["x_tenant"].isna(), keys["number"].where(~is_origin))
    at = keys["started_at"]

    life = lives.set_index("account_id").reindex(header)
    is_alive = (at.array >= life["alive_from"].array) & (at.array < life["alive_until"].array)
    header_tenant = header.where(pd.Series(is_alive, index=keys.index))

    calls = pd.DataFrame({"asset": asset, "started_at": at}).dropna().sort_values("started_at")
    found = pd.merge_asof(
        calls, periods.sort_values("valid_from"), left_on="started_at", right_on="valid_from", by="asset"
    )
    found.index = calls.index
    holder = found["account_id"].where(found["started_at"] < found["valid_to"]).reindex(keys.index)

    by = pd.Series(pd.NA, index=keys.index, dtype=keys["number"].dtype)
    by = by.mask(holder.notna(), "number").mask(holder.notna() & is_origin, "ip").mask(header_tenant.notna(), "header")
    return pd.DataFrame({"account_id": header_tenant.fillna(holder), "attributed_by": by})


if __name__ == "__main__":
    main()

"""pandas: merge_asof on the few columns that decide, one day at a time; everything else stays in Arrow.

What belongs here: this library's best plan. Money is added up by Arrow, since pandas would add Python objects, and
peaks by NumPy, which it is made of.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.alike import contract, proof
from benchmarks.alike.contract import Job
from benchmarks.peers.contract import Stages

MEASURES = ("record_count", "duration_seconds", "billed_seconds", "cost")
MONEY = pa.decimal128(38, 9)
KEY = ["account_id", "attributed_by", "reason", "asset", "service", "direction", "currency"]
DECIDING = ["service", "direction", "started_at", "number", "source_ip", "x_tenant"]
WRITE = {"compression": "zstd", "compression_level": 1}
TEXT = pd.ArrowDtype(pa.string())


@dataclass(frozen=True)
class Lookups:
    """What a record is looked up in: deliveries that do not stand, holdings by asset, tenants, and services."""

    fallen: pa.Table
    holdings: pd.DataFrame
    tenants: pd.DataFrame
    services: pd.DataFrame


def main() -> None:
    """Do the job."""
    job, stages = contract.read_job(), Stages()
    fallen = _fallen(job)
    stages.done("deduplicate")
    holdings = _read(job.holdings).sort_values("valid_from", kind="stable")
    tenants = _read(job.tenants)
    services = pd.DataFrame([vars(row) for row in contract.services()])
    codes = {account: code for code, account in enumerate(tenants["account_id"])}
    lookups = Lookups(fallen, holdings, tenants, services)
    stages.done("prepare lookups")
    totals, calls = [], []
    for start, end, path in job.days:
        table, by_minute, asset = _day(job, lookups, (start, end))
        pq.write_table(table.select(contract.USAGE), path, **WRITE)
        totals.append(_added(table.append_column("asset", asset), KEY))
        calls.append(_calls(table, by_minute, codes))
    stages.done("usage, totals of days")
    peaks = _peaks(*(np.concatenate(parts) for parts in zip(*calls, strict=True)))
    stages.done("peaks")
    totals = _added(pa.concat_tables(totals), KEY)
    _write_tables(job, totals, tenants, services, pd.Series(peaks))
    stages.done("tables")
    proof.prove(job)
    stages.done("prove")
    stages.tell()


def _read(path: str) -> pd.DataFrame:
    frame = pq.read_table(path).to_pandas(types_mapper=pd.ArrowDtype)
    for name in frame.columns.intersection(["valid_from", "valid_until", "alive_from", "alive_until", "archived_at"]):
        frame[name] = frame[name].astype("datetime64[us, UTC]")
    return frame


def _fallen(job: Job) -> pa.Table:
    """Places of the deliveries that do not stand."""
    ids = pa.concat_tables([pq.read_table(path, columns=["record_id"]) for path in job.cdrs])["record_id"]
    hashes = pd.util.hash_array(ids.to_numpy(), categorize=False)
    repeated = pd.Series(hashes).duplicated(keep=False).to_numpy()
    wanted = pa.array(ids.filter(pa.array(repeated)).unique())
    del ids, hashes
    rows = pa.concat_tables(
        [
            pq.read_table(
                path, columns=[*contract.CARRIED, *contract.PLACE], filters=pc.field("record_id").isin(wanted)
            )
            for path in job.cdrs
        ]
    ).to_pandas(types_mapper=pd.ArrowDtype)
    rows = rows.sort_values(["record_id", *contract.PLACE], ignore_index=True)
    last = rows.shift(1)
    same = pd.Series(True, index=rows.index)
    for name in contract.CARRIED:
        both_null = rows[name].isna() & last[name].isna()
        same &= both_null | (rows[name] == last[name]).fillna(False).astype(bool)
    changes = rows.index.to_series().where(~same)
    stands = changes.groupby(rows["record_id"]).transform("max") == rows.index
    return pa.Table.from_pandas(rows.loc[~stands, list(contract.PLACE)], preserve_index=False)


def _day(job: Job, lookups: Lookups, day: tuple[datetime, datetime]) -> tuple[pa.Table, np.ndarray, pa.Array]:
    """A day's records with their tenants in order, which of them are calls, and the asset of each."""
    at = pc.field("started_at")
    within = (at >= pa.scalar(day[0])) & (at < pa.scalar(day[1]))
    columns = [*contract.CARRIED, *contract.PLACE]
    table = pa.concat_tables([pq.read_table(path, columns=columns, filters=within) for path in job.cdrs])
    place = pd.MultiIndex.from_frame(table.select(contract.PLACE).to_pandas())
    has_fallen = place.isin(pd.MultiIndex.from_frame(lookups.fallen.to_pandas()))
    table = table.filter(pa.array(~has_fallen))
    holdings = lookups.holdings
    overlapping = holdings[(holdings["valid_until"] > day[0]) & (holdings["valid_from"] < day[1])]
    decided, by_minute, asset = _decide(_keys(table), overlapping, lookups)
    for name in contract.DECIDED:
        kind = pa.bool_() if name == "conflict_header_ip" else pa.string()
        table = table.append_column(name, pa.array(decided[name], type=kind))
    constants = {
        "line_type": pa.scalar("usage"),
        "entry": pa.scalar("usage"),
        "record_count": pa.scalar(1, pa.int64()),
        "usage_month": pa.scalar(job.start.date()),
    }
    for name, value in constants.items():
        table = table.append_column(name, pa.repeat(value, table.num_rows))
    for name, kind in (
        ("duration_seconds", pa.int64()),
        ("billed_seconds", pa.int64()),
        ("cost", pa.decimal128(18, 9)),
    ):
        table = table.set_column(table.schema.get_field_index(name), name, pc.cast(table[name], kind))
    order = pc.sort_indices(
        table, sort_keys=[(name, "ascending") for name in contract.USAGE_ORDER], null_placement="at_end"
    )
    return table.take(order), by_minute[order.to_numpy()], pa.array(asset, type=pa.string()).take(order)


def _keys(table: pa.Table) -> pd.DataFrame:
    keys = table.select(DECIDING).to_pandas(types_mapper=pd.ArrowDtype)
    keys["started_at"] = keys["started_at"].astype("datetime64[us, UTC]")
    return keys


def _decide(keys: pd.DataFrame, holdings: pd.DataFrame, lookups: Lookups) -> tuple[pd.DataFrame, np.ndarray, pd.Series]:
    """The account, the method, the reason, the evidence and the conflict (rules 8 to 11, 16 and 17)."""
    pairs = pd.MultiIndex.from_frame(keys[["service", "direction"]])
    service = lookups.services.set_index(["service", "direction"]).reindex(pairs)
    by_origin = (service["attributed_by"] == "origin").to_numpy()
    by_minute = (service["unit"] == "minute").to_numpy()
    at, header = keys["started_at"], keys["x_tenant"].where(by_origin)
    by_header = header.notna().to_numpy()
    asset = keys["source_ip"].where(by_origin, keys["number"])
    # Numbers begin with a plus and IPs never do: neither may find the other.
    is_number = asset.str.startswith("+").fillna(False).to_numpy(dtype=bool)
    held = _held(asset.where(is_number != by_origin), at, holdings)
    holder_lives = ((held["alive_from"] <= at) & (at < held["alive_until"])).to_numpy(dtype=bool)
    tenants = lookups.tenants
    named = tenants.set_index(tenants["account_id"].str.lower()).reindex(header.str.lower())
    named.index = keys.index
    is_named = (named["account_id"] == header).fillna(False).to_numpy(dtype=bool)
    header_lives = is_named & ((named["alive_from"] <= at) & (at < named["alive_until"])).to_numpy(dtype=bool)
    account = named["account_id"].where(by_header & header_lives, held["account_id"].where(~by_header & holder_lives))
    kind = np.where(by_origin, "ip", "number").astype(object)
    method = np.where(by_header, np.where(header_lives, "header", None), np.where(holder_lives, kind, None))
    conflict = by_header & header_lives & holder_lives
    conflict &= (held["account_id"] != named["account_id"]).fillna(False).to_numpy(dtype=bool)
    evidence = held["assignment_id"].where(~by_header, named["assignment_id"].where(is_named))
    has_tenant = np.where(by_header, header_lives, holder_lives).astype(bool)
    reason = pd.Series(None, index=keys.index, dtype=TEXT)
    of_header, of_asset = by_header & ~has_tenant, ~by_header & ~has_tenant
    reason[of_header] = _header_reasons(header[of_header], at[of_header], named[of_header], is_named[of_header])
    reason[of_asset] = _asset_reasons(asset[of_asset], at[of_asset], held[of_asset], kind[of_asset])
    decided = {
        "account_id": account,
        "attributed_by": method,
        "reason": reason,
        "assignment_id": evidence,
        "conflict_header_ip": conflict,
    }
    return pd.DataFrame(decided, index=keys.index), by_minute, header.fillna(asset)


def _held(asset: pd.Series, at: pd.Series, holdings: pd.DataFrame) -> pd.DataFrame:
    """The holding of each record's asset at its start."""
    calls = pd.DataFrame({"asset": asset, "started_at": at}).dropna().sort_values("started_at", kind="stable")
    found = pd.merge_asof(calls, holdings, left_on="started_at", right_on="valid_from", by="asset")
    found.index = calls.index
    return found.reindex(asset.index)


def _header_reasons(header: pd.Series, at: pd.Series, named: pd.DataFrame, is_named: np.ndarray) -> pd.Series:
    is_possible = header.str.fullmatch(contract.ACCOUNT_ID).to_numpy(dtype=bool)
    is_possible &= ~header.str.contains("..", regex=False).to_numpy(dtype=bool)
    is_early = is_named & (at < named["alive_from"]).to_numpy(dtype=bool)
    return pd.Series(
        np.select(
            [is_early, is_named, ~is_possible, named["account_id"].notna().to_numpy()],
            ["tenant_not_yet_created", "tenant_archived", "header_malformed", "header_case_mismatch"],
            "header_unknown_tenant",
        ),
        index=header.index,
        dtype=TEXT,
    )


def _asset_reasons(asset: pd.Series, at: pd.Series, held: pd.DataFrame, kind: np.ndarray) -> pd.Series:
    is_ip, text = kind == "ip", asset.fillna("")
    is_formed = np.where(is_ip, text.str.fullmatch(contract.IP), text.str.fullmatch(contract.E164)).astype(bool)
    has_no_event = held["assignment_id"].isna().to_numpy()
    is_archived = (at >= held["alive_until"]).to_numpy(dtype=bool)
    return pd.Series(
        np.select(
            [
                asset.isna().to_numpy(),
                has_no_event & is_formed,
                has_no_event,
                held["account_id"].isna().to_numpy(),
                is_archived,
            ],
            [kind + "_missing", kind + "_unknown", kind + "_malformed", kind + "_unassigned", "tenant_archived"],
            "tenant_not_yet_created",
        ),
        index=asset.index,
        dtype=TEXT,
    )


def _added(table: pa.Table, key: list[str]) -> pa.Table:
    """Rows added up exactly at a grain."""
    table = table.set_column(table.schema.get_field_index("cost"), "cost", pc.cast(table["cost"], MONEY))
    added = table.group_by(key).aggregate([(measure, "sum") for measure in MEASURES])
    return added.rename_columns([name.removesuffix("_sum") for name in added.column_names]).select([*key, *MEASURES])


def _calls(table: pa.Table, by_minute: np.ndarray, codes: dict[str, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Account's code (-1: nobody's), beginning and end of each call that takes a channel, in microseconds."""
    seconds = table["duration_seconds"].fill_null(0).to_numpy()
    is_call = by_minute & (seconds > 0)
    account = table["account_id"].combine_chunks().dictionary_encode()
    of_value = np.array([codes[value] for value in account.dictionary.to_pylist()] + [-1], dtype=np.int64)
    code = of_value[account.indices.fill_null(len(of_value) - 1).to_numpy(zero_copy_only=False)]
    began = pc.cast(table["started_at"], pa.int64()).to_numpy()
    return code[is_call], began[is_call], (began + seconds * 1_000_000)[is_call]


def _peaks(code: np.ndarray, began: np.ndarray, ended: np.ndarray) -> dict[int, int]:
    """Peaks by account's code; -1 is the peak of all. One integer holds code, instant and side, ends first."""
    origin = began.min() if len(began) else 0
    rows = {}
    for name, codes, chosen in (("tenants", code, code >= 0), ("all", np.zeros_like(code), np.full(len(code), True))):
        turns = np.concatenate([(began[chosen] - origin) * 2 + 1, (ended[chosen] - origin) * 2])
        scope = np.concatenate([codes[chosen], codes[chosen]])
        order = np.lexsort((turns, scope)) if name == "tenants" else np.argsort(turns)
        turns, scope = turns[order], scope[order]
        in_progress = np.cumsum((turns & 1) * 2 - 1)
        starts = np.flatnonzero(np.diff(scope, prepend=-1))
        if len(starts):
            found = np.maximum.reduceat(in_progress, starts)
            rows |= dict(zip(scope[starts] if name == "tenants" else [-1], found, strict=True))
    return rows


def _write_tables(job: Job, totals: pa.Table, tenants: pd.DataFrame, services: pd.DataFrame, peaks: pd.Series) -> None:
    line = ["service", "direction", "currency"]
    attributed = totals.filter(pc.is_valid(totals["account_id"]))
    nobodys = totals.filter(pc.is_null(totals["account_id"]))
    lines = _added(attributed, ["account_id", *line])
    tables = {
        "statement_lines": _shown(job, lines, services),
        "usage_by_asset": _shown(job, _added(attributed, ["account_id", *line, "attributed_by", "asset"]), services),
        "unattributed": _shown(job, _added(nobodys, [*line, "reason", "asset"]), services),
        "organization_statement": _both(job, [_added(rows, line) for rows in (totals, attributed, nobodys)], services),
        "organization": _organization(job, _added(totals, line), tenants, services, peaks),
        "statements": _statements(job, lines, tenants, services, peaks),
    }
    for name, table in tables.items():
        keys = [(column, "ascending") for column in contract.ORDERS[name]]
        pq.write_table(
            table.take(pc.sort_indices(table, sort_keys=keys, null_placement="at_end")), job.table(name), **WRITE
        )


def _shown(job: Job, lines: pa.Table, services: pd.DataFrame) -> pa.Table:
    """Lines with their section, their month and their minutes."""
    section = {(row.service, row.direction): row.section for row in services.itertuples()}
    pairs = zip(lines["service"].to_pylist(), lines["direction"].to_pylist(), strict=True)
    return (
        lines.append_column("section", pa.array([section[pair] for pair in pairs], pa.string()))
        .append_column("line_type", pa.repeat("usage", lines.num_rows))
        .append_column("usage_month", pa.repeat(pa.scalar(job.start.date()), lines.num_rows))
        .append_column("minutes", _minutes(lines["billed_seconds"]))
    )


def _both(job: Job, parts: list[pa.Table], services: pd.DataFrame) -> pa.Table:
    """The organization's lines, beside what of them is attributed and what is not."""
    key, whole = ["service", "direction", "currency"], parts[0]
    for prefix, part in zip(("attributed_", "unattributed_"), parts[1:], strict=True):
        named = part.rename_columns([name if name in key else prefix + name for name in part.column_names])
        whole = whole.join(named, keys=key)
    for name in whole.column_names:
        if name not in key:
            zero = pa.scalar(0).cast(whole[name].type)
            whole = whole.set_column(whole.schema.get_field_index(name), name, pc.fill_null(whole[name], zero))
    shown = _shown(job, whole, services)
    for prefix in ("attributed_", "unattributed_"):
        shown = shown.append_column(prefix + "minutes", _minutes(shown[prefix + "billed_seconds"]))
    return shown


def _minutes(seconds: pa.ChunkedArray) -> pa.ChunkedArray:
    millionths = pc.divide(pc.add(pc.multiply(pc.fill_null(seconds, 0), 1_000_000), 30), 60)
    millionth = pa.scalar(Decimal("0.000001"), pa.decimal128(7, 6))
    return pc.cast(pc.multiply(pc.cast(millionths, pa.decimal128(19, 0)), millionth), pa.decimal128(38, 6))


def _wide(lines: pa.Table, key: list[str], services: pd.DataFrame) -> pa.Table:
    """One row per key, with every wide column. Arrow masks what does not count, and adds up."""
    of = {(row.service, row.direction): row for row in services.itertuples()}
    pairs = [of[p] for p in zip(lines["service"].to_pylist(), lines["direction"].to_pylist(), strict=True)]
    columns = {name: lines[name] for name in key}
    for wide in contract.wide():
        counts = pa.array(
            [
                (not wide.service or row.service == wide.service)
                and (not wide.section or row.section == wide.section)
                and (not wide.minute_only or row.unit == "minute")
                for row in pairs
            ]
        )
        zero = pa.scalar(0).cast(lines[wide.measure].type)
        columns[wide.name] = pc.if_else(counts, pc.fill_null(lines[wide.measure], zero), zero)
    names = [wide.name for wide in contract.wide()]
    added = pa.table(columns).group_by(key).aggregate([(name, "sum") for name in names])
    added = added.rename_columns([name.removesuffix("_sum") for name in added.column_names])
    for wide in contract.wide():
        if wide.measure == "billed_seconds":
            place = added.schema.get_field_index(wide.name)
            added = added.set_column(place, wide.name, _minutes(added[wide.name]))
    zeros = pa.repeat(pa.scalar(0, pa.int64()), added.num_rows)
    return added.append_column("correction_count", zeros).append_column("correction_cost", pc.cast(zeros, MONEY))


def _organization(
    job: Job, lines: pa.Table, tenants: pd.DataFrame, services: pd.DataFrame, peaks: pd.Series
) -> pa.Table:
    table = _wide(lines, ["currency"], services)
    figures = {name: int(tenants[name].sum()) for name in ("local_numbers", "toll_free_numbers")}
    figures["peak_channels"] = int(peaks.get(-1, 0))
    for name, value in figures.items():
        table = table.append_column(name, pa.repeat(pa.scalar(value, pa.int64()), table.num_rows))
    return _with_month(job, table)


def _statements(job: Job, lines: pa.Table, tenants: pd.DataFrame, services: pd.DataFrame, peaks: pd.Series) -> pa.Table:
    wide = _wide(lines, ["account_id", "currency"], services)
    facts = tenants.assign(peak_channels=peaks.reindex(tenants.index).fillna(0).astype("int64"))
    began = facts["alive_from"] > job.start
    facts["is_partial_month"] = began
    facts["first_effective_at"] = facts["alive_from"].where(began)
    facts["archived_at"] = facts["archived_at"].where(facts["archived_at"] > job.start)
    is_without = facts["has_statement"] & ~facts["account_id"].isin(wide["account_id"].to_pylist())
    kept = ["account_id", "tenant_name", "is_partial_month", "first_effective_at", "archived_at", "asset_changes"]
    kept += ["local_numbers", "toll_free_numbers", "peak_channels"]
    without = pa.Table.from_pandas(facts.loc[is_without, ["account_id"]], preserve_index=False)
    without = without.append_column("currency", pa.repeat(contract.DEFAULT_CURRENCY, without.num_rows))
    for field in wide.schema:
        if field.name not in without.column_names:
            without = without.append_column(field.name, pa.repeat(pa.scalar(0).cast(field.type), without.num_rows))
    stated = pa.concat_tables([wide, without.select(wide.column_names).cast(wide.schema)])
    stated = stated.join(pa.Table.from_pandas(facts[kept], preserve_index=False), keys="account_id")
    number = pc.binary_join_element_wise(stated["account_id"], job.month, stated["currency"], "/")
    return _with_month(job, stated.append_column("statement_id", number))


def _with_month(job: Job, table: pa.Table) -> pa.Table:
    instant = pa.timestamp("us", tz="UTC")
    for name, value in (
        ("month", pa.scalar(job.month)),
        ("period_start", pa.scalar(job.start, instant)),
        ("period_end", pa.scalar(job.end, instant)),
    ):
        table = table.append_column(name, pa.repeat(value, table.num_rows))
    return table


if __name__ == "__main__":
    main()

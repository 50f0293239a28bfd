"""The one checker of all deliverables: an engine's folder, or a frozen month of the product, against what is expected.

What belongs here: the multiset of usage rows by day, the order within every file, every row of every table, peaks, and
the hashes that the engine left. What does not: how anybody came to their rows. Imports nothing of the product.
"""

import hashlib
import ipaddress
import json
import re
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks import landed
from benchmarks.alike import contract
from benchmarks.alike.contract import Job

SCRIPT = Path(__file__).with_name("expected.sql")
MEASURES = ("record_count", "duration_seconds", "billed_seconds", "cost")
TYPES = {
    "started_at": "TIMESTAMP WITH TIME ZONE",
    "duration_seconds": "BIGINT",
    "billed_seconds": "BIGINT",
    "cost": "DECIMAL(18,9)",
    "conflict_header_ip": "BOOLEAN",
    "record_count": "BIGINT",
    "usage_month": "DATE",
    "source_row": "BIGINT",
}
# Sorts behind every Account ID and every asset, as nulls do.
LAST = "\U0010ffff"
# The whole row as one text, each column between marks that no column holds.
ROW = " || chr(31) || ".join(
    f"coalesce({'epoch_us(started_at)' if name == 'started_at' else name}::varchar, chr(1))" for name in contract.USAGE
)
# Two halves of a 128-bit hash of each row, summed: a multiset has one such pair.
DAY_SUMS = (
    "count(*)::bigint as rows, sum((m >> 64)::hugeint)::hugeint as high, "
    "sum((m & 18446744073709551615::uhugeint)::hugeint)::hugeint as low"
)
MINUTES = "(((sum(billed_seconds) * 1000000 + 30) // 60)::decimal(18, 0) * 0.000001::decimal(6, 6))::decimal(38, 6)"


def expect(job: Job, kept: Path, memory_limit: str = "4GB") -> None:
    """Work out what the month's deliverables must say, and keep it as a DuckDB file. Done once for all engines."""
    kept.unlink(missing_ok=True)
    connection = _connect(str(kept), memory_limit)
    _prepare(connection, job)
    for start, end, _ in job.days:
        connection.execute(
            "create or replace temp table day as from attributed("
            f"timestamptz '{start.isoformat()}', timestamptz '{end.isoformat()}')"
        )
        connection.execute(
            f"""
            insert into usage_days
                select '{start:%d}', {DAY_SUMS}
                from (select md5_number({ROW}) as m from (select * replace (cost::decimal(18, 9) as cost) from day));
            insert into totals
                select account_id, attributed_by, reason,
                    if(by_origin, coalesce(x_tenant, source_ip), number), service_number, currency,
                    count(*), sum(duration_seconds), sum(billed_seconds), sum(cost)
                from day
                group by all;
            insert into calls
                select account_id, epoch_us(started_at), epoch_us(started_at) + duration_seconds * 1000000
                from day
                inner join services on services.number = service_number
                where unit = 'minute' and duration_seconds > 0
            """
        )
    _keep_peaks(connection)
    _keep_tables(connection, job)
    connection.execute("drop table calls; drop table totals")
    connection.close()


def judge(folder: Path, kept: Path, memory_limit: str = "4GB") -> list[str]:
    """Everything that is wrong with a folder of deliverables; nothing when it is right."""
    connection = _connect(str(kept), memory_limit, read_only=True)
    try:
        return [
            *_missing(connection, folder),
            *_wrong_usage(connection, folder),
            *_wrong_tables(connection, folder),
            *_wrong_hashes(folder),
        ]
    finally:
        connection.close()


def _connect(database: str, memory_limit: str, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(database, read_only=read_only, config={"memory_limit": memory_limit})
    connection.execute("set TimeZone = 'UTC'; set enable_progress_bar = false; set preserve_insertion_order = false")
    return connection


def _prepare(connection: duckdb.DuckDBPyConnection, job: Job) -> None:
    said = ", ".join(f"'{name}': {name}" for name in contract.CARRIED)
    connection.execute(
        f"""
        set variable month_start = timestamptz '{job.start.isoformat()}';
        set variable month_end = timestamptz '{job.end.isoformat()}';
        create temp view landed as
            select * replace (duration_seconds::bigint as duration_seconds, billed_seconds::bigint as billed_seconds)
            from {landed.reader([Path(path) for path in job.cdrs])};
        create temp table holdings as
            select *, if(asset like '+%', 'number', 'ip') as kind from '{job.holdings}';
        create table tenants as from '{job.tenants}';
        create table services ({contract.SERVICE_COLUMNS});
        insert into services values {contract.services_sql()};
        create temp table unusable (kind varchar, asset varchar);
        create temp table impossible_accounts (account_id varchar);
        create table usage_days (day varchar, rows bigint, high hugeint, low hugeint);
        create table totals (
            account_id varchar, attributed_by varchar, reason varchar, asset varchar, service_number int,
            currency varchar, record_count hugeint, duration_seconds hugeint, billed_seconds hugeint,
            cost decimal(38, 9)
        );
        create table calls (account_id varchar, began bigint, ended bigint)
        """
    )
    for kind, column, usable in (("number", "number", _is_number), ("ip", "source_ip", _is_address)):
        values = connection.execute(f"select distinct {column} from landed where {column} is not null").fetchall()
        _insert(connection, "unusable", [(kind, value) for (value,) in values if not usable(value)])
    values = connection.execute("select distinct x_tenant from landed where x_tenant is not null").fetchall()
    _insert(connection, "impossible_accounts", [row for row in values if not _is_account(row[0])])
    connection.execute(SCRIPT.read_text(encoding="utf-8").replace("columns_of(landed)", f"{{{said}}}"))


def _insert(connection: duckdb.DuckDBPyConnection, table: str, rows: Sequence[tuple[str, ...]]) -> None:
    if rows:
        connection.executemany(f"insert into {table} values ({', '.join('?' * len(rows[0]))})", rows)


def _is_number(text: str) -> bool:
    return re.fullmatch(r"\+[1-9][0-9]{6,14}", text, re.ASCII) is not None


def _is_address(text: str) -> bool:
    try:
        return "%" not in text and str(ipaddress.ip_address(text)) == text
    except ValueError:
        return False


def _is_account(text: str) -> bool:
    return re.fullmatch(contract.ACCOUNT_ID, text, re.ASCII) is not None and ".." not in text


def _keep_peaks(connection: duckdb.DuckDBPyConnection) -> None:
    """The largest number of calls in progress: of each tenant, and of all (`*`). Ends come before beginnings."""
    connection.execute(
        """
        create table peaks as
        with scoped as (
            select account_id, began, ended from calls where account_id is not null
            union all
            select '*', began, ended from calls
        ),
        steps as (
            select account_id, began as instant, 1 as step from scoped
            union all
            select account_id, ended, -1 from scoped
        ),
        running as (
            select
                account_id,
                sum(step) over (partition by account_id order by instant, step rows unbounded preceding) as in_progress
            from steps
        )
        select account_id, max(in_progress)::bigint as peak_channels
        from running
        group by account_id
        """
    )


def _measures(prefix: str = "", only: str = "true") -> str:
    kinds = {"cost": "decimal(38, 9)"}
    sums = [
        f"coalesce(sum({name}) filter ({only}), 0)::{kinds.get(name, 'bigint')} as {prefix}{name}" for name in MEASURES
    ]
    minutes = MINUTES.replace("sum(billed_seconds)", f"coalesce(sum(billed_seconds) filter ({only}), 0)")
    return ", ".join([*sums[:3], f"{minutes} as {prefix}minutes", sums[3]])


def _wide() -> str:
    parts = []
    for column in contract.wide():
        total = f"coalesce(sum({column.measure}) filter ({column.condition}), 0)"
        if column.measure == "billed_seconds":
            parts.append(f"{MINUTES.replace('sum(billed_seconds)', total)} as {column.name}")
        else:
            kind = "decimal(38, 9)" if column.measure == "cost" else "bigint"
            parts.append(f"{total}::{kind} as {column.name}")
    return ", ".join([*parts, "0::bigint as correction_count", "0::decimal(38, 9) as correction_cost"])


def _keep_tables(connection: duckdb.DuckDBPyConnection, job: Job) -> None:
    line = (
        "currency, 'usage' as line_type, getvariable('month_start')::date as usage_month, service, direction, section"
    )
    month = (
        f"'{job.month}' as month, getvariable('month_start') as period_start, getvariable('month_end') as period_end"
    )
    connection.execute(
        f"""
        create temp view lines as
            select * exclude (service_number, number) from totals
            inner join services on services.number = service_number;
        create table statement_lines as
            select account_id, {line}, {_measures()} from lines where account_id is not null group by all;
        create table usage_by_asset as
            select account_id, {line}, attributed_by, asset, {_measures()}
            from lines where account_id is not null group by all;
        create table unattributed as
            select {line}, reason, asset, {_measures()} from lines where account_id is null group by all;
        create table organization_statement as
            select {line}, {_measures()}, {_measures("attributed_", "account_id is not null")},
                {_measures("unattributed_", "account_id is null")}
            from lines group by all;
        create table organization as
            select {month}, currency, {_wide()},
                (select coalesce(sum(local_numbers), 0)::bigint from tenants) as local_numbers,
                (select coalesce(sum(toll_free_numbers), 0)::bigint from tenants) as toll_free_numbers,
                coalesce((select peak_channels from peaks where account_id = '*'), 0) as peak_channels
            from lines group by currency;
        create table statements as
            with sums as (
                select account_id, currency, {_wide()} from lines where account_id is not null group by all
                union all by name
                select account_id, '{contract.DEFAULT_CURRENCY}' as currency
                from tenants
                where has_statement and account_id not in (select account_id from lines where account_id is not null)
            )
            select account_id || '/{job.month}/' || currency as statement_id, tenant_name, {month},
                alive_from > getvariable('month_start') as is_partial_month,
                case when alive_from > getvariable('month_start') then alive_from end as first_effective_at,
                case when archived_at > getvariable('month_start') then archived_at end as archived_at,
                asset_changes, local_numbers, toll_free_numbers, coalesce(peak_channels, 0) as peak_channels,
                account_id, currency,
                coalesce(columns(sums.* exclude (account_id, currency)), 0)
            from sums
            left join tenants using (account_id)
            left join peaks using (account_id)
        """
    )


def _missing(connection: duckdb.DuckDBPyConnection, folder: Path) -> list[str]:
    days = [day for (day,) in connection.execute("select day from usage_days order by day").fetchall()]
    wanted = [*(f"usage/day={day}.parquet" for day in days), *(f"{table}.parquet" for table in contract.ORDERS)]
    return [f"{name} is missing" for name in wanted if not (folder / name).is_file()]


def _wrong_usage(connection: duckdb.DuckDBPyConnection, folder: Path) -> list[str]:
    wrong = []
    for day, *expected in connection.execute("from usage_days order by day").fetchall():
        path = folder / "usage" / f"day={day}.parquet"
        if not path.is_file():
            continue
        source = f"read_parquet('{path}', hive_partitioning = false)"
        columns = connection.execute(f"describe from {source}").fetchall()
        if [(name, kind) for name, kind, *_ in columns] != [
            (name, TYPES.get(name, "VARCHAR")) for name in contract.USAGE
        ]:
            wrong.append(f"usage of day {day} has other columns: {[column[:2] for column in columns]}")
            continue
        found = connection.execute(f"select {DAY_SUMS} from (select md5_number({ROW}) as m from {source})").fetchone()
        if found is None or found != tuple(expected):
            rows = found[0] if found else 0
            wrong.append(f"usage of day {day}: {rows} rows that are not the {expected[0]} expected ones")
        if not _is_in_order(path, contract.USAGE_ORDER):
            wrong.append(f"usage of day {day} is not in order")
        if codec := _other_codec(path):
            wrong.append(f"usage of day {day} is {codec}, not ZSTD")
    return wrong


def _wrong_tables(connection: duckdb.DuckDBPyConnection, folder: Path) -> list[str]:
    wrong = []
    for table, order in contract.ORDERS.items():
        path = folder / f"{table}.parquet"
        if not path.is_file():
            continue
        given = dict(row[:2] for row in connection.execute(f"describe {table}").fetchall())
        source = f"read_parquet('{path}', hive_partitioning = false)"
        found = [row[0] for row in connection.execute(f"describe from {source}").fetchall()]
        if set(found) != set(given):
            wrong.append(f"{table} has other columns: {sorted(set(found) ^ set(given))}")
            continue
        ours = f"select {', '.join(given)} from {table}"
        theirs = f"select {', '.join(f'{name}::{kind} as {name}' for name, kind in given.items())} from {source}"
        lacking = len(connection.execute(f"{ours} except all {theirs}").fetchall())
        beyond = len(connection.execute(f"{theirs} except all {ours}").fetchall())
        if lacking or beyond:
            wrong.append(f"{table}: {lacking} expected rows are not there, {beyond} others are")
        if not _is_in_order(path, order):
            wrong.append(f"{table} is not in order")
    return wrong


def _wrong_hashes(folder: Path) -> list[str]:
    """The engine's `proof.json` or the product's `manifest.json` must name every file with its SHA-256."""
    proof, manifest = folder / "proof.json", folder / "manifest.json"
    if manifest.is_file():
        files = {file["name"]: file["sha256"] for file in json.loads(manifest.read_text(encoding="utf-8"))["outputs"]}
    elif proof.is_file():
        files = json.loads(proof.read_text(encoding="utf-8"))
    else:
        return ["no hashes were left"]
    wanted = [*(str(path.relative_to(folder)) for path in (folder / "usage").glob("day=*.parquet"))]
    wanted += [f"{table}.parquet" for table in contract.ORDERS]
    wrong = [f"{name} has no SHA-256" for name in wanted if name not in files]
    for name in set(wanted) & set(files):
        with (folder / name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != files[name]:
                wrong.append(f"{name} has another SHA-256")
    return wrong


def _is_in_order(path: Path, order: Sequence[str]) -> bool:
    """Whether every row is strictly greater than the one before it: bytewise, nulls last."""
    table = pq.ParquetFile(path).read(columns=list(order))
    if table.num_rows < 2:
        return True
    increases: pa.ChunkedArray = pa.chunked_array([pa.repeat(False, table.num_rows - 1)])
    for name in reversed(order):
        column = table[name]
        if not pa.types.is_temporal(column.type):
            column = pc.fill_null(pc.cast(column, pa.large_string()), pa.scalar(LAST, pa.large_string()))
        before, after = column[:-1], column[1:]
        increases = pc.or_(pc.less(before, after), pc.and_(pc.equal(before, after), increases))
    return bool(pc.all(increases).as_py())


def _other_codec(path: Path) -> str:
    footer = pq.read_metadata(path)
    codecs = {
        footer.row_group(group).column(column).compression
        for group in range(footer.num_row_groups)
        for column in range(footer.num_columns)
    }
    return ", ".join(sorted(codecs - {"ZSTD"}))

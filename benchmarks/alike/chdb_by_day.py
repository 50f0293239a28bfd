"""ClickHouse, in process: one day at a time through its ASOF join, its own aggregate for the peaks.

What belongs here: this engine's best plan. A day is sorted at once, not the month, and only the holdings of the day are
hashed.
"""

from datetime import datetime
from pathlib import Path

from chdb import session

from benchmarks.alike import contract, proof
from benchmarks.alike.contract import Job
from benchmarks.peers.contract import Stages

SETTINGS = (
    "SETTINGS join_use_nulls = 1, max_threads = 2, output_format_parquet_compression_method = 'zstd', "
    "output_format_compression_level = 1, session_timezone = 'UTC', output_format_parquet_datetime_as_uint32 = 0, "
    "schema_inference_make_columns_nullable = 1, prefer_column_name_to_alias = 1"
)
# Of the 1.5 GB, for a query; beside it stand the engine's own code and caches, and PyArrow.
CAPPED_QUERY = ", max_memory_usage = 800000000, max_bytes_before_external_sort = 250000000"
MEASURES = ("record_count", "duration_seconds", "billed_seconds", "cost")


class ClickHouse:
    """A session that adds the settings to each query."""

    def __init__(self, job: Job) -> None:
        self._session = session.Session(str(job.out / "chdb"))
        self._settings = SETTINGS + (CAPPED_QUERY if job.memory_mb else "")

    def do(self, query: str) -> None:
        """Run one statement."""
        self._session.query(f"{query} {self._settings}")

    def close(self) -> None:
        """Free what the engine holds."""
        self._session.close()


def main() -> None:
    """Do the job."""
    job, stages = contract.read_job(), Stages()
    clickhouse = ClickHouse(job)
    delivered = _all_of([Path(path) for path in job.cdrs], job.out / "delivered")
    _deduplicate(clickhouse, delivered)
    stages.done("deduplicate")
    _prepare(clickhouse, job)
    stages.done("prepare lookups")
    for start, end, path in job.days:
        clickhouse.do(f"INSERT INTO FUNCTION file('{path}', Parquet) {_day(job, delivered, start, end)}")
    stages.done("usage")
    usage = _all_of([path for _, _, path in job.days], job.out / "written")
    _add_up(clickhouse, job, usage)
    stages.done("totals")
    _find_peaks(clickhouse, usage)
    stages.done("peaks")
    for name, query in _tables(job).items():
        order = ", ".join(f"{column} ASC NULLS LAST" for column in contract.ORDERS[name])
        clickhouse.do(
            f"INSERT INTO FUNCTION file('{job.table(name)}', Parquet) SELECT * FROM ({query}) ORDER BY {order}"
        )
    clickhouse.close()
    stages.done("tables")
    proof.prove(job)
    stages.done("prove")
    stages.tell()


def _file(path: Path | str) -> str:
    return f"file('{path}', Parquet)"


def _all_of(paths: list[Path], folder: Path) -> str:
    """ClickHouse's reader over these files, linked into one folder: its lists in braces may hold no slashes."""
    folder.mkdir()
    for number, path in enumerate(paths):
        (folder / f"{number:05d}.parquet").symlink_to(path)
    return _file(f"{folder}/*.parquet")


def _instant(instant: datetime) -> str:
    return f"toDateTime64('{instant:%Y-%m-%d %H:%M:%S}', 6, 'UTC')"


def _deduplicate(clickhouse: ClickHouse, delivered: str) -> None:
    """Find the repeated ids by hash, and of their deliveries those that do not stand."""
    said = ", ".join(contract.CARRIED)
    clickhouse.do(
        f"""
        CREATE TABLE repeated ENGINE = Memory AS
        SELECT h FROM (SELECT cityHash64(record_id) AS h FROM {delivered}) GROUP BY h HAVING count() > 1
        """
    )
    # A tuple of texts tells nulls from empty texts, and equal rows are equal texts.
    clickhouse.do(
        f"""
        CREATE TABLE fallen ENGINE = Memory AS
        SELECT batch_id, source_row
        FROM (
            SELECT
                record_id, batch_id, source_row, repeats,
                row_number() OVER (
                    PARTITION BY record_id, repeats ORDER BY batch_id DESC, source_row DESC
                ) AS from_last
            FROM (
                SELECT
                    record_id, batch_id, source_row,
                    said = lagInFrame(said, 1, '') OVER (
                        PARTITION BY record_id ORDER BY batch_id, source_row
                        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
                    ) AS repeats
                FROM (
                    SELECT record_id, batch_id, source_row, toString(tuple({said})) AS said
                    FROM {delivered}
                    WHERE cityHash64(record_id) IN (SELECT h FROM repeated)
                )
            )
        )
        WHERE repeats OR from_last > 1
        """
    )


def _prepare(clickhouse: ClickHouse, job: Job) -> None:
    clickhouse.do(f"CREATE TABLE holdings ENGINE = Memory AS SELECT * FROM {_file(job.holdings)}")
    clickhouse.do(
        f"""
        CREATE TABLE tenants ENGINE = Memory AS
        SELECT assumeNotNull(account_id) AS account, lower(account) AS account_key, *, rowNumberInAllBlocks() AS code
        FROM {_file(job.tenants)}
        """
    )
    rows = ", ".join(
        f"({number}, '{row.service}', '{row.direction}', {int(row.attributed_by == 'origin')}, "
        f"'{row.unit}', '{row.section}')"
        for number, row in enumerate(contract.services())
    )
    clickhouse.do(
        f"""
        CREATE TABLE services ENGINE = Memory AS
        SELECT * FROM values(
            'number UInt8, service String, direction String, by_origin UInt8, unit String, section String', {rows}
        )
        """
    )


def _day(job: Job, delivered: str, start: datetime, end: datetime) -> str:
    """A day's records with their tenants, in order."""
    carried = ", ".join(contract.CARRIED)
    first, last = _instant(start), _instant(end)
    keyed = f"""
        SELECT
            {", ".join(f"delivered.{name} AS {name}" for name in (*contract.CARRIED, *contract.PLACE))},
            services.by_origin = 1 AS by_origin,
            by_origin AND delivered.x_tenant IS NOT NULL AS by_header,
            if(by_origin, delivered.source_ip, delivered.number) AS asset,
            if(startsWith(ifNull(asset, ''), '+') != by_origin, asset, NULL) AS asset_key,
            if(by_origin, lower(delivered.x_tenant), NULL) AS header_key
        FROM (
            SELECT {carried}, batch_id, source_row
            FROM {delivered}
            WHERE started_at >= {first} AND started_at < {last}
                AND (batch_id, source_row) NOT IN (SELECT batch_id, source_row FROM fallen)
        ) AS delivered
        INNER JOIN services ON delivered.service = services.service AND delivered.direction = services.direction
    """
    held = f"""
        SELECT
            {", ".join(f"keyed.{name} AS {name}" for name in (*contract.CARRIED, *contract.PLACE))},
            keyed.by_origin AS by_origin, keyed.by_header AS by_header, keyed.asset AS asset,
            if(by_origin, 'ip', 'number') AS kind,
            holdings.account_id AS holder, holdings.assignment_id AS holder_event, holdings.alive_until AS holder_until,
            ifNull(started_at >= holdings.alive_from AND started_at < holdings.alive_until, 0) AS holder_lives,
            tenants.account_id AS header_tenant, tenants.assignment_id AS header_event,
            ifNull(x_tenant = tenants.account_id, 0) AND by_header AS is_named,
            is_named AND ifNull(started_at < tenants.alive_from, 0) AS is_early,
            is_named AND NOT is_early AND ifNull(started_at < tenants.alive_until, 0) AS header_lives
        FROM ({keyed}) AS keyed
        LEFT JOIN tenants ON keyed.header_key = tenants.account_key
        ASOF LEFT JOIN (
            SELECT * FROM holdings WHERE valid_until > {first} AND valid_from < {last}
        ) AS holdings ON keyed.asset_key = holdings.asset AND keyed.started_at >= holdings.valid_from
    """
    return f"""
        SELECT
            {", ".join(_cast(name) for name in contract.CARRIED)},
            if(by_header, if(header_lives, header_tenant, NULL), if(holder_lives, holder, NULL)) AS account_id,
            if(by_header, if(header_lives, 'header', NULL), if(holder_lives, kind, NULL)) AS attributed_by,
            {_reason()} AS reason,
            if(by_header, if(is_named, header_event, NULL), holder_event) AS assignment_id,
            CAST(
                ifNull(by_header AND header_lives AND holder_lives AND holder != header_tenant, 0), 'Nullable(Bool)'
            ) AS conflict_header_ip,
            'usage' AS line_type, 'usage' AS entry, toInt64(1) AS record_count,
            toDate32('{job.start:%Y-%m-%d}') AS usage_month, batch_id, source_row
        FROM ({held})
        ORDER BY account_id ASC NULLS LAST, started_at, record_id
    """


def _cast(name: str) -> str:
    kinds = {"duration_seconds": "toInt64", "billed_seconds": "toInt64"}
    return f"{kinds[name]}({name}) AS {name}" if name in kinds else name


def _reason() -> str:
    """The reason of a record without a tenant (rule 16)."""
    return f"""multiIf(
                if(by_header, header_lives, holder_lives), NULL,
                by_header AND is_early, 'tenant_not_yet_created',
                by_header AND is_named, 'tenant_archived',
                by_header AND (
                    NOT match(ifNull(x_tenant, ''), '^(?:{contract.ACCOUNT_ID})$') OR position(x_tenant, '..') > 0
                ), 'header_malformed',
                by_header AND header_tenant IS NOT NULL, 'header_case_mismatch',
                by_header, 'header_unknown_tenant',
                asset IS NULL, concat(kind, '_missing'),
                holder_event IS NULL AND match(
                    ifNull(asset, ''), if(by_origin, '^(?:{contract.IP})$', '^(?:{contract.E164})$')
                ), concat(kind, '_unknown'),
                holder_event IS NULL, concat(kind, '_malformed'),
                holder IS NULL, concat(kind, '_unassigned'),
                started_at >= holder_until, 'tenant_archived',
                'tenant_not_yet_created'
            )"""


def _add_up(clickhouse: ClickHouse, job: Job, usage: str) -> None:
    clickhouse.do(
        f"""
        CREATE TABLE totals ENGINE = Memory AS
        SELECT
            grouped.* EXCEPT (service_number), services.service AS service, services.direction AS direction,
            services.section AS section, services.unit AS unit, 'usage' AS line_type,
            toDate32('{job.start:%Y-%m-%d}') AS usage_month
        FROM (
            SELECT
                account_id, attributed_by, reason, services.number AS service_number,
                if(services.by_origin = 1, coalesce(x_tenant, source_ip), usage.number) AS asset, currency,
                toInt64(count()) AS record_count, sum(duration_seconds) AS duration_seconds,
                sum(billed_seconds) AS billed_seconds, sum(toDecimal128(cost, 9)) AS cost
            FROM {usage} AS usage
            INNER JOIN services ON usage.service = services.service AND usage.direction = services.direction
            GROUP BY account_id, attributed_by, reason, service_number, asset, currency
        ) AS grouped
        INNER JOIN services ON grouped.service_number = services.number
        """
    )


def _find_peaks(clickhouse: ClickHouse, usage: str) -> None:
    """The engine's own aggregate counts what overlaps; an end at a beginning's instant comes first."""
    calls = f"""
        SELECT
            tenants.code AS code, toUnixTimestamp64Micro(started_at) AS began,
            toUnixTimestamp64Micro(started_at) + duration_seconds * 1000000 AS ended
        FROM {usage} AS usage
        INNER JOIN services ON usage.service = services.service AND usage.direction = services.direction
        LEFT JOIN tenants ON usage.account_id = tenants.account
        WHERE services.unit = 'minute' AND duration_seconds > 0
    """
    clickhouse.do(
        f"""
        CREATE TABLE peaks ENGINE = Memory AS
        SELECT tenants.account_id AS account_id, largest.peak AS peak_channels
        FROM (
            SELECT code, toInt64(maxIntersections(began, ended)) AS peak
            FROM ({calls}) WHERE code IS NOT NULL GROUP BY code
        ) AS largest
        INNER JOIN tenants ON largest.code = tenants.code
        UNION ALL
        SELECT '*', toInt64(maxIntersections(began, ended)) FROM ({calls})
        """
    )


def _total(measure: str, only: str) -> str:
    # A sum over no rows is a zero of the column's type.
    return f"ifNull(sumIf({measure}, {only}), 0)"


def _minutes(seconds: str) -> str:
    return f"toDecimal128(intDiv({seconds} * 1000000 + 30, 60), 0) * toDecimal128('0.000001', 6)"


def _measures(prefix: str = "", only: str = "1 = 1") -> str:
    sums = {name: _total(name, only) for name in MEASURES}
    sums["minutes"] = _minutes(sums["billed_seconds"])
    return ", ".join(f"{total} AS {prefix}{name}" for name, total in sums.items())


def _wide() -> str:
    parts = []
    for column in contract.wide():
        total = _total(column.measure, column.condition)
        parts.append(f"{_minutes(total) if column.measure == 'billed_seconds' else total} AS {column.name}")
    return ", ".join([*parts, "toInt64(0) AS correction_count", "toDecimal128(0, 9) AS correction_cost"])


def _tables(job: Job) -> dict[str, str]:
    """Each table's query."""
    line = ", ".join((*contract.LINE, "section"))
    month = f"'{job.month}' AS month, {_instant(job.start)} AS period_start, {_instant(job.end)} AS period_end"
    queries = {
        name: f"SELECT {key}, {_measures()} FROM totals WHERE {only} GROUP BY {key}"
        for name, key, only in (
            ("statement_lines", f"account_id, {line}", "account_id IS NOT NULL"),
            ("usage_by_asset", f"account_id, {line}, attributed_by, asset", "account_id IS NOT NULL"),
            ("unattributed", f"{line}, reason, asset", "account_id IS NULL"),
        )
    }
    queries["organization_statement"] = (
        f"SELECT {line}, {_measures()}, {_measures('attributed_', 'account_id IS NOT NULL')}, "
        f"{_measures('unattributed_', 'account_id IS NULL')} FROM totals GROUP BY {line}"
    )
    queries["organization"] = f"""
        SELECT {month}, currency, {_wide()},
            (SELECT toInt64(sum(local_numbers)) FROM tenants) AS local_numbers,
            (SELECT toInt64(sum(toll_free_numbers)) FROM tenants) AS toll_free_numbers,
            (SELECT toInt64(sum(peak_channels)) FROM peaks WHERE account_id = '*') AS peak_channels
        FROM totals GROUP BY currency
    """
    queries["statements"] = _statements(month, job)
    return queries


def _statements(month: str, job: Job) -> str:
    names = [column.name for column in contract.wide()] + ["correction_count", "correction_cost"]
    currency = f"ifNull(sums.currency, '{contract.DEFAULT_CURRENCY}')"
    zeros = ", ".join(f"ifNull(sums.{name}, 0) AS {name}" for name in names)
    return f"""
        SELECT
            concat(tenants.account, '/{job.month}/', {currency}) AS statement_id,
            tenants.account_id AS account_id, tenants.tenant_name AS tenant_name, {month},
            {currency} AS currency,
            CAST(tenants.alive_from > {_instant(job.start)}, 'Nullable(Bool)') AS is_partial_month,
            if(tenants.alive_from > {_instant(job.start)}, tenants.alive_from, NULL) AS first_effective_at,
            if(tenants.archived_at > {_instant(job.start)}, tenants.archived_at, NULL) AS archived_at,
            tenants.asset_changes AS asset_changes, {zeros}, tenants.local_numbers AS local_numbers,
            tenants.toll_free_numbers AS toll_free_numbers, ifNull(peaks.peak_channels, 0) AS peak_channels
        FROM tenants
        LEFT JOIN (
            SELECT account_id, currency, {_wide()} FROM totals WHERE account_id IS NOT NULL
            GROUP BY account_id, currency
        ) AS sums ON tenants.account = sums.account_id
        LEFT JOIN peaks ON tenants.account = peaks.account_id
        WHERE tenants.has_statement OR sums.currency IS NOT NULL
    """


if __name__ == "__main__":
    main()

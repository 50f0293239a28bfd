"""A made-up carrier's canonical feed files: months of plausible traffic for the demo.

What belongs here: which services are charged and how often, the rhythm of a week, the calls placed on purpose at
the instants where attribution is easy to get wrong, and the writing of the files. The reseller whose traffic it
is comes from `reseller`; the records are made set by set in carrier_directory.sql and carrier_month.sql. What does not:
landing, attributing or showing them; these files are input like any other.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa

from orchestration.demo.reseller import (
    CA_AREAS,
    FOREVER,
    SHOWCASE_ACCOUNT,
    US_AREAS,
    Reseller,
    Window,
    make_up,
    write_directory,
)

HERE = Path(__file__).parent
MICROSECOND = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# A month's own file, and the second delivery some days later.
FORMATS = (("parquet", "csv"), ("csv", "jsonl"), ("jsonl", "parquet"))
# JSON Lines are fetched and written in chunks of this many rows: about 2 MB of text.
JSON_CHUNK = 5_000
UTC_TEXT = "%Y-%m-%dT%H:%M:%S.%fZ"
COST_TEXT = "rtrim(rtrim(cost::varchar, '0'), '.')"
TEXT_COLUMNS = (
    "record_id",
    "call_id",
    "service",
    "direction",
    "number",
    "from_number",
    "to_number",
    "source_ip",
    "x_tenant",
    "routed_to",
)


@dataclass(frozen=True)
class CarrierFiles:
    """The files written: the directory feeds, and the records in the order in which they are to be landed."""

    tenants: Path
    number_assignments: Path
    ip_assignments: Path
    cdrs: tuple[Path, ...]
    months: tuple[str, ...]
    showcase_account: str


class Product(NamedTuple):
    """A service as the carrier sells it.

    `share` is in parts per 10,000 of a month's usage; all of them make less than the whole, and the first product
    takes the rest. Prices are billionths of the currency, per second for `minute` services, so that every cost is
    a whole number until it is written. Without a pool and without following a call, it is a monthly charge.
    """

    service: str
    direction: str
    unit: str
    share: int
    price_nano: int
    price_step_nano: int = 0
    tiers: int = 1
    billed_in: int = 6
    pool: str | None = None
    by_origin: bool = False
    follows_a_call: bool = False
    in_local_currency: bool = False


CATALOGUE = (
    Product(
        "outbound_conversational",
        "outbound",
        "minute",
        2_400,
        116_667,
        8_333,
        5,
        pool="local",
        by_origin=True,
    ),
    Product("outbound_highcost", "outbound", "minute", 120, 583_335, 216_250, 8, 60, pool="local", by_origin=True),
    Product("outbound_dialer", "outbound", "minute", 700, 91_667, 1_250, 3, pool="local", by_origin=True),
    Product("outbound_local_presence", "outbound", "minute", 350, 200_000, pool="local", by_origin=True),
    Product("inbound_conversational", "inbound", "minute", 2_400, 58_333, 4_167, 3, pool="local"),
    Product("inbound_local_presence", "inbound", "minute", 250, 75_000, pool="local"),
    Product("inbound_toll_free", "inbound", "minute", 600, 283_335, 5_000, 2, pool="toll_free"),
    Product("cnam_lookup", "inbound", "each", 850, 3_900_000, follows_a_call=True),
    Product("spam_prevention", "inbound", "each", 450, 1_250_900, follows_a_call=True),
    Product("call_recording", "inbound", "each", 300, 2_500_000, follows_a_call=True),
    Product("call_recording", "outbound", "each", 300, 2_500_000, by_origin=True, follows_a_call=True),
    Product("call_transcription", "inbound", "each", 70, 12_345_678, follows_a_call=True),
    Product("call_transcription", "outbound", "each", 70, 12_345_678, by_origin=True, follows_a_call=True),
    Product("voicemail_transcription", "inbound", "each", 60, 20_000_000, follows_a_call=True),
    Product("vfax", "inbound", "each", 60, 30_000_000, pool="fax"),
    Product("vfax", "outbound", "each", 40, 35_000_000, pool="fax"),
    Product("sms_received", "inbound", "each", 400, 4_000_000, pool="messaging", in_local_currency=True),
    Product("mms_received", "inbound", "each", 70, 9_500_000, pool="messaging", in_local_currency=True),
    Product("sms_sent", "outbound", "each", 440, 6_250_000, 12_500, 3, pool="messaging", in_local_currency=True),
    Product("mms_sent", "outbound", "each", 60, 17_500_000, pool="messaging", in_local_currency=True),
    Product("number_local", "inbound", "each", 0, 1_000_000_000, in_local_currency=True),
    Product("number_toll_free", "inbound", "each", 0, 1_200_000_000, in_local_currency=True),
    Product("number_message_enabled", "inbound", "each", 0, 150_000_000, in_local_currency=True),
    Product("number_e911", "inbound", "each", 0, 1_500_000_000, in_local_currency=True),
)

# Calls per hour of the UTC day, 0 to 23, on a working day of mostly American offices; a weekend has a quarter.
DAY_RHYTHM = (9, 6, 4, 3, 2, 2, 2, 3, 5, 6, 8, 12, 20, 32, 40, 42, 40, 38, 40, 41, 38, 30, 20, 13)


def write_feeds(
    folder: Path, now: datetime, months: int = 4, records_per_month: int = 55_000, seed: int = 7
) -> CarrierFiles:
    """Write the feeds of the last ended months before `now`; the same arguments give the same records.

    Each month has `records_per_month` distinct records, or more when that would leave no room for the monthly
    charges, the staged calls and two of everything.
    """
    if months < 1 or now.tzinfo is None:
        raise ValueError("write_feeds needs at least one month and a time with its zone")
    folder.mkdir(parents=True, exist_ok=True)
    window = ended_months(now, months)
    reseller = make_up(window, seed)
    tenants, number_assignments, ip_assignments = write_directory(reseller, folder)
    cdrs: list[Path] = []
    with duckdb.connect() as con:
        _load_directory(con, reseller, seed)
        _register(con, "staged", _staged(reseller))
        for n, start in enumerate(window.starts):
            end = window.starts[n + 1] if n + 1 < months else window.end
            _make_month(con, start, end, records_per_month)
            if n == 0:
                _run(con, "carrier_files.sql")
            first, second = FORMATS[n % len(FORMATS)]
            name = f"cdrs-{start:%Y-%m}"
            cdrs.append(_write(con, folder / f"{name}.{first}", "first", first))
            cdrs.append(_write(con, folder / f"{name}-redelivery.{second}", "redelivery", first))
    return CarrierFiles(
        tenants=tenants,
        number_assignments=number_assignments,
        ip_assignments=ip_assignments,
        cdrs=tuple(cdrs),
        months=tuple(f"{start:%Y-%m}" for start in window.starts),
        showcase_account=SHOWCASE_ACCOUNT,
    )


def ended_months(now: datetime, months: int) -> Window:
    """The last UTC months that have ended by now."""
    end = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    starts = [end]
    for _ in range(months):
        starts.append((starts[-1] - timedelta(days=1)).replace(day=1))
    return Window(tuple(reversed(starts[1:])), end, now.astimezone(UTC))


def _us(moment: datetime) -> int:
    return (moment - EPOCH) // MICROSECOND


def _register(con: duckdb.DuckDBPyConnection, name: str, rows: list[dict[str, Any]]) -> None:
    """Make a table of a few hundred rows."""
    arrow = pa.Table.from_pylist(rows)
    con.register("incoming", arrow)
    con.execute(f"create or replace table {name} as select * from incoming")
    con.unregister("incoming")


def _run(con: duckdb.DuckDBPyConnection, script: str) -> None:
    con.execute((HERE / script).read_text(encoding="utf-8"))


def _count(con: duckdb.DuckDBPyConnection, query: str, *values: int) -> int:
    return int(con.execute(query, list(values)).fetchall()[0][0])


def _set(con: duckdb.DuckDBPyConnection, **variables: Any) -> None:
    for name, value in variables.items():
        con.execute(f"set variable {name} = ?", [value])


def _load_directory(con: duckdb.DuckDBPyConnection, reseller: Reseller, seed: int) -> None:
    con.execute("set TimeZone = 'UTC'")
    _register(con, "catalogue", [product._asdict() for product in CATALOGUE])
    _register(
        con,
        "tenants",
        [
            {
                "account_id": tenant.account_id,
                "rank": rank,
                "sends_header": tenant.origin != "ip",
                "from_us": _us(tenant.created_at),
                "to_us": _us(tenant.archived_at),
            }
            for rank, tenant in enumerate(reseller.tenants)
        ],
    )
    _register(
        con,
        "numbers",
        [
            {
                "number": number.number,
                "number_type": number.number_type,
                "country": number.country,
                "weight": number.weight,
                "on_account_us": _us(number.on_account_from),
                "takes_messages": number.number_type == "local" and number.country != "GB" and n % 5 < 2,
                "takes_fax": number.number_type == "local" and n % 9 == 4,
                "has_e911": number.number_type == "local" and number.country != "GB" and n % 4 == 1,
            }
            for n, number in enumerate(reseller.numbers)
        ],
    )
    _register(
        con,
        "asset_changes",
        [
            {
                "asset": change.asset,
                "account_id": change.account_id,
                "effective_us": _us(change.effective_at),
                "recorded_us": _us(change.recorded_at),
            }
            for change in reseller.number_changes + reseller.ip_changes
        ],
    )
    _register(con, "shared_ips", [{"ip": ip, "nth": n} for n, ip in enumerate(reseller.shared_ips)])
    _set_directory_variables(con, reseller, seed)
    _run(con, "carrier_directory.sql")


def _set_directory_variables(con: duckdb.DuckDBPyConnection, reseller: Reseller, seed: int) -> None:
    changed = [change.asset for change in reseller.ip_changes]
    numbers_on_file = {change.asset for change in reseller.number_changes}
    _set(
        con,
        seed=seed,
        month="",
        first_us=_us(reseller.window.starts[0]),
        end_us=_us(reseller.window.end),
        forever_us=_us(FOREVER),
        areas=[*US_AREAS, *CA_AREAS],
        stray_ips=list(reseller.stray_ips),
        dedicated_ips=sorted(ip for ip in changed if changed.count(ip) == 1 and ip not in reseller.shared_ips),
        unassigned_numbers=[number.number for number in reseller.numbers if number.number not in numbers_on_file],
    )
    _run(con, "carrier_directory.sql")


def _staged(reseller: Reseller) -> list[dict[str, Any]]:
    """The calls that every demo has, whatever the dice say: both sides of each change, month edges, all faults."""
    inbound: list[tuple[datetime, str | None]] = []
    outbound: list[tuple[datetime, str | None, str | None]] = []
    for change in reseller.number_changes:
        inbound += [(change.effective_at - MICROSECOND, change.asset), (change.effective_at, change.asset)]
    for change in reseller.ip_changes:
        outbound += [(change.effective_at + side, change.asset, None) for side in (-MICROSECOND, timedelta())]
    for tenant in reseller.tenants:
        if tenant.origin == "header":
            outbound += [
                (moment + side, reseller.shared_ips[0], tenant.account_id)
                for moment in (tenant.created_at, tenant.archived_at)
                for side in (-MICROSECOND, timedelta())
            ]
    showcase = SHOWCASE_ACCOUNT
    own = [change.asset for change in reseller.number_changes if change.account_id == showcase][:3]
    other_ip = next(change.asset for change in reseller.ip_changes if change.account_id == "summit-freight")
    shared, stray = reseller.shared_ips[2], reseller.stray_ips[0]
    on_file = {change.asset for change in reseller.number_changes}
    unassigned = next(number.number for number in reseller.numbers if number.number not in on_file)
    wrong_headers = (showcase.upper(), "nobody.mypbx.com", f"{showcase}, {showcase}", "big customer")
    ends = (*reseller.window.starts[1:], reseller.window.end)
    for start, end in zip(reseller.window.starts, ends, strict=True):
        for edge in (start, end - MICROSECOND):
            inbound += [(edge, number) for number in own]
            outbound += [(edge, shared, showcase), (edge, other_ip, None)]
        noon = start + timedelta(days=10, hours=12, minutes=34, seconds=56, microseconds=789)
        inbound += [(noon, number) for number in (None, "anonymous", "+1201555O123", unassigned)]
        # Blanks around a header do not count; a header that names nobody is not saved by its IP; a header wins.
        outbound += [(noon, shared, header) for header in (f"{showcase}\t", None)]
        outbound += [(noon, other_ip, header) for header in (*wrong_headers, showcase)]
        outbound += [(noon, ip, None) for ip in (stray, "203.0.113.999", None)]
    toll_free = {number.number for number in reseller.numbers if number.number_type == "toll_free"}
    calls = [
        {
            "at_us": _us(moment),
            "service": "inbound_toll_free" if number in toll_free else "inbound_conversational",
            "direction": "inbound",
            "own_number": number or own[0],
            "number": number,
            "source_ip": None,
            "x_tenant": None,
        }
        for moment, number in inbound
    ] + [
        {
            "at_us": _us(moment),
            "service": "outbound_conversational",
            "direction": "outbound",
            "own_number": own[n % len(own)],
            "number": None,
            "source_ip": ip,
            "x_tenant": header,
        }
        for n, (moment, ip, header) in enumerate(outbound)
    ]
    return [{"event_key": f"staged-{n:05}"} | call for n, call in enumerate(calls)]


def _make_month(con: duckdb.DuckDBPyConnection, start: datetime, end: datetime, records: int) -> None:
    """Fill the tables of one month: how many of each service, the hours they fall in, then the records."""
    _set(con, month=f"{start:%Y-%m}", start_us=_us(start), next_us=_us(end))
    charges = _count(
        con,
        "select sum(1 + takes_messages::int + has_e911::int) from numbers where on_account_us <= ?",
        _us(start),
    )
    staged = _count(con, "select count(*) from staged where at_us >= ? and at_us < ?", _us(start), _us(end))
    usage = max(0, records - charges - staged)
    wanted = {product: max(2, usage * product.share // 10_000) for product in CATALOGUE if product.share}
    wanted[CATALOGUE[0]] += max(0, usage - sum(wanted.values()))
    _register(
        con,
        "wanted",
        [
            {"service": product.service, "direction": product.direction, "how_many": how_many}
            for product, how_many in wanted.items()
        ],
    )
    _register(con, "hours", [{"slot": slot, "hour_us": _us(hour)} for slot, hour in enumerate(_hours(start, end))])
    _run(con, "carrier_month.sql")


def _hours(start: datetime, end: datetime) -> Iterator[datetime]:
    """Each hour of the month as often as it is busy."""
    hour = start
    while hour < end:
        busy = DAY_RHYTHM[hour.hour]
        for _ in range(busy if hour.weekday() < 5 else max(1, busy // 4)):
            yield hour
        hour += timedelta(hours=1)


def _write(con: duckdb.DuckDBPyConnection, path: Path, part: str, first_format: str) -> Path:
    """Write one delivery in the format of its name, all rows in order of arrival."""
    is_text, is_first_text = path.suffix != ".parquet", first_format != "parquet"
    rows = f"file_rows('{part}', {is_text}, {is_first_text})"
    if path.suffix == ".parquet":
        written = "started_at at time zone 'UTC' as started_at"
        _copy(
            con,
            path,
            f"select * exclude (place) replace ({written}) from {rows} order by place",
            "format parquet",
        )
    elif path.suffix == ".csv":
        written = f"strftime(started_at, '{UTC_TEXT}') as started_at, {COST_TEXT} as cost"
        _copy(
            con,
            path,
            f"select * exclude (place) replace ({written}) from {rows} order by place",
            "format csv, header",
        )
    else:
        _write_json_lines(con, path, rows)
    return path


def _copy(con: duckdb.DuckDBPyConnection, path: Path, query: str, options: str) -> None:
    con.execute(f"copy ({query}) to ? ({options})", [str(path)])


def _write_json_lines(con: duckdb.DuckDBPyConnection, path: Path, rows: str) -> None:
    """Write the lines ourselves: DuckDB's JSON writer takes a decimal through a double. Absent values are left out."""
    cells = [f"""'"{name}": ' || to_json({name})""" for name in TEXT_COLUMNS]
    cells += [
        f"""'"{name}": ' || {value}"""
        for name, value in (
            ("started_at", "to_json(clock_text(started_at, record_id))"),
            ("duration_seconds", "duration_seconds"),
            ("billed_seconds", "billed_seconds"),
            ("cost", COST_TEXT),
            ("currency", "to_json(nullif(currency, 'USD'))"),
        )
    ]
    line = f"'{{' || concat_ws(', ', {', '.join(cells)}) || '}}'"
    result = con.execute(
        f"select string_agg({line}, chr(10) order by place) || chr(10)"
        f" from {rows} group by place // {JSON_CHUNK} order by place // {JSON_CHUNK}"
    )
    with path.open("wb") as file:
        while chunk := result.fetchone():
            file.write(chunk[0].encode())

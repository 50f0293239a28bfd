"""Feed files of a made-up carrier, for the benchmark: what there is to land.

What belongs here: sizes, months and files. What does not: what a row looks like (`data.sql`), or landing it. The same
arguments give the same rows in the same order.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

HERE = Path(__file__).parent
SERVICES = HERE.parent / "seeds" / "services.csv"
HISTORY_YEARS = 3
# Within the grace of a close: a following month that has begun is at least this old when its predecessor may be closed.
FOLLOWING_MONTH_HOURS = 12
MOST_ROWS_OF_A_FILE = 10_000_000
PARQUET = "format parquet, compression zstd"


@dataclass(frozen=True)
class Carrier:
    """How large the carrier is, and how often its assets changed hands in three years."""

    tenants: int = 5_000
    numbers: int = 200_000
    ips: int = 20_000
    busy_numbers: int = 40
    busy_ips: int = 10
    busy_changes: int = 10_000
    history: int = 1
    # Headers on a third of the outbound calls, as many in small letters as right; half of the IPs are IPv6; all busy
    # assets change hands within the month, not every other one.
    hostile: bool = False


# What a close costs when there is next to nothing to close.
TINY = Carrier(tenants=20, numbers=200, ips=20, busy_numbers=4, busy_ips=2, busy_changes=100)

# Forty assets with ten thousand changes within the month make the hostile one.
CARRIERS = {"plain": Carrier(), "hostile": Carrier(busy_numbers=32, busy_ips=8, hostile=True)}


def month_bounds(month: str) -> tuple[datetime, datetime]:
    """First instant of a month, and of the one after it."""
    year, number = (int(part) for part in month.split("-"))
    return datetime(year, number, 1, tzinfo=UTC), datetime(year + number // 12, number % 12 + 1, 1, tzinfo=UTC)


def months_beside(month: str, count: int) -> list[str]:
    """The month after, and as many months before as are asked for."""
    if not count:
        return []
    start, end = month_bounds(month)
    place = start.year * 12 + start.month - 1
    return [f"{end:%Y-%m}"] + [f"{p // 12:04d}-{p % 12 + 1:02d}" for p in range(place - 1, place - count, -1)]


def write_directory(folder: Path, month: str, carrier: Carrier) -> dict[str, Path]:
    """Write the three assignment feeds, complete up to the month's end. Returns feed → file."""
    connection = _connect(month, carrier)
    folder.mkdir(parents=True, exist_ok=True)
    written = {feed: folder / f"{feed}.parquet" for feed in ("tenants", "number_assignments", "ip_assignments")}
    for feed, path in written.items():
        connection.execute(f"copy (from {feed}()) to '{path}' ({PARQUET})")
    return written


def write_records(
    folder: Path, closed_month: str, carrier: Carrier, month: str, records: int, *, csv: bool = False
) -> list[Path]:
    """Write a month's records in files of ten million at most, each once more as CSV if asked. Returns the Parquet."""
    connection = _connect(closed_month, carrier)
    start, end = month_bounds(month)
    length = _us(end) - _us(start) if month <= closed_month else FOLLOWING_MONTH_HOURS * 3_600_000_000
    of_month = {"records": records, "at_edges": month == closed_month, "month": month}
    if month != closed_month:
        of_month |= {"month_start": _us(start), "month_length": length}
    _set(connection, of_month)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for number, first in enumerate(range(0, records, MOST_ROWS_OF_A_FILE), start=1):
        target = folder / f"cdrs-{month}-{number:03d}.parquet"
        last = min(first + MOST_ROWS_OF_A_FILE, records)
        connection.execute(f"create or replace temp table delivered as from deliveries({first}, {last})")
        connection.execute(f"copy (from records('delivered')) to '{target}' ({PARQUET})")
        if csv:
            connection.execute(
                f"""
                copy (
                    select * replace (strftime(started_at at time zone 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ') as started_at)
                    from '{target}'
                ) to '{target.with_suffix(".csv")}' (format csv, header true)
                """
            )
        written.append(target)
    return written


def _connect(month: str, carrier: Carrier) -> duckdb.DuckDBPyConnection:
    start, end = month_bounds(month)
    if datetime.now(UTC) < end:
        raise SystemExit(f"{month} has not ended: nobody can close it yet. Name an earlier --month.")
    history = end.replace(year=end.year - HISTORY_YEARS)
    # Rows are written in the order in which they were made: which delivery is the latest depends on it.
    connection = duckdb.connect(config={"preserve_insertion_order": True})
    connection.execute("set TimeZone = 'UTC'; set enable_progress_bar = false")
    _set(
        connection,
        {
            "month_start": _us(start),
            "month_length": _us(end) - _us(start),
            "history_start": _us(history),
            "history_length": _us(end) - _us(history),
            **carrier.__dict__,
        },
    )
    connection.execute(f"create temp table known_services as from read_csv('{SERVICES}')")
    connection.execute((HERE / "data.sql").read_text(encoding="utf-8"))
    (unknown,) = connection.execute(
        "select count(*) from known_services full join service_shares using (service, direction) "
        "where share is null or unit is null"
    ).fetchone()
    (shares,) = connection.execute("select sum(share) from service_shares").fetchone()
    if unknown or shares != 1000:
        raise SystemExit(f"service_shares in data.sql: {unknown} services differ from the seed, sum {shares}.")
    connection.execute("set variable service_slots = service_slots()")
    return connection


def _set(connection: duckdb.DuckDBPyConnection, variables: dict[str, object]) -> None:
    for name, value in variables.items():
        connection.execute(f"set variable {name} = {value!r}")


def _us(instant: datetime) -> int:
    return int(instant.timestamp()) * 1_000_000


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a carrier's feeds to a folder."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--month", default="2026-10")
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--months", type=int, default=0, help="how many other months to write beside")
    parser.add_argument("--other-records", type=int, help="records of each other month; as --records if not given")
    parser.add_argument("--history", type=int, default=1, help="how many times more changes of assets")
    parser.add_argument("--csv", action="store_true", help="the month's records as CSV too")
    asked = parser.parse_args(arguments)
    carrier = Carrier(history=asked.history)
    started = time.monotonic()
    write_directory(asked.out, asked.month, carrier)
    write_records(asked.out, asked.month, carrier, asked.month, asked.records, csv=asked.csv)
    for month in months_beside(asked.month, asked.months):
        write_records(asked.out, asked.month, carrier, month, asked.other_records or asked.records)
    print(f"Wrote {asked.out} in {time.monotonic() - started:.0f} s.")


if __name__ == "__main__":
    main()

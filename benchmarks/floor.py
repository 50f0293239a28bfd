"""What no close can undercut, on the same landed files: one group-by without joins, and one copy of all columns.

Also the plain readings that landing is compared with. Each prints its seconds as JSON. What does not belong here:
anything that knows a tenant.
"""

import argparse
import json
import time
from pathlib import Path

import duckdb

from benchmarks import landed

COPY = "format parquet, compression zstd, parquet_version v2"
# How the product writes: the same bytes for less. The copy with it is told beside the floor, which stays what anybody
# would write.
TUNED_COPY = f"{COPY}, compression_level 1, dictionary_size_limit 8000"


def month(files: list[Path], out: Path) -> dict[str, float]:
    """Group a month by service and asset, and copy it."""
    connection = _connect()
    source = landed.reader(files)
    started = time.monotonic()
    connection.execute(
        f"""
        copy (
            select
                service, direction, currency, coalesce(number, x_tenant, source_ip) as asset,
                count(*) as record_count, sum(duration_seconds) as duration_seconds,
                sum(billed_seconds) as billed_seconds, sum(cost) as cost
            from {source}
            group by all
        ) to '{out / "grouped.parquet"}' ({COPY})
        """
    )
    grouped = time.monotonic()
    connection.execute(f"copy (from {source}) to '{out / 'copied.parquet'}' ({COPY})")
    return {"group": grouped - started, "copy": time.monotonic() - grouped}


def tuned_copy(files: list[Path], out: Path) -> dict[str, float]:
    """Copy a month as the product would write it."""
    started = time.monotonic()
    _connect().execute(f"copy (from {landed.reader(files)}) to '{out / 'copied.parquet'}' ({TUNED_COPY})")
    return {"copy": time.monotonic() - started}


def copy_parquet(files: list[Path], out: Path) -> dict[str, float]:
    """Copy delivered Parquet to Parquet."""
    started = time.monotonic()
    _connect().execute(f"copy (from {landed.reader(files)}) to '{out / 'copied.parquet'}' ({COPY})")
    return {"copy": time.monotonic() - started}


def read_csv(files: list[Path], out: Path) -> dict[str, float]:
    """Read delivered CSV as text into Parquet."""
    started = time.monotonic()
    listed = ", ".join(f"'{file}'" for file in files)
    _connect().execute(
        f"copy (from read_csv([{listed}], all_varchar = true, header = true)) to '{out / 'read.parquet'}' ({COPY})"
    )
    return {"read": time.monotonic() - started}


def _connect() -> duckdb.DuckDBPyConnection:
    # All the memory it wants: a floor that spills would flatter the close.
    connection = duckdb.connect(config={"preserve_insertion_order": False})
    connection.execute("set TimeZone = 'UTC'; set enable_progress_bar = false")
    return connection


def main() -> None:
    """Run one floor over the files named."""
    floors = {"month": month, "tuned_copy": tuned_copy, "copy_parquet": copy_parquet, "read_csv": read_csv}
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("what", choices=sorted(floors))
    parser.add_argument("out", type=Path)
    parser.add_argument("files", type=Path, nargs="+")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    print(json.dumps(floors[asked.what](asked.files, asked.out)))


if __name__ == "__main__":
    main()

"""Timelines of assets and lives of tenants from the landed feeds, for the audit and for the peers.

What belongs here: running `timelines.sql` on a data folder. What does not: records. Imports nothing of the product.
"""

import ipaddress
import re
from collections.abc import Sequence
from pathlib import Path

import duckdb

from benchmarks import landed
from benchmarks.landed import Batch

SCRIPT = Path(__file__).with_name("timelines.sql")
GIVEN = Path(__file__).parent / "alike" / "given.sql"
NUMBER = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
# An empty feed has no files, and still has columns.
NOTHING = (
    "select null::varchar as {asset}, null::varchar as account_id, null::varchar as event_type, "
    "null::timestamptz as valid_from, null::timestamptz as recorded_at, null::timestamptz as sealed_at, "
    "false as is_overtaken, false as archived, null::varchar as batch_id, null::bigint as source_row where false"
)


def create(connection: duckdb.DuckDBPyConnection, known: Sequence[Batch]) -> None:
    """Create tables `lives` and `spells` from everything landed."""
    connection.execute("create or replace temp table unusable_assets (kind varchar, asset varchar)")
    for feed, asset in (("tenants", "name"), ("number_assignments", "number"), ("ip_assignments", "ip")):
        files = landed.files_of(known, feed)
        query = f"from {landed.reader(files)}" if files else NOTHING.format(asset=asset)
        connection.execute(f"create or replace temp view landed_{feed} as {query}")
    for kind, judge in (("number", _is_number), ("ip", _is_address)):
        for (asset,) in connection.execute(f"select distinct {kind} from landed_{kind}_assignments").fetchall():
            if not judge(asset):
                connection.execute("insert into unusable_assets values (?, ?)", [kind, asset])
    connection.execute(SCRIPT.read_text(encoding="utf-8"))


def _is_number(text: str) -> bool:
    return NUMBER.fullmatch(text) is not None


def _is_address(text: str) -> bool:
    """Whether this is an IP in its one canonical spelling; a zone (%) is no part of an address."""
    try:
        return "%" not in text and str(ipaddress.ip_address(text)) == text
    except ValueError:
        return False


def write_for_peers(connection: duckdb.DuckDBPyConnection, start: str, end: str, folder: Path) -> None:
    """Write what other engines are given for free: the periods and lives that a month's records can meet.

    `periods.parquet` (asset, account_id, valid_from, valid_to): half-open, cut to the tenant's life. `lives.parquet`
    (account_id, alive_from, alive_until). Open ends are the month's end, since no engine agrees on infinity.
    """
    month = f"timestamptz '{start}'", f"timestamptz '{end}'"
    connection.execute(
        f"""
        copy (
            select account_id, alive_from, least(alive_until, {month[1]}) as alive_until
            from lives
            where alive_from < {month[1]} and alive_until > {month[0]}
            order by account_id
        ) to '{folder / "lives.parquet"}' (format parquet);
        copy (
            with until as (
                select
                    *,
                    lead(holds_from, 1, 'infinity'::timestamptz) over (
                        partition by kind, asset order by holds_from
                    ) as holds_until
                from spells
            ),
            periods as (
                select
                    asset,
                    account_id,
                    greatest(holds_from, alive_from) as valid_from,
                    least(holds_until, alive_until, {month[1]}) as valid_to
                from until
                inner join lives using (account_id)
            )
            select *
            from periods
            where valid_from < {month[1]} and valid_to > {month[0]} and valid_from < valid_to
            order by asset, valid_from
        ) to '{folder / "periods.parquet"}' (format parquet)
        """
    )


def write_ready_made(connection: duckdb.DuckDBPyConnection, start: str, end: str, folder: Path) -> None:
    """Write what every engine of `alike` is given: holdings and tenants with their events and lives (`given.sql`)."""
    connection.execute(
        f"set variable month_start = timestamptz '{start}'; set variable month_end = timestamptz '{end}'"
    )
    connection.execute(GIVEN.read_text(encoding="utf-8"))
    for name in ("holdings", "tenants"):
        connection.execute(f"copy given_{name} to '{folder / name}.parquet' (format parquet, compression zstd)")

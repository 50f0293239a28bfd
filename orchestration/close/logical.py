"""Logical hashes of a month's tables, the same for any bytes, row order, writer or lineage.

What belongs here: the canonical text of a row, and the hash of a table. What does not: judging a difference.

A row's text is the JSON array of its values in the order of the columns, lineage left out: each value as text,
instants as microseconds since 1970, null as null. A table's hash is the sum of the MD5 of its rows' texts, as
little-endian numbers, modulo 2^128: one pass in any order, in constant memory. It tells honest tables apart; against
forgery stands the SHA-256 of the files.
"""

from functools import partial
from pathlib import Path

import duckdb

from orchestration import engine
from orchestration.close import tables
from orchestration.close.content import TableHash
from orchestration.files import EachFile
from orchestration.settings import Settings

# The place of a row in the landed files; the same records delivered in other files are the same statement.
LINEAGE = ("batch_id", "source_row", "assignment_id")
LOW_HALF = (1 << 64) - 1


def of_statements(connection: duckdb.DuckDBPyConnection, folder: Path) -> dict[str, TableHash]:
    """Table → its rows and logical hash, of a month's tables beside `usage`.

    The digest of each single record would cost a close a fifth of its time. These tables hold the records'
    sums, and the bytes of the records are hashed; computing a month again compares the records too.
    """
    return {table.name: of_rows(connection, engine.parquet(files_of(table, folder))) for table in tables.TABLES}


def of_month(settings: Settings, folder: Path, each_file: EachFile) -> dict[str, TableHash]:
    """The same of every table, `usage` included, whose files may be hashed one by one: their hashes add up."""
    usage = each_file(partial(of_file, settings), files_of(tables.USAGE, folder))
    rows = sum(part.rows for part in usage)
    digest = sum(int(part.logical_hash, 16) for part in usage) % (1 << 128)
    with engine.connect(settings) as connection:
        return {tables.USAGE.name: TableHash(rows, f"{digest:032x}")} | of_statements(connection, folder)


def of_file(settings: Settings, path: Path) -> TableHash:
    """Rows and logical hash of one Parquet file."""
    with engine.connect(settings) as connection:
        return of_rows(connection, engine.parquet([path]))


def files_of(table: tables.Table, folder: Path) -> list[Path]:
    """The Parquet files of a table in a month's folder."""
    return sorted((folder / "usage").iterdir()) if table is tables.USAGE else [folder / f"{table.name}.parquet"]


def columns_of(connection: duckdb.DuckDBPyConnection, source: str) -> dict[str, str]:
    """Column → type of a relation, lineage left out."""
    columns = connection.execute(f"describe select * from {source}").fetchall()
    return {name: kind for name, kind, *_ in columns if name not in LINEAGE}


def of_rows(connection: duckdb.DuckDBPyConnection, source: str) -> TableHash:
    """Rows and logical hash of a relation."""
    values = ", ".join(_text(name, kind) for name, kind in columns_of(connection, source).items())
    # Halves, since the sum of whole numbers of 128 bits would not fit; md5_number once, since it is the cost.
    rows, low, high = engine.row(
        connection,
        f"""
        select
            count(*),
            coalesce(sum((digest & {LOW_HALF}::uhugeint)::ubigint), 0),
            coalesce(sum((digest >> 64)::ubigint), 0)
        from (select md5_number(json_array({values})::varchar) as digest from {source})
        """,
    )
    return TableHash(rows, f"{(int(low) + (int(high) << 64)) % (1 << 128):032x}")


def _text(name: str, kind: str) -> str:
    column = engine.identifier(name)
    if kind == "VARCHAR":
        return column
    return f"epoch_us({column})::varchar" if kind == "TIMESTAMP WITH TIME ZONE" else f"{column}::varchar"

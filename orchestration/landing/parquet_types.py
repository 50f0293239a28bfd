"""The types of a Parquet file's columns: which of them a feed's column may have, and that they are read exactly.

What belongs here: a decision on each column before a row is read. What does not: values, or opening the file
(`source_files`).
"""

from pathlib import Path

import pyarrow as pa

from orchestration.errors import Refused
from orchestration.landing.feeds import Column

# Arrow's name of a type → DuckDB's. A column without a value in it is written as INT32.
DUCKDB_TYPES = {
    "string": "VARCHAR", "large_string": "VARCHAR", "null": "INTEGER", "bool": "BOOLEAN",
    "int8": "TINYINT", "int16": "SMALLINT", "int32": "INTEGER", "int64": "BIGINT",
    "uint8": "UTINYINT", "uint16": "USMALLINT", "uint32": "UINTEGER", "uint64": "UBIGINT",
}  # fmt: skip


def accepted_type(path: Path, column: Column, kind: pa.DataType, read: str) -> str:
    """The type a Parquet column is handed on with: its own where that is exact, else its text; refuses the others.

    `kind` is the type that the file declares and `read` the one that DuckDB reads it with, which has to be the same.
    """
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    # The names inside a nested type come from the file.
    said = str(kind).split("<")[0]
    if pa.types.is_timestamp(kind) and column.kind != "instant":
        raise Refused(f"{path}: column {column.name} holds times, and must hold {column.kind}.")
    # INT96 has no zone, whatever was written to it.
    if pa.types.is_timestamp(kind) and (kind.tz is None or read != _duckdb_type(kind)):
        raise Refused(
            f"{path}: column {column.name} holds times without a zone. "
            "Write them as timestamps adjusted to UTC, or as text with an offset or Z."
        )
    if pa.types.is_floating(kind):
        reason = "money would be inexact" if column.kind == "money" else f"it must hold {column.kind}"
        wanted = {"money": "text or DECIMAL", "seconds": "text or INTEGER"}.get(column.kind, "text")
        raise Refused(f"{path}: column {column.name} is {said}, and {reason}. Write it as {wanted}.")
    accepted = _handed_on(column, kind)
    if accepted is None:
        raise Refused(f"{path}: column {column.name} is {said}, and must hold {column.kind}.")
    if read != _duckdb_type(kind):
        raise Refused(
            f"{path}: column {column.name} is {said} and would be read as {read}, not exactly as it is. "
            "Write it as text, or as DECIMAL of at most 38 digits."
        )
    return accepted


def _handed_on(column: Column, kind: pa.DataType) -> str | None:
    """The type with which `records.READERS` take values of a declared type; None where the column cannot hold it."""
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind):
        return "VARCHAR"
    if column.kind == "instant" and pa.types.is_timestamp(kind):
        return "TIMESTAMPTZ"
    if column.kind == "money" and pa.types.is_decimal(kind):
        return "DECIMAL" if kind.scale <= 9 and kind.precision - kind.scale <= 9 else "VARCHAR"
    if column.kind == "money" and pa.types.is_integer(kind):
        return "VARCHAR"
    if column.kind == "seconds" and pa.types.is_integer(kind):
        return "INTEGER"
    if column.kind == "flag" and pa.types.is_boolean(kind):
        return "BOOLEAN"
    return None


def _duckdb_type(kind: pa.DataType) -> str:
    """The DuckDB type that holds every value of a declared type, and no other."""
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision},{kind.scale})"
    if pa.types.is_timestamp(kind):
        return "TIMESTAMP WITH TIME ZONE"
    return DUCKDB_TYPES[str(kind)]

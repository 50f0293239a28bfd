"""A query of the user's own on the published warehouse, which it cannot change, as it can change no other file.

What belongs here: what may be asked, and its result as values. What does not: any query of ours, or how a result is
printed.
"""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import duckdb

from orchestration import engine
from orchestration.engine import text
from orchestration.errors import Refused
from orchestration.settings import Settings
from orchestration.warehouse import reader


@dataclass(frozen=True)
class Result:
    """Rows as mappings from column to value. Columns have different names."""

    columns: list[str]
    rows: list[dict[str, Any]]


def run(settings: Settings, query: str) -> Result:
    """The result of one SELECT, DESCRIBE, SHOW or SUMMARIZE, with times in UTC. Refused with DuckDB's own words."""
    with reader.reading(settings) as connection:
        try:
            _lock(settings, connection)
            _require_one_query(query)
            cursor = connection.execute(query)
            columns = [name for name, *_ in cursor.description or []]
            if twice := [name for name, times in Counter(columns).items() if times > 1]:
                raise Refused(f"Columns of one name would hide each other: {', '.join(twice)}. Name them with `as`.")
            rows = [dict(zip(columns, map(_plain, row), strict=True)) for row in cursor.fetchall()]
        except duckdb.PermissionException as error:
            raise Refused(
                f"{engine.first_line(error)}. A query reads the warehouse, and no other file. If the data folder was "
                "moved, `statements rebuild`."
            ) from error
        except (duckdb.IOException, Refused):
            # A file of the warehouse is not there: its reader tells that.
            raise
        except (duckdb.Error, ValueError, OverflowError) as error:
            raise Refused(str(error).strip()) from error
    return Result(columns, rows)


def _lock(settings: Settings, connection: duckdb.DuckDBPyConnection) -> None:
    """Let queries read the files that the warehouse's views name the folders of, and let none of them unlock more."""
    folders = ", ".join(text(folder) for folder in (settings.statements, settings.landing / "cdrs"))
    connection.execute(
        f"""
        set allowed_directories = [{folders}];
        set enable_external_access = false;
        set python_enable_replacements = false;
        set autoinstall_known_extensions = false;
        set autoload_known_extensions = false;
        set lock_configuration = true;
        """
    )


def _require_one_query(query: str) -> None:
    # COPY could write into the folders that may be read, also behind EXPLAIN ANALYZE.
    kinds = [statement.type for statement in duckdb.extract_statements(query)]
    select = duckdb.StatementType.SELECT
    if kinds != [select]:
        named = ", ".join(str(kind).rpartition(".")[2] for kind in kinds)
        # DuckDB makes a type of a PIVOT's values first.
        is_pivot = kinds[-1:] == [select] and kinds[0] != select
        raise Refused(
            "The warehouse is read by one SELECT (or DESCRIBE, SHOW, SUMMARIZE) at a time"
            + (f", not by {named}." if kinds else ", and there is none.")
            + (" A PIVOT needs its values: `on column in (…)`." if is_pivot else "")
        )


def _plain(value: Any) -> Any:
    """A value that JSON can hold: no number that is none, no key that is no text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, bytes):
        return value.hex()
    return value

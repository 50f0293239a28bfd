"""Reading the published `warehouse.duckdb`, which is opened read-only and closed at once.

What belongs here: opening it and turning rows into values. What does not: any query, which stands where it is asked.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb

from orchestration import engine
from orchestration.errors import Damaged, Refused, refused_by_machine
from orchestration.settings import Settings


def rows(settings: Settings, query: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
    """Rows of a query on the published warehouse, opened for reading and closed at once."""
    with reading(settings) as connection:
        return connection.execute(query, list(parameters)).fetchall()


def records(settings: Settings, query: str, parameters: Sequence[object] = ()) -> list[dict[str, Any]]:
    """The same, each row as a mapping from column to value."""
    with reading(settings) as connection:
        return engine.records(connection, query, parameters)


@contextmanager
def reading(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """The published warehouse, read-only, also where nothing may be written. Its queries need not spill."""
    if not settings.warehouse.exists():
        raise Refused(
            f"There is no warehouse at {settings.warehouse}: nothing has landed yet. Start with `statements land`."
        )
    try:
        connection = duckdb.connect(str(settings.warehouse), read_only=True, config={"temp_directory": ""})
    except duckdb.Error as error:
        raise Refused(
            f"{settings.warehouse} cannot be opened: {engine.first_line(error)} `statements rebuild` makes it anew."
        ) from error
    try:
        connection.execute("set TimeZone = 'UTC'")
        yield connection
    except duckdb.IOException as error:
        raise Refused(
            f"A file that the warehouse points to cannot be read: {engine.first_line(error)} "
            "If the data folder was moved, `statements rebuild`; `statements verify` tells what is damaged."
        ) from error
    except duckdb.OutOfMemoryException as error:
        raise refused_by_machine(engine.first_line(error).rstrip(".")) from error
    except engine.OUR_MISTAKES:
        raise
    except duckdb.Error as error:
        # A query of ours fails over damaged bytes alone, and in whatever way its reader then stumbles.
        raise Damaged(
            f"A file that the warehouse points to is damaged: {engine.without_values(error)}. "
            "`statements verify` tells which; restore it from a backup."
        ) from error
    finally:
        connection.close()

"""Lookup tables beside a declaration: a CSV whose first column is looked up, and whose others expressions then use.

What belongs here: reading such a table, and joining it. What does not: which value is looked up; the declaration says.
"""

import csv

import duckdb

from orchestration import engine, files
from orchestration.engine import identifier, text
from orchestration.errors import FileChanged, Refused
from orchestration.landing import source_files
from orchestration.landing.input_files import LONGEST_LINE
from orchestration.sources.declaration import Lookup, Source


def create(connection: duckdb.DuckDBPyConnection, source: Source) -> None:
    """Create table `lookup_NAME` for each lookup: `key`, and its other columns as the fields of `found`."""
    for lookup in source.lookups:
        names = _columns(lookup)
        fields = ", ".join(f"{text(name)}: {identifier(name)}" for name in names[1:])
        key = identifier(names[0])
        try:
            connection.execute(
                f"create or replace temp table {_relation(lookup)} as select {key} as key, {{{fields}}} as found "
                f"from {source_files.read_csv(lookup.file, 'none', names)} where {key} is not null"
            )
        except engine.MACHINE_ERRORS:
            raise
        except duckdb.Error as error:
            raise Refused(f"{lookup.file} cannot be read: {engine.without_values(error)}.") from error
        # Its hash is part of the rules that a record lands under.
        if files.sha256(lookup.file) != lookup.sha256:
            raise FileChanged(f"{lookup.file} changed while it was read. Land the file again when its writer is done.")
        (repeated,) = engine.row(
            connection,
            f"select count(*) from (select key from {_relation(lookup)} group by key having count(*) > 1)",
        )
        if repeated:
            raise Refused(
                f"{lookup.file}: {repeated:,} values stand twice in {names[0]}. A value that is looked up stands once."
            )


def joined(connection: duckdb.DuckDBPyConnection, source: Source, rows: str) -> str:
    """SQL of the rows with a column for each lookup: what its table has beside the key, null where it lacks it."""
    query = rows
    for lookup in source.lookups:
        try:
            connection.execute(f"select ({lookup.key}) from ({query}) limit 0")
        except duckdb.Error as error:
            raise Refused(
                f"{source.place(f'lookups.{lookup.name}.key')}: lookups.{lookup.name}.key cannot be evaluated: "
                f"{engine.first_line(error)}"
            ) from error
        query = (
            f"select looked_up.*, {_relation(lookup)}.found as {lookup.name} from ({query}) as looked_up "
            f"left join {_relation(lookup)} on {_relation(lookup)}.key = try(({lookup.key})::varchar)"
        )
    return query


def _relation(lookup: Lookup) -> str:
    return f"lookup_{lookup.name}"


def _columns(lookup: Lookup) -> list[str]:
    try:
        with lookup.file.open(encoding="utf-8-sig", newline="") as handle:
            names = next(csv.reader([handle.readline(LONGEST_LINE)], strict=True), [])
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise Refused(f"{lookup.file} is not CSV in UTF-8.") from error
    lowered = [name.lower() for name in names]
    if len(names) < 2 or "" in names or len(set(lowered)) < len(lowered):
        raise Refused(f"{lookup.file} is no lookup table: its first line must name two columns or more, each once.")
    return names

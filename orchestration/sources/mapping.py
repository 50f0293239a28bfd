"""A switch's rows as canonical records: the canonical columns beside the file's own, in SQL made from a declaration.

What belongs here: times, rating, rows that are no record of their own, reasons to reject a row that only the source
can tell. What does not: judging a canonical value; `landing.records` does that for every source alike.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import duckdb

from orchestration import engine
from orchestration.engine import identifier, text
from orchestration.errors import Refused
from orchestration.landing.input_files import InputFile
from orchestration.landing.services import Services
from orchestration.landing.source_files import SourceFile
from orchestration.sources import rating
from orchestration.sources.declaration import RECORD, Source
from orchestration.sources.reading import open_file

LOCAL_TIME = Path(__file__).with_name("local_time.sql")
MICROSECONDS = {"epoch_us": 1, "epoch_ms": 1_000, "epoch_s": 1_000_000}
# A row that the declaration's own query joins to another is part of that one.
PART_OF_ANOTHER = "part_of_another"


def open_source(
    connection: duckdb.DuckDBPyConnection, source: Source, services: Services, file: InputFile, scratch: Path
) -> SourceFile:
    """Create relation `source` over a switch's file: its own columns, and `record.…` for the canonical ones."""
    engine.load_macros(connection, LOCAL_TIME)
    if source.zone is not None:
        _require_zone_name(connection, source)
    opened = open_file(connection, source, file, scratch)
    rows = source.rows or "select * from file"
    _require_sound(connection, source, rows)
    mapped = scratch / "mapped.parquet"
    query = _mapped(source, rows, rating.create_rates(connection, source, services))
    written = _write_mapped(connection, source, file, query, mapped)
    relation = engine.parquet([mapped])
    if source.header is not True:
        _require_dates(connection, source, file.path, relation)
    if source.rows:
        (distinct_rows,) = engine.row(connection, f"select count(distinct source_row) from {relation}")
        if distinct_rows != written or written > opened.rows:
            raise Refused(
                f"{source.path}: rows makes {written} records of {distinct_rows} rows: a row may be one at most."
            )
    ignored = dict(
        connection.execute(
            f'select "record.ignored", count(*) from {relation} '
            'where "record.ignored" is not null group by all order by all'
        ).fetchall()
    )
    records = written - sum(ignored.values())
    if opened.rows != written:
        ignored[PART_OF_ANOTHER] = opened.rows - written
    # From here on `source` is the records alone, and `file`, which is made of it, cannot be read any more.
    connection.execute(
        f"create or replace temp table part_of_another as "
        f"select * from file where source_row not in (select source_row from {relation})"
    )
    connection.execute(
        f"""
        create or replace temp view source as select * from {relation} where "record.ignored" is null;
        create or replace temp view ignored as
        select * exclude ("record.reason"), "record.ignored" as "record.reason"
        from {relation}
        where "record.ignored" is not null
        union all by name
        select *, {text(PART_OF_ANOTHER)} as "record.reason" from part_of_another
        """
    )
    if source.zone is None:
        _require_zone(connection, source, file.path)
    # A rejected row keeps its values from other rows: it is mended and landed again without those rows.
    types = opened.types | dict.fromkeys(source.joined, "VARCHAR")
    return replace(opened, rows=records, types=types, mapped=True, ignored=ignored)


def _write_mapped(
    connection: duckdb.DuckDBPyConnection, source: Source, file: InputFile, query: str, mapped: Path
) -> int:
    """Write the mapped rows to a file of their own, and return how many there are."""
    try:
        (written,) = engine.row(connection, f"copy ({query}) to {text(mapped)} (format parquet, compression lz4_raw)")
    except engine.MACHINE_ERRORS:
        raise
    except duckdb.Error as error:
        raise Refused(
            f"{source.path}: an expression fails for a row of {file.path}: {engine.without_values(error)}. Let it give "
            "null there, as try_cast does. Nothing of the file was landed."
        ) from error
    assert isinstance(written, int)
    return written


def _require_zone_name(connection: duckdb.DuckDBPyConnection, source: Source) -> None:
    if engine.row(connection, "select count(*) from pg_timezone_names() where name = ?", [source.zone]) == (0,):
        raise Refused(f"{source.path}: zone {source.zone!r} is none of the IANA time zones.")


def _require_dates(connection: duckdb.DuckDBPyConnection, source: Source, path: Path, relation: str) -> None:
    """Refuse a file without any date where the times are: where no header is needed, another file can pass for one."""
    date = "regexp_matches(\"record.started_at\", '^[0-9]{4}-[0-9]{2}-[0-9]{2}')"
    rows, dated = engine.row(connection, f"select count(*), count(*) filter ({date}) from {relation}")
    if rows and not dated:
        raise Refused(
            f"{path} does not fit {source.name}: no row has a date where the time of a call is. "
            "Nothing of the file was landed."
        )


def _require_zone(connection: duckdb.DuckDBPyConnection, source: Source, path: Path) -> None:
    """Refuse local times of a source without a zone: whose clock it was would be a guess."""
    rows = connection.execute(
        'select source_row from source where lacks_zone("record.started_at") order by source_row limit 5'
    ).fetchall()
    if rows:
        raise Refused(
            f"{path}: {source.name} has local times (row {', '.join(str(row) for (row,) in rows)}), and nothing "
            f"says of which zone. Write {source.name}.toml in the folder sources of your data, with these lines: "
            f'extends = "{source.name}" and zone = "America/New_York". Nothing of the file was landed.'
        )


def _require_sound(connection: duckdb.DuckDBPyConnection, source: Source, rows: str) -> None:
    """Judge each expression by itself, so that a mistake is found where it stands."""
    _try(connection, source, "rows", f"select * from ({rows}) limit 0")
    columns = {name for name, *_ in connection.execute(f"describe select * from ({rows})").fetchall()}
    lacking = sorted({"source_row", *source.columns, *source.joined} - columns)
    if lacking:
        raise Refused(f"{source.path}: rows must give {', '.join(lacking)} too, as `select file.*` does.")
    places = [(f"record.{name}", expression) for name, expression in source.record.items()]
    places += [(f"record.started_at.{kind}", expression) for kind, expression in source.times.items()]
    for table, named in (("ignore", source.ignore), ("reject", source.reject)):
        places += [(f"{table}.{name}", f"coalesce({expression}, false)") for name, expression in named.items()]
    for place, expression in places:
        _try(connection, source, place, f"select ({expression}) from ({rows}) limit 0")
        if place == "record.cost":
            ((_, kind, *_),) = connection.execute(f"describe select ({expression}) from ({rows})").fetchall()
            if kind in ("DOUBLE", "FLOAT"):
                raise Refused(
                    f"{source.path}: {place} is {kind}, and money would be inexact. Keep it text, or cast to DECIMAL."
                )


def _try(connection: duckdb.DuckDBPyConnection, source: Source, place: str, query: str) -> None:
    try:
        connection.execute(query)
    except duckdb.Error as error:
        raise Refused(f"{source.path}: {place} cannot be evaluated: {engine.first_line(error)}") from error


def _mapped(source: Source, rows: str, lengths: list[int]) -> str:
    """SQL of the file's rows with `record.…` beside them; `made.…` is needed on the way, and no file's own column."""
    values = {name: f"present(({expression})::varchar)" for name, expression in source.record.items()}
    values |= {name: "null::varchar" for name in RECORD if name not in values and name != "started_at"}
    values["record_id"] = f"coalesce(present(rejected_record_id), {text(source.id_prefix)} || {values['record_id']})"
    listed = ",\n".join(f"{value} as {identifier('record.' + name)}" for name, value in values.items())
    exact = f"instant_text(coalesce({', '.join(_instants(source))}))"
    local = f"present(({source.times['local']})::varchar)" if "local" in source.times else "null::varchar"
    # A time that cannot be read is kept as it was written: the row is rejected for it, and not for having none.
    written = ", ".join(f"present(({expression})::varchar)" for expression in source.times.values())
    shown, place = "null::timestamptz[]", ""
    if source.zone:
        shown = f'instants_shown(local_timestamp("made.local"), {text(source.zone)})'
        place = f" in {source.zone}"
    unrated = 'select * exclude ("made.reason"), "made.reason" as "record.reason" from dated'
    return f"""
        with evaluated as (
            select rows.*, {listed},
                {exact} as "made.exact", {_shown(local)} as "made.local", coalesce({written}) as "made.written",
                {_first(source.ignore)} as "record.ignored", {_first(source.reject)} as "made.reason"
            from ({rows}) as rows
        ),
        timed as (
            select *,
                case
                    when "made.exact" is null and local_timestamp("made.local") is not null then {shown}
                end as "made.shown"
            from evaluated
        ),
        dated as (
            select
                * exclude ("made.exact", "made.local", "made.written", "made.shown", "made.reason"),
                case
                    when "made.exact" is not null then "made.exact"
                    when len("made.shown") = 1 then instant_text("made.shown"[1])
                    when "made.local" is not null then "made.local" || {text(place)}
                    when "made.written" like '0000-00-00%' or regexp_full_match("made.written", '[0.]+') then null
                    else "made.written"
                end as "record.started_at",
                case
                    when len("made.shown") = 2 then 'time_ambiguous'
                    when len("made.shown") = 0 then 'time_does_not_exist'
                    else "made.reason"
                end as "made.reason"
            from timed
        )
        {rating.rated("dated", source.rates, lengths) if source.rates else unrated}
    """


def _instants(source: Source) -> list[str]:
    """The exact times of a row, best first. A local time that states its offset is one too."""
    instants = []
    for kind, expression in source.times.items():
        value = f"present(({expression})::varchar)"
        instants.append(
            f"epoch_instant({value}, {MICROSECONDS[kind]})" if kind in MICROSECONDS else f"instant({value})"
        )
    return instants


def _shown(local: str) -> str:
    return f"nullif(nullif({local}, '0000-00-00 00:00:00'), '0000-00-00')"


def _first(conditions: Mapping[str, str]) -> str:
    """The name of the first condition that holds."""
    whens = " ".join(f"when ({condition}) then {text(name)}" for name, condition in conditions.items())
    return f"case {whens} end" if whens else "null::varchar"

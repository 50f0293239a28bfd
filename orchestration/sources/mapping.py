"""A switch's rows as canonical records: the canonical columns beside the file's own, in SQL made from a declaration.

What belongs here: times, rating, rows that are no record of their own, reasons to reject a row that only the source
can tell. What does not: how one expression is evaluated (`expressions`), or judging a canonical value;
`landing.records` does that for every source alike.
"""

from dataclasses import replace
from pathlib import Path

import duckdb

from orchestration import engine
from orchestration.engine import identifier, text
from orchestration.errors import Refused
from orchestration.landing.input_files import InputFile
from orchestration.landing.services import Services
from orchestration.landing.source_files import SourceFile
from orchestration.sources import expressions, lookups, rating
from orchestration.sources.declaration import Source
from orchestration.sources.expressions import Evaluated
from orchestration.sources.reading import open_file

LOCAL_TIME = Path(__file__).with_name("local_time.sql")
NUMERALS = Path(__file__).with_name("numerals.sql")
MICROSECONDS = {"epoch_us": 1, "epoch_ms": 1_000, "epoch_s": 1_000_000}
SECONDS = ("duration_seconds", "billed_seconds")
# SQL of what stands in a column of ids that nothing fills: two records of it are not one.
NO_IDENTITIES = r"('0', '-', 'NULL', 'null', 'None', 'N/A', 'n/a', '\N', '00000000-0000-0000-0000-000000000000')"
# A row that the declaration's own query joins to another is part of that one.
PART_OF_ANOTHER = "part_of_another"


def open_source(
    connection: duckdb.DuckDBPyConnection, source: Source, services: Services, file: InputFile, scratch: Path
) -> SourceFile:
    """Create relation `source` over a switch's file: its own columns, and `record.…` for the canonical ones."""
    _load_macros(connection, source)
    opened = open_file(connection, source, file, scratch)
    lookups.create(connection, source)
    evaluated = expressions.evaluate(connection, source)
    mapped = scratch / "mapped.parquet"
    query = _mapped(source, evaluated, rating.create_rates(connection, source, services))
    written = _write_mapped(connection, source, file, query, mapped)
    relation = engine.parquet([mapped])
    if source.header is not True:
        _require_dates(connection, source, file.path, relation)
    if source.rows:
        (distinct_rows,) = engine.row(connection, f"select count(distinct source_row) from {relation}")
        if distinct_rows != written or written > opened.rows:
            raise Refused(
                f"{source.place('rows')}: rows makes {written} records of {distinct_rows} rows: a row may be one at "
                "most."
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


def _load_macros(connection: duckdb.DuckDBPyConnection, source: Source) -> None:
    """Define what expressions may use beside the file's columns: times, seconds and amounts as this source has them."""
    engine.load_macros(connection, LOCAL_TIME)
    engine.load_macros(connection, NUMERALS)
    zone = "null::timestamptz[]"
    if source.zone is not None:
        if engine.row(connection, "select count(*) from pg_timezone_names() where name = ?", [source.zone]) == (0,):
            raise Refused(f"{source.place('zone')}: zone {source.zone!r} is none of the IANA time zones.")
        zone = f"instants_shown(local_timestamp(t), {text(source.zone)})"
    connection.execute(
        f"""
        create or replace temp macro local_instant(t) as
            list_transform([{zone}], lambda shown: case when len(shown) = 1 then shown[1] end)[1];
        create or replace temp macro seconds(t) as whole_seconds({_seconds("t::varchar", source)});
        create or replace temp macro amount(t) as money({_amount("t::varchar", source)});
        create or replace temp macro currency_of_sign(t) as {_currency("t", source)};
        """
    )


def _seconds(value: str, source: Source, *, is_text: bool = True) -> str:
    """SQL of a duration as the feed takes it; one that is no text is a number of seconds."""
    numerals = source.numerals
    form, mark = (numerals.durations, numerals.decimal_mark) if is_text else ("seconds", ".")
    if form == "seconds" and not numerals.rounding:
        return value
    rounding = text(numerals.rounding) if numerals.rounding else "null::varchar"
    return f"spelled_seconds({value}, {text(form)}, {text(mark)}, {rounding})"


def _amount(value: str, source: Source) -> str:
    """SQL of an amount as the feed takes it."""
    numerals = source.numerals
    if numerals.are_plain:
        return value
    bare = value
    for sign in sorted(numerals.currency_signs, key=len, reverse=True):
        bare = f"replace({bare}, {text(sign)}, '')"
    return f"spelled_amount({bare}, {text(numerals.decimal_mark)}, {text(numerals.thousands_mark)})"


def _currency(value: str, source: Source) -> str:
    """SQL of the currency whose sign an amount bears, null without one."""
    signs = sorted(source.numerals.currency_signs.items(), key=lambda sign: -len(sign[0]))
    whens = " ".join(f"when contains({value}, {text(sign)}) then {text(currency)}" for sign, currency in signs)
    return f"case {whens} end" if whens else "null::varchar"


def _write_mapped(
    connection: duckdb.DuckDBPyConnection, source: Source, file: InputFile, query: str, mapped: Path
) -> int:
    """Write the mapped rows to a file of their own, and return how many there are."""
    copy = f"copy ({query}) to {text(mapped)} (format parquet, compression lz4_raw)"
    try:
        try:
            (written,) = engine.row(connection, copy)
        except (duckdb.ConversionException, duckdb.InvalidInputException, duckdb.OutOfRangeException):
            # DuckDB evaluates what two expressions share before them, and outside of their `try`.
            connection.execute("set disabled_optimizers = 'common_subexpressions'")
            (written,) = engine.row(connection, copy)
            connection.execute("set disabled_optimizers = ''")
    except (*engine.MACHINE_ERRORS, *engine.OUR_MISTAKES):
        raise
    except duckdb.Error as error:
        # An expression of a row rejects that row. `rows` is about all of them, as is one that holds a query.
        raise Refused(
            f"{source.place('rows')}: rows, or an expression with a query in it, fails for a row of {file.path}: "
            f"{engine.without_values(error)}. Let it give null there, as try_cast does. Nothing of the file was landed."
        ) from error
    assert isinstance(written, int)
    return written


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
    if not rows:
        return
    way_out = f'Write a line such as zone = "America/New_York" into {source.path}, above its first table.'
    if source.is_shipped:
        way_out = (
            f"Write {source.name}.toml in the folder sources of your data, with these lines: "
            f'extends = "{source.name}" and zone = "America/New_York".'
        )
    raise Refused(
        f"{path}: {source.name} has local times (row {', '.join(str(row) for (row,) in rows)}), and nothing "
        f"says of which zone. {way_out} Nothing of the file was landed."
    )


def _mapped(source: Source, evaluated: Evaluated, lengths: list[int]) -> str:
    """SQL of the file's rows with `record.…` beside them; `made.…` is needed on the way, and no file's own column."""
    exact = f"instant_text(coalesce({', '.join(_instants(source))}))"
    local = identifier("time.local") if "local" in source.times else "null::varchar"
    # A time that cannot be read is kept as it was written: the row is rejected for it, and not for having none.
    written = ", ".join(identifier(f"time.{kind}") for kind in source.times)
    times = ", ".join(identifier(f"time.{kind}") for kind in source.times)
    shown, place = "null::timestamptz[]", ""
    if source.zone:
        shown = f'instants_shown(local_timestamp("made.local"), {text(source.zone)})'
        place = f" in {source.zone}"
    unrated = 'select * exclude ("made.reason"), "made.reason" as "record.reason" from dated'
    return f"""
        with {evaluated.query},
        spelled as (
            select * exclude ({times}) replace ({_spelled(source, evaluated)}),
                {exact} as "made.exact", {_shown(local)} as "made.local", coalesce({written}) as "made.written",
                case when {_contradiction(source)} then 'currency_contradicts_sign' end as "made.contradiction"
            from evaluated
        ),
        timed as (
            select *,
                case
                    when "made.exact" is null and local_timestamp("made.local") is not null then {shown}
                end as "made.shown"
            from spelled
        ),
        dated as (
            select
                * exclude (
                    "made.exact", "made.local", "made.written", "made.shown", "made.reason", "made.failed",
                    "made.contradiction"
                ),
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
                    else coalesce("made.reason", "made.failed", "made.contradiction")
                end as "made.reason"
            from timed
        )
        {rating.rated("dated", source.rates, lengths) if source.rates else unrated}
    """


def _spelled(source: Source, evaluated: Evaluated) -> str:
    """SQL of a `replace` list: the id with its source, seconds and amounts as the feed takes them."""
    prefix, record_id = text(source.id_prefix), identifier("record.record_id")
    told = f"case when {record_id} not in {NO_IDENTITIES} then {record_id} end"
    values = {"record_id": f"coalesce(present(rejected_record_id), {prefix} || {told})"}
    for name in SECONDS:
        if name in source.record:
            is_text = evaluated.types[f"record.{name}"] == "VARCHAR"
            values[name] = _seconds(identifier(f"record.{name}"), source, is_text=is_text)
    cost, currency = identifier("record.cost"), identifier("record.currency")
    if evaluated.types.get("record.cost") == "VARCHAR" and not source.numerals.are_plain:
        values["cost"] = _amount(cost, source)
        values["currency"] = f"coalesce({currency}, currency_of_sign({cost}))"
    if source.former_record_id:
        former = identifier("record.former_id")
        values["former_id"] = f"case when present(rejected_record_id) is null then {prefix} || {former} end"
    return ", ".join(f"{value} as {identifier(f'record.{name}')}" for name, value in values.items())


def _contradiction(source: Source) -> str:
    """SQL of whether a row names one currency and its amount bears the sign of another."""
    if not source.numerals.currency_signs or "cost" not in source.record or "currency" not in source.record:
        return "false"
    return 'coalesce("record.currency" <> currency_of_sign("record.cost"), false)'


def _instants(source: Source) -> list[str]:
    """The exact times of a row, best first. A local time that states its offset is one too."""
    instants = []
    for kind in source.times:
        value = identifier(f"time.{kind}")
        instants.append(
            f"epoch_instant({value}, {MICROSECONDS[kind]})" if kind in MICROSECONDS else f"instant({value})"
        )
    return instants


def _shown(local: str) -> str:
    return f"nullif(nullif({local}, '0000-00-00 00:00:00'), '0000-00-00')"

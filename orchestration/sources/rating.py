"""The cost of a record of an unrated switch: a rate table by service, longest prefix and time, in exact decimals.

What belongs here: reading the table, and the arithmetic of increments. What does not: any price.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from orchestration import engine, files
from orchestration.engine import identifier
from orchestration.errors import FileChanged, Refused
from orchestration.landing import normalization, source_files
from orchestration.landing.services import Services, relation
from orchestration.sources.declaration import Rates, Source

# The columns from which the number to look up may come.
NUMBER_COLUMNS = ("service", "direction", "number", "from_number", "to_number")
NUMBER_MACRO = "declared_number"
COLUMNS = ("service", "prefix", "price", "increment", "fee")
# Prices change: a rate holds from this instant until the next one of its service and prefix.
VALID_FROM = "valid_from"
# A number that is too short for E.164, such as 411, is rated whole, by a line of its own: =411. The empty prefix does
# not fit it: it may be an extension, and directory assistance has a price of its own.
SHORT_NUMBER = "[0-9]{1,6}"
# Billionths: every amount of the table is a whole number of them, and so is every cost.
NANO = 1_000_000_000


def create_rates(connection: duckdb.DuckDBPyConnection, source: Source, services: Services) -> list[int]:
    """Create table `rate` from the declared file, or refuse it. Returns the lengths of its prefixes, longest first."""
    if source.rates is None:
        return []
    path = source.rates.file
    _create_written_rates(connection, source.rates)
    _require_sound(connection, path, services)
    connection.execute(
        f"""
        create or replace temp table rate as
        select
            service,
            case when starts_with(prefix, '=') then prefix || '=' else ltrim(coalesce(prefix, ''), '+') end as prefix,
            {_nano("price")} as price_nano,
            coalesce({_nano("fee")}, 0) as fee_nano,
            split_part(increment, '/', 1)::integer as first_seconds,
            split_part(increment, '/', 2)::integer as next_seconds,
            coalesce(instant({VALID_FROM}), timestamptz '-infinity') as since,
            coalesce(
                lead(instant({VALID_FROM})) over (partition by service, coalesce(prefix, '') order by since),
                timestamptz 'infinity'
            ) as until
        from written_rate
        """
    )
    parameters = ", ".join(NUMBER_COLUMNS)
    try:
        connection.execute(f"create or replace temp macro {NUMBER_MACRO}({parameters}) as ({source.rates.number})")
        connection.execute(f"select {NUMBER_MACRO}('', '', '', '', '')")
    except duckdb.Error as error:
        raise Refused(
            f"{source.path}: rates.number cannot be evaluated; it may use {parameters}: {engine.first_line(error)}"
        ) from error
    lengths = connection.execute("select distinct len(prefix) from rate order by 1 desc").fetchall()
    if not lengths:
        raise Refused(f"{path} has no rates.")
    return [length for (length,) in lengths]


def _create_written_rates(connection: duckdb.DuckDBPyConnection, rates: Rates) -> None:
    """Create table `written_rate`: the lines of a rate table as they are written, numbered."""
    path, header = rates.file, ",".join(COLUMNS)
    with path.open(encoding="utf-8-sig") as handle:
        first = handle.readline(len(header) + 30).strip()
    if first not in (header, f"{header},{VALID_FROM}"):
        raise Refused(
            f"{path} is no rate table: its first line must be {header}, and may have {VALID_FROM} at its end."
        )
    names = first.split(",")
    absent = "" if VALID_FROM in names else f", null::varchar as {VALID_FROM}"
    try:
        connection.execute(
            f"create or replace temp table written_rate as "
            f"select *{absent}, row_number() over () + 1 as line from {source_files.read_csv(path, 'none', names)}"
        )
    except duckdb.Error as error:
        raise Refused(f"{path} cannot be read: {engine.first_line(error)}") from error
    # Its hash is part of the rules that a record lands under.
    if files.sha256(path) != rates.sha256:
        raise FileChanged(f"{path} changed while it was read. Land the file again when its writer is done.")


def _require_sound(connection: duckdb.DuckDBPyConnection, path: Path, services: Services) -> None:
    """Refuse a rate table for the first thing that is wrong with it."""
    listed = relation(services.rows)
    by_minute = f"(select service from {listed} where unit = 'minute')"
    for problem, condition in (
        (
            "service is none of the shipped ones or of services.csv in the data folder",
            f"service is null or service not in (select service from {listed})",
        ),
        (
            "prefix is neither empty nor + and digits, nor a short number as in =411",
            rf"not regexp_full_match(coalesce(prefix, ''), '(\+[1-9][0-9]{{0,14}}|={SHORT_NUMBER})?')",
        ),
        ("price is not an amount such as 0.0125", "money(price) is null or money(price) < 0"),
        ("fee is not an amount such as 0.01", "fee is not null and (money(fee) is null or money(fee) < 0)"),
        (
            "a service by the minute needs an increment such as 60/60 or 6/6, and no other service has one",
            "coalesce(regexp_full_match(increment, '[1-9][0-9]{0,3}/[1-9][0-9]{0,3}'), false) <> "
            f"(service in {by_minute}) or (increment is not null and service not in {by_minute})",
        ),
        (
            "valid_from is no instant such as 2026-03-01T00:00:00Z, with Z or an offset",
            f"{VALID_FROM} is not null and instant({VALID_FROM}) is null",
        ),
        (
            "the prefix stands twice for its service",
            f"(service, coalesce(prefix, ''), coalesce(instant({VALID_FROM}), '-infinity')) in "
            f"(select (service, coalesce(prefix, ''), coalesce(instant({VALID_FROM}), '-infinity')) "
            "from written_rate group by all having count(*) > 1)",
        ),
    ):
        lines = connection.execute(f"select line from written_rate where {condition} order by line limit 5").fetchall()
        if lines:
            raise Refused(f"{path}: {problem}, in line {', '.join(str(line) for (line,) in lines)}.")


def _nano(column: str) -> str:
    return f"replace(money({column})::varchar, '.', '')::hugeint"


def _digits(number: str) -> str:
    """SQL of the digits by which a number finds its rate; a short number stands between two equals signs."""
    return f"""
                case
                    when is_e164({number}) then substr({number}, 2)
                    when regexp_full_match({number}, '{SHORT_NUMBER}') then '=' || {number} || '='
                    else ''
                end"""


def _but_short(length: int) -> str:
    """SQL that keeps short numbers from the empty prefix."""
    return "" if length else """and not starts_with(numbered."made.digits", '=') """


def rated(relation: str, rates: Rates, lengths: list[int]) -> str:
    """SQL of the rows with cost and billed seconds where the file gave no cost. No row is added or dropped."""
    return f"""
        , dialled as (
            select *,
                try({{'v': {NUMBER_MACRO}({", ".join(identifier("record." + name) for name in NUMBER_COLUMNS)})}})
                    as "made.tried"
            from {relation}
        ),
        called as (
            select
                *,
                {normalization.short('"made.tried".v', "e164")} as "made.number",
                instant("record.started_at") as "made.start"
            from dialled
        ),
        numbered as (
            select *,
                {_digits('"made.number"')} as "made.digits",
                whole_seconds(coalesce("record.billed_seconds", "record.duration_seconds")) as "made.talk"
            from called
        ),
        priced as ({_priced(lengths)}),
        {_costed(rates)}
        select
            * exclude (
                "made.tried", "made.number", "made.start", "made.digits", "made.talk", "made.price", "made.fee",
                "made.first", "made.next", "made.is_rated", "made.billed", "made.cost", "made.reason"
            ) replace (
                case
                    when "made.is_rated"
                        then ("made.cost" // {NANO})::varchar || '.' || lpad(("made.cost" % {NANO})::varchar, 9, '0')
                    else "record.cost"
                end as "record.cost",
                case
                    when "made.is_rated" and "made.billed" is not null then "made.billed"::varchar
                    else "record.billed_seconds"
                end as "record.billed_seconds"
            ),
            case
                when "made.reason" is not null then "made.reason"
                when "record.cost" is not null or "record.service" is null or "record.direction" is null then null
                when "made.start" is null then null
                when "made.tried" is null then 'rates.number_failed'
                when "made.price" is null then 'unrated'
                when "made.cost" is null then 'duration_unusable'
            end as "record.reason"
        from costed
    """


def rate_of(connection: duckdb.DuckDBPyConnection, call: Mapping[str, Any]) -> dict[str, str | None] | None:
    """The line of the rate table, as it is written, that a record is priced by; None when no prefix fits.

    The tables of `create_rates` are there. `call` has the columns by which numbers are looked up, and its start.
    """
    found = engine.records(
        connection,
        f"""
        with looked_up as (
            select e164({NUMBER_MACRO}({", ".join("?" for _ in NUMBER_COLUMNS)})) as called
        ),

        dialled as (
            select {_digits("called")} as digits from looked_up
        ),

        line as (
            select
                *,
                case when starts_with(prefix, '=') then prefix || '=' else ltrim(coalesce(prefix, ''), '+') end
                    as begins,
                coalesce(instant({VALID_FROM}), timestamptz '-infinity') as since
            from written_rate
            where service = ?
        )

        select prefix, price, increment, fee
        from line
        cross join dialled
        where starts_with(digits, begins) and starts_with(digits, '=') = starts_with(begins, '=') and since <= ?
        order by len(begins) desc, since desc
        limit 1
        """,
        [*(call[name] or "" for name in NUMBER_COLUMNS), call["service"], call["started_at"]],
    )
    return found[0] if found else None


def price_of(
    connection: duckdb.DuckDBPyConnection, rates: Rates, lengths: list[int], call: Mapping[str, Any]
) -> tuple[int, Decimal] | None:
    """The billed seconds and the cost that the rates give a record; None when they give it none."""
    columns = [*NUMBER_COLUMNS, "started_at", "duration_seconds", "billed_seconds"]
    values = ", ".join(f"?::varchar as {identifier('record.' + name)}" for name in columns)
    row = engine.row(
        connection,
        f"""
        with given as (select {values}, null::varchar as "record.cost", null::varchar as "made.reason")
        {rated("given", rates, lengths)}
        """,
        [call[name].isoformat() if isinstance(call[name], datetime) else _text(call[name]) for name in columns],
    )
    names = [column[0] for column in connection.description or []]
    priced = dict(zip(names, row, strict=True))
    if priced["record.cost"] is None:
        return None
    return int(priced["record.billed_seconds"] or 0), Decimal(priced["record.cost"])


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _priced(lengths: list[int]) -> str:
    """SQL of relation `numbered` with the rate of the longest prefix that fits, as it was at the start.

    One join for each length of prefix keeps the rows flowing past a small table, however large the file is.
    """
    joins = "\n".join(
        f'left join rate as rate_{length} on rate_{length}.service = numbered."record.service" '
        f'and rate_{length}.prefix = left(numbered."made.digits", {length}) and len(rate_{length}.prefix) = {length} '
        f"{_but_short(length)}"
        f'and numbered."made.start" >= rate_{length}.since and numbered."made.start" < rate_{length}.until'
        for length in lengths
    )

    def longest(column: str) -> str:
        return f"coalesce({', '.join(f'rate_{length}.{column}' for length in lengths)})"

    return f"""
            select numbered.*,
                {longest("price_nano")} as "made.price", {longest("fee_nano")} as "made.fee",
                {longest("first_seconds")} as "made.first", {longest("next_seconds")} as "made.next"
            from numbered
            {joins}
    """


def _costed(rates: Rates) -> str:
    """SQL of the seconds that relation `priced` bills, and of what they cost, in billionths."""
    # Half of the last place is added before the division cuts, so that a cost is rounded once, half away from zero.
    last_place = 10 ** (9 - rates.places)
    return f"""
        counted as (
            select *,
                "record.cost" is null and "made.price" is not null as "made.is_rated",
                case
                    when "made.talk" = 0 then 0
                    when "made.talk" <= "made.first" then "made.first"
                    else "made.first"
                        + ("made.talk" - "made.first" + "made.next" - 1) // "made.next" * "made.next"
                end as "made.billed"
            from priced
        ),
        costed as (
            select *,
                case
                    when "made.first" is null then "made.price" + "made.fee"
                    when "made.billed" = 0 then 0
                    else "made.fee" + {last_place}
                        * ((2 * "made.price" * "made.billed" + {60 * last_place}) // {120 * last_place})
                end as "made.cost"
            from counted
        )
    """

"""Each macro of two forms at its edges, on both engines, against values worked out by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import duckdb
import pytest

from tests.dbt import macros

pytestmark = pytest.mark.slow

ADDRESSES = {
    "0.0.0.0": True,
    "255.255.255.255": True,
    "256.0.0.1": False,
    "01.2.3.4": False,
    "1.2.3": False,
    "::": True,
    "2001:db8::1": True,
    "1:2:3:4:5:6:7:8": True,
    "1:2:3:4:5:6::": True,
    # Two colons stand for two groups or more.
    "1:2:3:4:5:6:7::": False,
    "1::2::3": False,
    "1:2:3:4:5:6:7:8:9": False,
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff": True,
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffff": False,
    "": False,
    # Spark's regular expressions run out of stack on such a text.
    "a:" * 5000: False,
}
NUMBERS = {"+12025550101": True, "+02025550101": False, "12025550101": False, "+1234567": True}
ACCOUNTS = {
    "acme": True,
    "a": True,
    "a..b": False,
    "a b": False,
    "-a": False,
    "a" * 128: True,
    "a" * 129: False,
    "ä": False,
}
MINUTES = {
    0: "0",
    1: "0.016667",
    29: "0.483333",
    30: "0.5",
    59: "0.983333",
    60: "1",
    -1: "-0.016667",
    -29: "-0.483333",
    10**9 - 1: "16666666.65",
    10**17 + 7: "1666666666666666.783333",
}
# Expression over the one row's columns → its value. `t` is the last microsecond of a year, `n` is 7, `z` is null.
VALUES = {
    "microseconds('t')": 1798761599999999,
    "utc_hour('t')": 499655,
    "utc_day('t')": 20818,
    "utc_month('t')": date(2026, 12, 1),
    "end_of_utc_month('t')": datetime(2027, 1, 1, tzinfo=UTC),
    "whole('n', 2)": 3,
    "whole('n - 7', 2)": 0,
    "whole_root('n * n')": 7,
    "matches_fully('z', 'a')": None,
    "within_written_day('t')": True,
    "overlaps_written_day('t', 't')": True,
}
ROW = "cast('2026-12-31 23:59:59.999999+00' as {instant}) as t, 7 as n, cast(null as string) as z"


@pytest.fixture(params=["duckdb", "spark"])
def ask(request: pytest.FixtureRequest):
    """A function that renders a query for an engine, and gives the rows of its answer."""
    engine = request.param
    session = request.getfixturevalue("session") if engine == "spark" else None

    def run(query: str) -> list[tuple]:
        sql = macros.sql(engine, query)
        if session is not None:
            return [tuple(value for value in row) for row in session.sql(sql).collect()]
        with duckdb.connect() as connection:
            connection.execute("set TimeZone = 'UTC'")
            return connection.execute(sql).fetchall()

    return run


def test_instants_and_whole_numbers(ask):
    # Instants as microseconds: each engine's client shows them in a way of its own.
    listed = [
        f"{{{{ microseconds({expression}) }}}}" if isinstance(value, datetime) else f"{{{{ {expression} }}}}"
        for expression, value in VALUES.items()
    ]
    row = ROW.format(instant="{{ instant_type() }}")
    (found,) = ask(f"select {', '.join(listed)} from (select {row}) as given")
    microsecond = 1_000_000
    expected = [
        int(value.timestamp()) * microsecond if isinstance(value, datetime) else value for value in VALUES.values()
    ]
    assert list(found) == expected


@pytest.mark.parametrize(
    ("macro", "cases"), [("is_canonical_ip", ADDRESSES), ("is_e164", NUMBERS), ("is_possible_account_id", ACCOUNTS)]
)
def test_forms_of_keys(ask, macro, cases):
    values = ", ".join(f"('{text}')" for text in cases)
    found = dict(ask(f"select given.x, {{{{ {macro}('given.x') }}}} from (values {values}) as given (x)"))
    assert found == cases


@pytest.mark.parametrize("macro", ["is_canonical_ip", "is_e164"])
def test_a_line_break_at_the_end_of_a_key_is_seen(ask, macro):
    key = {"is_canonical_ip": "203.0.113.9", "is_e164": "+12025550101"}[macro]
    query = f"select {{{{ {macro}('given.x') }}}} from (select '{key}' || chr(10) as x) as given"
    assert ask(query) == [(False,)]


def test_minutes_round_half_away_from_zero(ask):
    values = ", ".join(f"(cast({seconds} as bigint))" for seconds in MINUTES)
    found = dict(ask(f"select given.x, {{{{ minutes_of('given.x') }}}} from (values {values}) as given (x)"))
    assert found == {seconds: Decimal(minutes) for seconds, minutes in MINUTES.items()}


def test_each_whole_number_counts_upwards_or_not_at_all(ask):
    found = ask(
        "select given.name, {{ each_whole_number('given.a', 'given.b') }} as number "
        "from (values ('up', 3, 5), ('one', 4, 4), ('none', 5, 4)) as given (name, a, b)"
    )
    assert sorted(found) == [("one", 4), ("up", 3), ("up", 4), ("up", 5)]


def test_the_last_value_may_be_null_and_a_list_may_be_short(ask):
    rows = "(values ('a', 1, 'x'), ('a', 2, cast(null as string)), ('b', 1, 'y'), ('b', 2, 'z')) as given (k, o, v)"
    found = ask(
        f"""
        select
            k,
            {{{{ last_by('v', ['o', 'o']) }}}} as last_value,
            {{{{ last_by('v', ['o']) }}}} filter (where v is not null) as last_known
        from {rows}
        group by k
        order by k
        """
    )
    assert found == [("a", None, "x"), ("b", "z", "z")]
    found = ask(
        f"""
        with lists as (
            select {{{{ last_few(fields(['v', 'o']), 'o', 3) }}}} as latest
            from {rows}
            where k = 'b'
        )
        select {{{{ nth('latest', 1) }}}}.v, {{{{ nth('latest', 2) }}}}.v, {{{{ nth('latest', 3) }}}}.v from lists
        """
    )
    assert found == [("z", "y", None)]


def test_the_last_known_value_passes_over_nulls(ask):
    found = ask(
        """
        with given {{ read_anew() }} (
            select * from (values (1, 'x'), (2, cast(null as string)), (3, 'y')) as listed (o, v)
        )
        select o, {{ last_known('v') }} over (order by o rows unbounded preceding) as known from given order by o
        """
    )
    assert found == [(1, "x"), (2, "x"), (3, "y")]


def test_time_begins_before_and_ends_after_all_records(ask):
    found = ask(
        "select {{ beginning_of_time() }} < cast('1970-01-01 00:00:00+00' as {{ instant_type() }}), "
        "cast('2999-12-31 23:59:59+00' as {{ instant_type() }}) < {{ end_of_time() }}"
    )
    assert found == [(True, True)]


def test_equal_texts_have_equal_fingerprints_of_64_bits(ask):
    found = ask("select {{ fingerprint('given.x') }} from (values ('a'), ('a'), ('b'), ('')) as given (x)")
    assert len(found) == 4
    assert len(set(found)) == 3
    assert max(abs(number) for (number,) in found) > 1 << 40

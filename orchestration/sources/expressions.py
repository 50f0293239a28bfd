"""The expressions of a declaration over a file's rows: each judged by itself, and one that fails rejects its row alone.

What belongs here: the SQL that evaluates them. What does not: what their values mean (`mapping`).
"""

from dataclasses import dataclass

import duckdb

from orchestration import engine
from orchestration.engine import identifier, text
from orchestration.errors import Refused
from orchestration.sources import lookups
from orchestration.sources.declaration import INSTANCE_COLUMN, RECORD, Source


@dataclass(frozen=True)
class Evaluated:
    """The rows with their expressions' values.

    `query` are the common table expressions of a query, of which the last is `evaluated`: the rows' own columns;
    `record.…` as text for each canonical column but started_at; `time.…`, a text for each kind of time;
    `record.ignored` and `made.reason`, the first rule that holds to ignore or reject a row; `made.failed`, the first
    expression that fails. `types` are the DuckDB types of expressions, by their place in the declaration.
    """

    query: str
    types: dict[str, str]


@dataclass(frozen=True)
class _Expression:
    """An expression: where it is declared, its SQL, the column it becomes, and what is made of its value."""

    place: str
    sql: str
    column: str
    form: str

    @property
    def value(self) -> str:
        return self.form.format(f"({self.sql})")


TEXT = "{}::varchar"
CONDITION = "coalesce({}, false)"


def evaluate(connection: duckdb.DuckDBPyConnection, source: Source) -> Evaluated:
    """Judge every expression of a declaration over relation `file`, and give the query of their values.

    Refused where one cannot be evaluated at all; that is the declaration's fault, and told with its line.
    """
    rows = source.rows or "select * from file"
    _require_rows(connection, source, rows)
    derived = _derived(connection, source, rows)
    types = {}
    columns, failures = [], []
    for number, expression in enumerate(_expressions(source)):
        types[expression.place] = _type(connection, source, expression, derived)
        held = identifier(f"made.{number}")
        value = _tried(connection, f"{{'v': {expression.value}}}", derived)
        columns.append((f"{value} as {held}", held, expression))
        failures.append(f"when {held} is null then {text(f'{expression.place}_failed')}")
    return Evaluated(_query(source, derived, columns, failures), types)


def _query(source: Source, derived: str, columns: list[tuple[str, str, _Expression]], failures: list[str]) -> str:
    values = [
        f"present({held}.v) as {identifier(expression.column)}"
        for _, held, expression in columns
        if not expression.column.startswith(("ignore.", "reject."))
    ]
    values += [
        f"null::varchar as {identifier(f'record.{name}')}"
        for name in RECORD
        if name not in source.record and name != "started_at"
    ]
    hidden = [
        *source.own_names,
        *(identifier(f"failed.{name}") for name in source.derived),
        *(held for _, held, _ in columns),
    ]
    failed_before = " ".join(
        f"when {identifier(f'failed.{name}')} then {text(f'derived.{name}_failed')}" for name in source.derived
    )
    return f"""
        derived as ({derived}),
        tried as (
            select *, {", ".join(column for column, *_ in columns)}
            from derived
        ),
        evaluated as (
            select
                * exclude ({", ".join(hidden)}),
                {", ".join(values)},
                {_first("ignore", columns)} as "record.ignored",
                {_first("reject", columns)} as "made.reason",
                case {failed_before} {" ".join(failures)} end as "made.failed"
            from tried
        )
    """


def _first(table: str, columns: list[tuple[str, str, _Expression]]) -> str:
    """SQL of the name of the first condition of a table that holds."""
    whens = " ".join(
        f"when {held}.v then {text(expression.column.removeprefix(f'{table}.'))}"
        for _, held, expression in columns
        if expression.column.startswith(f"{table}.")
    )
    return f"case {whens} end" if whens else "null::varchar"


def _expressions(source: Source) -> list[_Expression]:
    expressions = [_Expression(f"record.{name}", sql, f"record.{name}", TEXT) for name, sql in source.record.items()]
    expressions += [
        _Expression(f"record.started_at.{kind}", sql, f"time.{kind}", TEXT) for kind, sql in source.times.items()
    ]
    if source.former_record_id:
        expressions.append(_Expression("former_record_id", source.former_record_id, "record.former_id", TEXT))
    for table, conditions in (("ignore", source.ignore), ("reject", source.reject)):
        expressions += [
            _Expression(f"{table}.{name}", sql, f"{table}.{name}", CONDITION) for name, sql in conditions.items()
        ]
    return expressions


def _derived(connection: duckdb.DuckDBPyConnection, source: Source, rows: str) -> str:
    """SQL of the rows with what stands beside their own columns: lookup tables, derived columns, the instance."""
    query = rows
    if INSTANCE_COLUMN in source.own_names:
        query = f"select *, {text(source.instance)} as {INSTANCE_COLUMN} from ({query})"
    query = lookups.joined(connection, source, query)
    for name, sql in source.derived.items():
        _require_bound(connection, source, f"derived.{name}", f"select ({sql}) from ({query})")
        held = _tried(connection, f"{{'v': ({sql})}}", query)
        made = identifier("made.derived")
        query = (
            f"select * exclude ({made}), {made}.v as {name}, {made} is null as {identifier(f'failed.{name}')} "
            f"from (select *, {held} as {made} from ({query}))"
        )
    return query


def _require_rows(connection: duckdb.DuckDBPyConnection, source: Source, rows: str) -> None:
    _require_bound(connection, source, "rows", f"select * from ({rows})")
    columns = {name for name, *_ in connection.execute(f"describe select * from ({rows})").fetchall()}
    lacking = sorted({"source_row", *source.columns, *source.joined} - columns)
    if lacking:
        raise Refused(f"{source.place('rows')}: rows must give {', '.join(lacking)} too, as `select file.*` does.")


def _type(connection: duckdb.DuckDBPyConnection, source: Source, expression: _Expression, derived: str) -> str:
    """The type of an expression, which can be evaluated."""
    _require_bound(connection, source, expression.place, f"select {expression.value} from ({derived})")
    ((_, kind, *_),) = connection.execute(f"describe select ({expression.sql}) from ({derived})").fetchall()
    if expression.place == "record.cost" and kind in ("DOUBLE", "FLOAT"):
        raise Refused(
            f"{source.place(expression.place)}: {expression.place} is {kind}, and money would be inexact. Keep it "
            "text, or cast to DECIMAL."
        )
    return str(kind)


def _require_bound(connection: duckdb.DuckDBPyConnection, source: Source, place: str, query: str) -> None:
    """Refuse a declaration whose query cannot be evaluated, whatever the rows hold."""
    try:
        connection.execute(f"{query} limit 0")
    except duckdb.Error as error:
        raise Refused(f"{source.place(place)}: {place} cannot be evaluated: {engine.first_line(error)}") from error


def _tried(connection: duckdb.DuckDBPyConnection, value: str, relation: str) -> str:
    """SQL of a value that is never null, null in the rows that it fails for.

    DuckDB takes no `try` around a query or a random value; such an expression fails for the file.
    """
    try:
        connection.execute(f"select try({value}) from ({relation}) limit 0")
    except duckdb.Error:
        return value
    return f"try({value})"

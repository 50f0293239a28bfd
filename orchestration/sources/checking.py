"""A trial of a switch's file: its outcome, before anything lands.

What belongs here: running a declaration over a file and looking at the result. What does not: any rule; landing's
apply.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from orchestration import clock, engine, files
from orchestration.landing import input_files, normalization, receipts, record_rules, records, source_files
from orchestration.landing.source_files import SourceFile
from orchestration.settings import Settings
from orchestration.sources import declaration, former_ids, mapping

SHOWN = ("service", "direction", "started_at", "billed_seconds", "number", "source_ip", "x_tenant", "cost", "currency")
# The canonical columns by which a rule that is wrong shows.
TELLING = ("direction", "started_at", "billed_seconds", "number", "cost")
# So many rows of each reason are shown.
OF_EACH = 3


@dataclass(frozen=True)
class Check:
    """The outcome of a file's rows if it landed: counts, the first rows as records, the first of each reason.

    `rejected_rows` and `ignored_rows` have a reason each, and the values by which it can be judged.
    """

    rows: int
    usable: int
    rejected: dict[str, int]
    ignored: dict[str, int]
    first: list[dict[str, Any]]
    rejected_rows: list[dict[str, Any]]
    ignored_rows: list[dict[str, Any]]


def check(settings: Settings, reference: str, path: Path, first: int, *, all_ignored: bool = False) -> Check:
    """Map and judge a whole file as landing would, and keep nothing.

    `first` rows are given, and up to three of each reason and of each rule that leaves rows out; with `all_ignored`,
    `first` of each rule. With 0, no value of the file is given.
    """
    source, rules = declaration.load(settings, reference), record_rules.load(settings)
    file = input_files.look_at(path, source.formats)
    with (
        files.disk_errors(),
        files.own_folder(settings.build) as scratch,
        engine.connect(settings) as connection,
        input_files.unchanged(file),
    ):
        normalization.load(connection)
        opened = mapping.open_source(connection, source, rules.services, file, scratch)
        former_ids.take_over(connection, source, receipts.load(settings))
        records.create_normalized(connection, opened, rules, clock.now())
        with source_files.over_source(connection, opened):
            counts = dict(
                connection.execute(
                    "select coalesce(reason, ''), count(*) from normalized group by all order by all"
                ).fetchall()
            )
            rows = engine.records(
                connection,
                f"select source_row, coalesce(reason, 'usable') as outcome, record_id, {', '.join(SHOWN)} "
                "from normalized order by source_row limit ?",
                [first],
            )
            of_each = min(OF_EACH, first)
            rejected_rows = _rejected(connection, of_each)
            ignored_rows = _ignored(connection, opened, first if all_ignored else of_each) if opened.ignored else []
    return Check(opened.rows, counts.pop("", 0), counts, opened.ignored, rows, rejected_rows, ignored_rows)


def _rejected(connection: duckdb.DuckDBPyConnection, of_each: int) -> list[dict[str, Any]]:
    """The first rejected rows of each reason, with the value that it is about and what would be taken instead."""
    rows = engine.records(
        connection,
        f"select reason, source_row, value, {', '.join(TELLING)} from normalized where reason is not null "
        f"qualify row_number() over (partition by reason order by source_row) <= {of_each} order by all",
    )
    return [row | {"accepted": records.accepted(row["reason"])} for row in rows]


def _ignored(connection: duckdb.DuckDBPyConnection, source: SourceFile, of_each: int) -> list[dict[str, Any]]:
    """The first rows that each rule leaves out, as records and with their own values."""
    telling = ", ".join(f'"record.{name}" as {name}' for name in TELLING)
    return engine.records(
        connection,
        f'select "record.reason" as rule, source_row, {telling}, {records.values_of("ignored", source)} as own_values '
        'from ignored qualify row_number() over (partition by "record.reason" order by source_row) '
        f"<= {of_each} order by rule, source_row",
    )

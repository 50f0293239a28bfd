"""A trial of a switch's file: its outcome, before anything lands.

What belongs here: running a declaration over a file and looking at the result. What does not: any rule; landing's
apply.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestration import clock, engine, files
from orchestration.landing import input_files, normalization, record_rules, records, source_files
from orchestration.settings import Settings
from orchestration.sources import declaration, mapping

SHOWN = ("service", "direction", "started_at", "billed_seconds", "number", "source_ip", "x_tenant", "cost", "currency")


@dataclass(frozen=True)
class Check:
    """The outcome of a file's rows if it landed: counts, and the first rows as records."""

    rows: int
    usable: int
    rejected: dict[str, int]
    ignored: dict[str, int]
    first: list[dict[str, Any]]


def check(settings: Settings, reference: str, path: Path, first: int) -> Check:
    """Map and judge a whole file as landing would, and keep nothing."""
    source, rules = declaration.load(settings, reference), record_rules.load(settings)
    file = input_files.look_at(path)
    with (
        files.disk_errors(),
        files.own_folder(settings.build) as scratch,
        engine.connect(settings) as connection,
        input_files.unchanged(file),
    ):
        normalization.load(connection)
        opened = mapping.open_source(connection, source, rules.services, file, scratch)
        records.create_normalized(connection, opened, rules, clock.now())
        with source_files.over_source(connection, file):
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
    return Check(opened.rows, counts.pop("", 0), counts, opened.ignored, rows)

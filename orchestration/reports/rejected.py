"""Rejected rows as work to be done: which still stand, and a file of them to mend and land again.

What belongs here: reading what landing put aside. What does not: why a row is rejected (`landing.records`), or whether
a month may close without it (`close.readiness`).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from orchestration import data_folder, engine, files, guarded_csv
from orchestration.close import manifests, readiness
from orchestration.close.manifests import Chain
from orchestration.engine import identifier, text
from orchestration.errors import Refused
from orchestration.landing import receipts, records
from orchestration.landing.feeds import CDRS
from orchestration.landing.input_files import form_of
from orchestration.landing.receipts import CANONICAL_SOURCE, Receipt
from orchestration.landing.source_files import MENDED_COLUMNS
from orchestration.months import Month
from orchestration.settings import Settings
from orchestration.sources.reading import LINE

LISTED = "month, source, file_name, batch_id, source_row, record_id, reason, value, state"


def rows(settings: Settings, month: Month | None) -> list[dict[str, Any]]:
    """Every rejected row, or those that a month's close answers for, in landing order."""
    return first_rows(settings, month)[0]


def first_rows(
    settings: Settings, month: Month | None, most: int | None = None, *, only_open: bool = False
) -> tuple[list[dict[str, Any]], int]:
    """So many of the rows at most, and how many there are: a delivery that went wrong has millions.

    `value` is what stands where the reason points, which batches of earlier versions do not have, and `accepted` what
    would be taken there. `state`: open; cleared, when a later delivery of its record was usable; left out, when a close
    had to do without.
    """
    with _rejected(settings) as connection:
        wanted = f"from rejected where {_of(month)}" + (" and state = 'open'" if only_open else "")
        (total,) = engine.row(connection, f"select count(*) {wanted}")
        listed = engine.records(
            connection,
            f"select {LISTED} {wanted} order by batch_id, source_row limit ?",
            [total if most is None else most],
        )
    return [row | {"accepted": records.accepted(row["reason"])} for row in listed], int(total)


def export(settings: Settings, month: Month | None, source: str | None, target: Path) -> int:
    """Write the rows of one source that nothing has cleared yet, in its own columns. Returns how many."""
    if target.suffix not in (".csv", ".jsonl"):
        raise Refused(f"{target}: rejected rows are written as .csv, or as .jsonl when they came as JSON Lines.")
    if target.exists():
        raise Refused(f"{target} exists already; nothing is overwritten.")
    came_as_json = target.suffix == ".jsonl"
    with _rejected(settings) as connection:
        connection.execute(
            f"create temp table wanted as select * from rejected where {_of(month)} and state <> 'cleared'"
            + (f" and source = {text(source)}" if source else "")
            # Of a record that was rejected more than once, the last delivery is what there is to mend.
            + " qualify record_id is null or row_number() over ("
            "partition by record_id order by batch_id desc, source_row desc) = 1"
        )
        kinds = connection.execute("select source, is_json, count(*) from wanted group by all order by all").fetchall()
        fitting = [name for name, is_json, _ in kinds if is_json == came_as_json]
        if not fitting:
            other = ".csv" if came_as_json else ".jsonl"
            hint = f" {sum(count for *_, count in kinds):,} rows can be written as {other}." if kinds else ""
            raise Refused(f"No rejected row is waiting to be written to {target}.{hint}")
        if len(fitting) > 1:
            raise Refused(
                f"Rejected rows of {', '.join(fitting)} have different columns: name one with --source, "
                "a file for each."
            )
        connection.execute(f"delete from wanted where is_json <> {came_as_json}")
        with files.disk_errors(), data_folder.file_to_hand_out(settings, target) as staged:
            (_write_json if came_as_json else _write_csv)(connection, staged)
        (rows_written,) = engine.row(connection, "select count(*) from wanted")
        return int(rows_written)


def _of(month: Month | None) -> str:
    # Before the first month is chosen, a row without a readable time stands against whichever that will be.
    return f"coalesce(answered_by, {text(month)}) = {text(month)}" if month else "true"


@contextmanager
def _rejected(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with table `rejected`: each rejected row with its source, its state and the close it belongs to."""
    chain, batches = manifests.load(settings), receipts.load(settings)
    holders = [batch for batch in batches if batch.rejected]
    paths = [batch.path(batch.rejected) for batch in holders if batch.rejected]
    with engine.connect(settings) as connection:
        _create_batches(connection, holders)
        connection.register("answered", _answered(chain))
        names = {name for batch in holders for name in batch.rejected_by_month}
        answering = [(name, readiness.answering(chain, name)) for name in sorted(names)]
        engine.create_table(connection, "answering", {"month": "varchar", "answered_by": "varchar"}, answering)
        # Batches of earlier versions have no column `value`.
        came = "(select * from nothing" + (
            f" union all by name select * from {engine.parquet(paths, union_by_name=True)})" if paths else ")"
        )
        cleared = readiness.cleared("came", _later(batches, holders))
        connection.execute(
            f"""
            create temp table rejected as
            select
                came.month, batch.source, batch.file_name, came.batch_id, came.source_row, came.record_id, came.reason,
                came.value, came.source_values, batch.is_json,
                case
                    when {cleared} then 'cleared'
                    when answered.month is not null then 'left out'
                    else 'open'
                end as state,
                coalesce(answered.month, answering.answered_by) as answered_by
            from {came} as came
            inner join batch using (batch_id)
            left join answering on answering.month = coalesce(came.month, '')
            left join answered using (batch_id, source_row)
            """
        )
        yield connection


def _create_batches(connection: duckdb.DuckDBPyConnection, batches: Sequence[Receipt]) -> None:
    connection.register(
        "batch",
        pa.table(
            {
                "batch_id": pa.array([batch.batch_id for batch in batches], pa.string()),
                "source": pa.array([batch.source for batch in batches], pa.string()),
                "file_name": pa.array([batch.file_name for batch in batches], pa.string()),
                "is_json": pa.array([_keeps_lines(batch) for batch in batches], pa.bool_()),
            }
        ),
    )
    connection.execute(
        "create temp table nothing (batch_id varchar, source_row bigint, record_id varchar, reason varchar, "
        "month varchar, value varchar, source_values varchar)"
    )


def _keeps_lines(batch: Receipt) -> bool:
    """Whether the rejected rows of a batch hold the lines of a switch's JSON, rather than values by column."""
    if batch.source == CANONICAL_SOURCE:
        return False
    return (batch.file_kind or form_of(Path(batch.file_name)).kind) == "json"


def _answered(chain: Chain) -> pa.Table:
    """The rejected rows that each manifest names."""
    rows = [(str(manifest.month), row) for manifest in chain for row in manifest.content.rejected.rows]
    return pa.table(
        {
            "batch_id": pa.array([row.batch_id for _, row in rows], pa.string()),
            "source_row": pa.array([row.source_row for _, row in rows], pa.int64()),
            "month": pa.array([month for month, _ in rows], pa.string()),
        }
    )


def _later(batches: Sequence[Receipt], holders: Sequence[Receipt]) -> list[Receipt]:
    """The batches in which a row of one of these may have come again."""
    oldest = min((batch.sequence for batch in holders), default=0)
    return [batch for batch in batches if batch.feed == CDRS.name and batch.sequence >= oldest]


def _about_rejection() -> dict[str, str]:
    """The columns beside a row's own values: the key of its record, and why and where it was rejected."""
    return dict(zip(MENDED_COLUMNS, ("record_id", "reason", "file_name", "source_row"), strict=True))


def _write_csv(connection: duckdb.DuckDBPyConnection, target: Path) -> None:
    # The columns in the order of the file that had most of them.
    names = connection.execute(
        "select key from (select unnest(json_keys(source_values)) as key, "
        "generate_subscripts(json_keys(source_values), 1) as place from wanted) "
        "group by key order by max(place), key"
    ).fetchall()
    own = [
        f"json_extract_string(source_values, {text(f'$.{identifier(name)}')}) as {identifier(name)}"
        for (name,) in names
    ]
    beside = [f"{expression} as {name}" for name, expression in _about_rejection().items()]
    query = f"select {', '.join(own + beside)} from wanted"
    guarded_csv.write(connection, query, ("rejected_file", "rejected_row"), target)


def _write_json(connection: duckdb.DuckDBPyConnection, target: Path) -> None:
    beside = ", ".join(f"{text(name)}, {expression}" for name, expression in _about_rejection().items())
    connection.execute(
        f"""
        copy (
            select json_merge_patch(
                json_extract_string(source_values, '$.{LINE}')::json,
                json_merge_patch(source_values, '{{"{LINE}": null}}'),
                json_object({beside})
            )::varchar
            from wanted
            order by batch_id, source_row
        ) to {text(target)} (format csv, header false, quote '', escape '', delimiter '')
        """
    )

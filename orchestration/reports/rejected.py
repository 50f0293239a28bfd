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

from orchestration import engine, files, guarded_csv
from orchestration.close import manifests
from orchestration.engine import identifier, text
from orchestration.errors import Refused
from orchestration.landing import receipts as landed
from orchestration.landing.receipts import CANONICAL_SOURCE, Receipt
from orchestration.landing.source_files import MENDED_COLUMNS, form_of
from orchestration.months import Month
from orchestration.settings import Settings
from orchestration.sources.reading import LINE

LISTED = "month, source, file_name, batch_id, source_row, record_id, reason, state"


def rows(settings: Settings, month: Month | None) -> list[dict[str, Any]]:
    """Every rejected row, or those that a month's close answers for, in landing order.

    `state`: open; cleared, when a later delivery of its record was usable; left out, when a close had to do without.
    """
    with _rejected(settings) as connection:
        return engine.records(
            connection, f"select {LISTED} from rejected where {_of(month)} order by batch_id, source_row"
        )


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
        staged = target.with_name(f".{target.name}.part")
        with files.disk_errors():
            try:
                (_write_json if came_as_json else _write_csv)(connection, staged)
                files.swap(staged, target)
            finally:
                staged.unlink(missing_ok=True)
        (rows_written,) = engine.row(connection, "select count(*) from wanted")
        return int(rows_written)


def _of(month: Month | None) -> str:
    # Before the first month is chosen, a row without a readable time stands against whichever that will be.
    return f"coalesce(answered_by, {text(month)}) = {text(month)}" if month else "true"


@contextmanager
def _rejected(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with table `rejected`: each rejected row with its source, its state and the close it belongs to."""
    known, receipts = manifests.load(settings), landed.load(settings)
    batches = [receipt for receipt in receipts if receipt.rejected]
    with engine.connect(settings) as connection:
        _create_batches(connection, batches)
        connection.register("answered", _answered(known))
        frozen = ", ".join(text(manifest.month) for manifest in known) or "''"
        following = text(known[-1].month.next) if known else "null::varchar"
        rejected = engine.parquet([receipt.path(receipt.rejected) for receipt in batches]) if batches else "nothing"
        connection.execute(
            f"""
            create temp table rejected as
            select
                came.month, batch.source, batch.file_name, came.batch_id, came.source_row, came.record_id, came.reason,
                came.source_values, batch.is_json,
                case
                    when {_cleared(receipts, batches)} then 'cleared'
                    when answered.month is not null then 'left out'
                    else 'open'
                end as state,
                coalesce(
                    answered.month,
                    case when came.month not in ({frozen}) then came.month end,
                    {following}
                ) as answered_by
            from {rejected} as came
            inner join batch using (batch_id)
            left join answered using (batch_id, source_row)
            """
        )
        yield connection


def _create_batches(connection: duckdb.DuckDBPyConnection, batches: Sequence[Receipt]) -> None:
    connection.register(
        "batch",
        pa.table(
            {
                "batch_id": pa.array([receipt.batch_id for receipt in batches], pa.string()),
                "source": pa.array([receipt.source for receipt in batches], pa.string()),
                "file_name": pa.array([receipt.file_name for receipt in batches], pa.string()),
                "is_json": pa.array([_keeps_lines(receipt) for receipt in batches], pa.bool_()),
            }
        ),
    )
    connection.execute(
        "create temp table nothing (batch_id varchar, source_row bigint, record_id varchar, reason varchar, "
        "month varchar, source_values varchar)"
    )


def _keeps_lines(receipt: Receipt) -> bool:
    """Whether the rejected rows of a batch hold the lines of a switch's JSON, rather than values by column."""
    return receipt.source != CANONICAL_SOURCE and form_of(Path(receipt.file_name)).kind == "json"


def _answered(known) -> pa.Table:
    """The rejected rows that each manifest names."""
    named = [
        {"batch_id": row.batch_id, "source_row": row.source_row, "month": str(manifest.month)}
        for manifest in known
        for row in manifest.content.rejected.rows
    ]
    return pa.Table.from_pylist(
        named, pa.schema([("batch_id", pa.string()), ("source_row", pa.int64()), ("month", pa.string())])
    )


def _cleared(receipts: Sequence[Receipt], batches: Sequence[Receipt]) -> str:
    """SQL of whether a later delivery of the row's record was usable."""
    oldest = min((receipt.sequence for receipt in batches), default=0)
    usable = [
        receipt.path(file)
        for receipt in receipts
        if receipt.feed == "cdrs" and receipt.sequence >= oldest
        for file in receipt.files
    ]
    if not usable:
        return "false"
    return (
        f"exists (select 1 from {engine.parquet(usable)} as usable where usable.record_id = came.record_id "
        "and (usable.batch_id, usable.source_row) > (came.batch_id, came.source_row))"
    )


def _about_rejection() -> dict[str, str]:
    """What stands beside a row's own values: what its record is called, and why and where it was rejected."""
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

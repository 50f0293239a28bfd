"""SQL over landed Parquet files: the columns that are asked for, null where a batch is older than one of them.

What belongs here: reading files of different columns as one relation, without opening a file to look. What does not:
which files are read, which receipts say, or any rule about their rows.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from orchestration import engine
from orchestration.landing.receipts import Files, LandedFile, Receipt, RecordsFile

# The distance in `row_id` from one file to the next; no Parquet file of ours has as many rows.
ROWS_PER_FILE = 1 << 32
PLACE = {"record_id": "varchar", "batch_id": "varchar", "source_row": "bigint"}


def select(files: Files, columns: Mapping[str, str], *, row_id: bool = False) -> str:
    """SQL of these columns (name → DuckDB type) over exactly these files; an empty relation without any.

    With `row_id`, each row has one that is unique and stable within the relation. Files that lack the same columns are
    read by one scan, so that a filter reaches their statistics however many they are.
    """
    if not files:
        return _empty(columns, row_id=row_id)
    groups: dict[frozenset[str], Files] = {}
    for path, present in files.items():
        groups.setdefault(frozenset(columns.keys() - present), {})[path] = present
    assert sum(map(len, groups.values())) == len(files)
    selects, before = [], 0
    for absent, group in groups.items():
        values = [f"null::{kind} as {name}" if name in absent else name for name, kind in columns.items()]
        if row_id:
            place = f"(file_index::bigint + {before})" if before else "file_index::bigint"
            values.append(f"{place} * {ROWS_PER_FILE} + file_row_number as row_id")
        source = engine.parquet(group, file_row_number=True) if row_id else engine.parquet(group)
        selects.append(f"select {', '.join(values)} from {source}")
        before += len(group)
    return " union all ".join(selects)


def places(delivered: Iterable[tuple[Receipt, LandedFile]]) -> str:
    """SQL of the record id and the place (`batch_id`, `source_row`) of each row of files of any kind of delivery."""
    selects = [f"{_empty(PLACE, row_id=False)}"]
    # Files of one kind have the same columns, and are read by one scan.
    kinds: dict[str, list[Path]] = {}
    for batch, file in delivered:
        kinds.setdefault("" if isinstance(file, RecordsFile) else file.name, []).append(batch.path(file))
    selects += [f"select {', '.join(PLACE)} from {engine.parquet(paths)}" for paths in kinds.values()]
    return " union all ".join(selects)


def _empty(columns: Mapping[str, str], *, row_id: bool) -> str:
    values = [f"null::{kind} as {name}" for name, kind in columns.items()]
    values += ["null::bigint as row_id"] if row_id else []
    return f"select {', '.join(values)} where false"

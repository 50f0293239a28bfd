"""SQL over landed Parquet files: the columns that are asked for, null where a batch is older than one of them.

What belongs here: reading files of different columns as one relation, without opening a file to look. What does not:
which files are read, which receipts say, or any rule about their rows.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from orchestration import engine
from orchestration.landing.receipts import Files, LandedFile, Receipt, RecordsFile

# The distance in `row_id` from one file to the next; no Parquet file of ours has as many rows.
ROWS_PER_FILE = 1 << 32
PLACE = {"record_id": "varchar", "batch_id": "varchar", "source_row": "bigint"}
# A column that a relation may have beside those of its files: an id that is unique and stable in it, or its file.
Place = Literal["", "row_id", "stated_file"]
PLACE_TYPES: Mapping[Place, str] = {"row_id": "bigint", "stated_file": "varchar"}


def select(files: Files, columns: Mapping[str, str], *, place: Place = "") -> str:
    """SQL of these columns (name → DuckDB type) over exactly these files; an empty relation without any.

    `place` adds a column that tells a row's place. Files that lack the same columns are read by one scan, so that a
    filter reaches their statistics however many they are.
    """
    if not files:
        return _empty(columns, place)
    groups: dict[frozenset[str], Files] = {}
    for path, present in files.items():
        groups.setdefault(frozenset(columns.keys() - present), {})[path] = present
    assert sum(map(len, groups.values())) == len(files)
    selects, before = [], 0
    for absent, group in groups.items():
        values = [f"null::{kind} as {name}" if name in absent else name for name, kind in columns.items()]
        if place == "row_id":
            index = f"(file_index::bigint + {before})" if before else "file_index::bigint"
            values.append(f"{index} * {ROWS_PER_FILE} + file_row_number as row_id")
        elif place == "stated_file":
            values.append("filename as stated_file")
        options = {"row_id": {"file_row_number": True}, "stated_file": {"filename": True}}.get(place, {})
        selects.append(f"select {', '.join(values)} from {engine.parquet(group, **options)}")
        before += len(group)
    return " union all ".join(selects)


def places(delivered: Iterable[tuple[Receipt, LandedFile]]) -> str:
    """SQL of the record id and the place (`batch_id`, `source_row`) of each row of files of any kind of delivery."""
    selects = [_empty(PLACE)]
    # Files of one kind have the same columns, and are read by one scan.
    kinds: dict[str, list[Path]] = {}
    for batch, file in delivered:
        kinds.setdefault("" if isinstance(file, RecordsFile) else file.name, []).append(batch.path(file))
    selects += [f"select {', '.join(PLACE)} from {engine.parquet(paths)}" for paths in kinds.values()]
    return " union all ".join(selects)


def _empty(columns: Mapping[str, str], place: Place = "") -> str:
    values = [f"null::{kind} as {name}" for name, kind in columns.items()]
    values += [f"null::{PLACE_TYPES[place]} as {place}"] if place else []
    return f"select {', '.join(values)} where false"

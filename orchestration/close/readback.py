"""The invariants once more, from the written files alone, by a second reader: pyarrow and Decimal, no DuckDB, no SQL.

What belongs here: re-adding what is about to be frozen, or was. What does not: how it was computed.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from orchestration.close import dictionary_pages
from orchestration.close.content import Counts
from orchestration.errors import Refused
from orchestration.files import EachFile, two_at_a_time

SERVICE = ["service", "direction", "currency"]
TENANT = [*SERVICE, "account_id"]
STATEMENT = ["account_id", "currency"]
# The name of a comparison, and its two sides.
Comparison = tuple[str, object, object]
# Kind of a correction, and the count of records that each such entry has.
Entry = tuple[str, int]
MEASURES = ["record_count", "duration_seconds", "billed_seconds", "cost"]
# Sums are exact in these types: no month has rows enough to leave them.
SUMS: dict[str, pa.DataType] = dict.fromkeys(MEASURES, pa.int64()) | {"cost": pa.decimal128(38, 9)}
# A batch of rows that is grouped at once: large enough to be fast, small enough for a small machine.
BATCH_ROWS = 1_000_000


@dataclass(frozen=True)
class Figures:
    """The sums of the files. `by_service` maps service, direction, currency to records and cost."""

    by_service: dict[tuple[str, str, str], tuple[int, Decimal]] = field(default_factory=dict)
    cost_by_currency: dict[str, Decimal] = field(default_factory=dict)


def read_back(folder: Path, counted: Counts, each_file: EachFile = two_at_a_time) -> Figures:
    """Add a month's files up in every direction that must agree; Refused says which do not.

    `counted` is the outcome of the landed rows by the build's own count; `each_file` reads the files of the usage.
    """
    added = _AddedUp.of(folder, each_file)
    comparisons = chain(
        _of_tables(added), _of_counts(added, folder, counted), _of_statements(added, folder), _of_invariants(folder)
    )
    problems = [f"{title}: {left} against {right}" for title, left, right in comparisons if left != right]
    if problems:
        raise Refused(
            "The written files do not add up, so nothing was published. "
            + "; ".join(problem[:300] for problem in problems[:5])
        )
    organization = _by_key(added.organization, SERVICE)
    costs: dict[str, Decimal] = defaultdict(Decimal)
    for (_, _, currency), (_, _, _, cost) in organization.items():
        costs[currency] += cost
    return Figures({key: (records, cost) for key, (records, _, _, cost) in organization.items()}, dict(costs))


@dataclass(frozen=True)
class _AddedUp:
    """The sums of each table: a row per key, in the order of keys. Those of usage, lines and assets are by tenant, null
    for nobody.
    """

    usage_of_month: pa.Table
    usage: pa.Table
    lines: pa.Table
    by_asset: pa.Table
    unattributed: pa.Table
    organization: pa.Table

    @classmethod
    def of(cls, folder: Path, each_file: EachFile) -> "_AddedUp":
        days = [path for path in sorted((folder / "usage").iterdir()) if path.name.startswith("day=")]
        own = _sums(days, TENANT, each_file)
        corrections = _sums([folder / "usage" / "corrections.parquet"], TENANT)
        return cls(
            usage_of_month=own,
            usage=_added([own, corrections], TENANT),
            lines=_sums([folder / "statement_lines.parquet"], TENANT),
            by_asset=_sums([folder / "usage_by_asset.parquet"], TENANT),
            unattributed=_sums([folder / "unattributed.parquet"], SERVICE),
            organization=_sums([folder / "organization_statement.parquet"], SERVICE),
        )


def _of_tables(added: _AddedUp) -> Iterator[Comparison]:
    """The tables against each other."""
    attributed = _attributed(added.usage)
    nobodys = _added([added.usage.filter(added.usage.column("account_id").is_null())], SERVICE)
    yield _compared("usage of tenants against their lines", TENANT, attributed, added.lines)
    yield _compared("usage of tenants against their assets", TENANT, attributed, added.by_asset)
    yield _compared("usage of nobody against unattributed", SERVICE, nobodys, added.unattributed)
    all_usage = _added([added.usage], SERVICE)
    yield _compared("all usage against the organization", SERVICE, all_usage, added.organization)
    parts = _added([added.lines.select([*SERVICE, *MEASURES]), added.unattributed], SERVICE)
    yield _compared("tenants and unattributed against the organization", SERVICE, parts, added.organization)


def _compared(title: str, key: list[str], left: pa.Table, right: pa.Table) -> Comparison:
    """Two tables of sums, as the rows of each that the other lacks: none of either when they agree."""
    if left.equals(right):
        return title, {}, {}
    left_rows, right_rows = (_by_key(table, key).items() for table in (left, right))
    return title, dict(left_rows - right_rows), dict(right_rows - left_rows)


def _attributed(usage: pa.Table) -> pa.Table:
    return usage.filter(usage.column("account_id").is_valid())


def _of_counts(added: _AddedUp, folder: Path, counted: Counts) -> Iterator[Comparison]:
    """The build's counts against each other, and against the written usage."""
    settled = counted.accepted + counted.duplicate + counted.superseded + counted.rejected
    yield "landed against accepted, duplicate, superseded and rejected", counted.landed, settled
    stated = counted.late + counted.restatement
    not_stated = counted.late_duplicate + counted.late_superseded + counted.before_first_month
    title = "landed late against stated, duplicate, superseded and before the first month"
    yield title, counted.late_landed, stated + not_stated
    settled = counted.withdrawn + counted.withdrawn_duplicate + counted.withdrawn_superseded
    yield "landed withdrawals against withdrawn, duplicate and superseded", counted.withdrawn_landed, settled
    written = added.usage_of_month
    yield "accepted against written usage", counted.accepted, _records(written)
    yield "attributed against written usage", counted.attributed, _records(_attributed(written))
    yield "corrections against those written", *_correction_counts(folder, counted)


def _records(sums: pa.Table) -> int:
    counts: list[Any] = sums.column("record_count").to_pylist()
    return sum(counts)


def _correction_counts(folder: Path, counted: Counts) -> tuple[dict[Entry, int], dict[Entry, int]]:
    """How many entries of each kind there are, with the count of records that each has: as counted, and as written."""
    entries = pq.read_table(folder / "usage" / "corrections.parquet", columns=["entry", "record_count"])
    written = Counter(zip(*(entries.column(name).to_pylist() for name in entries.column_names), strict=True))
    as_counted = {
        ("late", 1): counted.late,
        ("restatement", 1): counted.restatement,
        ("reversal", -1): counted.reversal,
    }
    return {entry: count for entry, count in as_counted.items() if count}, dict(written)


def _of_statements(added: _AddedUp, folder: Path) -> Iterator[Comparison]:
    """Each statement's total against its lines."""
    statements = {
        (row["account_id"], row["currency"]): row["total_cost"]
        for row in _rows(folder / "statements.parquet", ["account_id", "currency", "total_cost"])
    }
    per_statement = {key: cost for key, (*_, cost) in _by_key(_added([added.lines], STATEMENT), STATEMENT).items()}
    # A tenant without usage has a statement over nothing, and no line.
    stated = {key: cost for key, cost in statements.items() if cost or key in per_statement}
    yield "statements against their lines", stated, per_statement


def _of_invariants(folder: Path) -> Iterator[Comparison]:
    """Each difference that the build found against none."""
    for row in _rows(folder / "reconciliation.parquet", ["check_name", "compared", "difference"]):
        yield f"{row['check_name']} of {row['compared']}", row["difference"], 0


def _rows(path: Path, columns: list[str]) -> list[dict[str, Any]]:
    return pq.read_table(path, columns=columns).to_pylist()


def _sums(paths: list[Path], key: list[str], each_file: EachFile = two_at_a_time) -> pa.Table:
    """The four measures by key, added exactly, batch by batch and file by file."""
    return _added(each_file(partial(_of_file, key=key), paths), key)


def _added(parts: list[pa.Table], key: list[str]) -> pa.Table:
    """The sums of these sums by key, which may be a part of theirs, in the order of keys."""
    return _grouped(pa.concat_tables(parts), key).sort_by([(name, "ascending") for name in key])


def _by_key(sums: pa.Table, key: list[str]) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Key → the four measures."""
    keys, measures = ([sums.column(name).to_pylist() for name in names] for names in (key, MEASURES))
    return dict(zip(zip(*keys, strict=True), zip(*measures, strict=True), strict=True))


def _of_file(path: Path, key: list[str]) -> pa.Table:
    with pq.ParquetFile(path, read_dictionary=read_as_codes(path, key)) as file:
        batches = file.iter_batches(batch_size=BATCH_ROWS, columns=[*key, *MEASURES])
        parts = [_grouped(pa.Table.from_batches([batch]), key) for batch in batches]
        return _grouped(pa.concat_tables(parts or [file.schema_arrow.empty_table()]), key)


def read_as_codes(path: Path, names: list[str]) -> list[str]:
    """The columns of a file that are read as codes, which group three times as fast as texts.

    They are stored as codes throughout, and no dictionary of theirs holds a value twice.
    """
    metadata = pq.read_metadata(path)
    groups = {place: _chunks(metadata.row_group(place)) for place in range(metadata.num_row_groups)}
    stored = [name for name in names if all("RLE_DICTIONARY" in chunks[name].encodings for chunks in groups.values())]
    repeating = _repeating(path, stored, groups) if stored else set()
    return [name for name in stored if name not in repeating]


def _chunks(group: pq.RowGroupMetaData) -> dict[str, pq.ColumnChunkMetaData]:
    return {chunk.path_in_schema: chunk for chunk in map(group.column, range(group.num_columns))}


def _repeating(path: Path, names: list[str], groups: dict[int, dict[str, pq.ColumnChunkMetaData]]) -> set[str]:
    """The columns of which a dictionary holds a value twice: DuckDB 2.0 writes '' for each unused value of an enum.

    pyarrow keeps the first of the two alone, and takes the codes of later values for other values or for none. How many
    it keeps shows in the first row of a row group, which costs a twentieth of adding the group up.
    """
    repeating = set()
    with pq.ParquetFile(path, read_dictionary=names) as file, path.open("rb") as pages:
        for place, chunks in groups.items():
            first_row = next(file.iter_batches(batch_size=1, row_groups=[place], columns=names))
            for name in names:
                offset, codes = chunks[name].dictionary_page_offset, first_row.column(name)
                stored = None if offset is None else dictionary_pages.stored_values(pages, offset)
                if not isinstance(codes, pa.DictionaryArray) or len(codes.dictionary) != stored:
                    repeating.add(name)
    return repeating


def _grouped(table: pa.Table, key: list[str]) -> pa.Table:
    grouped = table.group_by(key, use_threads=False).aggregate([(measure, "sum") for measure in MEASURES])
    kinds: dict[str, pa.DataType] = dict.fromkeys(key, pa.string()) | SUMS
    columns = [grouped.column(f"{name}_sum" if name in SUMS else name).cast(kind) for name, kind in kinds.items()]
    return pa.table(columns, names=list(kinds)).combine_chunks()

"""Checking a folder that was handed out: the statement against the root of its month, and the tables beside it.

What belongs here: everything that a folder with `statement.json` and `proof.json` can be held against, without a data
folder. What does not: making proofs (`reports.proofs`).
"""

import csv
import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import duckdb

from orchestration import engine, files, guarded_csv, shape
from orchestration.close import merkle
from orchestration.close.content import canonical
from orchestration.engine import identifier
from orchestration.errors import Refused
from orchestration.landing import source_files
from orchestration.layout import counted
from orchestration.reports.proofs import PROOF, STATEMENT
from orchestration.settings import Settings

# No statement is as large as this, and nothing larger is read into memory.
MOST_BYTES = 1_000_000_000
# A table that may lie beside a statement → the part of the statement that has its rows.
SAME_ROWS = {"statements": "statements", "statement_lines": "lines", "number_inventory": "number_inventory"}
# Tables whose measures, added up by line, are those of the statement's lines.
ADD_UP = ("usage", "usage_by_asset")
LINE = ("currency", "line_type", "usage_month", "service", "direction")
COUNTS = ("record_count", "duration_seconds", "billed_seconds")
# The forms in which exports write a count and an amount: another one could hide digits.
COUNT, AMOUNT = r"-?[0-9]{1,18}", r"-?[0-9]{1,29}\.[0-9]{9}"


@dataclass(frozen=True)
class Proof:
    """The content of `proof.json`. Hashes are 64 hex digits."""

    month: str
    account_id: str
    leaf_index: int
    tree_size: int
    leaf_sha256: str
    path: list[str]
    root_sha256: str
    manifest_sha256: str


@dataclass(frozen=True)
class Statement:
    """The parts of `statement.json` that are compared."""

    month: str
    account_id: str
    leaf_index: str
    tree_size: str
    statements: list[dict[str, str | bool | None]]
    lines: list[dict[str, str | bool | None]]
    number_inventory: list[dict[str, str | bool | None]]


@dataclass(frozen=True)
class ManifestOfRoot:
    """The parts of a manifest that are compared."""

    month: str
    statements_root_sha256: str


@dataclass(frozen=True)
class Expected:
    """The month as it is published elsewhere: its root and its head, or their first digits, and its manifest."""

    root: str | None = None
    head: str | None = None
    manifest: Path | None = None

    @property
    def is_anchored(self) -> bool:
        """Whether the proof's root is compared with something from elsewhere: itself, or by way of the manifest."""
        return self.root is not None or (self.head is not None and self.manifest is not None)


@dataclass(frozen=True)
class Proved:
    """A proof that held, and the names of the tables beside the statement that agree with it."""

    proof: Proof
    tables: list[str]


def prove(settings: Settings, folder: Path, expected: Expected) -> Proved:
    """Hold a folder's statement against its proof, and the proof against what is expected. Refused with the fault."""
    raw = _bytes(folder / STATEMENT)
    statement = shape.build(_parsed(folder / STATEMENT, raw, Statement), Statement)
    proof = shape.build(_parsed(folder / PROOF, _bytes(folder / PROOF), Proof), Proof)
    _require_path(raw, proof)
    stated = (statement.month, statement.account_id, statement.leaf_index, statement.tree_size)
    if stated != (proof.month, proof.account_id, str(proof.leaf_index), str(proof.tree_size)):
        raise _refused("the statement and the proof name another month, tenant, place or number of statements")
    _require_expected(proof, expected)
    return Proved(proof, _require_tables(settings, folder, statement))


def _bytes(path: Path) -> bytes:
    if not path.is_file():
        raise Refused(f"{path} is missing: a folder to be proved has {STATEMENT} and {PROOF}.")
    return files.small(path, MOST_BYTES)


def _parsed(path: Path, raw: bytes, form: type) -> dict[str, Any]:
    """A file's JSON; refused when it has another form, or not the one text of RFC 8785 that its content has."""
    try:
        content = json.loads(raw)
        if canonical(content) == raw and shape.has_shape(content, form):
            assert isinstance(content, dict)
            if form is not Proof or content.keys() == {field.name for field in fields(form)}:
                return content
    except (ValueError, RecursionError):
        pass
    raise _refused(f"{path} is not canonical JSON of a {path.stem}, byte for byte")


def _require_path(raw: bytes, proof: Proof) -> None:
    try:
        leaf, *path = (_digest(text) for text in (proof.leaf_sha256, *proof.path))
        root, _ = (_digest(text) for text in (proof.root_sha256, proof.manifest_sha256))
    except ValueError as error:
        raise _refused("a hash in the proof is not 64 hex digits") from error
    if merkle.leaf(raw) != leaf:
        raise _refused("the statement is not the one of which the proof speaks: its hash is another")
    if merkle.root_of_path(leaf, proof.leaf_index, proof.tree_size, path) != root:
        raise _refused("the path of the proof does not lead to its root")


def _digest(digits: str) -> bytes:
    decoded = bytes.fromhex(digits)
    if len(decoded) != hashlib.sha256().digest_size or decoded.hex() != digits:
        raise ValueError(digits)
    return decoded


def _require_expected(proof: Proof, expected: Expected) -> None:
    for name, stated, digits in (
        ("root", proof.root_sha256, expected.root),
        ("head", proof.manifest_sha256, expected.head),
    ):
        if digits is not None and not stated.startswith(digits.lower()):
            raise _refused(f"the proof is under the {name} {stated}, not {digits}")
    if expected.manifest is not None:
        raw = files.small(expected.manifest, MOST_BYTES)
        if hashlib.sha256(raw).hexdigest() != proof.manifest_sha256:
            raise _refused(f"{expected.manifest} is not the manifest that the proof names")
        manifest = shape.build(_parsed(expected.manifest, raw, ManifestOfRoot), ManifestOfRoot)
        if (manifest.month, manifest.statements_root_sha256) != (proof.month, proof.root_sha256):
            raise _refused(f"{expected.manifest} is of another month, or names another root")


def _require_tables(settings: Settings, folder: Path, statement: Statement) -> list[str]:
    """Hold each table that lies beside a statement against it. Returns their names."""
    present = [
        folder / f"{name}.{form}"
        for name in (*SAME_ROWS, *ADD_UP)
        for form in ("csv", "parquet")
        if (folder / f"{name}.{form}").exists()
    ]
    if present:
        # A tenant has no data folder, so nothing may be made in one.
        with tempfile.TemporaryDirectory() as spill, engine.connect(replace(settings, spill=Path(spill))) as connection:
            for path in present:
                with _readable(path):
                    _require_table(connection, path, statement)
    return [path.name for path in present]


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except engine.MACHINE_ERRORS:
        raise
    except (duckdb.Error, UnicodeDecodeError, csv.Error) as error:
        raise _refused(f"{path} is no table as an export writes it") from error


def _require_table(connection: duckdb.DuckDBPyConnection, path: Path, statement: Statement) -> None:
    connection.execute(f"create or replace view cells as {_cells(connection, path)}")
    if path.stem in ADD_UP:
        _require_sums(connection, path, statement)
        return
    rows = engine.records(connection, "select * from cells")
    stated = [_as_cells(row) for row in getattr(statement, SAME_ROWS[path.stem])]
    if Counter(tuple(sorted(row.items())) for row in rows) != Counter(tuple(sorted(row.items())) for row in stated):
        raise _refused(f"{path} has other rows than the statement")


def _as_cells(row: Mapping[str, str | bool | None]) -> dict[str, str]:
    """A row of the statement as a CSV has it: nothing is empty text, and a boolean is its word."""
    return {name: str(value).lower() if isinstance(value, bool) else value or "" for name, value in row.items()}


def _cells(connection: duckdb.DuckDBPyConnection, path: Path) -> str:
    """SQL of the rows of an exported table, every value as text and nothing as empty text."""
    if path.suffix == ".parquet":
        columns = connection.execute(f"describe select * from {engine.parquet([path])}").fetchall()
        cells = (
            f"coalesce({guarded_csv.cell_text(identifier(name), kind)}, '') as {identifier(name)}"
            for name, kind, *_ in columns
        )
        return f"select {', '.join(cells)} from {engine.parquet([path])}"
    with path.open(encoding="utf-8", newline="") as handle:
        names = next(csv.reader(handle, strict=True), [])
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 1))
        if file.read() != b"\n":
            # DuckDB may lose a last row without one.
            raise _refused(f"{path} does not end with a line break")
    read = f"select {guarded_csv.unguarded(names)} from {source_files.read_csv(path, 'none', names)}"
    return f"select coalesce(columns(*), '') from ({read})"


def _require_sums(connection: duckdb.DuckDBPyConnection, path: Path, statement: Statement) -> None:
    """Refused unless the table's measures, added up by line, are those of the statement's lines, each exact."""
    forms = [f"regexp_full_match({name}, '{COUNT}')" for name in COUNTS] + [f"regexp_full_match(cost, '{AMOUNT}')"]
    (others,) = engine.row(
        connection,
        f"select count(*) from cells where account_id <> ? or not ({' and '.join(forms)})",
        [statement.account_id],
    )
    if others:
        raise _refused(f"{path} has {counted(others, 'row')} of another tenant, or with a figure in another form")
    sums = ", ".join(f"sum({name}::bigint)::varchar" for name in COUNTS)
    rows = connection.execute(
        f"select {', '.join(LINE)}, {sums}, sum(cost::decimal(38, 9))::decimal(38, 9)::varchar from cells group by all"
    ).fetchall()
    measures = (*LINE, *COUNTS, "cost")
    if Counter(rows) != Counter(tuple(line.get(name) for name in measures) for line in statement.lines):
        raise _refused(f"{path} does not add up to the lines of the statement")


def _refused(fault: str) -> Refused:
    return Refused(f"Not proved: {fault}. Ask whoever handed this out for the folder again.")

"""Each tenant's statement as canonical JSON (RFC 8785): the leaves of a month's Merkle tree (rule 30).

What belongs here: a document's form, its salt, and the file that holds a month's documents. What does not: the hashes
of the tree (`merkle`), or handing a document out (`reports.proofs`). Documents are made from the month's written
Parquet files, whichever engine built those.

A document is salted against guessing. An audit path holds the leaf of a neighbour, and the statement of a tenant that
used little could be guessed and tried against it. The salt is the HMAC-SHA256 of the month and the Account ID, under a
key made from the hashes of all landed files: the same files give the same salt, and nobody makes it without them or the
manifest.
"""

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from orchestration import engine, guarded_csv
from orchestration.close import merkle, tables
from orchestration.close.content import canonical
from orchestration.close.tables import Table
from orchestration.engine import identifier, text
from orchestration.landing.receipts import Receipt
from orchestration.months import Month

TABLE = "statement_documents"
FILE = f"{TABLE}.parquet"
ABOUT = (
    "Each tenant's statement as canonical JSON, the leaves of the month's Merkle tree (rule 30). "
    "Grain: one row per tenant."
)
COLUMNS = {
    "account_id": "The tenant's Account ID.",
    "document": "The statement: account_id, leaf_index, lines, month, number_inventory, salt, statements, tenant_name "
    "and tree_size, where lines, number_inventory and statements have the rows of the tables of these names. Amounts, "
    "counts and instants are text.",
    "leaf_sha256": "SHA-256 of a byte of zero and the document.",
}
# A large text may take more than the two gigabytes of all texts together at which Arrow's plain type ends.
SCHEMA = pa.schema([("account_id", pa.string()), ("document", pa.large_string()), ("leaf_sha256", pa.string())])
# Documents are made for so many tenants at a time that this many lines and numbers are in them: about 15 MB of text.
ROWS_AT_ONCE = 50_000
# One tenant's document is read without those of many others.
DOCUMENTS_IN_A_ROW_GROUP = 256


@dataclass(frozen=True)
class Salts:
    """The salts of a month's documents."""

    month: Month
    key: bytes

    @classmethod
    def of(cls, month: Month, batches: Sequence[Receipt]) -> "Salts":
        """Under a key made from every file that had landed, in landing order."""
        landed = sorted(batches, key=lambda batch: batch.sequence)
        return cls(month, hashlib.sha256("\n".join(batch.source_sha256 for batch in landed).encode()).digest())

    def salt(self, account_id: str) -> str:
        return hmac.digest(self.key, f"{self.month}/{account_id}".encode(), "sha256").hex()


def write(connection: duckdb.DuckDBPyConnection, folder: Path, salts: Salts) -> str:
    """Write the documents of the month whose tables lie in `folder`. Returns the root of their tree, in hex."""
    _create_salts(connection, {account_id: salts.salt(account_id) for account_id in _accounts(connection, folder)})
    leaves: list[bytes] = []
    with pq.ParquetWriter(folder / FILE, SCHEMA, compression="zstd", compression_level=1) as file:
        for part in _made(connection, folder, salts.month):
            hashes = [merkle.leaf(document.encode()) for document in part.values()]
            columns = [list(part), list(part.values()), [hashed.hex() for hashed in hashes]]
            arrays = [pa.array(column, kind) for column, kind in zip(columns, SCHEMA.types, strict=True)]
            file.write_table(pa.table(arrays, schema=SCHEMA), DOCUMENTS_IN_A_ROW_GROUP)
            leaves += hashes
    return merkle.root(merkle.levels(leaves)).hex()


def problems(folder: Path, root: str) -> list[str]:
    """Sentences about the documents in a month's folder that are not the leaves of the tree with this root."""
    leaves: list[bytes] = []
    last = ""
    for account_id, document, leaf_sha256 in stored(folder):
        leaves.append(merkle.leaf(document))
        if leaves[-1].hex() != leaf_sha256:
            return [f"the document of {account_id} in {folder / FILE} does not match its hash"]
        if account_id <= last:
            return [f"{folder / FILE} is not in the order of Account IDs"]
        last = account_id
    if merkle.root(merkle.levels(leaves)).hex() != root:
        return [f"the documents in {folder / FILE} have another root than the manifest names"]
    return []


def differing(connection: duckdb.DuckDBPyConnection, folder: Path, month: Month) -> list[str]:
    """The tenants whose document is not byte for byte what the month's tables make with its salt, or is missing."""
    source = engine.parquet([folder / FILE])
    salts = connection.execute(f"select account_id, json_extract_string(document, '$.salt') from {source}").fetchall()
    _create_salts(connection, dict.fromkeys(_accounts(connection, folder)) | dict(salts))
    kept = {account_id: leaf_sha256 for account_id, _, leaf_sha256 in stored(folder)}
    made = {
        account_id: merkle.leaf(document.encode()).hex()
        for part in _made(connection, folder, month)
        for account_id, document in part.items()
    }
    return sorted({account_id for account_id, _ in kept.items() ^ made.items()})


def stored(folder: Path) -> Iterator[tuple[str, bytes, str]]:
    """Account ID, document and leaf hash of each tenant, in the order of the leaves."""
    with pq.ParquetFile(folder / FILE) as file:
        for batch in file.iter_batches(DOCUMENTS_IN_A_ROW_GROUP, columns=SCHEMA.names):
            for account_id, document, leaf_sha256 in zip(
                *(column.to_pylist() for column in batch.columns), strict=True
            ):
                yield account_id, document.encode(), leaf_sha256


def _accounts(connection: duckdb.DuckDBPyConnection, folder: Path) -> list[str]:
    """The tenants with a statement."""
    source = _source(tables.STATEMENTS, folder)
    return [account_id for (account_id,) in connection.execute(f"select distinct account_id from {source}").fetchall()]


def _create_salts(connection: duckdb.DuckDBPyConnection, salts: Mapping[str, str | None]) -> None:
    columns = {"account_id": "varchar", "salt": "varchar"}
    engine.create_table(connection, "salted", columns, list(salts.items()))


def _made(connection: duckdb.DuckDBPyConnection, folder: Path, month: Month) -> Iterator[dict[str, str]]:
    """Account ID → document, in the order of the leaves, a bounded part of the tenants at a time."""
    lines, inventory = (_source(table, folder) for table in (tables.LINES, tables.INVENTORY))
    parts = connection.execute(
        f"""
        with entry as (
            select account_id from {lines}
            union all
            select account_id from {inventory}
        ),
        counted as (
            select account_id, count(*) as entries from entry group by account_id
        ),
        weighed as (
            select
                account_id,
                sum(1 + coalesce(entries, 0)) over (order by account_id) // {ROWS_AT_ONCE} as part
            from salted
            left join counted using (account_id)
        )
        select min(account_id), max(account_id) from weighed group by part order by part
        """
    ).fetchall()
    query = _query(connection, folder, month)
    for first, last in parts:
        rows = connection.execute(query, {"first": first, "last": last}).fetchall()
        yield {account_id: _repaired(document) for account_id, document in rows}


def _query(connection: duckdb.DuckDBPyConnection, folder: Path, month: Month) -> str:
    """SQL of the documents of tenants from $first to $last. Names stand in the order of RFC 8785; numbers are text."""
    statements, lines, inventory = (
        _entries(connection, table, folder) for table in (tables.STATEMENTS, tables.LINES, tables.INVENTORY)
    )
    return f"""
        with tenant as (
            select
                account_id,
                salt,
                row_number() over (order by account_id) - 1 as leaf_index,
                count(*) over () as tree_size
            from salted
        ),
        name as (
            select account_id, to_json(any_value(tenant_name))::varchar as tenant_name
            from {_source(tables.STATEMENTS, folder)}
            where account_id between $first and $last
            group by account_id
        ),
        statements as ({statements}),
        lines as ({lines}),
        inventory as ({inventory})
        select
            account_id,
            concat(
                '{{"account_id":"', account_id,
                '","leaf_index":"', leaf_index,
                '","lines":[', lines.entries,
                '],"month":{json.dumps(str(month))},"number_inventory":[', inventory.entries,
                '],"salt":"', salt,
                '","statements":[', statements.entries,
                '],"tenant_name":', tenant_name,
                ',"tree_size":"', tree_size, '"}}'
            ) as document
        from tenant
        inner join name using (account_id)
        inner join statements using (account_id)
        left join lines using (account_id)
        left join inventory using (account_id)
        order by account_id
    """


def _entries(connection: duckdb.DuckDBPyConnection, table: Table, folder: Path) -> str:
    """SQL of the rows of each tenant from $first to $last in a table, as JSON with commas between, in their order."""
    source = _source(table, folder)
    columns = {name: kind for name, kind, *_ in connection.execute(f"describe select * from {source}").fetchall()}
    entry = ", ".join(f"{text(name)}: {_value(name, columns[name])}" for name in sorted(columns))
    # Each row becomes text before it is gathered: a list of structs would cost a close a tenth of its time.
    return (
        f"select account_id, string_agg(to_json({{{entry}}})::varchar, ',' order by {engine.ordered(table.key)}) "
        f"as entries from {source} where account_id between $first and $last group by account_id"
    )


def _value(name: str, kind: str) -> str:
    """A column as a CSV has it, without the guard of cells; a boolean stays one."""
    return identifier(name) if kind == "BOOLEAN" else guarded_csv.cell_text(identifier(name), kind)


def _repaired(document: str) -> str:
    """The document as RFC 8785 has it: DuckDB writes the code of a control character with A to F instead of a to f."""
    return canonical(json.loads(document)).decode() if "\\u" in document else document


def _source(table: Table, folder: Path) -> str:
    return engine.parquet([folder / f"{table.name}.parquet"])

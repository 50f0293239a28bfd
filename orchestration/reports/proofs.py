"""Proofs of tenants' statements (rule 30), to hand out: `statement.json`, a leaf of its month's Merkle tree, and
`proof.json`, the path from it to the root.

What belongs here: taking both from a frozen month's documents and its manifest, and from nothing else. What does not:
making the documents (`close.statement_documents`), or checking what was handed out (`reports.proving`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from orchestration.close import manifests, merkle, statement_documents
from orchestration.close.content import canonical
from orchestration.close.manifests import Manifest
from orchestration.errors import Damaged, Refused
from orchestration.months import Month
from orchestration.settings import Settings

STATEMENT, PROOF = "statement.json", "proof.json"


@dataclass(frozen=True)
class _RowGroup:
    """The documents of some tenants: those of the leaves from `first` on."""

    first: int
    documents: list[Any]

    def __contains__(self, place: int) -> bool:
        return self.first <= place < self.first + len(self.documents)


class MonthProofs:
    """The proofs of a month, for many of its tenants: one tree, and one reading of the file for tenants in order."""

    def __init__(self, manifest: Manifest) -> None:
        """Raises Damaged when the leaves are not those of the manifest's root."""
        self._manifest = manifest
        self._path = manifest.folder / statement_documents.FILE
        with _undamaged(self._path):
            leaves = pq.read_table(self._path, columns=["account_id", "leaf_sha256"]).to_pydict()
            self._places = {account_id: place for place, account_id in enumerate(leaves["account_id"])}
            self._tree = merkle.levels([bytes.fromhex(leaf) for leaf in leaves["leaf_sha256"]])
            if merkle.root(self._tree).hex() != manifest.content.statements_root_sha256:
                raise ValueError("another root")
        self._read = _RowGroup(0, [])

    def of(self, account_id: str) -> tuple[bytes, bytes]:
        """The bytes of a tenant's `statement.json` and `proof.json`. Refused when it has no statement."""
        place = self._places.get(account_id)
        if place is None:
            raise Refused(f"{account_id!r} has no statement for {self._manifest.month}.")
        with _undamaged(self._path):
            if place not in self._read:
                self._read = _row_group_with(self._path, place)
            document = self._read.documents[place - self._read.first].encode()
            if merkle.leaf(document) != self._tree[0][place]:
                raise ValueError("another document")
        proof = {
            "month": str(self._manifest.month),
            "account_id": account_id,
            "leaf_index": place,
            "tree_size": len(self._places),
            "leaf_sha256": self._tree[0][place].hex(),
            "path": [sibling.hex() for sibling in merkle.path(self._tree, place)],
            "root_sha256": merkle.root(self._tree).hex(),
            "manifest_sha256": self._manifest.sha256,
        }
        return document, canonical(proof)


def _row_group_with(path: Path, place: int) -> _RowGroup:
    with pq.ParquetFile(path) as file:
        first = 0
        for number in range(file.num_row_groups):
            rows = file.metadata.row_group(number).num_rows
            if place < first + rows:
                return _RowGroup(first, file.read_row_group(number, columns=["document"]).column(0).to_pylist())
            first += rows
    raise ValueError("fewer rows than leaves")


@contextmanager
def _undamaged(path: Path) -> Iterator[None]:
    """Around reading a month's documents: torn bytes, or others than those of the root, are damage."""
    try:
        yield
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise Damaged(
            f"{path} does not hold the statements that its manifest names. Restore it from a backup; "
            "`statements verify` lists what is damaged."
        ) from error


def of_month(settings: Settings, month: Month) -> MonthProofs | None:
    """The proofs of a closed month; None if it was frozen before there were any. Refused when it is not closed."""
    manifest = manifests.require_closed(settings, month)
    return MonthProofs(manifest) if manifest.content.statements_root_sha256 else None


def of(settings: Settings, month: Month, account_id: str) -> tuple[bytes, bytes] | None:
    """The bytes of one tenant's `statement.json` and `proof.json`; `of_month` gives those of many."""
    proofs = of_month(settings, month)
    return proofs.of(account_id) if proofs else None

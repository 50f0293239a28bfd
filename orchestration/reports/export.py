"""Exports: a closed month, or one tenant's part of it, as files to hand out.

What belongs here: which files are written, which rows and columns leave, and where they are put. What does not: the
frozen files themselves, which are never handed out by copying; the form of a document (`documents`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from orchestration import data_folder, engine, files, guarded_csv
from orchestration.close import tables
from orchestration.close.manifests import Manifest
from orchestration.close.tables import Table
from orchestration.errors import Refused, did_you_mean
from orchestration.months import Month
from orchestration.reports import focus, proofs
from orchestration.reports.documents import html, page, pdf, reading, workbook
from orchestration.reports.documents.contents import Call, Contents
from orchestration.reports.documents.reading import Source
from orchestration.settings import Settings

TABLE_WRITERS = {"csv": guarded_csv.write, "parquet": tables.copy_parquet}
DOCUMENTS = ("html", "pdf", "xlsx")
FOCUS = "focus"
FORMATS = (*TABLE_WRITERS, *DOCUMENTS, FOCUS)


@dataclass(frozen=True)
class Choice:
    """The formats in which a statement is written, and whether its documents list every call."""

    formats: tuple[str, ...] = ("csv",)
    with_detail: bool = False

    @property
    def has_records(self) -> bool:
        """Whether the records of the month are read for it."""
        return self.with_detail or not TABLE_WRITERS.keys().isdisjoint(self.formats)


def formats(texts: Sequence[str]) -> tuple[str, ...]:
    """The formats that a user named, one by one or with commas between them. Refused when one is none."""
    named = tuple(dict.fromkeys(name.strip() for text in texts for name in text.split(",")))
    if unknown := [name for name in named if name not in FORMATS]:
        raise Refused(f"{', '.join(unknown)} is no format. The formats are {', '.join(FORMATS)}.")
    return named


def export(settings: Settings, month: Month, account_id: str | None, choice: Choice, out: Path) -> list[Path]:
    """Write a closed month under `out/month=…`, or a tenant's part under `…/account=…`. Returns the files, in order."""
    files.require_printable(out, "The folder")
    reading.require_undamaged(settings, month, with_days=choice.has_records)
    with files.disk_errors(), reading.opened(settings, month) as source:
        if account_id is None:
            return write(source, None, choice, month_folder(out, month))
        accounts = reading.account_ids(source)
        if account_id not in accounts:
            raise Refused(
                f"{account_id!r} has no statement for {month}. `statements show {month}` shows the month."
                f"{did_you_mean(account_id, accounts)}"
            )
        return write(source, account_id, choice, account_folder(out, month, account_id))


def month_folder(out: Path, month: Month) -> Path:
    return out / f"month={month}"


def account_folder(out: Path, month: Month, account_id: str) -> Path:
    return month_folder(out, month) / f"account={account_id}"


def write(
    source: Source, account_id: str | None, choice: Choice, folder: Path, ready: Contents | None = None
) -> list[Path]:
    """Write a statement into a folder, of a tenant or of the organization. `ready`: its contents, if they are read."""
    # What may be refused comes first: nothing is half done then.
    documents = _write_documents(source, ready or account_id, choice, folder)
    targets = _write_tables(source, account_id, choice, folder)
    if FOCUS in choice.formats:
        targets.append(folder / "focus.csv")
        with data_folder.file_to_hand_out(source.settings, targets[-1]) as staged:
            guarded_csv.write(source.connection, focus.query(source, account_id), focus.ORDER, staged)
    targets += documents
    return targets + (_write_proof(source, account_id, folder) if account_id is not None else [])


def _write_proof(source: Source, account_id: str, folder: Path) -> list[Path]:
    """Write a tenant's statement and its proof; nothing in a month that was frozen before there were any."""
    if source.proofs is None:
        return []
    targets = [folder / proofs.STATEMENT, folder / proofs.PROOF]
    for target, content in zip(targets, source.proofs.of(account_id), strict=True):
        with data_folder.file_to_hand_out(source.settings, target) as staged:
            staged.write_bytes(content)
    return targets


def _contents(source: Source, account_id: str | None) -> Contents:
    if account_id is None:
        return reading.of_organization(source)
    (stated,) = reading.of_tenants(source, [account_id])
    return stated


def _write_documents(source: Source, which: Contents | str | None, choice: Choice, folder: Path) -> list[Path]:
    """Write the documents of a statement: the PDF first, since it is refused for a character that no font has."""
    named = [name for name in choice.formats if name in DOCUMENTS]
    if not named:
        return []
    stated = which if isinstance(which, Contents) else _contents(source, which)
    order = sorted(named, key=lambda name: name != "pdf")
    written = {name: _write_document(source, stated, choice, folder, name) for name in order}
    return [written[name] for name in named]


def _write_document(source: Source, stated: Contents, choice: Choice, folder: Path, name: str) -> Path:
    """Write one document. Its file is named after the statement's kind and the format."""

    def calls() -> Iterator[Call] | None:
        return reading.calls(source, stated.account_id) if choice.with_detail and stated.account_id else None

    target = folder / f"{'statement' if stated.account_id else 'organization'}.{name}"
    with data_folder.file_to_hand_out(source.settings, target) as staged:
        if name == "xlsx":
            workbook.write(page.of(stated, source.issuer), stated, calls(), staged)
        else:
            writer = html if name == "html" else pdf
            writer.write(page.of(stated, source.issuer, calls()), source.issuer.logo, staged)
    return target


def _write_tables(source: Source, account_id: str | None, choice: Choice, folder: Path) -> list[Path]:
    wanted = [table for table in (*tables.TABLES, tables.USAGE) if account_id is None or table.tenants]
    named = [name for name in choice.formats if name in TABLE_WRITERS]
    targets = {folder / f"{table.name}.{name}": (table, name) for table in wanted for name in named}
    for target, (table, name) in targets.items():
        with data_folder.file_to_hand_out(source.settings, target) as staged:
            query = _query(source.connection, source.manifest, table, account_id)
            TABLE_WRITERS[name](source.connection, query, table.key, staged)
    return list(targets)


def _query(connection: duckdb.DuckDBPyConnection, manifest: Manifest, table: Table, account_id: str | None) -> str:
    paths = [manifest.folder / f"{table.name}.parquet"]
    if table is tables.USAGE:
        paths = manifest.usage_files
    source = engine.parquet(paths)
    names = [name for name, *_ in connection.execute(f"describe select * from {source}").fetchall()]
    listed = ", ".join(engine.identifier(name) for name in names if name not in tables.NOT_EXPORTED)
    only = f" where account_id = {engine.text(account_id)}" if account_id is not None else ""
    return f"select {listed} from {source}{only}"

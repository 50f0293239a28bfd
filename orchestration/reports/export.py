"""Exports: a closed month, or one tenant's part of it, as files to hand out.

What belongs here: which rows and columns leave, and where they are put. What does not: the frozen files themselves,
which are never handed out by copying.
"""

from pathlib import Path

import duckdb

from orchestration import data_folder, engine, files, guarded_csv
from orchestration.close import manifests, tables
from orchestration.close.manifests import Manifest
from orchestration.close.tables import Table
from orchestration.errors import Refused, did_you_mean
from orchestration.months import Month
from orchestration.settings import Settings

WRITERS = {"csv": guarded_csv.write, "parquet": tables.copy_parquet}


def export(settings: Settings, month: Month, account_id: str | None, formats: list[str], out: Path) -> list[Path]:
    """Write a closed month's tables under `out/month=…[/account=…]`. Returns the files, in order."""
    if unknown := [name for name in formats if name not in WRITERS]:
        raise Refused(f"{', '.join(unknown)} is no format. The formats are {', '.join(WRITERS)}.")
    files.require_printable(out, "The folder")
    manifest = manifests.require_closed(settings, month)
    wanted = [table for table in (*tables.TABLES, tables.USAGE) if account_id is None or table.tenants]
    folder = out / f"month={month}"
    with files.disk_errors(), engine.connect(settings) as connection:
        if account_id is not None:
            _require_statement(connection, manifest, account_id)
            folder = folder / f"account={account_id}"
        targets = {folder / f"{table.name}.{name}": (table, name) for table in wanted for name in formats}
        for target, (table, name) in targets.items():
            with data_folder.file_to_hand_out(settings, target) as staged:
                WRITERS[name](connection, _query(connection, manifest, table, account_id), table.key, staged)
        return list(targets)


def _require_statement(connection: duckdb.DuckDBPyConnection, manifest: Manifest, account_id: str) -> None:
    source = engine.parquet([manifest.folder / "statements.parquet"])
    accounts = {account for (account,) in connection.execute(f"select account_id from {source}").fetchall()}
    if account_id not in accounts:
        raise Refused(
            f"{account_id!r} has no statement for {manifest.month}. `statements show {manifest.month}` shows the month."
            f"{did_you_mean(account_id, accounts)}"
        )


def _query(connection: duckdb.DuckDBPyConnection, manifest: Manifest, table: Table, account_id: str | None) -> str:
    paths = [manifest.folder / f"{table.name}.parquet"]
    if table is tables.USAGE:
        paths = manifest.usage_files
    source = engine.parquet(paths)
    names = [name for name, *_ in connection.execute(f"describe select * from {source}").fetchall()]
    listed = ", ".join(engine.identifier(name) for name in names if name not in tables.NOT_EXPORTED)
    only = f" where account_id = {engine.text(account_id)}" if account_id is not None else ""
    return f"select {listed} from {source}{only}"

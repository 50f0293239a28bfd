"""`warehouse.duckdb`: views over the frozen files, the history of every asset, and what operations needs to see.

It is a cache: everything in it comes from files, one call makes it anew, and it is only ever replaced by rename, so an
open session never blocks a close. What does not belong here: anything that exists nowhere else.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

import duckdb

from orchestration import engine, files
from orchestration.close import dbt_build, manifests, on_duckdb, statement_documents, tables
from orchestration.close.manifests import Chain
from orchestration.close.pinning import ClosePeriod
from orchestration.engine import identifier, text
from orchestration.errors import Damaged, Refused
from orchestration.landing import receipts
from orchestration.landing.feeds import CDRS
from orchestration.landing.receipts import Receipt
from orchestration.months import Month
from orchestration.settings import Settings
from orchestration.warehouse import catalogue, late_records, reader, report_views

# The schemas that a refresh may keep, each with the table in whose comment stands what it was made from. `reports` has
# views over `statements`, so they are kept or made together.
NOTED_ON = {"assets": ("assets", "tenants"), "statements": ("reports", "services")}
# How DuckDB tells that the content of a file is at fault, and not the machine that it is read on.
NO_WAREHOUSE = ("not a valid DuckDB", "Corrupt database file", "Could not read enough bytes", "with version number")
HISTORY_MODELS = ["int_tenant_lives", "int_holdings", "int_assignment_periods", "int_number_types"]


def rebuild(settings: Settings) -> None:
    """Make the warehouse anew from what is landed and frozen, and swap it in."""
    _make(settings, keep=False)


def refresh(settings: Settings) -> None:
    """Bring the warehouse up to date. A schema whose inputs have not changed since the last time is kept as it is."""
    _make(settings, keep=True)


def refresh_if_stale(settings: Settings) -> None:
    """Refresh unless the warehouse lists exactly what is landed and frozen: a killed command may have left it old."""
    batches = {(batch.batch_id,) for batch in receipts.load(settings)}
    heads = {(str(manifest.month), manifest.sha256) for manifest in manifests.load(settings)}
    if _contents(settings) != (batches, heads):
        refresh(settings)


def _contents(settings: Settings) -> tuple[set[tuple[Any, ...]], set[tuple[Any, ...]]] | None:
    """The batches, and the months with their manifests' hashes, of the published warehouse; None without one."""
    try:
        with reader.reading(settings) as connection:
            batches = connection.execute("select batch_id from operations.batches").fetchall()
            heads = connection.execute("select month, manifest_sha256 from operations.closes").fetchall()
    except (Refused, Damaged, duckdb.Error):
        return None
    return set(batches), set(heads)


def _make(settings: Settings, *, keep: bool) -> None:
    folder = settings.build / "warehouse"
    files.remove(folder)
    folder.mkdir(parents=True)
    try:
        _fill(settings, folder / "warehouse.duckdb", keep=keep)
        # A log of the old file beside the new one would make it unreadable; ours is never opened for writing.
        settings.warehouse.with_suffix(".duckdb.wal").unlink(missing_ok=True)
        files.swap(folder / "warehouse.duckdb", settings.warehouse)
    finally:
        files.remove(folder)


def _fill(settings: Settings, staged: Path, *, keep: bool) -> None:
    chain, batches = manifests.load(settings), receipts.load(settings)
    made_from = {"assets": _assets_made_from(batches), "statements": _statements_made_from(settings, chain)}
    with engine.connect(settings) as connection:
        if keep and settings.warehouse.exists():
            _attach_copy(connection, settings.warehouse, staged)
        else:
            connection.execute(f"attach {text(staged)} as warehouse")
        kept_from = _notes(connection)
        anew = {schema for schema, note in made_from.items() if kept_from.get(schema) != note}
        dropped = ["operations", *(("reports",) if "statements" in anew else ()), *sorted(anew)]
        for schema in dropped:
            connection.execute(f"drop schema if exists warehouse.{schema} cascade; create schema warehouse.{schema}")
        if "statements" in anew:
            _create_statements(connection, chain)
            report_views.create(connection, settings, "warehouse")
        if "assets" in anew:
            _create_assets(connection, batches)
        _create_operations(connection, chain, batches)
        notes = {NOTED_ON[schema]: note for schema, note in made_from.items()}
        catalogue.comment(connection, "warehouse", dropped, notes)
        connection.execute("checkpoint warehouse; detach warehouse")


def _assets_made_from(batches: Sequence[Receipt]) -> str:
    """A hash of all that the asset tables depend on: the batches of the assignment feeds, the models, this package."""
    return _made_from(batch.batch_id for batch in batches if batch.feed != CDRS.name)


def _statements_made_from(settings: Settings, chain: Chain) -> str:
    """A hash of all that the views over frozen months depend on: folder, months, services, contracts, this package."""
    return _made_from([str(settings.statements), *(m.sha256 for m in chain), *report_views.services_as_text(settings)])


def _made_from(inputs: Iterable[str]) -> str:
    digest = hashlib.sha256(dbt_build.made_from().encode())
    for path in sorted(Path(__file__).parent.iterdir()):
        if path.suffix in (".py", ".sql"):
            digest.update(path.read_bytes())
    for one in inputs:
        digest.update(f"{one}\n".encode())
    return f"Made from {digest.hexdigest()}"


def _attach_copy(connection: duckdb.DuckDBPyConnection, published: Path, staged: Path) -> None:
    """Attach a copy of the published warehouse; an empty one where it cannot be read."""
    shutil.copyfile(published, staged)
    try:
        connection.execute(f"attach {text(staged)} as warehouse")
    except duckdb.Error as error:
        if isinstance(error, engine.MACHINE_ERRORS) and not any(sign in str(error) for sign in NO_WAREHOUSE):
            raise
        staged.unlink()
        connection.execute(f"attach {text(staged)} as warehouse")


def _notes(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """What the schemas of the attached warehouse were made from; nothing of those that do not say so."""
    commented = connection.execute(
        """
        select schema_name, table_name, comment
        from duckdb_tables()
        where database_name = 'warehouse' and comment is not null
        """
    ).fetchall()
    comments = {(schema, table): comment for schema, table, comment in commented}
    return {schema: comments[place].rpartition("\n")[2] for schema, place in NOTED_ON.items() if place in comments}


def _create_statements(connection: duckdb.DuckDBPyConnection, chain: Chain) -> None:
    for table in (tables.USAGE, *tables.TABLES):
        paths = {
            manifest.month: manifest.usage_files
            if table is tables.USAGE
            else [manifest.folder / f"{table.name}.parquet"]
            for manifest in chain
        }
        _create_statements_view(connection, table.name, dbt_build.contract(table.name), paths)
    # Months that were frozen in format 1 have none.
    with_documents = [manifest for manifest in chain if manifest.content.statements_root_sha256]
    paths = {manifest.month: [manifest.folder / statement_documents.FILE] for manifest in with_documents}
    columns = dict.fromkeys(statement_documents.SCHEMA.names, "varchar")
    _create_statements_view(connection, statement_documents.TABLE, columns, paths)


def _create_statements_view(
    connection: duckdb.DuckDBPyConnection, name: str, columns: dict[str, str], paths: Mapping[Month, Sequence[Path]]
) -> None:
    """A view of a table over all closed months, with the month of each row."""
    selects = []
    for month, of_month in paths.items():
        start = f"date {text(month.start.date())} as month_start"
        added = f"*, {start}" if "month" in columns else f"{text(month)} as month, {start}, *"
        selects.append(f"select {added} from {engine.parquet(of_month)}")
    if not selects:
        selects = [_select({"month": "varchar", "month_start": "date"} | columns, [])]
    query = " union all by name ".join(selects)
    connection.execute(f"create view warehouse.statements.{identifier(name)} as {query}")


def _create_assets(connection: duckdb.DuckDBPyConnection, batches: Sequence[Receipt]) -> None:
    """Run the models of holdings over everything landed, with no end, and keep their rows."""
    connection.execute("attach ':memory:' as build; use build")
    on_duckdb.create_assignment_sources(connection, batches)
    on_duckdb.create_close(connection, ClosePeriod())
    for relation, query in dbt_build.compiled(HISTORY_MODELS).items():
        connection.execute(f"create view {relation} as {query}")
    connection.execute("use memory")
    connection.execute(
        """
        create table warehouse.assets.tenants as
            select account_id, tenant_name, alive_from, archived_at
            from build.main.int_tenant_lives
            order by account_id
        """
    )
    for kind, extra in (("number", "number_type, "), ("ip", "")):
        typed = "left join build.main.int_number_types as typed on typed.number = holding.asset" if extra else ""
        connection.execute(
            f"""
            create table warehouse.assets.{kind}_assignment_history as
                select
                    holding.asset as {kind}, {extra} holding.account_id, holding.valid_from, holding.valid_to,
                    holding.recorded_at, holding.is_late, holding.assignment_id,
                    life.alive_from as tenant_alive_from, life.archived_at as tenant_archived_at
                from build.main.int_holdings as holding
                left join warehouse.assets.tenants as life on life.account_id = holding.account_id
                {typed}
                where holding.asset_type = '{kind}'
                order by holding.asset, holding.valid_from
            """
        )
        # A view, so that it is right at the time it is asked: a change may be ordered for a later instant.
        connection.execute(
            f"""
            create view warehouse.assets.{kind}s as
                with held as (
                    select {kind}, account_id, greatest(valid_from, tenant_alive_from) as held_from, assignment_id
                    from warehouse.assets.{kind}_assignment_history
                    where account_id is not null
                        and valid_from <= now() and (valid_to is null or valid_to > now())
                        and tenant_alive_from <= now() and (tenant_archived_at is null or tenant_archived_at > now())
                )
                select known.{kind}, {extra} held.account_id, held.held_from, held.assignment_id
                from (select distinct {extra} {kind} from warehouse.assets.{kind}_assignment_history) as known
                left join held on held.{kind} = known.{kind}
                order by known.{kind}
            """
        )
    connection.execute("detach build")


def _create_operations(connection: duckdb.DuckDBPyConnection, chain: Chain, batches: Sequence[Receipt]) -> None:
    engine.create_table(
        connection,
        "warehouse.operations.batches",
        catalogue.BATCHES.types,
        [
            [
                b.feed, b.batch_id, b.landed_at, b.landed_by, b.source, b.file_name, b.source_sha256, b.source_bytes,
                b.rows, b.duplicates, b.superseded, b.superseded_in_file, b.superseded_elsewhere, b.withdrawn_rows,
                b.cost_difference, b.rejected_rows, b.late, b.overtaken, b.cutoff, b.sealed_at,
            ]
            for b in batches
        ],
    )  # fmt: skip
    engine.create_table(
        connection,
        "warehouse.operations.closes",
        catalogue.CLOSES.types,
        [
            [
                str(m.month), m.month.start.date(), m.month.start, m.month.end, m.closed_at, m.sha256,
                m.content.previous_manifest_sha256, m.content.statements_root_sha256,
                *astuple(m.content.counts), m.content.rejected.accepted_by_operator, json.dumps(m.content.totals),
                json.dumps(m.content.warnings), json.dumps(m.content.versions),
            ]
            for m in chain
        ],
    )  # fmt: skip
    rejected = [batch.path(batch.rejected) for batch in batches if batch.rejected]
    # The time of a rejected row may be of no month that a date can have.
    start = "try_cast(month || '-01' as date) as month_start"
    query = f"select *, {start} from ({_select(catalogue.REJECTED_ROWS.types, rejected)}) order by batch_id, source_row"
    connection.execute(f"create view warehouse.operations.rejected_rows as {query}")
    late = late_records.query(chain, batches)
    connection.execute(f"create view warehouse.operations.late_records as select *, {start} from ({late})")


def _select(columns: dict[str, str], paths: Sequence[Path]) -> str:
    if paths:
        return f"select {', '.join(columns)} from {engine.parquet(paths)}"
    return f"select {', '.join(f'null::{kind} as {name}' for name, kind in columns.items())} where false"

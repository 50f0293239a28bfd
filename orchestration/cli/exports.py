"""The commands that hand out what is closed, and the one that checks what was handed out.

What belongs here: their arguments, help and sentences. What does not: what is written, or how it is proved (`reports`).
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration import screen, shape
from orchestration.cli import completion
from orchestration.cli.command import STATE, AsJson
from orchestration.files import SUMS
from orchestration.layout import counted
from orchestration.months import Month
from orchestration.settings import Settings

if TYPE_CHECKING:
    from orchestration.reports.database import Choice as Database
    from orchestration.reports.packs import Order


def export_month(
    months: Annotated[list[str], typer.Argument(help="YYYY-MM", autocompletion=completion.closed_months)],
    account: Annotated[
        str | None, typer.Option(help="One tenant's part of the month.", autocompletion=completion.accounts)
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format", help="csv, parquet, html, pdf, xlsx or focus; with commas, or repeated. Or duckdb or iceberg."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder to write to.")] = Path("exports"),
    detail: Annotated[bool, typer.Option("--detail", help="List every call in HTML, PDF and XLSX.")] = False,
    each: Annotated[bool, typer.Option("--each", help="Write every tenant's statement, with an index.")] = False,
    as_zip: Annotated[bool, typer.Option("--zip", help="With --each: a ZIP per statement.")] = False,
    with_usage: Annotated[bool, typer.Option("--with-usage", help="With duckdb: every record too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a closed month, one tenant's part of it, or all statements of it, as files to hand out; or months as one
    database.

    Example: statements export 2026-09 --account smallcustomer --format html,pdf --out handout
    """
    from orchestration.reports import database, export, packs, proofs

    if (each and account is not None) or (as_zip and not each):
        raise typer.BadParameter("--each goes without --account, and --zip goes with --each.")
    settings, closed = STATE.existing, [Month.parse(month) for month in months]
    if formats == ["duckdb"]:
        paths = [_export_database(settings, database.Choice(closed, with_usage=with_usage), account, out)]
    elif formats == ["iceberg"] and not with_usage:
        paths = [_register_in_iceberg(settings, closed, account, out)]
    elif closed[1:] or with_usage:
        raise typer.BadParameter("several months go with --format duckdb or iceberg, --with-usage with duckdb alone.")
    else:
        choice = export.Choice(export.formats(formats or ["csv"]), with_detail=detail)
        if each:
            paths = _export_each(settings, packs.Order(closed[0], choice, out, is_zipped=as_zip), quietly=as_json)
        else:
            with screen.progress(f"Exporting {closed[0]}"):
                paths = export.export(settings, closed[0], account, choice, out)
    if as_json:
        screen.as_json([str(path) for path in paths])
        return
    for path in paths:
        screen.line(str(path))
    if account and proofs.PROOF not in {path.name for path in paths}:
        screen.say(f"{closed[0]} was frozen before statements had proofs, so there is no {proofs.PROOF}.")


def _export_each(settings: Settings, order: "Order", *, quietly: bool) -> list[Path]:
    """Write a pack, and return its two lists."""
    from orchestration.reports import packs

    with screen.progress(f"Writing the statements of {order.month}") as step:
        pack = packs.write(settings, order, step)
    if not quietly:
        screen.say(f"{counted(pack.statements, 'statement')}, listed with their hashes in")
    return [pack.folder / packs.INDEX, pack.folder / SUMS]


def _export_database(settings: Settings, choice: "Database", account: str | None, out: Path) -> Path:
    from orchestration.reports import database

    if account is not None:
        raise typer.BadParameter("a database holds whole months: --account goes with the other formats.")
    with screen.progress("Writing the database"):
        return database.export(settings, choice, out)


def _register_in_iceberg(settings: Settings, months: list[Month], account: str | None, out: Path) -> Path:
    from orchestration.reports import iceberg

    if account is not None:
        raise typer.BadParameter("a catalogue holds whole months: --account goes with the other formats.")
    with screen.progress("Registering the months"):
        return iceberg.export(settings, months, out)


def prove_statement(
    folder: Annotated[Path, typer.Argument(help="An export of one tenant, with statement.json and proof.json.")],
    expect_root: Annotated[
        str | None, typer.Option(help="The month's root as it was published, or its first 16 digits or more.")
    ] = None,
    expect_head: Annotated[
        str | None, typer.Option(help="The month's head as it was published, or its first 16 digits or more.")
    ] = None,
    manifest: Annotated[Path | None, typer.Option(help="The month's manifest.json, where it was handed out.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check a tenant's statement against the root of its month, and the tables beside it; no data folder is needed.

    Example: statements prove handout/month=2026-09/account=smallcustomer
    """
    from orchestration.reports import proving

    for name, digits in (("--expect-root", expect_root), ("--expect-head", expect_head)):
        if digits is not None and not re.fullmatch("[0-9A-Fa-f]{16,64}", digits):
            raise typer.BadParameter(f"{name} takes 64 hex digits, or the first 16 at least.")
    expected = proving.Expected(expect_root, expect_head, manifest)
    with screen.progress(f"Proving {folder}"):
        proved = proving.prove(STATE.settings, folder, expected)
    if as_json:
        screen.as_json(shape.as_json(proved))
        return
    proof = proved.proof
    screen.say(
        f"Proved: the statement of {proof.account_id} for {proof.month} is number {proof.leaf_index + 1} of the "
        f"{proof.tree_size} under the root {proof.root_sha256}. Head {proof.manifest_sha256}"
    )
    if proved.tables:
        screen.say(f"It agrees with {', '.join(proved.tables)}.")
    if not expected.is_anchored:
        screen.say("Compare the root and the head with those that were published: a folder alone cannot prove them.")

"""The commands that freeze months and prove what is kept: `close`, `verify`, `rebuild`.

What belongs here: their arguments, help and sentences. What does not: how a month is closed (`commands.close`,
`dagster_run`), how damage is detected (`close.verify`, `close.recompute`) or how the cache is made (`warehouse.cache`).
"""

import re
from dataclasses import asdict
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestration import screen
from orchestration.cli import completion
from orchestration.cli.command import STATE, AsJson, Form, print_rows, retelling
from orchestration.errors import Damaged
from orchestration.layout import amount, counted
from orchestration.months import Month, with_ranges
from orchestration.settings import Settings

if TYPE_CHECKING:
    from orchestration.close.manifests import Manifest


def close_months(
    month: Annotated[
        str | None,
        typer.Argument(help="YYYY-MM; without one, every month that is due.", autocompletion=completion.months),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Build and check, publish nothing.")] = False,
    accept_rejected: Annotated[
        bool, typer.Option("--accept-rejected", help="Close without the rejected rows; the manifest names them.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Freeze a month's statements, for ever; or verify them, when they are frozen.

    Example: statements close 2026-09 --dry-run
    """
    from orchestration.close import due

    settings = STATE.existing
    months = [Month.parse(month)] if month else due.due_months(settings)
    if not months and not as_json:
        screen.say("Nothing to do: every ended month is frozen.")
    if dry_run:
        rehearsed = [_rehearse(settings, months[0], as_json=as_json)] if months else []
        if as_json:
            screen.as_json(rehearsed)
        return
    closed = [_close_month(settings, one, accept_rejected=accept_rejected, as_json=as_json) for one in months]
    if as_json:
        screen.as_json(closed)


def _rehearse(settings: Settings, month: Month, *, as_json: bool) -> dict[str, Any]:
    from orchestration.commands import close

    with screen.progress(f"Rehearsing the close of {month}") as step:
        figures = close.rehearse(settings, month, step)
    (counts,) = figures.pop("Records")
    if not as_json:
        screen.say(f"Rehearsed {month}; nothing was published.")
        told = [{"figure": name.replace("_", " "), "count": count} for name, count in counts.items() if count]
        screen.table("Records", told)
        for title, rows in figures.items():
            print_rows(title, [_shortened(row) for row in rows], Form.TABLE)
    return {"month": str(month), "records": counts} | {
        title.lower().replace(" ", "_"): rows for title, rows in figures.items()
    }


def _shortened(row: dict[str, Any]) -> dict[str, Any]:
    return row | {name: with_ranges(text) for name, text in row.items() if name == "warning"}


def _close_month(settings: Settings, month: Month, *, accept_rejected: bool, as_json: bool) -> dict[str, Any]:
    from orchestration import dagster_run
    from orchestration.close import manifests
    from orchestration.commands import close

    was_frozen = close.require_closable(settings, month, accept_rejected=accept_rejected)
    with screen.progress(f"{'Verifying' if was_frozen else 'Closing'} {month}") as step, close.followed(step):
        already_frozen = dagster_run.close_through_dagster(settings, month, accept_rejected=accept_rejected)
    manifest = manifests.read(settings, month)
    if not as_json:
        _print_closed(manifest, already_frozen=already_frozen)
    return {
        "month": str(month),
        "already_frozen": already_frozen,
        "manifest_sha256": manifest.sha256,
        "counts": asdict(manifest.content.counts),
        "totals": manifest.content.totals,
        "warnings": manifest.content.warnings,
        "rejected_left_out": len(manifest.content.rejected.left_out),
    }


def _print_closed(manifest: "Manifest", *, already_frozen: bool) -> None:
    month, counts = manifest.month, manifest.content.counts
    if already_frozen:
        screen.say(
            f"{month} is frozen already, and verified: every byte and every sum is as it was. Head {manifest.sha256}"
        )
        return
    totals = ", ".join(f"{amount(Decimal(cost))} {currency}" for currency, cost in manifest.content.totals.items())
    corrections = counts.late + counts.reversal + counts.restatement
    screen.say(
        f"Closed {month}: {counted(counts.accepted, 'record')}, {counts.unattributed:,} unattributed, "
        f"{counted(corrections, 'correction')}, total {totals or '0'}. Head {manifest.sha256}"
    )
    screen.say(f"Root of the statements {manifest.content.statements_root_sha256}")
    for warning in manifest.content.warnings:
        screen.complain(f"Warning: {with_ranges(warning)}")
    if left_out := len(manifest.content.rejected.left_out):
        verb = "was" if left_out == 1 else "were"
        screen.say(f"  {counted(left_out, 'rejected row')} {verb} left out, as accepted; the manifest names them.")


def verify_months(
    month: Annotated[
        str | None,
        typer.Argument(help="YYYY-MM; without one, all of them.", autocompletion=completion.closed_months),
    ] = None,
    again: Annotated[
        bool, typer.Option("--recompute", help="Also compute each month again from what its close read.")
    ] = False,
    expect_head: Annotated[
        str | None,
        typer.Option(help="The hash of the last manifest, as it was noted elsewhere, or its first 16 digits or more."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Hash everything frozen and everything landed again, and add the frozen up again.

    Example: statements verify --recompute
    """
    from orchestration import files, frozen
    from orchestration.close import manifests, recompute, verify
    from orchestration.landing import receipts

    if expect_head is not None and not re.fullmatch("[0-9A-Fa-f]{16,64}", expect_head):
        raise typer.BadParameter("--expect-head is a head as a close prints it, or its first 16 digits at least.")
    settings = STATE.existing
    if month:
        frozen.require_closed(settings, Month.parse(month))
    months = [Month.parse(month)] if month else frozen.frozen_months(settings)
    with screen.progress("Every stored byte") as step:
        problems = verify.all_problems(settings, months, step)
        if again and not problems:
            with files.disk_errors(), files.only_writer(settings.lock):
                for one in months:
                    problems += recompute.problems(settings, one, step)
    head = None if problems else manifests.load(settings).head
    if not problems and expect_head and not (head or "").startswith(expect_head.lower()):
        problems = [f"the head is {head or 'none'}, not {expect_head}"]
    if problems:
        raise Damaged("\n".join(["What is stored is not what was stored:", *(f"- {problem}" for problem in problems)]))
    if as_json:
        screen.as_json({"months": [str(one) for one in months], "recomputed": again, "head": head})
        return
    if not months and not receipts.load(settings):
        screen.say(f"Nothing has landed in {settings.data} yet, so there is nothing to verify.")
        return
    recomputed = " Computed again, each month comes to the same." if again else ""
    screen.say(
        f"Verified {counted(len(months), 'frozen month')} and everything landed: "
        f"every byte and every sum is as it was.{recomputed}{f' Head {head}' if head else ''}"
    )
    without_root = [one for one in months if manifests.read(settings, one).content.statements_root_sha256 is None]
    if without_root:
        screen.say(f"Frozen before statements had proofs, so without a root: {', '.join(map(str, without_root))}.")


@retelling
def rebuild_warehouse(as_json: AsJson = False) -> None:
    """Make warehouse.duckdb again from the files.

    Example: statements rebuild
    """
    from orchestration import files
    from orchestration.warehouse import cache

    settings = STATE.existing
    with screen.progress("Rebuilding the warehouse"), files.disk_errors(), files.only_writer(settings.lock):
        cache.rebuild(settings)
    if as_json:
        screen.as_json({"warehouse": str(settings.warehouse)})
        return
    screen.say(f"Rebuilt {settings.warehouse}")

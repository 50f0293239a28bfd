"""The commands that only read: `feeds`, `list`, `show`, `manifest`, `find`, `explain`, `status`, `rejected`,
`ignored`, `reconcile`, `export`, `prove`.

What belongs here: their arguments, help and sentences. What does not: how an answer is computed (`reports`).
"""

import re
from pathlib import Path
from typing import Annotated

import typer

from orchestration import screen, shape
from orchestration.cli.command import STATE, AsJson, print_rows
from orchestration.errors import Refused
from orchestration.months import Month


def list_feeds(
    feed: Annotated[str | None, typer.Argument(help="One feed; all without one.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print docs/feeds.md.")] = False,
    as_json: AsJson = False,
) -> None:
    """The columns that the files of a feed have: type, unit, required, default, an example."""
    from orchestration.reports import feeds

    chosen = feeds.chosen(feed)
    if markdown:
        screen.say(feeds.markdown(chosen))
    elif as_json:
        screen.as_json([column for one in chosen for column in feeds.columns(one)])
    else:
        shown = ["column", "type", "unit", "required", "default", "example"]
        for one in chosen:
            screen.table(f"{one.name}: {one.description}", feeds.columns(one), shown)


def list_closed_months(as_json: AsJson = False) -> None:
    """The closed months."""
    from orchestration.reports import status

    print_rows("Closed months", status.closed_months(STATE.existing), as_json)


def show_statement(
    month: Annotated[str, typer.Argument(help="YYYY-MM")],
    account_id: Annotated[str | None, typer.Argument(help="A tenant; the organization without one.")] = None,
    tenants: Annotated[bool, typer.Option("--tenants", help="Every tenant's total, one line each.")] = False,
    sort: Annotated[str, typer.Option(help="With --tenants: the column by which the lines are ordered.")] = "account",
    as_csv: Annotated[bool, typer.Option("--csv", help="With --tenants: print CSV.")] = False,
    as_json: AsJson = False,
) -> None:
    """A statement, on the terminal; or every tenant's total."""
    from orchestration.reports import show

    if tenants:
        _show_tenants(Month.parse(month), account_id, sort, as_csv=as_csv, as_json=as_json)
        return
    if as_csv or sort != "account":
        raise typer.BadParameter("--csv and --sort go with --tenants.")
    statement = show.read(STATE.existing, Month.parse(month), account_id)
    if as_json:
        screen.as_json(statement)
        return
    show.render(statement)


def show_manifest(month: Annotated[str, typer.Argument(help="YYYY-MM")], as_json: AsJson = False) -> None:
    """A closed month's manifest: its inputs, files, counts, totals and versions, with their hashes."""
    from orchestration.close import manifests
    from orchestration.reports import month_manifest

    manifest = manifests.require_closed(STATE.existing, Month.parse(month))
    if as_json:
        screen.as_json(shape.as_json(manifest.content))
        return
    for title, rows in month_manifest.sections(manifest).items():
        screen.table(title, rows)
        if not rows:
            screen.say(f"{title}: none")


def _show_tenants(month: Month, account_id: str | None, sort: str, *, as_csv: bool, as_json: bool) -> None:
    from orchestration.reports import tenants

    if account_id is not None or (as_csv and as_json):
        raise typer.BadParameter("--tenants goes without an account, and either --csv or --json with it.")
    if as_csv:
        screen.say(tenants.as_csv(STATE.existing, month, sort))
        return
    print_rows(f"Statements of {month}", tenants.rows(STATE.existing, month, sort), as_json)


def find_records(
    number: Annotated[str, typer.Option(help="A number that called, was called, or holds the charge.")],
    day: Annotated[str, typer.Option(help="YYYY-MM-DD, in UTC.")],
    min_cost: Annotated[str | None, typer.Option(help="Those that cost this much or more, credits too.")] = None,
    account: Annotated[str | None, typer.Option(help="Those on this tenant's statements.")] = None,
    as_json: AsJson = False,
) -> None:
    """The records of a number on a day, as statements have them; `explain` tells why each is where it is."""
    from orchestration.reports import find

    print_rows(
        f"Records of {number} on {day}", find.find(STATE.existing, find.Wanted(number, day, min_cost, account)), as_json
    )


def explain_record(
    record_id: str,
    for_tenant: Annotated[
        bool, typer.Option("--for-tenant", help="In words that can be sent to the tenant whose record it is.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Why a record went where it went."""
    from orchestration.reports import explain, explain_to_tenant

    answer = (explain_to_tenant if for_tenant else explain).explain(STATE.existing, record_id)
    if as_json:
        screen.as_json(answer)
        return
    for sentence in answer["explanation"]:
        screen.say(sentence)


def show_status(as_json: AsJson = False) -> None:
    """What is landed, late, rejected, waiting and due."""
    from orchestration.reports import status

    overview = status.status(STATE.existing)
    if as_json:
        screen.as_json(overview)
        return
    screen.table("Feeds", overview["feeds"])
    screen.table("Months", overview["months"])
    screen.table("Late records", overview["late_records"])
    screen.table("Rows that sources leave out", overview["ignored"])
    if overview["withdrawals_waiting"]:
        screen.say(
            f"{overview['withdrawals_waiting']:,} withdrawals wait for the next close, which takes back what they name."
        )
    for sentence in overview["to_look_at"]:
        screen.say(sentence)
    if overview["accounts_not_landed"]:
        screen.say(f"Hold assets, but were never landed as tenants: {', '.join(overview['accounts_not_landed'])}")
    screen.say(overview["due_unknown_because"] or f"Due: {', '.join(overview['due']) or 'nothing'}")


def list_rejected(
    month: Annotated[str | None, typer.Option(help="YYYY-MM: those that this month's close answers for.")] = None,
    export: Annotated[
        Path | None, typer.Option(help="Write those that still stand to this file, to be mended and landed again.")
    ] = None,
    source: Annotated[str | None, typer.Option(help="Write those of one source, as the list names it.")] = None,
    as_json: AsJson = False,
) -> None:
    """The rejected rows of landed files, with reason and row; or a file of them to mend."""
    from orchestration.reports import rejected

    only = Month.parse(month) if month else None
    if export is None:
        print_rows("Rejected rows", rejected.rows(STATE.existing, only), as_json)
        return
    count = rejected.export(STATE.existing, only, source, export)
    screen.say(f"{export}: {count:,} rows. Mend them where they are, and land the file as the first one was landed.")


def list_ignored(
    month: Annotated[str | None, typer.Option(help="YYYY-MM: those whose own time lies in this month.")] = None,
    as_json: AsJson = False,
) -> None:
    """The rows of landed files that a source's rules leave out, with the rule and the row."""
    from orchestration.reports import ignored

    print_rows("Ignored rows", ignored.rows(STATE.existing, Month.parse(month) if month else None), as_json)


def reconcile_bill(
    month: Annotated[str, typer.Argument(help="YYYY-MM")],
    bill: Annotated[Path, typer.Argument(help="The carrier's bill: totals per service, or records.")],
    source: Annotated[str | None, typer.Option(help="NAME[@INSTANCE]: the bill is such a source's file.")] = None,
    out: Annotated[Path | None, typer.Option(help="The CSV to write [reconciliation-YYYY-MM.csv].")] = None,
    with_corrections: Annotated[
        bool,
        typer.Option(
            "--with-corrections",
            help="Compare a revised bill with everything stated of the month's calls, corrections by later months too.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """A closed month beside the carrier's bill; exit status 1 on any difference."""
    from orchestration.reports import reconcile

    closed = Month.parse(month)
    with screen.progress(f"Reconciling {month}"):
        comparison = reconcile.reconcile(
            STATE.existing,
            closed,
            reconcile.Bill(bill, source, is_revised=with_corrections),
            out or Path(f"reconciliation-{closed}.csv"),
        )
    if as_json:
        screen.as_json(vars(comparison))
    else:
        screen.table(f"Totals of {closed}", comparison.totals)
        screen.table("Records that differ, the largest first", comparison.records)
        counts = ", ".join(f"{count:,} {status}" for status, count in comparison.counts.items())
        screen.say(f"Compared: {counts or 'nothing'}. All of it is in {comparison.file}")
    if comparison.differs:
        screen.complain(f"{closed} and {bill} differ.")
        raise typer.Exit(Refused.exit_status)


def export_month(
    month: Annotated[str, typer.Argument(help="YYYY-MM")],
    account: Annotated[str | None, typer.Option(help="One tenant's part of the month.")] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", help="csv, parquet, html, pdf, xlsx or focus; with commas, or repeated."),
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder to write to.")] = Path("exports"),
    detail: Annotated[bool, typer.Option("--detail", help="List every call in HTML, PDF and XLSX.")] = False,
    each: Annotated[bool, typer.Option("--each", help="Write every tenant's statement, with an index.")] = False,
    as_zip: Annotated[bool, typer.Option("--zip", help="With --each: a ZIP per statement.")] = False,
) -> None:
    """Write a closed month, one tenant's part of it, or all statements of it, as files to hand out."""
    from orchestration.reports import export, packs, proofs

    if (each and account is not None) or (as_zip and not each):
        raise typer.BadParameter("--each goes without --account, and --zip goes with --each.")
    settings, closed = STATE.existing, Month.parse(month)
    choice = export.Choice(export.formats(formats or ["csv"]), with_detail=detail)
    if each:
        with screen.progress(f"Writing the statements of {month}") as step:
            pack = packs.write(settings, packs.Order(closed, choice, out, is_zipped=as_zip), step)
        screen.say(f"{pack.statements:,} statements in {pack.folder}; index.csv lists them, SHA256SUMS their hashes.")
        return
    with screen.progress(f"Exporting {month}"):
        paths = export.export(settings, closed, account, choice, out)
    for path in paths:
        screen.say(str(path))
    if account and proofs.PROOF not in {path.name for path in paths}:
        screen.say(f"{month} was frozen before statements had proofs, so there is no {proofs.PROOF}.")


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
    """Check a tenant's statement against the root of its month, and the tables beside it; no data folder is needed."""
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

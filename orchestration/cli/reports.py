"""The commands that only read: `feeds`, `list`, `show`, `manifest`, `find`, `explain`, `status`, `rejected`,
`ignored`, `reconcile`, `export`, `prove`.

What belongs here: their arguments, help and sentences. What does not: how an answer is computed (`reports`).
"""

from pathlib import Path
from typing import Annotated

import typer

from orchestration import screen, shape
from orchestration.cli import completion
from orchestration.cli.command import STATE, AsCsv, AsJson, Form, print_rows
from orchestration.errors import Refused
from orchestration.layout import Look, counted
from orchestration.months import Month

ClosedMonth = Annotated[str, typer.Argument(help="YYYY-MM", autocompletion=completion.closed_months)]


def list_feeds(
    feed: Annotated[
        str | None, typer.Argument(help="One feed; all without one.", autocompletion=completion.feeds)
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print docs/feeds.md.")] = False,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """The columns that the files of a feed have: type, unit, required, default, an example.

    Example: statements feeds cdrs
    """
    from orchestration.reports import feeds

    chosen = feeds.chosen(feed)
    form = Form.chosen(as_json=as_json, as_csv=as_csv)
    if markdown:
        screen.line(feeds.markdown(chosen))
    elif form is not Form.TABLE:
        print_rows("Columns", [column for one in chosen for column in feeds.columns(one)], form)
    else:
        shown = ["column", "type", "unit", "required", "default", "example"]
        for one in chosen:
            screen.table(
                f"{one.name}: {one.description}", feeds.columns(one), shown, Look(may_go=("example", "default"))
            )


def list_closed_months(as_json: AsJson = False, as_csv: AsCsv = False) -> None:
    """The closed months.

    Example: statements list
    """
    from orchestration.reports import status

    form = Form.chosen(as_json=as_json, as_csv=as_csv)
    print_rows("Closed months", status.closed_months(STATE.existing), form, look=Look(may_go=("manifest_sha256",)))


def show_statement(
    month: ClosedMonth,
    account_id: Annotated[
        str | None,
        typer.Argument(help="A tenant; the organization without one.", autocompletion=completion.accounts),
    ] = None,
    tenants: Annotated[bool, typer.Option("--tenants", help="Every tenant's total, one line each.")] = False,
    sort: Annotated[str, typer.Option(help="With --tenants: the column by which the lines are ordered.")] = "account",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """A statement, on the terminal; as CSV, its lines. Or every tenant's total.

    Example: statements show 2026-09 bigcustomer.mypbx.com
    """
    from orchestration.reports import show
    from orchestration.reports import tenants as tenants_of_month

    form, closed = Form.chosen(as_json=as_json, as_csv=as_csv), Month.parse(month)
    if tenants:
        if account_id is not None:
            raise typer.BadParameter("--tenants goes without an account.")
        look = Look(may_go=tenants_of_month.LEAST_ASKED)
        print_rows(f"Statements of {month}", tenants_of_month.rows(STATE.existing, closed, sort), form, look=look)
        return
    if sort != "account":
        raise typer.BadParameter("--sort goes with --tenants.")
    statement = show.read(STATE.existing, Month.parse(month), account_id)
    if form is Form.JSON:
        screen.as_json(statement)
    elif form is Form.CSV:
        print_rows("Lines", statement["lines"], form)
    else:
        show.render(statement)


def show_manifest(month: ClosedMonth, as_json: AsJson = False) -> None:
    """A closed month's manifest: its inputs, files, counts, totals and versions, with their hashes.

    Example: statements manifest 2026-09
    """
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


def find_records(
    number: Annotated[str, typer.Option(help="A number that called, was called, or holds the charge.")],
    day: Annotated[str, typer.Option(help="YYYY-MM-DD, in UTC.")],
    min_cost: Annotated[str | None, typer.Option(help="Those that cost this much or more, credits too.")] = None,
    account: Annotated[
        str | None, typer.Option(help="Those on this tenant's statements.", autocompletion=completion.accounts)
    ] = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """The records of a number on a day, as statements have them; `explain` tells why each is where it is.

    Example: statements find --number +12025550100 --day 2026-09-14 --min-cost 0.5
    """
    from orchestration.reports import find

    form = Form.chosen(as_json=as_json, as_csv=as_csv)
    print_rows(
        f"Records of {number} on {day}", find.find(STATE.existing, find.Wanted(number, day, min_cost, account)), form
    )


def explain_record(
    record_id: Annotated[str, typer.Argument(help="The carrier's key of the record.")],
    for_tenant: Annotated[
        bool, typer.Option("--for-tenant", help="In words that can be sent to the tenant whose record it is.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Why a record went where it went.

    Example: statements explain c-6
    """
    from orchestration.reports import explain, explain_to_tenant

    answer = (explain_to_tenant if for_tenant else explain).explain(STATE.existing, record_id)
    if as_json:
        screen.as_json(answer)
        return
    for sentence in answer["explanation"]:
        screen.say(sentence)


def show_status(
    as_json: AsJson = False,
    as_page: Annotated[
        bool, typer.Option("--html", help="Write the overview as a page into the data folder, and print its path.")
    ] = False,
) -> None:
    """What is landed, late, rejected, waiting and due.

    Example: statements status
    """
    from orchestration.reports import overview, status

    settings = STATE.existing
    if as_page:
        overview.refresh_page(settings)
        screen.say(str(settings.overview))
        return
    figures = status.status(settings)
    if as_json:
        screen.as_json(figures)
        return
    feeds = figures["feeds"]
    shown = [name for name in feeds[0] if any(row[name] for row in feeds)]
    screen.table("Feeds", feeds, shown, Look(may_go=("superseded_in_file", "batches")))
    screen.table("Months", figures["months"])
    screen.table("Late records", figures["late_records"])
    screen.table("Rows that sources leave out", figures["ignored"])
    if figures["withdrawals_waiting"]:
        waiting = counted(figures["withdrawals_waiting"], "withdrawal")
        verb, names = ("waits", "it names") if figures["withdrawals_waiting"] == 1 else ("wait", "they name")
        screen.say(f"{waiting} {verb} for the next close, which takes back what {names}.")
    for sentence in figures["to_look_at"]:
        screen.say(sentence)
    if figures["accounts_not_landed"]:
        screen.say(f"Hold assets, but were never landed as tenants: {', '.join(figures['accounts_not_landed'])}")
    screen.say(figures["due_unknown_because"] or f"Due: {', '.join(figures['due']) or 'nothing'}")


def list_rejected(
    month: Annotated[str | None, typer.Option(help="YYYY-MM: those that this month's close answers for.")] = None,
    export: Annotated[
        Path | None, typer.Option(help="Write those that still stand to this file, to be mended and landed again.")
    ] = None,
    source: Annotated[str | None, typer.Option(help="Write those of one source, as the list names it.")] = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """The rejected rows of landed files, with reason and row; or a file of them to mend.

    Example: statements rejected --month 2026-09 --export mend.csv
    """
    from orchestration.reports import rejected

    only = Month.parse(month) if month else None
    if export is None:
        look = Look(may_go=("batch_id", "source"))
        form = Form.chosen(as_json=as_json, as_csv=as_csv)
        most = screen.MOST_ROWS if form is Form.TABLE else None
        rows, total = rejected.first_rows(STATE.existing, only, most)
        if rows and form is Form.TABLE:
            screen.table("Rejected rows", rows, None, look, total)
        else:
            print_rows("Rejected rows", rows, form)
        return
    count = rejected.export(STATE.existing, only, source, export)
    if as_json:
        screen.as_json({"file": str(export), "rows": count})
        return
    screen.say(f"{export}: {counted(count, 'row')}. Mend the values in place, and land it like the first file.")


def list_ignored(
    month: Annotated[str | None, typer.Option(help="YYYY-MM: those whose own time lies in this month.")] = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """The rows of landed files that a source's rules leave out, with the rule and the row.

    Example: statements ignored --month 2026-09
    """
    from orchestration.reports import ignored

    rows = ignored.rows(STATE.existing, Month.parse(month) if month else None)
    look = Look(may_go=("batch_id", "source"))
    print_rows("Ignored rows", rows, Form.chosen(as_json=as_json, as_csv=as_csv), look=look)


def reconcile_bill(
    month: ClosedMonth,
    bill: Annotated[Path, typer.Argument(help="The carrier's bill: totals per service, or records.")],
    source: Annotated[
        str | None,
        typer.Option(help="NAME[@INSTANCE]: the bill is such a source's file.", autocompletion=completion.sources),
    ] = None,
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
    """A closed month beside the carrier's bill; exit status 1 on any difference.

    Example: statements reconcile 2026-09 bill.csv
    """
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

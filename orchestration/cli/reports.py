"""The commands that only read: `feeds`, `list`, `show`, `explain`, `status`, `rejected`, `ignored`, `reconcile`,
`export`.

What belongs here: their arguments, help and sentences. What does not: how an answer is computed (`reports`).
"""

from pathlib import Path
from typing import Annotated

import typer

from orchestration import screen
from orchestration.cli.command import STATE, AsJson, print_rows
from orchestration.errors import Refused
from orchestration.layout import Look, counted
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

    print_rows("Closed months", status.closed_months(STATE.existing), as_json, look=Look(may_go=("manifest_sha256",)))


def show_statement(
    month: Annotated[str, typer.Argument(help="YYYY-MM")],
    account_id: Annotated[str | None, typer.Argument(help="A tenant; the organization without one.")] = None,
    as_json: AsJson = False,
) -> None:
    """A statement, on the terminal."""
    from orchestration.reports import show

    statement = show.read(STATE.existing, Month.parse(month), account_id)
    if as_json:
        screen.as_json(statement)
        return
    show.render(statement)


def explain_record(record_id: str, as_json: AsJson = False) -> None:
    """Why a record went where it went."""
    from orchestration.reports import explain

    answer = explain.explain(STATE.existing, record_id)
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
    """What is landed, late, rejected, waiting and due."""
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
    screen.table("Feeds", feeds, [name for name in feeds[0] if any(row[name] for row in feeds)])
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
) -> None:
    """The rejected rows of landed files, with reason and row; or a file of them to mend."""
    from orchestration.reports import rejected

    only = Month.parse(month) if month else None
    if export is None:
        print_rows("Rejected rows", rejected.rows(STATE.existing, only), as_json)
        return
    count = rejected.export(STATE.existing, only, source, export)
    screen.say(f"{export}: {counted(count, 'row')}. Mend the values in place, and land it like the first file.")


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
    formats: Annotated[list[str] | None, typer.Option("--format", help="csv or parquet; may be repeated.")] = None,
    out: Annotated[Path, typer.Option(help="The folder to write to.")] = Path("exports"),
) -> None:
    """Write a closed month, or one tenant's part of it, as files to hand out."""
    from orchestration.reports import export

    with screen.progress(f"Exporting {month}"):
        paths = export.export(STATE.existing, Month.parse(month), account, formats or ["csv"], out)
    for path in paths:
        screen.say(str(path))

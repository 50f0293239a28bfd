"""The command line `statements`: arguments in, sentences and exit status out.

What belongs here: commands, their help, and what they print. What does not: how anything is done. The modules that do
the work are imported by the command that needs them, since Dagster and dbt take seconds to import.
"""

import functools
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestration import screen, settings
from orchestration.errors import Damaged, Refused
from orchestration.files import PRIVATE
from orchestration.months import Month

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
tenant = typer.Typer(no_args_is_help=True, help="Create, archive and list tenants.", rich_markup_mode=None)
app.add_typer(tenant, name="tenant")
sources = typer.Typer(help="The switches whose own files can be landed.", rich_markup_mode=None)
app.add_typer(sources, name="sources")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@dataclass
class _State:
    """What the options before the command say."""

    data_dir: Path | None = None

    @property
    def settings(self) -> settings.Settings:
        return settings.load(self.data_dir)


STATE = _State()


@app.callback()
def options(
    data_dir: Annotated[
        Path | None, typer.Option(help="Where everything is kept [STATEMENTS_DATA_DIR, else data/].")
    ] = None,
) -> None:
    """Frozen monthly statements per tenant, from a telecom carrier's call detail records."""
    os.umask(PRIVATE)
    STATE.data_dir = data_dir


def command(of: typer.Typer, name: str) -> Callable:
    """A command whose errors are sentences: exit status 1 when refused, 3 when something stored is damaged."""

    def decorate(function: Callable) -> Callable:
        @functools.wraps(function)
        def run(*arguments: Any, **named: Any) -> None:
            try:
                _require_text(named)
                function(*arguments, **named)
            except (Refused, Damaged) as error:
                screen.complain(str(error))
                raise typer.Exit(error.exit_status) from error
            except OSError as error:
                place = f" ({error.filename})" if error.filename else ""
                screen.complain(f"The machine would not do it: {error.strerror or error}{place}.")
                raise typer.Exit(Refused.exit_status) from error

        of.command(name)(run)
        return function

    return decorate


def _require_text(named: dict[str, Any]) -> None:
    """Refuse an argument that no query and no file name can hold, whatever the command is."""
    for value in named.values():
        for given in value if isinstance(value, list) else [value]:
            text = str(given)
            if "\0" in text or text.encode(errors="replace").decode() != text:
                raise Refused(f"{text!a} is not text in UTF-8.")


@command(app, "demo")
def demo() -> None:
    """Land a made-up carrier's last four months, close them, show a statement and where everything is."""
    from orchestration.demo import tour

    tour.run(STATE.settings)


@command(app, "land")
def land(
    feed: Annotated[str | None, typer.Argument(help="cdrs, tenants, number_assignments or ip_assignments.")] = None,
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="CSV (.csv) or JSON Lines (.jsonl), plain or with .gz or .zst, or Parquet (.parquet)."),
    ] = None,
    inbox: Annotated[bool, typer.Option("--inbox", help="Land what lies in the inbox of the data folder.")] = False,
    source: Annotated[
        str | None, typer.Option(help="NAME[@INSTANCE]: the cdrs are a switch's own files; `statements sources`.")
    ] = None,
    accept_late: Annotated[
        bool, typer.Option("--accept-late", help="Let changes recorded before the seal act from the seal on.")
    ] = False,
    cutoff: Annotated[
        str | None, typer.Option(help="The instant up to which this extract is complete, with a zone.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Validate, normalize and land files of one feed."""
    from orchestration.commands.land import Delivery
    from orchestration.commands.land import land as land_files

    configuration = STATE.settings
    if inbox:
        if feed or source or cutoff or accept_late:
            raise typer.BadParameter("--inbox goes without a feed, files and other options but --json.")
        _land_inbox(configuration, as_json=as_json)
        return
    if not feed or not files:
        raise typer.BadParameter("name a feed and its files, or --inbox.")
    until = _instant(cutoff) if cutoff else None
    with screen.progress(f"Landing {feed}") as step:
        follow = step if screen.is_watched() else None
        delivery = Delivery(source=source, cutoff=until, accept_late=accept_late, follow=follow)
        landings = land_files(configuration, feed, files, delivery, step)
    if as_json:
        screen.as_json([_landing_figures(landing) for landing in landings])
        return
    for landing in landings:
        _say_landing(landing)


def _land_inbox(configuration: settings.Settings, *, as_json: bool) -> None:
    """Land the inbox, a file at a time. A refused file is put away too, and makes the command end with 1."""
    from orchestration.commands import inbox

    inbox.prepare(configuration)
    with screen.progress("Landing the inbox") as step:
        outcomes = list(inbox.land_all(configuration, step))
    if as_json:
        screen.as_json(
            [
                {"file": str(outcome.dropped.path), "moved_to": str(outcome.moved_to), "refused": outcome.refusal}
                | (_landing_figures(outcome.landing) if outcome.landing else {})
                for outcome in outcomes
            ]
        )
    elif not outcomes:
        screen.say(
            f"There is no whole file in {configuration.inbox}. "
            f"One that somebody writes, or that changed in the last {inbox.QUIET_SECONDS} s, waits for the next time."
        )
    for outcome in outcomes:
        if outcome.landing and not as_json:
            _say_landing(outcome.landing)
        if outcome.refusal:
            screen.complain(f"{outcome.refusal} The file is now {outcome.moved_to}")
    if any(outcome.refusal for outcome in outcomes):
        raise typer.Exit(Refused.exit_status)


def _landing_figures(landing) -> dict[str, Any]:
    receipt = landing.receipt
    return {
        "file": receipt.file_name,
        "batch_id": receipt.batch_id,
        "new": landing.is_new,
        "source": receipt.source,
        "rows": receipt.rows,
        "ignored": receipt.ignored,
        "landed": receipt.rows - receipt.rejected_rows,
        "duplicate": receipt.duplicates,
        "superseded": receipt.superseded,
        "cost_difference": receipt.cost_difference,
        "rejected": receipt.rejected_rows,
        "late": receipt.late,
        "overtaken": receipt.overtaken,
        "unusable_assets": receipt.unusable_assets,
    }


def _say_landing(landing) -> None:
    figures = _landing_figures(landing)
    if not landing.is_new:
        screen.say(f"{figures['file']}: landed before, as batch {figures['batch_id']}; nothing to do.")
        return
    said = f"{figures['file']}: {figures['rows']:,} rows, of which {figures['landed']:,} landed"
    said += f", {figures['duplicate']:,} of them duplicates, {figures['superseded']:,} superseded earlier ones"
    if figures["superseded"]:
        said += f" (cost {figures['cost_difference']})"
    screen.say(f"{said}; {figures['rejected']:,} rejected. Batch {figures['batch_id']}.")
    if figures["ignored"]:
        counts = ", ".join(f"{count:,} × {name}" for name, count in figures["ignored"].items())
        screen.say(f"  Besides, no records of their own: {counts}.")
    if figures["rejected"]:
        screen.say("  `statements rejected` shows the rejected rows; they stand against closing their month.")
    if figures["late"]:
        screen.say(
            f"  {figures['late']:,} late changes act from the seal on; {figures['overtaken']:,} of them are overtaken."
        )
    if figures["unusable_assets"]:
        screen.say(
            f"  {figures['unusable_assets']:,} numbers or IPs are not possible ones; nothing is attributed to them."
        )


@sources.callback(invoke_without_command=True)
def sources_without_command(context: typer.Context) -> None:
    """The switches whose own files can be landed."""
    if context.invoked_subcommand is None:
        sources_list(as_json=False)


@command(sources, "list")
def sources_list(as_json: AsJson = False) -> None:
    """The declared sources, shipped and your own."""
    from orchestration.sources import declaration

    found = declaration.available(STATE.settings)
    rows = [
        {
            "source": source.name,
            "title": source.title,
            "files": ", ".join(source.formats),
            "zone": source.zone or _zone_wanted(source.times),
            "rates": source.rates.file.name if source.rates else None,
            "declared_in": "shipped" if source.is_shipped else str(source.path),
        }
        for source in found
    ]
    _show("Sources", rows, as_json)


def _zone_wanted(times: Mapping[str, str]) -> str:
    if "local" not in times:
        return "none needed"
    return "to be declared" if list(times) == ["local"] else "to be declared, unless the file has epochs"


@command(sources, "show")
def sources_show(name: str) -> None:
    """What a source's files are, how to make them, and how it is declared."""
    from orchestration.sources import declaration

    source = declaration.load(STATE.settings, name)
    screen.say(f"{source.title}\n\n{source.about}\n{source.path}:\n\n{source.path.read_text(encoding='utf-8')}")


@command(sources, "check")
def sources_check(
    name: Annotated[str, typer.Argument(help="NAME[@INSTANCE]")],
    file: Path,
    rows: Annotated[int, typer.Option(help="How many rows are shown.")] = 10,
    as_json: AsJson = False,
) -> None:
    """What a file would become; nothing lands."""
    from orchestration.sources import checking

    with screen.progress(f"Checking {file.name}"):
        found = checking.check(STATE.settings, name, file, rows)
    if as_json:
        screen.as_json(vars(found))
        return
    screen.table(f"The first rows of {file.name}", found.first)
    screen.say(f"{found.rows:,} records, of which {found.usable:,} usable. Nothing was landed.")
    for said, counts in (("Rejected", found.rejected), ("No records of their own", found.ignored)):
        if counts:
            screen.say(f"{said}: {', '.join(f'{count:,} × {reason}' for reason, count in counts.items())}.")


@command(tenant, "add")
def tenant_add(
    from_file: Annotated[Path, typer.Option("--from", help="CSV or JSON Lines with every field of a tenant.")],
) -> None:
    """Create tenants, now."""
    from orchestration.commands import registry

    landing = registry.add_tenants(STATE.settings, from_file)
    screen.say(
        f"Created {landing.receipt.rows} tenants, recorded at {landing.receipt.landed_at:%Y-%m-%d %H:%M:%S} UTC."
    )


@command(tenant, "archive")
def tenant_archive(account_id: str) -> None:
    """End a tenant's life, now and for ever; what it holds is released."""
    from orchestration.commands import registry

    landing = registry.archive_tenant(STATE.settings, account_id)
    screen.say(f"Archived {account_id}, recorded at {landing.receipt.landed_at:%Y-%m-%d %H:%M:%S} UTC.")


@command(tenant, "list")
def tenant_list(as_json: AsJson = False) -> None:
    """All tenants, with their lives."""
    from orchestration.warehouse import reader

    _show("Tenants", reader.records(STATE.settings, "select * from assets.tenants order by account_id"), as_json)


@command(app, "assign")
def assign(kind: Annotated[str, typer.Argument(help="number or ip")], asset: str, account_id: str) -> None:
    """Give a number or IP to a tenant, now."""
    from orchestration.commands import registry

    landing = registry.assign(STATE.settings, kind, asset, account_id)
    screen.say(f"{asset} belongs to {account_id} from {landing.receipt.landed_at:%Y-%m-%d %H:%M:%S.%f} UTC on.")


@command(app, "release")
def release(kind: Annotated[str, typer.Argument(help="number or ip")], asset: str) -> None:
    """Take a number or IP from whoever holds it, now."""
    from orchestration.commands import registry

    landing = registry.release(STATE.settings, kind, asset)
    screen.say(f"{asset} belongs to nobody from {landing.receipt.landed_at:%Y-%m-%d %H:%M:%S.%f} UTC on.")


@command(app, "assignments")
def assignments(asset: Annotated[str, typer.Argument(help="A number or IP.")], as_json: AsJson = False) -> None:
    """Who held a number or IP, from when to when."""
    from orchestration.commands import registry
    from orchestration.warehouse import reader

    kind, known = _asset_kind(registry, asset)
    rows = reader.records(
        STATE.settings,
        f"select * from assets.{kind}_assignment_history where {kind} = ? order by valid_from",
        [known],
    )
    if not rows:
        raise Refused(f"{known} was never assigned to anybody.")
    columns = ["account_id", "valid_from", "valid_to", "recorded_at", "is_late", "assignment_id"]
    _show(f"{kind} {known}", rows, as_json, columns)


def _asset_kind(registry, asset: str) -> tuple[str, str]:
    for kind in ("number", "ip"):
        try:
            return kind, registry.normalized(STATE.settings, kind, asset)
        except Refused:
            continue
    raise Refused(f"{asset!r} is neither a telephone number nor an IP address.")


@command(app, "close")
def close(
    month: Annotated[str | None, typer.Argument(help="YYYY-MM; without one, every month that is due.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Build and check, publish nothing.")] = False,
    accept_rejected: Annotated[
        bool, typer.Option("--accept-rejected", help="Close without the rejected rows; the manifest names them.")
    ] = False,
) -> None:
    """Freeze a month's statements, for ever; or verify them, when they are frozen."""
    from orchestration.close import due

    configuration = STATE.settings
    months = [Month.parse(month)] if month else due.due_months(configuration)
    if not months:
        screen.say("Nothing to do: every ended month is frozen.")
    if dry_run:
        if months:
            _rehearse(configuration, months[0])
        return
    for one in months:
        _close_one(configuration, one, accept_rejected=accept_rejected)


def _rehearse(configuration: settings.Settings, month: Month) -> None:
    from orchestration.close import rehearsal
    from orchestration.commands import close as closing

    with screen.progress(f"Rehearsing the close of {month}") as step:
        figures = closing.rehearse(configuration, month, step, rehearsal.figures)
    screen.say(f"Rehearsed {month}; nothing was published.")
    for title, rows in figures.items():
        screen.table(title, rows)
        if not rows:
            screen.say(f"{title}: none")


def _close_one(configuration: settings.Settings, month: Month, *, accept_rejected: bool) -> None:
    from orchestration import dagster_run
    from orchestration.close import manifests
    from orchestration.commands import close as closing

    was_frozen = closing.require_closable(configuration, month, accept_rejected=accept_rejected)
    with screen.progress(f"{'Verifying' if was_frozen else 'Closing'} {month}"):
        already_frozen = dagster_run.close_through_dagster(configuration, month, accept_rejected=accept_rejected)
    frozen = manifests.read(configuration, month)
    counts = frozen.content.counts
    if already_frozen:
        screen.say(
            f"{month} is frozen already, and verified: every byte and every sum is as it was. Head {frozen.sha256}"
        )
        return
    totals = ", ".join(
        f"{screen.amount(_decimal(cost))} {currency}" for currency, cost in frozen.content.totals.items()
    )
    corrections = counts.late + counts.reversal + counts.restatement
    screen.say(
        f"Closed {month}: {counts.accepted:,} records, {counts.unattributed:,} unattributed, "
        f"{corrections:,} corrections, total {totals or '0'}. Head {frozen.sha256}"
    )
    for warning in frozen.content.warnings:
        screen.complain(f"Warning: {warning}")
    rejected = frozen.content.rejected.left_out
    if rejected:
        screen.say(f"  {len(rejected)} rejected rows were left out, as accepted; the manifest names them.")


@command(app, "list")
def list_closed(as_json: AsJson = False) -> None:
    """The closed months."""
    from orchestration.reports import status

    rows = status.closed_months(STATE.settings)
    _show("Closed months", rows, as_json)


@command(app, "show")
def show(
    month: Annotated[str, typer.Argument(help="YYYY-MM")],
    account_id: Annotated[str | None, typer.Argument(help="A tenant; the organization without one.")] = None,
    as_json: AsJson = False,
) -> None:
    """A statement, on the terminal."""
    from orchestration.reports import show as statement

    found = statement.read(STATE.settings, Month.parse(month), account_id)
    if as_json:
        screen.as_json(found)
        return
    statement.render(found)


@command(app, "explain")
def explain(record_id: str, as_json: AsJson = False) -> None:
    """Why a record went where it went."""
    from orchestration.reports import explain as explaining

    found = explaining.explain(STATE.settings, record_id)
    if as_json:
        screen.as_json(found)
        return
    for sentence in found["explanation"]:
        screen.say(sentence)


@command(app, "status")
def status(as_json: AsJson = False) -> None:
    """What is landed, late, rejected, waiting and due."""
    from orchestration.reports import status as looking

    found = looking.status(STATE.settings)
    if as_json:
        screen.as_json(found)
        return
    screen.table("Feeds", found["feeds"])
    screen.table("Months", found["months"])
    screen.table("Late records", found["late_records"])
    if found["accounts_not_landed"]:
        screen.say(f"Hold assets, but were never landed as tenants: {', '.join(found['accounts_not_landed'])}")
    screen.say(found["due_unknown_because"] or f"Due: {', '.join(found['due']) or 'nothing'}")


@command(app, "rejected")
def rejected(
    month: Annotated[str | None, typer.Option(help="YYYY-MM: those that this month's close answers for.")] = None,
    export: Annotated[
        Path | None, typer.Option(help="Write those that still stand to this file, to be mended and landed again.")
    ] = None,
    source: Annotated[str | None, typer.Option(help="Write those of one source, as the list names it.")] = None,
    as_json: AsJson = False,
) -> None:
    """The rejected rows of landed files, with reason and row; or a file of them to mend."""
    from orchestration.reports import rejected as putting_right

    only = Month.parse(month) if month else None
    if export is None:
        _show("Rejected rows", putting_right.rows(STATE.settings, only), as_json)
        return
    count = putting_right.export(STATE.settings, only, source, export)
    screen.say(f"{export}: {count:,} rows. Mend them where they are, and land the file as the first one was landed.")


@command(app, "reconcile")
def reconcile(
    month: Annotated[str, typer.Argument(help="YYYY-MM")],
    bill: Annotated[Path, typer.Argument(help="The carrier's bill: totals per service, or records.")],
    source: Annotated[str | None, typer.Option(help="NAME[@INSTANCE]: the bill is such a source's file.")] = None,
    out: Annotated[Path | None, typer.Option(help="The CSV to write [reconciliation-YYYY-MM.csv].")] = None,
    as_json: AsJson = False,
) -> None:
    """A closed month beside the carrier's bill; exit status 1 on any difference."""
    from orchestration.reports import reconcile as reconciling

    closed = Month.parse(month)
    with screen.progress(f"Reconciling {month}"):
        found = reconciling.reconcile(STATE.settings, closed, bill, source, out or Path(f"reconciliation-{closed}.csv"))
    if as_json:
        screen.as_json(vars(found))
    else:
        screen.table(f"Totals of {closed}", found.totals)
        screen.table("Records that differ, the largest first", found.records)
        said = ", ".join(f"{count:,} {status}" for status, count in found.counts.items())
        screen.say(f"Compared: {said or 'nothing'}. All of it is in {found.file}")
    if found.differs:
        screen.complain(f"{closed} and {bill} differ.")
        raise typer.Exit(Refused.exit_status)


@command(app, "export")
def export(
    month: Annotated[str, typer.Argument(help="YYYY-MM")],
    account: Annotated[str | None, typer.Option(help="One tenant's part of the month.")] = None,
    formats: Annotated[list[str] | None, typer.Option("--format", help="csv or parquet; may be repeated.")] = None,
    out: Annotated[Path, typer.Option(help="The folder to write to.")] = Path("exports"),
) -> None:
    """Write a closed month, or one tenant's part of it, as files to hand out."""
    from orchestration.reports import export as exporting

    with screen.progress(f"Exporting {month}"):
        written = exporting.export(STATE.settings, Month.parse(month), account, formats or ["csv"], out)
    for path in written:
        screen.say(str(path))


@command(app, "verify")
def verify(
    month: Annotated[str | None, typer.Argument(help="YYYY-MM; without one, all of them.")] = None,
    again: Annotated[
        bool, typer.Option("--recompute", help="Also compute each month again from what its close read.")
    ] = False,
    expect_head: Annotated[
        str | None, typer.Option(help="The hash of the last manifest, as it was noted elsewhere.")
    ] = None,
) -> None:
    """Hash everything frozen and everything landed again, and add the frozen up again."""
    from orchestration import files, frozen
    from orchestration.close import manifests, recompute
    from orchestration.close import verify as verifying

    configuration = STATE.settings
    if month:
        frozen.require_closed(configuration, Month.parse(month))
    months = [Month.parse(month)] if month else frozen.frozen_months(configuration)
    with screen.progress("Verifying") as step:
        problems = verifying.all_problems(configuration, months, step)
        if again and not problems:
            with files.disk_errors(), files.only_writer(configuration.lock):
                for one in months:
                    problems += recompute.problems(configuration, one, step)
    if not problems and expect_head:
        known = manifests.load(configuration)
        if not known or known[-1].sha256 != expect_head:
            problems = [f"the head is {known[-1].sha256 if known else 'none'}, not {expect_head}"]
    if problems:
        raise Damaged("\n".join(["What is stored is not what was stored:", *(f"- {problem}" for problem in problems)]))
    recomputed = " Computed again, each month comes to the same." if again else ""
    head = f" Head {manifests.load(configuration)[-1].sha256}" if months else ""
    screen.say(
        f"Verified {len(months)} frozen months and everything landed: "
        f"every byte and every sum is as it was.{recomputed}{head}"
    )


@command(app, "rebuild")
def rebuild() -> None:
    """Make warehouse.duckdb again from the files."""
    from orchestration import files
    from orchestration.warehouse import cache

    configuration = STATE.settings
    with screen.progress("Rebuilding the warehouse"), files.disk_errors(), files.only_writer(configuration.lock):
        cache.rebuild(configuration)
    screen.say(f"Rebuilt {configuration.warehouse}")


@command(app, "ui")
def ui(port: Annotated[int, typer.Option(help="The port on 127.0.0.1.")] = 3000) -> None:
    """Dagster's web UI and daemon, on this machine alone."""
    from orchestration import dagster_run

    raise typer.Exit(dagster_run.serve(STATE.settings, port))


def _show(title: str, rows: list[dict[str, Any]], as_json: bool, columns: list[str] | None = None) -> None:
    if as_json:
        screen.as_json(rows)
    elif rows:
        screen.table(title, rows, columns)
    else:
        screen.say(f"{title}: none.")


def _decimal(text: str):
    from decimal import Decimal

    return Decimal(text)


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise Refused(f"{text!r} is not a time such as 2026-03-01T00:00:00Z.") from error
    if instant.tzinfo is None:
        raise Refused(f"{text!r} has no zone: write it with an offset or Z.")
    return instant


def main() -> None:
    """Entry point of the console script."""
    # A warning about somebody else's deprecation is nothing an operator can act on.
    if not sys.warnoptions:
        import warnings

        warnings.simplefilter("ignore")
    app()


if __name__ == "__main__":
    main()

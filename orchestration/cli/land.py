"""The commands that land files: `land`, with or without the inbox, and `sources`, the switches whose files it takes.

What belongs here: their arguments, help and sentences. What does not: how a file lands (`commands`, `sources`).
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestration import screen
from orchestration.cli import completion
from orchestration.cli.command import STATE, AsCsv, AsJson, Form, print_rows, retelling
from orchestration.errors import Refused
from orchestration.layout import Look, amount, counted
from orchestration.settings import Settings

if TYPE_CHECKING:
    from orchestration.commands.land import Landing
    from orchestration.sources.checking import Check


@retelling
def land_files(
    feed: Annotated[
        str | None,
        typer.Argument(help="cdrs, tenants, number_assignments or ip_assignments.", autocompletion=completion.feeds),
    ] = None,
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="CSV (.csv) or JSON Lines (.jsonl), plain or with .gz or .zst, or Parquet (.parquet)."),
    ] = None,
    inbox: Annotated[bool, typer.Option("--inbox", help="Land what lies in the inbox of the data folder.")] = False,
    source: Annotated[
        str | None,
        typer.Option(
            help="NAME[@INSTANCE]: the cdrs are a switch's own files; `statements sources`.",
            autocompletion=completion.sources,
        ),
    ] = None,
    accept_late: Annotated[
        bool, typer.Option("--accept-late", help="Let changes recorded before the seal act from the seal on.")
    ] = False,
    cutoff: Annotated[
        str | None, typer.Option(help="The instant up to which this extract is complete, with a zone.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Validate, normalize and land files of one feed.

    Example: statements land cdrs cdrs-2026-09.csv
    """
    from orchestration.commands import land

    settings = STATE.settings
    if inbox:
        if feed or source or cutoff or accept_late:
            raise typer.BadParameter("--inbox goes without a feed, files and other options but --json.")
        _land_inbox(settings, as_json=as_json)
        return
    if not feed or not files:
        raise typer.BadParameter("name a feed and its files, or --inbox.")
    until = _instant(cutoff) if cutoff else None
    with screen.progress(f"Landing {feed}") as step:
        follow = step if screen.is_watched() else None
        delivery = land.Delivery(source=source, cutoff=until, accept_late=accept_late, follow=follow)
        landings = land.land(settings, feed, files, delivery, step)
    if as_json:
        screen.as_json([_landing_figures(landing) for landing in landings])
        return
    for landing in landings:
        _print_landing(landing)


def _land_inbox(settings: Settings, *, as_json: bool) -> None:
    """Land the inbox, a file at a time. A refused file is put away too, and makes the command end with 1."""
    from orchestration.commands import inbox

    inbox.prepare(settings)
    with screen.progress("Landing the inbox") as step:
        outcomes = list(inbox.land_all(settings, step))
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
            f"There is no whole file in {settings.inbox}. "
            f"One that somebody writes, or that changed in the last {inbox.QUIET_SECONDS} s, waits for the next time."
        )
    for outcome in outcomes:
        if outcome.landing and not as_json:
            _print_landing(outcome.landing)
        if outcome.refusal:
            screen.complain(f"{outcome.refusal} The file is now {outcome.moved_to}")
    if any(outcome.refusal for outcome in outcomes):
        raise typer.Exit(Refused.exit_status)


def _landing_figures(landing: "Landing") -> dict[str, Any]:
    receipt = landing.receipt
    return {
        "file": receipt.file_name,
        "batch_id": receipt.batch_id,
        "new": landing.is_new,
        "source": receipt.source,
        "rows": receipt.rows,
        "ignored": receipt.ignored,
        "landed": receipt.rows - receipt.rejected_rows,
        "withdrawn": receipt.withdrawn_rows,
        "duplicate": receipt.duplicates,
        "superseded": receipt.superseded,
        "superseded_in_file": receipt.superseded_in_file,
        "superseded_elsewhere": receipt.superseded_elsewhere,
        "to_look_at": receipt.to_look_at,
        "superseded_since": landing.superseded_since,
        "same_file_as": list(landing.same_file_as),
        "cost_difference": receipt.cost_difference,
        "rejected": receipt.rejected_rows,
        "late": receipt.late,
        "overtaken": receipt.overtaken,
        "unusable_assets": receipt.unusable_assets,
    }


def _print_landing(landing: "Landing") -> None:
    from orchestration.close import readiness

    figures = _landing_figures(landing)
    if not landing.is_new:
        screen.say(f"{figures['file']}: landed before, as batch {figures['batch_id']}; nothing to do.")
        if landing.superseded_since:
            screen.say(
                f"  Later files have changed {counted(landing.superseded_since, 'record')} of it since, and theirs is "
                "the word that counts."
            )
        return
    notes = [counted(figures["duplicate"], "duplicate")] if figures["duplicate"] else []
    if superseding := figures["superseded"]:
        earlier = "an earlier one" if superseding == 1 else "earlier ones"
        notes.append(f"{superseding:,} superseding {earlier}, cost {amount(Decimal(figures['cost_difference']))}")
    noted = f" ({', '.join(notes)})" if notes else ""
    screen.say(
        f"{figures['file']}: {counted(figures['rows'], 'row')}, of which {figures['landed']:,} landed{noted}; "
        f"{figures['rejected']:,} rejected. Batch {figures['batch_id']}."
    )
    if withdrawn := figures["withdrawn"]:
        screen.say(f"  {withdrawn:,} of the rows {'takes' if withdrawn == 1 else 'take'} a record back.")
    for sentence in readiness.superseded_in_files([landing.receipt]):
        screen.say(f"  {sentence}")
    if landing.same_file_as:
        screen.say(
            f"  The very same file landed as {' and '.join(landing.same_file_as)} before. If that is the same switch, "
            "each record is stated twice: take one of the two back, by a file of record_id and withdrawn."
        )
    if figures["ignored"]:
        counts = ", ".join(f"{count:,} × {name}" for name, count in figures["ignored"].items())
        screen.say(f"  Besides, no records of their own: {counts}. `statements ignored` lists them.")
    if figures["rejected"]:
        screen.say("  `statements rejected` shows the rejected rows; they stand against closing their month.")
    if figures["late"]:
        changes = f"{counted(figures['late'], 'late change')} {'acts' if figures['late'] == 1 else 'act'}"
        screen.say(f"  {changes} from the seal on; {figures['overtaken']:,} overtaken.")
    if figures["unusable_assets"]:
        screen.say(f"  Not a possible number or IP: {figures['unusable_assets']:,}; nothing is attributed to them.")


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise Refused(f"{text!r} is not a time such as 2026-03-01T00:00:00Z.") from error
    if instant.tzinfo is None:
        raise Refused(f"{text!r} has no zone: write it with an offset or Z.")
    return instant


def sources_group(context: typer.Context) -> None:
    """The switches whose own files can be landed."""
    if context.invoked_subcommand is None:
        list_sources()


def list_sources(as_json: AsJson = False, as_csv: AsCsv = False) -> None:
    """The declared sources, shipped and your own.

    Example: statements sources list
    """
    from orchestration.sources import declaration

    rows = [
        {
            "source": source.name,
            "title": source.title,
            "files": ", ".join(source.formats),
            "zone": source.zone or _zone_wanted(source.times),
            "rates": source.rates.file.name if source.rates else None,
            "declared_in": "shipped" if source.is_shipped else str(source.path),
        }
        for source in declaration.available(STATE.settings)
    ]
    look = Look(may_go=("rates", "declared_in"))
    print_rows("Sources", rows, Form.chosen(as_json=as_json, as_csv=as_csv), look=look)


def _zone_wanted(times: Mapping[str, str]) -> str:
    if "local" not in times:
        return "none needed"
    return "to be declared" if list(times) == ["local"] else "to be declared, unless the file has epochs"


def show_source(
    name: Annotated[str, typer.Argument(help="NAME", autocompletion=completion.sources)], as_json: AsJson = False
) -> None:
    """What a source's files are, how to make them, and how it is declared.

    Example: statements sources show asterisk-csv
    """
    from orchestration.sources import declaration

    source = declaration.load(STATE.settings, name)
    if as_json:
        text = source.path.read_text(encoding="utf-8")
        about = {"source": source.name, "title": source.title, "about": source.about}
        screen.as_json({**about, "path": str(source.path), "declaration": text})
        return
    screen.say(f"{source.title}\n\n{source.about}\n{source.path}:\n\n{source.path.read_text(encoding='utf-8')}")


def new_source(
    file: Path,
    name: Annotated[str | None, typer.Option(help="The source's name; the file's without one.")] = None,
    zone: Annotated[str | None, typer.Option(help="The zone of local times, such as America/New_York.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a first declaration of a file that no source covers, and check it.

    Example: statements sources new calls.csv --name trunk-bill --zone America/New_York
    """
    from orchestration.sources import checking, drafting

    settings = STATE.settings
    with screen.progress(f"Looking at {file.name}"):
        path, draft = drafting.write(settings, file, name, zone)
    if as_json:
        screen.as_json({"declaration": str(path), "to_do": draft.to_do})
        return
    screen.say(f"{path} is a first declaration of {file.name}: read it, finish it, and check it again.")
    for sentence in draft.to_do:
        screen.say(f"  To do: {sentence}")
    try:
        _print_check(checking.check(settings, path.stem, file, first=5), file)
    except Refused as refusal:
        screen.say(f"It does not do yet: {refusal}")
    screen.say(f"`statements sources check {path.stem} {file}` shows what the file would become.")


def check_source(
    name: Annotated[str, typer.Argument(help="NAME[@INSTANCE]", autocompletion=completion.sources)],
    file: Path,
    rows: Annotated[int, typer.Option(help="How many rows are shown.")] = 10,
    ignored: Annotated[
        bool, typer.Option("--ignored", help="Show as many rows of each rule that leaves rows out.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """What a file would become; nothing lands.

    Example: statements sources check asterisk-csv@pbx1 Master.csv
    """
    from orchestration.sources import checking

    with screen.progress(f"Checking {file.name}"):
        trial = checking.check(STATE.settings, name, file, rows, all_ignored=ignored)
    if as_json:
        screen.as_json(vars(trial))
        return
    _print_check(trial, file)


def _print_check(trial: "Check", file: Path) -> None:
    screen.table(f"The first rows of {file.name}", trial.first)
    if trial.rejected_rows:
        screen.table("Rejected: the first rows of each reason", trial.rejected_rows)
    if trial.ignored_rows:
        screen.table("No records of their own: the first rows of each rule", trial.ignored_rows)
    screen.say(f"{counted(trial.rows, 'record')}, of which {trial.usable:,} usable. Nothing was landed.")
    for title, counts in (("Rejected", trial.rejected), ("No records of their own", trial.ignored)):
        if counts:
            screen.say(f"{title}: {', '.join(f'{count:,} × {reason}' for reason, count in counts.items())}.")

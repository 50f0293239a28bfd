"""The command line `statements`: arguments in, sentences and exit status out.

What belongs here: which commands there are, in the order in which the help lists them; a module per group of them says
what each takes and prints. What does not: how anything is done. The modules that do the work are imported by the
command that needs them, since Dagster and dbt take seconds to import.
"""

import sys
from collections.abc import Callable

import typer

from orchestration.cli import close, command, land, registry, reports, ui

COMMANDS: dict[str, Callable[..., None]] = {
    "demo": ui.run_demo,
    "land": land.land_files,
    "feeds": reports.list_feeds,
    "assign": registry.assign,
    "release": registry.release,
    "assignments": registry.list_assignments,
    "close": close.close_months,
    "list": reports.list_closed_months,
    "show": reports.show_statement,
    "explain": reports.explain_record,
    "status": reports.show_status,
    "rejected": reports.list_rejected,
    "ignored": reports.list_ignored,
    "reconcile": reports.reconcile_bill,
    "export": reports.export_month,
    "verify": close.verify_months,
    "rebuild": close.rebuild_warehouse,
    "ui": ui.serve_ui,
}
TENANT_COMMANDS: dict[str, Callable[..., None]] = {
    "add": registry.add_tenants,
    "archive": registry.archive_tenant,
    "list": registry.list_tenants,
}
SOURCES_COMMANDS: dict[str, Callable[..., None]] = {
    "list": land.list_sources,
    "show": land.show_source,
    "new": land.new_source,
    "check": land.check_source,
}

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
tenant = typer.Typer(no_args_is_help=True, help="Create, archive and list tenants.", rich_markup_mode=None)
sources = typer.Typer(help="The switches whose own files can be landed.", rich_markup_mode=None)
app.callback()(command.options)
sources.callback(invoke_without_command=True)(command.with_sentences(land.sources_group))
for group, functions in ((app, COMMANDS), (tenant, TENANT_COMMANDS), (sources, SOURCES_COMMANDS)):
    for name, function in functions.items():
        group.command(name)(command.with_sentences(function))
app.add_typer(tenant, name="tenant")
app.add_typer(sources, name="sources")


def main() -> None:
    """Entry point of the console script."""
    # A warning about somebody else's deprecation is nothing an operator can act on.
    if not sys.warnoptions:
        import warnings

        warnings.simplefilter("ignore")
    app()

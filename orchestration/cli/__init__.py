"""The command line `statements`: arguments in, sentences and exit status out.

What belongs here: which commands there are, in the groups and the order in which the help lists them; a module per
group says what each takes and prints. What does not: how anything is done. The modules that do the work are imported by
the command that needs them, since Dagster and dbt take seconds to import.
"""

import os
import sys
from collections.abc import Callable
from importlib.abc import MetaPathFinder
from typing import Any

import typer
import typer.core

from orchestration import screen
from orchestration.cli import close, command, exports, land, registry, reports, sql, ui

Commands = dict[str, Callable[..., None]]

# As a shell tells it.
ENDED_BY_CTRL_C = 130

GROUPS: dict[str, Commands] = {
    "Land files and change who holds what": {
        "land": land.land_files,
        "feeds": reports.list_feeds,
        "assign": registry.assign,
        "release": registry.release,
        "assignments": registry.list_assignments,
    },
    "Close and prove": {
        "close": close.close_months,
        "verify": close.verify_months,
        "manifest": reports.show_manifest,
        "rebuild": close.rebuild_warehouse,
    },
    "Read and hand out": {
        "list": reports.list_closed_months,
        "status": reports.show_status,
        "show": reports.show_statement,
        "find": reports.find_records,
        "explain": reports.explain_record,
        "rejected": reports.list_rejected,
        "ignored": reports.list_ignored,
        "reconcile": reports.reconcile_bill,
        "export": exports.export_month,
        "prove": exports.prove_statement,
        "sql": sql.query_warehouse,
    },
    "Look around": {
        "demo": ui.run_demo,
        "ui": ui.serve_ui,
    },
}
TENANT_COMMANDS: Commands = {
    "add": registry.add_tenants,
    "archive": registry.archive_tenant,
    "list": registry.list_tenants,
}
SOURCES_COMMANDS: Commands = {
    "list": land.list_sources,
    "show": land.show_source,
    "new": land.new_source,
    "check": land.check_source,
}
EXIT_STATUS = (
    "Exit status: 0 done, or nothing to do; 1 refused, with the reason and nothing half done; 2 wrong usage; "
    "3 a stored byte does not match its hash; 130 ended by Ctrl+C."
)


class _Grouped(typer.core.TyperGroup):
    """The commands in the help, group by group. A group of commands of its own stands with what it changes."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        groups = {title: list(commands) for title, commands in GROUPS.items()}
        groups["Land files and change who holds what"] += ["tenant", "sources"]
        for title, names in groups.items():
            with formatter.section(title):
                formatter.write_dl([(name, self.commands[name].get_short_help_str(limit=200)) for name in names])


class _WithoutPandas(MetaPathFinder):
    """Makes pandas a package that is not there.

    Arrow and DuckDB load it for the first value that they are given, to see whether it is one of pandas' own. That
    takes 40 MB and a third of a second, and no command has such a value.
    """

    def find_spec(self, fullname: str, *_where: object) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


app = typer.Typer(
    cls=_Grouped,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXIT_STATUS,
)
tenant = typer.Typer(no_args_is_help=True, help="Create, archive and list tenants.", rich_markup_mode=None)
sources = typer.Typer(help="The switches whose own files can be landed.", rich_markup_mode=None)
app.callback()(command.options)
sources.callback(invoke_without_command=True)(command.with_sentences(land.sources_group))
for group, functions in (
    *((app, functions) for functions in GROUPS.values()),
    (tenant, TENANT_COMMANDS),
    (sources, SOURCES_COMMANDS),
):
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
    sys.stdout, sys.stderr = screen.Stream(sys.stdout), screen.Stream(sys.stderr)
    sys.meta_path.insert(0, _WithoutPandas())
    try:
        app()
    except SystemExit as end:
        if end.code == ENDED_BY_CTRL_C:
            # Threads of a query that nobody waits for may still work: to end Python around them is a crash.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(ENDED_BY_CTRL_C)
        raise

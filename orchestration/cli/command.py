"""A command's frame: what stands before it, how its errors become sentences, and how a list of rows is printed.

What belongs here: what every group of commands shares. What does not: any command.
"""

import enum
import functools
import importlib.metadata
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestration import data_folder, screen
from orchestration.errors import Damaged, Refused
from orchestration.files import PRIVATE
from orchestration.layout import Look
from orchestration.settings import Settings, load

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, as docs/json.md describes it.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print CSV with a header, no cell of which a spreadsheet runs.")]


class Form(enum.Enum):
    """How a list is printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"

    @classmethod
    def chosen(cls, *, as_json: bool, as_csv: bool = False) -> "Form":
        if as_json and as_csv:
            raise typer.BadParameter("--json and --csv exclude each other.")
        return cls.JSON if as_json else cls.CSV if as_csv else cls.TABLE


@dataclass
class _State:
    """The options before the command."""

    data_dir: Path | None = None

    @property
    def settings(self) -> Settings:
        """For a command that may begin a data folder, or that needs none."""
        return load(self.data_dir)

    @property
    def existing(self) -> Settings:
        """For a command that reads, proves or continues a data folder; refused where there is none."""
        settings = load(self.data_dir)
        data_folder.require(settings)
        return settings


STATE = _State()


def _print_version(wanted: bool) -> None:
    if wanted:
        screen.say(f"statements {importlib.metadata.version('tenant-statements')}")
        raise typer.Exit


def options(
    data_dir: Annotated[
        Path | None, typer.Option(help="Where everything is kept [STATEMENTS_DATA_DIR, else data/].")
    ] = None,
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and end.")
    ] = False,
) -> None:
    """Frozen monthly statements per tenant, from a telecom carrier's call detail records."""
    os.umask(PRIVATE)
    STATE.data_dir = data_dir


def retelling(function: Callable[..., None]) -> Callable[..., None]:
    """A command that changes the data folder, after which the overview is told anew."""

    @functools.wraps(function)
    def run(*positional: Any, **named: Any) -> None:
        from orchestration import dagster_run

        try:
            function(*positional, **named)
        except typer.Exit:
            # Of several files some were refused, and the others have landed.
            dagster_run.retell(STATE.settings)
            raise
        dagster_run.retell(STATE.settings)

    return run


def with_sentences(function: Callable[..., None]) -> Callable[..., None]:
    """The command with sentences for errors: exit status 1 when it is refused, 3 when something stored is damaged."""

    @functools.wraps(function)
    def run(*positional: Any, **named: Any) -> None:
        try:
            _require_text(named)
            function(*positional, **named)
        except (Refused, Damaged) as error:
            screen.complain(str(error))
            raise typer.Exit(error.exit_status) from error
        except OSError as error:
            place = f" ({error.filename})" if error.filename else ""
            screen.complain(f"The machine would not do it: {error.strerror or error}{place}.")
            raise typer.Exit(Refused.exit_status) from error

    return run


def _require_text(named: dict[str, Any]) -> None:
    """Refuse an argument that no query and no file name can hold, whatever the command is."""
    for value in named.values():
        for argument in value if isinstance(value, list) else [value]:
            text = str(argument)
            if "\0" in text or text.encode(errors="replace").decode() != text:
                raise Refused(f"{text!a} is not text in UTF-8.")


def print_rows(
    title: str, rows: list[dict[str, Any]], form: Form, columns: list[str] | None = None, look: Look | None = None
) -> None:
    """A list as JSON or CSV, with all its columns, or as a table of these; a sentence when it is empty."""
    if form is Form.JSON:
        screen.as_json(rows)
    elif form is Form.CSV:
        screen.as_csv(rows, list(rows[0]) if rows else [])
    elif rows:
        screen.table(title, rows, columns, look)
    else:
        screen.say(f"{title}: none.")

"""The command line as it introduces itself: groups, examples that can be typed, completion, names that were mistyped.

What belongs here: what needs no data. What does not: what a command does.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

from orchestration import cli
from orchestration.cli import completion
from orchestration.errors import did_you_mean
from orchestration.settings import PROJECT_ROOT
from tests.conftest import CommandLine

ROOT = typer.main.get_command(cli.app)
SHOWS = {"demo", "ui"}


def commands() -> Iterator[tuple[str, object]]:
    """Every command by the words that call it."""
    for name, command in ROOT.commands.items():
        if hasattr(command, "commands"):
            yield from ((f"{name} {sub}", inner) for sub, inner in command.commands.items())
        else:
            yield name, command


COMMANDS = dict(commands())


def options(command) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts}


def test_the_help_lists_every_command_in_a_group_and_the_exit_statuses(command_line: CommandLine):
    for flag in ("-h", "--help"):
        found = command_line.must(flag).stdout
        assert set(ROOT.commands) <= set(found.split())
        assert all(f"{title}:" in found for title in cli.GROUPS)
        assert re.search(r"0 done.*1 refused.*2 wrong usage.*3 a stored byte", found)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_has_an_example_that_its_parser_takes(name):
    example = re.search(r"Example: statements (.+)", COMMANDS[name].help)
    assert example, name
    words = shlex.split(example[1])
    while words[0] != name.split()[0]:
        words.pop(0)
    for word in name.split():
        assert words.pop(0) == word
    COMMANDS[name].make_context(name, words)


def test_every_command_prints_json_but_those_that_show_things_to_people():
    assert {name for name, command in COMMANDS.items() if "--json" not in options(command)} == SHOWS
    page = (PROJECT_ROOT / "docs" / "json.md").read_text(encoding="utf-8")
    described = set(re.findall(r"^## `([a-z ]+)`$", page, re.MULTILINE))
    # `release` has the shape of `assign`.
    assert described | SHOWS | {"release"} == set(COMMANDS)


@pytest.mark.slow
@pytest.mark.parametrize("line", ["feeds", "feeds --json", "feeds --csv", "--help", "feeds no-such-feed"])
def test_a_reader_that_goes_away_is_no_error(line):
    reader, writer = os.pipe()
    os.close(reader)
    # Of the last, the sentence on stderr has no reader either.
    status = 1 if "no-such" in line else 0
    done = subprocess.run(
        [sys.executable, "-m", "orchestration.cli", *line.split()],
        stdout=writer,
        stderr=writer if status else subprocess.PIPE,
        cwd=PROJECT_ROOT,
        text=True,
    )
    os.close(writer)
    assert (done.returncode, done.stderr or "") == (status, "")


@pytest.mark.slow
@pytest.mark.parametrize(("closed", "line", "status"), [(1, "feeds", 0), (2, "feeds no-such-feed", 1)])
def test_a_stream_that_is_closed_from_the_beginning_is_no_error(closed, line, status):
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$0" -m orchestration.cli {line} {closed}>&-', sys.executable],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (status, "", "")


def test_json_and_csv_exclude_each_other(command_line: CommandLine):
    outcome = command_line.run("feeds --json --csv")
    assert (outcome.exit_status, outcome.stdout) == (2, "")
    assert "--json and --csv exclude each other" in outcome.stderr


def test_a_mistyped_name_gets_the_one_that_is_like_it(command_line: CommandLine):
    for line, meant in (
        ("feeds cdr", "cdrs"),
        ("land tenant t.csv", "tenants"),
        ("sources show asterix-csv", "asterisk-csv"),
    ):
        outcome = command_line.run(line)
        assert outcome.exit_status == 1
        assert outcome.stderr.endswith(f"Did you mean {meant}?")
    assert "Did you mean 'list'" in command_line.run("lst").stderr
    assert did_you_mean("xyz", ["cdrs"]) == ""
    assert did_you_mean("ACME.example", ["acme.example", "acne.example"]) == " Did you mean acme.example?"


def test_the_shell_completes_feeds_and_sources_and_nothing_where_nothing_is(command_line: CommandLine):
    context = ROOT.make_context("statements", ["--data-dir", str(command_line.data), "list"])
    assert completion.feeds(context, "c") == ["cdrs"]
    assert completion.sources(context, "asterisk") == ["asterisk-csv", "asterisk-db"]
    for names in (completion.accounts, completion.months, completion.closed_months):
        assert names(context, "") == []
    assert not Path(command_line.data).exists()


def test_every_argument_that_names_something_is_completed():
    named = {
        (name, parameter.name)
        for name, command in COMMANDS.items()
        for parameter in command.params
        if parameter.name in ("account_id", "account", "feed") and parameter._custom_shell_complete is None
    }
    assert named == set()

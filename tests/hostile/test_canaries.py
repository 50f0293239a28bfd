"""A tenants file that went wrong, taken anywhere, is refused without a word of what it holds (rule 7)."""

import logging
from pathlib import Path

import pytest

from orchestration.landing.feeds import FEEDS
from orchestration.sources.declaration import SHIPPED
from orchestration.warehouse import cache
from tests.conftest import CommandLine
from tests.hostile.canaries import MARKS, leaks, write_all
from tests.reach import alternately, share

SOURCES = sorted(path.stem for path in SHIPPED.glob("*.toml"))
COMMANDS = {
    **{f"land {feed}": f"land {feed} {{}}" for feed in FEEDS},
    "tenant add": "tenant add --from {}",
    **share({f"land as {source}": f"land cdrs --source {source} {{}}" for source in SOURCES}, 8),
    **share({f"check as {source}": f"sources check {source} {{}} --rows 0" for source in SOURCES}, 8),
}
BILLS = {
    "a bill": "reconcile 2026-03 {}",
    **share({f"a bill as {source}": f"reconcile 2026-03 {{}} --source {source}" for source in SOURCES}, 8),
}


def told_in_files(folder: Path) -> dict[str, list[str]]:
    """What the files of a data folder tell, but for the tenants that landed, and the dropped files themselves."""
    return {
        str(path.relative_to(folder)): found
        for path in folder.rglob("*")
        if path.is_file()
        and "landing/tenants/" not in str(path)
        and path.suffix in (".txt", ".json", ".duckdb", ".db", ".log")
        if (found := leaks(path.read_bytes().decode("utf-8", errors="replace")))
    }


def told_in(texts: list[str]) -> list[list[str]]:
    return [found for text in texts if (found := leaks(text))]


def test_the_marks_are_in_every_file(tmp_path):
    """So that a search which finds none has looked for the right thing."""
    for path in write_all(tmp_path):
        content = path.read_bytes().decode("utf-8", errors="replace").lower()
        assert any(mark in content for mark in MARKS), path


@pytest.mark.parametrize("place", alternately(COMMANDS))
def test_no_command_tells_what_it_was_given(command_line: CommandLine, monkeypatch, caplog, place):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(cache, "refresh", lambda _: None)
    command_line.at("2026-03-20T12:00:00Z")
    said = []
    for path in write_all(command_line.folder):
        outcome = command_line.run(COMMANDS[place].format(path.name))
        assert "Traceback" not in outcome.stderr
        said += [outcome.stdout, outcome.stderr]
    assert told_in(said + caplog.messages) == []
    assert told_in_files(command_line.data) == {}


@pytest.mark.long
@pytest.mark.parametrize("place", BILLS)
def test_no_bill_is_told(line: CommandLine, tmp_path, caplog, place):
    caplog.set_level(logging.DEBUG)
    said = []
    for path in write_all(tmp_path):
        outcome = line.run(BILLS[place].format(path))
        assert outcome.exit_status == 1, (path, outcome)
        said += [outcome.stdout, outcome.stderr]
    assert told_in(said + caplog.messages) == []
    assert told_in_files(line.data) == {}


@pytest.mark.long
def test_the_inbox_tells_nothing_where_it_puts_a_file_away(command_line: CommandLine, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(cache, "refresh", lambda _: None)
    monkeypatch.setattr("orchestration.commands.inbox.QUIET_SECONDS", 0)
    command_line.at("2026-03-20T12:00:00Z")
    folders = share(dict.fromkeys([*(feed for feed in FEEDS if feed != "tenants"), *SOURCES]), 8)
    for folder in folders:
        (command_line.data / "inbox" / folder).mkdir(parents=True)
        write_all(command_line.data / "inbox" / folder)
    first, second = command_line.run("land --inbox"), command_line.run("land --inbox --json")
    reasons = list((command_line.data / "inbox" / "refused").rglob("*.reason.txt"))
    assert len(reasons) > 25 * len(folders)
    assert told_in([first.stdout, first.stderr, second.stdout, *caplog.messages]) == []
    assert told_in_files(command_line.data) == {}

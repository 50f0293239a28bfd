"""The data folder as a place: no command takes another folder for one, and none hands out a file into it."""

import os
import shutil
from pathlib import Path

import pytest

from orchestration import cli, data_folder
from tests.conftest import CommandLine
from tests.unit.deliveries import tenant, tree, write_csv

# Commands ------------------------------------------------------------------------------------------------------------

# On a folder with nothing in it, each of these would say that all is well, or leave something there.
NEED_A_DATA_FOLDER = [
    "assign number +12015550101 alpha",
    "release number +12015550101",
    "assignments +12015550101",
    "close",
    "close 2026-03",
    "close 2026-03 --dry-run",
    "list",
    "show 2026-03",
    "manifest 2026-03",
    "show 2026-03 --tenants",
    "find --number +12015550101 --day 2026-03-05",
    "explain in-alpha",
    "status",
    "sql 'select 1'",
    "rejected",
    "rejected --export mend.csv",
    "ignored",
    "reconcile 2026-03 bill.csv",
    "export 2026-03",
    "export 2026-03 --each",
    "verify",
    "verify 2026-03",
    "verify --recompute",
    "verify --expect-head aaaaaaaaaaaaaaaa",
    "rebuild",
    "tenant list",
    "tenant archive alpha",
]
# These begin a data folder, or need none.
OTHERS = {
    *("demo", "land", "ui", "tenant add", "feeds", "prove"),
    *("sources list", "sources show", "sources new", "sources check"),
}


def nothing(data: Path) -> None:
    """Nothing is there."""


def empty_folder(data: Path) -> None:
    data.mkdir()


def file(data: Path) -> None:
    data.write_text("no folder", encoding="utf-8")


def tried_only(data: Path) -> None:
    """What a refused command leaves, and somebody's page."""
    (data / "build").mkdir(parents=True)
    (data / ".lock").touch()
    (data / "README.md").touch()


NO_DATA_FOLDERS = {
    nothing: "it does not exist",
    empty_folder: "nothing has landed in it",
    file: "it is no folder",
    tried_only: "nothing has landed in it",
}


def everything_in(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def test_every_command_is_one_that_needs_a_data_folder_or_one_that_does_not():
    names = [
        *(name for group in cli.GROUPS.values() for name in group),
        *(f"tenant {name}" for name in cli.TENANT_COMMANDS),
    ]
    names += [f"sources {name}" for name in cli.SOURCES_COMMANDS]
    needing = {name for name in names if any(f"{line} ".startswith(f"{name} ") for line in NEED_A_DATA_FOLDER)}
    assert needing | OTHERS == set(names)
    assert needing & OTHERS == set()


@pytest.mark.parametrize("make", NO_DATA_FOLDERS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("command", NEED_A_DATA_FOLDER)
def test_a_folder_that_is_no_data_folder_is_refused_and_named_and_left_alone(command_line, make, command):
    make(command_line.data)
    before = everything_in(command_line.folder)
    outcome = command_line.run(command)
    assert (outcome.exit_status, outcome.stdout) == (1, "")
    assert outcome.stderr.startswith(f"{command_line.data} is no data folder: {NO_DATA_FOLDERS[make]}. ")
    assert "--data-dir" in outcome.stderr
    assert everything_in(command_line.folder) == before


def test_a_folder_is_named_by_its_whole_path(command_line):
    command_line.data = Path("mistyped")
    assert f"{command_line.folder}/mistyped is no data folder" in command_line.run("verify").stderr


@pytest.mark.parametrize("mark", ["landing", "statements", "sources", "inbox", "dagster"])
def test_a_folder_is_a_data_folder_by_each_thing_that_is_put_there(command_line, mark):
    (command_line.data / mark).mkdir(parents=True)
    assert command_line.must("list").stdout == "Closed months: none."


def test_a_first_tenant_begins_a_data_folder(command_line):
    alpha = {name: value for name, value in tenant("alpha").items() if name != "recorded_at"}
    command_line.must(f"tenant add --from {write_csv(command_line.folder / 't.csv', alpha)}")
    assert "Verified 0 frozen months and everything landed" in command_line.must("verify").stdout


def test_the_folder_of_a_fresh_checkout_is_a_data_folder_in_which_nothing_has_landed(command_line, monkeypatch):
    monkeypatch.setattr(data_folder, "PROJECT_ROOT", command_line.folder)
    command_line.data.mkdir()
    (command_line.data / "README.md").touch()
    assert command_line.must("list").stdout == "Closed months: none."
    assert command_line.must("rejected").stdout == "Rejected rows: none."
    assert "cdrs" in command_line.must("status").stdout
    assert "nothing has landed yet" in command_line.run("tenant list").stderr
    for command in ("verify", "verify --recompute"):
        said = command_line.must(command).stdout
        assert said == f"Nothing has landed in {command_line.data} yet, so there is nothing to verify."
    expected = command_line.run(f"verify --expect-head {'a' * 64}")
    assert (expected.exit_status, f"the head is none, not {'a' * 64}" in expected.stderr) == (3, True)


# Files that are handed out -------------------------------------------------------------------------------------------

HAND_OUT = [
    "export 2026-03 --out '{}'",
    "export 2026-03 --account alpha --format parquet --out '{}'",
    "export 2026-03 --account alpha --format html,pdf,xlsx,focus --out '{}'",
    "export 2026-03 --each --format html --out '{}'",
    "export 2026-03 --each --zip --format html --out '{}'",
    "reconcile 2026-03 bill.csv --out '{}/out.csv'",
    "rejected --export '{}/out.csv'",
]
OWN = [
    "data/landing",
    "data/landing/cdrs",
    "data/landing/new",
    "data/statements",
    "data/statements/month=2026-03",
    "data/build",
    "data/build/close/deep",
    "data/dagster",
    "data/differences",
    "data/warehouse.duckdb",
    "exports/../data/statements",
    "linked/statements",
    "linked/landing/cdrs",
    "linked statements",
]


@pytest.fixture
def line(copy_of, closed_march) -> CommandLine:
    """A closed month to write over, and ways to it through links: as root, no mode keeps a file from being replaced."""
    found = copy_of(closed_march)
    bill = {"service": "inbound_conversational", "direction": "inbound", "cost": "25.01", "record_count": "5"}
    write_csv(found.folder / "bill.csv", bill)
    (found.folder / "exports").mkdir()
    (found.folder / "linked").symlink_to(found.data)
    (found.folder / "linked statements").symlink_to(found.data / "statements")
    return found


def still_works(line: CommandLine) -> None:
    """What a stray name among the frozen months or the batches stops with exit status 3."""
    line.close_directly()
    assert "2026-03" in line.must("list").stdout
    assert "is frozen already, and verified" in line.must("close 2026-03").stdout


@pytest.mark.long
@pytest.mark.parametrize("command", HAND_OUT)
def test_nothing_is_handed_out_into_what_the_data_folder_keeps(line, command):
    before, places = tree(line.folder), everything_in(line.data)
    for place in OWN:
        outcome = line.run(command.format(place))
        assert (outcome.exit_status, outcome.stdout) == (1, ""), place
        assert f"{line.folder / place}/" in outcome.stderr, place
        assert "belongs to the data folder" in outcome.stderr, place
        assert tree(line.folder) == before, place
        left = {path for path in everything_in(line.data) if path.relative_to(line.data).parts[0] != "build"}
        assert left <= set(places), place
        assert not (line.data / "build" / "close").exists(), place
    still_works(line)


@pytest.mark.parametrize("name", ["data/warehouse.duckdb", "data/.lock", "data/statements", "data/dagster"])
def test_no_file_takes_the_place_of_one_of_the_data_folder(line, name):
    shutil.rmtree(line.data / "dagster", ignore_errors=True)
    before = tree(line.folder)
    outcome = line.run(f"reconcile 2026-03 bill.csv --out {name}")
    assert (outcome.exit_status, "belongs to the data folder" in outcome.stderr) == (1, True), outcome
    assert tree(line.folder) == before
    still_works(line)


def test_a_link_counts_where_it_lies_and_where_it_leads(line):
    away = line.folder / "away"
    away.mkdir()
    inside, outside = line.data / "landing" / "link.csv", away / "link.csv"
    inside.symlink_to(away / "new.csv")
    outside.symlink_to(line.data / "statements" / "new.csv")
    for path in (inside, outside):
        assert "belongs to the data folder" in line.run(f"reconcile 2026-03 bill.csv --out {path}").stderr
        assert path.is_symlink()
    inside.unlink()
    (away / "month=2026-03").symlink_to(line.data / "statements" / "month=2026-03")
    assert "belongs to the data folder" in line.run("export 2026-03 --out away").stderr
    still_works(line)


def test_a_place_of_the_data_folder_may_be_a_link_itself(line):
    elsewhere = line.folder / "other disk"
    shutil.move(line.data / "statements", elsewhere)
    (line.data / "statements").symlink_to(elsewhere)
    before = tree(elsewhere)
    for place in (elsewhere, line.data / "statements"):
        assert "belongs to the data folder" in line.run(f"export 2026-03 --out '{place}'").stderr
    assert tree(elsewhere) == before


def test_links_in_a_circle_are_a_sentence(line):
    (line.folder / "circle").symlink_to(line.folder / "circle")
    outcome = line.run("export 2026-03 --out circle")
    assert (outcome.exit_status, "The machine would not do it" in outcome.stderr) == (1, True)


def test_a_command_that_stands_among_the_frozen_months_writes_nothing_there_by_default(line, monkeypatch):
    monkeypatch.chdir(line.data / "statements")
    for command in ("export 2026-03", f"reconcile 2026-03 {line.folder / 'bill.csv'}"):
        assert "belongs to the data folder" in line.run(command).stderr
    assert os.listdir() == ["month=2026-03"]  # noqa: PTH208 — the folder one stands in


def test_beside_what_the_data_folder_keeps_there_is_room(line):
    """None of the names that an export makes is one of the data folder's own."""
    line.must("export 2026-03 --out data")
    line.must("rejected --export data/mend.csv")
    line.run("reconcile 2026-03 bill.csv --out data/differences.csv")
    assert (line.data / "month=2026-03" / "statements.csv").is_file()
    assert (line.data / "mend.csv").is_file()
    assert (line.data / "differences.csv").is_file()
    still_works(line)

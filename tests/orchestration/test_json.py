"""What the commands print for programs: the keys that docs/json.md lists, and CSV with the same columns."""

import csv
import io
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestration.settings import PROJECT_ROOT
from tests.conftest import CommandLine
from tests.orchestration.conftest import AFTER_APRIL, stand_in
from tests.unit.deliveries import record, tenant, write_csv

PAGE = (PROJECT_ROOT / "docs" / "json.md").read_text(encoding="utf-8")


def described(command: str) -> set[str]:
    """The keys of a command's object, as the page lists them."""
    section = re.search(rf"^## `{re.escape(command)}`\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert section, command
    return set(re.findall(r"^\| `(\w+)` \|", section[1], re.MULTILINE))


def keys(command: str, printed: str) -> set[str]:
    found = json.loads(printed)
    listed = found if isinstance(found, list) else [found]
    assert listed, command
    return {key for entry in listed for key in entry}


@pytest.fixture
def line(closed_april: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    here = stand_in(tmp_path, monkeypatch, AFTER_APRIL)
    here.data = closed_april / "data"
    return here


READING = {
    "feeds": "feeds",
    "sources list": "sources list",
    "sources show": "sources show asterisk-csv",
    "tenant list": "tenant list",
    "assignments": "assignments +12015550101",
    "verify": "verify",
    "list": "list",
    "status": "status",
    "show": "show 2026-03 alpha",
    "explain": "explain in-alpha",
    "rejected": "rejected",
    "find": "find --number +12015550101 --day 2026-03-05",
}
TABLES = ("feeds", "sources list", "tenant list", "assignments", "list", "rejected")


@pytest.mark.parametrize("command", READING)
def test_a_command_that_reads_prints_the_keys_that_are_described(line, command):
    assert keys(command, line.must(f"{READING[command]} --json").stdout) == described(command)


@pytest.mark.parametrize("command", TABLES)
def test_csv_has_the_rows_and_the_keys_of_the_json(line, monkeypatch, command):
    rows = json.loads(line.must(f"{READING[command]} --json").stdout)
    printed: list[str] = []
    monkeypatch.setattr("orchestration.screen.print", printed.append, raising=False)
    line.must(f"{READING[command]} --csv")
    found = list(csv.DictReader(io.StringIO(printed[0])))
    assert [set(row) for row in found] == [set(rows[0])] * len(rows)


def test_csv_of_a_statement_is_its_lines_exact_and_harmless(line, monkeypatch):
    printed: list[str] = []
    monkeypatch.setattr("orchestration.screen.print", printed.append, raising=False)
    line.must("show 2026-03 alpha --csv")
    line.must("tenant list --csv")
    (row,) = csv.DictReader(io.StringIO(printed[0]))
    assert (row["cost"], row["usage_month"], row["record_count"]) == ("0.760000000", "2026-03-01", "2")
    names = [row["tenant_name"] for row in csv.DictReader(io.StringIO(printed[1]))]
    assert names[0] == "'=Alpha, Inc"
    assert re.fullmatch(r"2026-.*\.\d{6}Z", next(csv.DictReader(io.StringIO(printed[1])))["alive_from"])


def test_commands_about_a_switchs_files_print_the_keys_that_are_described(command_line):
    calls = PROJECT_ROOT / "tests" / "scenarios" / "20-every-switch" / "fusionpbx.csv"
    checked = command_line.must(f"sources check fusionpbx {calls} --json")
    assert keys("sources check", checked.stdout) == described("sources check")
    landed = command_line.must(f"land cdrs --source fusionpbx {calls} --json")
    assert json.loads(landed.stdout)[0]["ignored"] == {"leg_b": 1}
    assert keys("ignored", command_line.must("ignored --json").stdout) == described("ignored")
    inbox = command_line.data / "inbox" / "fusionpbx"
    inbox.mkdir(parents=True)
    path = inbox / "again.csv"
    path.write_bytes(calls.read_bytes())
    os.utime(path, (0, 0))
    found = keys("land", command_line.must("land --inbox --json").stdout)
    assert found == described("land") | {"moved_to", "refused"}


@pytest.mark.long
def test_a_command_that_writes_prints_the_keys_that_are_described(
    copy_of: Callable[..., CommandLine], landed_march: Path
):
    line = copy_of(landed_march)
    line.close_directly()
    details = {name: value for name, value in tenant("gamma").items() if name not in ("recorded_at", "archived")}
    write_csv(line.folder / "gamma.csv", details)
    write_csv(line.folder / "more.csv", record("more"))
    write_csv(line.folder / "bill.csv", {"service": "inbound_conversational", "cost": "1"})
    for command, typed in (
        ("land", "land cdrs more.csv"),
        ("tenant add", "tenant add --from gamma.csv"),
        ("assign", "assign number +12015550177 gamma"),
        ("assign", "release number +12015550177"),
        ("tenant archive", "tenant archive gamma"),
        ("rebuild", "rebuild"),
        ("close --dry-run", "close 2026-03 --dry-run"),
        ("close", "close 2026-03 --accept-rejected"),
        ("close", "close 2026-03"),
    ):
        assert keys(command, line.must(f"{typed} --json").stdout) == described(command), typed
    reconciled = line.run("reconcile 2026-03 bill.csv --json")
    assert (reconciled.exit_status, keys("reconcile", reconciled.stdout)) == (1, described("reconcile"))
    written = json.loads(line.must("export 2026-03 --account beta --json").stdout)
    proved = line.must("prove exports/month=2026-03/account=beta --json")
    assert keys("prove", proved.stdout) == described("prove")
    manifest = json.loads(line.must("manifest 2026-03 --json").stdout)
    assert manifest == json.loads((line.data / "statements" / "month=2026-03" / "manifest.json").read_text("utf-8"))
    assert all((line.folder / path).is_file() for path in written)
    assert json.loads(line.must("close --json").stdout) == []

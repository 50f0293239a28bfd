"""Closing: what is refused, what freezes, and that nothing but a whole month that adds up is ever published."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from decimal import Decimal
from itertools import chain
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from orchestration import clock, engine, files, settings
from orchestration.close import (
    dbt_build,
    due,
    manifests,
    month_build,
    on_duckdb,
    pinning,
    publishing,
    rehearsal,
    tables,
    verify,
)
from orchestration.close.content import CloseSettings
from orchestration.close.inputs import Close, Inputs
from orchestration.close.month_build import Build
from orchestration.close.pinning import Workspace
from orchestration.commands import close
from orchestration.errors import Damaged, Refused
from orchestration.landing import receipts as landed
from orchestration.landing import services
from orchestration.landing.feeds import FEEDS
from orchestration.months import Month
from orchestration.shape import as_json
from orchestration.warehouse import cache, reader
from tests.conftest import CommandLine
from tests.orchestration.conftest import (
    AFTER_APRIL,
    AFTER_MARCH,
    APRIL,
    IN_APRIL,
    IN_MARCH,
    LATE,
    MARCH,
    closing,
    land,
    settings_of,
    stand_in,
)
from tests.reach import alternately
from tests.unit.deliveries import record, tree

FROZEN = {"statements.parquet", "statements.csv", "statement_lines.parquet", "statement_lines.csv",
          "organization_statement.parquet", "organization_statement.csv", "organization.parquet", "organization.csv",
          "usage_by_asset.parquet", "unattributed.parquet", "unattributed.csv", "number_inventory.parquet",
          "number_inventory.csv", "reconciliation.parquet", "reconciliation.csv", "statement_documents.parquet",
          "README.txt", "manifest.json", "SHA256SUMS", "usage"}  # fmt: skip


def refused(line: CommandLine, command: str, words: str) -> str:
    """The command ends with 1 and says so on stderr; nothing lasting has changed."""
    before = tree(line.data)
    outcome = line.run(command)
    assert (outcome.exit_status, outcome.stdout) == (1, ""), outcome
    assert words in outcome.stderr
    assert tree(line.data) == before
    return outcome.stderr


# Refusals -------------------------------------------------------------------------------------------------------------


def test_the_running_month_is_refused_until_its_grace_is_over(copy_of, landed_march):
    """Rule 21."""
    line = copy_of(landed_march)
    for instant, words in [
        ("2026-03-31T23:59:59.999999+00:00", "has not ended"),
        ("2026-04-01T00:00:00+00:00", "ended less than 12 hours ago"),
        ("2026-04-01T11:59:59.999999+00:00", "Close it from 2026-04-01 12:00 UTC"),
        ("2026-04-01T17:29:59.999999+05:30", "ended less than 12 hours ago"),
    ]:
        line.at(instant)
        refused(line, "close 2026-03 --accept-rejected", words)
        refused(line, "close 2026-03 --dry-run", words)
    line.at("2026-04-01T12:00:00+00:00")
    refused(line, "close 2026-03 --accept-rejected", "Set the machine's clock right first")


def test_the_grace_is_a_setting(copy_of, landed_march, monkeypatch):
    line = copy_of(landed_march)
    monkeypatch.setenv("STATEMENTS_GRACE_HOURS", "72")
    refused(line, "close 2026-03", "Close it from 2026-04-04 00:00 UTC")
    monkeypatch.setenv("STATEMENTS_GRACE_HOURS", "0")
    refused(line, "close 2026-03", "1 rejected row ")


def test_a_month_of_which_nothing_landed_cannot_be_the_first(copy_of, landed_march):
    said = refused(copy_of(landed_march), "close 2026-01", "Nothing has landed for 2026-01")
    assert "2026-02 (1 record), 2026-03 (9 records)" in said


def test_without_a_first_month_close_refuses_and_lists_the_months(copy_of, landed_march):
    """Rule 22."""
    said = refused(copy_of(landed_march), "close", "Which month is the first")
    assert "2026-02 (1 record), 2026-03 (9 records)" in said


def test_the_first_month_of_the_settings_is_the_first(copy_of, landed_march, monkeypatch):
    line = copy_of(landed_march)
    monkeypatch.setenv("STATEMENTS_FIRST_MONTH", "2026-02")
    refused(line, "close 2026-03", "The first month is 2026-02")


def test_a_gap_and_a_month_before_the_first_are_refused(copy_of, closed_march):
    """Rule 22."""
    line = copy_of(closed_march, "2026-07-02T12:00:00+00:00")
    refused(line, "close 2026-05", "close 2026-04 before 2026-05")
    refused(line, "close 2026-02", "before the first frozen month, 2026-03")


def test_a_month_after_which_no_cdrs_landed_is_refused(copy_of, closed_march):
    refused(copy_of(closed_march, AFTER_APRIL), "close 2026-04", "No cdrs have landed since 2026-04 ended")


def test_a_clock_that_went_back_is_refused(copy_of, closed_march):
    line = copy_of(closed_march, AFTER_APRIL)
    land(line, "cdrs", *IN_APRIL)
    line.at("2026-05-02T11:59:59+00:00")
    refused(line, "close 2026-04", "The clock says")


def test_without_tenants_there_is_nobody_to_state(tmp_path, monkeypatch):
    line = stand_in(tmp_path, monkeypatch, AFTER_MARCH)
    land(line, "cdrs", record("a"))
    refused(line, "close 2026-03", "No tenants have landed")


def test_an_empty_data_folder_has_nothing_to_close(tmp_path, monkeypatch):
    line = stand_in(tmp_path, monkeypatch, AFTER_MARCH)
    (line.data / "landing").mkdir(parents=True)
    refused(line, "close 2026-03", "Nothing has landed for 2026-03")
    refused(line, "close", "No cdrs have landed at all")


def test_rejected_rows_stand_against_a_close_with_their_reasons(copy_of, landed_march):
    """Rule 19."""
    said = refused(copy_of(landed_march), "close 2026-03", "1 rejected row stands against closing 2026-03")
    assert "1 × cost_unusable" in said
    assert "--accept-rejected" in said


def test_a_landed_byte_that_changed_stops_the_close(copy_of, landed_march):
    line = copy_of(landed_march)
    (path,) = line.data.glob("landing/number_assignments/*/*.parquet")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    with pytest.raises(Damaged, match=r"number_assignments\.parquet does not match"):
        closing(line)
    assert not (line.data / "statements").exists()


def test_a_look_before_the_work_says_what_the_close_will_and_hashes_nothing(
    copy_of, landed_march, closed_march, monkeypatch
):
    def never(*_):
        raise AssertionError

    for name in ("require_all_batches", "require_intact"):
        monkeypatch.setattr(verify, name, never)
    open_, frozen = (settings.load(folder / "data") for folder in (landed_march, closed_march))
    copy_of(landed_march)
    assert close.require_closable(open_, MARCH, accept_rejected=True) is False
    assert close.require_closable(frozen, MARCH, accept_rejected=False) is True
    with pytest.raises(Refused, match="1 rejected row "):
        close.require_closable(open_, MARCH, accept_rejected=False)


def test_months_are_due_from_the_end_of_their_grace_on(tmp_path, monkeypatch):
    line = stand_in(tmp_path, monkeypatch, AFTER_MARCH)
    monkeypatch.setenv("STATEMENTS_FIRST_MONTH", "2026-03")
    for instant, months in [
        ("2026-04-01T11:59:59.999999+00:00", []),
        ("2026-04-01T12:00:00+00:00", [MARCH]),
        ("2026-06-01T12:00:00+00:00", [MARCH, APRIL, APRIL.next]),
    ]:
        line.at(instant)
        assert due.due_months(settings_of(line)) == months


def test_what_an_operator_accepted_is_said_only_where_something_stood(copy_of, landed_march, monkeypatch):
    line = copy_of(landed_march)
    monkeypatch.setattr(close, "_build", lambda *_: None)
    monkeypatch.setattr(rehearsal, "figures", lambda _settings, given, _build: given)

    def inputs() -> Inputs:
        return close.rehearse(settings_of(line), MARCH, lambda _: None)

    first = inputs()
    assert first.accepted_rejected
    assert first.settings == CloseSettings(grace_hours=12, default_currency="USD")
    land(line, "cdrs", record("broken", cost="0.5"))
    assert [row.cleared for row in inputs().rejected] == [True]
    assert not inputs().accepted_rejected
    land(line, "cdrs", record("another", cost="much"))
    assert [row.cleared for row in inputs().rejected] == [True, False]
    assert inputs().accepted_rejected


# Freezing -------------------------------------------------------------------------------------------------------------


def test_a_frozen_month_is_these_files_and_nobody_may_write_to_them(closed_march):
    folder = closed_march / "data" / "statements" / "month=2026-03"
    assert {path.name for path in folder.iterdir()} == FROZEN
    days = {f"day={day:02d}.parquet" for day in range(1, 32)} | {"corrections.parquet"}
    assert {path.name for path in (folder / "usage").iterdir()} == days
    assert {path.stat().st_mode & 0o222 for path in [folder, *folder.rglob("*")]} == {0}
    checked = subprocess.run(["sha256sum", "--strict", "--quiet", "-c", "SHA256SUMS"], cwd=folder, check=False)
    assert checked.returncode == 0


def test_the_manifest_tells_what_went_in_and_what_came_out(closed_april):
    march, april = manifests.load(settings.load(closed_april / "data"))
    assert asdict(march.content.counts) == {
        "landed": 10, "accepted": 8, "duplicate": 0, "superseded": 1, "rejected": 1,
        "attributed": 5, "unattributed": 3, "conflict_header_ip": 1,
        "late_landed": 0, "late_duplicate": 0, "late_superseded": 0, "before_first_month": 0,
        "withdrawn_landed": 0, "withdrawn_duplicate": 0, "withdrawn_superseded": 0, "withdrawn": 0,
        "late": 0, "restatement": 0, "reversal": 0,
    }  # fmt: skip
    corrections = {
        name: getattr(april.content.counts, name) for name in ("late_landed", "late", "restatement", "reversal")
    }
    assert corrections == {"late_landed": 2, "late": 1, "restatement": 1, "reversal": 1}
    assert march.content.totals == {"USD": "32.010000000"}
    assert march.content.rejected.accepted_by_operator is True
    assert [row.reason for row in march.content.rejected.rows] == ["cost_unusable"]
    assert (march.content.previous_month, march.content.previous_manifest_sha256) == (None, "0" * 64)
    assert (april.content.previous_month, april.content.previous_manifest_sha256) == (MARCH, march.sha256)
    grown = Decimal(march.content.totals["USD"]) + Decimal(april.content.totals["USD"])
    assert april.content.totals_since_first_month == {"USD": f"{grown:f}"}
    warnings = " ".join(march.content.warnings)
    assert all(f"{feed}: complete up to" in warnings for feed in ("tenants", "number_assignments", "ip_assignments"))
    assert "2026-03-04" in warnings
    assert "2026-03-05" not in warnings


def test_nothing_private_is_left_behind(closed_march):
    assert [path for path in (closed_march / "data" / "build").rglob("*") if path.is_file()] == []


@pytest.mark.long
def test_landing_the_mended_row_clears_what_was_rejected(copy_of, landed_march):
    line = copy_of(landed_march)
    land(line, "cdrs", record("broken", cost="0.5"))
    said: list[str] = []
    closed = closing(line, accept_rejected=False, progress=said.append)
    assert (closed.outcome, said[0], said[-2:]) == (
        "frozen", "Pinning what has landed", ["Freezing", "Refreshing the warehouse"],
    )  # fmt: skip
    assert {node.name for node in closed.nodes} >= {"usage", "statements"}
    frozen = as_json(closed.manifest.content)
    assert frozen["counts"]["accepted"] == 9
    assert frozen["rejected"] == {
        "accepted_by_operator": False,
        "rows": [{**frozen["rejected"]["rows"][0], "reason": "cost_unusable", "cleared": True}],
    }


def test_closing_again_verifies_and_changes_nothing(copy_of, closed_march):
    """Rule 27."""
    line = copy_of(closed_march)
    folder = line.data / "statements"
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in [folder, *folder.rglob("*")]}
    contents = tree(line.data)
    said: list[str] = []
    again = closing(line, progress=said.append)
    assert (again.already_frozen, again.outcome, said) == (True, "already frozen, verified", ["Verifying"])
    assert again.manifest == manifests.read(settings_of(line), MARCH)
    assert tree(line.data) == contents
    assert {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in [folder, *folder.rglob("*")]} == before


def test_closing_again_finishes_what_a_close_left_that_was_killed_just_then(copy_of, closed_march):
    line = copy_of(closed_march)
    folder, build = line.data / "statements" / "month=2026-03", line.data / "build" / "close"
    folder.chmod(0o755)
    build.mkdir(parents=True)
    (build / "build.duckdb").touch()
    assert closing(line).already_frozen
    assert folder.stat().st_mode & 0o777 == 0o555
    assert not build.exists()


def test_closing_a_damaged_month_again_is_exit_3_and_mends_nothing(copy_of, closed_march):
    line = copy_of(closed_march)
    path = line.data / "statements" / "month=2026-03" / "statements.parquet"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    outcome = line.run("close 2026-03")
    assert outcome.exit_status == 3
    assert "statements.parquet does not match its hash" in outcome.stderr
    assert path.read_bytes() == bytes(content)
    with pytest.raises(Damaged):
        closing(line)


def test_a_dry_run_shows_the_figures_and_publishes_nothing(copy_of, landed_march):
    """Rule 27."""
    line = copy_of(landed_march)
    before = tree(line.data)
    said = line.must("close 2026-03 --dry-run").stdout
    assert tree(line.data) == before
    assert "nothing was published" in said
    for words in ("Totals", "Unattributed by reason", "number_unknown", "number_unassigned", "header_case_mismatch",
                  "Corrections: none", "Rejected rows", "cost_unusable", "Warnings"):  # fmt: skip
        assert words in said
    assert [path for path in (line.data / "build").rglob("*") if path.is_file()] == []


def test_a_frozen_month_has_no_dry_run(closed_march):
    with pytest.raises(Refused, match="2026-03 is frozen already; `statements show 2026-03` shows it"):
        close.rehearse(settings.load(closed_march / "data"), MARCH, lambda _: None)


def test_an_open_month_has_no_statement_anywhere(copy_of, closed_march):
    line = copy_of(closed_march, AFTER_APRIL)
    land(line, "cdrs", *IN_APRIL)
    for month in ("2026-04", "2026-05"):
        for command in (f"show {month}", f"show {month} alpha", f"export {month} --out out", f"verify {month}"):
            assert f"{month} is not closed" in line.run(command).stderr
    assert not (line.folder / "out").exists()
    assert "2026-04" not in line.must("list --json").stdout.replace("2026-04-0", "")


# Invariants -----------------------------------------------------------------------------------------------------------


class Captured(Exception):
    """Stands for everything after the build."""


Built = tuple[settings.Settings, Inputs, Build, Path]


@pytest.fixture(scope="module")
def built(landed_march, tmp_path_factory) -> Built:
    """A private build of March just before it is frozen, and a copy of it to begin again from."""
    return build_of(landed_march, tmp_path_factory.mktemp("built") / "copy", MARCH, AFTER_MARCH)


@pytest.fixture(scope="module")
def built_april(closed_march, tmp_path_factory) -> Built:
    """The same of April, which corrects March."""
    return build_of(closed_march, tmp_path_factory.mktemp("built-april") / "copy", APRIL, AFTER_APRIL, LATE, IN_APRIL)


def build_of(source: Path, folder: Path, month: Month, instant: str, *deliveries: list[dict]) -> Built:
    shutil.copytree(source, folder)
    taken = {}

    def capture(configuration, inputs, build):
        taken["all"] = (configuration, inputs, build)
        # A close that fails takes its build with it.
        shutil.copytree(build.folder.parent, folder / "pristine")
        raise Captured

    with pytest.MonkeyPatch.context() as monkeypatch:
        line = stand_in(folder, monkeypatch, instant)
        for rows in deliveries:
            land(line, "cdrs", *rows)
        monkeypatch.setattr(publishing, "freeze", capture)
        with pytest.raises(Captured):
            closing(line, month)
    return (*taken["all"], folder / "pristine")


def seen(build: Built, query: str) -> list[tuple]:
    """What a query finds in a build as it was before it was frozen."""
    with duckdb.connect(str(build[3] / "build.duckdb"), read_only=True) as connection:
        connection.execute("set timezone to 'UTC'")
        return connection.execute(query).fetchall()


def seen_in_each(build: Built, query: str, *relations: str) -> dict[str, list]:
    return {name: sorted(chain.from_iterable(seen(build, query.format(name)))) for name in relations}


@pytest.mark.long
def test_a_build_is_told_what_is_being_closed(built, built_april):
    row = "select month, month_start, month_end, first_month_start, history_start, default_currency from control.close"
    assert seen(built, row) == [("2026-03", MARCH.start, MARCH.end, MARCH.start, MARCH.start, "USD")]
    assert seen(built_april, row) == [("2026-04", APRIL.start, APRIL.end, MARCH.start, MARCH.start, "USD")]
    days = "select count(*), min(day), max(day) from control.close_days"
    assert seen(built, days) == [(31, MARCH.days[0], MARCH.days[-1])]
    assert seen(built_april, days) == [(30, APRIL.days[0], APRIL.days[-1])]


def test_a_build_sees_exactly_what_was_pinned_for_it(built, built_april):
    ids = "select record_id from {}"
    names = ("landed.cdrs", "landed.cdrs_elsewhere", "landed.late_cdrs", "landed.rejected_rows")
    names += ("landed.withdrawals", "frozen.stated_entries")
    march = sorted({row["record_id"] for row in IN_MARCH} - {"in-february"})
    assert seen_in_each(built, ids, *names) == {
        "landed.cdrs": sorted([*march, "twice"]),
        "landed.cdrs_elsewhere": [],
        "landed.late_cdrs": [],
        "landed.withdrawals": [],
        "frozen.stated_entries": [],
        "landed.rejected_rows": ["broken"],
    }
    assert seen_in_each(built_april, ids, *names) == {
        "landed.cdrs": ["april"],
        "landed.cdrs_elsewhere": [],
        "landed.late_cdrs": ["in-alpha", "late"],
        "landed.withdrawals": [],
        "frozen.stated_entries": march,
        "landed.rejected_rows": [],
    }
    rows, late = ("select * exclude batch_id from control." + name for name in ("cdrs_receipts", "late_receipts"))
    assert (seen(built, rows), seen(built, late)) == ([(9, 1)], [])
    assert (seen(built_april, rows), seen(built_april, late)) == ([(1, 0)], [(2,)])


def test_a_build_sees_the_columns_of_its_sources_and_no_others(built, built_april):
    landed_as = ["recorded_at", "sealed_at", "is_late", "is_overtaken", "batch_id", "source_row"]
    assignment = ["account_id", "event_type", "valid_from", "is_void", *landed_as]
    sources = {
        "cdrs": [*FEEDS["cdrs"].stored, "row_id"],
        "late_cdrs": [*FEEDS["cdrs"].stored],
        # No contact data.
        "tenants": ["account_id", "name", "archived", *landed_as],
        "number_assignments": ["number", "number_type", *assignment],
        "ip_assignments": ["ip", *assignment],
    }
    for build in (built, built_april):
        columns = seen_in_each(build, "select column_name from (describe landed.{})", *sources)
        assert columns == {name: sorted(listed) for name, listed in sources.items()}


def test_all_frozen_months_are_looked_at_only_when_something_came_late(closed_april, tmp_path):
    configuration = settings.load(closed_april / "data")
    batches, frozen = landed.load(configuration), manifests.load(configuration)
    stated = []
    for number, known in enumerate((batches[:-1], batches)):
        workspace = Workspace(tmp_path / str(number), APRIL.next)
        workspace.folder.mkdir()
        close_settings = CloseSettings(grace_hours=12, default_currency="USD")
        given = services.load(configuration)
        inputs = Inputs(Close(APRIL.next, frozen, known), [], False, [], clock.now(), close_settings, given)
        on_duckdb.show(configuration, pinning.of_close(configuration, inputs, workspace), workspace)
        with duckdb.connect(str(workspace.database), read_only=True) as connection:
            found = connection.execute("select distinct stated_in from frozen.stated_entries order by 1").fetchall()
            stated.append([month for (month,) in found])
    # Of March, from which the late record is, every day; of April, which nothing came for, the corrections.
    assert stated == [[], ["2026-03", "2026-04"]]


WRITTEN = {table.name: (table.key, f"{table.name}.parquet") for table in tables.TABLES} | {
    "int_corrections": (tables.USAGE.key, "usage/corrections.parquet"),
    "counts": (("count_name",), "../figures/counts.parquet"),
}


def freeze_after(built, *statements: str) -> None:
    """Freeze the build after these statements have altered it, its invariants and counts made anew.

    What dbt has left as views over files is altered as tables, and written to its files again.
    """
    configuration, inputs, build, pristine = built
    folder = build.folder.parent
    files.remove(folder)
    shutil.copytree(pristine, folder)
    with engine.connect(configuration, folder / "build.duckdb") as connection:
        for name in WRITTEN:
            connection.execute(f"create table main.altered as from main.{name}; drop view main.{name}")
            connection.execute(f"alter table main.altered rename to {name}")
        for statement in statements:
            connection.execute(statement)
        for name in ("reconciliation", "counts"):
            sql = dbt_build.compiled([name])
            connection.execute(f"create or replace table main.{name} as {sql[next(reversed(sql))]}")
        for name, (order, file) in WRITTEN.items():
            (build.folder / file).unlink()
            tables.copy_parquet(connection, f"from main.{name}", order, build.folder / file)
    publishing.freeze(
        configuration, inputs, month_build.handed_over(Workspace(folder, inputs.close.month), build.nodes)
    )


ALTERED = {
    "1 landed": ["update control.cdrs_receipts set usable_rows = usable_rows + 1"],
    "1 landed = accepted + redelivered + rejected, per batch": ["delete from landed.rejected_rows"],
    "1 landed = accepted": ["delete from main.int_dropped_deliveries"],
    "2 accepted = attributed + unattributed": ["update main.int_usage_totals set account_id = 'beta', reason = reason where account_id is null"],
    "usage of tenants against their lines": ["delete from main.statement_lines where account_id = 'alpha'"],
    "3 accepted records = organization, cost": ["update main.organization_statement set cost = cost + 0.000000001"],
    "3 organization = tenants + unattributed, billed_seconds": ["update main.unattributed set billed_seconds = billed_seconds - 1"],
    "3 lines of a statement = its total, cost": ["update main.statements set total_cost = total_cost + 0.000000001 where account_id = 'beta'"],
    "statements against their lines": ["update main.statements set total_cost = 1 where account_id = 'quiet'"],
    "usage of tenants against their assets": ["delete from main.usage_by_asset where attributed_by = 'header'"],
    "5 overlapping assignment periods": ["insert into main.int_assignment_periods select * replace (valid_from - interval 1 day as valid_from) from main.int_assignment_periods where asset = '+12015550103'"],
    "5 assignment periods outside the life": ["update main.int_tenant_lives set alive_from = alive_from + interval 1 day where account_id = 'alpha'"],
    "8 tenants alive in the month have a statement": ["delete from main.statements where account_id = 'quiet'"],
}  # fmt: skip


@pytest.mark.parametrize("invariant", alternately(ALTERED))
def test_a_violated_invariant_is_named_and_nothing_is_published(built, invariant):
    with pytest.raises(Refused, match="do not add up, so nothing was published") as refusal:
        freeze_after(built, *ALTERED[invariant])
    assert invariant in str(refusal.value)
    assert not built[0].statements.exists()


ALTERED_CORRECTIONS = {
    "1 late = stated + redelivered + before the first month, per batch": ["update control.late_receipts set usable_rows = usable_rows + 1"],
    "landed late against stated, duplicate, superseded": ["delete from control.late_receipts"],
    "3 late and reversed records = corrections of the organization, cost": ["update main.organization_statement set cost = cost + 1 where line_type = 'correction'"],
    "all usage against the organization": ["update main.int_corrections set cost = cost - 1 where entry = 'reversal'"],
    "4 records count once over all statements, or not at all": ["update main.int_judged_deliveries set started_at = '2020-01-01' where outcome = 'late'"],
    "usage of tenants against their lines": ["delete from main.int_corrections where entry = 'restatement'"],
}  # fmt: skip


@pytest.mark.parametrize("invariant", alternately(ALTERED_CORRECTIONS))
def test_a_violated_invariant_of_corrections_is_named_and_nothing_is_published(built_april, invariant):
    with pytest.raises(Refused, match="do not add up, so nothing was published") as refusal:
        freeze_after(built_april, *ALTERED_CORRECTIONS[invariant])
    assert invariant in str(refusal.value)
    assert not (built_april[0].statements / "month=2026-04").exists()


def test_a_frozen_file_that_a_correction_takes_from_is_hashed_again(copy_of, closed_march):
    line = copy_of(closed_march, AFTER_APRIL)
    land(line, "cdrs", *LATE)
    (changed,) = line.data.glob("statements/month=2026-03/usage/day=05.parquet")
    known = manifests.load(settings_of(line))
    verify.require_intact_statements([changed], known)
    changed.chmod(0o600)
    changed.write_bytes(changed.read_bytes()[:-1] + b"x")
    with pytest.raises(Damaged, match="day=05"):
        verify.require_intact_statements([changed], known)


@pytest.mark.long
def test_a_close_hashes_again_what_it_takes_from_an_older_month(copy_of, closed_april):
    """The file can be read, and the month is not the one before, which is checked whole ahead of every close."""
    line = copy_of(closed_april, "2026-06-02T12:00:00+00:00")
    land(
        line,
        "cdrs",
        record("june", started_at="2026-06-01T00:00:00Z"),
        record("in-beta", number="+12015550102", cost="0.03"),
    )
    (changed,) = line.data.glob("statements/month=2026-03/usage/day=05.parquet")
    rows = pq.read_table(changed)
    changed.chmod(0o600)
    pq.write_table(rows, changed)
    with pytest.raises(Damaged, match=r"day=05\.parquet does not match"):
        closing(line, APRIL.next)
    assert not (line.data / "statements" / "month=2026-05").exists()


def test_a_record_that_is_lost_on_the_way_to_the_file_is_missed(built):
    configuration, inputs, build, _ = built
    day = build.folder / "usage" / "day=05.parquet"
    with pytest.raises(Refused, match="against"):
        freeze_after(built, f"copy (select * from '{day}' offset 1) to '{day}'")
    assert not configuration.statements.exists()
    assert (inputs.close.month, build.folder.name) == (MARCH, "month=2026-03")


def test_an_invariant_that_fails_in_the_build_stops_the_whole_close(copy_of, landed_march, monkeypatch):
    line = copy_of(landed_march)
    before = tree(line.data)
    count = pinning.receipt_counts
    monkeypatch.setattr(
        pinning, "receipt_counts", lambda *given: [(batch, usable + 1, bad) for batch, usable, bad in count(*given)]
    )
    with pytest.raises(Refused, match="does not add up or cannot be computed, so nothing was published"):
        closing(line)
    assert tree(line.data) == before


def test_an_unaltered_build_freezes(built):
    freeze_after(built)
    assert verify.month_problems(built[0], MARCH) == []


# Crashes and company --------------------------------------------------------------------------------------------------

# Closes March in each of some folders at once; at the named points, if any, the processes are killed as by `kill -9`.
# Each is a fork of one that has imported everything, and says its outcome and its exit status on a line.
CLOSERS = """
import json, os, signal, sys
from datetime import datetime
from pathlib import Path
import dbt.adapters.duckdb.impl, dbt.cli.main, pyarrow.parquet
from orchestration import clock, files, settings
from orchestration.close import dbt_build, publishing
from orchestration.commands import close
from orchestration.months import Month
from orchestration.warehouse import cache

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

moment = datetime.fromisoformat(sys.argv[1])
clock.now = lambda: moment
points = {"before the build": (dbt_build, "build"), "before the rename": (files, "publish"),
          "before the warehouse": (cache, "refresh")}

def closes(folder, point):
    if point in points:
        setattr(*points[point], die)
    done = close.close_month(settings.load(Path(folder)), Month(2026, 3), accept_rejected=True, progress=lambda _: None)
    print("verified" if done.already_frozen else "frozen", flush=True)

started = {}
for name, folder in json.loads(sys.argv[2]).items():
    reading, writing = os.pipe()
    if (pid := os.fork()) == 0:
        os.dup2(writing, 1)
        closes(folder, name)
        os._exit(0)
    os.close(writing)
    started[name] = (pid, reading)
for name, (pid, reading) in started.items():
    said = open(reading).read()
    print(json.dumps([name, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said.strip()]))
"""
POINTS = ("before the build", "before the rename", "before the warehouse")


@pytest.fixture(scope="module")
def left_behind(landed_march, tmp_path_factory) -> dict[str, tuple[Path, int, str]]:
    """Point or name → folder, exit status and output of closes in processes of their own, all at once."""
    shared = tmp_path_factory.mktemp("together") / "copy"
    folders = {"one": shared, "other": shared}
    folders |= {point: tmp_path_factory.mktemp("killed") / "copy" for point in POINTS}
    for folder in set(folders.values()):
        shutil.copytree(landed_march, folder)
    data = json.dumps({name: str(folder / "data") for name, folder in folders.items()})
    closed = subprocess.run(
        [sys.executable, "-c", CLOSERS, AFTER_MARCH, data],
        cwd=Path(close.__file__).parents[2],
        env={key: value for key, value in os.environ.items() if not key.startswith("STATEMENTS_")},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert closed.returncode == 0, closed.stderr
    outcomes = [json.loads(line) for line in closed.stdout.splitlines()]
    return {name: (folders[name], status, said or closed.stderr) for name, status, said in outcomes}


@pytest.mark.long
@pytest.mark.parametrize("point", POINTS)
def test_after_a_kill_the_month_is_whole_or_absent_and_the_next_close_gets_there(left_behind, monkeypatch, point):
    folder, status, said = left_behind[point]
    assert status == -9, said
    line = stand_in(folder, monkeypatch, AFTER_MARCH)
    month = line.data / "statements" / "month=2026-03"
    assert month.exists() == (point == "before the warehouse")
    frozen_before = tree(month)
    again = closing(line)
    assert again.already_frozen == (point == "before the warehouse")
    assert verify.month_problems(settings_of(line), MARCH) == []
    if frozen_before:
        assert tree(month) == frozen_before
    with duckdb.connect(str(line.data / "warehouse.duckdb"), read_only=True) as connection:
        published = connection.execute("select month, accepted from operations.closes").fetchall()
        stated = connection.execute("select account_id from statements.statements order by 1").fetchall()
    assert (published, stated) == ([("2026-03", 8)], [("alpha",), ("beta",), ("quiet",)])
    assert [path for path in (line.data / "build").rglob("*") if path.is_file()] == []


@pytest.mark.long
def test_kills_leave_the_same_bytes_as_no_kill(left_behind, monkeypatch):
    """Whatever happened in between, a month made of the same batches at the same time is the same month."""
    months = []
    for name in ("before the rename", "before the warehouse", "one"):
        line = stand_in(left_behind[name][0], monkeypatch, AFTER_MARCH)
        closing(line)
        months.append(tree(line.data / "statements"))
    assert months[0] == months[1] == months[2]


@pytest.mark.long
def test_of_two_closes_at_once_one_freezes_and_one_verifies(left_behind):
    assert sorted(left_behind[name][1:] for name in ("one", "other")) == [(0, "frozen"), (0, "verified")]


@pytest.mark.long
def test_an_analysts_open_session_neither_blocks_a_close_nor_breaks(copy_of, landed_march):
    line = copy_of(landed_march)
    cache.rebuild(settings_of(line))
    with duckdb.connect(str(line.data / "warehouse.duckdb"), read_only=True) as session:
        assert session.execute("select count(*) from operations.batches").fetchone() == (4,)
        closing(line)
        assert session.execute("select count(*) from operations.batches").fetchone() == (4,)
        assert session.execute("select count(*) from operations.rejected_rows").fetchone() == (1,)
        assert session.execute("select count(*) from operations.closes").fetchone() == (0,)
    assert reader.rows(settings_of(line), "select month from operations.closes") == [("2026-03",)]


def test_a_moved_data_folder_works_after_a_rebuild(copy_of, closed_march, tmp_path):
    line = copy_of(closed_march)
    moved = tmp_path / "moved it's"
    line.data.rename(moved)
    line.data = moved
    line.must("verify")
    line.must("rebuild")
    assert "Total 0.76" in line.must("show 2026-03 alpha").stdout
    assert closing(line).already_frozen


@pytest.mark.long
def test_the_next_month_can_be_closed_in_a_moved_folder(copy_of, closed_march, tmp_path):
    line = copy_of(closed_march, AFTER_APRIL)
    line.data.rename(tmp_path / "moved")
    line.data = tmp_path / "moved"
    land(line, "cdrs", *IN_APRIL)
    assert closing(line, APRIL, accept_rejected=False).manifest.content.totals == {"USD": "128.000000000"}

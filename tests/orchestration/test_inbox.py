"""Files dropped into the inbox: landed once, by hand or by Dagster, put away with a reason, and left alone while written."""

import gzip
import os
import time
from pathlib import Path

import dagster as dg
import pytest

from orchestration import settings
from orchestration.commands import inbox
from orchestration.defs.inbox import inbox_files, run_config
from orchestration.errors import Refused
from orchestration.landing import receipts, records
from tests.conftest import CommandLine
from tests.unit.deliveries import record, write_csv


@pytest.fixture
def line(command_line: CommandLine) -> CommandLine:
    command_line.at("2026-03-20T12:00:00Z")
    return command_line


def drop(line: CommandLine, folder: str, name: str, *rows: dict, age: int = 60) -> Path:
    """A file that was last written to a while ago."""
    path = write_csv(line.data / "inbox" / folder / name, *rows)
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def lying(line: CommandLine) -> set[str]:
    root = line.data / "inbox"
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def without_hash(names: set[str]) -> set[str]:
    return {"/".join([*name.split("/")[:-1], name.split("/")[-1][13:]]) for name in names}


def test_each_file_lands_by_itself_and_is_put_away_with_what_became_of_it(line):
    drop(line, "cdrs", "day.csv", record("a"))
    drop(line, "cdrs", "bad.csv", {"record_id": "b"})
    drop(line, "nobody", "day.csv", record("c"))
    outcome = line.run("land --inbox")
    assert outcome.exit_status == 1
    assert "day.csv: 1 row, of which 1 landed" in outcome.stdout
    assert without_hash(lying(line)) == {
        "done/cdrs/day.csv",
        "refused/cdrs/bad.csv",
        "refused/cdrs/bad.csv.reason.txt",
        "refused/nobody/day.csv",
        "refused/nobody/day.csv.reason.txt",
    }
    (reason,) = (line.data / "inbox/refused/nobody").glob("*.reason.txt")
    assert "'nobody' is no source" in reason.read_text(encoding="utf-8")
    assert line.must("land --inbox").stdout.startswith("There is no whole file in")


def test_a_folder_can_be_a_source_and_its_switch(line):
    drop(line, "skyetel-style@east", "charges.csv",
         {"id": "1", "charge": "cnam", "direction": "inbound", "start_time": "2026-03-05 10:00:00", "cost": "0.01"})  # fmt: skip
    line.must("land --inbox")
    (receipt,) = receipts.load(settings.load(line.data))
    assert (receipt.source, receipt.rows) == ("skyetel-style@east", 1)


def test_a_file_that_is_still_being_written_is_left_alone(line):
    drop(line, "cdrs", "fresh.csv", record("a"), age=0)
    drop(line, "cdrs", "copying.csv.part", record("b"))
    drop(line, "cdrs", ".hidden.csv", record("c"))
    held = drop(line, "cdrs", "held.csv", record("d"))
    with held.open("a"):
        os.utime(held, (time.time() - 60, time.time() - 60))
        line.must("land --inbox")
        assert lying(line) == {"cdrs/fresh.csv", "cdrs/copying.csv.part", "cdrs/.hidden.csv", "cdrs/held.csv"}
    line.must("land --inbox")
    assert "cdrs/held.csv" not in lying(line)


def test_a_file_that_is_written_to_while_it_lands_stays_and_lands_when_it_is_whole(line, monkeypatch):
    path = drop(line, "cdrs", "day.csv", record("a"))
    judge = records.create_normalized

    def judged(*arguments, **others) -> None:
        with path.open("a", encoding="utf-8", newline="") as handle:
            handle.write(",".join(record("b").values()) + "\r\n")
        judge(*arguments, **others)

    with monkeypatch.context() as writing:
        writing.setattr(records, "create_normalized", judged)
        outcome = line.run("land --inbox")
    assert outcome.exit_status == 1
    assert f"{path} changed while it was read" in outcome.stderr
    assert lying(line) == {"cdrs/day.csv"}
    os.utime(path, (time.time() - 60, time.time() - 60))
    assert "day.csv: 2 rows" in line.must("land --inbox").stdout
    assert without_hash(lying(line)) == {"done/cdrs/day.csv"}


@pytest.mark.parametrize("first", [record("a"), {"record_id": "a"}])
def test_a_file_that_is_dropped_in_the_place_of_a_landed_one_lands_in_its_turn(line, monkeypatch, first):
    path = drop(line, "cdrs", "day.csv", first)
    land = inbox.land

    def landed_and_replaced(*arguments):
        try:
            return land(*arguments)
        finally:
            other = write_csv(path.with_name("other.part"), record("b"))
            os.utime(other, (time.time() - 60, time.time() - 60))
            other.replace(path)

    with monkeypatch.context() as dropping:
        dropping.setattr(inbox, "land", landed_and_replaced)
        line.run("land --inbox")
    assert lying(line) == {"cdrs/day.csv"}
    assert "day.csv: 1 row" in line.must("land --inbox").stdout
    assert without_hash(lying(line)) == {"done/cdrs/day.csv"}


def test_a_line_without_end_is_put_away_with_its_reason(line):
    path = drop(line, "cdrs", "day.csv.gz")
    path.write_bytes(gzip.compress(bytes(64_000_100)))
    os.utime(path, (1, 1))
    assert line.run("land --inbox").exit_status == 1
    (reason,) = (line.data / "inbox/refused/cdrs").glob("*.reason.txt")
    assert "has a line of more than 4,000,000 bytes, after its first 0 unpacked bytes" in reason.read_text(
        encoding="utf-8"
    )


def test_the_same_file_again_is_put_away_and_lands_nothing(line):
    for name in ("day.csv", "again.csv"):
        drop(line, "cdrs", name, record("a"))
        line.must("land --inbox")
    assert len(receipts.load(settings.load(line.data))) == 1
    assert without_hash(lying(line)) == {"done/cdrs/day.csv", "done/cdrs/again.csv"}


def test_the_sensor_asks_for_a_run_a_file_and_not_twice_for_one(line, monkeypatch):
    monkeypatch.setenv("STATEMENTS_DATA_DIR", str(line.data))
    path = drop(line, "cdrs", "day.csv", record("a"))
    (request,) = inbox_files(dg.build_sensor_context())
    (again,) = inbox_files(dg.build_sensor_context())
    assert request.run_key == again.run_key
    assert request.run_config == run_config(path, "cdrs")
    assert request.tags["file"] == "cdrs/day.csv"
    os.utime(path, (1, 1))
    (touched,) = inbox_files(dg.build_sensor_context())
    assert touched.run_key != request.run_key


def test_a_run_lands_the_file_and_tells_the_feed_and_a_refused_one_fails(defs, line, monkeypatch):
    monkeypatch.setenv("STATEMENTS_DATA_DIR", str(line.data))
    job = defs.resolve_job_def("land_dropped_file")
    good, bad = drop(line, "cdrs", "day.csv", record("a")), drop(line, "cdrs", "bad.csv", {"record_id": "b"})
    with dg.DagsterInstance.ephemeral() as instance:
        done = job.execute_in_process(instance=instance, run_config=run_config(good, "cdrs"))
        # The feed's page shows a materialization for good, and hides every observation after it.
        assert not [event for event in done.all_events if event.is_step_materialization]
        observed = [
            event.asset_observation_data.asset_observation
            for event in done.all_events
            if event.event_type_value == "ASSET_OBSERVATION"
        ]
        file, *feeds = observed
        assert (file.asset_key, file.metadata["rows"].value) == (dg.AssetKey(["landing", "cdrs"]), 1)
        (latest,) = [one for one in feeds if one.asset_key == file.asset_key]
        assert "| 2026-03 | open | 1 |" in latest.metadata["months"].value
        with pytest.raises(dg.Failure, match="does not fit the feed cdrs"):
            job.execute_in_process(instance=instance, run_config=run_config(bad, "cdrs"))
        # A file that another run has dealt with is nothing to fail for.
        assert job.execute_in_process(instance=instance, run_config=run_config(good, "cdrs")).success


def test_no_folder_is_made_for_a_source_and_the_feeds_have_theirs(line):
    inbox.prepare(settings.load(line.data))
    made = {path.name for path in (line.data / "inbox").iterdir()}
    assert made == {"cdrs", "tenants", "number_assignments", "ip_assignments", "done", "refused"}


@pytest.mark.parametrize(
    ("folder", "name"), [("..", "x.csv"), ("cdrs", "../../x.csv"), ("done", "x.csv"), ("cdrs", "")]
)
def test_a_run_that_names_another_place_is_refused(line, folder, name):
    with pytest.raises(Refused, match="names no file of the inbox"):
        inbox.dropped_file(settings.load(line.data), folder, name)


@pytest.mark.parametrize("given", ["land", "land cdrs", "land cdrs --inbox", "land --inbox --source fusionpbx"])
def test_a_feed_and_files_or_the_inbox_is_right_usage(line, given):
    assert line.run(given).exit_status == 2

"""Operated by another system: launching, backfilling and ticking through GraphQL, and kills in the middle."""

import json
import os
import signal
import time

import pytest

from tests.hostile import canaries
from tests.ui.conftest import PATIENCE, SELECTOR, Ui, until

BACKFILL = """
    mutation ($parameters: LaunchBackfillParams!) {
        launchPartitionBackfill(backfillParams: $parameters) {
            __typename
            ... on LaunchBackfillSuccess { backfillId }
            ... on PythonError { message }
        }
    }
"""
TICK = """
    mutation ($selector: ScheduleSelector!, $at: Float) {
        scheduleDryRun(selectorData: $selector, timestamp: $at) {
            __typename
            ... on DryRunInstigationTick { evaluationResult { skipReason error { message } runRequests { runKey } } }
        }
    }
"""


def backfill(ui: Ui, months: list[str], **selection: object) -> str:
    told = ui.ask(BACKFILL, parameters={"partitionNames": months} | selection)["launchPartitionBackfill"]
    assert told["__typename"] == "LaunchBackfillSuccess", told
    query = "query ($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } } }"

    def status() -> str:
        return ui.ask(query, id=told["backfillId"])["partitionBackfillOrError"]["status"]

    until(
        lambda: status() in ("COMPLETED_SUCCESS", "COMPLETED_FAILED", "FAILED", "CANCELED"),
        "the backfill",
        2 * PATIENCE,
    )
    return status()


def tick(ui: Ui) -> dict:
    selector = SELECTOR | {"scheduleName": "close_due_months"}
    told = ui.ask(TICK, selector=selector, at=time.time())["scheduleDryRun"]
    assert told["__typename"] == "DryRunInstigationTick", told
    return told["evaluationResult"]


def test_a_tick_asks_for_every_due_month(ui):
    requests = [request["runKey"].partition("@")[0] for request in tick(ui)["runRequests"]]
    assert requests == [str(month) for month in ui.months]


def test_a_month_that_cannot_be_closed_yet_fails_with_the_sentence_of_the_command_line(ui):
    run = ui.launch(ui.months[2])
    assert ui.ended(run) == "FAILURE"
    said = ui.command("close", str(ui.months[2])).stderr
    failure = '{ runOrError(runId: "%s") { ... on Run { eventConnection { events { ... on ExecutionStepFailureEvent { failureMetadata { description } } } } } } }'
    events = ui.ask(failure % run)["runOrError"]["eventConnection"]["events"]
    (sentence,) = [event["failureMetadata"]["description"] for event in events if event]
    assert f"close it before {ui.months[2]}" in sentence
    assert " ".join(sentence.split()) in " ".join(said.split())


EVENTS = """
    query ($id: ID!) { runOrError(runId: $id) { ... on Run { runConfigYaml eventConnection { events {
        __typename
        ... on MessageEvent { message }
        ... on ExecutionStepFailureEvent {
            error { message stack causes { message stack } }
            failureMetadata { description metadataEntries { label ... on TextMetadataEntry { text } } }
        }
    } } } } }
"""


def test_a_tenants_file_in_another_folder_of_the_inbox_is_refused_and_told_nowhere(ui, tmp_path):
    """Rule 7: not in the reason beside it, not in Dagster's history, its databases or its servers' logs."""
    files = canaries.spoilt_csv(tmp_path)
    dropped = {
        "cdrs": "the header is gone",
        "number_assignments": "the header is gone",
        "ip_assignments": "nothing",
        "asterisk-csv": "the header is gone and there is one row",
        "freeswitch-csv": "the header is gone",
    }
    for folder, what in dropped.items():
        target = ui.data / "inbox" / folder / "tenants.csv"
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name("tenants.csv.part")
        part.write_bytes(files[what])
        os.utime(part, (time.time() - 60, time.time() - 60))
        part.replace(target)
    refused = ui.data / "inbox" / "refused"
    until(lambda: len(list(refused.rglob("*.reason.txt"))) == len(dropped), "every file to be refused")
    runs = [run["runId"] for run in ui.runs() if run["jobName"] == "land_dropped_file"]
    assert [ui.ended(run) for run in runs] == ["FAILURE"] * len(dropped)
    told = [json.dumps(ui.ask(EVENTS, id=run)) for run in runs]
    assert all("does not fit" in events for events in told)
    told += [path.read_text(encoding="utf-8") for path in refused.rglob("*.reason.txt")]
    told += [
        path.read_bytes().decode("utf-8", errors="replace")
        for path in [*ui.data.rglob("*"), *ui.data.parent.glob("*.log")]
        if path.is_file() and "inbox" not in path.relative_to(ui.data.parent).parts
    ]
    assert [found for text in told if (found := canaries.leaks(text))] == []


def kill(ui: Ui, part: str) -> None:
    pids = ui.processes(part)
    assert pids, f"no process of {part}"
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def worker(ui: Ui, run_id: str) -> int:
    """The process of a run, as Dagster notes it when it starts."""
    query = '{ runOrError(runId: "%s") { ... on Run { eventConnection { events { ... on EngineEvent { message metadataEntries { label ... on TextMetadataEntry { text } } } } } } } }'
    for event in ui.ask(query % run_id)["runOrError"]["eventConnection"]["events"]:
        for entry in event.get("metadataEntries", []):
            if entry["label"] == "pid":
                return int(entry["text"])
    return 0


def test_a_run_that_is_killed_in_the_middle_is_noticed_tried_again_and_freezes_the_month_once(ui):
    run = ui.launch(ui.months[0])
    until(lambda: (ui.data / "build" / "close" / "build.duckdb").exists(), "the build to begin")
    os.kill(until(lambda: worker(ui, run), "the run's process"), signal.SIGKILL)
    assert ui.ended(run) == "FAILURE"
    assert ui.frozen() == []
    again = until(
        lambda: [one for one in ui.runs() if one["tags"].get("dagster/parent_run_id") == run], "the second attempt"
    )
    assert ui.ended(again[0]["runId"]) == "SUCCESS"
    assert ui.frozen() == [str(ui.months[0])]
    assert ui.material("frozen_month", ui.months[0])["outcome"] == "frozen"


@pytest.mark.parametrize("part", ["dagster_webserver", "dagster._daemon"])
def test_servers_that_are_killed_in_the_middle_of_a_close_start_again_and_the_month_ends_frozen_once(ui, part):
    month = ui.months[1 if part == "dagster_webserver" else 2]
    run = ui.launch(month)
    until(lambda: (ui.data / "build" / "close" / "build.duckdb").exists(), "the build to begin")
    kill(ui, part)
    if ui.process.poll() is None:
        ui.stop()
    until(lambda: not ui.processes("dagster_webserver"), "the old servers to be gone")
    ui.start()
    until(lambda: ui.status(run) in ("SUCCESS", "FAILURE", "CANCELED"), "the run to have ended")
    if str(month) not in ui.frozen():
        # What the next tick of the schedule does.
        assert ui.ended(ui.launch(month)) == "SUCCESS"
    assert ui.frozen() == [str(one) for one in ui.months[: ui.months.index(month) + 1]]
    assert ui.command("verify").returncode == 0


def test_a_backfill_of_the_job_runs_in_order_and_frozen_months_turn_green_unchanged(ui):
    before = {path: path.stat().st_mtime_ns for path in ui.data.glob("statements/*/*")}
    chosen = [str(month) for month in ui.months]
    selector = {"repositorySelector": SELECTOR, "partitionSetName": "close_month_partition_set"}
    assert backfill(ui, chosen, selector=selector) == "COMPLETED_SUCCESS"
    started = [run for run in ui.runs() if "dagster/backfill" in run["tags"]]
    in_order = [run["tags"]["month"] for run in sorted(started, key=lambda run: run["startTime"])]
    assert in_order == [str(month) for month in ui.months]
    assert ui.frozen() == in_order
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert ui.material("frozen_month", ui.months[0])["outcome"] == "already frozen, verified"
    assert ui.material("frozen_month", ui.months[3])["outcome"] == "frozen"


def test_a_backfill_of_the_graph_ends_and_every_asset_is_green(ui):
    graph = ui.ask("{ assetNodes { assetKey { path } isObservable isPartitioned } }")["assetNodes"]
    assets = [node["assetKey"] for node in graph if node["isPartitioned"]]
    assert backfill(ui, [str(month) for month in ui.months[:2]], assetSelection=assets) == "COMPLETED_SUCCESS"
    for asset in ("stg_cdrs", "usage", "frozen_month", "warehouse"):
        assert ui.material(asset, ui.months[0])["outcome"] == "already frozen, verified"


def test_with_everything_frozen_a_tick_says_which_month_is_next(ui):
    said = tick(ui)["skipReason"]
    assert said.startswith(
        f"Every ended month is frozen. The next one is {ui.months[-1].next}, which can be closed from"
    )


def test_the_running_month_cannot_be_chosen(ui):
    running = str(ui.months[-1].next.next)
    query = """
        query ($selector: RepositorySelector!) {
            partitionSetsOrError(repositorySelector: $selector, pipelineName: "close_month") {
                ... on PartitionSets { results { partitionsOrError { ... on Partitions { results { name } } } } }
            }
        }
    """
    (found,) = ui.ask(query, selector=SELECTOR)["partitionSetsOrError"]["results"]
    names = [one["name"] for one in found["partitionsOrError"]["results"]]
    assert str(ui.months[-1]) in names
    assert running not in names
    assert names == sorted(names)


def test_stopping_leaves_nothing_behind(ui):
    ui.stop()
    until(lambda: not ui.processes(), "every process to be gone")

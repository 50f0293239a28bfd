"""What Dagster shows and runs: assets, checks, the one job, the schedule, and what a run of it leaves."""

import json
import os
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime

import dagster as dg
import pytest
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value
from dagster._core.workspace.autodiscovery import loadable_targets_from_python_module
from dbt.cli.main import dbtRunnerResult

from orchestration import clock, dagster_run, settings
from orchestration.close import manifests, pinning
from orchestration.definitions import build_defs
from orchestration.defs import jobs, partitions
from orchestration.months import Month
from tests.orchestration.conftest import AFTER_APRIL, BROKEN, IN_APRIL, IPS, NUMBERS, TENANTS, land, stand_in
from tests.unit.deliveries import record, tree

FEEDS = {f"landing/{feed}" for feed in ("cdrs", "tenants", "number_assignments", "ip_assignments")}
MARTS = {"usage", "statements", "statement_lines", "organization_statement", "organization", "usage_by_asset",
         "unattributed", "number_inventory", "reconciliation"}  # fmt: skip
CHECKS = {
    "assert_reconciliation_has_no_differences",
    "int_assignment_periods_does_not_overlap",
    "int_holdings_does_not_overlap",
    "statements_has_no_row_twice",
    "statements_add_up_over_their_sections",
    "usage_has_either_a_tenant_or_a_reason",
    "usage_has_every_accepted_record_once",
}
SEEDS = {"sections", "toll_free_prefixes"}
WARNINGS = {"unattributed_share_is_as_usual", "rejected_rows_are_as_usual", "every_day_has_records"}
VERIFYING = {"nothing_frozen_has_changed", "nothing_landed_has_changed"}
FIGURES = {"counts", "used_frozen_files"}
GROUPS = {"overview", "landed_feeds", "reference_data", "staging", "attribution", "statements", "invariants", "figures",
          "frozen_statements", "warehouse"}  # fmt: skip


@pytest.fixture(scope="module")
def graph(defs):
    return defs.resolve_asset_graph()


def key(name: str) -> dg.AssetKey:
    return dg.AssetKey(name.split("/"))


# Declarations ---------------------------------------------------------------------------------------------------------


def test_the_whole_code_location_loads(tmp_path, monkeypatch):
    """What `statements ui` and `dagster definitions validate` ask for first: the one target of workspace.yaml."""
    monkeypatch.setenv("STATEMENTS_DATA_DIR", str(tmp_path))
    umask = os.umask(0o022)
    try:
        (target,) = loadable_targets_from_python_module("orchestration.definitions", working_directory=None)
        repository = target.target_definition().get_repository_def()
    finally:
        os.umask(umask)
    assert "close_month" in {job.name for job in repository.get_all_jobs()}


IMPORT_EVERYTHING = """
import importlib, json, os, pkgutil, sys
os.umask(0o022)
opened = []
def note(event, arguments):
    if event in ("open", "os.listdir", "os.scandir", "os.mkdir", "sqlite3.connect", "subprocess.Popen", "os.posix_spawn"):
        opened.append(str(arguments[0]))
sys.addaudithook(note)
import orchestration
modules = [module.name for module in pkgutil.walk_packages(orchestration.__path__, "orchestration.")]
for name in modules:
    importlib.import_module(name)
print(json.dumps({"modules": modules, "opened": opened, "umask": os.umask(0), "dbt": "dbt.cli.main" in sys.modules}))
"""


def test_nothing_happens_while_modules_load(tmp_path):
    """No look at the data folder or at dbt's project, no process, no umask. A look at settings would fail: the folder
    is one that they refuse."""
    data = tmp_path / "data[0]"
    data.mkdir()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", IMPORT_EVERYTHING],
        cwd=tmp_path,
        env=os.environ
        | {
            "STATEMENTS_DATA_DIR": str(data),
            "DAGSTER_HOME": str(data / "dagster"),
            "PYTHONPATH": str(settings.PROJECT_ROOT),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert {"orchestration.definitions", "orchestration.defs.models", "orchestration.cli.close"} <= set(seen["modules"])
    assert any(path.endswith("definitions.py") or "definitions.cpython" in path for path in seen["opened"]), (
        "the hook works"
    )
    kept = (str(data), str(settings.DBT_PROJECT), str(settings.SEEDS))
    assert [path for path in seen["opened"] if path.startswith(kept)] == []
    assert (seen["umask"], seen["dbt"]) == (0o022, False)
    assert list(tmp_path.rglob("*")) == [data]


def test_the_assets_are_feeds_models_the_frozen_month_and_the_warehouse(graph):
    made = {found.to_user_string() for found in graph.materializable_asset_keys}
    others = made - MARTS - {"frozen_month", "warehouse"}
    assert made >= MARTS | {"ready_to_close", "frozen_month", "warehouse"}
    others -= {"ready_to_close"}
    assert {name for name in others if not name.startswith(("stg_", "int_", "invariant_"))} == SEEDS | FIGURES
    assert graph.external_asset_keys == {key(feed) for feed in FEEDS | {"overview"}}


def test_every_model_of_the_project_is_an_asset(graph):
    models = {path.stem for path in (settings.DBT_PROJECT / "models").rglob("*.sql")}
    assert {key(model) for model in models} <= graph.materializable_asset_keys


def test_the_frozen_month_waits_for_its_readiness_every_mart_and_figure_and_the_warehouse_for_it(graph):
    assert graph.get(key("frozen_month")).parent_keys == {key(one) for one in MARTS | FIGURES | {"ready_to_close"}}
    assert graph.get(key("ready_to_close")).parent_keys == {key(feed) for feed in FEEDS}
    assert graph.get(key("warehouse")).parent_keys == {key("frozen_month")}


def test_every_way_from_a_landed_feed_ends_in_the_frozen_month(graph):
    for feed in FEEDS:
        reached, front = set(), {key(feed)}
        while front:
            reached |= front
            front = {child for parent in front for child in graph.get(parent).child_keys} - reached
        assert key("frozen_month") in reached


def test_every_check_of_the_close_blocks_but_those_that_only_warn(graph):
    checks = {check.name for check in graph.asset_check_keys}
    assert checks >= CHECKS | WARNINGS | VERIFYING
    blocking = {check.name for check in graph.asset_check_keys if graph.get_check_spec(check).blocking}
    assert checks - blocking == WARNINGS | VERIFYING
    of_a_month = {check.name for check in graph.asset_check_keys if graph.get_check_spec(check).partitions_def}
    assert of_a_month == checks - VERIFYING


def test_every_asset_says_what_it_is_when_it_is_final_whose_it_is_and_of_what_kind(graph):
    for asset in graph.get_all_asset_keys():
        node = graph.get(asset)
        assert node.group_name in GROUPS
        assert re.search(r"[Ff]inal|gone afterwards|read anew", node.description), asset
        assert "select" not in node.description, f"{asset} shows SQL where an operator looks for an answer"
        assert node.owners == ["team:billing"]
        assert node.kinds
        if asset not in map(key, ("overview", "ready_to_close", "frozen_month", "warehouse")):
            columns = node.metadata["dagster/column_schema"].columns
            assert columns
            assert asset not in map(key, FEEDS) or all(column.description for column in columns), asset


def test_one_job_closes_others_verify_and_land_and_no_part_of_the_close_can_run_alone(defs):
    assert [job.name for job in defs.jobs] == ["close_month", "verify_everything", "land_dropped_file"]
    assert not defs.resolve_job_def("land_dropped_file").asset_layer.executable_asset_keys
    assert not defs.resolve_assets_def("frozen_month").can_subset
    with pytest.raises(dg.DagsterInvalidSubsetError):
        defs.resolve_job_def("close_month").get_subset(asset_selection={key("frozen_month")})


@pytest.mark.parametrize("asset", ["ready_to_close", "frozen_month"])
def test_a_backfill_closes_one_month_a_run(defs, asset):
    assert defs.resolve_assets_def(asset).backfill_policy == dg.BackfillPolicy.multi_run(max_partitions_per_run=1)


def test_the_schedules_look_daily_one_after_the_grace_and_run_unless_stopped(defs):
    assert {(schedule.name, schedule.job.name, schedule.cron_schedule) for schedule in defs.schedules} == {
        ("close_due_months", "close_month", "30 12 * * *"),
        ("verify_daily", "verify_everything", "30 5 * * *"),
    }
    assert {schedule.execution_timezone for schedule in defs.schedules} == {"UTC"}
    assert {schedule.default_status for schedule in defs.schedules} == {dg.DefaultScheduleStatus.RUNNING}


def test_of_several_months_the_oldest_runs_first_in_whatever_order_they_were_chosen(defs):
    job = defs.resolve_job_def("close_month")
    tags = [job.get_tags_for_partition_key(month, selected_asset_keys=None) for month in ("2025-12", "2026-01")]
    priorities = [int(tag["dagster/priority"]) for tag in tags]
    assert priorities[0] > priorities[1]
    assert [tag["month"] for tag in tags] == ["2025-12", "2026-01"]


def test_nobody_is_told_of_failures_unless_a_command_is_set(defs, tmp_path, monkeypatch):
    _, sensor = defs.sensors
    assert (sensor.name, sensor.default_status) == ("tell_of_failures", dg.DefaultSensorStatus.STOPPED)
    monkeypatch.setenv("STATEMENTS_ON_FAILURE", "true")
    _, sensor = build_defs(settings.load(tmp_path)).sensors
    assert (sensor.name, sensor.default_status) == ("tell_of_failures", dg.DefaultSensorStatus.RUNNING)


def test_the_inbox_is_looked_at_unless_stopped(defs):
    sensor, _ = defs.sensors
    assert (sensor.name, sensor.job.name) == ("inbox_files", "land_dropped_file")
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING


def test_partition_keys_are_months_and_the_running_one_is_not_offered(tmp_path):
    months = partitions.months(settings.load(tmp_path))
    keys = months.get_partition_keys(current_time=datetime(2026, 4, 1, tzinfo=UTC))
    assert keys[-2:] == ["2026-02", "2026-03"]
    keys = months.get_partition_keys(current_time=datetime(2026, 3, 31, 23, 59, 59, tzinfo=UTC))
    assert keys[-1] == "2026-02"


# The schedule ---------------------------------------------------------------------------------------------------------


def evaluated(monkeypatch, folder, instant: str) -> dg.SkipReason | list[dg.RunRequest]:
    monkeypatch.setenv("STATEMENTS_DATA_DIR", str(folder))
    moment = datetime.fromisoformat(instant)
    monkeypatch.setattr(clock, "now", lambda: moment)
    schedule = build_defs(settings.load()).resolve_schedule_def("close_due_months")
    return schedule(dg.build_schedule_context(scheduled_execution_time=moment))


def test_without_a_first_month_the_schedule_skips_and_says_which_there_are(landed_march, monkeypatch):
    skipped = evaluated(monkeypatch, landed_march / "data", AFTER_APRIL)
    assert "Which month is the first" in skipped.skip_message
    assert "2026-03 (9 records)" in skipped.skip_message


def test_with_a_first_month_every_due_month_is_asked_for_oldest_first(landed_march, monkeypatch):
    monkeypatch.setenv("STATEMENTS_FIRST_MONTH", "2026-02")
    requests = evaluated(monkeypatch, landed_march / "data", "2026-05-01T12:30:00+00:00")
    assert [request.partition_key for request in requests] == ["2026-02", "2026-03", "2026-04"]


def test_a_month_is_due_when_its_grace_is_over(closed_march, monkeypatch):
    folder = closed_march / "data"
    skipped = evaluated(monkeypatch, folder, "2026-05-01T11:59:59+00:00")
    assert skipped.skip_message == (
        "Every ended month is frozen. The next one is 2026-04, which can be closed from 2026-05-01 12:00 UTC."
    )
    (request,) = evaluated(monkeypatch, folder, "2026-05-01T12:00:00+00:00")
    assert request.partition_key == "2026-04"


def test_a_refused_month_is_tried_again_the_next_day_and_once_a_day(closed_march, monkeypatch):
    folder = closed_march / "data"
    days = [evaluated(monkeypatch, folder, f"2026-05-0{day}T12:30:00+00:00")[0].run_key for day in (2, 3)]
    again = evaluated(monkeypatch, folder, "2026-05-03T12:31:00+00:00")[0].run_key
    assert days[0] != days[1] == again


def test_a_damaged_manifest_is_a_skip_with_the_reason(copy_of, closed_march, monkeypatch):
    line = copy_of(closed_march)
    path = line.data / "statements" / "month=2026-03" / "manifest.json"
    path.chmod(0o644)
    path.write_text("{}", encoding="utf-8")
    assert "manifest.json is not the manifest" in evaluated(monkeypatch, line.data, AFTER_APRIL).skip_message


# A run ----------------------------------------------------------------------------------------------------------------


def run(instance: dg.DagsterInstance, month: str, **options: bool) -> dg.ExecuteInProcessResult:
    return (
        build_defs(settings.load())
        .resolve_job_def("close_month")
        .execute_in_process(
            instance=instance,
            partition_key=month,
            run_config={
                "ops": {"closing": {"config": options}},
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            },
            raise_on_error=False,
        )
    )


def materialized(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetMaterialization]:
    events = [event.materialization for event in result.get_asset_materialization_events()]
    return {event.asset_key.to_user_string(): event for event in events}


@pytest.fixture
def april(copy_of, closed_march, monkeypatch):
    line = copy_of(closed_march, AFTER_APRIL)
    monkeypatch.setenv("STATEMENTS_DATA_DIR", str(line.data))
    return line


def test_a_run_freezes_the_month_and_another_one_verifies_it(april):
    land(april, "cdrs", *IN_APRIL)
    with dg.DagsterInstance.ephemeral() as instance:
        first = run(instance, "2026-04")
        assert first.success
        frozen = tree(april.data / "statements")
        second = run(instance, "2026-04")
        assert second.success
    head = manifests.load(settings.load()).last
    made = materialized(first)
    assert made.keys() >= MARTS | {"frozen_month", "warehouse"}
    assert {event.partition for event in made.values()} == {"2026-04"}
    told = {name: value.value for name, value in made["frozen_month"].metadata.items()}
    assert (told["outcome"], told["manifest_sha256"]) == ("frozen", head.sha256)
    assert told["statements_root_sha256"] == head.content.statements_root_sha256
    assert f"| accepted | {head.content.counts.accepted} |" in told["counts"]
    assert "| USD | usage | 1 | 128.00 |" in told["statement"]
    assert "at most 1\n\n![Records per UTC day](data:image/svg+xml;base64," in told["records_per_day"]
    # The UI folds up what is longer.
    assert len(told["records_per_day"]) < 1000
    assert f"where month = '{head.month}'" in made["warehouse"].metadata["query"].value

    again = materialized(second)
    assert again.keys() == made.keys()
    assert again.pop("ready_to_close").metadata["verdict"].value == "frozen already: it is verified"
    assert {event.metadata["outcome"].value for event in again.values()} == {"already frozen, verified"}
    assert again["frozen_month"].metadata["manifest_sha256"].value == head.sha256
    assert tree(april.data / "statements") == frozen

    for result in (first, second):
        checks = {event.check_name: event for event in result.get_asset_check_evaluations()}
        assert checks.keys() >= CHECKS | WARNINGS | {"every_figure_adds_up"}
        assert {check.partition for check in checks.values()} == {"2026-04"}
        assert {name for name, check in checks.items() if not check.passed} == {"every_day_has_records"}
        assert checks["every_day_has_records"].severity == dg.AssetCheckSeverity.WARN
        figures = {name: value.value for name, value in checks["every_figure_adds_up"].metadata.items()}
        assert figures["accepted"] == figures["attributed"] + figures["unattributed"] == 1
        assert figures["difference"] == "0.00"


@pytest.mark.long
def test_tables_show_their_rows_and_views_are_not_counted(april):
    land(april, "cdrs", *IN_APRIL)
    with dg.DagsterInstance.ephemeral() as instance:
        made = materialized(run(instance, "2026-04"))
    rows = {
        name: event.metadata["dagster/row_count"].value
        for name, event in made.items()
        if "dagster/row_count" in event.metadata
    }
    assert (rows["usage"], rows["statements"], rows["int_tenant_lives"]) == (1, 3, 3)
    assert "stg_cdrs" not in rows


def failed_step(result: dg.ExecuteInProcessResult) -> dg.DagsterEvent:
    assert not result.success
    (event,) = [event for event in result.all_node_events if event.is_step_failure]
    return event


def failure_of(result: dg.ExecuteInProcessResult) -> str:
    return str(failed_step(result).step_failure_data.user_failure_data.description)


def test_a_refused_close_fails_the_run_with_the_sentence_and_materializes_nothing(april):
    before = tree(april.data)
    with dg.DagsterInstance.ephemeral() as instance:
        result = run(instance, "2026-04")
        assert "No cdrs have landed since 2026-04 ended" in failure_of(result)
        assert materialized(result) == {}
        gap = run(instance, "2026-05")
        assert "has not ended" in failure_of(gap)
    assert tree(april.data) == before


@pytest.mark.long
def test_a_run_leaves_rejected_rows_out_only_when_it_is_told_to(april):
    land(april, "cdrs", *IN_APRIL, record("bad", cost="", started_at="2026-04-10T00:00:00Z"))
    with dg.DagsterInstance.ephemeral() as instance:
        assert "1 rejected row stands against" in failure_of(run(instance, "2026-04"))
        assert run(instance, "2026-04", accept_rejected=True).success


def test_a_refusal_is_the_first_step_s_alone_names_the_rows_and_what_to_press_and_has_no_stack(april):
    land(april, "cdrs", *IN_APRIL, record("bad-id", cost="much", started_at="2026-04-10T00:00:00Z"))
    with dg.DagsterInstance.ephemeral() as instance:
        result = run(instance, "2026-04")
    event = failed_step(result)
    assert event.step_key == "ready_to_close"
    assert [started.step_key for started in result.all_node_events if started.is_step_start] == ["ready_to_close"]
    failure = event.step_failure_data
    assert (failure.error.stack, failure.error.cause, failure.error.context) == ([], None, None)
    assert "--accept-rejected" not in failure.error.message
    assert "run's configuration" in failure.error.message
    shown = failure.user_failure_data.metadata
    (row,) = shown["rejected_rows"].records
    assert row.data == {
        "file_name": "cdrs-4.csv",
        "source_row": 3,
        "reason": "cost_unusable",
        "batch_id": row.data["batch_id"],
    }
    assert "accept_rejected: true" in shown["configuration_that_leaves_them_out"].value
    assert (shown["job"].job_name, shown["job"].location_name) == ("close_month", "tenant-statements")
    assert "2026-04" in shown["then_press"].value
    # Rule 7: a row's own values are nowhere in the history, whatever they are.
    assert not {"much", "bad-id"} & set(re.findall(r"[\w-]+", str(result.all_events)))


def failed_months(instance: dg.DagsterInstance, graph, name: str) -> set[str]:
    """The red partitions of an asset, as the UI asks for them."""
    months = graph.get(key(name)).partitions_def
    cached = get_and_update_asset_status_cache_value(instance, key(name), months)
    return set(cached.deserialize_failed_partition_subsets(months).get_partition_keys()) if cached else set()


@pytest.mark.parametrize(
    ("landed", "red"),
    [((), {"ready_to_close"}), (IN_APRIL, {"frozen_month", "warehouse"})],
    ids=["refused", "fails later"],
)
def test_a_refused_close_turns_its_first_step_red_alone_and_one_that_fails_later_what_it_was_to_make(
    april, monkeypatch, landed, red
):
    if landed:
        land(april, "cdrs", *landed)
        monkeypatch.setattr(pinning, "receipt_counts", lambda *_: [("nowhere", 1, 1)])
    dagster_run.prepare_home(settings.load())
    with dg.DagsterInstance.from_config(str(april.data / "dagster")) as instance:
        assert not run(instance, "2026-04").success
        graph = build_defs(settings.load()).resolve_asset_graph()
        names = [asset.to_user_string() for asset in graph.materializable_asset_keys]
        assert {name for name in names if failed_months(instance, graph, name)} == red


def test_a_damaged_month_is_a_red_asset(copy_of, closed_march, monkeypatch):
    line = copy_of(closed_march)
    monkeypatch.setenv("STATEMENTS_DATA_DIR", str(line.data))
    path = line.data / "statements" / "month=2026-03" / "statements.csv"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes() + b"\n")
    with dg.DagsterInstance.ephemeral() as instance:
        result = run(instance, "2026-03")
    assert "statements.csv does not match its hash" in failure_of(result)
    assert materialized(result).keys() == {"ready_to_close"}


@pytest.mark.long
def test_a_check_that_fails_is_red_with_what_it_found_and_nothing_is_materialized(april, monkeypatch):
    land(april, "cdrs", *IN_APRIL)
    count = pinning.receipt_counts
    monkeypatch.setattr(
        pinning, "receipt_counts", lambda *given: [(batch, usable + 1, bad) for batch, usable, bad in count(*given)]
    )
    with dg.DagsterInstance.ephemeral() as instance:
        result = run(instance, "2026-04")
    assert "does not add up" in failure_of(result)
    (check,) = result.get_asset_check_evaluations()
    assert (check.check_name, check.passed) == ("assert_reconciliation_has_no_differences", False)
    assert check.metadata["rows_found"].value > 0
    assert materialized(result).keys() == {"ready_to_close"}


def test_a_mistake_of_ours_ends_the_close_with_what_it_says(april, monkeypatch):
    """Dagster raises it again within its own error, of which it is the cause: a ring, which was once followed for ever."""

    def fail(*_given):
        raise ZeroDivisionError("a mistake of ours")

    land(april, "cdrs", *IN_APRIL)
    monkeypatch.setattr(pinning, "receipt_counts", fail)
    with pytest.raises(ZeroDivisionError, match="a mistake of ours"):
        dagster_run.close_through_dagster(settings.load(april.data), Month.parse("2026-04"), accept_rejected=False)


def test_the_first_month_that_is_named_may_have_rejected_rows_alone(tmp_path, monkeypatch):
    line = stand_in(tmp_path, monkeypatch, AFTER_APRIL)
    for feed, rows in {"tenants": TENANTS, "number_assignments": NUMBERS, "ip_assignments": IPS}.items():
        land(line, feed, *rows)
    land(line, "cdrs", BROKEN, *IN_APRIL)
    assert line.run("close 2026-03").exit_status == 1
    assert "Closed 2026-03: 0 records" in line.must("close 2026-03 --accept-rejected").stdout
    assert "Closed 2026-04" in line.must("close 2026-04").stdout


def press(*_given, **_named):
    signal.raise_signal(signal.SIGINT)


def tell_of_it(*_given, **_named):
    """What dbt makes of Ctrl+C in one of its queries."""
    return dbtRunnerResult(success=False, exception=KeyboardInterrupt())


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(
    ("place", "ended"),
    [("orchestration.close.month_build.make", press), ("dbt.cli.main.dbtRunner.invoke", tell_of_it)],
)
def test_ctrl_c_in_a_close_ends_it_as_it_ends_any_command(april, monkeypatch, place, ended):
    land(april, "cdrs", *IN_APRIL)
    monkeypatch.setattr(place, ended)
    assert april.run("close 2026-04").exit_status == 130
    assert not (april.data / "statements" / "month=2026-04").exists()


# The daily look -------------------------------------------------------------------------------------------------------


def looked_at_everything(line, monkeypatch) -> dg.ExecuteInProcessResult:
    monkeypatch.setenv("STATEMENTS_DATA_DIR", str(line.data))
    job = build_defs(settings.load()).resolve_job_def("verify_everything")
    with dg.DagsterInstance.ephemeral() as instance:
        return job.execute_in_process(instance=instance, raise_on_error=False)


def test_the_daily_look_shows_what_has_landed_and_that_nothing_has_changed(copy_of, closed_march, monkeypatch):
    result = looked_at_everything(copy_of(closed_march), monkeypatch)
    assert result.success
    checks = {
        (event.asset_key.path[-1], event.check_name): event.passed for event in result.get_asset_check_evaluations()
    }
    assert checks == {("frozen_month", "nothing_frozen_has_changed"): True} | {
        (feed.removeprefix("landing/"), "nothing_landed_has_changed"): True for feed in FEEDS
    }
    seen = observed(result)
    assert seen.keys() == FEEDS | {"overview"}
    assert seen["landing/cdrs"]["dagster/row_count"].value == 11
    assert "| 2026-03 | closed | 10 | 1 |" in seen["landing/cdrs"]["months"].value


def observed(result: dg.ExecuteInProcessResult) -> dict[str, dict]:
    events = [event for event in result.all_events if event.event_type_value == "ASSET_OBSERVATION"]
    return {
        event.asset_key.to_user_string(): event.asset_observation_data.asset_observation.metadata for event in events
    }


@pytest.mark.parametrize(
    ("damaged", "red"),
    [
        ("statements/month=2026-03/statements.csv", {("frozen_month", "nothing_frozen_has_changed")}),
        ("landing/ip_assignments/*/receipt.json", {("ip_assignments", "nothing_landed_has_changed")}),
    ],
)
def test_damage_is_a_red_check_of_its_own_asset_and_a_failed_run(copy_of, closed_march, monkeypatch, damaged, red):
    line = copy_of(closed_march)
    (path,) = line.data.glob(damaged)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes() + b"\n")
    result = looked_at_everything(line, monkeypatch)
    assert not result.success
    failed = {
        (event.asset_key.path[-1], event.check_name)
        for event in result.get_asset_check_evaluations()
        if not event.passed
    }
    assert failed == red


# Who is told of a failure ---------------------------------------------------------------------------------------------


def test_a_failure_is_told_by_the_operators_command_without_the_reason(april, tmp_path, monkeypatch):
    told = tmp_path / "told"
    monkeypatch.setenv("STATEMENTS_ON_FAILURE", f'printf %s "$MESSAGE" > {told}')
    with dg.DagsterInstance.ephemeral() as instance:
        result = run(instance, "2026-04")
        context = dg.build_run_status_sensor_context(
            sensor_name="tell_of_failures",
            dagster_event=result.get_run_failure_event(),
            dagster_instance=instance,
            dagster_run=result.dagster_run,
        ).for_run_failure()
        jobs.tell_of_failures(settings.load())(context)
    run_id = result.dagster_run.run_id
    assert told.read_text(encoding="utf-8") == (
        f"tenant-statements: run {run_id[:8]} (close_month of 2026-04) failed. Dagster says why: /runs/{run_id}"
    )

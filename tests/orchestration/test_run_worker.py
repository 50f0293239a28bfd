"""Whether a run's process is seen to be there, and to be gone; and what Dagster is told as its servers start."""

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.partitions.subset.time_window import TimeWindowPartitionsSubset
from dagster._core.launcher import WorkerStatus

from orchestration import dagster_run, settings
from orchestration.errors import Refused
from orchestration.runtime import run_worker, sqlite_history

MONTHS = dg.MonthlyPartitionsDefinition("2026-01", fmt="%Y-%m")


@pytest.fixture
def instance(tmp_path, monkeypatch):
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    with dg.DagsterInstance.from_config(str(dagster_run.prepare_home(settings.load(tmp_path)))) as found:
        yield found


def health(instance: dg.DagsterInstance, run: dg.DagsterRun) -> WorkerStatus:
    return instance.run_launcher.check_run_worker_health(run).status


def started(instance: dg.DagsterInstance) -> dg.DagsterRun:
    run = instance.create_run_for_job(dg.job(name="close_month")(lambda: None))
    instance.report_dagster_event(
        dg.DagsterEvent(event_type_value="PIPELINE_START", job_name="close_month"), run.run_id
    )
    return run


def test_a_run_that_shows_life_is_running_also_when_several_of_its_steps_show_it(instance):
    run = started(instance)
    run_worker.show_life(instance, run.run_id)
    run_worker.show_life(instance, run.run_id)
    assert health(instance, run) == WorkerStatus.RUNNING


@pytest.mark.long
def test_a_run_whose_process_was_killed_has_failed(instance, tmp_path):
    run = started(instance)
    work = (
        "import dagster as dg, os, signal; from orchestration.runtime import run_worker\n"
        f"instance = dg.DagsterInstance.from_config({str(tmp_path / 'dagster')!r})\n"
        f"run_worker.show_life(instance, {run.run_id!r}); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", work], check=False).returncode == -9
    assert health(instance, run) == WorkerStatus.FAILED


def test_a_run_that_has_just_started_gets_time_to_show_life(instance, monkeypatch):
    run = started(instance)
    assert health(instance, run) == WorkerStatus.RUNNING
    monkeypatch.setattr(run_worker, "WITHOUT_A_SIGN", -run_worker.WITHOUT_A_SIGN)
    assert health(instance, run) == WorkerStatus.NOT_FOUND


def test_months_chosen_alike_are_not_different_because_they_were_counted(instance):
    """The fault that `server_mend` mends: a backfill over all that a close makes would be refused."""
    chosen = MONTHS.subset_with_partition_keys(["2026-01", "2026-02"])
    uncounted = TimeWindowPartitionsSubset(MONTHS, None, chosen.included_time_windows)
    assert chosen == uncounted
    assert not chosen != uncounted  # noqa: SIM202


def test_a_run_writes_its_errors_alone_to_stderr_and_everything_to_its_history(instance, capsys):
    @dg.job
    def close_month():
        @dg.op
        def closing(context):
            context.log.info("the step usage")
            raise ValueError("the month is damaged")

        closing()

    run = close_month.execute_in_process(instance=instance, raise_on_error=False)
    said = capsys.readouterr().err
    assert "the month is damaged" in said
    assert not [level for level in ("DEBUG", "INFO", "the step usage") if level in said]
    kept = [entry.user_message for entry in instance.all_logs(run.run_id)]
    assert "the step usage" in kept
    assert any(
        "STEP_START" in str(entry.dagster_event) for entry in instance.all_logs(run.run_id) if entry.dagster_event
    )


def test_the_settings_of_dagster_are_those_of_this_version_also_in_an_old_folder(tmp_path):
    configuration = settings.load(tmp_path)
    dagster_run.prepare_home(configuration)
    written = configuration.dagster_home / "dagster.yaml"
    written.write_text("telemetry:\n  enabled: true\n", encoding="utf-8")
    dagster_run.prepare_home(configuration)
    assert written.read_text(encoding="utf-8") == dagster_run.INSTANCE_CONFIG.read_text(encoding="utf-8")


def test_postgres_without_its_package_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("STATEMENTS_DAGSTER_POSTGRES", "postgresql+psycopg2://localhost/dagster")
    monkeypatch.setattr(dagster_run, "find_spec", lambda _: None)
    with pytest.raises(Refused, match="pip install"):
        dagster_run.prepare_home(settings.load(tmp_path))


def test_another_database_than_postgres_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("STATEMENTS_DAGSTER_POSTGRES", "postgresql://localhost/dagster")
    with pytest.raises(Refused, match="not of the form postgresql\\+psycopg2://"):
        dagster_run.prepare_home(settings.load(tmp_path))


def test_a_history_that_dagsters_own_class_began_goes_on(tmp_path):
    stored = "storage:\n  sqlite:\n    base_dir: {base}\n"
    home = tmp_path / "data" / "dagster"
    home.mkdir(parents=True)
    (home / "dagster.yaml").write_text(stored.format(base=home), encoding="utf-8")
    with dg.DagsterInstance.from_config(str(home)) as before:
        run = before.get_run_by_id(started(before).run_id)
        events = [entry.message for entry in before.all_logs(run.run_id)]
    with dg.DagsterInstance.from_config(str(dagster_run.prepare_home(settings.load(tmp_path / "data")))) as after:
        assert isinstance(after.event_log_storage, sqlite_history.Events)
        assert after.get_run_by_id(run.run_id) == run
        assert [entry.message for entry in after.all_logs(run.run_id)] == events
        after.report_engine_event("One more", dagster_run=run)
        assert len(after.all_logs(run.run_id)) == len(events) + 1


def test_each_database_of_the_history_has_one_engine(instance, monkeypatch):
    run = started(instance)
    made = []
    monkeypatch.setattr(sqlite_history, "create_engine", lambda *given, **_: made.append(given))
    for place in range(3):
        instance.report_engine_event(f"Event {place}", dagster_run=run)
        instance.add_run_tags(run.run_id, {"place": str(place)})
    assert made == []


def test_a_server_that_shows_many_runs_keeps_few_of_their_databases_open_and_none_at_its_end(instance):
    runs = [started(instance) for _ in range(sqlite_history.MOST_SHARDS + 2)]
    for run in (*runs, *runs):
        instance.report_engine_event("Once more", dagster_run=run)
    home = str(settings.load(Path(instance.root_directory).parent).dagster_home)
    opened = {target for target in map(target_of, Path("/proc/self/fd").iterdir()) if target.startswith(home)}
    shards = {Path(target).stem for target in opened if target.endswith(".db")} & {run.run_id for run in runs}
    assert 0 < len(shards) <= sqlite_history.MOST_SHARDS
    assert all(len(instance.all_logs(run.run_id)) == len(instance.all_logs(runs[0].run_id)) for run in runs)
    instance.dispose()
    assert not [target for target in map(target_of, Path("/proc/self/fd").iterdir()) if target.startswith(home)]
    assert not [path for path in Path(home).rglob("*-wal") if path.stat().st_size]


def target_of(descriptor: Path) -> str:
    try:
        return str(descriptor.readlink())
    except OSError:
        return ""

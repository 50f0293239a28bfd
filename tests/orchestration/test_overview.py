"""The overview: what an operator sees first, in Dagster and as a page, and that it is told anew."""

import re
from datetime import UTC, datetime

import dagster as dg
import pytest

from orchestration import dagster_run, settings
from orchestration.definitions import build_defs
from orchestration.defs import history
from orchestration.reports import overview
from orchestration.reports.overview import Overview
from tests.orchestration.conftest import AFTER_APRIL, AFTER_MARCH, IN_APRIL, land
from tests.unit.deliveries import record

FEEDS = [dg.AssetKey(["landing", feed]) for feed in ("cdrs", "tenants", "number_assignments", "ip_assignments")]
OVERVIEW = dg.AssetKey("overview")


def looked(line) -> Overview:
    return overview.look(settings.load(line.data))


def test_before_a_first_month_is_chosen_it_says_how_to_choose_one(copy_of, landed_march):
    told = looked(copy_of(landed_march))
    assert told.next_month is None
    assert "Which month is the first" in told.obstacle
    assert "`close_month`" in told.to_press
    assert [(row["month"], row["state"]) for row in told.months] == [("2026-03", "open"), ("2026-02", "open")]


@pytest.mark.parametrize(
    ("at", "obstacle", "to_press"),
    [
        ("2026-04-15T00:00:00+00:00", None, "Nothing. 2026-04 can be closed from 2026-05-01 12:00 UTC"),
        (
            AFTER_APRIL,
            "No cdrs have landed since 2026-04 ended",
            "When that is done: Press *Materialize all…* on the job",
        ),
    ],
)
def test_of_the_next_month_it_says_what_stands_against_it_and_what_to_press(
    copy_of, closed_march, at, obstacle, to_press
):
    told = looked(copy_of(closed_march, at))
    assert told.next_month == "2026-04"
    assert told.obstacle is None if obstacle is None else obstacle in told.obstacle
    assert to_press in told.to_press
    march = next(row for row in told.months if row["month"] == "2026-03")
    assert (march["state"], march["unattributed"], march["total"]) == ("closed", 3, "32.01 USD")


def test_nothing_is_to_be_pressed_for_a_month_that_the_schedule_closes(copy_of, closed_march):
    line = copy_of(closed_march, AFTER_APRIL)
    land(line, "cdrs", *IN_APRIL)
    told = looked(line)
    assert (told.next_month, told.obstacle) == ("2026-04", None)
    assert told.to_press.startswith("Nothing: the schedule closes 2026-04 at 12:30 UTC. At once:")


def test_rejected_rows_are_named_with_both_ways_out(copy_of, closed_march):
    line = copy_of(closed_march, AFTER_APRIL)
    land(line, "cdrs", *IN_APRIL, record("bad", cost="", started_at="2026-04-10T00:00:00Z"))
    told = looked(line)
    assert told.obstacle.startswith("1 rejected row")
    assert "--accept-rejected" not in told.obstacle + told.to_press
    assert {"`statements rejected`", "`accept_rejected`"} <= set(re.findall("`[^`]*`", told.to_press))


def test_damage_is_what_stands_against_everything(copy_of, closed_march):
    line = copy_of(closed_march)
    path = line.data / "statements" / "month=2026-03" / "manifest.json"
    path.chmod(0o644)
    path.write_text("{}", encoding="utf-8")
    told = looked(line)
    assert "manifest.json is not the manifest" in told.obstacle
    assert told.to_press.startswith("Nothing. Restore")


def test_the_page_escapes_every_text_and_has_no_script():
    evil = '<script>alert("1")</script>&'
    rows = [{"month": evil, "state": evil, "total": evil}]
    told = Overview(datetime(2026, 4, 1, tzinfo=UTC), rows, [{"feed": evil}], evil, evil, f"{evil} `{evil}` *{evil}*")
    page = overview.page(told)
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;") == 9
    assert "<code>&lt;script" in page
    assert "<strong>&lt;script" in page
    assert "default-src 'none'" in page


def test_status_writes_the_page_and_prints_where_it_is(copy_of, closed_march):
    line = copy_of(closed_march)
    assert line.must("status --html").stdout == str(line.data / "overview.html")
    page = (line.data / "overview.html").read_text(encoding="utf-8")
    assert '<a href="statements/month=2026-03/">2026-03</a>' in page
    assert "32.01 USD" in page


def observed(instance: dg.DagsterInstance, key: dg.AssetKey) -> dict:
    records = instance.fetch_observations(key, limit=1).records
    return {name: value.value for name, value in records[0].asset_observation.metadata.items()} if records else {}


def test_a_landing_refreshes_the_page_and_tells_a_history_that_is_there(copy_of, closed_march):
    line = copy_of(closed_march, AFTER_APRIL)
    page = line.data / "overview.html"
    land(line, "cdrs", record("one", started_at="2026-04-10T00:00:00Z"))
    assert "2026-04" in page.read_text(encoding="utf-8")
    assert not (line.data / "dagster").exists()
    dagster_run.prepare_home(settings.load(line.data))
    line.must("assign number +12015550177 beta")
    land(line, "cdrs", record("two", started_at="2026-05-01T00:00:00Z"))
    with dg.DagsterInstance.from_config(str(line.data / "dagster")) as instance:
        told = observed(instance, OVERVIEW)
        assert (told["next_month"], told["obstacle"]) == ("2026-04", "none")
        assert "| 2026-05 | open | 1 |" in told["months"]
        assert all(len(text) < 1000 for text in told.values() if isinstance(text, str)), (
            "the UI folds up what is longer"
        )
        assert observed(instance, FEEDS[0])["dagster/row_count"] == 13


def test_a_fresh_history_is_told_of_every_frozen_month_and_hides_no_observation(copy_of, closed_april):
    line = copy_of(closed_april, AFTER_APRIL)
    found = settings.load(line.data)
    dagster_run.prepare_home(found)
    with dg.DagsterInstance.from_config(str(line.data / "dagster")) as instance:
        # The mark that a file through the inbox left before.
        instance.report_runless_asset_event(dg.AssetMaterialization(FEEDS[0], metadata={"file": "old"}))
        history.tell_of_everything(instance, found)
        for name in ("ready_to_close", "stg_cdrs", "usage", "statements", "frozen_month", "warehouse"):
            assert instance.get_materialized_partitions(dg.AssetKey(name)) == {"2026-03", "2026-04"}, name
        (event,) = instance.fetch_materializations(dg.AssetKey("frozen_month"), limit=1).records
        assert event.asset_materialization.metadata["outcome"].value == "frozen, reported from its files"
        assert instance.get_latest_materialization_event(FEEDS[0]) is None
        assert "months" in observed(instance, FEEDS[0])
        before = instance.fetch_materializations(dg.AssetKey("frozen_month"), limit=10).records
        history.tell_of_everything(instance, found)
        assert instance.fetch_materializations(dg.AssetKey("frozen_month"), limit=10).records == before


def test_a_tick_tells_the_overview_anew(copy_of, closed_march, monkeypatch):
    line = copy_of(closed_march, AFTER_MARCH)
    monkeypatch.setenv("STATEMENTS_DATA_DIR", str(line.data))

    dagster_run.prepare_home(settings.load())
    with dg.DagsterInstance.from_config(str(line.data / "dagster")) as instance:
        schedule = build_defs(settings.load()).resolve_schedule_def("close_due_months")
        schedule(dg.build_schedule_context(instance=instance))
        assert observed(instance, OVERVIEW)["next_month"] == "2026-04"


def test_an_overview_that_cannot_be_written_costs_a_landing_a_sentence_and_not_its_work(
    copy_of, closed_march, monkeypatch
):
    line = copy_of(closed_march, AFTER_APRIL)

    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(overview, "refresh_page", full)
    outcome = line.must("assign number +12015550177 beta")
    assert "belongs to beta" in outcome.stdout
    assert outcome.stderr == f"It is done, but {line.data / 'overview.html'} was not written: No space left on device."

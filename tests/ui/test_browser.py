"""An operator's way through the UI, in a real browser; the pictures of docs/operating.md are taken on it."""

import json
import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from orchestration.settings import PROJECT_ROOT
from tests.ui.conftest import FLAGS, PATIENCE, Ui, until

# `make test-ui PICTURES=docs` takes them anew.
PICTURES = os.environ.get("PICTURES")


@pytest.fixture(scope="module")
def page(ui: Ui):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS.split())
        found = browser.new_page(viewport={"width": 1280, "height": 800})
        # A machine that does something else, too, shows a page late.
        found.set_default_timeout(90_000)
        expect.set_options(timeout=90_000)
        yield found
        browser.close()


def picture(page: Page, name: str) -> None:
    if PICTURES:
        page.wait_for_timeout(1500)
        page.screenshot(path=Path(PICTURES) / f"{name}.png")


def materialize(ui: Ui, page: Page, months: str) -> None:
    """Go from the overview to the job, choose months and launch, as an operator does."""
    page.goto(f"{ui.url}/assets/overview")
    page.get_by_role("link", name="close_month", exact=True).first.click()
    page.get_by_role("button", name="Materialize all…").click()
    choose(page, months)


def choose(page: Page, months: str) -> None:
    """Choose months in Dagster's dialog and launch."""
    dialog = page.get_by_role("dialog").last
    chosen = dialog.locator("input:not([type=checkbox])").first
    chosen.fill(months)
    chosen.press("Enter")
    page.wait_for_timeout(1000)
    picture(page, "choosing-months")
    dialog.get_by_role("button", name=re.compile("^Launch")).last.click()


def test_the_graph_reads_as_the_story(ui, page):
    page.goto(f"{ui.url}/asset-groups")
    groups = (
        "overview",
        "landed_feeds",
        "staging",
        "attribution",
        "statements",
        "invariants",
        "frozen_statements",
        "warehouse",
    )
    for group in groups:
        expect(page.get_by_text(group, exact=True).first).to_be_visible()
    picture(page, "graph")


def test_the_overview_says_what_has_landed_what_is_next_and_what_to_press(ui, page):
    page.goto(f"{ui.url}/assets/overview")
    expect(page.get_by_text("The start page:")).to_be_visible()
    expect(page.get_by_text("Nothing: the schedule closes")).to_be_visible()
    expect(page.get_by_role("cell", name=str(ui.months[3]), exact=True)).to_be_visible()
    picture(page, "overview")
    page.goto((ui.data / "overview.html").as_uri())
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


@pytest.mark.parametrize(
    "asset", ["overview", "landing/cdrs", "landing/tenants", "landing/number_assignments", "landing/ip_assignments"]
)
def test_observe_observes_the_asset_whose_page_it_is_on(ui, page, asset):
    def runs():
        return [run for run in ui.runs() if run["jobName"] not in ("close_month", "land_dropped_file")]

    before = len(runs())
    page.goto(f"{ui.url}/assets/{asset}")
    page.get_by_role("button", name="Observe").first.click()
    run = until(lambda: runs()[0] if len(runs()) > before else None, "the run")
    assert ui.ended(run["runId"]) == "SUCCESS"


def test_a_refused_close_is_red_at_its_first_step_alone_with_the_reason_and_without_a_stack(ui, page):
    run = ui.launch(ui.months[2])
    assert ui.ended(run) == "FAILURE"
    assert ui.failed("ready_to_close") == [str(ui.months[2])]
    for asset in ("stg_cdrs", "usage", "statements", "frozen_month", "warehouse"):
        assert ui.failed(asset) == [], asset
    page.goto(f"{ui.url}/runs/{run}")
    expect(page.get_by_text(f"close it before {ui.months[2]}").first).to_be_visible()
    page.wait_for_timeout(1000)
    assert page.get_by_text("Traceback").count() == page.get_by_text('File "').count() == 0
    picture(page, "refused")
    page.goto(f"{ui.url}/assets/ready_to_close?view=partitions&partition={ui.months[2]}")
    expect(page.get_by_text("Failed").first).to_be_visible()


def test_the_schedule_has_a_tick_that_asks_for_the_due_months(ui, page):
    page.goto(f"{ui.url}/locations/tenant-statements/schedules/close_due_months")
    page.get_by_role("button", name="Preview tick result").click()
    dialog = page.get_by_role("dialog").last
    dialog.get_by_role("button", name="UTC").click()
    page.get_by_role("menuitem").first.click()
    dialog.get_by_role("button", name="Continue").click()
    expect(dialog.get_by_text(f"{len(ui.months)} run requests")).to_be_visible()


def test_a_month_is_launched_and_shows_its_figures_its_chart_and_its_checks(ui, page):
    month = ui.months[0]
    materialize(ui, page, str(month))
    until(lambda: str(month) in ui.frozen(), "the month to be frozen", PATIENCE)
    until(lambda: ui.material("frozen_month", month), "its materialization")
    page.goto(f"{ui.url}/assets/frozen_month?view=partitions&partition={month}")
    expect(page.get_by_role("cell", name="frozen", exact=True)).to_be_visible()
    chart = page.get_by_alt_text("Records per UTC day")
    expect(chart).to_be_visible()
    assert chart.evaluate("image => image.naturalWidth") == 310
    picture(page, "frozen-month")
    page.goto(f"{ui.url}/assets/frozen_month?view=checks&checkDetail=every_figure_adds_up")
    expect(page.get_by_text(str(month), exact=True).first).to_be_visible()
    picture(page, "checks")


def test_figures_are_plotted_and_every_place_that_the_guide_names_is_there(ui, page):
    page.goto(f"{ui.url}/assets/frozen_month")
    page.get_by_role("button", name="Plots").click()
    expect(page.get_by_text("unattributed_percent").first).to_be_visible()
    for tab in ("Partitions", "Checks"):
        page.get_by_role("tab", name=tab).click()
        expect(page).to_have_url(re.compile(f"view={tab.lower()}"))
    page.get_by_role("link", name="Runs").first.click()
    expect(page.get_by_text(f"month: {ui.months[0]}").first).to_be_visible()
    page.get_by_role("link", name="Deployment").first.click()
    page.get_by_role("button", name="Reload").first.click()
    until(ui._serves, "the code location to be loaded again")


def test_a_refused_run_is_pressed_again(ui, page):
    run = ui.launch(ui.months[3])
    assert ui.ended(run) == "FAILURE"
    page.goto(f"{ui.url}/runs/{run}")
    page.get_by_role("button", name="Re-execute").first.click()
    (again,) = until(
        lambda: [one for one in ui.runs() if one["tags"].get("dagster/parent_run_id") == run], "the second run"
    )
    assert ui.ended(again["runId"]) == "FAILURE"


NAMED = re.compile(r"(?<![*\w])\*([A-Z][^*\n]+?)\*(?![*\w])")


def test_every_button_that_the_guide_or_a_description_names_is_pressed_here(ui):
    nodes = ui.ask("{ assetNodes { description } }")["assetNodes"]
    texts = [
        (PROJECT_ROOT / "docs" / "operating.md").read_text(encoding="utf-8"),
        *(node["description"] or "" for node in nodes),
    ]
    named = {name for text in texts for name in NAMED.findall(text)}
    assert {"Observe", "Materialize all…", "Launch"} <= named
    pressed = set(re.findall(r'name="([^"]+)"', Path(__file__).read_text(encoding="utf-8"))) | {
        "Launch",
        "Partitions",
        "Checks",
    }
    assert named - pressed == set()


def test_the_same_month_again_says_that_it_is_frozen_already(ui, page):
    month = ui.months[0]
    materialize(ui, page, str(month))
    until(lambda: ui.material("frozen_month", month)["outcome"] == "already frozen, verified", "the second run")
    page.goto(f"{ui.url}/assets/frozen_month?view=partitions&partition={month}")
    expect(page.get_by_role("cell", name="already frozen, verified")).to_be_visible()


@pytest.mark.parametrize(("place", "ends"), [(0, "SUCCESS"), (3, "FAILURE")])
def test_the_frozen_months_own_page_leads_to_the_job_and_its_button_closes_too(ui, page, place, ends):
    """Dagster lists what else the operation makes before it lets anybody choose a month; that cannot be left out."""
    month = str(ui.months[place])
    page.goto(f"{ui.url}/assets/frozen_month?view=overview")
    expect(page.get_by_role("link", name="close_month").first).to_be_visible()
    before = {run["runId"] for run in ui.runs()}
    page.get_by_role("button", name="Materialize…").click()
    dialog = page.get_by_role("dialog").last
    expect(dialog.get_by_text("part of a multi-asset that does not support subsetting")).to_be_visible()
    dialog.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("dialog").get_by_role("button", name=re.compile("^Launch")).last).to_be_visible()
    choose(page, month)
    (launched,) = until(lambda: [run for run in ui.runs() if run["runId"] not in before], "the run")
    assert ui.ended(launched["runId"]) == ends
    (run,) = [run for run in ui.runs() if run["runId"] not in before]
    assert run["tags"]["month"] == month
    assert ui.failed("frozen_month") == ui.failed("warehouse") == []


def test_three_months_chosen_at_once_are_closed_in_order_and_all_turn_green(ui, page):
    materialize(ui, page, f"[{ui.months[1]}...{ui.months[3]}]")
    until(lambda: len(ui.frozen()) == 4, "all four months", 3 * PATIENCE)
    closed = json.loads(ui.command("list", "--json").stdout)
    assert [one["month"] for one in sorted(closed, key=lambda one: one["closed_at"])] == [
        str(month) for month in ui.months
    ]
    until(lambda: ui.material("frozen_month", ui.months[3]), "the last materialization")
    page.goto(f"{ui.url}/assets/frozen_month?view=partitions")
    expect(page.get_by_text("Materialized (4)")).to_be_visible()


def test_the_servers_say_one_line_and_then_errors_alone(ui):
    first, *lines = (ui.data.parent / "ui.log").read_text(encoding="utf-8").splitlines()
    assert first == f"Open {ui.url}, stop with Ctrl-C."
    assert [line for line in lines if " - DEBUG - " in line or " - INFO - " in line or "Warning" in line] == []

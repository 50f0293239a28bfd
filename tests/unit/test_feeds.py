"""The declaration of the feeds: its examples land, and whatever else names its columns names the same."""

import json

from jinja2 import Environment

from orchestration.close import dbt_build
from orchestration.landing.feeds import CDRS, FEEDS, TENANTS
from orchestration.reports import feeds
from orchestration.settings import DBT_PROJECT, PROJECT_ROOT
from tests.unit.deliveries import write_csv

# The types of the usage's contract, by those in which a record lands: a reversal's seconds are negative sums.
WIDENED = {"integer": "bigint", "timestamptz": "timestamp with time zone"}


def test_the_page_about_the_feeds_is_what_the_command_prints(command_line):
    page = (PROJECT_ROOT / "docs" / "feeds.md").read_text(encoding="utf-8")
    assert f"{feeds.markdown(FEEDS.values())}\n" == page
    # What a command printed is compared without its line breaks.
    assert command_line.must("feeds --markdown").stdout == " ".join(page.split())


def test_the_command_lists_every_column_of_every_feed(command_line):
    listed = json.loads(command_line.must("feeds --json").stdout)
    assert [(row["feed"], row["column"]) for row in listed] == [
        (feed.name, name) for feed in FEEDS.values() for name in feed.names
    ]
    assert all(row["example"] and row["meaning"].endswith(".") for row in listed)
    cdrs = json.loads(command_line.must("feeds cdrs --json").stdout)
    assert {row["column"]: (row["type"], row["required"], row["default"]) for row in cdrs}["billed_seconds"] == (
        "seconds",
        False,
        "duration_seconds",
    )
    shown = command_line.must("feeds cdrs").stdout
    assert [name for name in CDRS.names if name not in shown] == []
    assert "'cdr' is no feed" in command_line.run("feeds cdr").stderr


def test_a_row_of_the_examples_lands(warehouse, tmp_path):
    warehouse.at("2026-06-02T12:00:00+00:00")
    for feed in FEEDS.values():
        row = {column.name: column.example for column in feed.columns}
        receipt = warehouse.receipt(feed.name, write_csv(tmp_path / f"{feed.name}.csv", row))
        assert (receipt.rows, receipt.rejected_rows, receipt.unusable_assets) == (1, 0, 0)


def test_a_landed_file_has_the_declared_columns_in_their_order(warehouse, tmp_path):
    warehouse.at("2026-06-02T12:00:00+00:00")
    for feed in FEEDS.values():
        row = {column.name: column.example for column in feed.columns}
        receipt = warehouse.receipt(feed.name, write_csv(tmp_path / f"{feed.name}.csv", row))
        assert receipt.columns == list(feed.stored)
        described = warehouse.described(feed.name)
        assert {name: kind.lower() for name, kind in described} == {
            name: kind.replace("timestamptz", "timestamp with time zone").replace("(18, 9)", "(18,9)")
            for name, kind in feed.stored.items()
        }
        assert [name for name, _ in described] == receipt.columns


def test_contact_data_is_pinned_for_no_build():
    landed = {"recorded_at", "sealed_at", "is_late", "is_overtaken", "batch_id", "source_row"}
    assert set(TENANTS.pinned) == {"account_id", "name", "archived"} | landed
    assert all(feed.pinned == feed.stored for feed in FEEDS.values() if feed is not TENANTS)


def test_dbt_compares_deliveries_in_the_declared_columns():
    """The macro returns through `return`, which plain Jinja does not have."""
    returned = []
    macro = (DBT_PROJECT / "macros" / "canonical_columns.sql").read_text(encoding="utf-8")
    template = Environment().from_string(f"{macro}{{{{ canonical_columns() }}}}")
    template.render(**{"return": returned.append})
    assert returned == [list(CDRS.values)]


def test_the_usage_states_every_declared_column_of_a_record():
    contract = dbt_build.contract("usage")
    stated = {name: contract.get(name) for name in CDRS.stored}
    assert stated == {name: WIDENED.get(kind, kind) for name, kind in CDRS.stored.items()}
    assert list(contract)[: len(CDRS.values)] == list(CDRS.values)


def test_models_of_records_describe_them_as_the_feed_does():
    """An example of a name that means something else elsewhere: the number of `number_inventory`."""
    manifest = json.loads(dbt_build.prepare().read_text(encoding="utf-8"))
    models = [node for node in manifest["nodes"].values() if node["resource_type"] == "model"]
    of_records = [node for node in models if set(CDRS.values) <= node["columns"].keys()]
    assert len(of_records) >= 10
    declared = {column.name: column.description for column in CDRS.columns}
    different = {
        (node["name"], name): node["columns"][name]["description"]
        for node in of_records
        for name, description in declared.items()
        if name in CDRS.stored and node["columns"][name]["description"].strip() != description
    }
    assert different == {}


def test_a_feed_that_nobody_declared_is_refused_by_name():
    assert [feed.name for feed in feeds.chosen(None)] == list(FEEDS)

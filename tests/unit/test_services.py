"""The services and their sections: the seeds, the macro of the wide columns, the marts' contracts, and rule 25.

What belongs here: that these say the same, before anything is built. What does not: the figures in the columns.
"""

import csv
import json
import shutil
from pathlib import Path

import pytest
from jinja2 import Environment

from orchestration.close import dbt_build
from orchestration.settings import SEEDS
from tests.oracle.statements import SECTIONS, SERVICES, UNITS, Service, wide_figures

PROJECT = "tenant_statements"
TYPES = {"minutes": "decimal(38, 6)", "cost": "decimal(38, 9)"}
# Design, section 5: what stands on a wide row before its figures.
BEFORE = {
    "statements": "statement_id account_id tenant_name month period_start period_end currency is_partial_month "
    "first_effective_at archived_at asset_changes",
    "organization": "month period_start period_end currency",
}


def read(seeds: Path, name: str) -> list[dict[str, str]]:
    with (seeds / f"{name}.csv").open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def sections(seeds: Path) -> list[str]:
    """The sections in their order."""
    return [row["section"] for row in sorted(read(seeds, "sections"), key=lambda row: int(row["position"]))]


def strays(seeds: Path) -> list[str]:
    """A sentence for each service whose section is none of `sections.csv`."""
    there = sections(seeds)
    return [
        f"services.csv, {row['service']} ({row['direction']}): the section {row['section']!r} is none of sections.csv"
        for row in read(seeds, "services")
        if row["section"] not in there
    ]


def manifest() -> dict:
    return json.loads(dbt_build.prepare().read_text(encoding="utf-8"))


def wide_sections() -> dict[str, dict[str, list[str]]]:
    """What the macro of this name returns."""
    source = manifest()["macros"][f"macro.{PROJECT}.wide_sections"]["macro_sql"]
    returned: list[dict[str, dict[str, list[str]]]] = []
    Environment().from_string(source + "{{ wide_sections() }}").render({"return": returned.append})
    return returned[0]


def test_every_service_stands_in_a_section():
    assert strays(SEEDS) == []


def test_a_new_service_in_a_new_section_is_named(tmp_path):
    seeds = Path(shutil.copytree(SEEDS, tmp_path / "seeds"))
    with (seeds / "services.csv").open("a", encoding="utf-8") as handle:
        handle.write("chat_message,outbound,number,each,chat\nfax_page,outbound,number,each,features\n")
    assert strays(seeds) == [
        "services.csv, chat_message (outbound): the section 'chat' is none of sections.csv",
    ]


def test_the_sections_are_those_of_rule_25_in_its_order():
    assert sections(SEEDS) == list(SECTIONS)
    assert [int(row["position"]) for row in read(SEEDS, "sections")] == [1, 2, 3, 4, 5]


def test_the_services_of_rule_25_are_there():
    """There may be others."""
    rows = read(SEEDS, "services")
    services = {
        (row["service"], row["direction"]): Service(row["attributed_by"], row["unit"], row["section"]) for row in rows
    }
    assert len(services) == len(rows)
    assert services.items() >= SERVICES.items()


def test_the_services_of_rule_25_have_columns_of_their_own_section_by_section():
    wide = wide_sections()
    assert list(wide) == list(SECTIONS)
    for section, units in wide.items():
        due = {unit: {pair[0] for pair, rule in SERVICES.items() if rule[1:] == (unit, section)} for unit in units}
        assert {unit: set(services) for unit, services in units.items()} == due
        assert sum(map(len, units.values())) == len(set().union(*due.values()))


def test_no_service_of_rule_25_is_counted_or_filed_in_two_ways():
    """The wide columns add up both directions of a service, of whatever row of the seed."""
    filed = {(row["service"], row["unit"], row["section"]) for row in read(SEEDS, "services")}
    assert len([service for service, _, _ in filed if service in UNITS]) == len(UNITS)


@pytest.mark.parametrize("mart", BEFORE)
def test_the_contract_of_a_wide_mart_has_the_columns_of_rule_25_and_no_others(mart):
    columns = dbt_build.contract(mart)
    before = BEFORE[mart].split()
    wide = dict(list(columns.items())[len(before) :])
    assert list(columns)[: len(before)] == before
    assert wide == {name: TYPES.get(name.rpartition("_")[2], "bigint") for name in wide_figures([], "USD", {})}


def test_a_statement_is_added_up_over_every_section():
    (condition,) = (
        node["test_metadata"]["kwargs"]["condition"]
        for node in manifest()["nodes"].values()
        if node["name"] == "statements_add_up_over_their_sections"
    )
    assert condition == "usage_cost = " + " + ".join(f"{section}_cost" for section in sections(SEEDS))

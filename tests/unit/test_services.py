"""The services and their sections: the shipped ones, the operator's own, the macro of the wide columns, and rule 25.

What belongs here: that these and the marts' contracts say the same before anything is built, and which table holds for a
month. What does not: the figures in the columns.
"""

import csv
import hashlib
import json
from pathlib import Path

import pytest
from jinja2 import Environment

from orchestration import settings
from orchestration.close import dbt_build, month_services, readiness
from orchestration.errors import Refused
from orchestration.landing import normalization, record_rules, services
from orchestration.landing.services import Services
from orchestration.settings import SEEDS, Settings
from tests.oracle.statements import SECTIONS, SERVICES, UNITS, Service, wide_figures
from tests.unit.stored import APRIL, JUNE, MARCH, MAY, chain, close

PROJECT = "tenant_statements"
TYPES = {"minutes": "decimal(38, 6)", "cost": "decimal(38, 9)"}
# Design, section 5: what stands on a wide row before its figures.
BEFORE = {
    "statements": "statement_id account_id tenant_name month period_start period_end currency is_partial_month "
    "first_effective_at archived_at asset_changes",
    "organization": "month period_start period_end currency",
}


HEAD = "service,direction,attributed_by,unit,section"
CHAT, FAX = "chat,inbound,number,each,messaging", "fax,inbound,number,each,features"


def with_own(folder: Path, *rows: str, head: str = HEAD) -> Settings:
    """The settings of a data folder whose operator has these services."""
    configuration = settings.load(folder / "data")
    configuration.data.mkdir(exist_ok=True)
    configuration.services.write_text("".join(f"{line}\n" for line in (head, *rows)), encoding="utf-8")
    return configuration


def read(seeds: Path, name: str) -> list[dict[str, str]]:
    with (seeds / f"{name}.csv").open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def sections(seeds: Path) -> list[str]:
    """The sections in their order."""
    return [row["section"] for row in sorted(read(seeds, "sections"), key=lambda row: int(row["position"]))]


def manifest() -> dict:
    return json.loads(dbt_build.prepare().read_text(encoding="utf-8"))


def wide_sections() -> dict[str, dict[str, list[str]]]:
    """What the macro of this name returns."""
    source = manifest()["macros"][f"macro.{PROJECT}.wide_sections"]["macro_sql"]
    returned: list[dict[str, dict[str, list[str]]]] = []
    Environment().from_string(source + "{{ wide_sections() }}").render({"return": returned.append})
    return returned[0]


def test_every_shipped_service_is_one_that_could_be_an_operators_own(tmp_path, monkeypatch):
    """Its section is one of `sections.csv`, and so on."""
    monkeypatch.setattr(services, "SHIPPED", tmp_path / "none.csv")
    (tmp_path / "none.csv").write_text(f"{HEAD}\n", encoding="utf-8")
    configuration = with_own(tmp_path, *(SEEDS / "services.csv").read_text(encoding="utf-8").splitlines()[1:])
    assert len(services.load(configuration).rows) == len(read(SEEDS, "services"))


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


# The operator's own ---------------------------------------------------------------------------------------------------


def test_without_a_file_of_their_own_an_operator_has_the_shipped_services(tmp_path):
    """Rule 18: and lands with the shipped rules, as it always was."""
    configuration = settings.load(tmp_path / "data")
    shipped = services.load(configuration)
    assert {(row.service, row.direction) for row in shipped.rows} >= SERVICES.keys()
    assert shipped.own_sha256 is None
    assert record_rules.load(configuration).sha256 == normalization.rules_sha256()


def test_the_operators_own_services_stand_beside_the_shipped_ones(tmp_path):
    """Rule 25."""
    shipped = services.load(settings.load(tmp_path / "none"))
    configuration = with_own(tmp_path, CHAT, "", "chat,outbound,origin,each,messaging")
    merged = services.load(configuration)
    assert {row.key for row in merged.rows} - {row.key for row in shipped.rows} == {
        ("chat", "inbound"),
        ("chat", "outbound"),
    }
    assert merged.rows == sorted(merged.rows, key=lambda row: row.key)
    assert merged.own_sha256 == hashlib.sha256(configuration.services.read_bytes()).hexdigest()
    rules = {record_rules.load(configuration).sha256, normalization.rules_sha256()}
    with_own(tmp_path, CHAT)
    assert len(rules | {record_rules.load(configuration).sha256}) == 3


def test_a_file_that_repeats_shipped_rows_adds_none_and_changes_no_rule(tmp_path):
    configuration = with_own(tmp_path, *(SEEDS / "services.csv").read_text(encoding="utf-8").splitlines()[1:])
    assert services.load(configuration) == services.load(settings.load(tmp_path / "none"))
    assert record_rules.load(configuration).sha256 == normalization.rules_sha256()


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (["chat,inbound,number,each"], "line 2: a row has 5 values"),
        ([CHAT, "a b,inbound,number,each,messaging"], "line 3: a service is a code of letters, digits"),
        ([",inbound,number,each,messaging"], "line 2: a service is a code"),
        (["chat,Inbound,number,each,messaging"], "line 2: the direction of chat is none of inbound, outbound"),
        (["chat,inbound,header,each,messaging"], "line 2: the attributed_by of chat is none of number, origin"),
        (["chat,inbound,number,second,messaging"], "line 2: the unit of chat is none of minute, each"),
        (["chat,inbound,number,each,chat"], "line 2: the section of chat is none of outbound, inbound, features"),
        ([CHAT, "", CHAT], "line 4: chat (inbound) stands in line 2 already"),
        (
            ["cnam_lookup,inbound,number,each,features"],
            "line 2: cnam_lookup (inbound) is shipped as cnam_lookup,inbound,number,each,inbound, and a row of your own",
        ),
        (
            ["cnam_lookup,outbound,origin,each,outbound"],
            "line 2: cnam_lookup is shipped for the other direction with unit each and section inbound",
        ),
        (['"chat,inbound,number,each,messaging'], "is no CSV in UTF-8"),
    ],
)
def test_a_row_of_their_own_that_cannot_be_is_named_with_its_file_and_line(tmp_path, rows, sentence):
    configuration = with_own(tmp_path, *rows)
    with pytest.raises(Refused) as refused:
        services.load(configuration)
    assert str(refused.value).startswith(str(configuration.services))
    assert sentence in str(refused.value)


def test_a_file_that_is_no_table_of_services_is_refused(tmp_path):
    configuration = with_own(tmp_path, CHAT, head="service,direction,section")
    with pytest.raises(Refused, match=f"the first line of a table of services is {HEAD}"):
        services.load(configuration)
    configuration.services.write_bytes(f"{HEAD}\nch\xe4t,inbound,number,each,messaging\n".encode("latin-1"))
    with pytest.raises(Refused, match="is no CSV in UTF-8"):
        services.load(configuration)
    configuration.services.write_bytes(b"x" * (services.MOST_BYTES + 1))
    with pytest.raises(Refused, match="is larger than 1,000,000 bytes"):
        services.load(configuration)
    configuration.services.unlink()
    configuration.services.symlink_to(tmp_path / "nothing")
    with pytest.raises(Refused, match="is no file"):
        services.load(configuration)


# The services of a month ----------------------------------------------------------------------------------------------


def table(*rows: str) -> Services:
    return Services([services.Service(*row.split(",")) for row in rows])


def pinned(*rows: str) -> dict:
    return {"services": {"rows": [dict(zip(HEAD.split(","), row.split(","), strict=True)) for row in rows]}}


def test_a_month_goes_by_the_services_that_it_pinned_and_an_open_one_by_those_of_today(tmp_path):
    """Rule 25: a service that is younger than the month goes by the first table that has it."""
    fax_since = "fax,inbound,origin,each,inbound"
    frozen = [*chain(MARCH, **pinned(CHAT)), *chain(APRIL, **pinned(FAX)), *chain(MAY, **pinned(fax_since))]
    known = month_services.of_close(settings.load(tmp_path), close(JUNE, frozen).chain, table(fax_since))
    found = {month: known.find(month, ("fax", "inbound")) for month in (MARCH, APRIL, MAY, JUNE)}
    assert {month: row.attributed_by for month, row in found.items()} == {
        MARCH: "number", APRIL: "number", MAY: "origin", JUNE: "origin",
    }  # fmt: skip
    assert known.find(MARCH, ("chat", "inbound")) is not None
    assert known.find(APRIL, ("chat", "inbound")) is None
    assert [(month, row.service) for month, row in known.rows(JUNE)] == [
        (MARCH, "chat"), (APRIL, "fax"), (MAY, "fax"), (JUNE, "fax"),
    ]  # fmt: skip


def test_a_month_that_pinned_none_goes_by_the_services_of_today(tmp_path):
    configuration = with_own(tmp_path, CHAT)
    frozen = chain(MARCH, services={"rows": []})
    known = month_services.of_close(configuration, frozen, table(FAX))
    assert known.find(MARCH, ("chat", "inbound")) is not None
    assert known.find(MARCH, ("cnam_lookup", "inbound")) is not None
    assert known.find(APRIL, ("chat", "inbound")) is None


def test_a_service_that_a_month_without_pinned_ones_states_and_nobody_has_any_more_is_named(tmp_path):
    stated = [
        {"service": "chat", "direction": direction, "currency": "USD", "records": 1, "cost": "1"}
        for direction in ("outbound", "inbound")
    ]
    frozen = chain(MARCH, services={"rows": []}, totals_by_service=stated)
    with pytest.raises(Refused) as refused:
        readiness.require_services(settings.load(tmp_path / "data"), close(APRIL, frozen), table(FAX))
    way_out = f"Add a row for each to {tmp_path / 'data' / 'services.csv'}, with the first line {HEAD}."
    assert f"no services.csv has any more: chat (inbound), chat (outbound). {way_out}" in str(refused.value)
    configuration = with_own(tmp_path, CHAT, "chat,outbound,origin,each,messaging")
    readiness.require_services(configuration, close(APRIL, frozen), table(FAX))
    # What a month pins, it has for ever.
    kept = chain(MARCH, **pinned(CHAT, "chat,outbound,origin,each,messaging"), totals_by_service=stated)
    readiness.require_services(settings.load(tmp_path / "none"), close(APRIL, kept), table(FAX))

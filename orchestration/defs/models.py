"""dbt's models, seeds and tests as Dagster sees them, told from the prepared manifest.

What belongs here: keys, groups and checks. What does not: running dbt.
"""

import json
from collections.abc import Mapping
from graphlib import TopologicalSorter
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, build_dbt_asset_specs

from orchestration.close import dbt_build
from orchestration.landing.feeds import FEEDS

GROUPS = {
    "staging": "staging",
    "intermediate": "attribution",
    "marts": "statements",
    "invariants": "invariants",
    "figures": "figures",
}
OWNERS = ["team:billing"]
# An operator's question of every box in the graph: may I rely on it yet?
FINAL = {
    "reference_data": "Part of the software, read anew at every close.",
    "staging": "Made anew inside every close, private to it, and gone afterwards.",
    "attribution": "Made anew inside every close, private to it, and gone afterwards.",
    "invariants": "Made anew inside every close, private to it, and gone afterwards.",
    "figures": "Made anew inside every close, private to it, and gone afterwards; the manifest names the counts.",
    "statements": "Final, and readable as files and in the warehouse, as soon as `frozen_month` is there.",
}


class Translator(DagsterDbtTranslator):
    """Groups models by what they are for, so that the graph reads as the story of a month."""

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        if dbt_resource_props["resource_type"] == "seed":
            return "reference_data"
        return GROUPS[dbt_resource_props["fqn"][1]]

    def get_description(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """What it is and when it is final; the SQL is in `make docs`."""
        return f"{dbt_resource_props['description'].strip()}\n\n{FINAL[self.get_group_name(dbt_resource_props)]}"

    def get_owners(self, _: Mapping[str, Any]) -> list[str]:
        return OWNERS

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        """What a close pins beside the feeds (receipts, neighbours, rejected rows …) comes with the records."""
        if dbt_resource_props["resource_type"] == "source":
            name = dbt_resource_props["name"]
            return dg.AssetKey(["landing", name if name in FEEDS else "cdrs"])
        return super().get_asset_key(dbt_resource_props)


TRANSLATOR = Translator(DagsterDbtTranslatorSettings(enable_duplicate_source_asset_keys=True))
MANIFEST = json.loads(dbt_build.prepare().read_text(encoding="utf-8"))
specs = build_dbt_asset_specs(manifest=MANIFEST, dagster_dbt_translator=TRANSLATOR)
# The frozen month and its statements wait for the marts, which are the only models with a contract.
mart_keys = [spec.key for spec in specs if spec.group_name == "statements"]
# Parents first, which is how Dagster has to hear of them: what was made from what is told from the order of events.
asset_keys: dict[str, dg.AssetKey] = {
    unique_id: TRANSLATOR.get_asset_spec(MANIFEST, unique_id, None).key
    for unique_id in TopologicalSorter(
        {unique_id: node["depends_on"].get("nodes", []) for unique_id, node in MANIFEST["nodes"].items()}
    ).static_order()
    if unique_id.startswith(("model.", "seed."))
}


def _checked_asset(node: Mapping[str, Any]) -> dg.AssetKey:
    """The asset a data test is about: the model it stands beside, or the one that a singular test names."""
    attached = node.get("attached_node")
    if attached is None:
        named = node["config"]["meta"]["dagster"]["ref"]["name"]
        attached = f"model.{node['package_name']}.{named}"
    return asset_keys[attached]


check_names: dict[str, tuple[dg.AssetKey, str]] = {
    unique_id: (_checked_asset(node), node["name"])
    for unique_id, node in MANIFEST["nodes"].items()
    if node["resource_type"] == "test"
}
check_specs = [
    dg.AssetCheckSpec(name=name, asset=key, blocking=True, description=MANIFEST["nodes"][unique_id].get("description"))
    for unique_id, (key, name) in check_names.items()
]

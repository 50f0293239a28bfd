"""dbt's models, seeds and tests as Dagster sees them, told from the prepared manifest.

What belongs here: keys, groups and checks. What does not: running dbt.
"""

import json
from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, build_dbt_asset_specs

from orchestration.close import dbt_build
from orchestration.landing.feeds import FEEDS

GROUPS = {"staging": "staging", "intermediate": "attribution", "marts": "statements"}


class Translator(DagsterDbtTranslator):
    """Groups models by what they are for, so that the graph reads as the story of a month."""

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        if dbt_resource_props["resource_type"] == "seed":
            return "reference_data"
        return GROUPS[dbt_resource_props["fqn"][1]]

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        """What a close pins beside the feeds (receipts, neighbours, rejected rows …) comes with the records."""
        if dbt_resource_props["resource_type"] == "source" and dbt_resource_props["name"] not in FEEDS:
            return dg.AssetKey(["landing", "cdrs"])
        return super().get_asset_key(dbt_resource_props)


TRANSLATOR = Translator(DagsterDbtTranslatorSettings(enable_duplicate_source_asset_keys=True))
MANIFEST = json.loads(dbt_build.prepare().read_text(encoding="utf-8"))
specs = [
    spec.replace_attributes(skippable=True)
    for spec in build_dbt_asset_specs(manifest=MANIFEST, dagster_dbt_translator=TRANSLATOR)
]
# The frozen month and its statements wait for the marts, which are the only models with a contract.
mart_keys = [spec.key for spec in specs if spec.group_name == "statements"]
asset_keys: dict[str, dg.AssetKey] = {
    unique_id: TRANSLATOR.get_asset_spec(MANIFEST, unique_id, None).key
    for unique_id, node in MANIFEST["nodes"].items()
    if node["resource_type"] in ("model", "seed")
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

"""dbt's models, seeds and tests as Dagster sees them, read from the prepared manifest.

What belongs here: keys, groups and checks. What does not: running dbt.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, build_dbt_asset_specs

from orchestration.close import dbt_build
from orchestration.defs import OWNERS
from orchestration.landing.feeds import FEEDS

GROUPS = {
    "staging": "staging",
    "intermediate": "attribution",
    "marts": "statements",
    "invariants": "invariants",
    "figures": "figures",
}
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
        """The model's description, and when it is final; the SQL is in `make docs`."""
        return f"{dbt_resource_props['description'].strip()}\n\n{FINAL[self.get_group_name(dbt_resource_props)]}"

    def get_owners(self, _: Mapping[str, Any]) -> list[str]:
        return OWNERS

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        """The feed cdrs stands for what a close pins beside the feeds: receipts, neighbours, rejected rows."""
        if dbt_resource_props["resource_type"] == "source":
            name = dbt_resource_props["name"]
            return dg.AssetKey(["landing", name if name in FEEDS else "cdrs"])
        return super().get_asset_key(dbt_resource_props)


TRANSLATOR = Translator(DagsterDbtTranslatorSettings(enable_duplicate_source_asset_keys=True))


@dataclass(frozen=True)
class Models:
    """dbt's project as declarations. Keys of the mappings are dbt's unique ids."""

    specs: Sequence[dg.AssetSpec]
    # Parents first, in which order Dagster has to be told: it derives the lineage from it.
    asset_keys: Mapping[str, dg.AssetKey]
    checks: Mapping[str, dg.AssetCheckSpec]

    @property
    def handed_over(self) -> list[dg.AssetKey]:
        """The models with a contract, which a build hands over as files: the frozen month waits for them."""
        return [spec.key for spec in self.specs if spec.group_name in ("statements", "figures")]


def load(months: dg.PartitionsDefinition) -> Models:
    """The models of the prepared manifest, which dbt makes now if the code has changed since; checks are of a month."""
    manifest = json.loads(dbt_build.prepare().read_text(encoding="utf-8"))
    nodes = manifest["nodes"]
    order = TopologicalSorter({unique_id: node["depends_on"].get("nodes", []) for unique_id, node in nodes.items()})
    asset_keys = {
        unique_id: TRANSLATOR.get_asset_spec(manifest, unique_id, None).key
        for unique_id in order.static_order()
        if unique_id.startswith(("model.", "seed."))
    }
    return Models(
        specs=build_dbt_asset_specs(manifest=manifest, dagster_dbt_translator=TRANSLATOR),
        asset_keys=asset_keys,
        checks={
            unique_id: dg.AssetCheckSpec(
                name=node["name"],
                asset=asset_keys[_tested_model(node)],
                blocking=True,
                description=node.get("description"),
                partitions_def=months,
            )
            for unique_id, node in nodes.items()
            if node["resource_type"] == "test"
        },
    )


def _tested_model(node: Mapping[str, Any]) -> str:
    """The model a data test is about: the one it stands beside, or the one that a singular test names."""
    if attached := node.get("attached_node"):
        return str(attached)
    return f"model.{node['package_name']}.{node['config']['meta']['dagster']['ref']['name']}"

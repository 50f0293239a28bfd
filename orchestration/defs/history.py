"""Telling Dagster's history what happened without it: landings by the command line, months that it has never heard of.

What belongs here: reporting what is there. What does not: making any of it, or the look of what is reported.
"""

from collections.abc import Iterator

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_TAG

from orchestration.close import manifests
from orchestration.commands.close import Closed
from orchestration.defs import assets, feeds, models, partitions, ready
from orchestration.errors import Damaged
from orchestration.landing.feeds import FEEDS
from orchestration.settings import Settings

REPORTED = "frozen, reported from its files"


def tell_of_landing(instance: dg.DagsterInstance, settings: Settings) -> None:
    """Report the overview and the feeds as they are now."""
    for observation in feeds.latest(settings):
        instance.report_runless_asset_event(observation)


def tell_of_everything(instance: dg.DagsterInstance, settings: Settings) -> None:
    """Report what a fresh or lost history has not: frozen months turn green, and the feeds show what has landed."""
    hidden = [key for key in map(feeds.key, FEEDS) if instance.get_latest_materialization_event(key) is not None]
    if hidden:
        # Earlier versions told of a dropped file by one, and the UI shows no observation beside a materialization.
        instance.wipe_assets(hidden)
    tell_of_landing(instance, settings)
    for materialization in _months_never_heard_of(instance, settings):
        instance.report_runless_asset_event(materialization)


def _months_never_heard_of(instance: dg.DagsterInstance, settings: Settings) -> Iterator[dg.AssetMaterialization]:
    heard_of = instance.get_materialized_partitions(assets.FROZEN_MONTH)
    try:
        missing = [one for one in manifests.load(settings) if str(one.month) not in heard_of]
    except Damaged:
        # The UI has to open, or it could not say so; the overview does.
        return
    if not missing:
        return
    declared = models.load(partitions.months(settings))
    for manifest in missing:
        tags = {DATA_VERSION_TAG: manifest.sha256}
        yield dg.AssetMaterialization(ready.READY, partition=str(manifest.month), metadata={"verdict": REPORTED})
        for result in assets.results(settings, declared, Closed(manifest, already_frozen=True), REPORTED):
            assert result.asset_key, "a result names its asset"
            yield dg.AssetMaterialization(
                result.asset_key, metadata=result.metadata, partition=str(manifest.month), tags=tags
            )

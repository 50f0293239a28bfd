"""The four landed feeds: what has landed, observed and never made here, and whether it is still as it landed.

What belongs here: what a feed is called and shows. What does not: landing, which the command line does.
"""

from collections.abc import Iterator

import dagster as dg

from orchestration.close import manifests
from orchestration.defs import OWNERS, overview, showing
from orchestration.defs.showing import Metadata
from orchestration.errors import Damaged
from orchestration.landing import receipts
from orchestration.landing.feeds import FEEDS, Feed
from orchestration.reports import feeds, status
from orchestration.settings import Settings, load

SHOWN = ("batches", "rejected_rows", "late_rows", "overtaken_rows", "unusable_assets")


def key(feed: str) -> dg.AssetKey:
    return dg.AssetKey(["landing", feed])


def _look(context: dg.AssetExecutionContext) -> Iterator[dg.ObserveResult]:
    """Observe the selected feeds, or the overview."""
    for observation in latest(load()):
        if observation.asset_key in context.selected_asset_keys:
            yield dg.ObserveResult(asset_key=observation.asset_key, metadata=observation.metadata)


def latest(settings: Settings) -> list[dg.AssetObservation]:
    """The overview and every feed as they are now."""
    try:
        observed = _observations(settings)
    except Damaged as error:
        # Shown here, and the daily checks turn red.
        observed = [dg.AssetObservation(asset_key=key(feed), metadata={"damaged": str(error)}) for feed in FEEDS]
    return [overview.observation(settings), *observed]


def _observations(settings: Settings) -> list[dg.AssetObservation]:
    """One per feed, by its receipts alone: how much has landed, when last, and up to when it is complete."""
    landed = receipts.load(settings)
    observed = []
    for feed in status.feeds(landed):
        metadata: Metadata = {"dagster/row_count": feed["rows"]} | {name: feed[name] for name in SHOWN}
        for name in ("last_landed_at", "cutoff"):
            if feed[name]:
                metadata[name] = dg.MetadataValue.timestamp(feed[name])
        if feed["feed"] == "cdrs":
            months = status.months(landed, manifests.load(settings))
            columns = ["month", "state", "landed_rows", "rejected_rows", "unattributed"]
            metadata["months"] = dg.MetadataValue.md(
                showing.table(columns, [[month[column] for column in columns] for month in months])
            )
        observed.append(dg.AssetObservation(asset_key=key(feed["feed"]), metadata=metadata))
    return observed


# The columns that landing adds to those of a file.
ADDED = {
    "event_type": "start, release or end.",
    "sealed_at": "The seal of the feed as the row landed; no change acts before it.",
    "is_late": "Recorded before the seal, and landed with the operator's consent: it acts from the seal on.",
    "is_overtaken": "Late, and a change recorded after it had landed before: it acts no more.",
    "is_void": "Can never act: no possible number or IP, or over before it was recorded.",
    "batch_id": "The landed batch, a folder of that name.",
    "source_row": "The row within the landed file.",
}


def _schema(feed: Feed) -> dg.TableSchema:
    described = {column["column"]: column["meaning"] for column in feeds.columns(feed)}
    return dg.TableSchema(
        [dg.TableColumn(name, kind, described.get(name) or ADDED[name]) for name, kind in feed.pinned.items()]
    )


# Called, and not written above its function: Dagster declares no type for what this decorator returns.
landed_feeds: dg.AssetsDefinition = dg.multi_observable_source_asset(
    name="look_at_what_landed",
    # The button *Observe* on a feed's page selects that feed alone.
    can_subset=True,
    specs=[overview.SPEC]
    + [
        dg.AssetSpec(
            key=key(feed.name),
            group_name="landed_feeds",
            description=(
                f"{feed.description} Landed with `statements land {feed.name} FILE`.\n\nEvery batch is final as it "
                "lands: append-only and hashed. Press *Observe* to see what there is now."
            ),
            kinds={"parquet"},
            owners=OWNERS,
            metadata={"dagster/column_schema": _schema(feed)},
        )
        for feed in FEEDS.values()
    ],
)(_look)

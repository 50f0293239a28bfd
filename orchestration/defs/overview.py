"""The start page in Dagster: an asset that says what `reports.overview` does, with links to what is to be pressed.

What belongs here: how the overview is shown. What does not: any of its answers.
"""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from orchestration.defs import OWNERS, showing
from orchestration.defs.refusal import CLOSE_MONTH, LOCATION, REPOSITORY
from orchestration.reports import overview
from orchestration.settings import Settings

OVERVIEW = dg.AssetKey("overview")
# The UI folds up Markdown of 1,000 characters.
MONTHS_SHOWN = 8
LINE = 38
SPEC = dg.AssetSpec(
    key=OVERVIEW,
    group_name="overview",
    description=(
        "The start page: which months are closed, what has landed, what stands against the next close, what to press."
        "\n\nNever final: told anew by every landing, close and tick, and when you press *Observe*."
    ),
    kinds={"markdown"},
    owners=OWNERS,
)


def observation(settings: Settings) -> dg.AssetObservation:
    """The overview as of now; its page is written anew with it."""
    told = overview.refresh_page(settings)
    return dg.AssetObservation(
        asset_key=OVERVIEW,
        metadata={
            "next_month": told.next_month or "not chosen yet",
            "obstacle": _lines(told.obstacle or "none"),
            "to_press": _lines(told.to_press),
            "months": _table(told.months[:MONTHS_SHOWN]),
            "landed": _table(told.feeds),
            "close_a_month": CLOSE_MONTH,
            "verify_everything": dg.MetadataValue.job("verify_everything", LOCATION, repository_name=REPOSITORY),
            "statements": dg.MetadataValue.asset(dg.AssetKey("frozen_month")),
            "as_a_page": dg.MetadataValue.path(str(settings.overview)),
        },
    )


def _lines(text: str) -> dg.MarkdownMetadataValue:
    """Lines that show whole at 1280 pixels: the widest table decides where the UI would break them."""
    return dg.MetadataValue.md("  \n".join(textwrap.wrap(text, LINE)))


def _table(rows: Sequence[Mapping[str, Any]]) -> dg.MarkdownMetadataValue:
    if not rows:
        return dg.MetadataValue.md("None.")
    head = [overview.HEADINGS.get(name, name) for name in rows[0]]
    return dg.MetadataValue.md(showing.table(head, [list(row.values()) for row in rows]))

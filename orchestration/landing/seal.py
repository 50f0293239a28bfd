"""The seal of an assignment feed: the instant before which nothing that lands can change a holding (rule 13)."""

from collections.abc import Iterable
from datetime import datetime

from orchestration.landing.receipts import Receipt
from orchestration.months import Month


def seal(feed: str, receipts: Iterable[Receipt], frozen: list[Month]) -> datetime | None:
    """The later of the latest cutoff landed for the feed and the end of the last frozen month; none before either."""
    instants = [receipt.cutoff for receipt in receipts if receipt.feed == feed and receipt.cutoff]
    if frozen:
        instants.append(frozen[-1].end)
    return max(instants, default=None)

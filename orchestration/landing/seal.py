"""The seal of an assignment feed: the instant before which nothing that lands can change who held what (rule 13)."""

from collections.abc import Iterable
from datetime import datetime

from orchestration.errors import Damaged, Refused
from orchestration.landing.receipts import Receipt
from orchestration.months import Month
from orchestration.settings import Settings


def frozen_months(settings: Settings) -> list[Month]:
    """The months that are frozen, oldest first, told from the names of their folders."""
    if not settings.statements.is_dir():
        return []
    try:
        return sorted(
            Month.parse(folder.name.removeprefix("month="))
            for folder in settings.statements.iterdir()
            if folder.name.startswith("month=")
        )
    except Refused as error:
        raise Damaged(f"Among the frozen months in {settings.statements} lies another name. {error}") from error


def seal(feed: str, receipts: Iterable[Receipt], frozen: list[Month]) -> datetime | None:
    """The later of the latest cutoff landed for the feed and the end of the last frozen month; none before either."""
    instants = [receipt.cutoff for receipt in receipts if receipt.feed == feed and receipt.cutoff]
    if frozen:
        instants.append(frozen[-1].end)
    return max(instants, default=None)

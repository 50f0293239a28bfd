"""What is landed, late, rejected, waiting, closed and due: the figures an operator looks at first.

What belongs here: reading and summing up. What does not: how it is shown (`cli`), or judging a month (`close`).
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from orchestration.close import due, manifests
from orchestration.close.manifests import Manifest
from orchestration.errors import Refused
from orchestration.landing import receipts as landed
from orchestration.landing.feeds import FEEDS
from orchestration.landing.receipts import Receipt
from orchestration.settings import Settings
from orchestration.warehouse import reader


def closed_months(settings: Settings) -> list[dict[str, Any]]:
    """One entry per closed month, oldest first."""
    return [
        {
            "month": str(manifest.month),
            "closed_at": manifest.closed_at,
            "records": manifest.content.counts.accepted,
            "unattributed": manifest.content.counts.unattributed,
            "totals": manifest.content.totals,
            "manifest_sha256": manifest.sha256,
        }
        for manifest in manifests.load(settings)
    ]


def status(settings: Settings) -> dict[str, Any]:
    """Feeds, months, what waits, and what is due."""
    receipts = landed.load(settings)
    return {
        "feeds": feeds(receipts),
        "months": months(receipts, manifests.load(settings)),
        "late_records": _late_records(settings),
        "accounts_not_landed": _accounts_not_landed(settings),
        **_due(settings),
    }


def feeds(receipts: Sequence[Receipt]) -> list[dict[str, Any]]:
    """What has landed, one entry per feed."""
    return [
        {
            "feed": feed,
            "batches": len(batches),
            "rows": sum(receipt.rows for receipt in batches),
            "rejected_rows": sum(receipt.rejected_rows for receipt in batches),
            "late_rows": sum(receipt.late for receipt in batches),
            "overtaken_rows": sum(receipt.overtaken for receipt in batches),
            "unusable_assets": sum(receipt.unusable_assets for receipt in batches),
            "last_landed_at": max((receipt.landed_at for receipt in batches), default=None),
            "cutoff": max((receipt.cutoff for receipt in batches if receipt.cutoff), default=None),
        }
        for feed in FEEDS
        for batches in [[receipt for receipt in receipts if receipt.feed == feed]]
    ]


def months(receipts: Sequence[Receipt], known: Sequence[Manifest]) -> list[dict[str, Any]]:
    """What has landed of each month and whether it is closed, oldest first."""
    frozen = {str(manifest.month): manifest for manifest in known}
    rows: dict[str, int] = defaultdict(int)
    rejected: dict[str, int] = defaultdict(int)
    for receipt in receipts:
        for file in receipt.records:
            rows[file.month] += file.rows
        for month, count in receipt.rejected_by_month.items():
            rejected[month or "unknown"] += count
    return [
        {
            "month": month,
            "landed_rows": rows.get(month, 0) + rejected.get(month, 0),
            "rejected_rows": rejected.get(month, 0),
            "state": "closed" if month in frozen else "open",
            "unattributed": frozen[month].content.counts.unattributed if month in frozen else None,
            "conflict_header_ip": frozen[month].content.counts.conflict_header_ip if month in frozen else None,
        }
        for month in sorted(rows.keys() | rejected.keys() | frozen.keys())
    ]


def _due(settings: Settings) -> dict[str, Any]:
    try:
        return {"due": [str(month) for month in due.due_months(settings)], "due_unknown_because": None}
    except Refused as reason:
        return {"due": [], "due_unknown_because": str(reason)}


def _late_records(settings: Settings) -> list[dict[str, Any]]:
    if not settings.warehouse.exists():
        return []
    return reader.records(
        settings,
        "select status, month, count(*) as records, sum(cost)::varchar as cost, currency "
        "from operations.late_records group by all order by all",
    )


def _accounts_not_landed(settings: Settings) -> list[str]:
    """Accounts that hold assets on paper, but that no tenants file has named: nothing is attributed to them."""
    if not settings.warehouse.exists():
        return []
    found = reader.rows(
        settings,
        """
        select distinct account_id
        from (
            select account_id from assets.number_assignment_history
            union all
            select account_id from assets.ip_assignment_history
        )
        where account_id is not null and account_id not in (select account_id from assets.tenants)
        order by 1
        """,
    )
    return [account for (account,) in found]

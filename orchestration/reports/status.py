"""The state of the data folder (landed, late, rejected, waiting, closed, due): the figures an operator looks at first.

What belongs here: reading and summing up. What does not: how it is shown (`cli`), or judging a month (`close`).
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from orchestration import engine
from orchestration.close import due, manifests, readiness
from orchestration.close.manifests import Chain
from orchestration.errors import Refused
from orchestration.landing import receipts
from orchestration.landing.feeds import FEEDS
from orchestration.landing.receipts import Receipt
from orchestration.settings import Settings
from orchestration.warehouse import late_records, reader


def closed_months(settings: Settings) -> list[dict[str, Any]]:
    """One entry per closed month, oldest first."""
    return [
        {
            "month": str(manifest.month),
            "closed_at": manifest.closed_at,
            "records": manifest.content.counts.accepted,
            "unattributed": manifest.content.counts.unattributed,
            "totals": {currency: Decimal(cost) for currency, cost in manifest.content.totals.items()},
            "manifest_sha256": manifest.sha256,
            "statements_root_sha256": manifest.content.statements_root_sha256,
        }
        for manifest in manifests.load(settings)
    ]


def status(settings: Settings) -> dict[str, Any]:
    """Feeds, months, what waits, and what is due."""
    batches, chain = receipts.load(settings), manifests.load(settings)
    return {
        "feeds": feeds(batches),
        "months": months(batches, chain),
        "late_records": _late_records(settings),
        "ignored": ignored(batches),
        "withdrawals_waiting": _withdrawals_waiting(settings, chain, batches),
        "to_look_at": readiness.superseded_in_files(batch for batch in batches if batch.sequence > chain.landed_up_to),
        "accounts_not_landed": _accounts_not_landed(settings),
        **_due(settings),
    }


def _withdrawals_waiting(settings: Settings, chain: Chain, batches: Sequence[Receipt]) -> int:
    """How many records that frozen months state the next close takes back."""
    if not any(batch.withdrawn_rows for batch in batches if batch.sequence > chain.landed_up_to):
        return 0
    with engine.connect(settings) as connection:
        (count,) = engine.row(connection, f"select count(*) from ({late_records.takes_back(chain, batches)})")
    return int(count)


def feeds(batches: Sequence[Receipt]) -> list[dict[str, Any]]:
    """The landed batches, one entry per feed."""
    return [
        {
            "feed": feed,
            "batches": len(landed),
            "rows": sum(batch.rows for batch in landed),
            "rejected_rows": sum(batch.rejected_rows for batch in landed),
            "superseded_in_file": sum(batch.superseded_in_file for batch in landed),
            "withdrawn_rows": sum(batch.withdrawn_rows for batch in landed),
            "late_rows": sum(batch.late for batch in landed),
            "overtaken_rows": sum(batch.overtaken for batch in landed),
            "unusable_assets": sum(batch.unusable_assets for batch in landed),
            "last_landed_at": max((batch.landed_at for batch in landed), default=None),
            "cutoff": max((batch.cutoff for batch in landed if batch.cutoff), default=None),
        }
        for feed in FEEDS
        for landed in [[batch for batch in batches if batch.feed == feed]]
    ]


def ignored(batches: Sequence[Receipt]) -> list[dict[str, Any]]:
    """The rows that sources leave out, one entry per source and rule; `statements ignored` lists them."""
    counts: Counter[tuple[str, str]] = Counter()
    for batch in batches:
        counts.update({(batch.source, reason): count for reason, count in batch.ignored.items()})
    return [{"source": source, "reason": reason, "rows": count} for (source, reason), count in sorted(counts.items())]


def months(batches: Sequence[Receipt], chain: Chain) -> list[dict[str, Any]]:
    """The landed records of each month and whether it is closed, oldest first."""
    frozen = {str(manifest.month): manifest for manifest in chain}
    rows: dict[str, int] = defaultdict(int)
    rejected: dict[str, int] = defaultdict(int)
    for batch in batches:
        for file in batch.records:
            rows[file.month] += file.rows
        for month, count in batch.rejected_by_month.items():
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
        "select status, month, count(*) as records, sum(cost)::decimal(38, 9) as cost, currency "
        "from operations.late_records group by all order by all",
    )


def _accounts_not_landed(settings: Settings) -> list[str]:
    """Accounts that hold assets on paper, but that no tenants file has named: nothing is attributed to them."""
    if not settings.warehouse.exists():
        return []
    accounts = reader.rows(
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
    return [account for (account,) in accounts]

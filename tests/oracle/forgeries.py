"""Forged files: rows that claim anything about the past, for every key that a set of histories uses.

Here belongs only what a liar with write access to the carrier's export could deliver; the rows are well
formed, so the file lands with `accept_late`. Whether a lie has an effect is for the tests to say.
"""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from tests.oracle.facts import ASSET_COLUMN, Landing, Row
from tests.oracle.histories import tenant_row

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
FAR_AHEAD = datetime(2027, 1, 1, tzinfo=UTC)


class Forger:
    """Knows every key that the files and records of a set of histories name, and lies about all of them."""

    def __init__(self, landings: Sequence[Landing], seed: int) -> None:
        """Collect the tenants, the assets, and the headers and assets that nobody has seen assigned."""
        self._rng = random.Random(seed)
        self._tenants = _values(landings, "tenants", "account_id")
        headers = _values(landings, "cdrs", "x_tenant")
        self._strangers = [*(header for header in headers if header.startswith("nobody")), "forger-1", "forger-2"]
        unknown_numbers = [number for number in _values(landings, "cdrs", "number") if number.startswith("+47")]
        unknown_ips = [ip for ip in _values(landings, "cdrs", "source_ip") if ip.startswith("192.0.2.")]
        self._assets = {
            "number_assignments": _values(landings, "number_assignments", "number") + unknown_numbers,
            "ip_assignments": _values(landings, "ip_assignments", "ip") + unknown_ips,
        }

    def forge(self, feed: str, landed_at: datetime) -> Landing:
        """Forge a file of a feed that touches every tenant or asset."""
        rows = self._tenant_rows(landed_at) if feed == "tenants" else self._assignment_rows(feed, landed_at)
        return Landing(feed, rows, landed_at, accept_late=True, name="forged")

    def _assignment_rows(self, feed: str, landed_at: datetime) -> list[Row]:
        accounts = [*self._tenants, *self._strangers, None]
        return [
            _assignment(ASSET_COLUMN[feed], asset, self._rng.choice(accounts), landed_at, self._rng)
            for asset in self._assets[feed]
            for _ in range(self._rng.randint(1, 2))
        ]

    def _tenant_rows(self, landed_at: datetime) -> list[Row]:
        """Archive half of the tenants in the past, and claim that headers in use were tenants all along."""
        gone = [account for account in self._tenants if self._rng.random() < 0.5]
        return [
            tenant_row(account, _between(LONG_AGO, landed_at, self._rng).isoformat(), archived=archived)
            for accounts, archived in ((gone, "true"), (self._strangers, None))
            for account in accounts
        ]


def _assignment(column: str, asset: str, account: str | None, landed_at: datetime, rng: random.Random) -> Row:
    recorded = _between(LONG_AGO, landed_at, rng)
    starts = rng.choice((None, _between(LONG_AGO, FAR_AHEAD, rng)))
    row: Row = {
        column: asset,
        "account_id": account,
        "valid_from": starts and starts.isoformat(),
        "recorded_at": recorded.isoformat(),
    }
    if account is not None and rng.random() < 0.5:
        ends = _between(starts or recorded, FAR_AHEAD, rng) + timedelta(seconds=1)
        row |= {"valid_to": ends.isoformat(), "end_recorded_at": _between(LONG_AGO, landed_at, rng).isoformat()}
    return row


def _values(landings: Sequence[Landing], feed: str, column: str) -> list[str]:
    return sorted(
        {row[column] for landing in landings if landing.feed == feed for row in landing.rows if row.get(column)}
    )


def _between(low: datetime, high: datetime, rng: random.Random) -> datetime:
    return low + (high - low) * rng.random()

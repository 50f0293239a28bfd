"""Landing through the Python interface, at a time of ours, and a look at what landed.

What belongs here: fixtures of this folder. What does not: expectations.
"""

import os
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from orchestration import clock, engine, settings
from orchestration.commands.land import Delivery, Landing, land
from orchestration.landing import receipts
from orchestration.landing.receipts import Receipt
from orchestration.warehouse import cache

REFRESH = cache.refresh


class Warehouse:
    """A data folder of its own; every call lands at the time that `at` said last.

    `warehouse.duckdb`, a cache, is not made anew after each landing: that costs more than the landing itself.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        self.settings = settings.load(folder / "data")
        monkeypatch.setattr(cache, "refresh", lambda _: None)
        self.at("2026-03-20T12:00:00+00:00")

    def at(self, instant: str) -> None:
        moment = datetime.fromisoformat(instant)
        self._monkeypatch.setattr(clock, "now", lambda: moment)

    def with_published_warehouse(self) -> None:
        """From here on `warehouse.duckdb` is kept up to date, as it is outside of tests."""
        self._monkeypatch.setattr(cache, "refresh", REFRESH)
        REFRESH(self.settings)

    def land(
        self,
        feed: str,
        *paths: Path,
        source: str | None = None,
        accept_late: bool = False,
        cutoff: str | None = None,
    ) -> list[Landing]:
        until = datetime.fromisoformat(cutoff) if cutoff else None
        delivery = Delivery(source=source, accept_late=accept_late, cutoff=until)
        return land(self.settings, feed, list(paths), delivery)

    def receipt(self, feed: str, path: Path, **options) -> Receipt:
        """Land one file and give back its receipt."""
        (landing,) = self.land(feed, path, **options)
        return landing.receipt

    @property
    def receipts(self) -> list[Receipt]:
        return receipts.load(self.settings)

    def usable(self, feed: str = "cdrs", columns: str = "*", order: str = "batch_id, source_row") -> list[tuple]:
        """The landed rows of a feed, all batches."""
        return self._rows([r.path(f) for r in self.receipts if r.feed == feed for f in r.files], columns, order)

    def described(self, feed: str) -> list[tuple[str, str]]:
        """The columns of the landed files of a feed, with their types."""
        paths = [r.path(f) for r in self.receipts if r.feed == feed for f in r.files]
        with duckdb.connect() as connection:
            described = connection.execute(f"describe select * from {engine.parquet(paths)}").fetchall()
        return [(name, kind) for name, kind, *_ in described]

    def rejected(self, columns: str = "*") -> list[tuple]:
        return self._rows([r.path(r.rejected) for r in self.receipts if r.rejected], columns, "batch_id, source_row")

    def _rows(self, paths: list[Path], columns: str, order: str) -> list[tuple]:
        if not paths:
            return []
        with duckdb.connect() as connection:
            connection.execute("set TimeZone = 'UTC'")
            return connection.execute(f"select {columns} from {engine.parquet(paths)} order by {order}").fetchall()


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    for name in [name for name in os.environ if name.startswith("STATEMENTS_")]:
        monkeypatch.delenv(name)
    return Warehouse(tmp_path, monkeypatch)

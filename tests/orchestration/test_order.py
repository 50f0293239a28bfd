"""The order and the files in which records come do not matter: the same records give the same statements."""

import random
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestration import clock, settings
from orchestration.close import close
from orchestration.demo import carrier
from orchestration.landing.land import Delivery, land
from orchestration.months import Month

NOW = datetime(2026, 4, 2, tzinfo=UTC)
TABLES = ("statements", "statement_lines", "organization_statement", "organization", "usage_by_asset", "unattributed")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return carrier.write_feeds(tmp_path_factory.mktemp("feeds"), NOW, months=1, records_per_month=2_000)


def _closed(made, cdrs, folder, monkeypatch):
    monkeypatch.setattr(clock, "now", lambda: NOW)
    configuration = settings.load(folder / "data")
    for feed in ("tenants", "number_assignments", "ip_assignments"):
        land(configuration, feed, [getattr(made, feed)], Delivery())
    land(configuration, "cdrs", cdrs, Delivery())
    month = Month.parse(made.months[-1])
    return close.close_month(configuration, month, accept_rejected=False, progress=lambda _: None).manifest.folder


def test_shuffled_rows_split_over_files_give_the_same_tables(made, tmp_path, monkeypatch):
    deliveries = pq.read_table(next(path for path in made.cdrs if path.suffix == ".parquet")).to_pylist()
    # Of a record that comes twice, the later delivery counts: there the order does matter.
    rows = list({row["record_id"]: row for row in deliveries}.values())
    schema = pq.read_schema(next(path for path in made.cdrs if path.suffix == ".parquet"))
    whole = tmp_path / "whole.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema), whole)
    random.Random(1).shuffle(rows)
    parts = [tmp_path / f"part-{number}.parquet" for number in range(3)]
    for number, part in enumerate(parts):
        pq.write_table(pa.Table.from_pylist(rows[number::3], schema), part)
    one = _closed(made, [whole], tmp_path / "one", monkeypatch)
    other = _closed(made, parts, tmp_path / "other", monkeypatch)
    for table in TABLES:
        tables = [pq.read_table(folder / f"{table}.parquet") for folder in (one, other)]
        assert tables[0].num_rows > 0
        assert tables[0] == tables[1], table

"""The published warehouse as a cache: what a refresh keeps is what a rebuild would say."""

import duckdb
import pytest

from orchestration.commands import registry
from orchestration.errors import Refused
from orchestration.warehouse import cache, reader
from tests.unit.deliveries import number_of, record, tenant, write_csv

ASSETS = ("tenants", "numbers", "ips", "number_assignment_history", "ip_assignment_history")


def contents(settings) -> dict[str, list[tuple]]:
    return {name: reader.rows(settings, f"select * from assets.{name} order by all") for name in ASSETS}


@pytest.mark.slow
def test_a_refreshed_warehouse_says_of_the_assets_what_a_rebuilt_one_says(warehouse, tmp_path, monkeypatch):
    made = []
    create = cache._create_assets
    monkeypatch.setattr(cache, "_create_assets", lambda *given: (made.append(1), create(*given)))
    warehouse.with_published_warehouse()
    warehouse.receipt("tenants", write_csv(tmp_path / "t.csv", tenant("alpha"), tenant("beta")))
    warehouse.receipt("number_assignments", write_csv(tmp_path / "n.csv", number_of("alpha")))
    times = len(made)
    warehouse.receipt("cdrs", write_csv(tmp_path / "c.csv", record("a")))
    assert len(made) == times, "records alone do not change who held what"
    registry.assign(warehouse.settings, "number", "+12015550101", "beta")
    assert len(made) == times + 1
    refreshed = contents(warehouse.settings)
    assert ("+12015550101", "local", "beta") in [row[:3] for row in refreshed["numbers"]]
    cache.rebuild(warehouse.settings)
    assert contents(warehouse.settings) == refreshed
    assert reader.rows(warehouse.settings, "select count(*) from operations.batches") == [(4,)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content[:4200] + bytes([content[4200] ^ 1]) + content[4201:],
        pytest.param(lambda content: b"", marks=pytest.mark.long),
        pytest.param(lambda content: b"garbage", marks=pytest.mark.long),
        pytest.param(lambda content: bytes(len(content)), marks=pytest.mark.long),
        pytest.param(lambda content: b"".join([content[:8], b"XXXX", content[12:]]), marks=pytest.mark.long),
    ],
    ids=["torn", "a flipped bit", "empty", "another file", "zeros", "no DuckDB"],
)
def test_a_warehouse_that_cannot_be_read_is_made_anew(warehouse, tmp_path, spoil):
    warehouse.with_published_warehouse()
    warehouse.receipt("tenants", write_csv(tmp_path / "t.csv", tenant("alpha")))
    published = warehouse.settings.warehouse
    published.write_bytes(spoil(published.read_bytes()))
    warehouse.receipt("cdrs", write_csv(tmp_path / "c.csv", record("a")))
    assert [row[0] for row in contents(warehouse.settings)["tenants"]] == ["alpha"]


def test_a_question_for_which_the_memory_does_not_do_is_refused(warehouse, tmp_path):
    warehouse.with_published_warehouse()
    warehouse.receipt("tenants", write_csv(tmp_path / "t.csv", tenant("alpha")))
    with (
        pytest.raises(Refused, match="Out of Memory"),
        reader.reading(warehouse.settings) as connection,
    ):
        connection.execute("set memory_limit = '2MB'; select list(n) from range(1_000_000) as numbers (n)")


@pytest.mark.slow
def test_asset_tables_of_other_models_are_not_kept(warehouse, tmp_path):
    warehouse.with_published_warehouse()
    warehouse.receipt("tenants", write_csv(tmp_path / "t.csv", tenant("alpha")))
    with duckdb.connect(str(warehouse.settings.warehouse)) as connection:
        connection.execute("delete from assets.tenants; comment on table assets.tenants is 'Made from something else'")
    warehouse.receipt("cdrs", write_csv(tmp_path / "c.csv", record("a")))
    assert [row[0] for row in contents(warehouse.settings)["tenants"]] == ["alpha"]

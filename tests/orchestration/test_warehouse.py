"""The published warehouse beside frozen months: what a refresh keeps is what a rebuild would make."""

import duckdb
import pytest

from orchestration.warehouse import cache
from tests.conftest import CommandLine
from tests.orchestration.conftest import AFTER_APRIL, APRIL, closing, land, settings_of
from tests.unit.deliveries import record


def described(line: CommandLine) -> list[tuple]:
    """Everything that the warehouse says of itself: its views' SQL, its tables' rows counted, and every comment."""
    with duckdb.connect(str(line.data / "warehouse.duckdb"), read_only=True) as connection:
        views = "select schema_name, view_name, sql, comment from duckdb_views() where not internal"
        tables = "select schema_name, table_name, sql, comment from duckdb_tables()"
        columns = (
            "select schema_name, table_name, column_name, data_type, comment from duckdb_columns() where not internal"
        )
        found = [connection.execute(f"{query} order by all").fetchall() for query in (views, tables, columns)]
        services = connection.execute("from reports.services order by all").fetchall()
    return [*found, services]


@pytest.mark.long
def test_a_refreshed_warehouse_describes_itself_as_a_rebuilt_one(copy_of, closed_march):
    """After a landing, after a change of the operator's services, and in another folder."""
    line = copy_of(closed_march, AFTER_APRIL)
    lands = [lambda: land(line, "cdrs", record("more", started_at="2026-04-02T00:00:00Z"))]
    lands.append(lambda: (add_service(line), land(line, "cdrs", record("again", started_at="2026-04-03T00:00:00Z"))))
    lands.append(lambda: closing(line, APRIL))
    for change in lands:
        change()
        refreshed = described(line)
        cache.rebuild(settings_of(line))
        assert described(line) == refreshed
    moved = line.folder.parent / "moved"
    line.data.parent.rename(moved)
    line.data = moved / "data"
    line.folder = moved
    land(line, "cdrs", record("once more", started_at="2026-05-01T00:00:00Z"))
    with duckdb.connect(str(line.data / "warehouse.duckdb"), read_only=True) as connection:
        assert connection.execute("select count(distinct month) from statements.statements").fetchone() == (2,)


def add_service(line: CommandLine) -> None:
    text = "service,direction,attributed_by,unit,section,title\nfax,inbound,number,minute,inbound,Faxes received\n"
    (line.data / "services.csv").write_text(text, encoding="utf-8")

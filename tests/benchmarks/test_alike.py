"""The checker of the benchmark's like-for-like table: it passes what is due and tells everything else.

The expectations are worked out by hand from the rules for nine deliveries, so that the checker and the engine that
leaves the files cannot agree on the same mistake.
"""

import json
import subprocess
import sys
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from benchmarks.alike import contract, judge
from benchmarks.alike.contract import Job

ROOT = Path(__file__).parents[2]
DELIVERIES = """
    -- record, service, direction, start, seconds, number, source_ip, x_tenant, cost, row
    ('r1', 'inbound_conversational', 'inbound', '2026-10-01 00:00:00', 60, '+12015550001', null, null, 0.010, 1),
    -- Repeats the one before: that one stands.
    ('r1', 'inbound_conversational', 'inbound', '2026-10-01 00:00:00', 60, '+12015550001', null, null, 0.010, 2),
    ('r2', 'inbound_conversational', 'inbound', '2026-10-01 00:00:30', 60, '+12015550001', null, null, 0.020, 3),
    -- Begins when the first one ends.
    ('r3', 'inbound_conversational', 'inbound', '2026-10-01 00:01:00', 10, '+12015550001', null, null, 0.030, 4),
    ('r4', 'outbound_dialer', 'outbound', '2026-10-02 00:00:00', 7, null, '192.0.2.1', 'A.example.net', 0.040, 5),
    -- Says something else than the one before: this one stands.
    ('r4', 'outbound_dialer', 'outbound', '2026-10-02 00:00:00', 7, null, '192.0.2.1', 'A.example.net', 0.050, 6),
    ('r5', 'outbound_dialer', 'outbound', '2026-10-03 00:00:00', 7, null, '192.0.2.1', 'a.example.net', 0.060, 7),
    ('r6', 'outbound_dialer', 'outbound', '2026-10-03 00:00:00', 7, null, 'unknown', null, 0.070, 8),
    ('r7', 'sms_sent', 'outbound', '2026-10-31 23:59:59.999999', null, '+12015550002', null, null, 0.080, 9)
"""
LIFE = "timestamptz '2020-01-01', timestamptz '2026-11-01'"


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """What DuckDB by hand leaves of nine deliveries, and what the checker expects of them."""
    folder = tmp_path_factory.mktemp("alike")
    connection = duckdb.connect()
    connection.execute(
        f"""
        set TimeZone = 'UTC';
        copy (
            select
                record_id, 'c' as call_id, service, direction, start::timestamptz as started_at, s as duration_seconds,
                s as billed_seconds, number, '1' as from_number, '2' as to_number, source_ip, x_tenant,
                null::varchar as routed_to, cost::decimal(18, 9) as cost, 'USD' as currency, 'b' as batch_id,
                r::bigint as source_row
            from (values {DELIVERIES})
                as t(record_id, service, direction, start, s, number, source_ip, x_tenant, cost, r)
        ) to '{folder}/cdrs.parquet';
        copy (
            select * from (values
                ('+12015550001', 'A.example.net', 'n:1', timestamptz '2020-01-01', timestamptz '2026-11-01', {LIFE}),
                ('+12015550002', null, 'n:2', timestamptz '2020-01-01', timestamptz '2026-11-01', null, null),
                ('192.0.2.1', 'B.example.net', 'i:1', timestamptz '2020-01-01', timestamptz '2026-11-01', {LIFE})
            ) as t(asset, account_id, assignment_id, valid_from, valid_until, alive_from, alive_until)
        ) to '{folder}/holdings.parquet';
        copy (
            select account_id, name as tenant_name, event as assignment_id, {LIFE.replace(",", " as alive_from,")}
                as alive_until, null::timestamptz as archived_at, true as has_statement, 0::bigint as asset_changes,
                1::bigint as local_numbers, 0::bigint as toll_free_numbers
            from (values ('A.example.net', 'A', 't:1'), ('B.example.net', 'B', 't:2')) as t(account_id, name, event)
        ) to '{folder}/tenants.parquet'
        """
    )
    out = folder / "out"
    out.mkdir()
    paths = {name: str(folder / f"{name}.parquet") for name in ("holdings", "tenants")}
    job = {"cdrs": [str(folder / "cdrs.parquet")], **paths, "out": str(out), "month": "2026-10", "memory_mb": None}
    (out / "job.json").write_text(json.dumps(job))
    command = [sys.executable, "-m", "benchmarks.alike.duckdb_by_hand", out / "job.json"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    judge.expect(Job(**job | {"out": out}), folder / "expected.duckdb")
    return out, folder / "expected.duckdb"


def usage(out: Path) -> list[tuple]:
    source = f"read_parquet('{out}/usage/*.parquet', hive_partitioning = false)"
    columns = "record_id, source_row, account_id, attributed_by, reason, assignment_id, conflict_header_ip"
    return duckdb.sql(f"select {columns} from {source} order by record_id").fetchall()


def test_the_checker_passes_what_the_rules_say(left: tuple[Path, Path]) -> None:
    """Rules 8 to 11, 15, 16, 18 and 25."""
    out, kept = left
    assert usage(out) == [
        ("r1", 1, "A.example.net", "number", None, "n:1", False),
        ("r2", 3, "A.example.net", "number", None, "n:1", False),
        ("r3", 4, "A.example.net", "number", None, "n:1", False),
        ("r4", 6, "A.example.net", "header", None, "t:1", True),
        ("r5", 7, None, None, "header_case_mismatch", None, False),
        ("r6", 8, None, None, "ip_malformed", None, False),
        ("r7", 9, None, None, "number_unassigned", "n:2", False),
    ]
    columns = "account_id, peak_channels, total_cost::varchar, inbound_minutes::varchar"
    rows = duckdb.sql(f"select {columns} from '{out}/statements.parquet' order by 1").fetchall()
    assert rows == [("A.example.net", 2, "0.110000000", "2.166667"), ("B.example.net", 0, "0.000000000", "0.000000")]
    assert judge.judge(out, kept) == []


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        (
            "usage/day=01",
            "select * replace ((cost + 0.000000001)::decimal(18, 9) as cost) from rows",
            "usage of day 01: 3 rows",
        ),
        ("usage/day=01", "from rows limit 2", "usage of day 01: 2 rows"),
        ("usage/day=01", "from rows order by record_id desc", "usage of day 01 is not in order"),
        ("usage/day=02", "select * replace ('i:1' as assignment_id) from rows", "usage of day 02: 1 rows"),
        ("usage/day=03", "select * replace (true as conflict_header_ip) from rows", "usage of day 03: 2 rows"),
        ("usage/day=04", "select * exclude (reason) from rows", "usage of day 04 has other columns"),
        (
            "statements",
            "select * replace (peak_channels + 1 as peak_channels) from rows",
            "statements: 2 expected rows",
        ),
        ("organization", "select * replace (usage_cost * 2 as usage_cost) from rows", "organization: 1 expected row"),
        ("unattributed", "select * replace ('ip_unknown' as reason) from rows", "unattributed: "),
        ("usage_by_asset", "from rows union all from rows", "usage_by_asset is not in order"),
    ],
)
def test_the_checker_tells_what_is_wrong(left: tuple[Path, Path], name: str, change: str, told: str) -> None:
    out, kept = left
    path = out / f"{name}.parquet"
    before = path.read_bytes()
    rows = duckdb.connect()
    rows.execute(f"set TimeZone = 'UTC'; create view rows as from read_parquet('{path}', hive_partitioning = false)")
    try:
        changed = rows.execute(change).fetch_arrow_table()
        pq.write_table(changed, path, compression="zstd")
        wrong = judge.judge(out, kept)
    finally:
        path.write_bytes(before)
    assert any(text.startswith(told) for text in wrong), wrong
    assert f"{name}.parquet has another SHA-256" in wrong


def test_the_checker_tells_a_missing_file(left: tuple[Path, Path]) -> None:
    out, kept = left
    path = out / "usage/day=31.parquet"
    before = path.read_bytes()
    path.unlink()
    try:
        assert "usage/day=31.parquet is missing" in judge.judge(out, kept)
    finally:
        path.write_bytes(before)


def test_the_wide_columns_are_those_of_the_rules() -> None:
    """Rule 25: two columns per service, and those of the sections."""
    names = [column.name for column in contract.wide()]
    assert names[:2] == ["outbound_conversational_minutes", "outbound_conversational_cost"]
    assert len(names) == len(set(names)) == 2 * 21 + 5 + 2 * 2 + 2

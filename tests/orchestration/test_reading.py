"""Reading what was closed and landed: every command that looks, exports, and the proof that nothing stored has changed."""

import csv
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from orchestration import guarded_csv
from orchestration.close import tables
from orchestration.settings import PROJECT_ROOT, SEEDS
from tests.conftest import CommandLine
from tests.orchestration.conftest import AFTER_APRIL, stand_in


@pytest.fixture
def line(closed_april: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The shared warehouse with two closed months, which reading does not change, seen from a folder of one's own."""
    here = stand_in(tmp_path, monkeypatch, AFTER_APRIL)
    here.data = closed_april / "data"
    return here


def json_of(line: CommandLine, command: str):
    return json.loads(line.must(f"{command} --json").stdout)


# Looking --------------------------------------------------------------------------------------------------------------


def test_list_names_the_closed_months_with_their_heads(line):
    march, april = json_of(line, "list")
    assert (march["month"], march["records"], march["unattributed"]) == ("2026-03", 8, 3)
    assert march["totals"] == {"USD": "32.010000000"}
    assert (april["month"], len(april["manifest_sha256"])) == ("2026-04", 64)
    assert "2026-03" in line.must("list").stdout


def test_show_tells_a_tenants_month(line):
    found = json_of(line, "show 2026-03 alpha")
    (statement,) = found["statements"]
    assert (statement["statement_id"], statement["tenant_name"]) == ("alpha/2026-03/USD", "=Alpha, Inc")
    assert (statement["total_cost"], statement["inbound_calls_count"]) == ("0.760000000", 2)
    assert [(row["service"], row["record_count"], row["cost"]) for row in found["lines"]] == [
        ("inbound_conversational", 2, "0.760000000")
    ]
    said = line.must("show 2026-03 alpha").stdout
    assert "Statement alpha/2026-03/USD: =Alpha, Inc" in said
    assert "Total 0.76 USD" in said


def test_show_tells_each_correction_from_what_was_stated_to_what_holds(line):
    """Rule 26: a reversal and a restatement add up to nothing but the difference, and their line to no record."""
    found = json_of(line, "show 2026-04 alpha")
    told = [(row["record_id"], row["cost_before"], row["cost_now"], row["difference"]) for row in found["corrections"]]
    assert told == [
        ("late", None, "64.000000000", "64.000000000"),
        ("in-alpha", "0.010000000", "0.020000000", "0.010000000"),
    ]
    assert {row["usage_month"] for row in found["corrections"]} == {"2026-03-01"}
    assert sum(Decimal(row["difference"]) for row in found["corrections"]) == Decimal(
        found["statements"][0]["correction_cost"]
    )
    said = line.must("show 2026-04 alpha").stdout
    assert re.search(r"2026-03 │ in-alpha │ inbound_conversational │ inbound +│ +0\.01 +│ +0\.02 +│ +0\.01", said)
    whole = json_of(line, "show 2026-04")["corrections"]
    assert [(row["record_id"], row["account_before"], row["account_now"]) for row in whole] == [
        ("late", None, "alpha"),
        ("in-alpha", "alpha", "alpha"),
    ]


def test_show_tells_a_month_without_usage(line):
    assert "No usage." in line.must("show 2026-03 quiet").stdout
    assert json_of(line, "show 2026-03 quiet")["lines"] == []


def test_show_tells_the_organizations_month_attributed_and_not(line):
    found = json_of(line, "show 2026-03")
    (statement,) = found["statements"]
    assert statement["total_cost"] == "32.010000000"
    unattributed = sum(Decimal(row["unattributed_cost"]) for row in found["lines"])
    attributed = sum(Decimal(row["attributed_cost"]) for row in found["lines"])
    assert (attributed, unattributed) == (Decimal("4.01"), Decimal(28))
    assert "Organization, 2026-03, USD" in line.must("show 2026-03").stdout
    assert [row["section"] for row in found["lines"]] == ["outbound", "inbound"]


def test_show_refuses_whom_it_does_not_know(line):
    for who in ("nobody", "ALPHA", "alpha%"):
        outcome = line.run(f"show 2026-03 {who}")
        assert (outcome.exit_status, outcome.stdout) == (1, "")
        assert "has no statement for 2026-03" in outcome.stderr


def test_status_tells_what_is_landed_late_rejected_and_due(line):
    line.at("2026-06-01T12:00:00+00:00")
    found = json_of(line, "status")
    assert [(feed["feed"], feed["batches"], feed["rows"], feed["rejected_rows"]) for feed in found["feeds"]] == [
        ("cdrs", 4, 16, 1), ("tenants", 1, 3, 0), ("number_assignments", 1, 4, 0), ("ip_assignments", 1, 2, 0),
    ]  # fmt: skip
    states = {month["month"]: (month["state"], month["rejected_rows"]) for month in found["months"]}
    assert states == {
        "2026-02": ("open", 0),
        "2026-03": ("closed", 1),
        "2026-04": ("closed", 0),
        "2026-05": ("open", 0),
    }
    late = {(row["status"], row["month"]) for row in found["late_records"]}
    assert late >= {("waiting", "2026-03"), ("before_first_month", "2026-02")}
    assert found["due"] == ["2026-05"]
    assert "Due: 2026-05" in line.must("status").stdout


def test_rejected_names_file_row_and_reason(line):
    (row,) = json_of(line, "rejected")
    assert (row["record_id"], row["reason"], row["source_row"], row["month"]) == (
        "broken",
        "cost_unusable",
        11,
        "2026-03",
    )
    assert "cost_unusable" in line.must("rejected").stdout


def test_tenant_list_shows_lives_and_no_contact_data(line):
    rows = json_of(line, "tenant list")
    assert [row["account_id"] for row in rows] == ["alpha", "beta", "quiet"]
    assert set(rows[0]) == {"account_id", "tenant_name", "alive_from", "archived_at"}


def test_assignments_shows_who_held_what_also_when_it_is_spelled_otherwise(line):
    """Rule 5: the history of an asset."""
    history = json_of(line, "assignments '(201) 555-0103'")
    assert [(row["account_id"], row["valid_from"], row["valid_to"]) for row in history] == [
        ("alpha", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"),
        (None, "2026-02-01T00:00:00Z", None),
    ]
    assert [row["account_id"] for row in json_of(line, "assignments ::ffff:192.0.2.2")] == ["beta"]


@pytest.mark.parametrize(
    ("record_id", "sentences"),
    [
        ("out-header", ["Rule 9", "The header says 'beta'", "The header wins over the IP's tenant", "held by alpha", "beta/2026-03/USD"]),
        ("out-ip", ["Rule 9", "192.0.2.2 was held by beta from 2026-01-01 00:00:00 UTC", "beta/2026-03/USD"]),
        ("in-alpha", ["Rule 8", "+12015550101 was held by alpha", "header 'beta' is ignored", "Not consulted: the source IP 192.0.2.2 was held by beta"]),
        ("in-nobody", ["attributed to nobody", "nobody was ever given the number +12015550199", "number_unknown", "among the unattributed"]),
        ("in-released", ["attributed to nobody", "had been released", "number_unassigned"]),
        ("out-case", ["differs from an Account ID in upper and lower case", "header_case_mismatch", "held by beta"]),
        ("twice", ["delivered again in row 9", "with another call_id, cost", "0.75"]),
        ("broken", ["was rejected: cost_unusable", "Row 11"]),
        ("in-february", ["older than the first month stated"]),
        ("may", ["Its month is not closed yet", "held by alpha"]),
        ("waiting", ["It landed after 2026-03 was frozen", "on no statement yet"]),
        ("late", ["It came after 2026-03 was frozen, so 2026-04 states it: 64.00 USD", "held by alpha", "alpha/2026-04/USD, as correction"]),
        ("in-alpha", ["alpha/2026-03/USD, as usage", "taken back in 2026-04: -0.01 USD, on statement alpha/2026-04/USD", "As a correction of 2026-03, 2026-04 states it anew: 0.02 USD"]),
    ],
)  # fmt: skip
def test_explain_says_why(line, record_id, sentences):
    """Rule 17."""
    said = line.must(f"explain {record_id}").stdout
    assert [words for words in sentences if words not in said] == [], said
    found = json_of(line, f"explain {record_id}")
    assert found["record_id"] == record_id
    assert " ".join(" ".join(found["explanation"]).split()) == said


# Exports --------------------------------------------------------------------------------------------------------------


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def test_one_tenants_export_holds_its_rows_alone_and_no_lineage(line):
    line.must("export 2026-03 --account alpha --format csv --format parquet --out out")
    folder = line.folder / "out" / "month=2026-03" / "account=alpha"
    names = {table.name for table in (*tables.TABLES, tables.USAGE) if table.tenants}
    assert {path.name for path in folder.iterdir()} == {"statement.json", "proof.json"} | {
        f"{name}.{form}" for name in names for form in ("csv", "parquet")
    }
    for name in names:
        from_csv, from_parquet = rows_of(folder / f"{name}.csv"), pq.read_table(folder / f"{name}.parquet")
        assert len(from_csv) == from_parquet.num_rows > 0
        assert {row["account_id"] for row in from_csv} == {"alpha"} == set(from_parquet["account_id"].to_pylist())
        columns = set(from_parquet.column_names) | set(from_csv[0])
        assert columns.isdisjoint({"routed_to", "batch_id", "source_row", "assignment_id"})
    held = {row["record_id"] for row in rows_of(folder / "usage.csv")}
    assert held == {"in-alpha", "twice"}


def test_a_whole_export_holds_every_table_and_the_unattributed(line):
    line.must("export 2026-03 --out out")
    folder = line.folder / "out" / "month=2026-03"
    names = {table.name for table in (*tables.TABLES, tables.USAGE)}
    assert {path.name for path in folder.iterdir()} == {f"{name}.csv" for name in names}
    assert len(rows_of(folder / "usage.csv")) == 8
    assert sum(Decimal(row["cost"]) for row in rows_of(folder / "usage.csv")) == Decimal("32.01")


def test_no_cell_of_a_csv_runs_in_a_spreadsheet(line):
    line.must("export 2026-03 --out out")
    cells = {row["record_id"]: row for row in rows_of(line.folder / "out" / "month=2026-03" / "usage.csv")}
    assert {name: row["call_id"] for name, row in cells.items() if row["call_id"]} == {
        "in-alpha": "'=1+1",
        "in-beta": "'-1",
        "out-header": "'@SUM(A1)",
        "out-ip": "''quoted",
        "twice": "second",
    }
    assert (cells["in-alpha"]["from_number"], cells["out-header"]["from_number"]) == ("+12015550188", "'+1 201")
    assert cells["in-alpha"]["started_at"] == "2026-03-05T10:00:00.000000Z"
    assert (cells["in-alpha"]["cost"], cells["in-alpha"]["reason"]) == ("0.010000000", "")
    (statement,) = [
        row for row in rows_of(line.folder / "out/month=2026-03/statements.csv") if row["account_id"] == "alpha"
    ]
    assert statement["tenant_name"] == "'=Alpha, Inc"


def test_every_character_that_runs_is_guarded(tmp_path):
    given = [
        "=a",
        "+a",
        "-a",
        "@a",
        "\ta",
        "\ra",
        "'a",
        "a=",
        " =a",
        "+12015550101",
        "+1201555010a",
        "-5",
        "",
        None,
        'a,"b"\nc',
    ]
    with duckdb.connect() as connection:
        connection.execute(
            "create table given as select unnest(?::varchar[]) as cell, unnest(range(15)) as place", [given]
        )
        guarded_csv.write(connection, "select * from given", ("place",), tmp_path / "given.csv")
    cells = [row["cell"] for row in rows_of(tmp_path / "given.csv")]
    guarded = {text for text in given if text and text[0] in "=+-@\t\r'" and text != "+12015550101"}
    assert cells == [f"'{text}" if text in guarded else text or "" for text in given]


def test_an_export_again_replaces_what_was_there_and_leaves_no_parts(line):
    for _ in range(2):
        line.must("export 2026-03 --account beta --out out")
    assert list((line.folder / "out").rglob(".*")) == []


# The warehouse --------------------------------------------------------------------------------------------------------


def test_the_warehouse_has_a_view_for_every_table_and_opens_read_only(line):
    with duckdb.connect(str(line.data / "warehouse.duckdb"), read_only=True) as connection:
        found = connection.execute("select table_schema, table_name from information_schema.tables").fetchall()
        names = {table.name for table in (*tables.TABLES, tables.USAGE)} | {"statement_documents"}
        assert {name for schema, name in found if schema == "statements"} == names
        assets = {"tenants", "numbers", "ips", "number_assignment_history", "ip_assignment_history"}
        assert {name for schema, name in found if schema == "assets"} == assets
        assert {name for schema, name in found if schema == "operations"} >= {
            "closes",
            "late_records",
            "rejected_rows",
            "batches",
        }
        for name in names:
            months = connection.execute(f"select distinct month from statements.{name} order by 1").fetchall()
            assert months[0] == ("2026-03",), name
            assert set(months) <= {("2026-03",), ("2026-04",)}
        current = connection.execute("select number, account_id from assets.numbers order by 1").fetchall()
        assert current == [("+12015550101", "alpha"), ("+12015550102", "beta"), ("+12015550103", None)]
        with pytest.raises(duckdb.Error):
            connection.execute("create table mine as select 1")


def test_every_relation_and_column_of_the_warehouse_has_a_comment(line):
    with duckdb.connect(str(line.data / "warehouse.duckdb"), read_only=True) as connection:
        relations = dict(
            connection.execute(
                "select schema_name || '.' || table_name, comment from duckdb_tables() union all "
                "select schema_name || '.' || view_name, comment from duckdb_views() where not internal"
            ).fetchall()
        )
        columns = connection.execute(
            "select schema_name || '.' || table_name, column_name, data_type, comment from duckdb_columns() "
            "where not internal"
        ).fetchall()
    assert len(relations) > 20
    assert len(columns) > 380
    assert [name for name, comment in relations.items() if not comment or "Grain: one row per" not in comment] == []
    assert [column[:2] for column in columns if not column[3] or not column[3].endswith((".", ")"))] == []
    comments = {(table, column): comment for table, column, _, comment in columns}
    assert "never added" in comments["statements.statements", "currency"]
    assert "take max(), not sum()" in comments["statements.statements", "peak_channels"]
    assert all("float64" in comment for _, _, kind, comment in columns if kind.startswith("DECIMAL"))
    # A DATE stands beside each month.
    months = {table for table, column, *_ in columns if column == "month"}
    assert months == {table for table, column, kind, _ in columns if (column, kind) == ("month_start", "DATE")}


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("select account_id, usage_cost, correction_cost, total_cost, previous_cost, change from reports.monthly_totals "
         "where month = '2026-04' order by 1",
         [("alpha", "128", "64.01", "192.01", "0.76", "191.25"), ("beta", "0", "0", "0", "3.25", "-3.25"), ("quiet", "0", "0", "0", "0", "0")]),
        ("select account_id, previous_cost, change from reports.monthly_totals where month = '2026-03' order by 1",
         [("alpha", None, None), ("beta", None, None), ("quiet", None, None)]),
        ("select place, account_id, change from reports.top_movers order by all", [(1, "alpha", "191.25"), (2, "beta", "-3.25")]),
        ("select reason, title, record_count, cost, assets from reports.unattributed_by_reason where month = '2026-03'",
         [("number_unassigned", "The number had been released", 1, "16", 1),
          ("number_unknown", "Nobody was ever given the number before the call", 1, "8", 1),
          ("header_case_mismatch", "The header differs from an Account ID in upper and lower case", 1, "4", 1)]),
        ("select service, title, record_count, cost, unattributed_cost, previous_cost, change from reports.service_trend "
         "where month = '2026-04' and direction = 'inbound'",
         [("inbound_conversational", "Inbound calls", 2, "192.01", "0", "25.01", "167.00")]),
    ],
)  # fmt: skip
def test_the_views_to_begin_from_say_what_the_statements_add_up_to(line, query, rows):
    with duckdb.connect(str(line.data / "warehouse.duckdb"), read_only=True) as connection:
        found = connection.execute(query).fetchall()
    amounts = [
        tuple(Decimal(cell) if isinstance(cell, str) and re.fullmatch(r"-?[\d.]+", cell) else cell for cell in row)
        for row in rows
    ]
    assert found == amounts


def test_every_service_and_every_reason_of_the_rules_has_a_title(line):
    rules = (PROJECT_ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
    rule = re.search(r"\*\*Rule 16\..*?\n\n<a", rules, re.DOTALL)[0]
    reasons = set(re.findall(r"`((?:number|header|tenant)_\w+)`", rule))
    reasons |= {name.replace("number_", "ip_") for name in reasons if name.startswith("number_")}
    with duckdb.connect(str(line.data / "warehouse.duckdb"), read_only=True) as connection:
        assert {reason for (reason,) in connection.execute("select reason from reports.reasons").fetchall()} == reasons
        services = connection.execute("select service, direction, title from reports.services").fetchall()
    with (SEEDS / "services.csv").open(encoding="utf-8") as file:
        assert {row[:2] for row in services} == {(row["service"], row["direction"]) for row in csv.DictReader(file)}
    assert [service for service, _, title in services if "_" in title or title != title.strip()] == []


def test_the_views_to_begin_from_work_in_a_copy_of_another_name(line, tmp_path):
    shutil.copy(line.data / "warehouse.duckdb", tmp_path / "mine.duckdb")
    with duckdb.connect(str(tmp_path / "mine.duckdb"), read_only=True) as connection:
        for name in ("monthly_totals", "service_trend", "unattributed_by_reason", "top_movers"):
            assert connection.execute(f"select count(*) from reports.{name}").fetchone()[0] > 0


def test_no_money_in_the_warehouse_is_a_floating_point_number(line):
    with duckdb.connect(str(line.data / "warehouse.duckdb"), read_only=True) as connection:
        kinds = connection.execute(
            "select table_name, column_name from information_schema.columns where data_type in ('FLOAT', 'DOUBLE', 'REAL')"
        ).fetchall()
    assert kinds == []


def contents(path: Path) -> dict[str, list[tuple]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        names = connection.execute("select table_schema, table_name from information_schema.tables").fetchall()
        return {
            f"{schema}.{name}": sorted(connection.execute(f"select * from {schema}.{name}").fetchall(), key=str)
            for schema, name in names
        }


@pytest.mark.long
@pytest.mark.parametrize("loss", ["deleted", "emptied", "spoilt"])
def test_a_lost_warehouse_is_made_again_the_same(copy_of, closed_april, loss):
    line = copy_of(closed_april, AFTER_APRIL)
    line.must("rebuild")
    warehouse = line.data / "warehouse.duckdb"
    before = contents(warehouse)
    if loss == "deleted":
        warehouse.unlink()
    else:
        warehouse.write_bytes(b"" if loss == "emptied" else b"not a database" * 1000)
    if loss != "emptied":
        assert line.run("show 2026-03").exit_status == 1
    line.must("rebuild")
    assert contents(warehouse) == before


# Proof ----------------------------------------------------------------------------------------------------------------


def opened(path: Path) -> Path:
    path.parent.chmod(0o755)
    path.chmod(0o644)
    return path


def flip(path: Path) -> None:
    content = bytearray(opened(path).read_bytes())
    content[len(content) // 3] ^= 4
    path.write_bytes(content)


def truncate(path: Path) -> None:
    opened(path).write_bytes(path.read_bytes()[:-1])


def delete(path: Path) -> None:
    opened(path).unlink()


def add(path: Path) -> None:
    (opened(path).parent / "extra.parquet").write_bytes(path.read_bytes())


FROZEN, LANDED = "data/statements/month=2026-03", "data/landing"
PLACES = [
    f"{FROZEN}/statements.parquet",
    f"{FROZEN}/statement_lines.csv",
    f"{FROZEN}/usage/day=05.parquet",
    f"{FROZEN}/manifest.json",
    f"{FROZEN}/SHA256SUMS",
    f"{LANDED}/cdrs/*/day=2026-03-*/*.parquet",
    f"{LANDED}/cdrs/*/rejected.parquet",
    f"{LANDED}/tenants/*/tenants.parquet",
    f"{LANDED}/number_assignments/*/receipt.json",
    f"{LANDED}/ip_assignments/*/SHA256SUMS",
]


@pytest.fixture(scope="module")
def damaged_once(closed_april: Path, tmp_path_factory) -> Path:
    return shutil.copytree(closed_april, tmp_path_factory.mktemp("damaged") / "copy")


@pytest.fixture
def damageable(damaged_once: Path, closed_april: Path, monkeypatch) -> Iterator[CommandLine]:
    """A copy of the two closed months for a test to damage; what is damaged is copied again afterwards."""
    yield stand_in(damaged_once, monkeypatch, AFTER_APRIL)
    for folder in ("statements", "landing"):
        for path in [damaged_once / "data" / folder, *(damaged_once / "data" / folder).rglob("*")]:
            if path.is_dir():
                path.chmod(0o755)
        shutil.rmtree(damaged_once / "data" / folder)
        shutil.copytree(closed_april / "data" / folder, damaged_once / "data" / folder)


def told(line: CommandLine, command: str = "verify") -> str:
    outcome = line.run(command)
    assert (outcome.exit_status, outcome.stdout) == (3, ""), outcome
    return outcome.stderr


@pytest.mark.parametrize(
    "damage", [flip, *(pytest.param(damage, marks=pytest.mark.long) for damage in (add, truncate, delete))]
)
def test_verify_finds_every_kind_of_damage_in_every_kind_of_file(damageable, damage: Callable[[Path], None]):
    missed = []
    for pattern in PLACES:
        # One byte of SHA256SUMS is the matter of `unit/test_files.py`.
        if pattern.endswith("SHA256SUMS") and damage is not delete:
            continue
        path = sorted(damageable.folder.glob(pattern))[0]
        content, mode, folder_mode = path.read_bytes(), path.stat().st_mode, path.parent.stat().st_mode
        damage(path)
        outcome = damageable.run("verify")
        if outcome.exit_status != 3 or (path.name not in outcome.stderr and "extra.parquet" not in outcome.stderr):
            missed.append((pattern, outcome))
        (path.parent / "extra.parquet").unlink(missing_ok=True)
        path.write_bytes(content)
        path.chmod(mode)
        path.parent.chmod(folder_mode)
    assert missed == []
    damageable.must("verify")


def test_verify_names_the_head_that_was_noted_elsewhere(line):
    head = json_of(line, "list")[-1]["manifest_sha256"]
    assert head in line.must(f"verify --expect-head {head}").stdout
    assert f"not {'0' * 64}" in told(line, f"verify --expect-head {'0' * 64}")


@pytest.mark.long
def test_a_head_that_was_noted_in_part_is_compared_in_part(line):
    head = json_of(line, "list")[-1]["manifest_sha256"]
    for part in (head[:16], head[:40].upper(), head[:63]):
        assert head in line.must(f"verify --expect-head {part}").stdout
    other = head[:15] + ("1" if head[15] == "0" else "0")
    assert f"the head is {head}, not {other}" in told(line, f"verify --expect-head {other}")


@pytest.mark.parametrize(
    "change",
    [
        lambda head: head[:15],
        lambda head: head + "0",
        lambda head: head[:-1] + "g",
        lambda head: "",
        lambda head: head[:16] + "…",
    ],
)
def test_what_can_be_no_head_is_wrong_usage_and_no_damage(line, change):
    head = change(json_of(line, "list")[-1]["manifest_sha256"])
    outcome = line.run(f"verify --expect-head '{head}'")
    assert (outcome.exit_status, outcome.stdout) == (2, "")
    assert "--expect-head is a head as a close prints it, or its first 16 digits at least." in outcome.stderr


def test_a_month_that_was_taken_away_is_missed(damageable):
    april = damageable.data / "statements" / "month=2026-04"
    head = json_of(damageable, "list")[-1]["manifest_sha256"]
    shutil.move(april, damageable.folder / "away")
    assert "the head is" in told(damageable, f"verify --expect-head {head}")
    shutil.move(damageable.folder / "away", april)
    shutil.move(damageable.data / "statements" / "month=2026-03", damageable.folder / "away")
    try:
        told(damageable)
    finally:
        shutil.rmtree(damageable.folder / "away", ignore_errors=True)


def test_two_months_in_each_others_place_are_found(damageable):
    folder = damageable.data / "statements"
    folder.chmod(0o755)
    for old, new in (("month=2026-03", "x"), ("month=2026-04", "month=2026-03"), ("x", "month=2026-04")):
        (folder / old).rename(folder / new)
    assert "manifest.json is not the manifest that was frozen" in told(damageable)


def test_a_stray_folder_among_the_frozen_months_is_found(damageable):
    (damageable.data / "statements" / "march").mkdir()
    assert "does not belong among the frozen months" in told(damageable)


def test_a_landed_batch_that_is_gone_is_found(damageable):
    (batch,) = (damageable.data / "landing" / "ip_assignments").iterdir()
    shutil.move(batch, damageable.folder / batch.name)
    try:
        said = told(damageable)
        assert "landed batches are missing" in said or batch.name in said
    finally:
        shutil.rmtree(damageable.folder / batch.name, ignore_errors=True)


def forge(folder: Path, change: Callable[[dict], None]) -> None:
    """Edit a manifest and put its new hash into SHA256SUMS, as somebody would who knows how."""
    path = opened(folder / "manifest.json")
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    content = json.loads(path.read_bytes())
    change(content)
    path.write_bytes(json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())
    sums = opened(folder / "SHA256SUMS")
    after = hashlib.sha256(path.read_bytes()).hexdigest()
    assert before != after
    sums.write_text(sums.read_text(encoding="utf-8").replace(before, after), encoding="utf-8")


@pytest.mark.parametrize(
    ("month", "change", "words"),
    [
        ("2026-04", lambda manifest: manifest.update(totals={"USD": "1.000000000"}), "add up to other totals"),
        ("2026-04", lambda manifest: manifest["counts"].update(accepted=5), "accepted against written usage"),
        ("2026-04", lambda manifest: manifest.update(totals_since_first_month={"USD": "1"}), "totals since the first month"),
        ("2026-04", lambda manifest: manifest.update(previous_manifest_sha256="1" * 64), "was frozen after another 2026-03"),
        ("2026-04", lambda manifest: manifest.update(previous_month=None), "names a previous manifest"),
        ("2026-04", lambda manifest: manifest["outputs"].pop(), "holds other files than its manifest lists"),
        ("2026-04", lambda manifest: manifest["inputs"][0].update(batch_id="00000099-abc"), "from which a frozen month was made"),
        ("2026-03", lambda manifest: manifest.update(closed_at="2026-04-03T00:00:00+00:00"), "2026-04 was frozen after another 2026-03"),
    ],
)  # fmt: skip
def test_a_manifest_that_was_edited_with_its_hash_is_found(damageable, month, change, words):
    forge(damageable.data / "statements" / f"month={month}", change)
    assert words in told(damageable)


@pytest.mark.parametrize(
    "change",
    [lambda m: m.pop("totals"), lambda m: m.pop("outputs"), lambda m: m.update(counts={}), lambda m: m.update(totals={"USD": "x"}),
     lambda m: m.update(inputs=None), lambda m: m.update(previous_month="x")],
)  # fmt: skip
def test_a_manifest_that_lost_its_shape_is_damage_and_no_traceback(damageable, change):
    forge(damageable.data / "statements" / "month=2026-04", change)
    told(damageable)


def test_verifying_changes_nothing(line):
    before = {
        path: path.stat().st_mtime_ns for path in line.data.rglob("*") if path.is_file() and "build" not in path.parts
    }
    line.must("verify")
    line.must("verify 2026-03")
    after = {
        path: path.stat().st_mtime_ns for path in line.data.rglob("*") if path.is_file() and "build" not in path.parts
    }
    assert after == before
    assert datetime.fromisoformat(json_of(line, "list")[0]["closed_at"]).year == 2026

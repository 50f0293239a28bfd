"""The dbt project as a whole: tiny landings made in plain Python go in, and what comes out is judged by plain Python.

Rules that concern one model alone are unit tests beside that model; they run here too, in the first test.
"""

from __future__ import annotations

import bisect
import copy
import csv
import os
import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow
import pytest
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import Manifest

from orchestration.close import dbt_build
from tests.dbt import macros

PROJECT = Path(__file__).resolve().parents[2] / "dbt_project"
# What each model that is an optimization would be without it, by its name.
PLAIN = Path(__file__).with_name("plain")
START = datetime(2026, 2, 1, tzinfo=UTC)
END = datetime(2026, 3, 1, tzinfo=UTC)
LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)
FIRST = datetime(2025, 11, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

CANONICAL = {
    "record_id": "varchar",
    "call_id": "varchar",
    "service": "varchar",
    "direction": "varchar",
    "started_at": "timestamptz",
    "duration_seconds": "integer",
    "billed_seconds": "integer",
    "number": "varchar",
    "from_number": "varchar",
    "to_number": "varchar",
    "source_ip": "varchar",
    "x_tenant": "varchar",
    "routed_to": "varchar",
    "cost": "decimal(18, 9)",
    "currency": "varchar",
}
LINEAGE = {"batch_id": "varchar", "source_row": "bigint"}
EVENT = {"valid_from": "timestamptz", "recorded_at": "timestamptz", "sealed_at": "timestamptz"}
FLAGS = {"is_late": "boolean", "is_overtaken": "boolean", "is_void": "boolean"}
RELATIONS = {
    "close": {
        "month": "varchar",
        "month_start": "timestamptz",
        "month_end": "timestamptz",
        "first_month_start": "timestamptz",
        "history_start": "timestamptz",
        "default_currency": "varchar",
        "out_dir": "varchar",
        "figures_dir": "varchar",
    },
    "close_days": {"day": "date"},
    "services": {"month": "date", "service": "varchar", "direction": "varchar", "attributed_by": "varchar"}
    | {"unit": "varchar", "section": "varchar"},
    "cdrs": CANONICAL | LINEAGE | {"row_id": "bigint"},
    "cdrs_elsewhere": CANONICAL | LINEAGE | {"is_new": "boolean"},
    "withdrawals": LINEAGE | {"record_id": "varchar", "is_new": "boolean"},
    "late_cdrs": CANONICAL | LINEAGE,
    "late_receipts": {"batch_id": "varchar", "usable_rows": "bigint"},
    "withdrawn_receipts": {"batch_id": "varchar", "withdrawn_rows": "bigint"},
    "stated_entries": CANONICAL
    | {"duration_seconds": "bigint", "billed_seconds": "bigint", "account_id": "varchar", "attributed_by": "varchar"}
    | {"reason": "varchar", "assignment_id": "varchar", "conflict_header_ip": "boolean", "record_count": "bigint"}
    | {"usage_month": "date", "stated_in": "varchar", "stated_file": "varchar"}
    | LINEAGE,
    "rejected_rows": LINEAGE | {"record_id": "varchar", "reason": "varchar"},
    "cdrs_receipts": {"batch_id": "varchar", "usable_rows": "bigint", "rejected_rows": "bigint"},
    "tenants": {"account_id": "varchar", "name": "varchar", "archived": "boolean"}
    | {"recorded_at": "timestamptz", "sealed_at": "timestamptz", "is_overtaken": "boolean"}
    | LINEAGE,
    "number_assignments": {"number": "varchar", "number_type": "varchar", "account_id": "varchar"}
    | {"event_type": "varchar"}
    | EVENT
    | FLAGS
    | LINEAGE,
    "ip_assignments": {"ip": "varchar", "account_id": "varchar", "event_type": "varchar"} | EVENT | FLAGS | LINEAGE,
}
# The schemas of the relations that have not landed themselves.
SCHEMAS = {"stated_entries": "frozen"}
SCHEMAS |= dict.fromkeys(("close", "close_days", "services"), "control")
SCHEMAS |= dict.fromkeys(("cdrs_receipts", "late_receipts", "withdrawn_receipts"), "control")
# The months of which a landing here has records, the last being the one that is closed.
MONTHS = [date(2025, 11, 1), date(2025, 12, 1), date(2026, 1, 1), date(2026, 2, 1)]


@dataclass
class Landing:
    """The rows of dbt's sources; what is not said about a row has an ordinary value."""

    rows: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {name: [] for name in RELATIONS})

    def add(self, relation: str, **values: Any) -> None:
        rows = self.rows[relation]
        rows.append({"batch_id": "00000001-aaaaaaaaaaaa", "source_row": len(rows) + 1} | values)

    def tenant(self, account_id: str, **values: Any) -> None:
        self.add(
            "tenants",
            **{"account_id": account_id, "name": account_id.title(), "archived": False, "recorded_at": LONG_AGO}
            | values,
        )

    def assign(self, asset: str, account_id: str | None, at: datetime, **values: Any) -> None:
        feed, column = ("number_assignments", "number") if asset.startswith("+") else ("ip_assignments", "ip")
        ordinary = {
            column: asset,
            "account_id": account_id,
            "event_type": "start" if account_id else "release",
            "valid_from": at,
            "recorded_at": LONG_AGO,
            "is_late": False,
            "is_overtaken": False,
            "is_void": False,
        }
        self.add(feed, **ordinary | values)

    def cdr(self, record_id: str, started_at: datetime, relation: str = "cdrs", **values: Any) -> None:
        ordinary = {
            "record_id": record_id,
            "call_id": "call",
            "service": "inbound_conversational",
            "direction": "inbound",
            "started_at": started_at,
            "duration_seconds": 60,
            "billed_seconds": 60,
            "number": "+12025550100",
            "cost": Decimal("0.01"),
            "currency": "USD",
            "batch_id": "00000002-bbbbbbbbbbbb",
            "row_id": len(self.rows["cdrs"]),
            "is_new": False,
        }
        self.add(relation, **ordinary | values)

    def withdraw(self, record_id: str, **values: Any) -> None:
        row = 900 + len(self.rows["withdrawals"])
        self.add("withdrawals", **{"record_id": record_id, "source_row": row, "is_new": True} | values)

    def state(self, record_id: str, started_at: datetime, stated_in: str, **values: Any) -> None:
        """An entry of a frozen month."""
        ordinary = {"account_id": "acme", "attributed_by": "number", "record_count": 1, "stated_in": stated_in}
        ordinary |= {"conflict_header_ip": False, "usage_month": started_at.date().replace(day=1)}
        self.cdr(record_id, started_at, "stated_entries", **ordinary | values)


@dataclass(frozen=True)
class Built:
    """A finished build, open for questions."""

    folder: Path
    failures: list[str]

    def ask(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.folder / "build.duckdb")) as connection:
            connection.execute("set timezone = 'UTC'")
            return connection.execute(query, list(parameters)).fetchall()


def create_landing(landing: Landing, folder: Path) -> None:
    """Write the relations that the close would have made."""
    for name in ("usage", "figures"):
        (folder / name).mkdir(parents=True)
    landing.rows["close"] = [
        {
            "month": "2026-02",
            "month_start": START,
            "month_end": END,
            "first_month_start": FIRST,
            "history_start": min([START, *(row["started_at"] for row in landing.rows["late_cdrs"])]),
            "default_currency": "USD",
            "out_dir": str(folder),
            "figures_dir": str(folder / "figures"),
        }
    ]
    landing.rows["close_days"] = [{"day": date(2026, 2, 1) + timedelta(days=n)} for n in range(28)]
    landing.rows["services"] += [{"month": month} | row for month in MONTHS for row in shipped_services()]
    if not landing.rows["cdrs_receipts"]:
        batches = sorted({row["batch_id"] for row in landing.rows["cdrs"]})
        landing.rows["cdrs_receipts"] = [
            {
                "batch_id": batch,
                "usable_rows": sum(row["batch_id"] == batch for row in landing.rows["cdrs"]),
                "rejected_rows": 0,
            }
            for batch in batches
        ]
    if not landing.rows["late_receipts"]:
        late = Counter(row["batch_id"] for row in landing.rows["late_cdrs"])
        landing.rows["late_receipts"] = [{"batch_id": batch, "usable_rows": rows} for batch, rows in late.items()]
    if not landing.rows["withdrawn_receipts"]:
        new = Counter(row["batch_id"] for row in landing.rows["withdrawals"] if row["is_new"])
        landing.rows["withdrawn_receipts"] = [
            {"batch_id": batch, "withdrawn_rows": rows} for batch, rows in new.items()
        ]
    with duckdb.connect(str(folder / "build.duckdb")) as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute("create schema landed; create schema frozen; create schema control")
        for relation, columns in RELATIONS.items():
            declared = ", ".join(f"{name} {kind}" for name, kind in columns.items())
            connection.execute(f"create table {SCHEMAS.get(relation, 'landed')}.{relation} ({declared})")
            insert_rows(connection, relation, columns, landing.rows[relation])


def shipped_services() -> list[dict[str, str]]:
    with (PROJECT.parent / "seeds" / "services.csv").open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def insert_rows(
    connection: duckdb.DuckDBPyConnection, relation: str, columns: dict[str, str], rows: Iterable[dict[str, Any]]
) -> None:
    """Insert through an Arrow table of text: a row at a time would take minutes."""
    text = {name: [None if row.get(name) is None else str(row[name]) for row in rows] for name in columns}
    given = pyarrow.table({name: pyarrow.array(values, pyarrow.string()) for name, values in text.items()})
    connection.register("given", given)
    casts = ", ".join(f"cast({name} as {kind})" for name, kind in columns.items())
    connection.execute(f"insert into {SCHEMAS.get(relation, 'landed')}.{relation} select {casts} from given")
    connection.unregister("given")


@pytest.fixture(scope="session")
def manifest() -> Manifest:
    """What a close builds from, shared by all builds: it does not depend on where the build file lies."""
    dbt_build.prepare()
    return dbt_build.compiled_manifest()


@pytest.fixture(scope="session")
def parsed_manifest() -> Manifest:
    """The project before it is compiled, in which unit tests can replace what a model refers to."""
    dbt_build.prepare()
    return Manifest.from_msgpack(dbt_build.DUCKDB.parsed.read_bytes())


def run_dbt(folder: Path, manifest: Manifest, *arguments: str) -> Any:
    """Run dbt in this process, and let go of the build file afterwards."""
    os.environ["STATEMENTS_BUILD_FILE"] = str(folder / "build.duckdb")
    os.environ["STATEMENTS_TEMP_DIRECTORY"] = str(folder / "spilled")
    try:
        return dbtRunner(manifest=manifest).invoke(
            [
                *arguments,
                f"--project-dir={PROJECT}",
                f"--profiles-dir={PROJECT}",
                f"--target-path={folder / 'target'}",
                "--log-level=none",
                "--log-level-file=none",
                "--no-version-check",
            ]
        )
    finally:
        DuckDBConnectionManager.close_all_connections()
        for name in ("STATEMENTS_BUILD_FILE", "STATEMENTS_TEMP_DIRECTORY"):
            del os.environ[name]


Build = Callable[..., Built]


@pytest.fixture(scope="module")
def build(manifest: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Land, build, and insist that it succeeded unless `may_fail`. `unit_tests` run with a manifest of theirs."""

    def run(
        landing: Landing, may_fail: bool = False, other: Manifest | None = None, unit_tests: Manifest | None = None
    ) -> Built:
        folder = tmp_path_factory.mktemp("close")
        create_landing(landing, folder)
        if unit_tests:
            result = run_dbt(folder, unit_tests, "build")
        else:
            result = run_dbt(folder, other or manifest, "build", "--exclude-resource-type", "unit_test")
        outcomes = result.result.results if result.result else []
        failures = [f"{one.node.name}: {one.message}" for one in outcomes if one.status not in ("success", "pass")]
        if not may_fail:
            assert result.success, "\n".join([*failures, str(result.exception)])
        return Built(folder, failures)

    return run


def small_landing() -> Landing:
    """Two tenants, a shared IP, a day with calls and many days without."""
    landing = Landing()
    landing.tenant("acme")
    landing.tenant("bigcustomer.mypbx.com")
    landing.assign("+12025550100", "acme", LONG_AGO)
    landing.assign("203.0.113.9", None, LONG_AGO)
    landing.cdr("r1", START)
    landing.cdr("r2", END - MICROSECOND, number="+12025550199")
    outbound = {"service": "outbound_conversational", "direction": "outbound", "source_ip": "203.0.113.9"}
    landing.cdr("r3", START + timedelta(hours=1), number=None, x_tenant="bigcustomer.mypbx.com", **outbound)
    landing.cdr("r4", START + timedelta(hours=1), number=None, **outbound)
    return landing


@pytest.fixture(scope="module")
def built_with_unit_tests(build: Build, parsed_manifest: Manifest) -> Built:
    return build(small_landing(), unit_tests=parsed_manifest)


def test_the_project_builds_with_all_its_unit_tests_and_data_tests(built_with_unit_tests: Built) -> None:
    built = built_with_unit_tests
    assert built.failures == []
    assert built.ask("select record_id, account_id, reason from usage order by 1") == [
        ("r1", "acme", None),
        ("r2", None, "number_unknown"),
        ("r3", "bigcustomer.mypbx.com", None),
        ("r4", None, "ip_unassigned"),
    ]
    assert len(list((built.folder / "usage").glob("day=*.parquet"))) == 28
    assert built.ask("select count(*) from reconciliation where difference <> 0") == [(0,)]


@pytest.mark.long
def test_a_second_build_of_the_same_landing_writes_the_same_bytes(built_with_unit_tests: Built, build: Build) -> None:
    first, second = built_with_unit_tests, build(small_landing())
    files = sorted(path.name for path in (first.folder / "usage").iterdir())
    assert files
    for name in files:
        assert (first.folder / "usage" / name).read_bytes() == (second.folder / "usage" / name).read_bytes()


@pytest.mark.long
def test_a_month_without_any_record_still_has_statements(build: Build) -> None:
    landing = Landing()
    landing.tenant("acme")
    built = build(landing)
    assert built.ask("select statement_id, total_cost, peak_channels from statements") == [
        ("acme/2026-02/USD", Decimal(0), 0)
    ]
    assert built.ask("select currency, total_cost from organization") == [("USD", Decimal(0))]
    assert built.ask("select count(*) from usage") == [(0,)]


@dataclass(frozen=True)
class Call:
    account_id: str | None
    began: datetime
    seconds: int


def most_at_once(calls: list[Call]) -> int:
    """Walk over every beginning and end in order, ends first at a tie."""
    steps = [(call.began, 1) for call in calls if call.seconds]
    steps += [(call.began + timedelta(seconds=call.seconds), -1) for call in calls if call.seconds]
    most = level = 0
    for _, step in sorted(steps):
        level += step
        most = max(most, level)
    return most


def random_calls(source: random.Random) -> list[Call]:
    """Busy and quiet tenants, bursts, whole seconds so that ties are common, and calls that outlast the month."""
    calls = []
    for account_id, count in ((None, 300), ("busy", 3000), ("middling", 200), ("quiet", 3), ("silent", 2)):
        bursts = [source.randrange(28 * 86400) for _ in range(6)]
        for _ in range(count):
            second = source.randrange(28 * 86400)
            if source.random() < 0.3:
                second = min(source.choice(bursts) + source.randrange(30), 28 * 86400 - 1)
            seconds = source.choice([0, 1, 7, 60, 200, 3600, 86400, 40 * 86400 if source.random() < 0.05 else 90])
            microsecond = source.choice([0, 0, 1, 999_999])
            began = START + timedelta(seconds=second, microseconds=microsecond)
            calls.append(Call(account_id, began, 0 if account_id == "silent" else seconds))
    # Two lines on which each call begins at the very instant the one before it ends.
    for offset in (0, 17):
        began = START + timedelta(seconds=offset)
        for _ in range(100):
            calls.append(Call("chained", began, source.choice([1, 60, 600])))
            began += timedelta(seconds=calls[-1].seconds)
    return calls


def number_of(account_id: str) -> str:
    """A number of its own for each of the tenants above, made of its letters."""
    return f"+1202555{sum(account_id.encode()):04}"


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long)])
def test_peak_channels_equals_a_sweep_over_all_calls(build: Build, seed: int) -> None:
    """Rule 25: peak channels."""
    calls = random_calls(random.Random(seed))
    landing = Landing()
    for account_id in ("busy", "middling", "quiet", "silent", "chained"):
        landing.tenant(account_id)
        landing.assign(number_of(account_id), account_id, LONG_AGO)
    for number, call in enumerate(calls):
        landing.cdr(
            f"r{number}",
            call.began,
            duration_seconds=call.seconds,
            number=number_of(call.account_id) if call.account_id else None,
            currency=("USD", "EUR")[number % 2],
        )
        # Charges by the piece last no time, whatever their row says.
        if number % 10 == 0:
            landing.cdr(f"lookup{number}", call.began, service="cnam_lookup", duration_seconds=9999)
    built = build(landing)
    found = dict(built.ask("select account_id, max(peak_channels) from statements group by 1"))
    expected = {name: most_at_once([call for call in calls if call.account_id == name]) for name in found}
    assert len(expected) == 5
    assert expected["chained"] == 2
    assert found == expected
    assert set(built.ask("select peak_channels from organization")) == {(most_at_once(calls),)}


@pytest.mark.long
def test_assets_with_many_changes_are_attributed_like_a_plain_search(build: Build) -> None:
    """Every boundary of 10,000 periods, one microsecond before, at, and after it; of an asset with exactly 8, and of one with 9."""
    source = random.Random(3)
    landing = Landing()
    accounts = ["a", "b", "c"]
    for account_id in accounts:
        landing.tenant(account_id)
    assets = {"+12025550001": 10_000, "+12025550004": 8, "+12025550005": 9, "203.0.113.5": 300}
    history: dict[str, tuple[list[datetime], list[str | None]]] = {}
    probes: list[tuple[str, datetime]] = []
    for asset, changes in assets.items():
        offsets = sorted(source.sample(range(28 * 86400 * 1_000_000), changes))
        # The last half second of an hour, where a rounded hour would be the next one.
        offsets[0] = 3_600_000_000 - 400_000
        offsets[1] = 2 * 3_600_000_000
        instants = sorted({START + timedelta(microseconds=offset) for offset in offsets})
        holders: list[str | None] = []
        for instant in instants:
            # Always another holder, so that every event is a boundary.
            holders.append(source.choice([one for one in [*accounts, None] if one != (holders or ["?"])[-1]]))
            landing.assign(asset, holders[-1], instant)
        history[asset] = (instants, holders)
        for instant in instants:
            probes += [(asset, instant + step) for step in (-MICROSECOND, timedelta(0), MICROSECOND)]
        probes += [(asset, START), (asset, END - MICROSECOND)]
    probes = [(asset, instant) for asset, instant in probes if START <= instant < END]
    for number, (asset, instant) in enumerate(probes):
        if asset.startswith("+"):
            landing.cdr(f"r{number}", instant, number=asset)
        else:
            outbound = {"service": "outbound_dialer", "direction": "outbound", "number": None, "source_ip": asset}
            landing.cdr(f"r{number}", instant, **outbound)
    found = {row[0]: row[1:] for row in build(landing).ask("select record_id, account_id, reason from usage")}
    assert len(found) == len(probes) > 30_000
    for number, (asset, instant) in enumerate(probes):
        instants, holders = history[asset]
        place = bisect.bisect_right(instants, instant) - 1
        kind = "number" if asset.startswith("+") else "ip"
        account_id = holders[place] if place >= 0 else None
        reason = None if account_id else f"{kind}_{'unassigned' if place >= 0 else 'unknown'}"
        assert found[f"r{number}"] == (account_id, reason), (asset, instant)


@pytest.mark.long
def test_each_delivery_is_compared_with_the_one_before_it(build: Build) -> None:
    """Rule 18."""
    landing = Landing()
    first, second, third = (f"0000000{n}-bbbbbbbbbbbb" for n in (2, 3, 4))
    before, after = START - timedelta(days=1), END
    cost = {"cost": Decimal(9)}
    noon = START + timedelta(hours=12)
    # The same row three times; a change; a change and back; an order given by batches, not by position.
    for batch in (first, second, third):
        landing.cdr("same", noon, batch_id=batch, source_row=1)
    landing.cdr("changed", noon, batch_id=first, source_row=2)
    landing.cdr("changed", noon, batch_id=second, source_row=2, **cost)
    for batch, values in ((third, {}), (second, cost), (first, {})):
        landing.cdr("there and back", noon, batch_id=batch, source_row=3, **values)
    # Moved to another day, out of the month, into the month, and out of it and back.
    landing.cdr("moved day", noon, batch_id=first, source_row=4)
    landing.cdr("moved day", noon + timedelta(days=3), batch_id=second, source_row=4)
    landing.cdr("moved out", noon, batch_id=first, source_row=5)
    landing.cdr("moved out", after, "cdrs_elsewhere", batch_id=second, source_row=5)
    landing.cdr("moved in", before, "cdrs_elsewhere", batch_id=first, source_row=6)
    landing.cdr("moved in", noon, batch_id=second, source_row=6)
    landing.cdr("out and back", noon, batch_id=first, source_row=7)
    landing.cdr("out and back", before, "cdrs_elsewhere", batch_id=second, source_row=7)
    landing.cdr("out and back", noon, batch_id=third, source_row=7)
    # Stated in the frozen month before, from a delivery of that month or of a correction: taken back, and usage here.
    landing.cdr("stated", before, "cdrs_elsewhere", batch_id=first, source_row=8)
    landing.state("stated", before, "2026-01", batch_id=first, source_row=8)
    landing.cdr("stated", noon, batch_id=second, source_row=8)
    landing.cdr("stated long ago", noon, batch_id=second, source_row=9)
    landing.cdr("stated long ago", FIRST, "cdrs_elsewhere", batch_id=first, source_row=9)
    landing.state("stated long ago", FIRST, "2026-01", batch_id=first, source_row=9)
    # Taken back before the close; taken back and delivered again; taken back twice; and of another month.
    landing.cdr("withdrawn", noon, batch_id=first, source_row=15)
    landing.withdraw("withdrawn", batch_id=second, source_row=15)
    landing.cdr("once more", noon, batch_id=first, source_row=16)
    landing.withdraw("once more", batch_id=second, source_row=16)
    landing.cdr("once more", noon, batch_id=third, source_row=16)
    landing.withdraw("of another month", batch_id=second, source_row=17)
    landing.withdraw("of another month", batch_id=third, source_row=17)
    landing.cdr("withdrawn long ago", noon, batch_id=first, source_row=18)
    landing.withdraw("withdrawn long ago", batch_id=second, source_row=18, is_new=False)
    # Moved to the month before, and on to one far ahead.
    landing.cdr("settled before", noon, batch_id=first, source_row=14)
    landing.cdr("settled before", before, "cdrs_elsewhere", batch_id=second, source_row=14)
    landing.cdr("settled before", END + timedelta(days=90), "cdrs_elsewhere", batch_id=third, source_row=14)
    # Within one file the later row counts; null and absent are the same, and different from any text.
    landing.cdr("one file", noon, batch_id=first, source_row=10, x_tenant=None)
    landing.cdr("one file", noon, batch_id=first, source_row=11, x_tenant="acme")
    landing.cdr("alone", noon, batch_id=first, source_row=12)
    built = build(landing)
    days = "select record_id, batch_id[8:8], source_row, day(started_at) from usage where entry = 'usage' order by 1"
    assert built.ask(days) == [
        ("alone", "2", 12, 1),
        ("changed", "3", 2, 1),
        ("moved day", "3", 4, 4),
        ("moved in", "3", 6, 1),
        ("once more", "4", 16, 1),
        ("one file", "2", 11, 1),
        ("out and back", "4", 7, 1),
        ("same", "2", 1, 1),
        ("stated", "3", 8, 1),
        ("stated long ago", "3", 9, 1),
        ("there and back", "4", 3, 1),
    ]
    outcomes = built.ask(
        "select record_id, batch_id[8:8], source_row, outcome from int_dropped_deliveries order by all"
    )
    assert outcomes == [
        ("changed", "2", 2, "superseded"),
        ("moved day", "2", 4, "superseded"),
        ("moved out", "2", 5, "superseded"),
        ("once more", "2", 16, "superseded"),
        ("one file", "2", 10, "superseded"),
        ("out and back", "2", 7, "superseded"),
        ("same", "3", 1, "duplicate"),
        ("same", "4", 1, "duplicate"),
        ("settled before", "2", 14, "superseded"),
        ("there and back", "2", 3, "superseded"),
        ("there and back", "3", 3, "superseded"),
        ("withdrawn", "2", 15, "superseded"),
        ("withdrawn long ago", "2", 18, "superseded"),
    ]
    withdrawals = "select record_id, batch_id[8:8], outcome from int_judged_deliveries where came_as = 'withdrawal'"
    assert built.ask(f"{withdrawals} order by all") == [
        ("of another month", "3", "withdrawn"),
        ("of another month", "4", "duplicate"),
        ("once more", "3", "superseded"),
        ("withdrawn", "3", "withdrawn"),
    ]
    reversals = "select record_id, batch_id[8:8], source_row, record_count, usage_month from int_corrections order by 1"
    assert built.ask(reversals) == [
        ("stated", "2", 8, -1, date(2026, 1, 1)),
        ("stated long ago", "2", 9, -1, date(2025, 11, 1)),
    ]


@pytest.mark.long
def test_corrections_state_the_difference_to_what_stands(build: Build) -> None:
    """Rule 26."""
    landing = Landing()
    landing.tenant("acme")
    landing.tenant("other")
    landing.assign("+12025550100", "acme", LONG_AGO)
    landing.assign("+12025550100", "other", START - timedelta(days=10))
    december = datetime(2025, 12, 15, 12, tzinfo=UTC)
    new = "00000009-bbbbbbbbbbbb"
    landing.cdr("late", december, "late_cdrs", batch_id=new)
    changes = (("dearer", {"cost": Decimal("0.03")}), ("same", {}), ("abroad", {"currency": "EUR"}))
    for row, (record_id, now) in enumerate(changes, start=200):
        landing.state(record_id, december, "2025-12", source_row=row)
        landing.cdr(record_id, december, "late_cdrs", batch_id=new, **now)
    # Moved on to the month after this one, taken back here; it will be usage there.
    landing.state("moved on", december, "2026-01", source_row=100)
    landing.cdr("moved on", december, "cdrs_elsewhere", source_row=100)
    landing.cdr("moved on", END, "cdrs_elsewhere", batch_id=new, source_row=50, is_new=True)
    # Taken back by the carrier; another was so earlier, stands on no statement, and is delivered again.
    landing.state("withdrawn", december, "2025-12", source_row=103)
    landing.cdr("withdrawn", december, "cdrs_elsewhere", source_row=103)
    landing.withdraw("withdrawn", batch_id=new)
    landing.state("and again", december, "2025-12", source_row=104)
    landing.state("and again", december, "2026-01", source_row=104, record_count=-1)
    landing.withdraw("and again", batch_id="00000003-bbbbbbbbbbbb", is_new=False)
    landing.cdr("and again", december, "late_cdrs", batch_id=new)
    # Taken back earlier, from an account that a reversal repeats although it would be another's today.
    landing.state("back again", december, "2025-12", source_row=101)
    landing.state("back again", december, "2026-01", source_row=101, record_count=-1)
    landing.cdr("back again", december, "late_cdrs", batch_id=new)
    landing.state("odd", december, "2025-12", source_row=102, account_id="other", billed_seconds=90, cost=Decimal("-2"))
    landing.cdr("odd", december, "late_cdrs", batch_id=new, number="+12025550199")
    landing.cdr("usage", START)
    built = build(landing)
    entries = "record_id, entry, record_count, billed_seconds, cost, currency, account_id, reason"
    assert built.ask(f"select {entries} from usage order by record_id, record_count") == [
        ("abroad", "reversal", -1, -60, Decimal("-0.01"), "USD", "acme", None),
        ("abroad", "restatement", 1, 60, Decimal("0.01"), "EUR", "acme", None),
        ("and again", "restatement", 1, 60, Decimal("0.01"), "USD", "acme", None),
        ("back again", "restatement", 1, 60, Decimal("0.01"), "USD", "acme", None),
        ("dearer", "reversal", -1, -60, Decimal("-0.01"), "USD", "acme", None),
        ("dearer", "restatement", 1, 60, Decimal("0.03"), "USD", "acme", None),
        ("late", "late", 1, 60, Decimal("0.01"), "USD", "acme", None),
        ("moved on", "reversal", -1, -60, Decimal("-0.01"), "USD", "acme", None),
        ("odd", "reversal", -1, -90, Decimal("2"), "USD", "other", None),
        ("odd", "restatement", 1, 60, Decimal("0.01"), "USD", None, "number_unknown"),
        ("usage", "usage", 1, 60, Decimal("0.01"), "USD", "other", None),
        ("withdrawn", "reversal", -1, -60, Decimal("-0.01"), "USD", "acme", None),
    ]
    figures = "select account_id, currency, usage_cost, correction_count, correction_cost, total_cost, peak_channels"
    assert built.ask(f"{figures} from statements order by 1, 2") == [
        ("acme", "EUR", 0, 1, Decimal("0.01"), Decimal("0.01"), 0),
        ("acme", "USD", 0, 0, Decimal("0.02"), Decimal("0.02"), 0),
        ("other", "USD", Decimal("0.01"), -1, 2, Decimal("2.01"), 1),
    ]


@pytest.mark.long
def test_late_records_find_a_busy_assets_holder_of_their_own_month(build: Build) -> None:
    landing = Landing()
    source = random.Random(7)
    spans = {"+12025550001": 3, "+12025550002": 400, "203.0.113.5": 60}
    due: dict[str, str | None] = {}
    for account_id in ("a", "b", "c"):
        landing.tenant(account_id)
    for asset, changes in spans.items():
        whole = (END - FIRST) // MICROSECOND
        instants = sorted(FIRST + source.randrange(whole) * MICROSECOND for _ in range(changes))
        holders = [source.choice(["a", "b", "c", None]) for _ in instants]
        for instant, holder in zip(instants, holders, strict=True):
            landing.assign(asset, holder, instant)
        edges = [edge + step for edge in instants for step in (-MICROSECOND, timedelta(0))]
        for number, instant in enumerate(edges):
            record_id = f"{asset} {number}"
            place = bisect.bisect_right(instants, instant) - 1
            due[record_id] = holders[place] if place >= 0 else None
            named = {"number": asset} if asset.startswith("+") else {"number": None, "source_ip": asset}
            if not asset.startswith("+"):
                named |= {"service": "outbound_dialer", "direction": "outbound"}
            landing.cdr(record_id, instant, "late_cdrs" if instant < START else "cdrs", **named)
    built = build(landing)
    assert dict(built.ask("select record_id, account_id from usage")) == due
    assert built.ask("select count(*) > 500 from usage where entry = 'late'") == [(True,)]


def test_money_and_minutes_are_exact(build: Build) -> None:
    landing = Landing()
    landing.tenant("acme")
    landing.assign("+12025550100", "acme", LONG_AGO)
    costs = ["0.1", "0.2", "0.000000001", "123456789.123456789", "-0.000000009", "999999999.999999999"] * 500
    for number, cost in enumerate(costs):
        landing.cdr(f"r{number}", START + timedelta(seconds=number), cost=Decimal(cost), billed_seconds=number % 97)
    built = build(landing)
    cost = sum(Decimal(one) for one in costs)
    billed = sum(number % 97 for number in range(len(costs)))
    minutes = (Decimal(billed) / 60).quantize(Decimal("0.000001"), rounding="ROUND_HALF_UP")
    wide = "select total_cost, usage_cost, inbound_cost, inbound_conversational_cost, inbound_minutes from "
    assert built.ask(wide + "statements") == [(cost, cost, cost, cost, minutes)]
    assert built.ask(wide + "organization") == [(cost, cost, cost, cost, minutes)]
    for mart in ("statement_lines", "usage_by_asset", "organization_statement"):
        assert built.ask(f"select cost, minutes, billed_seconds from {mart}") == [(cost, minutes, billed)]
    floats = "select table_name, column_name from information_schema.columns where data_type in ('FLOAT', 'DOUBLE')"
    assert built.ask(floats) == []


@pytest.mark.parametrize("seconds", [0, 1, 2, 29, 30, 31, 59, 60, 61, 119, 3601, 10**9 - 1, 10**17 + 7])
def test_minutes_round_half_away_from_zero(seconds: int) -> None:
    """Rule 25: minutes."""
    expression = macros.render("duckdb", "minutes_of('given.seconds')")
    for signed in (seconds, -seconds):
        with duckdb.connect() as connection:
            query = f"select {expression} from (select cast(? as bigint) as seconds) as given"
            found = connection.execute(query, [signed]).fetchone()[0]
        exact = (Decimal(signed) / 60).quantize(Decimal("0.000001"), rounding="ROUND_HALF_UP")
        assert found == exact


@pytest.mark.long
def test_a_release_an_archived_tenant_and_an_unknown_one_have_their_own_reasons(build: Build) -> None:
    """Rule 16."""
    landing = Landing()
    created, archived = START + timedelta(days=14), START + timedelta(days=20)
    landing.tenant("late", recorded_at=created)
    landing.tenant("late", recorded_at=archived, archived=True)
    landing.assign("+12025550100", "late", LONG_AGO)
    for record_id, instant in (
        ("before", created - MICROSECOND),
        ("at creation", created),
        ("last", archived - MICROSECOND),
        ("at archiving", archived),
    ):
        landing.cdr(record_id, instant)
    built = build(landing)
    assert built.ask("select record_id, account_id, reason from usage order by started_at") == [
        ("before", None, "tenant_not_yet_created"),
        ("at creation", "late", None),
        ("last", "late", None),
        ("at archiving", None, "tenant_archived"),
    ]
    facts = "select is_partial_month, first_effective_at, archived_at, asset_changes, tenant_name from statements"
    assert built.ask(facts) == [(True, created, archived, 0, "Late")]
    assert built.ask("select count(*) from number_inventory") == [(0,)]


@pytest.mark.long
def test_a_tenant_has_one_row_per_currency_with_tenant_wide_figures_repeated(build: Build) -> None:
    """Rules 23 and 25."""
    landing = Landing()
    landing.tenant("acme")
    landing.assign("+12025550100", "acme", START)
    landing.assign("+18005550100", "acme", LONG_AGO)
    landing.cdr("r1", START, currency="EUR")
    landing.cdr("r2", START, currency="GBP")
    built = build(landing)
    facts = "currency, usage_cost, peak_channels, local_numbers, toll_free_numbers"
    assert built.ask(f"select {facts} from statements order by 1") == [
        ("EUR", Decimal("0.01"), 2, 1, 1),
        ("GBP", Decimal("0.01"), 2, 1, 1),
    ]
    assert built.ask("select asset_changes, is_partial_month from statements") == [(1, False)] * 2


def test_a_service_in_a_new_section_fails_the_build_by_name(manifest: Manifest, tmp_path: Path) -> None:
    """Also where nothing was charged for it yet."""
    landing = small_landing()
    service = {"service": "chat_message", "direction": "outbound", "attributed_by": "number", "unit": "each"}
    landing.add("services", month=MONTHS[-1], section="chat", **service)
    create_landing(landing, tmp_path / "close")
    outcomes = run_dbt(tmp_path / "close", manifest, "build", "--select", "sections", "stg_services").result.results
    failures = {one.node.name: one.failures for one in outcomes if one.status not in ("success", "pass")}
    assert failures == {"services_stand_in_a_section_of_sections_csv": 1}


@pytest.mark.parametrize(("spill", "fits"), [("1MB", False), ("1GB", True)])
def test_a_model_spills_no_more_than_it_may(manifest: Manifest, tmp_path: Path, monkeypatch, spill, fits) -> None:
    for name, value in {"SPILL_LIMIT": spill, "MEMORY_LIMIT": "60MB", "THREADS": "1"}.items():
        monkeypatch.setenv(f"STATEMENTS_{name}", value)
    sort = "select md5(number::varchar) as key from range(2_000_000) as numbers (number) order by key"
    # An inline query becomes a node of the manifest.
    question = ("show", "--inline", f"select count(*) from (from ({sort}) offset 1)")
    outcome = run_dbt(tmp_path, copy.deepcopy(manifest), *question)
    assert outcome.success == fits, outcome.exception
    assert fits or "max_temp_directory_size" in str(outcome.exception)


def test_a_difference_in_the_reconciliation_fails_the_build(build: Build) -> None:
    landing = small_landing()
    landing.add("cdrs_receipts", batch_id="00000002-bbbbbbbbbbbb", usable_rows=5, rejected_rows=0)
    built = build(landing, may_fail=True)
    assert any(failure.startswith("assert_reconciliation_has_no_differences") for failure in built.failures)


def busy_landing() -> Landing:
    """Assets with few and with many changes, of long ago, with ends and releases; every kind of delivery; many calls."""
    source = random.Random(11)
    landing = Landing()
    accounts = ["a", "b", "c", "d"]
    for account_id in accounts:
        landing.tenant(account_id)
    landing.tenant("c", recorded_at=START + timedelta(days=9), archived=True)
    assets = {f"+120255500{n:02}": changes for n, changes in enumerate((1, 2, 3, 4, 5, 9, 200))}
    assets |= {f"203.0.113.{n}": changes for n, changes in enumerate((1, 4, 5, 90))}
    for asset, changes in assets.items():
        span = END - LONG_AGO if changes < 100 else END - FIRST
        instants = sorted({END - source.random() * span for _ in range(changes)})
        holder = None
        for instant in instants:
            if holder and source.random() < 0.3:
                landing.assign(asset, holder, instant, event_type="end")
                holder = None
            else:
                holder = source.choice([*accounts, None])
                landing.assign(asset, holder, instant)
    first, second, third = (f"0000000{n}-bbbbbbbbbbbb" for n in (2, 3, 4))
    for number in range(1500):
        asset = source.choice(list(assets))
        values = {"duration_seconds": source.choice([0, 1, 60, 600, 7200]), "x_tenant": None}
        if asset.startswith("+"):
            values |= {"number": asset}
        else:
            header = source.choice([None, None, None, "a", "A", "c", "nobody"])
            values |= {"number": None, "source_ip": asset, "x_tenant": header}
            values |= {"service": "outbound_conversational", "direction": "outbound"}
        record_id, row = f"r{number}", {"source_row": number}
        instant = FIRST + source.random() * (END - FIRST)
        if instant >= START:
            landing.cdr(record_id, instant, batch_id=first, **row, **values)
            if number % 10 == 0:
                landing.cdr(record_id, instant, batch_id=second, **row, **values)
            if number % 10 == 1:
                landing.cdr(record_id, instant, batch_id=second, **row, **values | {"cost": Decimal(7)})
            if number % 10 == 2:
                landing.cdr(record_id, END, "cdrs_elsewhere", batch_id=second, **row, **values)
        elif number % 3 == 0:
            landing.cdr(record_id, instant, "late_cdrs", batch_id=third, **row, **values)
        elif number % 3 == 1:
            stated_in = f"{instant:%Y-%m}"
            landing.state(record_id, instant, stated_in, batch_id=first, **row, **values)
            if stated_in == "2026-01":
                landing.cdr(record_id, instant, "cdrs_elsewhere", batch_id=first, **row, **values)
            if number % 2:
                landing.cdr(record_id, instant, "late_cdrs", batch_id=third, **row, **values | {"cost": Decimal(3)})
    return landing


@pytest.mark.long
def test_results_do_not_change_without_the_optimizations(build: Build) -> None:
    models = [path for path in PROJECT.glob("models/**/*.sql") if "**Optimization only:**" in path.read_text()]
    assert {path.name for path in models} == {path.name for path in PLAIN.glob("*.sql")}
    plain = dbt_build.compiled_manifest()
    for path in PLAIN.glob("*.sql"):
        plain.nodes[f"model.tenant_statements.{path.stem}"].raw_code = path.read_text()
    told, wanted = build(busy_landing()), build(busy_landing(), other=plain)
    # Every optimization has something to do.
    looks = {
        "int_asset_events": "count(*)",
        "int_holdings_by_asset": "count(*)",
        "int_holdings_by_asset_and_hour": "count(*)",
        "int_records_in_question": "count(*)",
        "int_usage_codes": "count(*)",
        "int_channel_buckets": "max(bucket_width)",
    }
    assert looks.keys() == {path.stem for path in models}
    for model, look in looks.items():
        query = f"select {look} from {model}"
        assert told.ask(query) != wanted.ask(query), model
    marts = [path.stem for path in PROJECT.glob("models/marts/*.sql")]
    for relation in [*marts, "int_dropped_deliveries", "int_corrections", "int_peak_channels"]:
        # How many records are in question is all that may differ.
        where = "where check_name not like '4 %'" if relation == "reconciliation" else ""
        query = f"select * from {relation} {where} order by all"
        assert told.ask(query) == wanted.ask(query), relation
        assert told.ask(query), relation

"""Several months, closed one after the other by the real code, beside the oracle's books: every entry of every close.

Many independent careers share one data folder and live through the same steps: landings, landings again, commands,
back-dated changes, late, changed and moved records, closes, closes again, rebuilds. After every step every frozen byte
is what it was. STATEMENTS_TEST_CAREERS says how many careers, STATEMENTS_TEST_MONTHS how many months; `make
test-histories` asks for more of both. A failure names the seed.
"""

import hashlib
import os
import random
import shutil
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from benchmarks import audit
from orchestration import clock, settings
from orchestration.close import verify
from orchestration.commands import close, registry
from orchestration.commands.land import Delivery, land
from orchestration.landing import receipts
from orchestration.months import Month
from orchestration.warehouse import cache, reader
from tests.oracle.careers import Careers, month_after
from tests.oracle.corrections import Books, Entry, net_counts
from tests.oracle.facts import Landing
from tests.oracle.histories import write_csv
from tests.oracle.oracle import month_bounds

CAREERS = int(os.environ.get("STATEMENTS_TEST_CAREERS", "14"))
MONTHS = int(os.environ.get("STATEMENTS_TEST_MONTHS", "3"))
SEED = int(os.environ.get("STATEMENTS_TEST_SEED", "20260401"))
FIRST = "2025-12"
RECORD = (
    "record_id, call_id, service, direction, started_at, duration_seconds, billed_seconds, number, from_number, "
    "to_number, source_ip, x_tenant, routed_to, cost, currency"
)


class Company:
    """The data folder of all careers, the oracle's books beside it, and the bytes of every frozen month."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, seed: int, careers: int) -> None:
        self.folder = folder
        self.configuration = settings.load(folder / "data")
        self.books = Books()
        self.careers = Careers(seed, careers, FIRST)
        self.steps = 0
        self.seen: Counter = Counter()
        self._patch = patch
        self._frozen: dict[Path, str] = {}

    def at(self, moment: datetime) -> None:
        self._patch.setattr(clock, "now", lambda: moment)

    def land(self, landing: Landing) -> None:
        """Land a file, and the same file again, which does nothing."""
        self.at(landing.landed_at)
        path = self.folder / f"{landing.name}.csv"
        write_csv(landing, path)
        for again in (False, True):
            (landed,) = land(self.configuration, landing.feed, [path], Delivery(accept_late=landing.accept_late))
            assert landed.is_new is not again
            self.step("landed again" if again else "landed")
        self.books.land(landing)

    def command(self, landing: Landing) -> None:
        """Assign at this instant."""
        self.at(landing.landed_at)
        (row,) = landing.rows
        registry.assign(self.configuration, "number", row["number"], row["account_id"])
        self.books.land(landing)
        self.step("command")

    def close(self, month: str, at: datetime) -> None:
        self.at(at)
        close.close_month(self.configuration, Month.parse(month), accept_rejected=False, progress=lambda _: None)
        stated = self.books.close(month)
        self.step("closed")
        self.seen.update(entry.kind for entry in stated)

    def step(self, what: str) -> None:
        """Count a step, after which everything that was frozen is there with the bytes that it had."""
        found = {
            path: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in self.folder.glob("data/statements/*/**/*")
            if path.is_file()
        }
        assert {path: found.get(path) for path in self._frozen} == self._frozen, what
        self._frozen = found
        self.steps += 1
        self.seen[what] += 1


def live(company: Company, months: int) -> None:
    """Let all careers go through these months. Each month's last records come after its end.

    Closes fall behind: several months are closed one after the other, when everything of theirs has landed.
    """
    careers = company.careers
    rng, open_months = random.Random(f"closes/{SEED}"), []
    seal, _ = month_bounds(FIRST)
    sealed = seal - timedelta(days=20)
    company.land(careers.new_tenants(seal - timedelta(days=10), sealed, 0.8))
    for kind in ("number", "ip"):
        company.land(careers.assignments(kind, seal - timedelta(days=9), sealed))
    for place in range(months):
        month = month_after(FIRST, place)
        start, end = month_bounds(month)

        def day(number: float, start: datetime = start) -> datetime:
            return start + timedelta(days=number)

        # Everything recorded in this month lies after the cutoff or freeze before it.
        company.land(careers.assignments("number", day(6), day(3), 0.4))
        company.land(careers.new_tenants(day(7), day(4), 0.3))
        company.land(careers.records(day(8), month))
        company.land(careers.assignments("ip", day(11), day(9), 0.4, late=place > 0))
        company.land(careers.assignments("number", day(15), day(13), 0.2, late=place > 0))
        company.land(careers.records(day(16), month))
        for world in [world for world in careers.worlds if world.alive][:3]:
            row = {"number": world.draft.numbers[0], "account_id": world.draft.rng.choice(world.alive)}
            company.command(Landing("number_assignments", [row], day(17), registry=True))
        company.land(careers.archived_tenants(day(20), day(18)))
        company.land(careers.records(end + timedelta(hours=20), month))
        open_months.append(month)
        if place + 1 < months and (place == 0 or rng.random() < 0.4):
            company.seen["closes put off"] += 1
            continue
        for ended in open_months:
            company.close(ended, end + timedelta(hours=30))
        open_months.clear()
        cache.rebuild(company.configuration)
        company.step("rebuilt")
        # A frozen month that is closed again is verified and left alone.
        close.close_month(company.configuration, Month.parse(month), accept_rejected=False, progress=lambda _: None)
        company.step("closed again")


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Company:
    with pytest.MonkeyPatch.context() as patch:
        found = Company(tmp_path_factory.mktemp("over-months"), patch, SEED, CAREERS)
        live(found, MONTHS)
        print(f"{CAREERS} careers × {found.steps} steps, seed {SEED}: {dict(found.seen)}")
    return found


def stated(company: Company) -> list[tuple]:
    """Every entry that the frozen months state, as tuples that compare with those of `due`."""
    order = {receipt.batch_id: receipt.sequence - 1 for receipt in receipts.load(company.configuration)}

    def position(batch_id: str, row: int) -> tuple[int, int]:
        return order[batch_id], row

    def deciding(by: str | None, assignment: str | None) -> tuple[int, int] | None:
        if by not in ("number", "ip"):
            return None
        batch, _, row = assignment.rpartition(":")
        return position(batch, int(row))

    return [
        (month, kind, sign, position(batch, row), account, by, reason, conflict, deciding(by, assignment), *record)
        for month, kind, sign, batch, row, account, by, reason, conflict, assignment, *record in reader.rows(
            company.configuration,
            "select month, entry, record_count, batch_id, source_row, account_id, attributed_by, reason, "
            f"conflict_header_ip, assignment_id, {RECORD} from statements.usage",
        )
    ]


def due(entries: list[Entry]) -> list[tuple]:
    def measured(entry: Entry) -> tuple:
        record = entry.record
        return record._replace(
            duration_seconds=entry.sign * record.duration_seconds,
            billed_seconds=entry.sign * record.billed_seconds,
            cost=entry.sign * record.cost,
        )

    return [
        (
            entry.stated_in,
            entry.kind,
            entry.sign,
            tuple(entry.delivery),
            owner.account_id,
            owner.attributed_by,
            owner.reason,
            owner.conflict_header_ip,
            tuple(owner.assignment) if owner.attributed_by in ("number", "ip") else None,
            *measured(entry),
        )
        for entry in entries
        for owner in [entry.attribution]
    ]


def test_every_close_states_what_the_books_say(company: Company) -> None:
    """Rule 26."""
    expected, found = Counter(due(list(company.books.entries()))), Counter(stated(company))
    missing, extra = list((expected - found).elements()), list((found - expected).elements())
    assert (missing[:3], extra[:3]) == ([], []), f"seed {SEED}: {len(missing)} missing, {len(extra)} too many"
    assert company.seen["late"] > CAREERS / 20
    assert company.seen["restatement"] > CAREERS / 20
    assert company.seen["reversal"] > company.seen["restatement"]
    assert company.seen["closes put off"]


def test_every_record_counts_once_or_not_at_all_over_all_statements(company: Company) -> None:
    counted = dict(
        reader.rows(
            company.configuration,
            "select record_id, sum(record_count)::bigint from statements.usage group by 1",
        )
    )
    assert counted == net_counts(list(company.books.entries()))
    assert set(counted.values()) <= {0, 1}
    assert {record_id for record_id, net in counted.items() if net} == company.books.standing.keys()


def test_the_statements_add_up_to_the_books(company: Company) -> None:
    sums: dict[tuple, list] = defaultdict(lambda: [Decimal(0), 0, Decimal(0)])
    for entry in company.books.entries():
        figures = sums[entry.stated_in, entry.attribution.account_id, entry.record.currency]
        if entry.kind == "usage":
            figures[0] += entry.record.cost
        else:
            figures[1] += entry.sign
            figures[2] += entry.sign * entry.record.cost
    expected = {key: (*figures, figures[0] + figures[2]) for key, figures in sums.items() if key[1] is not None}
    columns = "usage_cost, correction_count, correction_cost, total_cost"
    rows = reader.rows(
        company.configuration, f"select month, account_id, currency, {columns} from statements.statements"
    )
    found = {tuple(row[:3]): tuple(row[3:]) for row in rows}
    assert {key: found.get(key) for key in expected} == expected
    assert {values for key, values in found.items() if key not in expected} <= {(0, 0, 0, 0)}
    whole: dict[tuple, Decimal] = defaultdict(Decimal)
    for (month, _, currency), (usage, _, corrected) in sums.items():
        whole[month, currency] += usage + corrected
    totals = reader.rows(company.configuration, "select month, currency, total_cost from statements.organization")
    assert {tuple(row[:2]): row[2] for row in totals} == dict(whole)


@pytest.mark.long
def test_the_audit_finds_nothing_and_misses_no_lost_correction(company: Company, tmp_path: Path) -> None:
    data = company.configuration.data
    for month in company.books.closed:
        found = audit.audit(data, month)
        assert (found.wrong, found.examples) == (0, [])
    found = audit.audit_all(data)
    assert (found.wrong, found.examples) == (0, [])
    assert found.audited >= len(company.books.stated)
    shutil.copytree(data, tmp_path / "data")
    files = (tmp_path / "data").glob("statements/month=*/usage/corrections.parquet")
    corrections = max(files, key=lambda path: pq.read_metadata(path).num_rows)
    corrections.parent.chmod(0o700)
    kept = pq.read_table(corrections)
    pq.write_table(kept.slice(1), corrections.with_name("rest.parquet"))
    corrections.with_name("rest.parquet").replace(corrections)
    assert audit.audit_all(tmp_path / "data").wrong == 1


def test_nothing_waits_after_the_last_close_and_every_stored_byte_is_sound(company: Company) -> None:
    waiting = "select count(*) from operations.late_records where status = 'waiting'"
    assert reader.rows(company.configuration, waiting) == [(0,)]
    months = [Month.parse(month) for month in company.books.closed]
    assert verify.all_problems(company.configuration, months, lambda _: None) == []

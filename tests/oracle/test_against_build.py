"""The real landing and the real close against the oracle: every record, line, statement and inventory row of a month.

Thousands of independent histories share one build. STATEMENTS_TEST_HISTORIES says how many (`make test-oracle` asks for
20,000); a failure names the seed.
"""

import json
import os
import shutil
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from orchestration import clock, frozen, settings
from orchestration.close import recompute
from orchestration.commands import close, registry
from orchestration.commands.land import Delivery, land
from orchestration.landing import receipts, seal
from orchestration.months import Month
from orchestration.warehouse import reader
from tests.oracle.facts import Landing
from tests.oracle.forgeries import Forger
from tests.oracle.histories import HistorySet, generate, write_csv
from tests.oracle.oracle import MonthAnswer, judge

HISTORIES = int(os.environ.get("STATEMENTS_TEST_HISTORIES", "80"))
SEED = int(os.environ.get("STATEMENTS_TEST_SEED", "20260401"))


class Built:
    """A closed month beside the oracle's answer, with the batch of each landing."""

    def __init__(
        self, configuration: settings.Settings, made: HistorySet, answer: MonthAnswer, batches: dict[str, int]
    ):
        self.configuration, self.made, self.answer, self.batches = configuration, made, answer, batches

    def rows(self, query: str) -> list[tuple]:
        return reader.rows(self.configuration, query)

    def position(self, batch_id: str, row: int) -> tuple[int, int]:
        return self.batches[batch_id], row


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("oracle")
    # Not the usual one, so that a record that takes another is noticed.
    made = generate(SEED, HISTORIES, default_currency="EUR")
    configuration = replace(settings.load(folder / "data"), default_currency=made.default_currency)
    with pytest.MonkeyPatch.context() as patch:
        for step, landing in enumerate(made.landings):
            patch.setattr(clock, "now", lambda at=landing.landed_at: at)
            _land(configuration, landing, step, made, folder)
        patch.setattr(clock, "now", lambda: made.close_at)
        close.close_month(configuration, Month.parse(made.month), accept_rejected=False, progress=lambda _: None)
    # Every landing is one batch, in order, so the batch's place in the sequence is the landing's.
    batches = {receipt.batch_id: receipt.sequence - 1 for receipt in receipts.load(configuration)}
    assert len(batches) == len(made.landings), f"seed {SEED}"
    return Built(configuration, made, judge(made.landings, made.month, default_currency=made.default_currency), batches)


def _land(configuration, landing: Landing, step: int, made: HistorySet, folder: Path) -> None:
    if landing.registry:
        _command(configuration, landing, folder / f"{step}.jsonl")
        return
    same_call = [other for other in made.landings if landing.call and other.call == landing.call]
    if same_call and landing is not same_call[0]:
        return
    paths = []
    for number, part in enumerate(same_call or [landing]):
        paths.append(folder / f"{step:02d}-{number}-{landing.feed}.csv")
        write_csv(part, paths[-1])
    land(configuration, landing.feed, paths, Delivery(cutoff=landing.cutoff, accept_late=landing.accept_late))


def _command(configuration, landing: Landing, path: Path) -> None:
    (row,) = landing.rows
    if landing.feed == "tenants" and row["archived"] == "true":
        registry.archive_tenant(configuration, row["account_id"])
    elif landing.feed == "tenants":
        given = {name: value for name, value in row.items() if name not in ("recorded_at", "archived")}
        path.write_text(json.dumps(given), encoding="utf-8")
        registry.add_tenants(configuration, path)
    else:
        kind = "number" if landing.feed == "number_assignments" else "ip"
        if row.get("account_id"):
            registry.assign(configuration, kind, row[kind], row["account_id"])
        else:
            registry.release(configuration, kind, row[kind])


def _same(expected: dict, found: dict) -> None:
    wrong = {
        key: (expected.get(key), found.get(key))
        for key in expected.keys() | found.keys()
        if expected.get(key) != found.get(key)
    }
    sample = dict(list(wrong.items())[:5])
    assert not wrong, f"seed {SEED}: {len(wrong)} of {len(expected)} differ (expected, found), such as {sample}"


def test_every_record_goes_where_the_oracle_says(built):
    """Rules 8 to 11, 15 and 16."""
    expected = {
        answer.record.record_id: (
            answer.attribution.account_id,
            answer.attribution.attributed_by,
            answer.attribution.reason,
            answer.attribution.conflict_header_ip,
            tuple(answer.delivery),
        )
        for answer in built.answer.records
    }
    found = {
        record_id: (account, method, reason, conflict, built.position(batch, row))
        for record_id, account, method, reason, conflict, batch, row in built.rows(
            "select record_id, account_id, attributed_by, reason, conflict_header_ip, batch_id, source_row "
            "from statements.usage"
        )
    }
    assert len(expected) > 5 * HISTORIES
    _same(expected, found)


def test_the_deciding_event_is_the_one_the_oracle_names(built):
    """Rule 17: the evidence of each record."""
    expected = {
        answer.record.record_id: tuple(answer.attribution.assignment)
        for answer in built.answer.records
        if answer.attribution.assignment is not None and answer.attribution.attributed_by in ("number", "ip")
    }
    found = {}
    for record_id, assignment in built.rows(
        "select record_id, assignment_id from statements.usage where attributed_by in ('number', 'ip')"
    ):
        batch, _, row = assignment.rpartition(":")
        found[record_id] = built.position(batch, int(row))
    _same(expected, found)


def test_what_became_of_the_deliveries_is_counted_alike(built):
    """Rule 18."""
    names = ("accepted", "duplicate", "superseded")
    (found,) = built.rows(f"select {', '.join(names)} from operations.closes")
    assert dict(zip(names, found, strict=True)) == {name: built.answer.counts[name] for name in names}


def test_every_line_is_the_oracles_to_the_last_decimal(built):
    """Rules 24 and 25."""
    expected = {
        key: (m.record_count, m.duration_seconds, m.billed_seconds, m.minutes, m.cost)
        for key, m in built.answer.lines.items()
    }
    found = {
        row[:4]: row[4:]
        for row in built.rows(
            "select account_id, currency, service, direction, record_count, duration_seconds, billed_seconds, minutes, cost "
            "from statements.statement_lines"
        )
    }
    _same(expected, found)


def test_every_statement_is_the_oracles_in_every_column(built):
    """Rules 23 to 25."""
    columns = [name for name, *_ in built.rows("describe statements.statements")]
    found = {
        (row["account_id"], row["currency"]): row
        for row in (dict(zip(columns, values, strict=True)) for values in built.rows("from statements.statements"))
    }
    expected = built.answer.statements
    assert expected.keys() == found.keys()
    compared, wrong = 0, []
    for key, figures in expected.items():
        for name, value in figures.items():
            if name not in found[key] or (name == "asset_changes" and not figures.get("asset_changes_settled", True)):
                continue
            compared += 1
            if found[key][name] != value:
                wrong.append((key, name, value, found[key][name]))
    assert compared > 40 * len(expected)
    assert not wrong, f"seed {SEED}: {len(wrong)} differ, such as {wrong[:5]}"


def test_the_inventory_is_the_oracles(built):
    """Rule 25: inventory."""
    rows = built.rows("select number, account_id, number_type, held_from from statements.number_inventory")
    found = {number: tuple(values) for number, *values in rows}
    expected = {
        number: (held.account_id, held.number_type, held.held_from) for number, held in built.answer.inventory.items()
    }
    _same(expected, found)


def test_unattributed_usage_adds_up_by_reason(built):
    """Rule 16."""
    expected = {key: (m.record_count, m.cost) for key, m in built.answer.unattributed.items()}
    found = {
        row[:4]: row[4:]
        for row in built.rows(
            "select currency, service, direction, reason, sum(record_count)::bigint, sum(cost)::decimal(38, 9) "
            "from statements.unattributed group by all"
        )
    }
    _same(expected, found)
    assert sum(cost for _, cost in found.values()) == sum(
        (m.cost for m in built.answer.unattributed.values()), Decimal(0)
    )


HISTORY_BEFORE = """
    select {kind}, account_id, valid_from, least(coalesce(valid_to, timestamptz '{seal}'), timestamptz '{seal}')
    from assets.{kind}_assignment_history
    where valid_from < timestamptz '{seal}'
    order by all
"""


def test_no_forged_file_changes_who_held_anything_before_the_seal(built, tmp_path):
    """Rule 13."""
    shutil.copytree(built.configuration.data, tmp_path / "data")
    configuration = settings.load(tmp_path / "data")
    # A life that is over by then stays over, one that is not goes on to the seal at least.
    lives = """
        select account_id, alive_from, least(coalesce(archived_at, timestamptz '{seal}'), timestamptz '{seal}')
        from assets.tenants
        where alive_from < timestamptz '{seal}'
        order by all
    """
    questions = {
        "number_assignments": HISTORY_BEFORE.replace("{kind}", "number"),
        "ip_assignments": HISTORY_BEFORE.replace("{kind}", "ip"),
        "tenants": lives,
    }
    landed_at = built.made.close_at + timedelta(hours=1)
    forger = Forger(built.made.landings, SEED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "now", lambda: landed_at)
        for feed, question in questions.items():
            at = seal.seal(feed, receipts.load(configuration), frozen.frozen_months(configuration))
            asked = question.replace("{seal}", at.isoformat())
            before = reader.rows(configuration, asked)
            write_csv(forger.forge(feed, landed_at), tmp_path / f"forged-{feed}.csv")
            (landing,) = land(configuration, feed, [tmp_path / f"forged-{feed}.csv"], Delivery(accept_late=True))
            assert landing.receipt.late > HISTORIES / 2
            assert reader.rows(configuration, asked) == before
    assert len(before) > HISTORIES


@pytest.mark.skipif(os.environ.get("STATEMENTS_ENGINE") != settings.SPARK, reason="with `make test-spark`")
def test_the_other_engine_computes_the_month_again(built):
    other = replace(built.configuration, engine=settings.DUCKDB)
    assert recompute.problems(other, Month.parse(built.made.month), lambda _: None) == []

"""A malformed file ends with a sentence or lands whole: no traceback, nothing half-landed, no row lost."""

from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from orchestration import clock, files, settings
from orchestration.close import manifests
from orchestration.commands import close
from orchestration.commands.land import Delivery, land
from orchestration.landing import receipts
from orchestration.landing.receipts import Receipt
from orchestration.months import Month
from orchestration.warehouse import cache
from tests.conftest import CommandLine
from tests.hostile.malformed import CASES, Either, Lands, Refused
from tests.reach import alternately, share
from tests.unit.deliveries import tenant, tree, write_csv

NOW = "2026-03-20T12:00:00+00:00"


@pytest.fixture
def line(command_line: CommandLine, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """A command line on an empty data folder. The warehouse is a cache, and costs more than the landing."""
    monkeypatch.setattr(cache, "refresh", lambda _: None)
    command_line.at(NOW)
    return command_line


def rows_in(receipt: Receipt) -> tuple[int, int]:
    """Usable and rejected rows, counted in the files themselves and not by their maker."""
    usable = sum(pq.ParquetFile(receipt.path(file)).read().num_rows for file in receipt.files)
    return usable, pq.ParquetFile(receipt.path(receipt.rejected)).read().num_rows if receipt.rejected else 0


def assert_whole(batch: Path, feed: str) -> Receipt:
    """One landed batch: all it says is there, and no row of the file is missing or there twice (invariant 1)."""
    assert files.check_folder(batch) == []
    receipt = receipts.read(batch)
    usable, rejected = rows_in(receipt)
    if feed == "cdrs":
        assert receipt.rows == usable + rejected
        accepted = usable - receipt.duplicates - receipt.superseded
        assert 0 <= accepted <= usable
    else:
        assert (receipt.rows, rejected) == (usable + receipt.duplicates, 0)
    return receipt


@pytest.mark.parametrize("name", alternately(share(CASES, 2)))
def test_ends_with_a_sentence_or_lands_whole(line, name):
    case = CASES[name]
    path = line.folder / f"given{case.suffix}"
    case.make(path)
    outcome = line.run(f"land {case.feed} {path.name}")
    assert outcome.exit_status in (0, 1)
    assert "Traceback" not in outcome.stdout + outcome.stderr
    assert [item for item in (line.data / "build").rglob("*") if item.is_file()] == []
    landed = list((line.data / "landing" / case.feed).glob("*"))
    if outcome.exit_status == 1:
        assert not isinstance(case.outcome, Lands), outcome.stderr
        assert isinstance(case.outcome, Either) or case.outcome.words in outcome.stderr, outcome.stderr
        assert path.name in outcome.stderr
        assert outcome.stderr.endswith((".", "…"))
        assert len(outcome.stderr) < 3_000
        assert landed == []
        return
    assert not isinstance(case.outcome, Refused), outcome.stdout
    (batch,) = landed
    receipt = assert_whole(batch, case.feed)
    if isinstance(case.outcome, Lands):
        assert rows_in(receipt) == (case.outcome.usable, case.outcome.rejected)
    before = tree(line.data)
    assert "nothing to do" in line.must(f"land {case.feed} {path.name}").stdout
    assert tree(line.data) == before


@pytest.mark.long
def test_what_landed_of_all_of_them_closes_and_every_row_is_accounted_for(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "refresh", lambda _: None)
    monkeypatch.setattr(cache, "refresh", lambda _: None)
    moment = datetime.fromisoformat("2026-04-02T12:00:00+00:00")
    monkeypatch.setattr(clock, "now", lambda: moment)
    configuration = settings.load(tmp_path / "data")
    given = []
    for number, case in enumerate(case for case in CASES.values() if case.feed == "cdrs"):
        if isinstance(case.outcome, Lands):
            given.append(tmp_path / f"{number}{case.suffix}")
            case.make(given[-1])
    assert len(given) > 80
    land(configuration, "tenants", [write_csv(tmp_path / "t.csv", tenant("alpha"))], Delivery())
    land(configuration, "cdrs", given, Delivery())
    landed = receipts.load(configuration)
    month = Month(2026, 3)
    close.close_month(configuration, month, accept_rejected=True, progress=lambda _: None)

    usable = [pq.read_table(r.path(f), columns=["record_id"]).to_pylist() for r in landed for f in r.files_of(month)]
    records = [row["record_id"] for rows in usable for row in rows]
    rejected = [pq.read_table(r.path(r.rejected), columns=["month"]).to_pylist() for r in landed if r.rejected]
    left_out = [row for rows in rejected for row in rows if row["month"] in (None, str(month))]
    counts = asdict(manifests.read(configuration, month).content.counts)
    assert (counts["landed"], counts["rejected"]) == (len(records) + len(left_out), len(left_out))
    assert counts["accepted"] == len(set(records))
    assert counts["landed"] == sum(counts[name] for name in ("accepted", "duplicate", "superseded", "rejected"))


def test_there_are_as_many_cases_as_promised():
    assert len(share(CASES, 2)) >= 200

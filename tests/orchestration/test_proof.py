"""Proof without us, and closes that depend on nothing but what had landed when they began."""

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import rfc8785

from orchestration.close import dbt_build, manifests, readiness
from orchestration.close.content import canonical
from orchestration.close.inputs import Close
from orchestration.close.manifests import Chain
from orchestration.commands import close
from orchestration.commands.land import Delivery
from orchestration.commands.land import land as land_files
from orchestration.errors import Damaged
from orchestration.landing import receipts
from orchestration.warehouse import cache, reader
from tests.orchestration import outsider
from tests.orchestration.conftest import (
    AFTER_APRIL,
    AFTER_MARCH,
    APRIL,
    IN_APRIL,
    MARCH,
    closing,
    land,
    settings_of,
)
from tests.unit.deliveries import record, tree, write_csv

# Without us -----------------------------------------------------------------------------------------------------------


def test_an_outsider_makes_every_manifest_again_in_plain_python(closed_april):
    """In a process that cannot see the project."""
    told = subprocess.run(
        [sys.executable, "-I", outsider.__file__, closed_april / "data"], capture_output=True, text=True, check=False
    )
    head = manifests.read(settings_of_folder(closed_april), APRIL).sha256
    assert (told.returncode, told.stdout.strip(), told.stderr) == (0, head, "")


def settings_of_folder(folder: Path):
    from orchestration import settings

    return settings.load(folder / "data")


def test_an_outsider_notices_a_figure_that_is_off(closed_april, tmp_path):
    folder = shutil.copytree(closed_april, tmp_path / "copy")
    path = folder / "data" / "statements" / "month=2026-04" / "manifest.json"
    path.chmod(0o644)
    content = json.loads(path.read_bytes())
    content["totals_since_first_month"]["USD"] = "0.000000000"
    path.write_bytes(rfc8785.dumps(content))
    with pytest.raises(SystemExit, match="totals_since_first_month"):
        outsider.main(folder / "data")


def test_every_month_can_be_checked_with_sha256sum(closed_april):
    folders = sorted((closed_april / "data").glob("*/**/SHA256SUMS"))
    assert len(folders) > 6
    for sums in folders:
        subprocess.run(["sha256sum", "--strict", "--quiet", "-c", "SHA256SUMS"], cwd=sums.parent, check=True)


# What a close begins with ---------------------------------------------------------------------------------------------


def test_a_batch_that_is_gone_stops_the_close(copy_of, landed_march):
    """Without it the month would state less, and add up."""
    line = copy_of(landed_march)
    land(line, "cdrs", record("one-more"))
    (first,) = line.data.glob("landing/cdrs/00000004-*")
    shutil.move(first, line.folder / "away")
    with pytest.raises(Damaged, match="landed batches are missing: numbers 4"):
        closing(line)
    assert not (line.data / "statements").exists()


def test_a_bit_of_a_receipt_that_flipped_stops_the_close(copy_of, landed_march):
    """It could take a file out of its month."""
    line = copy_of(landed_march)
    (path,) = line.data.glob("landing/cdrs/*/receipt.json")
    path.chmod(0o644)
    path.write_text(path.read_text().replace('"month": "2026-03"', '"month": "2026-07"'))
    with pytest.raises(Damaged, match="is not the receipt that was written"):
        closing(line)


def test_a_break_in_the_chain_stops_the_close_however_old_it_is(copy_of, closed_april):
    line = copy_of(closed_april, "2026-06-02T12:00:00+00:00")
    land(line, "cdrs", record("june", started_at="2026-06-01T00:00:00Z"))
    path = line.data / "statements" / "month=2026-03" / "manifest.json"
    path.chmod(0o644)
    content = json.loads(path.read_bytes())
    content["warnings"] = []
    path.write_bytes(canonical(content))
    outcome = line.run("close 2026-05")
    assert (outcome.exit_status, "2026-04 was frozen after another 2026-03" in outcome.stderr) == (3, True)


def test_what_clears_a_rejected_row_is_hashed_and_named_wherever_it_lies(copy_of, landed_march):
    line = copy_of(landed_march, "2026-06-02T12:00:00+00:00")
    land(line, "cdrs", record("broken", started_at="2026-05-20T00:00:00Z"))
    batches = receipts.load(settings_of(line))
    (file,) = [file for file in batches[-1].files if file.month == "2026-05"]
    assert batches[-1].path(file) in readiness.pinned_files(Close(MARCH, Chain(), batches))
    path = batches[-1].path(file)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"0")
    with pytest.raises(Damaged, match="does not match the hash that was kept of it"):
        closing(line)


def test_verify_finds_a_record_that_a_close_stated_twice_because_it_did_not_look_elsewhere(
    copy_of, closed_march, monkeypatch
):
    """Rule 18. A close looks where receipts say that records have moved; verify looks by itself."""
    line = copy_of(closed_march, "2026-05-02T12:00:00+00:00")
    moved = record("in-alpha", started_at="2026-04-10T00:00:00Z")
    land(line, "cdrs", moved, *IN_APRIL)
    with monkeypatch.context() as blind:
        blind.setattr(Close, "linked_files", {})
        closing(line, APRIL)
    outcome = line.run("verify")
    assert outcome.exit_status == 3
    assert "do not count each record once over all months: in-alpha (counts 2, not 1)" in outcome.stderr


# All at once ----------------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_what_comes_while_a_close_runs_waits_readers_do_not_and_the_month_is_the_same(
    copy_of, landed_march, closed_march, monkeypatch
):
    """A landing, a second close and a rebuild start in the middle of a close, and a reader looks."""
    line = copy_of(landed_march, AFTER_MARCH)
    settings = settings_of(line)
    cache.rebuild(settings)
    path = write_csv(line.folder / "given" / "meanwhile.csv", record("meanwhile", cost="1000"), *IN_APRIL)
    ended: dict[str, object] = {}

    def in_the_background(name, work):
        def run():
            ended[name] = work()

        threads.append(threading.Thread(target=run, name=name))
        threads[-1].start()

    threads: list[threading.Thread] = []
    build = dbt_build.build

    def build_in_company(*arguments):
        if not threads:
            in_the_background("landing", lambda: land_files(settings, "cdrs", [path], Delivery()))
            in_the_background(
                "close", lambda: close.close_month(settings, MARCH, accept_rejected=True, progress=lambda _: None)
            )
            assert line.must("status --json").stdout
            assert line.run("show 2026-03").exit_status == 1
            assert reader.rows(settings, "select count(*) from operations.batches") == [(4,)]
        nodes = build(*arguments)
        assert ended == {}, "something did not wait for the close"
        return nodes

    monkeypatch.setattr(dbt_build, "build", build_in_company)
    closing(line)
    monkeypatch.setattr(dbt_build, "build", build)
    for thread in threads:
        thread.join(timeout=120)
    assert ended["close"].already_frozen
    assert ended["landing"][0].receipt.sequence == 5
    assert tree(line.data / "statements") == tree(closed_march / "data" / "statements")
    assert reader.rows(settings, "select status, record_id from operations.late_records where status = 'waiting'") == [
        ("waiting", "meanwhile")
    ]
    line.at(AFTER_APRIL)
    land(line, "cdrs", record("may", started_at="2026-05-01T00:00:00Z"))
    assert closing(line, APRIL).manifest.content.counts.late == 1

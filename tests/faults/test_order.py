"""What a power cut would leave: told from the order of system calls, since a kill leaves what the kernel holds."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults import zygote as forked
from tests.faults.conftest import AFTER_MARCH, LATER, SINCE, given
from tests.faults.durability import power_cuts, violations
from tests.faults.machine import Command, Zygote
from tests.faults.strace import Call
from tests.faults.test_faults import CLOSE, landing
from tests.reach import FULL, missing
from tests.unit.deliveries import tenant

pytestmark = pytest.mark.skipif(not FULL and bool(missing("strace")), reason=f"order of syncs: {missing('strace')}")
# How the missing sync of each mutant shows.
CAUGHT = {
    "a frozen file": "statements.parquet is not synced before",
    "an inner folder": "usage is not synced before",
    "the staged folder": "build/close/month=2026-04 is not synced before",
    "the folders around it": "statements is not synced after statements/month=2026-04 is in place",
}


def calls_of(zygote: Zygote, situation: Path, command: Command) -> list[Call]:
    zygote.reset(situation)
    return zygote.record(command)[1]


def test_a_close_asks_the_disk_for_everything_before_anything_relies_on_it(zygote, april_landed):
    assert violations(calls_of(zygote, april_landed, CLOSE), zygote.data) == []


def test_a_landing_asks_the_disk_for_everything_before_anything_relies_on_it(zygote, april_landed):
    calls = calls_of(zygote, april_landed, landing(zygote, "cdrs", since=SINCE, later=LATER))
    assert violations(calls, zygote.data) == []


@pytest.mark.parametrize("name", CAUGHT)
def test_a_close_that_leaves_one_sync_out_is_caught(zygote, april_landed, name):
    calls = calls_of(zygote, april_landed, replace(CLOSE, without=name))
    found = violations(calls, zygote.data)
    assert any(CAUGHT[name] in one for one in found), found


def test_every_sync_that_can_be_left_out_is():
    assert CAUGHT.keys() == forked.WITHOUT.keys()


def test_a_power_cut_at_any_call_of_a_landing_leaves_each_batch_whole_or_absent(zygote, april_landed):
    calls = calls_of(zygote, april_landed, landing(zygote, "cdrs", since=SINCE, later=LATER))
    states, wrong = power_cuts(calls, april_landed, zygote.data)
    print(f"\nlanding: {states} states of the disk")
    assert wrong == []
    assert states > 500


def test_a_power_cut_at_any_call_of_the_first_landing_leaves_it_whole_or_absent(zygote, april_landed, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    path = given(zygote.folder, "first", [tenant("alpha")])
    calls = calls_of(zygote, empty, Command(f"land tenants {path}", AFTER_MARCH))
    assert power_cuts(calls, empty, zygote.data)[1] == []


@pytest.mark.skipif(not FULL, reason="make test-faults")
@pytest.mark.parametrize("name", [None, *CAUGHT])
def test_a_power_cut_at_any_call_of_a_close_leaves_the_month_whole_or_absent(zygote, april_landed, name):
    calls = calls_of(zygote, april_landed, replace(CLOSE, with_build=False, without=name))
    states, wrong = power_cuts(calls, april_landed, zygote.data)
    print(f"\nclose: {states} states of the disk, {len(wrong)} of them wrong")
    assert bool(wrong) == (name is not None), wrong

"""Killed, or refused by the machine, at any system call of a close or a landing: nothing lost, nothing half done.

The calls are those that strace sees in an undisturbed run. Each fault strikes a fresh copy of the same folder, is shown
to have happened, and is followed by the same command again, which must get where the undisturbed run got.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestration import settings
from orchestration.close import verify
from orchestration.frozen import frozen_months
from tests.faults import strace
from tests.faults.conftest import AFTER_APRIL, LATER, SINCE, given
from tests.faults.machine import Command, Done, Left, Zygote, left
from tests.faults.strace import Call, Fault
from tests.reach import FULL, missing
from tests.unit.deliveries import number_of

pytestmark = [
    pytest.mark.skipif(not FULL and bool(missing("strace")), reason=f"faults: {missing('strace')}"),
]
ERRORS = ("ENOSPC", "EIO", "EACCES")
# A call by which bytes or names come to be: a command that was refused one and says that all is well is wrong.
NEVER_SWALLOWED = (*strace.WRITING, *strace.SYNCING, "rename", "renameat2", "openat")
CLOSE = Command("close 2026-04", AFTER_APRIL, with_build=True)
SHARE = 4


def landing(zygote: Zygote, feed: str, **files: list) -> Command:
    paths = " ".join(str(given(zygote.folder, name, rows)) for name, rows in files.items())
    return Command(f"land {feed} {paths}", AFTER_APRIL)


def faults_at(calls: list[Call], data: Path, *, errors: tuple[str, ...] = ERRORS) -> Iterator[Fault]:
    """A kill at each change and an error at each call, the errors in turn; each kind of call meets all of them."""
    turns: Counter[str] = Counter()
    for call, watched, nth in strace.thinned(strace.sites(calls, data)):
        if not call.done or not any(path.is_relative_to(data) for path in call.paths):
            continue
        if call.is_change:
            yield Fault("kill", call.name, watched, nth)
            yield Fault(errors[turns[call.name] % len(errors)], call.name, watched, nth)
            turns[call.name] += 1
        elif nth == 1:
            # Reading changes nothing: a kill there is a kill at the change before.
            yield Fault("EIO", call.name, watched, nth)


def is_sentence(said: str) -> bool:
    """What an operator is told: a line or two, and not where in a program something went wrong."""
    return "Traceback" not in said and 0 < len(said.strip().splitlines()) <= 3


def problems_after(fault: Fault, done: Done, before: Left, now: Left, whole: Left) -> Iterator[str]:
    """What is wrong right after the fault."""
    for name, was in before.folders.items():
        if now.folders.get(name) != was:
            yield f"{name} is not as it was"
    for name in now.folders.keys() - before.folders.keys():
        # The folder's own mode comes after its name; the same command again sees to it.
        found, wanted = (dict(folders.get(name, {})) for folders in (now.folders, whole.folders))
        found.pop(".", None), wanted.pop(".", None)
        if found != wanted:
            yield f"{name} is neither absent nor whole"
    if now.warehouse not in (before.warehouse, whole.warehouse):
        yield "the warehouse is neither the old nor the new one"
    if fault.kind == "kill":
        return
    if done.status == 0:
        # The overview is a page about what is done: when it cannot be written, the command says so and has done its work.
        told = "It is done, but" in done.said and "overview.html was not written" in " ".join(done.said.split())
        # It looks at what the next close will read; what the machine refuses there stands on it.
        told |= "The machine would not do it" in now.overview
        if fault.call in NEVER_SWALLOWED and not told:
            yield f"the error was swallowed: {done.said}"
        if now.folders != whole.folders or now.warehouse != whole.warehouse:
            yield "it said that all is well, and is not"
        return
    if done.status not in (1, 3) or not is_sentence(done.said):
        yield f"it ended with {done.status} and said {done.said!r}"


def problems_again(again: Done, now: Left, whole: Left, data: Path) -> Iterator[str]:
    """What is wrong when the same command has run once more."""
    if again.status != 0:
        yield f"the same again ended with {again.status} and said {again.said!r}"
    for name in sorted(now.folders.keys() ^ whole.folders.keys()):
        yield f"afterwards {name} is there in one of the runs alone"
    for name in now.folders.keys() & whole.folders.keys():
        for path in now.folders[name].keys() | whole.folders[name].keys():
            if now.folders[name].get(path) != whole.folders[name].get(path):
                yield f"afterwards {name}/{path} is not what the undisturbed run made"
    if now.warehouse != whole.warehouse:
        yield "afterwards the warehouse is another"
    if now.scraps:
        yield f"afterwards there are scraps: {now.scraps}"
    configuration = settings.load(data)
    yield from verify.all_problems(configuration, frozen_months(configuration), lambda _: None)


def strike(zygote: Zygote, situation: Path, command: Command, faults: list[Fault], whole: Left) -> None:
    """Each fault on a fresh copy. Fails with all that went wrong, and unless every fault has happened."""
    zygote.reset(situation)
    before = left(zygote.data)
    wrong, void, ends = [], [], Counter()
    for fault in faults:
        zygote.reset(situation)
        done, fired = zygote.with_fault(command, fault)
        if not fired:
            void.append(f"{fault}: did not happen")
            continue
        now = left(zygote.data)
        found = list(problems_after(fault, done, before, now, whole))
        again = zygote.run(command)
        found += problems_again(again, left(zygote.data), whole, zygote.data)
        wrong += [f"{fault}: {one}" for one in found]
        print(*(f"  {one}" for one in wrong[-len(found) :] if found), sep="\n", end="", flush=True)
        kind = "kill" if fault.kind == "kill" else "error"
        ends[kind, fault.call, done.status, len(now.folders) > len(before.folders)] += 1
    print(f"\n{command.line.split()[0]}: {len(faults) - len(void)} faults happened, {len(void)} did not")
    for (kind, call, status, published), count in sorted(ends.items()):
        print(f"  {count:4} × {kind} at {call}: ended with {status}, {'published' if published else 'not published'}")
    assert not wrong, "\n".join(wrong)
    assert not void, "\n".join(void)


def undisturbed(zygote: Zygote, situation: Path, command: Command) -> tuple[Left, list[Call]]:
    """What the command makes, and its calls."""
    zygote.reset(situation)
    _, calls = zygote.record(command)
    return left(zygote.data), calls


def some_of(faults: Iterator[Fault]) -> list[Fault]:
    listed = list(faults)
    return listed if FULL else listed[:: max(1, len(listed) // SHARE)]


def test_no_fault_in_publishing_a_month_loses_or_half_does_anything(zygote, april_landed):
    whole, calls = undisturbed(zygote, april_landed, CLOSE)
    strike(zygote, april_landed, CLOSE, some_of(faults_at(calls, zygote.data)), whole)


def test_no_fault_in_a_landing_loses_or_half_does_anything(zygote, april_landed):
    command = landing(zygote, "cdrs", since=SINCE, later=LATER)
    whole, calls = undisturbed(zygote, april_landed, command)
    strike(zygote, april_landed, command, some_of(faults_at(calls, zygote.data)), whole)


@pytest.mark.skipif(not FULL, reason="make test-faults")
def test_no_fault_in_landing_assignments_loses_or_half_does_anything(zygote, april_landed):
    command = landing(zygote, "number_assignments", numbers=[number_of("beta", recorded_at="2026-05-02T00:00:00Z")])
    whole, calls = undisturbed(zygote, april_landed, command)
    strike(zygote, april_landed, command, some_of(faults_at(calls, zygote.data)), whole)


@pytest.mark.skipif(not FULL, reason="make test-faults")
def test_no_fault_while_a_month_is_built_loses_or_half_does_anything(zygote, april_landed):
    """The part of a close before its files are written, dbt's: the same command again starts it anew."""
    command = replace(CLOSE, with_build=False)
    whole, calls = undisturbed(zygote, april_landed, command)
    build = zygote.data / "build" / "close"
    begin = next(
        place for place, call in enumerate(calls) if build / "month=2026-04" / "statements.parquet" in call.paths
    )
    faults = list(faults_at(calls[:begin], zygote.data))
    strike(zygote, april_landed, command, faults[:: max(1, len(faults) // 60)], whole)

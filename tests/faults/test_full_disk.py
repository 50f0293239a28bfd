"""A disk that is too small, and a limit on the size of a file, met by a user who is not root."""

import os
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestration import files
from tests.faults.conftest import AFTER_APRIL, AFTER_MARCH, IN_APRIL, given, land_march
from tests.faults.machine import Command, Done, Left, Zygote, left, zygote_in
from tests.faults.test_faults import is_sentence, problems_again
from tests.reach import FULL, missing

NEEDED = missing("mount", "setpriv", root=True)
pytestmark = pytest.mark.skipif(not FULL and bool(NEEDED), reason=f"full disk: {NEEDED}")
NOBODY = 65534
# Nobody may read the checkout and its interpreter wherever they are, root's own folder included, and nothing else.
AS_NOBODY = (
    "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
    "--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search",
)  # fmt: skip
PLENTY = 512 << 20
STEPS = 24 if FULL else 3
CLOSE = Command("close 2026-04", AFTER_APRIL, dagster=True)


class Disk:
    """The data folder of a zygote as a disk of its own, of any size."""

    def __init__(self, zygote: Zygote) -> None:
        self.zygote = zygote
        self.data = zygote.data

    def mount(self, size: int) -> None:
        self.data.mkdir(exist_ok=True)
        owner = f"mode=0700,uid={NOBODY},gid={NOBODY}"
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},{owner}", "none", str(self.data)], check=True)

    def unmount(self) -> None:
        if os.path.ismount(self.data):
            subprocess.run(["umount", str(self.data)], check=True)

    def resize(self, size: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", str(self.data)], check=True)

    @property
    def used(self) -> int:
        free = os.statvfs(self.data)
        return (free.f_blocks - free.f_bfree) * free.f_frsize

    def reset(self, situation: Path, room: int = PLENTY) -> None:
        """A fresh disk with a situation on it, and this much room beside."""
        self.unmount()
        self.mount(PLENTY)
        shutil.copytree(situation, self.data, dirs_exist_ok=True)
        for path in [self.data, *self.data.rglob("*")]:
            os.chown(path, NOBODY, NOBODY)
        if room != PLENTY:
            self.resize(self.used + room)


@pytest.fixture(scope="module")
def disk() -> Iterator[Disk]:
    # pytest's own folders are its user's alone.
    with tempfile.TemporaryDirectory(prefix="small-disk-") as name:
        folder = Path(name)
        folder.chmod(0o777)
        with zygote_in(folder, *AS_NOBODY) as zygote:
            disk = Disk(zygote)
            disk.mount(PLENTY)
            try:
                yield disk
            finally:
                disk.unmount()


@pytest.fixture(scope="module")
def march_landed(disk) -> Path:
    land_march(disk.zygote)
    return disk.zygote.save("march-landed")


@pytest.fixture(scope="module")
def landing(disk) -> Command:
    return Command(f"land cdrs {given(disk.zygote.folder, 'april', IN_APRIL)}", AFTER_APRIL)


@pytest.fixture(scope="module")
def april_landed(disk, march_landed, landing) -> Path:
    disk.reset(march_landed)
    disk.zygote.must(Command("close 2026-03", AFTER_MARCH))
    disk.zygote.must(landing)
    return disk.zygote.save("april-landed")


def whole_of(disk: Disk, situation: Path, command: Command) -> Left:
    disk.reset(situation)
    disk.zygote.must(command)
    return left(disk.data)


def problems_after(done: Done, before: Left, now: Left, whole: Left) -> Iterator[str]:
    """What is wrong when the machine would not go on."""
    if done.status != 1 or not is_sentence(done.said):
        yield f"it ended with {done.status} and said {done.said!r}"
    if "add up" in done.said:
        yield f"it took the machine's refusal for a wrong sum: {done.said!r}"
    if any(now.folders.get(name) != was for name, was in before.folders.items()):
        yield "what was there is not as it was"
    if any(now.folders[name] != whole.folders.get(name) for name in now.folders.keys() - before.folders.keys()):
        yield "something is neither absent nor whole"
    if now.warehouse not in (before.warehouse, whole.warehouse):
        yield "the warehouse is neither the old nor the new one"
    if now.scraps:
        yield f"there are scraps: {now.scraps}"


def squeeze(disk: Disk, situation: Path, command: Command, rooms: list[int], *, limit: bool) -> Counter[str]:
    """The command with little room on the disk, or with a limit on the size of a file; then again with plenty.

    Gives back what it said, and how often.
    """
    whole = whole_of(disk, situation, command)
    disk.reset(situation)
    before = left(disk.data)
    wrong, said = [], Counter()
    for room in rooms:
        disk.reset(situation, PLENTY if limit else room)
        done = disk.zygote.run(replace(command, file_size=room) if limit else command)
        now = left(disk.data)
        disk.resize(PLENTY)
        found = list(problems_after(done, before, now, whole)) if done.status else []
        found += problems_again(disk.zygote.run(command), left(disk.data), whole, disk.data)
        wrong += [f"{room:,} bytes: {one}" for one in found]
        said[re.sub(r"/\S+", "…", done.said.strip().splitlines()[0]) if done.status else "done"] += 1
    print(f"\n{command.line.split()[0]}, {'file size' if limit else 'disk'}: {len(rooms)} sizes")
    for sentence, count in said.most_common():
        print(f"  {count:4} × {sentence}")
    assert not wrong, "\n".join(wrong)
    return said


def enough(disk: Disk, situation: Path, command: Command) -> int:
    """Room in which the command works, and in half of which it does not."""
    room = 64 << 10
    while True:
        disk.reset(situation, room)
        if disk.zygote.run(command).status == 0:
            return room
        room *= 2


@pytest.mark.long
def test_a_landing_on_a_disk_that_is_full_leaves_what_was_there_and_lands_when_there_is_room(
    disk, march_landed, landing
):
    most = enough(disk, march_landed, landing)
    said = squeeze(disk, march_landed, landing, [most * step // STEPS for step in range(STEPS)], limit=False)
    assert said.total() - said["done"] >= STEPS // 2


@pytest.mark.long
@pytest.mark.skipif(not FULL, reason="make test-faults")
def test_a_close_on_a_disk_that_is_full_leaves_what_was_there_and_closes_when_there_is_room(disk, april_landed):
    most = enough(disk, april_landed, CLOSE)
    said = squeeze(disk, april_landed, CLOSE, [most * step // STEPS for step in range(STEPS)], limit=False)
    assert said.total() - said["done"] >= STEPS // 2


@pytest.mark.long
@pytest.mark.skipif(not FULL, reason="make test-faults")
@pytest.mark.parametrize("what", ["landing", "close"])
def test_a_limit_on_the_size_of_a_file_is_a_refusal_too(disk, april_landed, march_landed, landing, what):
    situation, command = {"landing": (march_landed, landing), "close": (april_landed, CLOSE)}[what]
    limits = [1 << shift for shift in range(10, 22)] + [3 << shift for shift in range(10, 20)]
    assert squeeze(disk, situation, command, limits, limit=True).total() >= 20


@pytest.mark.long
def test_a_folder_that_may_not_be_written_is_a_sentence(disk, march_landed, landing):
    disk.reset(march_landed)
    before = left(disk.data)
    os.chown(disk.data / "landing" / "cdrs", 0, 0)
    (disk.data / "landing" / "cdrs").chmod(0o755)
    done = disk.zygote.run(landing)
    assert list(problems_after(done, before, left(disk.data), before)) == []
    assert "Permission denied" in done.said
    assert files.check_folder(next((disk.data / "landing" / "cdrs").iterdir())) == []

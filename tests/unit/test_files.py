"""What the file system promises here: sealed folders, publishing without replacing, swapping, one writer."""

import ctypes
import errno
import gc
import itertools
import os
import select
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestration import files
from orchestration.errors import Damaged, Refused
from orchestration.settings import PROJECT_ROOT


def finished(folder: Path, **contents: str) -> Path:
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    return folder


def sealed(folder: Path, **contents: str) -> Path:
    finished(folder, **contents)
    files.seal_folder(folder, files.hashes_below(folder))
    return folder


def overwrite(path: Path, content: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(content)


def test_a_sealed_folder_holds_what_its_sums_say_and_nobody_may_write_there(tmp_path):
    folder = sealed(tmp_path / "batch", **{"a.txt": "one", "inner/b.txt": "two"})
    assert files.check_folder(folder) == []
    assert stat.S_IMODE((folder / "a.txt").stat().st_mode) == 0o444
    assert stat.S_IMODE((folder / "inner").stat().st_mode) == 0o555


def test_the_sums_can_be_checked_without_this_software(tmp_path):
    folder = finished(tmp_path / "batch", **{"a.txt": "one", "inner/b.txt": "two"})
    files.seal_folder(folder, dict(reversed(files.hashes_below(folder).items())))
    checked = subprocess.run(["sha256sum", "-c", files.SUMS], cwd=folder, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout.splitlines()) == (0, ["a.txt: OK", "inner/b.txt: OK"])


def test_syncing_asks_the_disk_for_that_very_file_or_folder(tmp_path, monkeypatch):
    finished(tmp_path, **{"a.txt": "one"})
    asked = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: asked.append(os.fstat(descriptor).st_ino))
    files.sync(tmp_path / "a.txt")
    files.sync(tmp_path)
    assert asked == [(tmp_path / "a.txt").stat().st_ino, tmp_path.stat().st_ino]


def test_sealing_syncs_every_file_and_folder_in_the_same_order_each_time(tmp_path, monkeypatch):
    """A fault that is struck in one run has to be found again in the next."""
    names = [f"{folder}{letter}.txt" for folder in ("", "x/", "y/", "y/z/", "w/") for letter in "hgfedcba"]
    folder = finished(tmp_path / "batch", **dict.fromkeys(names, ""))
    synced = []
    monkeypatch.setattr(files, "sync", synced.append)
    files.seal_folder(folder, files.hashes_below(folder))
    assert synced == [
        *sorted(folder / name for name in (*names, files.SUMS)),
        *(folder / inner for inner in ("y/z", "y", "x", "w")),
        folder,
    ]


def change(folder: Path) -> None:
    overwrite(folder / "a.txt", b"onf")


def shorten(folder: Path) -> None:
    overwrite(folder / "a.txt", b"on")


def lengthen(folder: Path) -> None:
    overwrite(folder / "a.txt", b"one\n")


def delete(folder: Path) -> None:
    (folder / "a.txt").unlink()


def add(folder: Path) -> None:
    (folder / "stray.txt").write_text("", encoding="utf-8")


def swap_two(folder: Path) -> None:
    one, two = (folder / "a.txt").read_bytes(), (folder / "c.txt").read_bytes()
    overwrite(folder / "a.txt", two)
    overwrite(folder / "c.txt", one)


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (change, ["a.txt"]),
        (shorten, ["a.txt"]),
        (lengthen, ["a.txt"]),
        (delete, ["a.txt is missing"]),
        (add, ["stray.txt was never listed"]),
        (swap_two, ["a.txt", "c.txt"]),
    ],
)
def test_every_kind_of_damage_is_named(tmp_path, damage, named):
    folder = sealed(tmp_path / "batch", **{"a.txt": "one", "c.txt": "six"})
    damage(folder)
    problems = files.check_folder(folder)
    assert len(problems) == len(named)
    assert all(words in problem for words, problem in zip(named, problems, strict=True))


def be_a_folder(folder: Path) -> None:
    (folder / "a.txt").unlink()
    (folder / "a.txt").mkdir()


def be_a_pipe(folder: Path) -> None:
    (folder / "a.txt").unlink()
    os.mkfifo(folder / "a.txt")


def be_a_link(folder: Path) -> None:
    (folder / "a.txt").rename(folder.parent / "a.txt")
    (folder / "a.txt").symlink_to(folder.parent / "a.txt")


@pytest.mark.parametrize(
    ("damage", "problem"),
    [(be_a_folder, "cannot be read"), (be_a_pipe, "cannot be read"), (be_a_link, "is a link")],
)
def test_what_is_no_file_of_the_folder_is_damage(tmp_path, damage, problem):
    folder = sealed(tmp_path / "batch", **{"a.txt": "one"})
    folder.chmod(0o755)
    damage(folder)
    assert files.check_folder(folder) == [f"{folder / 'a.txt'} {problem}"]


def test_damage_is_told_in_the_order_of_the_names(tmp_path):
    names = [f"{letter}.txt" for letter in "hgfedcba"]
    folder = sealed(tmp_path / "batch", **dict.fromkeys([f"{kind}-{name}" for kind in "cm" for name in names], "one"))
    for name in names:
        overwrite(folder / f"c-{name}", b"two")
        (folder / f"m-{name}").unlink()
        (folder / f"n-{name}").touch()
    assert files.check_folder(folder) == [
        *(f"{folder}/m-{name} is missing" for name in sorted(names)),
        *(f"{folder}/n-{name} was never listed" for name in sorted(names)),
        *(f"{folder}/c-{name} does not match its hash" for name in sorted(names)),
    ]


def test_one_hash_that_is_none_is_no_list_of_sums(tmp_path):
    folder = sealed(tmp_path / "batch", **{"a.txt": "one", "b.txt": "two"})
    overwrite(folder / files.SUMS, (folder / files.SUMS).read_bytes().replace(b"f", b"F", 1))
    with pytest.raises(ValueError, match="SHA256SUMS is not as it was written"):
        files.sums(folder)
    assert files.check_folder(folder) == [f"{folder / files.SUMS} is not as it was written"]


@pytest.mark.parametrize("content", [b"", b"no sums", b"\xff\xfe", b"abc  a.txt\n"])
def test_sums_that_are_no_sums_are_damage(tmp_path, content):
    folder = sealed(tmp_path / "batch", **{"a.txt": "one"})
    overwrite(folder / files.SUMS, content)
    assert files.check_folder(folder)


@pytest.mark.slow
def test_any_one_bit_that_flips_in_the_sums_is_found(tmp_path):
    folder = sealed(tmp_path / "batch", **{"a.txt": "one", "b.txt": "two"})
    sums = folder / files.SUMS
    content = sums.read_bytes()
    missed = []
    for place, bit in itertools.product(range(len(content)), range(8)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << bit
        overwrite(sums, bytes(flipped))
        if not files.check_folder(folder):
            missed.append((place, bit))
    assert missed == []


@pytest.mark.parametrize("change", [lambda sums: sums[:-1], lambda sums: sums + b"\n", lambda sums: sums + sums[-73:]])
def test_sums_that_are_cut_or_grew_are_found(tmp_path, change):
    folder = sealed(tmp_path / "batch", **{"a.txt": "one", "b.txt": "two"})
    overwrite(folder / files.SUMS, change((folder / files.SUMS).read_bytes()))
    assert files.check_folder(folder)


def test_missing_sums_are_damage(tmp_path):
    folder = sealed(tmp_path / "batch", **{"a.txt": "one"})
    (folder / files.SUMS).unlink()
    assert files.check_folder(folder) == [f"{folder / files.SUMS} cannot be read"]


def test_publishing_never_replaces_what_is_there(tmp_path):
    first = finished(tmp_path / "staged-1", **{"a.txt": "first"})
    second = finished(tmp_path / "staged-2", **{"a.txt": "second"})
    final = tmp_path / "out" / "final"
    files.publish(first, final)
    with pytest.raises(OSError) as refused:
        files.publish(second, final)
    assert refused.value.errno == errno.EEXIST
    assert (final / "a.txt").read_text(encoding="utf-8") == "first"
    assert (second / "a.txt").exists()


class NoSuchCall:
    """A C library from elsewhere."""

    def __init__(self, *_, **__) -> None:
        pass


class CallWithout(NoSuchCall):
    """A C library that has the call, on a system or a disk that does not know it."""

    code = errno.ENOSYS

    def renameat2(self, *_) -> int:
        ctypes.set_errno(self.code)
        return -1


class FlagUnknown(CallWithout):
    code = errno.EINVAL


@pytest.mark.parametrize("library", [NoSuchCall, CallWithout, FlagUnknown])
def test_publishing_elsewhere_does_not_replace_what_is_there_either(tmp_path, monkeypatch, library):
    monkeypatch.setattr(ctypes, "CDLL", library)
    first = finished(tmp_path / "staged-1", **{"a.txt": "first"})
    second = finished(tmp_path / "staged-2", **{"a.txt": "second"})
    files.publish(first, tmp_path / "final")
    assert not first.exists()
    with pytest.raises(OSError) as refused:
        files.publish(second, tmp_path / "final")
    # POSIX leaves it to the file system which of the two.
    assert refused.value.errno in (errno.ENOTEMPTY, errno.EEXIST)
    assert (tmp_path / "final" / "a.txt").read_text(encoding="utf-8") == "first"


def test_paths_may_be_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files.publish(finished(Path("staged"), **{"a.txt": "first"}), Path("deep/deeper/final"))
    assert (tmp_path / "deep/deeper/final/a.txt").exists()


def test_publishing_syncs_every_folder_up_to_the_one_that_both_are_in(tmp_path, monkeypatch):
    staged = finished(tmp_path / "data" / "build" / "staged", **{"a.txt": "first"})
    synced = []
    monkeypatch.setattr(files, "sync", synced.append)
    files.publish(staged, tmp_path / "data" / "out" / "deep" / "final")
    assert synced == [tmp_path / "data" / "out" / "deep", tmp_path / "data" / "out", tmp_path / "data"]


def test_swapping_syncs_the_new_file_before_and_its_name_afterwards(tmp_path, monkeypatch):
    (tmp_path / "staged").write_text("new", encoding="utf-8")
    synced = []
    monkeypatch.setattr(files, "sync", lambda path: synced.append((path, (tmp_path / "final").exists())))
    files.swap(tmp_path / "staged", tmp_path / "final")
    assert synced == [(tmp_path / "staged", False), (tmp_path, True)]


def test_publishing_does_not_even_replace_an_empty_folder(tmp_path):
    staged = finished(tmp_path / "staged", **{"a.txt": "first"})
    (tmp_path / "final").mkdir()
    with pytest.raises(FileExistsError):
        files.publish(staged, tmp_path / "final")


def test_a_published_folder_is_read_only(tmp_path):
    files.publish(sealed(tmp_path / "staged", **{"a.txt": "first"}), tmp_path / "final")
    assert stat.S_IMODE((tmp_path / "final").stat().st_mode) == 0o555


def test_who_has_a_swapped_file_open_keeps_reading_the_old_one(tmp_path):
    (tmp_path / "final").write_text("old", encoding="utf-8")
    (tmp_path / "staged").write_text("new", encoding="utf-8")
    with (tmp_path / "final").open(encoding="utf-8") as handle:
        files.swap(tmp_path / "staged", tmp_path / "final")
        assert handle.read() == "old"
    assert (tmp_path / "final").read_text(encoding="utf-8") == "new"


def test_removing_takes_read_only_parts_too_and_follows_no_link(tmp_path):
    folder = sealed(tmp_path / "private", **{"inner/b.txt": "two"})
    kept = finished(tmp_path / "kept", **{"a.txt": "one"})
    (folder / "link").symlink_to(kept)
    folder.chmod(0o555)
    files.remove(folder)
    files.remove(folder)
    assert not folder.exists()
    assert (kept / "a.txt").exists()


def test_every_folder_may_be_written_to_before_it_is_removed(tmp_path, monkeypatch):
    """Root would not need it."""
    folder = sealed(tmp_path / "private", **{"x/y/b.txt": "two"})
    folder.chmod(0o555)
    monkeypatch.setattr(files.shutil, "rmtree", lambda _: None)
    files.remove(folder)
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / "x", folder / "x/y")} == {0o700}
    assert stat.S_IMODE((folder / "x/y/b.txt").stat().st_mode) == 0o444


@pytest.fixture
def few_folders(monkeypatch):
    """Who would never stop making folders is stopped."""
    monkeypatch.setattr(files, "itertools", SimpleNamespace(count=lambda start: range(start, 100)))


@pytest.mark.slow
@pytest.mark.usefixtures("few_folders")
def test_nothing_that_was_opened_stays_open(tmp_path):
    def opened() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    # What other tests left open goes now, not in between.
    gc.collect()
    before = opened()
    (tmp_path / "spill" / f"{files.OWN_FOLDER}1").mkdir(parents=True)
    with files.own_folder(tmp_path / "spill"), files.own_folder(tmp_path / "spill"):
        pass
    files.publish(sealed(tmp_path / "staged", **{"a.txt": "first"}), tmp_path / "final")
    assert opened() == before


@pytest.mark.parametrize("path", ["two\nlines", "turned\u202earound", "\udcff"])
def test_a_path_that_cannot_be_shown_is_refused(path):
    files.require_printable(Path("/data/Ünïcode and blanks"), "The data folder")
    with pytest.raises(Refused, match=r"The data folder '.*' has characters in its path that cannot be shown"):
        files.require_printable(Path("/data") / path, "The data folder")


def test_hashes_that_were_written_down_are_required(tmp_path):
    finished(tmp_path, **{"a.txt": "one", "b.txt": "two"})
    expected = {tmp_path / name: files.sha256(tmp_path / name) for name in ("a.txt", "b.txt")}
    files.require_hashes(expected)
    (tmp_path / "b.txt").write_text("twp", encoding="utf-8")
    with pytest.raises(Damaged, match="b.txt does not match"):
        files.require_hashes(expected)
    (tmp_path / "b.txt").unlink()
    with pytest.raises(Damaged, match="b.txt is missing"):
        files.require_hashes(expected)


def test_a_full_disk_is_a_sentence():
    with pytest.raises(Refused, match="No space left on device at here"), files.disk_errors():
        raise OSError(errno.ENOSPC, "No space left on device", "here")
    with pytest.raises(Refused, match="something else(?! at)"), files.disk_errors():
        raise OSError("something else")


HOLD = """
import sys, time
from pathlib import Path
from orchestration import files
with files.only_writer(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_writer_says_that_it_waits_until_the_first_is_done(tmp_path):
    command = [sys.executable, "-c", HOLD, tmp_path / ".lock"]
    pipes = {"cwd": PROJECT_ROOT, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as first:
        assert first.stdout.readline() == "held\n"
        with subprocess.Popen(command, **pipes) as second:
            assert second.stderr.readline() == "Waiting for another command …\n"
            assert select.select([second.stdout], [], [], 0.3) == ([], [], [])
            first.kill()
            assert second.stdout.readline() == "held\n"
            second.kill()


def test_what_is_written_under_the_lock_is_private_and_nothing_else(tmp_path):
    for lock in (tmp_path / "deep" / "data" / ".lock", tmp_path / "deep" / "data" / ".lock"):
        mask = os.umask(0o022)
        try:
            with files.only_writer(lock):
                (tmp_path / "private").touch()
            (tmp_path / "public").touch()
        finally:
            os.umask(mask)
        modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("private", "public")}
        assert modes == {0o600, 0o644}
        (tmp_path / "private").unlink()


def test_a_killed_process_lets_go_of_the_lock(tmp_path):
    lock = tmp_path / ".lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(lock)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        import fcntl

        with lock.open("a") as handle, pytest.raises(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        holder.kill()
        holder.wait()
    with files.only_writer(lock):
        pass


# A folder of one's own ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("few_folders")
def test_folders_of_ones_own_are_private_apart_and_gone_afterwards(tmp_path):
    with files.own_folder(tmp_path / "spill") as mine, files.own_folder(tmp_path / "spill") as other:
        assert (mine.name, other.name) == (f"{files.OWN_FOLDER}1", f"{files.OWN_FOLDER}2")
        assert stat.S_IMODE(mine.stat().st_mode) == 0o700
        (mine / "spilled").touch()
        assert mine.exists()
    assert list((tmp_path / "spill").iterdir()) == []


@pytest.mark.usefixtures("few_folders")
def test_what_a_killed_process_left_goes_and_what_others_have_stays(tmp_path):
    code = (
        "import pathlib, sys, time\n"
        "from orchestration import files\n"
        "with files.own_folder(pathlib.Path(sys.argv[1])) as folder:\n"
        "    (folder / 'spilled').touch()\n"
        "    print(folder, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        left = Path(process.stdout.readline().strip())
        strangers = [tmp_path / "tenant", tmp_path / "theirs"]
        for folder in strangers:
            folder.mkdir()
        with files.own_folder(tmp_path):
            assert (left / "spilled").exists()
        process.kill()
        process.wait()
        assert (left / "spilled").exists()
    with files.own_folder(tmp_path) as mine:
        assert sorted(tmp_path.iterdir()) == sorted([mine, *strangers])


@pytest.mark.slow
def test_folders_come_and_go_while_others_tidy_up(tmp_path):
    code = (
        "import pathlib, sys\n"
        "from orchestration import files\n"
        "for turn in range(300):\n"
        "    with files.own_folder(pathlib.Path(sys.argv[1])) as folder:\n"
        "        (folder / 'mine').touch(exist_ok=False)\n"
        "        (folder / 'mine').unlink()\n"
    )
    command = [sys.executable, "-c", code, tmp_path / "spill"]
    running = [subprocess.Popen(command, cwd=PROJECT_ROOT, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    assert [process.communicate()[1] for process in running] == [""] * 4
    assert list((tmp_path / "spill").iterdir()) == []


@pytest.mark.usefixtures("few_folders")
def test_what_another_user_left_stays(tmp_path, monkeypatch):
    (tmp_path / f"{files.OWN_FOLDER}1").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with files.own_folder(tmp_path) as mine:
        assert mine.name == f"{files.OWN_FOLDER}2"
    assert (tmp_path / f"{files.OWN_FOLDER}1").is_dir()


@pytest.mark.usefixtures("few_folders")
def test_a_file_of_such_a_name_stays(tmp_path):
    (tmp_path / f"{files.OWN_FOLDER}1").touch()
    with files.own_folder(tmp_path) as mine:
        assert mine.name == f"{files.OWN_FOLDER}2"
    assert (tmp_path / f"{files.OWN_FOLDER}1").is_file()


@pytest.mark.usefixtures("few_folders")
def test_a_link_put_in_the_place_of_a_folder_of_ones_own_is_not_followed(tmp_path):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    theirs.chmod(0o755)
    (theirs / "kept").touch()
    spill = tmp_path / "spill"
    spill.mkdir()
    (spill / f"{files.OWN_FOLDER}1").symlink_to(theirs)
    with files.own_folder(spill) as mine:
        assert mine.name == f"{files.OWN_FOLDER}2"
    assert (theirs / "kept").exists()
    assert stat.S_IMODE(theirs.stat().st_mode) == 0o755

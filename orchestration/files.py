"""The file system's guarantees that the rest relies on: one writer, hashes, and bytes on the disk before a rename.

What belongs here: locking, hashing, syncing, renaming. What does not: what the files mean.
"""

import ctypes
import errno
import fcntl
import hashlib
import itertools
import os
import re
import shutil
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Protocol, TypeVar

from orchestration.errors import Damaged, Refused, refused_by_machine

SUMS = "SHA256SUMS"
# How the folders begin that one process alone uses; nothing else of a name like it is ever touched.
OWN_FOLDER = "tenant-statements-"
# Under this mask, new files and folders can be read by their user alone.
PRIVATE = 0o077
READ_ONLY_FOLDER = stat.S_IRUSR | stat.S_IXUSR | stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH
T = TypeVar("T")
_AT_FDCWD = -100
_RENAME_NOREPLACE = 1


@contextmanager
def only_writer(lock: Path) -> Iterator[None]:
    """Hold a lock: each data folder has one. Files written meanwhile are private to their user.

    The kernel lets go of the lock even when the process is killed.
    """
    mask = os.umask(PRIVATE)
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        with lock.open("a") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print("Waiting for another command …", file=sys.stderr)
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield
    finally:
        os.umask(mask)


@contextmanager
def own_folder(parent: Path) -> Iterator[Path]:
    """A folder that nobody else uses, removed at the end. Folders left by killed processes are removed now.

    A folder is in use while its flock is held; the kernel releases it when the process dies. The names are numbered, so
    that one process alone makes the same calls each time.
    """
    parent.mkdir(parents=True, exist_ok=True)
    for left in parent.glob(f"{OWN_FOLDER}*"):
        _remove_if_left(left)
    numbered = (parent / f"{OWN_FOLDER}{number}" for number in itertools.count(1))
    folder, descriptor = next(own for path in numbered if (own := _made_and_locked(path)))
    try:
        yield folder
    finally:
        remove(folder)
        os.close(descriptor)


def _made_and_locked(folder: Path) -> tuple[Path, int] | None:
    """A new folder and the descriptor that locks it; None when the name is taken."""
    try:
        folder.mkdir(mode=stat.S_IRWXU)
    except FileExistsError:
        return None
    descriptor = _locked(folder)
    return None if descriptor is None else (folder, descriptor)


def _remove_if_left(folder: Path) -> None:
    try:
        descriptor = _locked(folder)
    except OSError:
        # Another user's, or a link.
        return
    if descriptor is None:
        return
    try:
        # Where others may write too, what they put there under such a name is not ours to touch.
        if os.fstat(descriptor).st_uid == os.geteuid():
            remove(folder)
    finally:
        os.close(descriptor)


def _locked(folder: Path) -> int | None:
    """A descriptor that locks a folder; None when it is in use, or was removed or replaced meanwhile."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), folder.lstat()):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None


def require_printable(path: Path, what: str) -> None:
    """Refuse a path that cannot be shown as it is: line breaks, marks that turn text around, bytes outside of UTF-8."""
    if not str(path).isprintable():
        raise Refused(f"{what} {str(path)!a} has characters in its path that cannot be shown. Choose one without.")


def sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def small(path: Path, most: int) -> bytes:
    """The bytes of a file that somebody keeps by hand; refused when it has more than `most`, before it fills memory."""
    with path.open("rb") as handle:
        found = handle.read(most + 1)
    if len(found) > most:
        raise Refused(f"{path} has more than {most:,} bytes, and no such file is that large.")
    return found


def sync(path: Path) -> None:
    """Ask the disk to hold a file's bytes, or a folder's entries, before going on."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if not path.is_dir())


class EachFile(Protocol):
    """A way to do some work on each of many files, and give the results in the files' order."""

    def __call__(self, work: Callable[[Path], T], paths: Sequence[Path]) -> list[T]: ...


def two_at_a_time(work: Callable[[Path], T], paths: Sequence[Path]) -> list[T]:
    """Work on files in this process: hashing and reading let go of the interpreter."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        return list(pool.map(work, paths))


def hashes_below(folder: Path, each_file: EachFile = two_at_a_time) -> dict[str, str]:
    """Name → SHA-256 of every file in a folder."""
    paths = files_below(folder)
    return {str(path.relative_to(folder)): digest for path, digest in zip(paths, each_file(sha256, paths), strict=True)}


def seal_folder(folder: Path, hashes: dict[str, str]) -> None:
    """Write SHA256SUMS over everything in a finished folder, make it read-only, and have the disk hold it."""
    (folder / SUMS).write_text(sums_text(hashes), encoding="utf-8")
    for path in files_below(folder):
        sync(path)
        path.chmod(stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH)
    for inner in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
        sync(inner)
        inner.chmod(READ_ONLY_FOLDER)
    sync(folder)


def sums_text(hashes: dict[str, str]) -> str:
    """The lines of a SHA256SUMS, from name → SHA-256."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(hashes.items()))


def sums(folder: Path) -> dict[str, str]:
    """Name → SHA-256, as a sealed folder lists them. ValueError or OSError when the list is not as it was written."""
    written = (folder / SUMS).read_bytes().decode()
    pairs = (line.partition("  ") for line in written.removesuffix("\n").split("\n"))
    listed = {name: digest for digest, _, name in pairs}
    # The text is fixed by what it says, so a single bit that is off in it shows.
    if written != sums_text(listed) or not all(re.fullmatch("[0-9a-f]{64}", digest) for digest in listed.values()):
        raise ValueError(f"{folder / SUMS} is not as it was written")
    return listed


def check_folder(folder: Path, each_file: EachFile = two_at_a_time) -> list[str]:
    """The differences of a sealed folder from its SHA256SUMS: changed, missing, or unlisted files. Empty if sound."""
    try:
        listed = sums(folder)
    except (OSError, UnicodeDecodeError):
        return [f"{folder / SUMS} cannot be read"]
    except ValueError as error:
        return [str(error)]
    present = {str(path.relative_to(folder)): path for path in folder.rglob("*")}
    around = {str(parent) for name in listed for parent in PurePath(name).parents}
    problems = [f"{folder / name} is missing" for name in sorted(listed.keys() - present.keys())]
    problems += [
        f"{present[name]} was never listed" for name in sorted(present.keys() - listed.keys() - around - {SUMS})
    ]
    problems += [f"{path} is a link" for path in present.values() if path.is_symlink()]
    names = sorted(listed.keys() & present.keys())
    for name, digest in zip(names, each_file(_sha256_or_none, [present[name] for name in names]), strict=True):
        if digest is None:
            problems.append(f"{present[name]} cannot be read")
        elif digest != listed[name]:
            problems.append(f"{present[name]} does not match its hash")
    return problems


def require_hashes(expected: dict[Path, str], each_file: EachFile = two_at_a_time) -> None:
    """Raise Damaged unless each file has the hash that was written down for it."""
    hashes = dict(zip(expected, each_file(_sha256_or_none, [*expected]), strict=True))
    for path, digest in expected.items():
        if hashes[path] is None:
            raise Damaged(
                f"{path} is missing or cannot be read. Restore it from a backup; "
                "`statements verify` lists what is damaged."
            )
        if hashes[path] != digest:
            raise Damaged(
                f"{path} does not match the hash that was kept of it. Restore it from a backup; "
                "`statements verify` lists what is damaged."
            )


def _sha256_or_none(path: Path) -> str | None:
    try:
        # Reading a pipe or a device might never end.
        return sha256(path) if path.is_file() else None
    except OSError:
        return None


def publish(staged: Path, final: Path) -> None:
    """Rename a finished folder into place, at once and never over another: the commit point."""
    final.parent.mkdir(parents=True, exist_ok=True)
    _rename_without_replacing(staged, final)
    settle(final, Path(os.path.commonpath([staged, final])))


def settle(final: Path, root: Path) -> None:
    """Make a published folder read-only, and have the disk hold its name and those of the folders around it.

    It is done again where a folder is published already: the process that renamed it may have been killed before this.
    """
    final.chmod(READ_ONLY_FOLDER)
    for parent in final.parents:
        sync(parent)
        if parent == root:
            return


def _rename_without_replacing(source: Path, target: Path) -> None:
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        # Elsewhere: a rename never replaces a folder that holds something, and a finished folder always does.
        source.rename(target)
        return
    if renameat2(_AT_FDCWD, bytes(source), _AT_FDCWD, bytes(target), _RENAME_NOREPLACE) == 0:
        return
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS):
        source.rename(target)
        return
    raise OSError(code, os.strerror(code), str(target))


def swap(staged: Path, final: Path) -> None:
    """Put a finished file in the place of another. A process that has the old one open keeps reading it."""
    sync(staged)
    staged.replace(final)
    sync(final.parent)


def remove(folder: Path) -> None:
    """Delete a private folder, read-only parts too."""
    if not folder.exists():
        return
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir() and not path.is_symlink():
            path.chmod(stat.S_IRWXU)
    shutil.rmtree(folder)


@contextmanager
def disk_errors() -> Iterator[None]:
    """Turn the machine's refusals (a full disk, a missing permission) into a sentence for the operator."""
    try:
        yield
    except OSError as error:
        place = f" at {error.filename}" if error.filename else ""
        raise refused_by_machine(f"{error.strerror or error}{place}") from error

"""The inbox: files dropped into a folder of their feed or source are landed, then put away with their outcome.

What belongs here: which files are ready, landing one, moving it. What does not: asking again and again; a Dagster
sensor (`defs.inbox`) or the operator (`land --inbox`) does. A file is landed where it lies and moved afterwards: a kill
in between leaves a file that the next round finds landed already.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestration import files
from orchestration.commands.land import Delivery, Landing, land
from orchestration.errors import FileChanged, Refused
from orchestration.landing import input_files
from orchestration.landing.feeds import CDRS, FEEDS
from orchestration.landing.input_files import Stamp
from orchestration.settings import Settings

DONE, REFUSED = "done", "refused"
# A copy in progress touches its file all the time; one that paused for longer than this usually holds it open still.
QUIET_SECONDS = 10
# The names that copying programs give to a file that is not whole yet.
UNFINISHED = (".part", ".partial", ".tmp", ".filepart", ".crdownload", "~")


@dataclass(frozen=True)
class Dropped:
    """A whole file in the inbox, and the folder's name: a feed, or NAME[@INSTANCE] of a source."""

    path: Path
    folder: str

    @property
    def feed(self) -> str:
        return self.folder if self.folder in FEEDS else CDRS.name

    @property
    def source(self) -> str | None:
        return None if self.folder in FEEDS else self.folder


@dataclass(frozen=True)
class Outcome:
    """The outcome of a dropped file: its landing, or the reason of its refusal; and where it lies now."""

    dropped: Dropped
    landing: Landing | None
    refusal: str | None
    moved_to: Path


def dropped_file(settings: Settings, folder: str, name: str) -> Dropped:
    """The file of this name in a folder of the inbox, and in no other place."""
    if any(part in ("", ".", "..", DONE, REFUSED) or "/" in part for part in (folder, name)):
        raise Refused(f"{folder}/{name} names no file of the inbox.")
    return Dropped(settings.inbox / folder / name, folder)


def prepare(settings: Settings) -> None:
    """Make a folder for each feed; those of sources are the operator's to make. Tenants files are nobody else's."""
    settings.inbox.mkdir(parents=True, exist_ok=True)
    settings.inbox.chmod(0o700)
    for name in (*FEEDS, DONE, REFUSED):
        (settings.inbox / name).mkdir(parents=True, exist_ok=True)


def ready(settings: Settings) -> list[Dropped]:
    """The files that are whole, oldest first. A file that is still being written is left alone."""
    if not settings.inbox.is_dir():
        return []
    whole = [
        Dropped(path, folder.name)
        for folder in sorted(settings.inbox.iterdir())
        if folder.is_dir() and folder.name not in (DONE, REFUSED) and not folder.name.startswith(".")
        for path in folder.iterdir()
        if path.is_file() and not path.is_symlink() and _is_whole(path)
    ]
    return sorted(whole, key=lambda dropped: (dropped.path.stat().st_mtime_ns, dropped.path))


def _is_whole(path: Path) -> bool:
    if path.name.startswith(".") or path.name.endswith(UNFINISHED):
        return False
    if time.time() - path.stat().st_mtime < QUIET_SECONDS:
        return False
    return not _is_open_for_writing(path)


def _is_open_for_writing(path: Path) -> bool:
    """Linux gives a read lease only on a file that nobody has open for writing. Elsewhere, quiet has to do."""
    if not hasattr(fcntl, "F_SETLEASE"):
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except OSError:
        # Not a file of ours, or a file system without leases.
        return False
    finally:
        os.close(descriptor)
    return False


def land_all(settings: Settings, progress: Callable[[str], None]) -> Iterator[Outcome]:
    """Land every file that is ready, each by itself, so that a bad one keeps no other from landing."""
    for dropped in ready(settings):
        yield land_one(settings, dropped, progress)


def land_one(settings: Settings, dropped: Dropped, progress: Callable[[str], None]) -> Outcome:
    """Land a dropped file, then move it to `done`, or to `refused` with the reason in a text file beside it.

    A file that somebody wrote to meanwhile stays where it is, and is landed when it is whole.
    """
    looked = input_files.stamp(dropped.path)
    try:
        (landing,) = land(settings, dropped.feed, [dropped.path], Delivery(source=dropped.source), progress)
    except FileChanged as refusal:
        return Outcome(dropped, None, str(refusal), dropped.path)
    except Refused as refusal:
        moved = _put_away(settings, dropped, REFUSED, files.sha256(dropped.path), looked)
        if moved != dropped.path:
            moved.with_name(f"{moved.name}.reason.txt").write_text(f"{refusal}\n", encoding="utf-8")
        return Outcome(dropped, None, str(refusal), moved)
    moved = _put_away(settings, dropped, DONE, landing.receipt.source_sha256, looked)
    return Outcome(dropped, landing, None, moved)


def _put_away(settings: Settings, dropped: Dropped, kind: str, sha256: str, looked: Stamp) -> Path:
    """Move it under a name that begins with its hash: two files of one name are both kept, the same file once.

    Returns where it lies now: where it lay, if somebody put another file there after this one was looked at.
    """
    target = settings.inbox / kind / dropped.folder / f"{sha256[:12]}-{dropped.path.name}"
    target.parent.mkdir(parents=True, exist_ok=True)
    dropped.path.replace(target)
    # The move itself sets the time of the inode's change, which stands last.
    if input_files.stamp(target)[:-1] == looked[:-1]:
        return target
    # A link replaces nothing, should there be a third one by now.
    os.link(target, dropped.path)
    target.unlink()
    return dropped.path

"""The data folder as a place: whether a folder is one, and files for others kept out of it.

What belongs here: the names by which a data folder is recognized, and where a command may put the files it hands out.
What does not: the meaning of anything stored (`landing`, `close`, `warehouse`).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestration import files
from orchestration.errors import Refused
from orchestration.settings import PROJECT_ROOT, Settings


def require(settings: Settings) -> None:
    """Refused unless the folder is a data folder: in an empty one that a mistyped path names, all would seem well.

    A data folder has something that a landing, the operator or Dagster put there; `.lock` and `build` show only that a
    command was tried. The folder `data` of a checkout is one before anything has landed.
    """
    data = settings.data
    marks = (
        settings.landing,
        settings.statements,
        settings.sources,
        settings.inbox,
        settings.dagster_home,
        settings.warehouse,
    )
    if any(mark.exists() for mark in marks) or (data.is_dir() and data.resolve() == PROJECT_ROOT / "data"):
        return
    fault = "nothing has landed in it" if data.is_dir() else "it is no folder" if data.exists() else "it does not exist"
    raise Refused(
        f"{data} is no data folder: {fault}. Name yours with --data-dir or STATEMENTS_DATA_DIR; "
        "`statements land` and `statements tenant add` begin a new one."
    )


@contextmanager
def file_to_hand_out(settings: Settings, target: Path) -> Iterator[Path]:
    """A path to write to; the file is put in place whole at the end, in a folder that is made if need be.

    Refused, with nothing made, where only this software may write: a stray name among frozen months or landed batches
    stops every later command, and one in a working folder is removed by the next.
    """
    require_outside(settings, target)
    target.parent.mkdir(parents=True, exist_ok=True)
    staged = target.with_name(f".{target.name}.part")
    try:
        yield staged
        files.swap(staged, target)
    finally:
        staged.unlink(missing_ok=True)


def require_outside(settings: Settings, target: Path) -> None:
    """Refused where only this software may write."""
    # A link is replaced where it lies, so that place counts as much as the one it leads to.
    places = (_real(target), _real(target.parent) / target.name)
    for own in settings.written_by_this_software:
        if any(place.is_relative_to(_real(own)) for place in places):
            raise Refused(
                f"{target.absolute()} is not written: {own} belongs to the data folder, and this software alone "
                "writes there. Choose another place."
            )


def _real(path: Path) -> Path:
    """The path without links; unlike `Path.resolve`, also when they lead in a circle, which opening the file tells."""
    return Path(os.path.realpath(path))

"""How much is tried, and what the machine must offer: a share in `make test`, all of it in the targets of the slow suites.

What belongs here: the setting, the share, the programs and rights. What does not: the cases.
"""

import os
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

import pytest
from _pytest.mark import ParameterSet

Value = TypeVar("Value")
FULL = os.environ.get("STATEMENTS_TEST_REACH") == "full"
# The right to mount, by its number in Linux's capabilities(7): root in a container seldom has it.
CAP_SYS_ADMIN = 21


def share(of: Mapping[str, Value], every: int) -> dict[str, Value]:
    """Every second, third, … of the cases, so some of each kind; all of them at full reach."""
    return dict(list(of.items())[:: 1 if FULL else every])


def alternately(names: Iterable[str], others: pytest.MarkDecorator = pytest.mark.long) -> list[ParameterSet]:
    """Cases for a test's parameter of which every second bears the mark `others`, so is left to a slower target."""
    return [pytest.param(name, marks=others if place % 2 else ()) for place, name in enumerate(names)]


def missing(*programs: str, root: bool = False) -> str | None:
    """Why something cannot be tried here, in a sentence; nothing when it can."""
    gone = [program for program in programs if not shutil.which(program)]
    if gone:
        return f"{', '.join(gone)} is not installed (Debian: apt-get install {' '.join(gone)})"
    if root and not _may_mount():
        return "only root with the right to mount (CAP_SYS_ADMIN) can make a small disk and step down to another user"
    return None


def _may_mount() -> bool:
    held = re.search(r"^CapEff:\s*([0-9a-f]+)$", Path("/proc/self/status").read_text(encoding="utf-8"), re.MULTILINE)
    return os.geteuid() == 0 and bool(int(held[1], 16) >> CAP_SYS_ADMIN & 1)

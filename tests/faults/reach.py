"""How much is tried, and what the machine must offer: a share in `make test`, all of it in `make test-faults`."""

import os
import shutil

FULL = os.environ.get("STATEMENTS_TEST_REACH") == "full"


def missing(*programs: str, root: bool = False) -> str | None:
    """Why something cannot be tried here, in a sentence; nothing when it can."""
    gone = [program for program in programs if not shutil.which(program)]
    if gone:
        return f"{', '.join(gone)} is not installed (Debian: apt-get install {' '.join(gone)})"
    if root and os.geteuid() != 0:
        return "only root can mount a small disk and step down to a user who is not root"
    return None

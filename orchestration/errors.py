"""The errors a user can cause, each with the exit status the command line gives it. Everything else is a bug."""

import difflib
from collections.abc import Iterable


class Refused(Exception):
    """A request that is refused. Nothing is half done; the message says what, where and the way out."""

    exit_status = 1


class FileChanged(Refused):
    """A file is refused because somebody wrote to it, or put another in its place, while it was read."""


class Damaged(Exception):
    """A stored byte, frozen or landed, does not match its hash. Never repaired, only reported."""

    exit_status = 3


def did_you_mean(text: str, names: Iterable[str], *, likeness: float = 0.6) -> str:
    """A question for whoever mistyped a name, with a blank before it; nothing when no name is like it in any case."""
    folded = {name.casefold(): name for name in names}
    alike = difflib.get_close_matches(text.casefold(), folded, n=1, cutoff=likeness)
    return f" Did you mean {folded[alike[0]]}?" if alike else ""


def refused_by_machine(reason: str) -> Refused:
    """A sentence for an operation that the machine refused, true both before something is published and after."""
    return Refused(f"The machine would not do it: {reason}. No file is half written: the same command again goes on.")

"""How much is tried: a share in `make test`, all of it in `make test-hostile`."""

import os
from collections.abc import Mapping
from typing import TypeVar

Value = TypeVar("Value")
FULL = os.environ.get("STATEMENTS_TEST_REACH") == "full"


def share(of: Mapping[str, Value], every: int) -> dict[str, Value]:
    """Every second, third, … of the cases, so some of each kind; all of them at full reach."""
    return dict(list(of.items())[:: 1 if FULL else every])

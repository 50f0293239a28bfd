"""Letting the garbage collector rest while many small lasting objects are made.

Nothing else belongs here. The oracle makes millions of tuples and no cycles; scanning them over and over
took half of the time of judging 20,000 histories.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """Keep the cyclic collector off for a block, and leave it as it was."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()

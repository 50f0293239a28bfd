"""How far a large file has come: a bar, rows and rows a second, while its queries run.

What belongs here: asking DuckDB how far its query is, and telling it. What does not: drawing on a terminal (`screen`).
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

# Where Linux counts what this process reads.
COUNTS = Path("/proc/self/io")
INTERVAL_SECONDS = 0.5
BAR = 12


def bytes_read() -> int:
    """What this process has read so far; 0 where the system does not count it, or tells nobody."""
    try:
        counts = dict(line.split(": ") for line in COUNTS.read_text(encoding="ascii").splitlines())
    except OSError:
        return 0
    return int(counts["rchar"])


class Pace:
    """The unit of progress: the bytes of the file until its rows are counted, and then its rows."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._doing, self._total, self._unit = "reading", size / 1e6, "MB"
        self._since, self._last = time.monotonic(), 0.0
        self._read_before: int | None = None

    def rows_are(self, rows: int, *, in_parts: bool = False) -> None:
        """The rows that are being written. Of a file in parts DuckDB cannot say how far it is."""
        self._doing, self._total, self._unit = "writing", float(rows), "rows"
        self._since, self._last = time.monotonic(), 0.0
        self._read_before = bytes_read() if in_parts else None

    def percent(self, connection: duckdb.DuckDBPyConnection) -> float:
        """How far the file is read, or then the query; below zero when neither can be told."""
        if self._read_before is None:
            return connection.query_progress()
        if not self._read_before:
            return -1
        read = 100 * (bytes_read() - self._read_before) / self._size
        return read if read < 100 else connection.query_progress()

    def line(self, percent: float) -> str | None:
        """A line for how far the running query is; none while DuckDB cannot tell."""
        if not 0 <= percent <= 100:
            return None
        if percent < self._last:
            # Another query over the same rows began since it was last asked.
            self._since = time.monotonic() - INTERVAL_SECONDS
        self._last = percent
        done = self._total * percent / 100
        rate = done / max(time.monotonic() - self._since, 0.001)
        bar = "█" * round(percent / 100 * BAR)
        return (
            f"{self._doing} {bar:░<{BAR}} {percent:3.0f} %, {done:,.0f} of {self._total:,.0f} {self._unit}, "
            f"{rate:,.0f} {self._unit}/s"
        )


@contextmanager
def followed(connection: duckdb.DuckDBPyConnection, size: int, say: Callable[[str], None] | None) -> Iterator[Pace]:
    """Say how far the connection's queries are, twice a second, until the block ends. Without `say`, ask nothing."""
    pace = Pace(size)
    if say is None:
        yield pace
        return
    connection.execute("set enable_progress_bar = true; set enable_progress_bar_print = false")
    ended = threading.Event()

    def ask() -> None:
        while not ended.wait(INTERVAL_SECONDS):
            line = pace.line(pace.percent(connection))
            if line:
                say(line)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    try:
        yield pace
    finally:
        ended.set()
        thread.join()

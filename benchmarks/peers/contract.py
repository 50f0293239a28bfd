"""What a peer is given and what it must leave behind.

What belongs here: paths, and what the rules say of services. What does not: any engine. Only the standard library is
used, since each peer runs where its engine is installed.
"""

import csv
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

SERVICES = Path(__file__).parents[2] / "seeds" / "services.csv"
CANONICAL = (
    "record_id",
    "call_id",
    "service",
    "direction",
    "started_at",
    "duration_seconds",
    "billed_seconds",
    "number",
    "from_number",
    "to_number",
    "source_ip",
    "x_tenant",
    "routed_to",
    "cost",
    "currency",
    "batch_id",
    "source_row",
)
LINE = ("account_id", "service", "direction", "currency")


@dataclass(frozen=True)
class Job:
    """Files to read, and the folder to write `detail…` and `lines.parquet` to.

    `periods`: asset, account_id, valid_from, valid_to. `lives`: account_id, alive_from, alive_until. All half-open.
    Numbers begin with + and IPs never do, so one key serves for both.
    """

    cdrs: list[str]
    periods: str
    lives: str
    out: Path

    @property
    def detail(self) -> str:
        return str(self.out / "detail.parquet")

    @property
    def lines(self) -> str:
        return str(self.out / "lines.parquet")

    @property
    def list_of_cdrs(self) -> str:
        """The landed files as a SQL list of texts."""
        return "[" + ", ".join(f"'{path}'" for path in self.cdrs) + "]"


class Stages:
    """Seconds of each step, printed as JSON at the end."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._since = time.monotonic()

    def done(self, stage: str) -> None:
        now = time.monotonic()
        self._seconds[stage], self._since = round(now - self._since, 2), now

    def tell(self) -> None:
        print(json.dumps(self._seconds))


def read_job() -> Job:
    """The job named on the command line."""
    given = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    return Job(**given | {"out": Path(given["out"])})


def origin_services() -> list[str]:
    """Services that, outbound, are attributed by header and IP; all else goes by number."""
    rows = list(csv.DictReader(SERVICES.open(encoding="utf-8")))
    origin = sorted(row["service"] for row in rows if row["attributed_by"] == "origin")
    by_number = {row["service"] for row in rows if (row["attributed_by"], row["direction"]) == ("number", "outbound")}
    if by_number & set(origin) or any(r["direction"] == "inbound" for r in rows if r["attributed_by"] == "origin"):
        raise SystemExit("services.csv has changed: direction and service alone no longer tell who decides.")
    return origin


def is_origin_sql() -> str:
    """The same as a SQL condition on service and direction."""
    listed = ", ".join(f"'{service}'" for service in origin_services())
    return f"(direction = 'outbound' and service in ({listed}))"

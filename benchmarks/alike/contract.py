"""What every engine is given and what it must leave behind: the columns, the orders and the wide form, spelled once.

What belongs here: paths, names and conditions of the rules, as data and as plain SQL that every engine reads. What does
not: any engine. Only the standard library is used, since each engine runs where it is installed.
"""

import csv
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.peers.contract import SERVICES

# Of a landed record, in the order of the canonical feed.
CARRIED = (
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
)
PLACE = ("batch_id", "source_row")
DECIDED = ("account_id", "attributed_by", "reason", "assignment_id", "conflict_header_ip")
USAGE = (*CARRIED, *DECIDED, "line_type", "entry", "record_count", "usage_month", *PLACE)
USAGE_ORDER = ("account_id", "started_at", "record_id")
LINE = ("currency", "line_type", "usage_month", "service", "direction")
# table → the columns of its total order. Nulls come last everywhere.
ORDERS = {
    "statement_lines": ("account_id", *LINE),
    "statements": ("account_id", "currency"),
    "usage_by_asset": ("account_id", *LINE, "attributed_by", "asset"),
    "unattributed": (*LINE, "reason", "asset"),
    "organization": ("currency",),
    "organization_statement": LINE,
}
DEFAULT_CURRENCY = "USD"
SERVICE_COLUMNS = "number int, service text, direction text, by_origin boolean, unit text, section text"
ACCOUNT_ID = "[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?"
E164 = "[+][1-9][0-9]{6,14}"
_PART = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_GROUPS = "[0-9a-f]{1,4}(:[0-9a-f]{1,4})"
# An address in canonical text, as landing wrote every valid one.
IP = f"({_PART}([.]{_PART}){{3}}|{_GROUPS}{{7}}|({_GROUPS}{{0,6}})?::({_GROUPS}{{0,6}})?)"


@dataclass(frozen=True)
class Job:
    """Files to read, the month, and the folder to leave the deliverables in.

    `holdings`: asset, account_id (null: released), assignment_id, valid_from, valid_until, alive_from, alive_until (the
    holder's life; null: not in the directory). `tenants`: one row per tenant with its life, its event, its name and the
    figures of its assets. All half-open. `memory_mb` is None where memory is not capped.
    """

    cdrs: list[str]
    holdings: str
    tenants: str
    out: Path
    month: str
    memory_mb: int | None

    @property
    def start(self) -> datetime:
        """The month's first instant."""
        return datetime.fromisoformat(f"{self.month}-01").replace(tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """The first instant after the month."""
        return (self.start + timedelta(days=32)).replace(day=1)

    @property
    def days(self) -> Iterator[tuple[datetime, datetime, Path]]:
        """Each UTC day's half-open bounds and its file. Makes the folder."""
        folder = self.out / "usage"
        folder.mkdir(exist_ok=True)
        day = self.start
        while day < self.end:
            yield day, day + timedelta(days=1), folder / f"day={day:%d}.parquet"
            day += timedelta(days=1)

    def table(self, name: str) -> Path:
        """The file of one of the tables in ORDERS."""
        return self.out / f"{name}.parquet"


@dataclass(frozen=True)
class Service:
    """One row of the services table."""

    service: str
    direction: str
    attributed_by: str
    unit: str
    section: str


@dataclass(frozen=True)
class Wide:
    """One wide column of a statement: a measure of the lines of one service, of one section, or of all.

    `measure` is billed_seconds (shown as minutes), record_count or cost.
    """

    name: str
    measure: str
    service: str | None = None
    section: str | None = None
    minute_only: bool = False

    @property
    def condition(self) -> str:
        """Which lines count, as SQL."""
        parts = [
            f"{name} = '{value}'" for name, value in (("service", self.service), ("section", self.section)) if value
        ]
        return " and ".join([*parts, *(["unit = 'minute'"] if self.minute_only else [])]) or "1 = 1"


def read_job(path: Path | None = None) -> Job:
    """The job of a file, or of the one named on the command line."""
    given = json.loads((path or Path(sys.argv[1])).read_text(encoding="utf-8"))
    return Job(**given | {"out": Path(given["out"])})


def services() -> list[Service]:
    """The services table."""
    return [Service(**row) for row in csv.DictReader(SERVICES.open(encoding="utf-8"))]


def services_sql() -> str:
    """The services table as SQL rows, each with its number: `(number, service, direction, origin, unit, section)`."""
    return ", ".join(
        f"({number}, '{row.service}', '{row.direction}', {str(row.attributed_by == 'origin').lower()}, "
        f"'{row.unit}', '{row.section}')"
        for number, row in enumerate(services())
    )


def wide() -> list[Wide]:
    """Every wide column that is a sum of lines, in the order of rule 25."""
    columns: list[Wide] = []
    known = services()
    for section in dict.fromkeys(row.section for row in known):
        units = {row.service: row.unit for row in known if row.section == section}
        for service in [name for unit in ("minute", "each") for name, its in units.items() if its == unit]:
            if units[service] == "minute":
                columns.append(Wide(f"{service}_minutes", "billed_seconds", service))
            else:
                columns.append(Wide(f"{service}_count", "record_count", service))
            columns.append(Wide(f"{service}_cost", "cost", service))
        if "minute" in units.values():
            columns.append(Wide(f"{section}_minutes", "billed_seconds", section=section, minute_only=True))
            columns.append(Wide(f"{section}_calls_count", "record_count", section=section, minute_only=True))
        columns.append(Wide(f"{section}_cost", "cost", section=section))
    return [*columns, Wide("usage_cost", "cost"), Wide("total_cost", "cost")]

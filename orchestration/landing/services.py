"""The services that can be charged: the shipped table and the operator's own, as one.

What belongs here: reading both, and refusing a row that cannot be. What does not: the services of a frozen month, which
its manifest has (`close.month_services`).
"""

import csv
import hashlib
import io
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, field, fields
from pathlib import Path

from orchestration.engine import text
from orchestration.errors import Refused
from orchestration.settings import SEEDS, Settings

SHIPPED = SEEDS / "services.csv"
SHIPPED_TITLES = SEEDS / "service_titles.csv"
TITLE = "title"
MOST_TITLE = 80
CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
# More than ten thousand rows: whatever is larger is another file.
MOST_BYTES = 1_000_000


@dataclass(frozen=True)
class Service:
    """A charge on one side of the network: what decides its tenant, what is counted, and where it is stated."""

    service: str
    direction: str
    attributed_by: str
    unit: str
    section: str

    @property
    def key(self) -> tuple[str, str]:
        return self.service, self.direction


COLUMNS = tuple(column.name for column in fields(Service))


@dataclass(frozen=True)
class Services:
    """Every service, by name and direction. `own_sha256`: the hash of the operator's file, None when it adds none."""

    rows: list[Service] = field(default_factory=list)
    own_sha256: str | None = None


def load(settings: Settings) -> Services:
    """The shipped services and the operator's own. Refused when a row of the operator's file cannot be."""
    rows = shipped()
    if not os.path.lexists(settings.services):
        return Services(_in_order(rows))
    content = _read(settings.services)
    own = _own(settings.services, content, rows)
    if not own:
        return Services(_in_order(rows))
    return Services(_in_order([*rows, *own]), hashlib.sha256(content).hexdigest())


def titles(settings: Settings) -> dict[tuple[str, str], str]:
    """A service in plain words, by its name and direction, for whoever reads a statement.

    The shipped words are in `service_titles.csv`, the operator's in the column `title` of their own file, which may be
    left out. No record is judged by them, so they are no part of the rules that a file lands with.
    """
    if not os.path.lexists(settings.services):
        return shipped_titles()
    content = _read(settings.services)
    own = {row.key: title for _, row, title in _lines(settings.services, content) if title}
    return own | shipped_titles()


def shipped_titles() -> dict[tuple[str, str], str]:
    """The words of the shipped services, by name and direction."""
    with SHIPPED_TITLES.open(encoding="utf-8", newline="") as handle:
        return {(row["service"], row["direction"]): row[TITLE] for row in csv.DictReader(handle)}


def relation(rows: Sequence[Service]) -> str:
    """SQL of services as a relation with the columns of `services.csv`."""
    listed = ", ".join(f"({', '.join(map(text, astuple(row)))})" for row in rows)
    return f"(select * from (values {listed}) as listed ({', '.join(COLUMNS)}))"


def shipped() -> list[Service]:
    """The services that come with the software."""
    with SHIPPED.open(encoding="utf-8", newline="") as handle:
        return [Service(**row) for row in csv.DictReader(handle)]


def sections() -> list[str]:
    """The parts of a statement, in their order."""
    with (SEEDS / "sections.csv").open(encoding="utf-8", newline="") as handle:
        return [row["section"] for row in sorted(csv.DictReader(handle), key=lambda row: int(row["position"]))]


def _in_order(rows: Sequence[Service]) -> list[Service]:
    return sorted(rows, key=lambda row: row.key)


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise Refused(f"{path} is no file. It holds services of your own, or is not there at all.")
    try:
        with path.open("rb") as handle:
            content = handle.read(MOST_BYTES + 1)
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}.") from error
    if len(content) > MOST_BYTES:
        raise Refused(f"{path} is larger than {MOST_BYTES:,} bytes, so it is no table of services.")
    return content


def _own(path: Path, content: bytes, shipped: Sequence[Service]) -> list[Service]:
    """The services that the operator's file adds to the shipped ones."""
    given = {row.key: row for row in shipped}
    filed = {row.service: (row.unit, row.section) for row in shipped}
    lines: dict[tuple[str, str], int] = {}
    added = []
    for line, row, _ in _lines(path, content):
        _require_possible(path, line, row)
        if row.key in lines:
            raise Refused(
                f"{path}, line {line}: {row.service} ({row.direction}) stands in line {lines[row.key]} already."
            )
        lines[row.key] = line
        _require_no_clash(path, line, row, given, filed)
        if row.key not in given:
            added.append(row)
    return added


def _lines(path: Path, content: bytes) -> Iterator[tuple[int, Service, str]]:
    """The rows of the file with their line numbers and titles."""
    head = ",".join(COLUMNS)
    try:
        rows = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        columns = tuple(next(rows, ()))
        if columns not in (COLUMNS, (*COLUMNS, TITLE)):
            raise Refused(f"{path}: the first line of a table of services is {head}, or {head},{TITLE}.")
        for row in rows:
            if row and len(row) != len(columns):
                raise Refused(f"{path}, line {rows.line_num}: a row has {len(columns)} values, {','.join(columns)}.")
            if row:
                title = row[len(COLUMNS)].strip() if len(row) > len(COLUMNS) else ""
                if not title.isprintable() or len(title) > MOST_TITLE:
                    raise Refused(
                        f"{path}, line {rows.line_num}: a title is printable text of up to {MOST_TITLE} characters."
                    )
                yield rows.line_num, Service(*row[: len(COLUMNS)]), title
    except (UnicodeDecodeError, csv.Error) as error:
        raise Refused(f"{path} is no CSV in UTF-8, so it cannot be read as a table of services.") from error


def _require_possible(path: Path, line: int, row: Service) -> None:
    if not CODE.fullmatch(row.service):
        raise Refused(
            f"{path}, line {line}: a service is a code of letters, digits, '_', '.' and '-', of up to 64, that begins "
            "with a letter or digit."
        )
    possible = {
        "direction": ["inbound", "outbound"],
        "attributed_by": ["number", "origin"],
        "unit": ["minute", "each"],
        "section": sections(),
    }
    for column, values in possible.items():
        if getattr(row, column) not in values:
            raise Refused(
                f"{path}, line {line}: the {column} of {row.service} is none of {', '.join(values)}. "
                "Rule 25 says what they mean."
            )


def _require_no_clash(
    path: Path, line: int, row: Service, given: dict[tuple[str, str], Service], filed: dict[str, tuple[str, str]]
) -> None:
    """The shipped rows stay as they are, and a service with columns of its own is counted and filed in one way."""
    shipped = given.get(row.key)
    if shipped and shipped != row:
        raise Refused(
            f"{path}, line {line}: {row.service} ({row.direction}) is shipped as {','.join(astuple(shipped))}, and a "
            "row of your own cannot change that. Take the row out, or give your service another name."
        )
    if (row.unit, row.section) != filed.get(row.service, (row.unit, row.section)):
        unit, section = filed[row.service]
        raise Refused(
            f"{path}, line {line}: {row.service} is shipped for the other direction with unit {unit} and section "
            f"{section}, and both directions of it share their columns. Give it the same, or another name."
        )

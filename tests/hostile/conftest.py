"""A month in which every text column holds every payload, closed in a data folder whose own name is one.

What belongs here: making it once, for all that look at it. What does not: expectations.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestration import settings
from orchestration.commands import close
from orchestration.months import Month
from orchestration.warehouse import cache
from tests.conftest import CommandLine, command_line_in
from tests.hostile.payloads import MARKER, PAYLOADS, SUM_ASKED
from tests.unit.deliveries import Row, ip_of, number_of, outbound, record, tenant, write_parquet

AFTER_MARCH = "2026-04-02T12:00:00+00:00"
FOLDER = f'it\'s; "q" -- {{{{ {SUM_ASKED} }}}} {{% raw %}} $(touch {MARKER}) %s #&é'
# The text columns of cdrs that hold whatever comes, and two that try to read it as a number or an IP first.
FREE = ("call_id", "from_number", "to_number", "routed_to")
READ = ("number", "source_ip")


@dataclass(frozen=True)
class Hostile:
    """The folder, the records as they were given, and what the commands said while it was made."""

    folder: Path
    records: list[Row]

    @property
    def data(self) -> Path:
        return self.folder / FOLDER


def hostile_records() -> list[Row]:
    """For each payload: a record that has it in every column that takes text, and an outbound one that has it as header."""
    found = []
    for number, text in enumerate(PAYLOADS.values()):
        free = dict.fromkeys(FREE, text)
        found.append(record(f"{text}#{number}", **free, **dict.fromkeys(READ, text), cost="1"))
        found.append(outbound(f"header-{number}", x_tenant=text, source_ip="192.0.2.1", cost="1"))
    return found


@pytest.fixture(scope="session")
def hostile(tmp_path_factory) -> Hostile:
    """Made once; time, folder and variables are put back at once, since other tests of the session have their own."""
    folder = tmp_path_factory.mktemp("hostile")
    records = hostile_records()
    with command_line_in(folder) as line, pytest.MonkeyPatch.context() as monkeypatch:
        line = CommandLine(folder, monkeypatch)
        line.data = folder / FOLDER
        line.at(AFTER_MARCH)
        names = [tenant(f"p{number}", name=text) for number, text in enumerate(PAYLOADS.values())]
        assets = list(PAYLOADS.values())
        with monkeypatch.context() as landing:
            landing.setattr(cache, "refresh_if_stale", lambda _: None)
            for feed, rows in {
                "tenants": [tenant("alpha"), *names],
                "number_assignments": [number_of("alpha"), *(number_of("alpha", text) for text in assets)],
                "ip_assignments": [ip_of("alpha"), *(ip_of("alpha", text) for text in assets)],
                "cdrs": records,
            }.items():
                write_parquet(folder / f"{feed}.parquet", *rows)
                line.must(f"land {feed} {feed}.parquet")
        close.close_month(settings.load(line.data), Month(2026, 3), accept_rejected=False, progress=lambda _: None)
    return Hostile(folder, records)


@pytest.fixture
def line(hostile: Hostile, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    """The command line on the closed month. Nothing that is asked of it here changes it."""
    with command_line_in(hostile.folder):
        here = CommandLine(hostile.folder, monkeypatch)
        here.data = hostile.data
        here.at(AFTER_MARCH)
        yield here

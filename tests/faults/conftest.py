"""A data folder in the situations that faults strike in: made once, each by the commands that an operator would type.

What belongs here: the zygote and the situations. What does not: expectations.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.machine import Command, Zygote, zygote_in
from tests.reach import FULL, missing
from tests.unit.deliveries import ip_of, number_of, outbound, record, tenant, write_csv

AFTER_MARCH, AFTER_APRIL = "2026-04-02T12:00:00+00:00", "2026-05-02T12:00:00+00:00"
IN_MARCH = [
    record("in"),
    outbound("out", source_ip="192.0.2.1", cost="2"),
    record("nobody", number="+12015550199", cost="4"),
]
IN_APRIL = [
    record("april", started_at="2026-04-10T00:00:00Z", cost="8"),
    record("april-30", started_at="2026-04-30T00:00:00Z", cost="16"),
    record("late", started_at="2026-03-31T23:00:00Z", cost="32"),
    record("in", cost="0.02"),
]
SINCE = [record("may", started_at="2026-05-01T00:00:00Z", cost="64"), record("broken", cost="much")]
LATER = [record("april", started_at="2026-04-10T00:00:00Z", cost="128")]


def given(folder: Path, name: str, rows: list) -> Path:
    """A file that anybody may read, whatever the mask of this process: some commands run as another user."""
    path = write_csv(folder / "given" / f"{name}.csv", *rows)
    path.parent.chmod(0o755)
    path.chmod(0o644)
    return path


@pytest.fixture(scope="session", autouse=True)
def machine() -> None:
    """At full reach nothing is skipped: what the machine lacks is said, and is a failure."""
    if FULL and (lacking := missing("strace", "mount", "setpriv", root=True)):
        pytest.exit(f"The faults cannot be tried here: {lacking}.", returncode=1)


@pytest.fixture(scope="session")
def zygote(tmp_path_factory) -> Iterator[Zygote]:
    with zygote_in(tmp_path_factory.mktemp("faults")) as zygote:
        yield zygote


def land_march(zygote: Zygote) -> None:
    feeds = {
        "tenants": [tenant("alpha"), tenant("beta")],
        "number_assignments": [number_of("alpha")],
        "ip_assignments": [ip_of("beta")],
        "cdrs": IN_MARCH,
    }
    for feed, rows in feeds.items():
        zygote.must(Command(f"land {feed} {given(zygote.folder, feed, rows)}", AFTER_MARCH))


@pytest.fixture(scope="session")
def april_landed(zygote) -> Path:
    """March is frozen; April has ended and landed, with what came late for March. What dbt makes of April is kept."""
    land_march(zygote)
    zygote.must(Command("close 2026-03", AFTER_MARCH))
    zygote.must(Command(f"land cdrs {given(zygote.folder, 'april', IN_APRIL)}", AFTER_APRIL))
    situation = zygote.save("april-landed")
    zygote.must(Command("close 2026-04", AFTER_APRIL, keep_build=True))
    return situation

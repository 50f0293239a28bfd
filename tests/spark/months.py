"""Months closed by either engine, and what it means that they are alike.

What belongs here: telling a story on an engine, and comparing what was frozen. What does not: expectations of a story.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestration import settings
from orchestration.close import logical
from orchestration.files import two_at_a_time
from tests.conftest import CommandLine, command_line_in
from tests.scenarios import story

SCENARIOS = Path(story.__file__).parent


@contextmanager
def on(engine: str, folder: Path) -> Iterator[CommandLine]:
    """The command line on a folder, with closes by an engine and without Dagster around them."""
    folder.mkdir(exist_ok=True)
    before = Path.cwd()
    with command_line_in(folder) as line:
        line.set("STATEMENTS_ENGINE", engine)
        line.close_directly()
        yield line
    os.chdir(before)


def tell(case: str, engine: str, folder: Path) -> Path:
    """Tell a scenario's story with all its closes by an engine. Returns the data folder."""
    shutil.copytree(SCENARIOS / case, folder)
    with on(engine, folder) as line:
        story.tell(line)
        return line.data


def manifests(data: Path) -> dict[str, dict]:
    """Month → manifest of every frozen month."""
    folders = sorted((data / "statements").glob("month=*"))
    return {folder.name: json.loads((folder / "manifest.json").read_bytes()) for folder in folders}


def require_alike(ours: Path, theirs: Path) -> None:
    """Two data folders hold the same months: every byte but that of `usage/day=*`, and there every value."""
    here, there = manifests(ours), manifests(theirs)
    assert here.keys() == there.keys() != set()
    for month in here:
        assert _hashes(here[month]) == _hashes(there[month]), month
        first, second = (
            logical.of_month(settings.load(data), data / "statements" / month, two_at_a_time) for data in (ours, theirs)
        )
        assert first == second, month
        # The chain names the bytes of the month before, and `versions` the engine.
        given = here[month].keys() - {"outputs", "versions", "previous_manifest_sha256"}
        assert {name: here[month][name] for name in given} == {name: there[month][name] for name in given}, month
        counted = [
            {output["name"]: output["rows"] for output in manifest["outputs"]}
            for manifest in (here[month], there[month])
        ]
        assert counted[0] == counted[1]


def _hashes(manifest: dict) -> dict[str, str]:
    return {
        output["name"]: output["sha256"]
        for output in manifest["outputs"]
        if not output["name"].startswith("usage/day=")
    }


def require_recomputed(data: Path, engine: str) -> None:
    """An engine computes every month of a data folder again, and finds no difference."""
    with on(engine, data.parent) as line:
        line.set("STATEMENTS_DATA_DIR", str(data))
        assert "comes to the same" in line.must("verify --recompute").stdout

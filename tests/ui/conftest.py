"""`statements ui` as an operator starts it, on a folder of four landed months, and ways to talk to it.

What belongs here: the made-up months, the servers, GraphQL, the browser. What does not: expectations. These tests take
minutes and need Chromium: `make test-ui`.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestration import dagster_run
from orchestration.months import Month
from tests.unit.deliveries import ip_of, number_of, outbound, record, tenant, write_csv

STATEMENTS = Path(sys.executable).with_name("statements")
# A close takes seconds, and minutes on a machine that does ten other things.
PATIENCE = 900
# Chromium's.
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)


def ended_months(count: int) -> list[Month]:
    """The last months whose grace is over, oldest first."""
    month = Month.of(datetime.now(UTC) - timedelta(hours=12)).previous
    found = [month]
    while len(found) < count:
        found.append(found[-1].previous)
    return found[::-1]


def until(condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """What the condition gives as soon as it gives something."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.5)
    raise AssertionError(f"waited {patience} s in vain for: {what}")


@dataclass
class Ui:
    """The servers of one data folder."""

    data: Path
    months: list[Month]
    port: int = 0
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self, *arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [STATEMENTS, "--data-dir", str(self.data), *arguments],
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def start(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        with (self.data.parent / "ui.log").open("ab") as log:
            self.process = subprocess.Popen(
                [STATEMENTS, "--data-dir", str(self.data), "ui", "--port", str(self.port)],
                env=os.environ | self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until(self._serves, "the UI to serve its code location")

    def _serves(self) -> bool:
        try:
            found = self.ask("{ workspaceOrError { ... on Workspace { locationEntries { loadStatus } } } }")
        except (urllib.error.URLError, ConnectionError):
            return False
        entries = found["workspaceOrError"].get("locationEntries", [])
        return [entry["loadStatus"] for entry in entries] == ["LOADED"]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(2 * dagster_run.STOPPING)

    def processes(self, part: str = "") -> list[int]:
        """The living processes of this folder's servers whose command line has this in it."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                environment = (entry / "environ").read_bytes()
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except (OSError, ValueError):
                continue
            if f"DAGSTER_HOME={self.data}/dagster".encode() in environment and line and part in line:
                found.append(int(entry.name))
        return found

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """GraphQL, as another system would."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                told = json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from error
        assert "errors" not in told, told["errors"]
        return told["data"]

    def launch(self, month: Month, run_config: dict[str, Any] | None = None) -> str:
        """Launch the job for a month and give back its run."""
        told = self.ask(
            """
            mutation ($parameters: ExecutionParams!) {
                launchRun(executionParams: $parameters) {
                    __typename
                    ... on LaunchRunSuccess { run { runId } }
                    ... on PythonError { message }
                }
            }
            """,
            parameters={
                "selector": SELECTOR | {"jobName": "close_month"},
                "runConfigData": run_config or {},
                "executionMetadata": {"tags": [{"key": "dagster/partition", "value": str(month)}]},
            },
        )["launchRun"]
        assert told["__typename"] == "LaunchRunSuccess", told
        return told["run"]["runId"]

    def runs(self) -> list[dict[str, Any]]:
        """Every run, the newest first."""
        query = "{ runsOrError { ... on Runs { results { runId status jobName startTime tags { key value } } } } }"
        found = self.ask(query)["runsOrError"]["results"]
        return [run | {"tags": {tag["key"]: tag["value"] for tag in run["tags"]}} for run in found]

    def status(self, run_id: str) -> str:
        return next(run["status"] for run in self.runs() if run["runId"] == run_id)

    def ended(self, run_id: str) -> str:
        """How a run ended, after waiting for it."""
        over = ("SUCCESS", "FAILURE", "CANCELED")
        until(lambda: self.status(run_id) in over, f"the end of run {run_id}")
        return self.status(run_id)

    def frozen(self) -> list[str]:
        return sorted(path.name.removeprefix("month=") for path in self.data.glob("statements/month=*"))

    def failed(self, asset: str) -> list[str]:
        """The red months of an asset."""
        query = """
            query ($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
                assetPartitionStatuses { ... on TimePartitionStatuses { ranges { status startKey endKey } } }
            } } }
        """
        found = self.ask(query, key={"path": asset.split("/")})["assetNodeOrError"]["assetPartitionStatuses"]
        red = [one for one in found.get("ranges", []) if one["status"] == "FAILED"]
        return [
            str(month) for month in self.months if any(one["startKey"] <= str(month) <= one["endKey"] for one in red)
        ]

    def material(self, asset: str, month: Month) -> dict[str, Any]:
        """The latest materialization of a month's asset: label → value."""
        told = self.ask(
            """
            query ($key: AssetKeyInput!, $partitions: [String!]) {
                assetOrError(assetKey: $key) { ... on Asset { assetMaterializations(partitions: $partitions, limit: 1) {
                    metadataEntries {
                        label
                        ... on TextMetadataEntry { text }
                        ... on MarkdownMetadataEntry { mdStr }
                        ... on IntMetadataEntry { intValue }
                        ... on PathMetadataEntry { path }
                    }
                } } }
            }
            """,
            key={"path": asset.split("/")},
            partitions=[str(month)],
        )["assetOrError"]["assetMaterializations"]
        entries = told[0]["metadataEntries"] if told else []
        return {
            entry["label"]: next(iter(value for name, value in entry.items() if name != "label"), None)
            for entry in entries
        }


SELECTOR = {"repositoryName": "__repository__", "repositoryLocationName": "tenant-statements"}


def land_four_months(ui: Ui) -> None:
    """Two tenants who call on most days, a little that is nobody's, and a file that came after the last month."""
    recorded = f"{ui.months[0].previous}-01T00:00:00Z"
    given = ui.data.parent / "given"
    feeds = {
        "tenants": [tenant(name, recorded_at=recorded) for name in ("alpha.example", "beta")],
        "number_assignments": [
            number_of("alpha.example", "+12015550101", recorded_at=recorded),
            number_of("beta", "+12015550102", recorded_at=recorded),
        ],
        "ip_assignments": [ip_of("alpha.example", "192.0.2.1", recorded_at=recorded)],
        "cdrs": [
            row
            for month in ui.months
            for day in month.days
            if day.day != 25 or month != ui.months[1]
            for number in range(day.day % 7 + 1)
            for at in [f"{day}T{10 + number}:00:00Z"]
            for row in (
                record(f"in-{day}-{number}", started_at=at, cost="0.125"),
                record(f"b-{day}-{number}", started_at=at, number="+12015550102", cost="0.0625"),
                outbound(f"out-{day}-{number}", started_at=at, source_ip="192.0.2.1", cost="0.25"),
                *([outbound(f"no-{day}", started_at=at, x_tenant="Beta", cost="1")] if number == 6 else []),
            )
        ],
    }
    for feed, rows in feeds.items():
        landed = ui.command("land", feed, str(write_csv(given / f"{feed}.csv", *rows)))
        assert landed.returncode == 0, landed.stderr


@pytest.fixture(scope="module")
def ui(tmp_path_factory) -> Iterator[Ui]:
    """Four months have landed, none is closed, the first is set; the servers run and the schedules are as shipped."""
    months = ended_months(4)
    found = Ui(tmp_path_factory.mktemp("ui") / "data", months, environment={"STATEMENTS_FIRST_MONTH": str(months[0])})
    land_four_months(found)
    found.start()
    yield found
    if found.process.poll() is None:
        found.stop()
    # A code server goes when it has missed its heartbeat for 45 s.
    until(lambda: not found.processes(), "every process of the UI to be gone")

"""The folders of a benchmark, and the real commands run on them: feeds made once, landed and closed as often as asked.

What belongs here: one measured thing per function. What does not: the order of things (`run`), or what a figure must be
(`report`).
"""

import json
import os
import shutil
import stat
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from benchmarks import data, landed, measure, timelines
from benchmarks.alike import contract, judge
from benchmarks.data import Carrier
from benchmarks.measure import Measured

ROOT = Path(__file__).absolute().parents[1]
PEERS = {
    "duckdb": "duckdb_one_pass",
    "chdb": "chdb_asof",
    "polars": "polars_streaming",
    "pandas": "pandas_asof",
    "pyspark": "pyspark_local",
}
# What an engine may take of memory, in MB.
LIMITS = {"1.5 GB": 1536, "no limit": None}
# Those that leave the same deliverables as the close.
ALIKE = {
    "duckdb": "duckdb_by_hand",
    "chdb": "chdb_by_day",
    "polars": "polars_by_day",
    "pandas": "pandas_by_day",
    "pyspark": "pyspark_by_day",
}


@dataclass(frozen=True)
class Workbench:
    """Where everything lies and which month is closed. Feeds are made once and kept."""

    work: Path
    month: str
    peer_python: Path

    def directory(self, carrier: Carrier) -> Path:
        """A data folder in which the assignment feeds have landed; never closed itself, only copied."""
        kept = self.work / "landed" / _name(carrier)
        if not (kept / "warehouse.duckdb").exists():
            remove(kept)
            feeds = data.write_directory(self.work / "feeds" / _name(carrier), self.month, carrier)
            cutoff = data.month_bounds(self.month)[1].isoformat()
            for feed, path in feeds.items():
                self.statements(kept, "land", feed, path, "--cutoff", cutoff)
        return kept

    def records(self, carrier: Carrier, month: str, records: int, *, csv: bool = False) -> list[Path]:
        """The feed files of a month."""
        folder = self.work / "feeds" / _name(carrier) / f"{month}-{records}{'-csv' if csv else ''}"
        if not (folder / "done").exists():
            remove(folder)
            data.write_records(folder, self.month, carrier, month, records, csv=csv)
            (folder / "done").touch()
        return sorted(folder.glob("*.csv" if csv else "*.parquet"))

    def fresh(self, carrier: Carrier, name: str) -> Path:
        """A data folder of its own, with the assignment feeds landed."""
        target = self.work / "data" / name
        remove(target)
        shutil.copytree(self.directory(carrier), target)
        # The warehouse's views name the folder that was copied from.
        self.statements(target, "rebuild")
        return target

    def land(self, folder: Path, files: Sequence[Path]) -> Measured:
        """Land records as an operator would."""
        return self.statements(folder, "land", "cdrs", *files)

    def close(self, folder: Path, environment: dict[str, str] | None = None, most_mb: int | None = None) -> Measured:
        """Close the month as an operator would, with these variables set."""
        return self.statements(folder, "close", self.month, environment=environment, most_mb=most_mb)

    def on_spark(self, configuration: Path | None = None) -> dict[str, str]:
        """The variables of a close on Spark: as a folder of its configuration says, or with two cores here."""
        if configuration is None:
            configuration = self.work / "spark-local"
            configuration.mkdir(parents=True, exist_ok=True)
            local = f"spark.master local[2]\nspark.driver.memory 4g\nspark.local.dir {self.work / 'spark-spill'}\n"
            (configuration / "spark-defaults.conf").write_text(local)
        return {"STATEMENTS_ENGINE": "spark", "SPARK_CONF_DIR": str(configuration)}

    def reopen(self, folder: Path) -> None:
        """Forget that the month was closed, which no command can: the benchmark closes its own folders again."""
        for name in ("statements", "dagster", "build"):
            remove(folder / name)
        self.statements(folder, "rebuild")

    def statements(
        self,
        folder: Path,
        *arguments: str | Path,
        environment: dict[str, str] | None = None,
        most_mb: int | None = None,
    ) -> Measured:
        """Run the real command line."""
        command = [ROOT / ".venv" / "bin" / "statements", "--data-dir", folder, *arguments]
        variables = {"PYTHONPATH": str(ROOT)} | (environment or {})
        spill = folder / "build" / "spill"
        return measure.run(command, cwd=ROOT, environment=variables, spill=spill, most_mb=most_mb)

    def floor(self, what: str, files: Iterable[Path]) -> Measured:
        """Run a floor over files."""
        out = self.work / "out" / "floor"
        remove(out)
        return self._module("benchmarks.floor", what, out, *files)

    def floor_of_month(self, folder: Path) -> Measured:
        """The floor of a data folder's landed month."""
        return self.floor("month", landed.files_of(landed.batches(folder), "cdrs", self.month))

    def tuned_copy(self, folder: Path) -> Measured:
        """A copy of a data folder's landed month, written as the product writes."""
        return self.floor("tuned_copy", landed.files_of(landed.batches(folder), "cdrs", self.month))

    def read_tenants(self, folder: Path) -> Measured:
        """Ask for single tenants' records."""
        return self._module("benchmarks.tenant_read", folder, self.month)

    def audit(self, folder: Path) -> Measured:
        """Audit the closed month; raises Failed when anything is wrong."""
        return self._module("benchmarks.audit", folder, self.month)

    def give_to_peers(self, folder: Path) -> Path:
        """Write the periods and lives that peers are given for free, and return their folder."""
        given = self.work / "out" / "given"
        given.mkdir(parents=True, exist_ok=True)
        start, end = (instant.isoformat() for instant in data.month_bounds(self.month))
        with duckdb.connect() as connection:
            connection.execute("set TimeZone = 'UTC'; set enable_progress_bar = false")
            timelines.create(connection, landed.batches(folder))
            timelines.write_for_peers(connection, start, end, given)
        return given

    def peer(self, name: str, folder: Path, given: Path) -> tuple[Measured, Path]:
        """Let a peer do the month, and return what it took and the sums it came to."""
        out = self.work / "out" / name
        remove(out)
        out.mkdir(parents=True)
        job = {
            "cdrs": [str(path) for path in landed.files_of(landed.batches(folder), "cdrs", self.month)],
            "periods": str(given / "periods.parquet"),
            "lives": str(given / "lives.parquet"),
            "out": str(out),
        }
        (out / "job.json").write_text(json.dumps(job), encoding="utf-8")
        module = f"benchmarks.peers.{PEERS[name]}"
        measured = self._module(module, out / "job.json", python=self.peer_python, spill=out / "spill")
        return measured, out / "lines.parquet"

    def alike_job(self, name: str, folder: Path, most_mb: int | None = None) -> Path:
        """The job of an engine that leaves the same deliverables as the close, in a folder that is empty but for it."""
        out = self.work / "out" / f"alike-{folder.name}" / name
        remove(out)
        out.mkdir(parents=True)
        given = self._ready_made(folder)
        job = {
            "cdrs": [str(path) for path in landed.files_of(landed.batches(folder), "cdrs", self.month)],
            "holdings": str(given / "holdings.parquet"),
            "tenants": str(given / "tenants.parquet"),
            "out": str(out),
            "month": self.month,
            "memory_mb": most_mb,
        }
        (out / "job.json").write_text(json.dumps(job), encoding="utf-8")
        return out / "job.json"

    def alike(self, name: str, job: Path, most_mb: int | None) -> Measured:
        """Let an engine leave the same deliverables as the close."""
        module = f"benchmarks.alike.{ALIKE[name]}"
        return self._module(module, job, python=self.peer_python, spill=job.parent / "spill", most_mb=most_mb)

    def judged(self, deliverables: Path, folder: Path) -> list[str]:
        """What is wrong with a folder of deliverables of a data folder's month."""
        kept = self.work / "out" / f"alike-{folder.name}" / "expected.duckdb"
        if not kept.exists():
            judge.expect(contract.read_job(self.alike_job("expected", folder)), kept)
        return judge.judge(deliverables, kept)

    def _ready_made(self, folder: Path) -> Path:
        given = self.work / "out" / f"alike-{folder.name}" / "given"
        if not (given / "tenants.parquet").exists():
            given.mkdir(parents=True, exist_ok=True)
            start, end = (instant.isoformat() for instant in data.month_bounds(self.month))
            with duckdb.connect() as connection:
                connection.execute("set TimeZone = 'UTC'; set enable_progress_bar = false")
                timelines.create(connection, landed.batches(folder))
                timelines.write_ready_made(connection, start, end, given)
        return given

    def _module(
        self,
        module: str,
        *arguments: str | Path,
        python: Path | None = None,
        spill: Path | None = None,
        most_mb: int | None = None,
    ) -> Measured:
        command = [python or Path(sys.executable), "-m", module, *arguments]
        return measure.run(command, cwd=ROOT, environment={"PYTHONPATH": str(ROOT)}, spill=spill, most_mb=most_mb)


def remove(folder: Path) -> None:
    """Delete a folder of the benchmark's own, read-only parts too."""
    if not folder.exists():
        return
    for inner, _, _ in os.walk(folder):
        Path(inner).chmod(stat.S_IRWXU)
    shutil.rmtree(folder)


def _name(carrier: Carrier) -> str:
    return f"{carrier.numbers}-numbers-history-{carrier.history}{'-hostile' if carrier.hostile else ''}"

"""`make bench`: land, close, like for like, floor, peers, growth, audit, in this order, and the tables at the end.

What belongs here: which runs there are and how they alternate. What does not: how one is run (`workbench`) or judged
(`report`). Rounds alternate all contestants, so that a busy minute of the machine hits all of them.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from benchmarks import close_log, report, sums
from benchmarks.alike.figures import name_of
from benchmarks.cluster import cluster
from benchmarks.data import CARRIERS, TINY, Carrier, months_beside
from benchmarks.measure import Failed, Measured, OverMemory
from benchmarks.results import Results
from benchmarks.workbench import ALIKE, LIMITS, PEERS, ROOT, Workbench, remove

STEPS = ("landing", "alike", "peers", "fixed", "months", "history", "large", "spark")
FIXED_RECORDS = 1_000


class Bench:
    """One run of the benchmark: collects every measurement under its name."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self.asked = asked
        self.bench = Workbench(asked.work.absolute(), asked.month, asked.peer_python.absolute())
        self.results = Results(parameters={name: str(value) for name, value in vars(asked).items()})
        self.carrier = Carrier()

    def note(self, name: str, run: Callable[[], Measured]) -> Measured | None:
        """Measure one thing and tell about it. What fails is kept as a failure, and the rest goes on."""
        try:
            measured = run()
        except Failed as error:
            self.results.failures[name] = str(error)
            _say(f"{name}: FAILED. {error}")
            return None
        return self.note_success(name, measured)

    def note_success(self, name: str, measured: Measured) -> Measured:
        """Keep a measurement and tell about it."""
        self.results.runs[name].append(measured)
        _say(
            f"{name}: {measured.seconds:.1f} s, {measured.cpu_seconds:.1f} s CPU, {measured.peak_mb} MB, "
            f"{measured.spill_mb} MB spilled; others kept {measured.others_cores} cores busy"
        )
        return measured

    def landing(self) -> None:
        """Landing beside plain copies of the same files. At most ten million records: the targets are of one file."""
        files = self.bench.records(self.carrier, self.asked.month, self.asked.records)
        texts = self.bench.records(self.carrier, self.asked.month, self.asked.records, csv=True)
        for _ in range(self.asked.repeats):
            self.note("copy parquet", lambda: self.bench.floor("copy_parquet", files))
            folder = self.bench.fresh(self.carrier, "landing")
            self.note("land parquet", lambda at=folder: self.bench.land(at, files))
            self.note("read csv", lambda: self.bench.floor("read_csv", texts))
            folder = self.bench.fresh(self.carrier, "landing")
            self.note("land csv", lambda at=folder: self.bench.land(at, texts))
        remove(self.bench.work / "data" / "landing")

    def peers(self) -> None:
        """The close and its peers on the same landed files; then one tenant's records, and the audit."""
        folder = self._landed("main", self.carrier, "land for the close")
        given = self.bench.give_to_peers(folder)
        for place in range(self.asked.repeats):
            if place:
                self.bench.reopen(folder)
            self.note("floor", lambda: self.bench.floor_of_month(folder))
            self.note("tuned copy", lambda: self.bench.tuned_copy(folder))
            self._close("close", folder)
            for name in self.asked.peers:
                self._peer(name, folder, given)
        self._look_at("", folder)

    def alike(self) -> None:
        """The same deliverables from the close and from every engine, on each carrier and within each limit of memory.

        Landing is counted on neither side.
        """
        for kind in self.asked.carrier:
            name = "main" if kind == "plain" else kind
            folder = self._landed_before(name, CARRIERS[kind])
            remove(self.bench.work / "out" / f"alike-{folder.name}")
            for limit, most_mb in [pair for _ in range(self.asked.repeats) for pair in LIMITS.items()]:
                self._close_alike(folder, name_of("close", kind, limit), most_mb)
                for engine in self.asked.peers:
                    self._engine_alike(engine, folder, name_of(engine, kind, limit), most_mb)

    def fixed(self) -> None:
        """What a close costs when there is next to nothing to close: no history, and all of it."""
        for name, carrier in (("close of nothing", TINY), ("close of nothing, full history", self.carrier)):
            folder = self.bench.fresh(carrier, "fixed")
            self.bench.land(folder, self.bench.records(carrier, self.asked.month, FIXED_RECORDS))
            for place in range(self.asked.repeats):
                if place:
                    self.bench.reopen(folder)
                self._close(name, folder)
        remove(self.bench.work / "data" / "fixed")

    def months(self) -> None:
        """The same month with many others landed beside it; its neighbours as large as it is."""
        main = self._landed_before("main")
        folder = self._landed("months", self.carrier, "land for the close")
        files = []
        for month in months_beside(self.asked.month, self.asked.months):
            is_neighbour = month in months_beside(self.asked.month, 2)
            records = self.asked.records if is_neighbour else min(self.asked.records, self.asked.other_records)
            files += self.bench.records(self.carrier, month, records)
        self.note("land other months", lambda: self.bench.land(folder, files))
        self._alternate({"close, alone": main, "close, other months beside": folder})
        self._look_at(", other months beside", folder)
        remove(folder)

    def history(self) -> None:
        """The same month with a history many times as long."""
        main = self._landed_before("main")
        folder = self._landed("history", Carrier(history=self.asked.history), "land for the close")
        self._alternate({"close, usual history": main, "close, long history": folder})
        self._look_at(", long history", folder)
        remove(folder)

    def large(self) -> None:
        """Ten times the records: floor, close, one tenant's records, audit."""
        if not self.asked.large_records:
            return
        folder = self._landed("large", self.carrier, "land, large", self.asked.large_records)
        for place in range(self.asked.large_repeats):
            if place:
                self.bench.reopen(folder)
            self.note("floor, large", lambda: self.bench.floor_of_month(folder))
            self.note("tuned copy, large", lambda: self.bench.tuned_copy(folder))
            self._close("close, large", folder)
        self._look_at(", large", folder)

    def spark(self) -> None:
        """The close by each engine of the product, and what a second worker of a cluster on this host is worth."""
        if find_spec("pyspark") is None:
            _say("spark: skipped, since `make spark` was not run")
            return
        for records in self.asked.spark_records:
            folder = self._landed(f"spark-{records}", self.carrier, f"land {records:,}", records)
            self._close(f"close of {records:,} on DuckDB", folder)
            self.bench.reopen(folder)
            self._close(f"close of {records:,} on Spark, local[2]", folder, self.bench.on_spark())
            for workers in self.asked.spark_workers:
                with tempfile.TemporaryDirectory() as place, cluster(Path(place) / "cluster", workers) as machines:
                    self.bench.reopen(folder)
                    environment = self.bench.on_spark(machines.configuration)
                    self._close(f"close of {records:,} on Spark, workers: {workers}", folder, environment)
            remove(folder)

    def _landed(self, name: str, carrier: Carrier, noted_as: str, records: int | None = None) -> Path:
        folder = self.bench.fresh(carrier, name)
        files = self.bench.records(carrier, self.asked.month, records or self.asked.records)
        self.note(noted_as, lambda: self.bench.land(folder, files))
        return folder

    def _landed_before(self, name: str, carrier: Carrier | None = None) -> Path:
        folder = self.bench.work / "data" / name
        return folder if folder.exists() else self._landed(name, carrier or self.carrier, "land for the close")

    def _close_alike(self, folder: Path, name: str, most_mb: int | None) -> None:
        self.bench.reopen(folder)
        if self.note(name, lambda: self.bench.close(folder, most_mb=most_mb)):
            self._judge(name, folder / "statements" / f"month={self.asked.month}", folder)

    def _engine_alike(self, engine: str, folder: Path, name: str, most_mb: int | None) -> None:
        """An engine that cannot do the job within a limit is told in its row; without one, it has failed."""
        if name in self.results.unable:
            return
        job = self.bench.alike_job(engine, folder, most_mb)

        def run() -> Measured:
            return self.bench.alike(engine, job, most_mb)

        measured = self.note(name, run) if most_mb is None else self._within(name, run)
        if measured:
            self._judge(name, job.parent, folder)
        remove(job.parent)

    def _within(self, name: str, run: Callable[[], Measured]) -> Measured | None:
        try:
            return self.note_success(name, run())
        except OverMemory as error:
            self.results.unable[name] = f"over the limit: {error.took}"
        except Failed as error:
            self.results.unable[name] = f"ended by itself: {str(error).strip().splitlines()[-1]}"
        _say(f"{name}: {self.results.unable[name]}")
        return None

    def _judge(self, name: str, deliverables: Path, folder: Path) -> None:
        wrong = self.bench.judged(deliverables, folder)
        self.results.wrong[name] = wrong
        _say(f"{name}: {'; '.join(wrong) or 'every file is right'}")

    def _alternate(self, folders: dict[str, Path]) -> None:
        for _ in range(self.asked.repeats):
            for name, folder in folders.items():
                self.bench.reopen(folder)
                self._close(name, folder)

    def _close(self, name: str, folder: Path, environment: dict[str, str] | None = None) -> None:
        if self.note(name, lambda: self.bench.close(folder, environment)):
            self.results.steps[name].append(close_log.steps(folder))
            self.results.sums[name].append(sums.of_month(folder / "statements" / f"month={self.asked.month}"))

    def _peer(self, name: str, folder: Path, given: Path) -> None:
        lines = None

        def run() -> Measured:
            nonlocal lines
            measured, lines = self.bench.peer(name, folder, given)
            return measured

        if self.note(name, run):
            self.results.sums[name].append(sums.of_lines(lines))

    def _look_at(self, which: str, folder: Path) -> None:
        self.note(f"one tenant{which}", lambda: self.bench.read_tenants(folder))
        self.note(f"audit{which}", lambda: self.bench.audit(folder))


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",") if number]


def _say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark. Exit status 1 when something failed, sums differ, or the audit found anything."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--month", default="2026-10", help="a month that has ended")
    parser.add_argument("--records", type=int, default=10_000_000)
    parser.add_argument("--large-records", type=int, default=0, help="100000000 for figures of that size; 0 for none")
    parser.add_argument("--months", type=int, default=24, help="how many other months to land beside")
    parser.add_argument("--other-records", type=int, default=1_000_000, help="records of those that are no neighbours")
    parser.add_argument("--history", type=int, default=10, help="how many times longer the long history is")
    carriers = ", ".join(CARRIERS)
    parser.add_argument("--carrier", type=lambda text: text.split(","), default=list(CARRIERS), help=carriers)
    parser.add_argument("--peers", type=lambda text: text.split(",") if text else [], default=list(PEERS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--large-repeats", type=int, default=1)
    parser.add_argument("--spark-records", type=_numbers, default=[1_000_000, 10_000_000])
    parser.add_argument("--spark-workers", type=_numbers, default=[1, 2], help="sizes of the cluster on this host")
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(STEPS), help=", ".join(STEPS))
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "bench", help="feeds and data folders; kept")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench" / "results")
    parser.add_argument("--peer-python", type=Path, default=ROOT / "build" / "peers" / "bin" / "python")
    asked = parser.parse_args(arguments)
    if unknown := (
        (set(asked.peers) - set(ALIKE)) | (set(asked.only) - set(STEPS)) | (set(asked.carrier) - set(CARRIERS))
    ):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    bench = Bench(asked)
    for step in STEPS:
        if step in asked.only:
            _say(step)
            getattr(bench, step)()
            report.write(bench.results, asked.out)
    print(report.markdown(bench.results))
    return report.exit_status(bench.results)


if __name__ == "__main__":
    sys.exit(main())

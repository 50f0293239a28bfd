"""The share of small faults in the SQL, in publishing and in landing that the tests notice: `make test-mutants`.

What belongs here: choosing mutants, running the tests against each in a copy of the project, and counting. What does
not: which wrongs there are, or the tests. Each mutant has a process of its own, forked from this one, which has
imported what the tests need from elsewhere but nothing of the project, so that a wrong shows in a few seconds.
"""

import argparse
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

# For the children: importing these takes longer than most tests.
import dagster
import dbt.adapters.duckdb.impl
import dbt.cli.main
import hypothesis
import pyarrow.parquet
import pytest
import typer.testing

from tests.mutants import python_mutations, sql_mutations
from tests.mutants.mutant import Mutant

WARM = (dagster, dbt, hypothesis, pyarrow, typer)
ROOT = Path(__file__).resolve().parents[2]
COPIED = (
    "dbt_project", "orchestration", "seeds", "tests", "benchmarks", "data", "docs",
    "pyproject.toml", "requirements.lock", "README.md",
)  # fmt: skip
EXPLAINED = Path(__file__).with_name("survivors.toml")
# Seconds; a mutant that waits for ever is noticed.
LONGEST = 900
# Enough for any wrong in the SQL to show; the usual numbers take three times as long.
FEWER = {"STATEMENTS_TEST_HISTORIES": "400", "STATEMENTS_TEST_CAREERS": "100"}
# SQL that no database would take was never a wrong that could be published.
REFUSED_SQL = re.compile(r"(Parser|Binder|Catalog) Error|SyntaxError")


@dataclass(frozen=True)
class Subject:
    """Files to mutate, and the tests that must notice, the quickest first."""

    files: tuple[str, ...]
    mutants: Callable[[Path, str], Iterator[Mutant]]
    tests: tuple[str, ...]
    target: float
    stillborn: re.Pattern[str] | None = None


SUBJECTS = {
    "sql": Subject(
        files=("dbt_project/models/**/*.sql", "dbt_project/macros/*.sql"),
        mutants=sql_mutations.mutants,
        tests=(
            "tests/dbt/test_project.py",
            "tests/oracle/test_against_build.py",
            "tests/oracle/test_over_months.py",
            "tests/orchestration/test_close.py",
            "tests/scenarios/test_scenarios.py",
        ),
        target=0.95,
        stillborn=REFUSED_SQL,
    ),
    "publishing": Subject(
        files=(
            "orchestration/files.py",
            "orchestration/landing/landed_rows.py",
            "orchestration/commands/close.py",
            "orchestration/close/content.py",
            "orchestration/close/inputs.py",
            "orchestration/close/manifests.py",
            "orchestration/close/merkle.py",
            "orchestration/close/month_services.py",
            "orchestration/close/on_duckdb.py",
            "orchestration/close/pinning.py",
            "orchestration/close/publishing.py",
            "orchestration/close/readback.py",
            "orchestration/close/readiness.py",
            "orchestration/close/statement_documents.py",
            "orchestration/close/verify.py",
            "orchestration/close/versions.py",
        ),
        mutants=python_mutations.mutants,
        tests=(
            "tests/unit/test_files.py",
            "tests/unit/test_verify.py",
            "tests/unit/test_readiness.py",
            "tests/unit/test_manifest.py",
            "tests/unit/test_merkle.py",
            "tests/unit/test_statement_documents.py",
            "tests/unit/test_services.py",
            "tests/unit/test_conventions.py",
            "tests/orchestration/test_readback.py",
            "tests/orchestration/test_proof.py",
            "tests/orchestration/test_close.py",
            "tests/orchestration/test_recompute.py",
            "tests/orchestration/test_reading.py",
            "tests/orchestration/test_damage.py",
            "tests/scenarios/test_scenarios.py",
            "tests/faults/test_order.py",
            "tests/oracle/test_over_months.py",
        ),
        target=0.90,
    ),
    "landing": Subject(
        files=(
            "orchestration/landing/csv_parts.py",
            "orchestration/landing/events.py",
            "orchestration/landing/fingerprints.py",
            "orchestration/landing/identity.py",
            "orchestration/landing/input_files.py",
            "orchestration/landing/receipts.py",
            "orchestration/landing/records.py",
            "orchestration/landing/seal.py",
            "orchestration/landing/source_files.py",
        ),
        mutants=python_mutations.mutants,
        tests=(
            "tests/unit/test_csv_parts.py",
            "tests/unit/test_fingerprints.py",
            "tests/unit/test_identity.py",
            "tests/unit/test_landing_records.py",
            "tests/unit/test_landing_files.py",
            "tests/unit/test_landing_events.py",
            "tests/unit/test_input_files.py",
            "tests/unit/test_large_files.py",
            "tests/unit/test_landed_rows.py",
            "tests/unit/test_rejected.py",
            "tests/unit/test_warehouse.py",
            "tests/unit/test_conventions.py",
            "tests/orchestration/test_close.py",
        ),
        target=0.90,
    ),
}


def chosen(subject: Subject, sample: int | None, seed: int, only: str) -> list[Mutant]:
    """The mutants to try: all that are not explained, or so many of them, spread over the files as they come."""
    same = explained()
    found = [one for one, line in mutants_of(subject) if only in one.name and Same.of(one, line) not in same]
    if sample is not None and sample < len(found):
        found = random.Random(seed).sample(found, sample)
    return found


def mutants_of(subject: Subject) -> Iterator[tuple[Mutant, str]]:
    """Every mutant of a subject, with the line on which it begins."""
    for pattern in subject.files:
        for path in sorted(ROOT.glob(pattern)):
            source = path.read_text(encoding="utf-8")
            lines = source.split("\n")
            for one in subject.mutants(path.relative_to(ROOT), source):
                yield one, lines[one.line - 1].strip()


def unchanged(subject: Subject) -> Mutant:
    """No mutant at all."""
    path = min(ROOT.glob(subject.files[0]))
    return Mutant(path.relative_to(ROOT), 1, 0, "", "")


class Same(NamedTuple):
    """A mutant that changes nothing anybody could see, by its file, the text of its line, and what becomes what."""

    file: str
    line: str
    before: str
    after: str

    @classmethod
    def of(cls, mutant: Mutant, line: str) -> "Same":
        return cls(str(mutant.path), line, mutant.before, mutant.after)


def explained() -> set[Same]:
    """The mutants that need not be noticed; each has its reason beside it."""
    with EXPLAINED.open("rb") as file:
        return {Same(*(one[name] for name in Same._fields)) for one in tomllib.load(file).get("same", [])}


class Slot:
    """A copy of the project, and the one mutant that is being tried in it."""

    def __init__(self, folder: Path, subject: Subject) -> None:
        self.folder, self.subject, self.pid = folder, subject, 0
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "logs", "docs"))
            else:
                shutil.copy(source, folder / name)

    def start(self, mutant: Mutant) -> None:
        self.mutant, self.began = mutant, time.monotonic()
        self.written = self.folder / mutant.path
        self.whole = self.written.read_text(encoding="utf-8")
        self.written.write_text(mutant.applied(self.whole), encoding="utf-8")
        self.said = self.folder / "said.txt"
        self.pid = os.fork()
        if self.pid == 0:
            os._exit(self._judge())

    def _judge(self) -> int:
        """In the child: the tests' exit status."""
        os.setsid()
        output = os.open(self.said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        for descriptor in (1, 2):
            os.dup2(output, descriptor)
        os.chdir(self.folder)
        # The copy before the project; nothing of the project has been imported but this folder.
        sys.path[0] = str(self.folder)
        os.environ |= FEWER | {"PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"}
        for name in [name for name in sys.modules if name.split(".")[0] in ("tests", "orchestration")]:
            del sys.modules[name]
        work = tempfile.mkdtemp(dir=self.folder)
        options = ["-x", "-q", "-p", "no:cacheprovider", f"--basetemp={work}/t", "--tb=short"]
        return int(pytest.main([*options, *self.subject.tests]))

    def overdue(self) -> bool:
        return bool(self.pid) and time.monotonic() - self.began > LONGEST

    def stop(self) -> None:
        os.killpg(self.pid, signal.SIGKILL)

    def finish(self, status: int) -> tuple[str, float, str]:
        """What became of the mutant, after how many seconds, and by which test."""
        self.pid = 0
        self.written.write_text(self.whole, encoding="utf-8")
        for left in self.folder.glob("tmp*"):
            shutil.rmtree(left, ignore_errors=True)
        said = self.said.read_text(encoding="utf-8", errors="replace")
        seconds = time.monotonic() - self.began
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
            return "survived", seconds, ""
        killer = re.findall(r"^(?:FAILED|ERROR) (\S+)", said, re.MULTILINE)
        if self.subject.stillborn and self.subject.stillborn.search(said):
            return "stillborn", seconds, ""
        return "killed", seconds, killer[0] if killer else "stuck" if os.WIFSIGNALED(status) else said[-200:]


def judge(subject: Subject, mutants: list[Mutant], slots: int, log: Path | None) -> Counter[str]:
    """Try each mutant. Returns how many were killed, survived or were stillborn."""
    counts, waiting = Counter(), list(reversed(mutants))
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        running = [Slot(Path(folder) / str(number), subject) for number in range(slots)]
        while waiting or any(slot.pid for slot in running):
            for slot in running:
                if waiting and not slot.pid:
                    slot.start(waiting.pop())
                if slot.overdue():
                    slot.stop()
                ended, status = os.waitpid(slot.pid, os.WNOHANG) if slot.pid else (0, 0)
                if ended:
                    fate, seconds, killer = slot.finish(status)
                    one = slot.mutant
                    counts[fate] += 1
                    print(
                        f"{sum(counts.values())}/{len(mutants)} {fate} in {seconds:.0f} s: {one.name} {killer}",
                        flush=True,
                    )
                    if log:
                        entry = {"fate": fate, "file": str(one.path), "line": one.line, "killer": killer}
                        entry |= {"before": one.before, "after": one.after, "seconds": round(seconds)}
                        with log.open("a", encoding="utf-8") as file:
                            file.write(json.dumps(entry) + "\n")
            time.sleep(0.1)
    return counts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "subjects", nargs="*", choices=[*SUBJECTS, []], help="sql, publishing, landing; all when none is named"
    )
    parser.add_argument("--sample", type=int, help="how many mutants of each; all when not given")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="mutants whose name contains this")
    parser.add_argument("--slots", type=int, default=2, help="how many at a time")
    parser.add_argument("--tests", nargs="+", help="only these tests, instead of all that could notice")
    parser.add_argument("--log", type=Path, help="a file that gets one line of JSON per mutant")
    options = parser.parse_args()
    missed = 0
    for name in options.subjects or SUBJECTS:
        subject = SUBJECTS[name]
        mutants = chosen(subject, options.sample, options.seed, options.only)
        if options.tests:
            subject = replace(subject, tests=tuple(options.tests))
        if judge(subject, [unchanged(subject)], 1, None)["killed"]:
            sys.exit(f"{name}: the tests fail without any mutant, so that nothing can be told by them.")
        counts = judge(subject, mutants, options.slots, options.log)
        tried = counts["killed"] + counts["survived"]
        share = counts["killed"] / tried if tried else 1
        print(f"{name}: {share:.1%} of {tried} noticed; {dict(counts)}")
        missed += share < subject.target
    return min(missed, 1)


if __name__ == "__main__":
    sys.exit(main())

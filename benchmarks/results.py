"""What a run of the benchmark collects, and how its tables are spelled.

What belongs here: figures and their medians. What does not: targets and the report around them.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from statistics import median

from benchmarks.measure import Measured


@dataclass
class Results:
    """Every measurement under its name, in the order in which they were made; the sums each contestant came to."""

    parameters: dict[str, str]
    runs: dict[str, list[Measured]] = field(default_factory=lambda: defaultdict(list))
    steps: dict[str, list[dict[str, float]]] = field(default_factory=lambda: defaultdict(list))
    sums: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    failures: dict[str, str] = field(default_factory=dict)
    # Of engines that leave the close's deliverables: what is wrong with them, and what kept one from leaving them.
    wrong: dict[str, list[str]] = field(default_factory=dict)
    unable: dict[str, str] = field(default_factory=dict)

    def seconds(self, name: str) -> float | None:
        """The median of a measurement's wall times."""
        return median(run.seconds for run in self.runs[name]) if self.runs.get(name) else None

    def cpu_seconds(self, name: str) -> float:
        """The median of its processor times, on which a busy machine has less influence."""
        return median(run.cpu_seconds for run in self.runs[name])

    def floor(self, name: str) -> float | None:
        """The median of a floor's own two parts, without starting Python."""
        return median(sum(run.said.values()) for run in self.runs[name]) if self.runs.get(name) else None

    def peak_mb(self, name: str) -> int:
        return max(run.peak_mb for run in self.runs[name])


@dataclass(frozen=True)
class Figure:
    """One row of the table of targets. `is_met` is None where there is nothing to meet."""

    what: str
    measured: str
    target: str
    is_met: bool | None


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)

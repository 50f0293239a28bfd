"""One changed text in one file, and how it is named."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mutant:
    """`before` stands at `start` in the file; the mutant has `after` instead."""

    path: Path
    line: int
    start: int
    before: str
    after: str

    @classmethod
    def of(cls, path: Path, source: str, start: int, end: int, after: str) -> "Mutant":
        return cls(path, source.count("\n", 0, start) + 1, start, source[start:end], after)

    @property
    def name(self) -> str:
        return f"{self.path}:{self.line}: {_short(self.before)} → {_short(self.after)}"

    def applied(self, source: str) -> str:
        assert source.startswith(self.before, self.start), f"{self.path} has changed"
        return source[: self.start] + self.after + source[self.start + len(self.before) :]


def _short(text: str) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) <= 60 else f"{text[:40]}…{text[-19:]}")

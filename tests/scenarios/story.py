"""The line language of a scenario's `steps`, and what its lines do.

    zones America/Denver Asia/Tokyo   optional: the story is told once on a machine in each of these time zones
    through dagster                   optional: closes run as Dagster's job, as they do for a user; else directly, in a
                                      third of the time: for what is stored, since the rest is the same for all
    at 2026-04-01T13:00:00Z           from here on it is this time
    set STATEMENTS_GRACE_HOURS 0      from here on a setting has this value
    close 2026-03                     a command of `statements`, as it would be typed
        refused: has not ended        the command above ends with 1 and says this on stderr
        damaged: manifest.json        the command above ends with 3 and says this on stderr
        says: landed before           the command above says this on stdout
    same-bytes 2026-03                the frozen month is, byte for byte, what it was when it was frozen
    nothing at out                    there is no such file or folder
    copy mine.csv data/services.csv   a file is put in its place, or over the one that is there
    remove data/services.csv          a file is gone
    flip data/landing/*/*.parquet     turn one bit of the one file that the pattern names; once more, and it is back
    in out: beta                      the text is in a file below `out` (its name, text, or any cell of a table) …
    not in data: beta                 … or in none; the tenant directory counts only where it is named itself

A command without `refused` or `damaged` must end with 0. What belongs here: reading and doing steps; also from a shell,
with `python -m tests.scenarios.story COPY_OF_A_CASE…`. What does not: the comparison with `expected`.
"""

import hashlib
import shutil
import stat
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from tests.conftest import CommandLine, command_line_in

EXIT_STATUS = {"refused": 1, "damaged": 3}
OUTCOMES = ("says", *EXIT_STATUS)


@dataclass(frozen=True)
class Step:
    """A line, and the outcomes that the lines below it expect, as pairs of `refused`, `damaged` or `says` and words."""

    number: int
    text: str
    outcomes: list[tuple[str, str]] = field(default_factory=list)

    @property
    def exit_status(self) -> int:
        return max((EXIT_STATUS.get(kind, 0) for kind, _ in self.outcomes), default=0)


def zones(steps: str) -> list[str]:
    """The time zones in which a story is told; none where it does not matter."""
    return next((line.split()[1:] for line in steps.splitlines() if line.startswith("zones ")), [])


def tell(command_line: CommandLine) -> None:
    """Tell the story whose case was copied to the folder of the command line."""
    steps = (command_line.folder / "steps").read_text(encoding="utf-8")
    if "through dagster" not in steps.splitlines():
        command_line.close_directly()
    Teller(command_line).tell(parse(steps))


def parse(steps: str) -> list[Step]:
    """The steps of a story, in order."""
    parsed: list[Step] = []
    for number, line in enumerate(steps.splitlines(), start=1):
        text = line.strip()
        kind, colon, words = text.partition(": ")
        if not text or text.startswith(("#", "zones ", "through ")):
            continue
        if colon and kind in OUTCOMES:
            parsed[-1].outcomes.append((kind, words))
        else:
            parsed.append(Step(number, text))
    return parsed


class Teller:
    """Does the steps of one story, and remembers every frozen month as it first was."""

    def __init__(self, command_line: CommandLine) -> None:
        self.command_line = command_line
        self.folder = command_line.folder
        self._frozen: dict[str, dict[str, str]] = {}

    def tell(self, steps: list[Step]) -> None:
        """Do all steps. However the story goes, no frozen month may have changed at its end."""
        for step in steps:
            self._do(step)
            self._remember_frozen()
        for month in self._frozen:
            self._require_same_bytes(month)

    def _do(self, step: Step) -> None:
        where = f"steps, line {step.number}, `{step.text}`"
        verb, _, rest = step.text.partition(" ")
        place, colon, text = step.text.partition(": ")
        if verb == "at":
            self.command_line.at(rest)
        elif verb == "set":
            self.command_line.set(*rest.split())
        elif verb == "copy":
            shutil.copyfile(*(self.folder / name for name in rest.split()))
        elif verb == "remove":
            (self.folder / rest).unlink()
        elif verb == "flip":
            self._flip(rest)
        elif verb == "same-bytes":
            self._require_same_bytes(rest)
        elif verb == "nothing":
            assert not (self.folder / rest.removeprefix("at ")).exists(), where
        elif colon and place.startswith("in "):
            assert any(text in found for found in self._texts(place.removeprefix("in "))), where
        elif colon and place.startswith("not in "):
            holding = [found for found in self._texts(place.removeprefix("not in ")) if text in found]
            assert not holding, f"{where}: {holding[0][:300]}"
        else:
            self._command(step, where)

    def _command(self, step: Step, where: str) -> None:
        outcome = self.command_line.run(step.text)
        said = f"{where} ended with {outcome.exit_status}: {outcome.stderr or outcome.stdout}"
        assert outcome.exit_status == step.exit_status, said
        for kind, words in step.outcomes:
            assert words in (outcome.stdout if kind == "says" else outcome.stderr), said

    def _flip(self, pattern: str) -> None:
        (path,) = self.folder.glob(pattern)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        mode = path.stat().st_mode
        path.chmod(mode | stat.S_IWUSR)
        path.write_bytes(content)
        path.chmod(mode)

    def _remember_frozen(self) -> None:
        for folder in self.folder.glob("data/statements/month=*"):
            self._frozen.setdefault(folder.name.removeprefix("month="), _hashes(folder))

    def _require_same_bytes(self, month: str) -> None:
        assert _hashes(self.folder / "data" / "statements" / f"month={month}") == self._frozen[month]

    def _texts(self, place: str) -> list[str]:
        root = self.folder / place
        assert root.exists(), f"there is no {place}"
        directory = self.folder / "data" / "landing" / "tenants"
        paths = [root] if root.is_file() else [path for path in sorted(root.rglob("*")) if path.is_file()]
        if place == "data":
            paths = [path for path in paths if directory not in path.parents]
        return [text for path in paths for text in (str(path.relative_to(self.folder)), *_texts_of(path))]


def _hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def _texts_of(path: Path) -> list[str]:
    """Everything in a file that can be read as text: compressed columns are read as cells, and bytes as they are."""
    if path.suffix == ".parquet":
        return [str(row) for row in pq.ParquetFile(path).read().to_pylist()]
    if path.suffix == ".duckdb":
        with duckdb.connect(str(path), read_only=True) as connection:
            names = connection.execute(
                "select schema_name, view_name from duckdb_views() where not internal "
                "union all select schema_name, table_name from duckdb_tables()"
            ).fetchall()
            return [
                str(row)
                for schema, name in names
                for row in connection.execute(f'from "{schema}"."{name}"').to_arrow_table().to_pylist()
            ]
    return [path.read_bytes().decode("utf-8", errors="replace")]


def main(folders: list[str]) -> None:
    """Tell one story after the other; the names of those that did not end well are printed, and on stderr the reason."""
    for folder in folders:
        try:
            with command_line_in(Path(folder).absolute()) as line:
                tell(line)
        except Exception:
            traceback.print_exc()
            print(Path(folder).name)


if __name__ == "__main__":
    main(sys.argv[1:])

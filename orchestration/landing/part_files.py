"""Parts of a file, shown to DuckDB as files of their own: nothing is copied, and it is known how far each is read.

What belongs here: what DuckDB asks of a file system (fsspec's interface). What does not: where a file is cut
(`csv_parts`), or its columns.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fsspec

from orchestration.landing.csv_parts import Part

# DuckDB asks for 32 MB, and asks again when it gets less. What a processor keeps at hand takes a third less time.
READ_AT_ONCE = 64_000


class OpenPart:
    """A part of a file, open for reading as DuckDB does it: the next byte is that at `place` of the part."""

    def __init__(self, path: Path, part: Part) -> None:
        self._part = part
        self._handle = path.open("rb", buffering=0)
        self.seek(0)

    def read(self, size: int) -> bytes:
        block = self._handle.read(min(size, READ_AT_ONCE, self._part.size - self.place))
        self.place += len(block)
        return block

    def seek(self, place: int) -> None:
        self._handle.seek(self._part.start + place)
        self.place = place

    def tell(self) -> int:
        return self.place

    def close(self) -> None:
        self._handle.close()


class PartFiles(fsspec.AbstractFileSystem):  # type: ignore[misc]
    """The parts of one file, as `part://0` and so on. Register it in a connection to read them."""

    protocol = "part"
    # fsspec would give the same object for the same arguments.
    cachable = False

    def __init__(self, path: Path, parts: Sequence[Part]) -> None:
        super().__init__()
        self._path = path
        self._parts = {self.name(place): part for place, part in enumerate(parts)}
        self._last_opened: dict[str, OpenPart] = {}

    def name(self, place: int) -> str:
        """The name by which the part at this place is read."""
        return f"{self.protocol}://{place}"

    def percent(self) -> float:
        """How much of the file has been read, by those who opened its parts last."""
        read = sum(opened.place for opened in list(self._last_opened.values()))
        return 100 * read / sum(part.size for part in self._parts.values())

    def open(self, name: str, mode: str = "rb", **_: Any) -> OpenPart:
        assert mode == "rb", "a part is there to be read"
        self._last_opened[name] = OpenPart(self._path, self._parts[name])
        return self._last_opened[name]

    def info(self, name: str, **_: Any) -> dict[str, Any]:
        return {"name": name, "size": self._parts[name].size, "type": "file"}

    def exists(self, name: str, **_: Any) -> bool:
        return name in self._parts

    def glob(self, name: str, **_: Any) -> list[str]:
        return [name] if name in self._parts else []

    def modified(self, _: str) -> datetime:
        return datetime.fromtimestamp(self._path.stat().st_mtime, UTC)

"""The bytes of a file that somebody delivered: their form and hash, whether they are whole and made of lines, and
whether they stay as they are while they are read.

What belongs here: every look at a file that knows nothing of columns, in bounded memory. What does not: opening it as a
relation (`source_files`).
"""

import gzip
import hashlib
import shutil
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from itertools import cycle
from pathlib import Path
from typing import BinaryIO, Literal, cast

import pyarrow as pa

from orchestration import engine, files
from orchestration.errors import FileChanged, Refused
from orchestration.landing import csv_parts
from orchestration.landing.csv_parts import RowEnd

Kind = Literal["csv", "json", "parquet", "xlsx"]
Compression = Literal["none", "gzip", "zstd", "zip"]
FORMATS: dict[str, Kind] = {".csv": "csv", ".jsonl": "json", ".ndjson": "json", ".json": "json", ".parquet": "parquet"}
# A compressed file lands as it is; Parquet compresses itself.
COMPRESSIONS: dict[str, Compression] = {".gz": "gzip", ".zst": "zstd"}
# A declared source takes these too. DuckDB reads neither, so they are read from a copy.
ZIP, WORKBOOK = ".zip", ".xlsx"
DECLARED: dict[str, Kind] = {"csv": "csv", "jsonl": "json", "xlsx": "xlsx"}
# So many bytes, unpacked, are looked at together.
BLOCK = 1_000_000
# Rows of a CSV and lines of a JSON Lines file may be long, but a file without line breaks is not one. Every reader
# relies on this: memory is held for a line, and DuckDB loses a last line that is longer than its buffer (duckdb#25825).
LONGEST_LINE = 4_000_000
LINE_BREAKS = {"csv": (b"\n", b"\r"), "json": (b"\n",)}
# How packed bytes fail to unpack; a .zip may be encrypted, too.
UNREADABLE = (pa.ArrowException, OSError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError)
# Bytes of a file that are looked at together.
Block = bytes | bytearray
# The signs by which one state of a file differs from another: device, inode, size, and the times of change.
Stamp = tuple[int, ...]


@dataclass(frozen=True)
class Form:
    """The form of a file, from its name: `kind` csv, json or parquet, and how it is compressed."""

    kind: Kind
    compression: Compression


def form_of(path: Path) -> Form:
    """The form of a file in the columns of its feed, from the end of its name; refused when the name does not say."""
    name = path.name.lower()
    packed = next((suffix for suffix in COMPRESSIONS if name.endswith(suffix)), "")
    compression: Compression = COMPRESSIONS[packed] if packed else "none"
    kind = FORMATS.get(Path(name.removesuffix(packed)).suffix)
    if kind is None or (kind == "parquet" and compression != "none"):
        raise Refused(
            f"{path}: the name must end in {', '.join(FORMATS)}, "
            f"or in one of the text ones and {' or '.join(COMPRESSIONS)}, to say what the file is."
        )
    return Form(kind, compression)


def declared_form_of(path: Path, formats: Collection[str]) -> Form:
    """The form of a file of a declared source, which knows its formats whatever its files are called.

    The end of a name counts where it says something: rotated files end in dates and numbers. Between CSV and JSON Lines
    the first character decides then.
    """
    name = path.name.lower()
    if name.endswith(ZIP):
        compression: Compression = "zip"
        name = _member(path).filename.lower()
    else:
        packed = next((suffix for suffix in COMPRESSIONS if name.endswith(suffix)), "")
        compression, name = COMPRESSIONS[packed] if packed else "none", name.removesuffix(packed)
    kind = "xlsx" if name.endswith(WORKBOOK) else FORMATS.get(Path(name).suffix)
    if kind is None:
        kinds = [DECLARED[format_name] for format_name in formats]
        kind = kinds[0] if len(kinds) == 1 or not path.is_file() else _kind_by_content(path, compression)
    if kind == "xlsx" and compression != "none":
        raise Refused(f"{path}: a workbook packs itself; land it as {WORKBOOK}.")
    return Form(kind, compression)


def _kind_by_content(path: Path, compression: Compression) -> Kind:
    try:
        with open_bytes(path, compression) as handle:
            start = handle.read(1_000)
    except UNREADABLE as error:
        raise Refused(f"{path} cannot be read.") from error
    return "json" if start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"[")) else "csv"


def open_bytes(path: Path, compression: Compression) -> BinaryIO:
    """The file's bytes, unpacked."""
    if compression == "none":
        return path.open("rb")
    if compression == "zip":
        return cast(BinaryIO, zipfile.ZipFile(path).open(_member(path)))
    return cast(BinaryIO, pa.input_stream(str(path), compression=compression))


def _member(path: Path) -> zipfile.ZipInfo:
    """The one file in a .zip."""
    try:
        with zipfile.ZipFile(path) as packed:
            members = [member for member in packed.infolist() if not member.is_dir()]
    except UNREADABLE as error:
        raise Refused(f"{path} is not a whole .zip file.") from error
    if len(members) != 1:
        raise Refused(f"{path} holds {len(members):,} files. A .zip that is landed holds one.")
    return members[0]


def stamp(path: Path) -> Stamp:
    """The state of a file as the file system tells it. Raises OSError when there is none."""
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


@dataclass(frozen=True)
class InputFile:
    """A file to be read, looked through once: it is there, whole, and no line of it is too long.

    `size` is that of the file in bytes and `sha256` its hash. `is_ended`: its text ends with a line break. `row_ends`
    are places at which rows of a CSV end; a file that is not plain, or compressed, has none.
    """

    path: Path
    form: Form
    stamp: Stamp
    sha256: str
    is_ended: bool
    row_ends: tuple[RowEnd, ...] = ()

    @property
    def size(self) -> int:
        return self.stamp[2]

    def require_unchanged(self) -> None:
        """Refuse the file unless it is still the one that was hashed. To be called after its last read.

        The stamp tells of every write and rename, since nobody can set the time of an inode's change. The hash tells of
        what the stamp misses: writes through a memory map, and two within one tick of the file system's clock.
        """
        try:
            is_same = stamp(self.path) == self.stamp and files.sha256(self.path) == self.sha256
        except OSError:
            is_same = False
        if not is_same:
            raise FileChanged(
                f"{self.path} changed while it was read. Land it again when its writer is done. Nothing of it was "
                "landed."
            )

    def ended(self, scratch: Path) -> Path:
        """The text to read: the file itself, or a copy with a line break at its end where the file has none.

        DuckDB loses a torn last row of CSV, and a last line of JSON, that reaches past the end of one of its buffers
        and has no line break.
        """
        if self.is_ended:
            return self.path
        copy = scratch / f"ended-{self.path.name}"
        shutil.copyfile(self.path, copy)
        with copy.open("ab") as handle:
            handle.write(_packed(self._line_break(), self.form.compression))
        return copy

    def _line_break(self) -> bytes:
        """The break after the first line; DuckDB wants all lines to end alike."""
        with open_bytes(self.path, self.form.compression) as handle:
            start = handle.read(LONGEST_LINE + 2)
        places = [place for end in LINE_BREAKS[self.form.kind] if (place := start.find(end)) >= 0]
        first = min(places, default=len(start))
        return start[first : first + (2 if start[first : first + 2] == b"\r\n" else 1)] or b"\n"


@contextmanager
def unchanged(file: InputFile) -> Iterator[Callable[[], None]]:
    """Around everything that reads a file: refuse it when it changed meanwhile, rather than for what came of that.

    What it yields may be called after the last read: the file is looked at then, beside what else there is to do.
    """
    with ThreadPoolExecutor(max_workers=1) as beside:
        look = file.require_unchanged

        def last_read() -> None:
            nonlocal look
            look = beside.submit(file.require_unchanged).result

        try:
            yield last_read
        except Exception as error:
            if str(error) != engine.INTERRUPTED:
                file.require_unchanged()
            raise
        look()


def _packed(text: bytes, compression: Compression) -> bytes:
    """A whole compressed file of this text: several of them, one after the other, are one too."""
    if compression == "gzip":
        return gzip.compress(text)
    return pa.compress(text, codec=compression, asbytes=True) if compression == "zstd" else text


def look_at(path: Path, formats: Collection[str] = ()) -> InputFile:
    """The file at a path, looked through to its end. `formats` are those of its declared source.

    Refused when there is no file with something in it, when its form is not to be told, when it is torn, or when a line
    is longer than LONGEST_LINE.
    """
    files.require_printable(path, "The file")
    if path.is_dir():
        raise Refused(f"{path} is a directory: name the files to land.")
    if not path.exists():
        raise Refused(f"{path} does not exist.")
    if not path.is_file():
        raise Refused(f"{path} is not a regular file.")
    form = declared_form_of(path, formats) if formats else form_of(path)
    try:
        found = stamp(path)
        if found[2] == 0:
            raise Refused(f"{path} is empty. An extract without rows still has its header.")
        sha256, is_ended, row_ends = _looked_through(path, form)
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}.") from error
    return InputFile(path, form, found, sha256, is_ended, row_ends)


def _looked_through(path: Path, form: Form) -> tuple[str, bool, tuple[RowEnd, ...]]:
    """The hash of the file, whether its text ends with a line break, and places at which its rows end."""
    digest = hashlib.sha256()
    is_ended = True
    row_ends = csv_parts.RowEnds() if form.kind == "csv" and form.compression == "none" else None
    with path.open("rb") as handle:
        blocks = _hashed(_blocks_in_turn(handle), digest)
        if row_ends:
            blocks = _shown(blocks, row_ends)
        if form.kind in LINE_BREAKS and form.compression == "none":
            is_ended = _require_lines(path, form, blocks)
        for _ in blocks:
            pass
    if form.compression != "none":
        is_ended = _require_lines(path, form, _unpacked(path, form.compression))
    return digest.hexdigest(), is_ended, row_ends.found() if row_ends else ()


def _blocks(handle: BinaryIO) -> Iterator[bytes]:
    while block := handle.read(BLOCK):
        yield block


def _blocks_in_turn(handle: BufferedReader) -> Iterator[Block]:
    """The same, each in place of the last but one: room for a new one each time is asked of the system each time."""
    for buffer in cycle([bytearray(BLOCK), bytearray(BLOCK)]):
        length = handle.readinto(buffer)
        if not length:
            return
        yield buffer if length == BLOCK else bytes(buffer[:length])


def _hashed(blocks: Iterator[Block], digest: "hashlib._Hash") -> Iterator[Block]:
    """The blocks, each hashed beside what else is done with it: that takes about as long."""
    with ThreadPoolExecutor(max_workers=1) as beside:
        hashing = beside.submit(digest.update, b"")
        for block in blocks:
            hashing.result()
            hashing = beside.submit(digest.update, block)
            yield block
        hashing.result()


def _shown(blocks: Iterator[Block], row_ends: csv_parts.RowEnds) -> Iterator[Block]:
    for block in blocks:
        row_ends.look(block)
        yield block


def _unpacked(path: Path, compression: Compression) -> Iterator[bytes]:
    """The unpacked bytes, to their end: DuckDB takes the end of a torn file for the end of its rows."""
    try:
        with open_bytes(path, compression) as handle:
            yield from _blocks(handle)
    except UNREADABLE as error:
        # An error without words is one of the end of the file.
        said = (str(error).splitlines() or ["it ends too early"])[0][:160]
        raise Refused(f"{path} is not a whole {compression} file: {said}. Nothing of it was landed.") from error


def _require_lines(path: Path, form: Form, blocks: Iterator[Block]) -> bool:
    """Refuse a text with a line that is too long. Returns whether it ends with a line break.

    From the start of a line on, the last break within reach is sought: a few searches a block, however many its lines.
    """
    line_breaks = LINE_BREAKS[form.kind]
    # `before` counts the bytes before the block. `line` is where the line begins that is searched for its end, counted
    # from the start of the block, and so negative when it began before.
    before, line = 0, 0
    block: Block = b""
    for block in blocks:
        while line + LONGEST_LINE < len(block):
            found = _last(line_breaks, block, line, line + LONGEST_LINE + 1)
            if found < 0:
                place = f"its first {before + line:,}{' unpacked' if form.compression != 'none' else ''} bytes"
                raise Refused(
                    f"{path} has a line of more than {LONGEST_LINE:,} bytes, after {place}. "
                    "A file of records has a line break after each. Nothing of it was landed."
                )
            line = found + 1
        found = _last(line_breaks, block, line, len(block))
        line = (found + 1 if found >= 0 else line) - len(block)
        before += len(block)
    return block.endswith(line_breaks)


def _last(line_breaks: tuple[bytes, ...], block: Block, start: int, stop: int) -> int:
    """The place of the last line break in a part of a block, -1 without one."""
    return max(block.rfind(line_break, max(start, 0), stop) for line_break in line_breaks)

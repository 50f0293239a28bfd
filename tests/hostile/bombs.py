"""Small files that unpack to gigabytes, or whose lines and values have no end: landed in a process that tells its memory.

What belongs here: how each is made, and the process (`python -m tests.hostile.bombs FEED FILE…`). What does not:
expectations. A part is compressed once and repeated, since several compressed files in a row are one.
"""

import gzip
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.unit.deliveries import Row, record, write_parquet

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Bomb:
    """A file: its name, how it is made, and the words of its refusal. `is_large`: it takes more than a second."""

    name: str
    make: Callable[[Path], object]
    words: str
    is_large: bool = False


def csv_of(*rows: Row) -> bytes:
    return "".join(",".join(row.values()) + "\n" for row in rows).encode()


def jsonl_of(*rows: Row) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def repeated(parts: Callable[[], Iterable[tuple[bytes, int]]]) -> Callable[[Path], object]:
    """A file of parts, each so many times, compressed as its name says. They are made with the file, not before."""

    def make(path: Path) -> None:
        pack = {".gz": gzip.compress, ".zst": lambda part: pa.compress(part, codec="zstd", asbytes=True)}
        with path.open("wb") as handle:
            for part, times in parts():
                packed = pack.get(path.suffix, bytes)(part)
                for _ in range(times):
                    handle.write(packed)

    return make


def long_footer(path: Path) -> None:
    with path.open("wb") as handle:
        handle.write(b"PAR1")
        handle.seek(1_000 * MEGABYTE, 1)
        handle.write((1_000 * MEGABYTE).to_bytes(4, "little") + b"PAR1")


def in_row_groups_of_one(rows: Callable[[], list[Row]]) -> Callable[[Path], object]:
    return lambda path: pq.write_table(
        pa.Table.from_pylist(rows()), path, row_group_size=1, use_dictionary=False, compression="zstd"
    )


FIFTY = [record(f"r{number}") for number in range(50)]
HEADER = ",".join(FIFTY[0]).encode() + b"\n"
TORN = csv_of(record("torn"))[:-7]
WITHOUT_END = "has a line of more than 4,000,000 bytes"
ROOM = "Out of Memory"


def wide(times: int, column: str, value: str, length: int) -> Callable[[Path], object]:
    """Rows of so many letters, all of them in one column."""

    def parts() -> Iterator[tuple[bytes, int]]:
        row = record("wide", **{column: value * (length // len(value))})
        yield ",".join(row).encode() + b"\n", 1
        yield csv_of(row), times

    return repeated(parts)


BOMBS = [
    Bomb("line.csv.gz", repeated(lambda: [(b"a" * 10 * MEGABYTE, 400)]), WITHOUT_END),
    Bomb("line.csv.zst", repeated(lambda: [(b"a" * 10 * MEGABYTE, 400)]), WITHOUT_END),
    Bomb("line.jsonl.gz", repeated(lambda: [(b'{"a":"' + b"a" * 10 * MEGABYTE, 400)]), WITHOUT_END),
    Bomb("line.jsonl.zst", repeated(lambda: [(b'{"a":"' + b"a" * 10 * MEGABYTE, 400)]), WITHOUT_END),
    Bomb("after-a-header.csv.gz", repeated(lambda: [(HEADER + csv_of(*FIFTY), 1), (b"a" * 10 * MEGABYTE, 400)]), WITHOUT_END),
    Bomb("nul.csv.gz", repeated(lambda: [(HEADER + csv_of(*FIFTY) + TORN, 1), (bytes(64_000_100), 1)]), WITHOUT_END),
    Bomb("nul.jsonl.gz", repeated(lambda: [(jsonl_of(*FIFTY) + b"{", 1), (bytes(64_000_100), 1)]), WITHOUT_END),
    Bomb("header-in-quotes.csv.gz", repeated(lambda: [(b'"a\n",' * 100_000, 5)]), "lacks record_id"),
    Bomb("one-quote.csv.gz", repeated(lambda: [(HEADER + b'"', 1), (b"a\n" * 5 * MEGABYTE, 10)]), "a quote is not closed"),
    Bomb("values.parquet", in_row_groups_of_one(lambda: [record("r", number="5" * 20 * MEGABYTE)] * 3), "a value has more than"),
    Bomb("footer.parquet", long_footer, "its footer has more than 64,000,000 bytes"),
    Bomb("header-of-commas.csv.gz", repeated(lambda: [(b"," * 3 * MEGABYTE + b"\n", 1)]), "3,000,001", is_large=True),
    Bomb("digits.csv.gz", wide(150, "number", "5", 3_900_000), ROOM, is_large=True),
    Bomb("addresses.csv.gz", wide(150, "source_ip", "f:", 3_900_000), "", is_large=True),
    Bomb("amounts.csv.gz", wide(150, "cost", "5", 3_900_000), ROOM, is_large=True),
    Bomb("wide.csv.gz", wide(1_000, "number", "5", 3_900_000), ROOM, is_large=True),
    Bomb("wide.jsonl.gz", repeated(lambda: [(jsonl_of(record("wide", number="5" * 3_900_000)), 400)]), ROOM, is_large=True),
    Bomb(
        "names.jsonl.gz",
        repeated(lambda: ((jsonl_of({f"k{line}_{place}": 1 for place in range(100_000)}), 1) for line in range(100))),
        "",
        is_large=True,
    ),
    Bomb(
        "dictionary.parquet",
        lambda path: write_parquet(path, *[record("r", number="5" * 100_000)] * 20_000),
        ROOM,
        is_large=True,
    ),
]  # fmt: skip


def peak_mb() -> int:
    """The most memory that this process has had so far, in MB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 // 1_000_000


def main() -> None:
    """Land each file by itself, and print its outcome with the peak of memory above that of the imports."""
    from orchestration import settings
    from orchestration.commands.land import Delivery, land
    from orchestration.errors import Refused
    from orchestration.warehouse import cache

    cache.refresh_if_stale = lambda _: None
    feed, data, *paths = sys.argv[1:]
    configuration = settings.load(Path(data))
    before = peak_mb()
    for path in paths:
        try:
            land(configuration, feed, [Path(path)], Delivery())
            outcome = "landed"
        except Refused as refusal:
            outcome = str(refusal)
        print(json.dumps({"file": Path(path).name, "outcome": outcome, "peak_mb": peak_mb() - before}), flush=True)


if __name__ == "__main__":
    main()

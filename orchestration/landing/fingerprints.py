"""Files of fingerprints in order, and which fingerprints of one such file others have too.

What belongs here: finding them, in a memory that does not grow with the files. What does not: how a fingerprint is made
of a record's id, or the records that it stands for (`identity`).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from orchestration import files

# So many fingerprints are looked for at a time: with their marks they take less than a tenth of a gigabyte.
AT_ONCE = 1_000_000
RANGE = 1 << 64
ROW_GROUP = 122_880
COLUMNS: dict[str, pa.DataType] = {"fingerprint": pa.uint64(), "position": pa.int32(), "day": pa.date32()}
SHARED = pa.schema(COLUMNS)
Fingerprints = NDArray[np.uint64]
Places = NDArray[np.intp]


class Wanted:
    """Fingerprints in order, one or more, that are looked for among others.

    Their range is cut into eight to sixteen buckets for each, and a bucket in which one of them lies is marked. So a
    look at one mark tells nearly all others apart; both sides lie in order, and the marks are read in order too.
    """

    def __init__(self, ordered: Fingerprints) -> None:
        self.ordered = ordered
        self._low, self._high = ordered[0], ordered[-1]
        spread = int(self._high - self._low)
        self._shift = np.uint64(max(0, spread.bit_length() - len(ordered).bit_length() - 4))
        self._marks = np.zeros((spread >> int(self._shift)) + 1, dtype=bool)
        self._marks[self._buckets(ordered)] = True

    def _buckets(self, fingerprints: Fingerprints) -> Places:
        # Without a copy: a bucket's number fits either type.
        buckets: Places = ((fingerprints - self._low) >> self._shift).view(np.intp)
        return buckets

    def places_in(self, ordered: Fingerprints) -> Places:
        """The places in other fingerprints, which are in order too, at which a wanted one stands."""
        start = int(ordered.searchsorted(self._low))
        within = ordered[start : int(ordered.searchsorted(self._high, "right"))]
        near: Places = np.flatnonzero(self._marks[self._buckets(within)])
        exact = self.ordered[self.ordered.searchsorted(within[near])] == within[near]
        places: Places = near[exact] + start
        return places


def copy(source: Path, target: Path) -> None:
    """Write the fingerprints and days of a file that has other columns too, in its order, to a file of their own."""
    with (
        pq.ParquetFile(source) as read,
        pq.ParquetWriter(
            target,
            SHARED.remove(1),
            compression="zstd",
            compression_level=1,
            use_dictionary=["day"],  # type: ignore[arg-type]  # the stubs miss the list
            column_encoding={"fingerprint": "DELTA_BINARY_PACKED"},
        ) as written,
    ):
        for batch in read.iter_batches(ROW_GROUP, columns=["fingerprint", "day"], use_threads=False):
            written.write_batch(batch)


def shared(own: Path, others: Sequence[Path]) -> Iterator[pa.RecordBatch]:
    """Each fingerprint of `own` that other files have or that is there twice, with its position and its day.

    Rows have the columns of SHARED. Position 0 is `own`, 1 the first of the others; every place of a shared fingerprint
    is a row of its own.
    """
    for part in _parts(own):
        fingerprints = part["fingerprint"].to_numpy()
        wanted = Wanted(fingerprints)
        is_shared = np.zeros(len(fingerprints), dtype=bool)
        is_twice = fingerprints[1:] == fingerprints[:-1]
        is_shared[1:] |= is_twice
        is_shared[:-1] |= is_twice
        for batch in _looked_up(wanted, others):
            yield batch
            # A fingerprint that is there twice is shared as it is.
            is_shared[fingerprints.searchsorted(batch["fingerprint"].to_numpy())] = True
        yield from _found(part.filter(pa.array(is_shared)), 0)


def _looked_up(wanted: Wanted, others: Sequence[Path]) -> Iterator[pa.RecordBatch]:
    """Each place in these files, of which the first has position 1, at which a wanted fingerprint stands."""

    def places(path: Path) -> pa.Table:
        return _places(wanted, path)

    for first in range(0, len(others), 2):
        for position, found in enumerate(files.two_at_a_time(places, others[first : first + 2]), first + 1):
            yield from _found(found, position)


def _places(wanted: Wanted, path: Path) -> pa.Table:
    low, high = int(wanted.ordered[0]), int(wanted.ordered[-1])
    with pq.ParquetFile(path) as file:
        found = [file.schema_arrow.empty_table()]
        for group in _groups_between(file, low, high):
            fingerprints = file.read_row_group(group, ["fingerprint"], use_threads=False)
            places = wanted.places_in(fingerprints["fingerprint"].to_numpy())
            if len(places):
                # The days of a row group are read when one of them is needed.
                found.append(file.read_row_group(group, ["fingerprint", "day"], use_threads=False).take(places))
    return pa.concat_tables(found)


def _found(table: pa.Table, position: int) -> Iterator[pa.RecordBatch]:
    placed = table.append_column("position", pa.array(np.full(len(table), position, dtype=np.int32)))
    return iter(placed.select(SHARED.names).cast(SHARED).to_batches())


def _parts(path: Path) -> Iterator[pa.Table]:
    """The rows of a file by parts of the range of fingerprints, none empty: equal ones are in one part."""
    with pq.ParquetFile(path) as file:
        parts = file.metadata.num_rows // AT_ONCE + 1
        for part in range(parts):
            low, high = RANGE * part // parts, RANGE * (part + 1) // parts - 1
            groups = _groups_between(file, low, high)
            table = file.read_row_groups(groups, ["fingerprint", "day"], use_threads=False)
            fingerprints = table["fingerprint"].to_numpy()
            start = int(fingerprints.searchsorted(np.uint64(low)))
            stop = int(fingerprints.searchsorted(np.uint64(high), "right"))
            if start < stop:
                yield table.slice(start, stop - start)


def _groups_between(file: pq.ParquetFile, low: int, high: int) -> list[int]:
    """The row groups that can hold a fingerprint of a range, bounds included."""
    footer = file.metadata
    bounds = [footer.row_group(group).column(0).statistics for group in range(footer.num_row_groups)]
    return [
        group
        for group, bound in enumerate(bounds)
        if bound is None or bound.min is None or bound.max is None or (bound.min <= high and bound.max >= low)
    ]

"""Which fingerprints one file shares with others, against sets."""

from datetime import date, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.landing import fingerprints

EDGES = [0, 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 2, (1 << 64) - 1]
# Few enough that files share some, and wide enough that a part of the range can be empty.
FINGERPRINT = st.sampled_from(EDGES) | st.integers(0, 40).map(lambda place: place * 311 << 50)
FILE = st.lists(st.tuples(FINGERPRINT, st.none() | st.integers(0, 60)), max_size=30)


def write(path, rows):
    ordered = sorted(rows, key=lambda row: row[0])
    days = [None if day is None else date(2026, 1, 1) + timedelta(day) for _, day in ordered]
    columns = {"fingerprint": pa.array([row[0] for row in ordered], pa.uint64()), "day": pa.array(days, pa.date32())}
    pq.write_table(pa.table(columns), path, row_group_size=7)
    return [(row[0], day) for row, day in zip(ordered, days, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [5, 1_000])
@settings(deadline=None)
@given(files=st.lists(FILE, min_size=1, max_size=4))
def test_shared_fingerprints_are_those_that_sets_have_in_common(tmp_path_factory, at_once, files):
    folder = tmp_path_factory.mktemp("files")
    paths = [folder / f"{position}.parquet" for position in range(len(files))]
    written = [write(path, rows) for path, rows in zip(paths, files, strict=True)]
    own = [fingerprint for fingerprint, _ in written[0]]
    elsewhere = {fingerprint for rows in written[1:] for fingerprint, _ in rows}
    shared = {fingerprint for fingerprint in own if fingerprint in elsewhere or own.count(fingerprint) > 1}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fingerprints, "AT_ONCE", at_once)
        found = pa.Table.from_batches(fingerprints.shared(paths[0], paths[1:]), fingerprints.SHARED)
    expected = [
        (fingerprint, position, day)
        for position, rows in enumerate(written)
        for fingerprint, day in rows
        if fingerprint in shared
    ]
    rows = zip(*(found[name].to_pylist() for name in ("fingerprint", "position", "day")), strict=True)
    assert sorted(rows, key=repr) == sorted(expected, key=repr)

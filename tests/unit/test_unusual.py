"""What is unusual about a month: jumps against the one before, and days without records."""

import pytest

from orchestration.close import unusual
from orchestration.close.content import Counts
from orchestration.close.manifests import Manifest
from tests.unit.stored import HASH, MARCH, counts, manifest


def frozen(*, accepted: int = 1000, unattributed: int = 0, rejected: int = 0, rows: tuple[int, ...] = ()) -> Manifest:
    files = {"usage/corrections.parquet": 0, "usage_by_asset.parquet": 0}
    files |= {f"usage/day={day:02d}.parquet": count for day, count in enumerate(rows, start=1)}
    return manifest(
        MARCH,
        counts=counts(accepted=accepted, unattributed=unattributed, rejected=rejected),
        outputs=[{"name": name, "bytes": 1, "rows": count, "sha256": HASH} for name, count in files.items()],
    )


@pytest.mark.parametrize(
    ("before", "now", "jumped"),
    [(10, 20, False), (10, 21, True), (0, 5, False), (0, 6, True), (2, 5, False), (500, 1000, False)],
)
def test_a_share_jumps_when_it_more_than_doubles_and_is_not_little(before, now, jumped):
    assert unusual.share_jumped(frozen(unattributed=now), frozen(unattributed=before)) is jumped


@pytest.mark.parametrize(("before", "now", "jumped"), [(0, 10, False), (0, 11, True), (6, 12, False), (6, 13, True)])
def test_rejected_rows_jump_when_they_more_than_double_and_are_not_few(before, now, jumped):
    assert unusual.rejected_jumped(frozen(rejected=now), frozen(rejected=before)) is jumped


def test_the_first_month_has_nothing_to_be_compared_with():
    month = frozen(unattributed=1000, rejected=1000)
    assert not unusual.share_jumped(month, None)
    assert not unusual.rejected_jumped(month, None)


def test_a_month_without_records_has_no_share():
    assert unusual.unattributed_percent(Counts(**counts())) == 0
    assert not unusual.share_jumped(frozen(accepted=0), frozen(accepted=0))


def test_silent_days_are_those_whose_file_is_empty():
    assert unusual.silent_days(frozen(rows=(3, 0, 5, 0))) == ["2026-03-02", "2026-03-04"]

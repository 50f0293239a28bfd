"""Whether a month may be closed, told from receipts and manifests alone: each bound of each rule, and each sentence.

What does not belong here: that a close asks, which `tests/orchestration/test_close.py` shows.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestration.close import readiness
from orchestration.close.inputs import RejectedRow
from orchestration.errors import Refused
from orchestration.landing.receipts import LandedFile, Moved, Receipt, RecordsFile
from tests.unit.stored import (
    APRIL,
    FEBRUARY,
    HASH,
    JUNE,
    MARCH,
    MAY,
    chain,
    close,
    manifest,
    receipt,
    rejected,
    settings_in,
)

INSTANT = timedelta(microseconds=1)
NOW = datetime(2026, 6, 2, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def settings_of_nobody(monkeypatch):
    for name in ("STATEMENTS_GRACE_HOURS", "STATEMENTS_FIRST_MONTH"):
        monkeypatch.delenv(name, raising=False)


def refusal(function, *arguments, **named) -> str:
    with pytest.raises(Refused) as refused:
        function(*arguments, **named)
    return str(refused.value)


# It has ended ---------------------------------------------------------------------------------------------------------


def test_a_month_can_be_closed_from_the_end_of_its_grace_on(tmp_path):
    settings = settings_in(tmp_path)
    running = refusal(readiness.require_ended, MARCH, settings, MARCH.end - INSTANT)
    assert "It ends at 2026-04-01 00:00 UTC and can be closed from 2026-04-01 12:00 UTC" in running
    for now in (MARCH.end, MARCH.end + timedelta(hours=12) - INSTANT):
        waiting = refusal(readiness.require_ended, MARCH, settings, now)
        assert "2026-03 ended less than 12 hours ago" in waiting
        assert "Close it from 2026-04-01 12:00 UTC" in waiting
    readiness.require_ended(MARCH, settings, MARCH.end + timedelta(hours=12))


# It is the next -------------------------------------------------------------------------------------------------------


def test_the_first_month_has_to_have_something(tmp_path):
    settings = settings_in(tmp_path)
    landed = [receipt(1, rows={"2026-05": 2000, "2026-03": 1}), receipt(2, "tenants", {None: 7}), receipt(3)]
    for month in (MARCH, MAY):
        readiness.require_next(close(month, [], landed), settings)
    readiness.require_next(close(APRIL, [], [*landed, rejected(4, {"2026-04": 1})]), settings)
    assert refusal(readiness.require_next, close(APRIL, [], landed), settings) == (
        "Nothing has landed for 2026-04, so it cannot be the first month. "
        "Landed are 2026-03 (1 record), 2026-05 (2,000 records)."
    )
    assert "No cdrs have landed at all." in refusal(readiness.require_next, close(APRIL, [], landed[1:]), settings)
    landed += [rejected(4, {"2026-02": 3, "2026-05": 1, "": 1})]
    assert "Landed are 2026-03 (1 record), 2026-05 (2,000 records). Rejected is all of 2026-02 (3 rows)." in refusal(
        readiness.require_next, close(APRIL, [], landed), settings
    )
    assert "Only rejected rows have landed, none with a time that can be read." in refusal(
        readiness.require_next, close(APRIL, [], [rejected(1, {"": 1})]), settings
    )


def test_the_first_month_of_the_settings_is_the_only_one_to_begin_with(tmp_path, monkeypatch):
    monkeypatch.setenv("STATEMENTS_FIRST_MONTH", "2026-03")
    landed = [receipt(1, rows={"2026-03": 1, "2026-04": 1})]
    readiness.require_next(close(MARCH, [], landed), settings_in(tmp_path))
    assert "close it before 2026-04" in refusal(readiness.require_next, close(APRIL, [], landed), settings_in(tmp_path))


def test_after_that_each_month_follows_the_last(tmp_path):
    settings = settings_in(tmp_path)
    readiness.require_next(close(MAY, chain(MARCH, APRIL)), settings)
    assert "close 2026-05 before 2026-06" in refusal(readiness.require_next, close(JUNE, chain(MARCH, APRIL)), settings)
    before = refusal(readiness.require_next, close(FEBRUARY, chain(MARCH, APRIL)), settings)
    assert "2026-02 is before the first frozen month, 2026-03" in before


# What should have landed has ------------------------------------------------------------------------------------------


def landed_at(*instants: datetime) -> list[Receipt]:
    return [
        receipt(0, "tenants", landed_at=MARCH.start),
        *(receipt(number, landed_at=instant) for number, instant in enumerate(instants, start=1)),
    ]


def test_the_last_cdrs_have_to_have_landed_after_the_month_ended():
    for instants in ([MARCH.end], [MARCH.start, MARCH.end], [MARCH.end, MARCH.start]):
        readiness.require_landed(close(MARCH, [], landed_at(*instants)), NOW)
    early = refusal(readiness.require_landed, close(MARCH, [], landed_at(MARCH.start, MARCH.end - INSTANT)), NOW)
    assert "No cdrs have landed since 2026-03 ended (the last landed at 2026-03-31 23:59 UTC)" in early
    assert "(none has landed)" in refusal(readiness.require_landed, close(MARCH, [], landed_at()), NOW)


def test_somebody_has_to_be_there_to_be_stated():
    assert "No tenants have landed" in refusal(
        readiness.require_landed, close(MARCH, [], landed_at(MARCH.end)[1:]), NOW
    )


def test_nothing_stored_comes_from_the_future():
    closed = chain(MARCH, closed_at=NOW.isoformat())
    readiness.require_landed(close(APRIL, closed, landed_at(NOW)), NOW)
    for frozen, landed in (
        ([], landed_at(NOW)),
        ([], landed_at(NOW, MARCH.end)),
        (closed, landed_at(APRIL.end)),
        (closed, []),
    ):
        said = refusal(readiness.require_landed, close(APRIL, frozen, landed), NOW - INSTANT)
        assert "The clock says 2026-06-02 11:59:59 UTC" in said
        assert "closed at 2026-06-02 12:00:00 UTC" in said
    assert "No tenants have landed" in refusal(readiness.require_landed, close(APRIL), NOW)


def test_extracts_that_say_nothing_of_the_months_end_are_warned_of():
    receipts = [
        receipt(1, "tenants", cutoff=MARCH.end),
        receipt(2, "tenants", cutoff=MARCH.start),
        receipt(3, "number_assignments", cutoff=MARCH.end - timedelta(seconds=1)),
        receipt(4, "number_assignments", cutoff=MARCH.start),
        receipt(5, "ip_assignments"),
        receipt(6, cutoff=MARCH.start),
    ]
    assert readiness.warnings(close(MARCH, [], receipts)) == [
        "number_assignments: complete up to 2026-03-31 23:59:59 UTC only, before the month's end.",
        "ip_assignments: no extract has landed.",
    ]


# What was rejected ----------------------------------------------------------------------------------------------------


def stored(folder: Path, sequence: int, rows: list[tuple[str, str]], usable: dict[str, list[str]] | None = None):
    """A batch in real files: `rows` are rejected, by record and month; `usable` are records by month."""
    folder = folder / str(sequence)
    folder.mkdir()
    batch_id = receipt(sequence).batch_id
    files = []
    for month, records in (usable or {}).items():
        count = len(records)
        table = {"record_id": records, "batch_id": [batch_id] * count, "source_row": list(range(1, count + 1))}
        pq.write_table(pa.table(table), folder / f"{month}.parquet")
        files.append(RecordsFile(f"{month}.parquet", count, 1, f"hash {sequence} {month}", month))
    given = {"folder": folder, "files": files}
    if not rows:
        return receipt(sequence, **given)
    columns = {
        "batch_id": [batch_id] * len(rows),
        "source_row": list(range(1, len(rows) + 1)),
        "record_id": [record for record, _ in rows],
        "reason": [f"reason of {record}" for record, _ in rows],
        "month": [month for _, month in rows],
    }
    pq.write_table(pa.table(columns), folder / "rejected.parquet")
    by_month = {month or "": sum(of == month for _, of in rows) for _, month in rows}
    return rejected(sequence, by_month, **given)


def test_a_close_answers_for_its_months_rejected_rows_and_for_those_that_came_since_of_no_open_month(tmp_path):
    settings = settings_in(tmp_path)
    known = stored(tmp_path, 1, [("own", "2026-04"), ("no time", None), ("older", "2026-03"), ("next", "2026-05")])
    since = stored(tmp_path, 3, [("no time", None), ("late", "2026-03"), ("before", "2026-02"), ("next", "2026-05")])
    frozen = chain(MARCH, landed_up_to=2)

    def answered(month, manifests, receipts) -> list[tuple[int, int, str]]:
        rows = readiness.rejected_rows(settings, close(month, manifests, receipts))
        assert all((row.reason, row.cleared) == (f"reason of {row.record_id}", False) for row in rows)
        return [(int(row.batch_id[:8]), row.source_row, row.record_id) for row in rows]

    assert answered(APRIL, frozen, [known, since]) == [
        (1, 1, "own"),
        (3, 1, "no time"),
        (3, 2, "late"),
    ]
    assert answered(APRIL, [], [known]) == [(1, 1, "own"), (1, 2, "no time")]
    assert answered(APRIL, chain(MARCH, landed_up_to=1), [known]) == [(1, 1, "own")]
    assert answered(JUNE, frozen, [known]) == []
    assert answered(APRIL, [], []) == []
    (tmp_path / "first").mkdir()
    assert answered(APRIL, [], [stored(tmp_path / "first", 1, [("no time", None)])]) == [(1, 1, "no time")]


def test_a_later_usable_delivery_of_the_same_record_clears_a_rejected_row(tmp_path):
    receipts = [
        stored(tmp_path, 1, [], {"2026-04": ["sent before"]}),
        stored(
            tmp_path, 2, [("a", "2026-04"), ("sent before", "2026-04"), ("c", "2026-04")], {"2026-04": ["x", "y", "a"]}
        ),
        stored(tmp_path, 3, [], {"2026-07": ["c"], "2026-03": ["none"]}),
    ]
    rows = readiness.rejected_rows(settings_in(tmp_path), close(APRIL, [], receipts))
    assert {row.record_id: row.cleared for row in rows} == {"a": True, "sent before": False, "c": True}


def rows_of(*reasons: str, cleared: bool) -> list[RejectedRow]:
    return [RejectedRow("batch", number, None, reason, cleared) for number, reason in enumerate(reasons)]


def test_rejected_rows_that_stand_are_counted_by_reason():
    standing = rows_of("b", "c", "a", "b", "d", cleared=False)
    said = refusal(readiness.require_rejected_answered, MARCH, standing + rows_of("e", cleared=True), accepted=False)
    assert "5 rejected rows stand against closing 2026-03: 1 × a, 2 × b, 1 × c, 1 × d." in said
    readiness.require_rejected_answered(MARCH, standing, accepted=True)
    readiness.require_rejected_answered(MARCH, rows_of("e", cleared=True), accepted=False)
    readiness.require_rejected_answered(MARCH, [], accepted=False)


# What it reads --------------------------------------------------------------------------------------------------------


def names(files: dict[Path, str]) -> set[str]:
    """Sequence and month of each file."""
    return {f"{int(path.parent.name[:8])} {path.stem.removeprefix('cdrs-')}" for path in files}


ALL = {f"2026-0{number}": 1 for number in range(1, 9)}


def test_a_close_reads_its_month_and_all_assignments():
    receipts = [receipt(1, rows=ALL), receipt(2, "tenants", {None: 1})]
    pinned = readiness.pinned_files(close(APRIL, [], receipts))
    assert names(pinned) == {"1 2026-04", "2 tenants-None"}
    assert pinned[receipts[0].folder / "cdrs-2026-04.parquet"] == f"hash of {receipts[0].batch_id} 2026-04"


def of_days(sequence: int, *days: str, moved=(), withdrawals: int = 0) -> Receipt:
    """A batch with a file of each day; `moved` pairs a day, "" for withdrawals, with an earlier batch and its day."""
    batch = receipt(sequence)
    return replace(
        batch,
        files=[RecordsFile(f"day={day}/data_0.parquet", 1, 1, f"hash of {sequence} {day}", day[:7]) for day in days],
        withdrawn=LandedFile("withdrawn.parquet", withdrawals, 1, "hash") if withdrawals else None,
        moved=[Moved(day, f"{earlier:08d}-{HASH[:12]}", earlier_day, 1) for day, earlier, earlier_day in moved],
    )


def days_read(month, frozen, receipts) -> set[str]:
    """Sequence and day of each file of cdrs that a close opens; a file of withdrawals has no day."""
    pinned = readiness.pinned_files(close(month, frozen, receipts))
    return {
        f"{int(path.relative_to('/landing/cdrs').parts[0][:8])} {path.parent.name.removeprefix('day=')[:10]}"
        if path.parent.name.startswith("day=")
        else f"{int(path.parent.name[:8])} withdrawn"
        for path in pinned
    }


def test_a_close_opens_the_days_on_which_its_records_were_delivered_too_whichever_delivery_is_later():
    """Rule 18."""
    receipts = [
        of_days(1, "2026-01-05", "2026-01-06", "2026-04-07", "2026-08-08"),
        # Of January in the file before; and of one that the file before has in April.
        of_days(
            2, "2026-04-01", "2026-05-02", moved=[("2026-04-01", 1, "2026-01-05"), ("2026-05-02", 1, "2026-04-07")]
        ),
        of_days(3, "2026-04-03", withdrawals=1, moved=[("", 1, "2026-04-07"), ("", 2, "2026-05-02")]),
        of_days(4, "2026-08-01", withdrawals=1, moved=[("", 1, "2026-08-08")]),
    ]
    own = {"1 2026-04-07", "2 2026-04-01", "3 2026-04-03"}
    both_withdrawals = {"3 withdrawn", "4 withdrawn", "1 2026-08-08"}
    assert days_read(APRIL, [], receipts) == own | {"1 2026-01-05", "2 2026-05-02"} | both_withdrawals
    # Everything had landed by the last close, and of older withdrawals those of the month's records are looked at.
    frozen = [manifest(FEBRUARY, landed_up_to=4), manifest(MARCH, landed_up_to=4)]
    assert days_read(APRIL, frozen, receipts) == own | {"1 2026-01-05", "2 2026-05-02", "3 withdrawn"}
    assert days_read(MAY, [*frozen, manifest(APRIL, landed_up_to=4)], receipts) == {
        "2 2026-05-02", "1 2026-04-07", "3 withdrawn",
    }  # fmt: skip


def test_a_record_that_has_left_a_frozen_month_is_looked_at_by_the_next_close_on_both_sides():
    receipts = [
        of_days(1, "2026-01-05", "2026-01-06"),
        of_days(2, "2026-08-01", moved=[("2026-08-01", 1, "2026-01-05")]),
    ]
    frozen = [manifest(MARCH, landed_up_to=1)]
    assert days_read(APRIL, frozen, receipts) == {"1 2026-01-05", "2 2026-08-01"}
    assert days_read(MAY, [*frozen, manifest(APRIL, landed_up_to=2)], receipts) == set()


def test_a_close_reads_all_that_came_late_since_the_last():
    receipts = [receipt(1, rows=ALL), receipt(2, rows=ALL), receipt(3, rows=ALL)]
    frozen = [manifest(MARCH, landed_up_to=1), manifest(APRIL, landed_up_to=2)]
    own = {f"{number} 2026-05" for number in (1, 2, 3)}
    late = {f"3 2026-0{month}" for month in (1, 2, 3, 4)}
    assert names(readiness.pinned_files(close(MAY, frozen, receipts))) == own | late


def test_a_close_reads_what_was_rejected_and_all_that_may_have_cleared_it():
    receipts = [receipt(1, rows=ALL), rejected(2, {"2026-04": 1}), receipt(3, rows=ALL), rejected(4, {"2026-04": 1})]
    own = {f"{number} 2026-04" for number in (1, 3)}
    rows = {"2 rejected", "4 rejected"}
    clearing = {f"3 2026-0{month}" for month in range(1, 9)}
    assert names(readiness.pinned_files(close(APRIL, [], receipts))) == own | rows | clearing
    # Those of another month alone.
    assert names(readiness.pinned_files(close(JUNE, [], receipts))) == {f"{number} 2026-06" for number in (1, 3)} | rows
    frozen = [manifest(FEBRUARY, landed_up_to=3), manifest(MARCH, landed_up_to=3)]
    assert names(readiness.pinned_files(close(APRIL, frozen, receipts))) == own | rows | clearing
    # What the close before has answered for.
    answered = [receipt(1, rows=ALL), rejected(2, {"": 1}), receipt(3, rows=ALL)]
    assert names(readiness.pinned_files(close(APRIL, [manifest(FEBRUARY), manifest(MARCH, landed_up_to=2)], answered))) == own | {
        "2 rejected", "3 2026-03", "3 2026-02", "3 2026-01",
    }  # fmt: skip

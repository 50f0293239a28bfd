"""Which records were delivered before, over all batches and months (rules 18 and 29): what a receipt says of them."""

import hashlib
import json
import shutil
from datetime import date

import pyarrow.parquet as pq
import pytest

from orchestration import engine
from orchestration.close import readiness
from orchestration.errors import Damaged
from orchestration.landing import fingerprints, identity, receipts
from orchestration.landing.receipts import Moved
from tests.unit.deliveries import record, write_csv
from tests.unit.test_landed_rows import digest
from tests.unit.test_rejected import BUSY, OWN

JANUARY, MARCH_5, MARCH_6 = "2026-01-05T10:00:00Z", "2026-03-05T10:00:00Z", "2026-03-06T10:00:00Z"


def withdrawal(record_id: str) -> dict:
    return dict.fromkeys(record(""), "") | {"record_id": record_id, "withdrawn": "true"}


@pytest.fixture
def land(warehouse, tmp_path):
    """Land rows as a file of their own, and give back the receipt."""

    def landed(*rows, **options):
        name = f"{len(list(tmp_path.glob('*.csv')))}.csv"
        return warehouse.receipt("cdrs", write_csv(tmp_path / name, *rows), **options)

    return landed


def test_a_receipt_names_the_day_in_another_month_on_which_a_record_was_delivered_however_far(land):
    """Rule 18."""
    first = land(record("a", started_at="2024-02-29T00:00:00Z"), record("b", started_at=JANUARY), record("c"))
    assert first.moved == []
    second = land(record("a"), record("b", started_at=MARCH_6), record("c", started_at=MARCH_6))
    # Another day of the same month is no move: a close reads its month whole.
    assert second.moved == [
        Moved("2026-03-05", first.batch_id, "2024-02-29", 1),
        Moved("2026-03-06", first.batch_id, "2026-01-05", 1),
    ]
    third = land(record("b", started_at="2026-02-01T00:00:00Z"))
    assert third.moved == [
        Moved("2026-02-01", first.batch_id, "2026-01-05", 1),
        Moved("2026-02-01", second.batch_id, "2026-03-06", 1),
    ]


def test_a_record_that_moves_within_one_file_is_named_too(land):
    both = land(record("a", started_at=JANUARY), record("a"), record("b"))
    assert both.moved == [Moved("2026-03-05", both.batch_id, "2026-01-05", 1)]
    assert (both.superseded, both.superseded_in_file, both.to_look_at) == (1, 1, ["a"])


def test_a_withdrawal_is_named_with_what_it_takes_back_and_by_what_is_charged_again(land):
    """Rule 29."""
    first = land(record("a"), record("b", started_at=JANUARY))
    second = land(withdrawal("a"), withdrawal("b"), withdrawal("nobody's"))
    assert (second.rows, second.withdrawn_rows, second.records) == (3, 3, [])
    assert second.moved == [
        Moved("", first.batch_id, "2026-01-05", 1),
        Moved("", first.batch_id, "2026-03-05", 1),
    ]
    assert (second.superseded, second.cost_difference) == (2, "-0.020000000")
    again = land(withdrawal("a"), record("b", started_at=JANUARY))
    assert (again.duplicates, again.superseded) == (1, 1)
    assert Moved("2026-01-05", second.batch_id, "", 1) in again.moved


@pytest.mark.parametrize("value", ["maybe", "2", "-"])
def test_what_neither_takes_back_nor_charges_is_rejected(warehouse, land, value):
    land(record("a", withdrawn=value), record("b", withdrawn="false"), record("c", withdrawn=""))
    assert warehouse.rejected("record_id, reason") == [("a", "withdrawn_unusable")]


def test_a_withdrawal_without_an_id_takes_back_nothing(warehouse, land):
    land(withdrawal(""), record("a"))
    assert warehouse.rejected("source_row, reason") == [(1, "record_id_missing")]


def test_rows_of_one_file_that_contradict_each_other_are_counted_apart_with_ids_to_look_at(land):
    first = land(record("before", cost="1"))
    rows = [record(f"id-{number}", cost=cost) for number in range(7) for cost in ("1", "2")]
    receipt = land(*rows, record("before", cost="2"), record("same"), record("same"))
    assert (receipt.superseded, receipt.superseded_in_file, receipt.duplicates) == (8, 7, 1)
    assert receipt.to_look_at == [f"id-{number}" for number in range(5)]
    assert (first.superseded_in_file, first.to_look_at) == (0, [])


def test_a_record_of_another_source_that_is_superseded_is_counted_and_named(warehouse, land, tmp_path):
    """Rule 18."""
    folder = warehouse.settings.sources
    folder.mkdir(parents=True)
    (folder / "ours.toml").write_text(OWN, encoding="utf-8")
    (tmp_path / "switch.csv").write_text(BUSY, encoding="utf-8")
    warehouse.land("cdrs", tmp_path / "switch.csv", source="ours")
    receipt = land(record("ours:main:a", cost="7"), record("another"))
    assert (receipt.superseded, receipt.superseded_elsewhere, receipt.to_look_at) == (1, 1, ["ours:main:a"])
    (sentence,) = readiness.superseded_in_files([receipt])
    assert "replaces 1 delivery of another source. Look at ours:main:a." in sentence


@pytest.mark.slow
def test_the_same_file_again_says_how_many_of_its_records_were_changed_since(warehouse, land, tmp_path):
    """Rule 18."""
    land(record("a"), record("b"), record("c"), record("d"))
    path = tmp_path / "0.csv"
    assert warehouse.land("cdrs", path)[0].superseded_since == 0
    land(record("a", cost="2"), record("b"), withdrawal("c"))
    land(record("d", cost="2"))
    land(record("d"))
    (landing,) = warehouse.land("cdrs", path)
    assert (landing.is_new, landing.superseded_since) == (False, 2)


def without_identity(batch) -> None:
    """Make a landed batch one of a version that kept no ids, with its hashes made right again."""
    content = json.loads((batch / "receipt.json").read_bytes())
    for name in (
        "ids",
        "moved",
        "withdrawn",
        "ignored_rows",
        "superseded_in_file",
        "superseded_elsewhere",
        "to_look_at",
    ):
        del content[name]
    batch.chmod(0o700)
    (batch / "ids.parquet").unlink()
    for name in ("receipt.json", "SHA256SUMS"):
        (batch / name).chmod(0o600)
    (batch / "receipt.json").write_text(json.dumps(content), encoding="utf-8")
    names = sorted(str(path.relative_to(batch)) for path in batch.rglob("*") if path.is_file())
    lines = [f"{digest(batch / name)}  {name}\n" for name in names if name != "SHA256SUMS"]
    (batch / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")


@pytest.mark.slow
def test_batches_from_before_there_were_ids_get_theirs_when_first_needed_and_again_when_they_are_lost(warehouse, land):
    first = land(record("a", started_at=JANUARY), record("b"))
    second = land(record("a"), record("b", started_at=JANUARY))
    for batch in (first, second):
        without_identity(batch.folder)
    assert [receipt.moved for receipt in warehouse.receipts] == [[], []]
    third = land(record("a", started_at="2026-02-01T00:00:00Z"))
    assert [receipt.moved for receipt in warehouse.receipts] == [[], second.moved, third.moved]
    assert [move.earlier_batch for move in third.moved] == [first.batch_id, second.batch_id]
    made_up = receipts.made_up_folder(warehouse.settings, second.batch_id)
    for path in (made_up, *made_up.iterdir()):
        path.chmod(0o700)
    sound = (made_up / "ids.parquet").read_bytes()
    (made_up / "ids.parquet").write_bytes(b"PAR1")
    assert [receipt.moved for receipt in identity.complete(warehouse.settings, warehouse.receipts)] == [
        [], second.moved, third.moved,
    ]  # fmt: skip
    assert (made_up / "ids.parquet").read_bytes() == sound
    shutil.rmtree(made_up.parent)
    assert land(record("b", started_at="2026-02-01T00:00:00Z")).moved[0].earlier_batch == first.batch_id


@pytest.mark.slow
@pytest.mark.parametrize("older", [0, 1, 2], ids=["of none", "of one", "of both"])
def test_the_judge_of_all_months_sees_batches_from_before_there_were_ids_beside_those_with_theirs(
    warehouse, land, monkeypatch, older
):
    batches = [
        land(record("a", started_at=JANUARY), record("b"), record("c")),
        land(record("a"), record("b", started_at=MARCH_6), record("d", started_at=JANUARY)),
        land(withdrawal("c"), record("d"), record("e")),
    ]
    for batch in batches[:older]:
        without_identity(batch.folder)
    landed = warehouse.receipts
    assert [receipt.ids is None for receipt in landed] == [place < older for place in range(len(landed))]
    with engine.connect(warehouse.settings) as connection:
        # At once, and in parts.
        for at_once in (identity.IDS_AT_ONCE, 2):
            monkeypatch.setattr(identity, "IDS_AT_ONCE", at_once)
            identity.create_moved_ids(connection, landed)
            assert connection.execute("select position, day from shared_id order by all nulls last").fetchall() == [
                (0, date(2026, 1, 5)), (0, date(2026, 3, 5)),
                (1, date(2026, 1, 5)), (1, date(2026, 3, 5)),
                (2, date(2026, 3, 5)), (2, None),
            ]  # fmt: skip


def test_ids_that_are_not_as_they_landed_stop_the_next_landing(land):
    first = land(record("a"))
    path = first.folder / "ids.parquet"
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1] + b"0")
    with pytest.raises(Damaged, match=r"ids\.parquet does not match the hash that was kept of it"):
        land(record("b"))


def test_the_ids_of_a_batch_are_half_an_md5_each_in_order_with_the_day_in_utc(land):
    batch = land(
        *(record(f"r{number}", started_at=f"2026-03-05T23:30:{number:02d}-02:00") for number in range(40)),
        record("before the epoch", started_at="1969-12-31T23:59:59.999999Z"),
        withdrawal("taken back"),
    )
    ids = pq.read_table(batch.folder / "ids.parquet").to_pydict()
    days = {f"r{number}": date(2026, 3, 6) for number in range(40)}
    days |= {"before the epoch": date(1969, 12, 31), "taken back": None}
    halves = {
        int.from_bytes(hashlib.md5(name.encode(), usedforsecurity=False).digest()[8:], "little"): day
        for name, day in days.items()
    }
    assert list(zip(ids["fingerprint"], ids["day"], strict=True)) == sorted(halves.items())


def test_ids_are_compared_in_parts_so_that_memory_is_bounded(warehouse, land, monkeypatch):
    rows = [record(f"r{number}", started_at=JANUARY) for number in range(60)]
    first = land(*rows)
    monkeypatch.setattr(fingerprints, "AT_ONCE", 7)
    second = land(
        *[row | {"started_at": MARCH_5} for row in rows[:40]], *rows[40:], record("new"), record("new", cost="9")
    )
    assert second.moved == [Moved("2026-03-05", first.batch_id, "2026-01-05", 40)]
    assert (second.duplicates, second.superseded, second.superseded_in_file) == (20, 41, 1)

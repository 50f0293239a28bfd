"""Proof on the least that can be proved: every break in a chain or among the batches is named, each in a sentence.

What does not belong here: damage to real files, of which `tests/orchestration/test_damage.py` has plenty.
"""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from orchestration import files
from orchestration.close import verify
from orchestration.close.content import Content, canonical
from orchestration.close.manifests import MANIFEST, Chain
from orchestration.errors import Damaged
from orchestration.landing.receipts import RECEIPT
from orchestration.shape import as_json, build
from tests.unit.stored import APRIL, HASH, JUNE, MARCH, MAY, chain, content, manifest, receipt, settings_in

# The chain ------------------------------------------------------------------------------------------------------------


def changed(chain: Chain, place: int, **given) -> Chain:
    """A chain with another content in one of its manifests, which keeps its hash: what it names is looked at alone."""
    manifests = list(chain)
    content = build(as_json(manifests[place].content) | given, Content)
    manifests[place] = replace(manifests[place], content=content)
    return Chain(tuple(manifests))


def test_a_whole_chain_has_no_problem():
    assert verify.chain_problems(Chain()) == []
    assert verify.chain_problems(chain(MARCH)) == []
    assert verify.chain_problems(chain(MARCH, APRIL, MAY)) == []


def test_currencies_come_and_go_in_a_whole_chain():
    march = manifest(MARCH, totals={"USD": "0.1"}, totals_since_first_month={"USD": "0.1"})
    links = {"first_month": "2026-03", "previous_month": "2026-03", "previous_manifest_sha256": march.sha256}
    april = manifest(APRIL, totals={"EUR": "2"}, totals_since_first_month={"EUR": "2", "USD": "0.10"}, **links)
    assert verify.chain_problems(Chain((march, april))) == []


@pytest.mark.parametrize(
    ("place", "given", "problem"),
    [
        (0, {"previous_manifest_sha256": HASH}, "2026-03 names a previous manifest, but no month"),
        (1, {"previous_month": None}, "2026-04 names a previous manifest, but no month"),
        (0, {"previous_month": "2026-02"}, "2026-02, after which 2026-03 was frozen, is missing"),
        (1, {"previous_month": "2026-02"}, "2026-04 was frozen after another 2026-03 than the one that is here"),
        (2, {"previous_manifest_sha256": HASH}, "2026-05 was frozen after another 2026-04 than the one that is here"),
        (1, {"first_month": "2026-04"}, "2026-04 counts from 2026-04, not from 2026-03"),
        (2, {"totals": {"USD": "1.000000001"}}, "the totals since the first month do not grow by those of 2026-05"),
        (2, {"totals": {}}, "the totals since the first month do not grow by those of 2026-05"),
        (
            2,
            {"totals_since_first_month": {"USD": "3", "EUR": "0.000000001"}},
            "the totals since the first month do not grow by those of 2026-05",
        ),
    ],
)
def test_a_broken_chain_is_named_once(place, given, problem):
    assert verify.chain_problems(changed(chain(MARCH, APRIL, MAY), place, **given)) == [problem]


def test_a_month_that_is_missing_is_named():
    march, april, may, june = chain(MARCH, APRIL, MAY, JUNE)
    grown = "the totals since the first month do not grow by those of {}"
    assert verify.chain_problems(Chain((march, may, june))) == [
        "2026-04 is missing between 2026-03 and 2026-05",
        grown.format("2026-05"),
    ]
    assert verify.chain_problems(Chain((april, may))) == [
        "2026-03, after which 2026-04 was frozen, is missing",
        "2026-04 counts from 2026-03, not from 2026-04",
        grown.format("2026-04"),
        "2026-05 counts from 2026-03, not from 2026-04",
    ]


# The batches ----------------------------------------------------------------------------------------------------------


def test_batches_without_a_gap_have_no_problem():
    assert verify.batch_problems([], Chain()) == []
    assert verify.batch_problems([receipt(1), receipt(2, "tenants")], Chain()) == []


def test_batches_that_are_gone_are_named_up_to_the_last_that_is_known_of():
    assert verify.batch_problems([receipt(2), receipt(4)], Chain()) == ["landed batches are missing: numbers 1, 3"]
    frozen = Chain((manifest(MARCH, landed_up_to=2), manifest(APRIL, landed_up_to=3)))
    assert verify.batch_problems([receipt(1)], frozen) == ["landed batches are missing: numbers 2, 3"]
    assert verify.batch_problems([receipt(20)], Chain()) == [
        "landed batches are missing: numbers 1, 2, 3, 4, 5, 6, 7, 8, 9, 10"
    ]


def test_a_number_that_two_batches_have_is_named():
    assert verify.batch_problems([receipt(1), receipt(2), receipt(2, "tenants")], Chain()) == [
        "two landed batches have the number 2"
    ]


def test_a_close_is_told_of_five_problems_at_most():
    twice = [receipt(number, feed) for number in range(1, 8) for feed in ("cdrs", "tenants")]
    with pytest.raises(Damaged) as damaged:
        verify.require_all_batches(twice, Chain())
    assert str(damaged.value).count("two landed batches have the number") == 5
    verify.require_all_batches(twice[::2], Chain())


def named(batch_id: str, receipt_sha256: str) -> dict:
    """A batch as a manifest names it."""
    item = {"feed": "cdrs", "file_name": "given.csv", "source_sha256": HASH, "files": []}
    return item | {"batch_id": batch_id, "receipt_sha256": receipt_sha256}


def test_what_frozen_months_were_made_from_has_to_be_here(tmp_path):
    batches = [replace(receipt(number), folder=tmp_path / str(number)) for number in range(1, 4)]
    for batch in batches:
        batch.folder.mkdir()
        batch.write()
    inputs = [named(batch.batch_id, files.sha256(batch.folder / RECEIPT)) for batch in batches]
    frozen = Chain((manifest(MARCH, inputs=inputs[:2]), manifest(APRIL, inputs=inputs)))
    assert verify.batch_problems(batches, frozen) == []
    (batches[1].folder / RECEIPT).write_text("{}", encoding="utf-8")
    assert verify.batch_problems(batches, frozen) == [
        f"the receipt of batch {batches[1].batch_id} is not the one a frozen month was made with"
    ]
    away = [named(f"0000000{number}-{letter * 12}", HASH) for number in (3, 2, 1) for letter in "dcb"]
    assert verify.batch_problems(batches, Chain((manifest(MARCH, inputs=away),))) == [
        f"batch {item['batch_id']}, from which a frozen month was made, is missing" for item in reversed(away)
    ]


# Folders --------------------------------------------------------------------------------------------------------------


def sealed(folder: Path, **contents: str) -> Path:
    folder.mkdir(parents=True)
    for name, text in contents.items():
        (folder / name).write_text(text, encoding="utf-8")
    files.seal_folder(folder, files.hashes_below(folder))
    return folder


def test_a_receipt_that_was_written_anew_with_its_sums_is_damage(tmp_path):
    """The sums alone say that all is well."""
    settings = settings_in(tmp_path)
    folder = sealed(settings.landing / "cdrs" / "00000001-aaaaaaaaaaaa", **{RECEIPT: "{}"})
    assert files.check_folder(folder) == []
    assert verify.landed_problems(settings) == [
        f"{folder / RECEIPT} is not the receipt that was written. Restore it from a backup."
    ]


def test_damaged_batches_are_named_feed_by_feed_in_their_order(tmp_path):
    settings = settings_in(tmp_path)
    folders = [
        settings.landing / feed / f"0000000{number}-aaaaaaaaaaaa" for feed in ("cdrs", "tenants") for number in range(9)
    ]
    for folder in reversed(folders):
        folder.mkdir(parents=True)
    assert verify.landed_problems(settings) == [f"{folder / files.SUMS} cannot be read" for folder in folders]


def test_what_belongs_neither_to_months_nor_to_feeds_is_named_in_order(tmp_path):
    settings = settings_in(tmp_path)
    assert verify.strays(settings) == []
    for feed in ("cdrs", "tenants", "number_assignments", "ip_assignments"):
        (settings.landing / feed).mkdir(parents=True)
    (settings.statements / "month=2026-03").mkdir(parents=True)
    assert verify.strays(settings) == []
    for letter in "hgfedcba":
        (settings.statements / f"{letter}.tmp").touch()
        (settings.landing / f"{letter}.tmp").touch()
    assert verify.strays(settings) == [
        *(f"{settings.statements}/{letter}.tmp does not belong among the frozen months" for letter in "abcdefgh"),
        *(f"{settings.landing}/{letter}.tmp does not belong among the feeds" for letter in "abcdefgh"),
    ]


def test_everything_is_looked_at_and_told_in_turn(tmp_path):
    settings, said = settings_in(tmp_path), []
    assert verify.all_problems(settings, [], said.append) == []
    month, stray = settings.statements / "month=2026-03", settings.statements / "stray"
    batch = settings.landing / "cdrs" / "00000001-aaaaaaaaaaaa"
    for folder in (month, stray, batch):
        folder.mkdir(parents=True)
    assert verify.all_problems(settings, [MARCH], said.append) == [
        f"{month / files.SUMS} cannot be read",
        f"{stray} does not belong among the frozen months",
        f"{batch / files.SUMS} cannot be read",
    ]
    assert said == ["Verifying what has landed", "Verifying 2026-03", "Verifying what has landed"]


@pytest.mark.parametrize(
    ("sha256", "problem"),
    [
        (None, "{} holds other files than its manifest lists"),
        (HASH, "{}/a.csv does not match the hash in its manifest"),
        (hashlib.sha256(b"a").hexdigest(), "the files of 2026-03 cannot be added up (FileNotFoundError)"),
    ],
)
def test_a_month_that_was_sealed_anew_is_not_what_its_manifest_says(tmp_path, sha256, problem):
    outputs = [{"name": "a.csv", "bytes": 1, "rows": None, "sha256": sha256}] if sha256 else []
    settings = settings_in(tmp_path)
    raw = canonical(content(MARCH, outputs=outputs)).decode()
    folder = sealed(settings.statements / "month=2026-03", **{MANIFEST: raw, "a.csv": "a"})
    assert files.check_folder(folder) == []
    assert verify.month_problems(settings, MARCH) == [problem.format(folder)]


def test_a_damaged_month_is_told_with_five_problems_at_most(tmp_path):
    settings = settings_in(tmp_path)
    folder = sealed(settings.statements / "month=2026-03", **{f"{number}.parquet": "" for number in range(7)})
    folder.chmod(0o755)
    for path in folder.glob("*.parquet"):
        path.unlink()
    with pytest.raises(Damaged) as damaged:
        verify.require_intact(settings, MARCH)
    assert str(damaged.value).startswith(f"2026-03 is not as it was frozen. {folder / '0.parquet'} is missing; ")
    assert str(damaged.value).count("is missing") == 5


def test_only_the_frozen_files_that_a_build_used_are_hashed_again(tmp_path):
    for name in ("used", "other"):
        (tmp_path / f"{name}.parquet").write_text(name, encoding="utf-8")
    hashes = {"used.parquet": files.sha256(tmp_path / "used.parquet"), "other.parquet": HASH}
    outputs = [{"name": name, "bytes": 1, "rows": 1, "sha256": digest} for name, digest in hashes.items()]
    frozen = Chain((replace(manifest(MARCH, outputs=outputs), folder=tmp_path),))
    verify.require_intact_statements([], frozen)
    verify.require_intact_statements([tmp_path / "used.parquet"], frozen)
    with pytest.raises(Damaged, match=r"other\.parquet does not match"):
        verify.require_intact_statements([tmp_path / "used.parquet", tmp_path / "other.parquet"], frozen)

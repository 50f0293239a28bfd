"""Damage to what is stored, in numbers: whatever happens to a byte, a file or a folder, verifying says so."""

import hashlib
import json
import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestration import files, settings
from orchestration.close import manifests, verify
from orchestration.close.content import canonical
from orchestration.close.manifests import Chain
from orchestration.errors import Damaged
from orchestration.settings import Settings
from tests.orchestration.conftest import AFTER_APRIL, APRIL, MARCH, stand_in
from tests.reach import FULL

SEED, CASES = 20261125, 22_000 if FULL else 550


def flip_a_bit(path: Path, others: list[Path], chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def blank_a_block(path: Path, others: list[Path], chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    start = chance.randrange(len(content))
    content[start : start + 512] = bytes(byte ^ 0xFF for byte in content[start : start + 512])
    path.write_bytes(content)


def truncate(path: Path, others: list[Path], chance: random.Random) -> None:
    path.write_bytes(path.read_bytes()[: chance.randrange(path.stat().st_size)])


def append(path: Path, others: list[Path], chance: random.Random) -> None:
    path.write_bytes(path.read_bytes() + chance.randbytes(chance.randint(1, 64)))


def swap(path: Path, others: list[Path], chance: random.Random) -> None:
    other = chance.choice([one for one in others if one.read_bytes() != path.read_bytes()])
    one, two = path.read_bytes(), other.read_bytes()
    path.write_bytes(two)
    other.write_bytes(one)


def put_in_place(path: Path, others: list[Path], chance: random.Random) -> None:
    """A whole file of the same name from another month or batch, or any other."""
    strange = [one for one in others if one.parent != path.parent and one.read_bytes() != path.read_bytes()]
    path.write_bytes(chance.choice([one for one in strange if one.name == path.name] or strange).read_bytes())


def delete(path: Path, others: list[Path], chance: random.Random) -> None:
    path.unlink()


def double(path: Path, others: list[Path], chance: random.Random) -> None:
    (path.parent / f"extra-{path.name}").write_bytes(path.read_bytes())


def add_a_folder(path: Path, others: list[Path], chance: random.Random) -> None:
    (path.parent / "extra").mkdir()


def put_a_link(path: Path, others: list[Path], chance: random.Random) -> None:
    """The bytes are right, and can be changed elsewhere."""
    data = next(parent for parent in path.parents if parent.name == "data")
    away = data.parent / f"away-{chance.randrange(1 << 60)}"
    away.write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(away)


def rename(path: Path, others: list[Path], chance: random.Random) -> None:
    path.rename(path.with_name(f"{path.name}~"))


DAMAGES = (
    flip_a_bit, blank_a_block, truncate, append, swap, put_in_place, delete, double, add_a_folder, put_a_link, rename,
)  # fmt: skip


@pytest.fixture(scope="module")
def stored(closed_april: Path, tmp_path_factory) -> Settings:
    """A copy of two closed months that may be written to; whoever damages it restores it."""
    folder = shutil.copytree(closed_april, tmp_path_factory.mktemp("damage") / "copy")
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    with pytest.MonkeyPatch.context() as monkeypatch:
        return settings.load(stand_in(folder, monkeypatch, AFTER_APRIL).data)


HANDED_OUT = (
    "show 2026-03",
    "show 2026-03 alpha",
    "show 2026-03 --tenants",
    "export 2026-03 --account alpha --format html --out {out}",
    "export 2026-03 --each --format html --out {out}",
    "export 2026-03 --format duckdb --out {out}",
)


@pytest.mark.parametrize("command", HANDED_OUT)
def test_no_damaged_table_is_shown_or_handed_out(copy_of, closed_march, command):
    line = copy_of(closed_march)
    damage_one(line.data / "statements" / "month=2026-03" / "statements.parquet")
    outcome = line.run(command.format(out=line.folder / "out"))
    assert (outcome.exit_status, "statements.parquet does not match the hash" in outcome.stderr) == (3, True)
    assert not (line.folder / "out").exists()


@pytest.mark.parametrize("options", ["--format csv", "--format html --detail", "--format duckdb --with-usage"])
def test_no_damaged_record_is_handed_out(copy_of, closed_march, options):
    line = copy_of(closed_march)
    damage_one(line.data / "statements" / "month=2026-03" / "usage" / "day=10.parquet")
    outcome = line.run(f"export 2026-03 {options} --out {line.folder / 'out'}")
    assert (outcome.exit_status, "day=10.parquet does not match the hash" in outcome.stderr) == (3, True)
    assert not (line.folder / "out").exists()


def test_a_question_that_meets_damaged_bytes_is_answered_with_a_sentence(copy_of, closed_march):
    line = copy_of(closed_march)
    path = next(path for path in (line.data / "statements").rglob("day=*.parquet") if path.stat().st_size > 4_000)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:4] + b"\x55" * 600 + path.read_bytes()[604:])
    line.must("rebuild")
    outcome = line.run("explain in-alpha")
    assert (outcome.exit_status, "is damaged" in outcome.stderr) == (3, True)


def damage_one(path: Path) -> None:
    path.chmod(0o644)
    flip_a_bit(path, [], random.Random(SEED))


def content_of(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in files.files_below(folder)}


def restore(folder: Path, content: dict[Path, bytes]) -> None:
    for path in folder.rglob("*"):
        if path.is_symlink() or (path.is_file() and path not in content):
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    for path, written in content.items():
        path.parent.mkdir(exist_ok=True)
        if not path.exists() or path.read_bytes() != written:
            path.write_bytes(written)


def test_any_damage_to_frozen_and_landed_files_is_found(stored: Settings):
    chance = random.Random(SEED)
    sealed = [path.parent for path in stored.data.glob("*/**/SHA256SUMS")]
    contents = {folder: content_of(folder) for folder in sealed}
    everywhere = sorted(path for content in contents.values() for path in content)
    checks: dict[str, Callable[[], list[str]]] = {
        "month=2026-03": lambda: verify.month_problems(stored, MARCH),
        "month=2026-04": lambda: verify.month_problems(stored, APRIL),
    }
    assert verify.all_problems(stored, [MARCH, APRIL], lambda _: None) == []
    missed, tried = [], Counter()
    for case in range(CASES):
        # As many damages to each frozen month as to all that has landed.
        folder = chance.choice([*[one for one in sealed if one.name in checks] * 2, *sealed])
        damage = DAMAGES[case % len(DAMAGES)]
        path = chance.choice(sorted(contents[folder]))
        damage(path, everywhere if damage is put_in_place else sorted(contents[folder]), chance)
        if not checks.get(folder.name, lambda: verify.landed_problems(stored))():
            missed.append((case, damage.__name__, path))
        tried[damage.__name__, folder.parent.name] += 1
        restore(folder, contents[folder])
    for (name, where), count in sorted(tried.items()):
        print(f"{where:20} {name:14} {count:6} damages")
    print(f"{CASES} damages, {CASES - len(missed)} found")
    assert missed == [], f"seed {SEED}"
    assert len(tried) == len(DAMAGES) * 5
    assert verify.all_problems(stored, [MARCH, APRIL], lambda _: None) == []


@pytest.mark.long
def test_any_byte_of_a_manifest_that_changed_is_found_even_with_the_sums_made_again(stored: Settings):
    """Its form, or the next month that names its hash, tells."""
    path = stored.statements / "month=2026-03" / "manifest.json"
    content = path.read_bytes()
    april = manifests.read(stored, APRIL)
    missed = []
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        try:
            if not verify.chain_problems(Chain((manifests.read(stored, MARCH), april))):
                missed.append(place)
        except Damaged:
            continue
    path.write_bytes(content)
    print(f"{len(content)} bytes of a manifest changed, {len(content) - len(missed)} found")
    assert missed == []
    assert verify.chain_problems(manifests.load(stored)) == []


def rehash(folder: Path, change: Callable[[dict], None]) -> str:
    """Edit a manifest and make its folder's sums again, as somebody would who knows how. Returns its new hash."""
    content = json.loads((folder / "manifest.json").read_bytes())
    change(content)
    (folder / "manifest.json").write_bytes(canonical(content))
    names = sorted(str(path.relative_to(folder)) for path in files.files_below(folder) if path.name != "SHA256SUMS")
    sums = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (folder / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")
    return hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()


def test_a_chain_that_was_made_anew_as_a_whole_has_another_head(closed_april, tmp_path, monkeypatch):
    shutil.copytree(closed_april, tmp_path / "copy")
    line = stand_in(tmp_path / "copy", monkeypatch, AFTER_APRIL)
    march, april = (line.data / "statements" / f"month={month}" for month in (MARCH, APRIL))
    noted = hashlib.sha256((april / "manifest.json").read_bytes()).hexdigest()
    for folder in (march, april, march / "usage", april / "usage"):
        folder.chmod(0o755)
    for path in (*march.glob("*"), *april.glob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    new = rehash(march, lambda manifest: manifest.update(closed_at="2026-04-03T12:00:00+00:00"))
    assert line.run("verify").exit_status == 3
    head = rehash(april, lambda manifest: manifest.update(previous_manifest_sha256=new))
    line.must("verify")
    line.must(f"verify --expect-head {head}")
    outcome = line.run(f"verify --expect-head {noted}")
    assert (outcome.exit_status, f"the head is {head}, not {noted}" in outcome.stderr) == (3, True)


BROKEN_RECEIPTS = [
    lambda receipt: receipt.pop("sequence"),
    lambda receipt: receipt.update(sequence="1"),
    lambda receipt: receipt.update(files=None),
    lambda receipt: receipt.update(files=[{"name": "x"}]),
    lambda receipt: receipt.update(rejected_by_month={"2026-03": "1"}),
    lambda receipt: receipt.update(rejected_by_month=[]),
    lambda receipt: receipt.update(landed_at="yesterday"),
    lambda receipt: receipt.update(landed_at="2026-04-01T00:00:00"),
    lambda receipt: receipt.update(cost_difference="much"),
    lambda receipt: receipt.update(feed="tenants"),
    lambda receipt: receipt.update(batch_id="00000009-000000000000"),
    lambda receipt: receipt.update(format=2),
    lambda receipt: receipt.update(more=1),
    lambda receipt: receipt.update(rows=True),
]


@pytest.mark.long
@pytest.mark.parametrize("command", ["verify", "status", "rebuild", "close 2026-05"])
def test_a_receipt_that_lost_its_shape_is_a_sentence_even_with_its_hash_made_again(
    stored: Settings, monkeypatch, command
):
    line = stand_in(stored.data.parent, monkeypatch, "2026-06-02T12:00:00+00:00")
    (folder,) = (stored.landing / "ip_assignments").iterdir()
    content = content_of(folder)
    missed = []
    for number, change in enumerate(BROKEN_RECEIPTS):
        receipt = json.loads(content[folder / "receipt.json"])
        change(receipt)
        written = json.dumps(receipt, indent=1, sort_keys=True) + "\n"
        before, after = (
            hashlib.sha256(text).hexdigest() for text in (content[folder / "receipt.json"], written.encode())
        )
        (folder / "receipt.json").write_text(written, encoding="utf-8")
        (folder / "SHA256SUMS").write_bytes(content[folder / "SHA256SUMS"].replace(before.encode(), after.encode()))
        outcome = line.run(command)
        if outcome.exit_status != 3 or "receipt.json is not the receipt that was written" not in outcome.stderr:
            missed.append((number, outcome))
        restore(folder, content)
    assert missed == []


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"null", b"\xff", b"{" * 100_000, b"[" * 100_000, b'{"month":"2026-04"}', b'{"format":1e400}']
)
def test_whatever_stands_in_a_manifest_is_a_sentence(stored: Settings, monkeypatch, raw):
    line = stand_in(stored.data.parent, monkeypatch, AFTER_APRIL)
    folder = stored.statements / "month=2026-04"
    content = content_of(folder)
    (folder / "manifest.json").write_bytes(raw)
    told = [line.run(command) for command in ("list", "verify", "show 2026-04", "close 2026-05", "status")]
    restore(folder, content)
    assert [(outcome.exit_status, outcome.stdout) for outcome in told] == [(3, "")] * 5


def test_a_folder_that_names_no_month_is_a_sentence(stored: Settings, monkeypatch):
    line = stand_in(stored.data.parent, monkeypatch, AFTER_APRIL)
    (stored.statements / "month=april").mkdir()
    told = [line.run(command) for command in ("list", "verify", "close", "status")]
    (stored.statements / "month=april").rmdir()
    assert [(outcome.exit_status, "another name" in outcome.stderr) for outcome in told] == [(3, True)] * 4

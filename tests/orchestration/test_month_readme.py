"""README.txt of a month: it explains every file, column and reason that is there, and its commands check the month."""

import re
import shutil
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from orchestration import settings
from orchestration.close import month_readme
from orchestration.reports import proofs
from tests.orchestration import outsider
from tests.orchestration.conftest import APRIL, MARCH

# The programs of coreutils that the text may use; what else it calls is part of every shell.
COREUTILS = ("basenc", "cat", "cut", "sha256sum", "tr")


@pytest.fixture
def months(closed_april: Path, tmp_path: Path) -> Path:
    """A copy of the folder with both months, in which files can be changed."""
    copy = shutil.copytree(closed_april / "data" / "statements", tmp_path / "statements")
    for path in [copy, *copy.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    return copy


@pytest.fixture
def handed_out(closed_april: Path, tmp_path: Path) -> Path:
    """An export of one tenant."""
    (tmp_path / "out").mkdir()
    pair = proofs.of(settings.load(closed_april / "data"), APRIL, "beta")
    for name, content in zip(("statement.json", "proof.json"), pair, strict=True):
        (tmp_path / "out" / name).write_bytes(content)
    return tmp_path / "out"


def commands(month: Path) -> dict[str, str]:
    """Step → its commands, as they stand in the text."""
    text = (month / "README.txt").read_text(encoding="ascii")
    steps = re.split(
        r"^(\d)\. ", text.partition("How to check this folder")[2].partition("\nThe software ")[0], flags=re.MULTILINE
    )[1:]
    return {
        step: "\n".join(line[4:] for line in said.splitlines() if line.startswith("    "))
        for step, said in zip(steps[::2], steps[1::2], strict=True)
    }


def run(script: str, folder: Path, tmp_path: Path) -> tuple[int, str]:
    """What a shell that finds coreutils alone makes of it."""
    programs = tmp_path / "programs"
    programs.mkdir(exist_ok=True)
    for name in COREUTILS:
        if not (programs / name).exists():
            (programs / name).symlink_to(shutil.which(name))
    done = subprocess.run(
        ["/bin/sh", "-uc", script], cwd=folder, env={"PATH": str(programs)}, capture_output=True, text=True, check=False
    )
    assert "not found" not in done.stderr, done.stderr
    return done.returncode, done.stdout.strip()


def test_the_commands_check_files_chain_and_proof(months, handed_out, tmp_path):
    march, april = (months / f"month={month}" for month in (MARCH, APRIL))
    steps = commands(april)
    assert list(steps) == ["1", "2", "3", "4", "5"]
    status, printed = run(steps["1"], april, tmp_path)
    assert (status, printed.count(": OK")) == (0, len([path for path in april.rglob("*") if path.is_file()]) - 1)
    assert run(steps["2"], april, tmp_path) == (0, f"{outsider.sha256(april / 'manifest.json')}  manifest.json")
    assert run(steps["3"], april, tmp_path) == (0, "follows 2026-03")
    root = run(steps["5"], april, tmp_path)
    assert re.fullmatch("[0-9a-f]{64}", root[1])
    assert run(steps["4"], handed_out, tmp_path) == root
    assert commands(march)["3"] == ""
    assert "first month of its chain" in (march / "README.txt").read_text()


def test_the_commands_notice_a_changed_file_another_month_before_and_another_statement(months, handed_out, tmp_path):
    april = months / f"month={APRIL}"
    steps = commands(april)
    for path in (months / f"month={MARCH}" / "manifest.json", april / "reconciliation.csv"):
        path.write_bytes(path.read_bytes() + b" ")
    status, printed = run(steps["1"], april, tmp_path)
    assert (status, "reconciliation.csv: FAILED" in printed) == (1, True)
    assert run(steps["3"], april, tmp_path) == (1, "BROKEN: 2026-03 is another one")
    statement, proof = handed_out / "statement.json", handed_out / "proof.json"
    whole = statement.read_text()
    statement.write_text(whole.replace('"0', '"1', 1))
    assert run(steps["4"], handed_out, tmp_path) == (1, "NOT PROVED")
    statement.write_text(whole)
    proof.write_text(proof.read_text().replace('"leaf_index":1', '"leaf_index":0'))
    assert run(steps["4"], handed_out, tmp_path) == (1, "NOT PROVED")


@pytest.mark.parametrize("size", range(1, 12))
def test_the_commands_prove_a_leaf_at_every_place_of_a_tree(months, tmp_path, size):
    """Against the definition in RFC 6962."""
    documents = [f"document {number}".encode() for number in range(size)]
    script = commands(months / f"month={APRIL}")["4"]

    def path(index: int, leaves: list[bytes]) -> list[bytes]:
        if len(leaves) == 1:
            return []
        left = 1 << (len(leaves) - 1).bit_length() - 1
        if index < left:
            return [*path(index, leaves[:left]), outsider.root(leaves[left:])]
        return [*path(index - left, leaves[left:]), outsider.root(leaves[:left])]

    root = outsider.root(documents).hex()
    for index, document in enumerate(documents):
        listed = ",".join(f'"{sibling.hex()}"' for sibling in path(index, documents))
        (tmp_path / "statement.json").write_bytes(document)
        (tmp_path / "proof.json").write_text(
            f'{{"account_id":"a","leaf_index":{index},"leaf_sha256":"ab","manifest_sha256":"cd","month":"2026-04",'
            f'"path":[{listed}],"root_sha256":"{root}","tree_size":{size}}}'
        )
        assert run(script, tmp_path, tmp_path) == (0, root), index


def test_every_file_column_and_reason_is_explained(months):
    for month in (MARCH, APRIL):
        folder = months / f"month={month}"
        text = (folder / "README.txt").read_text(encoding="ascii")
        explained = text.replace("day=DD", "day=05")
        for path in folder.rglob("*"):
            name = str(path.relative_to(folder))
            if path.is_file() and name != "README.txt" and not re.fullmatch(r"usage/day=(?!05).*", name):
                assert name in explained, name
            if path.suffix == ".parquet":
                table = "usage" if name.startswith("usage/") else path.stem
                columns = text.partition(f"\nColumns of {table}\n")[2].partition("\nColumns of ")[0]
                assert re.findall(r"^  (\w+)$", columns, re.MULTILINE) == pq.read_schema(path).names, name
        for reason in set(pq.read_table(folder / "unattributed.parquet")["reason"].to_pylist()):
            assert re.search(rf"^  .*\b{reason}\b", text, re.MULTILINE), reason
        assert max(map(len, text.splitlines())) <= 120


def test_every_reason_of_the_rules_is_explained():
    rules = (Path(__file__).parents[2] / "docs" / "rules.md").read_text(encoding="utf-8")
    rule = rules.partition('<a id="rule-16">')[2].partition('<a id="rule-17">')[0]
    named = set(re.findall(r"`([a-z]+_[a-z_]+[a-z])`", rule))
    named |= {name.replace("number_", "ip_") for name in named if name.startswith("number_")}
    assert len(named) == 13
    assert {name for names in month_readme.REASONS for name in names.split(", ")} == named


def test_the_text_depends_on_the_months_alone(closed_march, closed_april):
    name = f"data/statements/month={MARCH}/README.txt"
    assert (closed_march / name).read_text() == (closed_april / name).read_text() == month_readme.text(MARCH, None)
    assert (closed_april / name.replace("03", "04")).read_text() == month_readme.text(APRIL, MARCH)

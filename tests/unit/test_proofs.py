"""Proofs of statements (rule 30): those handed out hold, and none of many hundred forged ones does, for either of two judges.

The judges are `statements prove` and the program that docs/proof.md shows.
"""

import contextlib
import io
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from orchestration.errors import Damaged, Refused
from orchestration.reports import proofs, proving
from orchestration.settings import PROJECT_ROOT
from tests.unit import forgeries
from tests.unit.stored import HASH, MARCH, manifest, settings_in
from tests.unit.test_statement_documents import ACCOUNTS, folder, rewritten, written  # noqa: F401

SHOWN = re.search(r"```python\n(.*?)```", (PROJECT_ROOT / "docs" / "proof.md").read_text("utf-8"), re.DOTALL)[1]
PROGRAM = compile(SHOWN, "docs/proof.md", "exec")


@pytest.fixture
def month(folder):  # noqa: F811
    """A frozen month of six tenants."""
    return replace(manifest(MARCH, statements_root_sha256=written(folder)), folder=folder)


@pytest.fixture
def handed_out(month) -> dict[str, forgeries.Pair]:
    of_month = proofs.MonthProofs(month)
    return {account: of_month.of(account) for account in ACCOUNTS}


def put(target: Path, statement: bytes, proof: bytes) -> Path:
    target.mkdir(exist_ok=True)
    (target / "statement.json").write_bytes(statement)
    (target / "proof.json").write_bytes(proof)
    return target


def is_proved(target: Path, root: str, head: str) -> bool:
    try:
        proving.prove(settings_in(target), target, proving.Expected(root=root, head=head))
    except Refused:
        return False
    return True


def program_proves(target: Path, root: str, head: str, monkeypatch) -> bool:
    """In this process, since there are so many; what a process of its own says is a test by itself."""
    monkeypatch.setattr(sys, "argv", ["proof", str(target), root, head])
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            exec(PROGRAM, {})
        except SystemExit as ended:
            return ended.code == 0
        except Exception:
            return False
    return False


def test_every_tenant_can_prove_its_statement(month, handed_out, tmp_path):
    for place, (account, (statement, proof)) in enumerate(handed_out.items()):
        target = put(tmp_path / "out", statement, proof)
        expected = proving.Expected(month.content.statements_root_sha256, month.sha256[:16].upper())
        proved = proving.prove(settings_in(tmp_path / "elsewhere"), target, expected)
        assert (proved.proof.account_id, proved.proof.leaf_index, proved.proof.tree_size) == (account, place, 6)
        assert proved.tables == []
        said = json.loads(proof)
        assert said.keys() == {
            "month", "account_id", "leaf_index", "tree_size", "leaf_sha256", "path", "root_sha256", "manifest_sha256"
        }  # fmt: skip
    assert not (tmp_path / "elsewhere").exists()


def test_the_program_of_the_docs_is_twenty_lines_of_the_standard_library(month, handed_out, tmp_path):
    """In a process that cannot see the project."""
    lines = [line for line in SHOWN.splitlines() if line.strip()]
    assert len(lines) <= 20
    assert re.findall(r"^(?:import|from) ([\w, ]+)", SHOWN, re.MULTILINE) == [
        "hashlib, json, sys",
        "pathlib import Path",
    ]
    (tmp_path / "proof.py").write_text(SHOWN, encoding="utf-8")
    arguments = [month.content.statements_root_sha256, month.sha256]
    for account, (statement, proof) in handed_out.items():
        target = put(tmp_path / "out", statement, proof)
        command = [sys.executable, "-I", tmp_path / "proof.py", target, *arguments]
        assert subprocess.run(command, check=False).returncode == 0, account
    put(tmp_path / "out", statement.replace(b"0.0", b"0.1", 1), proof)
    told = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (told.returncode, "Not proved" in told.stderr) == (1, True)


@pytest.mark.slow
def test_no_forgery_is_proved(month, handed_out, tmp_path, monkeypatch):
    trues = list(handed_out.values())
    forged = {}
    for true in (handed_out["a"], handed_out["a-b"], handed_out["b"]):
        for of_kind in (
            forgeries.in_statement,
            forgeries.in_letters,
            forgeries.in_form,
            forgeries.in_proof,
            forgeries.own_trees,
        ):
            forged |= {(statement, proof): name for name, statement, proof in of_kind(true)}
    forged |= {(statement, proof): name for name, statement, proof in forgeries.of_others(trues)}
    forged = {pair: name for pair, name in forged.items() if pair not in trues}
    assert len(forged) > 1500
    root, head = month.content.statements_root_sha256, month.sha256
    proved = []
    for pair, name in forged.items():
        target = put(tmp_path / "out", *pair)
        if is_proved(target, root, head):
            proved.append(f"{name}: by the command")
        if program_proves(target, root, head, monkeypatch):
            proved.append(f"{name}: by the program")
    assert proved == []
    # The judges do prove what is true, so they refused for a reason.
    for pair in trues:
        target = put(tmp_path / "out", *pair)
        assert is_proved(target, root, head)
        assert program_proves(target, root, head, monkeypatch)


def test_statements_of_another_month_are_not_proved(month, handed_out, tmp_path, monkeypatch):
    """Each whole in itself, under its own root."""
    other = replace(
        manifest(MARCH.next, statements_root_sha256=month.content.statements_root_sha256), folder=month.folder
    )
    pair = proofs.MonthProofs(other).of("a")
    target = put(tmp_path / "out", *pair)
    for head in (month.sha256, other.sha256):
        assert not is_proved(target, month.content.statements_root_sha256, head)
        assert not program_proves(target, month.content.statements_root_sha256, head, monkeypatch)


def test_a_folder_without_its_files_is_a_sentence(handed_out, tmp_path):
    target = put(tmp_path / "out", *handed_out["a"])
    for name in ("proof.json", "statement.json"):
        (target / name).unlink()
        with pytest.raises(Refused, match=rf"{name} is missing"):
            proving.prove(settings_in(tmp_path), target, proving.Expected())


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows[1].update(document="{}"),
        lambda rows: rows[1].update(leaf_sha256=HASH),
        lambda rows: rows.pop(),
    ],
)
def test_nothing_is_handed_out_of_documents_that_are_damaged(month, change):
    rewritten(month.folder, change)
    with pytest.raises(Damaged, match="does not hold the statements that its manifest names"):
        proofs.MonthProofs(month).of("a")


def test_a_tenant_without_a_statement_has_no_proof(month):
    with pytest.raises(Refused, match="'nobody' has no statement for 2026-03"):
        proofs.MonthProofs(month).of("nobody")


def test_a_proof_holds_nothing_of_others_but_hashes(handed_out):
    statement, proof = (raw.decode() for raw in handed_out["a-b"])
    for account in ACCOUNTS:
        if account != "a-b":
            assert f'"{account}"' not in statement + proof
            assert f'Tenant {account}"' not in statement + proof

"""A frozen month computed again: from just what its close read, compared by what it says."""

import csv
import hashlib
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestration import files
from orchestration.close import manifests, versions
from orchestration.close.content import canonical
from orchestration.errors import Refused
from orchestration.landing import services
from tests.orchestration import outsider
from tests.orchestration.conftest import AFTER_APRIL, APRIL, IN_APRIL, LATE, MARCH, closing, land, settings_of
from tests.unit.deliveries import tree, write_csv
from tests.unit.stored import LATE_COUNTS


def outsiders_hash(paths):
    """The logical hash in plain Python, as DECISIONS describes it."""
    total = rows = 0
    for path in paths:
        table = pq.read_table(path)
        for row in table.to_pylist():
            texts = []
            for field in table.schema:
                value = row[field.name]
                if field.name in ("batch_id", "source_row", "assignment_id"):
                    continue
                if value is not None and pa.types.is_timestamp(field.type):
                    value = round(value.timestamp() * 1_000_000)
                if isinstance(value, bool):
                    value = str(value).lower()
                texts.append(None if value is None else f"{value:f}" if pa.types.is_decimal(field.type) else str(value))
            text = json.dumps(texts, separators=(",", ":"), ensure_ascii=False)
            total += int.from_bytes(hashlib.md5(text.encode()).digest(), "little")
            rows += 1
    return {"rows": rows, "logical_hash": f"{total % 2**128:032x}"}


def test_an_outsider_finds_the_logical_hashes_of_a_manifest_in_plain_python(closed_april):
    for folder in (closed_april / "data" / "statements").iterdir():
        stated = json.loads((folder / "manifest.json").read_bytes())["tables"]
        assert len(stated) == 8
        for name, entry in stated.items():
            assert outsiders_hash([folder / f"{name}.parquet"]) == entry, name


@pytest.mark.long
def test_months_recompute_after_later_landings_and_closes_whatever_the_settings_are_now(
    copy_of, closed_april, monkeypatch
):
    monkeypatch.setenv("STATEMENTS_DEFAULT_CURRENCY", "EUR")
    line = copy_of(closed_april, AFTER_APRIL)
    assert "Computed again, each month comes to the same." in line.must("verify --recompute").stdout


def refrozen(folder, change):
    """Change a frozen file and make every hash of its month again, as a careful forger would."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    change(folder)
    content = json.loads((folder / "manifest.json").read_bytes())
    content["statements_root_sha256"] = documents_made_again(folder)
    for output in content["outputs"]:
        output["sha256"] = files.sha256(folder / output["name"])
        output["bytes"] = (folder / output["name"]).stat().st_size
    for name in content.get("tables", []):
        content["tables"][name] = outsiders_hash([folder / f"{name}.parquet"])
    (folder / "manifest.json").write_bytes(canonical(content))
    (folder / "SHA256SUMS").unlink()
    files.seal_folder(folder, files.hashes_below(folder))


def documents_made_again(folder):
    """Write the tenants' documents as the changed tables make them, and give their root."""
    path = folder / "statement_documents.parquet"
    salts = {row["account_id"]: json.loads(row["document"])["salt"] for row in pq.read_table(path).to_pylist()}
    made = outsider.documents(folder, salts)
    columns = [sorted(salts), [one.decode() for one in made], [outsider.root([one]).hex() for one in made]]
    pq.write_table(pa.table(columns, schema=pq.read_schema(path)), path)
    return outsider.root(made).hex()


def rename_tenant(folder):
    path = folder / "statements.parquet"
    table = pq.read_table(path)
    place = table.schema.get_field_index("tenant_name")
    names = pa.array(["Somebody Else"] * table.num_rows, table.schema.field(place).type)
    pq.write_table(table.set_column(place, table.schema.field(place), names), path)


def rename_in_csv(folder):
    path = folder / "statements.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("alpha", "alphb", 1), encoding="utf-8")


def drop_a_warning(folder):
    content = json.loads((folder / "manifest.json").read_bytes())
    del content["warnings"][-1]
    (folder / "manifest.json").write_bytes(canonical(content))


def call_from_elsewhere(folder):
    """Change what no figure is made of."""
    path = folder / "usage" / "day=05.parquet"
    table = pq.read_table(path)
    place = table.schema.get_field_index("from_number")
    numbers = pa.array(["+12015550000"] * table.num_rows, table.schema.field(place).type)
    pq.write_table(table.set_column(place, table.schema.field(place), numbers), path)


@pytest.mark.parametrize(
    ("forge", "differs", "reported"),
    [
        pytest.param(rename_in_csv, "statements.csv", [], marks=pytest.mark.long),
        pytest.param(drop_a_warning, "warnings of the manifest", [], marks=pytest.mark.long),
        pytest.param(call_from_elsewhere, "usage (", ["usage.csv"], marks=pytest.mark.long),
    ],
)
def test_whatever_is_forged_with_every_hash_made_again_comes_out_otherwise(
    copy_of, closed_march, forge, differs, reported
):
    line = copy_of(closed_march)
    refrozen(line.data / "statements" / "month=2026-03", forge)
    frozen = tree(line.data / "statements")
    line.must("verify")
    outcome = line.run("verify --recompute")
    assert (outcome.exit_status, differs in outcome.stderr) == (3, True), outcome
    report = line.data / "differences" / "month=2026-03"
    assert [path.name for path in report.glob("*")] == reported
    assert all({row["side"] for row in csv.DictReader(path.open())} == {"frozen", "again"} for path in report.glob("*"))
    assert tree(line.data / "statements") == frozen


@pytest.mark.parametrize("as_other_code", [False, pytest.param(True, marks=pytest.mark.long)])
def test_a_forgery_with_every_hash_made_again_is_found_by_recomputing_and_by_the_head(
    copy_of, closed_march, as_other_code, monkeypatch
):
    line = copy_of(closed_march)
    head = manifests.read(settings_of(line), MARCH).sha256
    refrozen(line.data / "statements" / "month=2026-03", rename_tenant)
    line.must("verify")
    by_head = line.run(f"verify --expect-head {head}")
    assert (by_head.exit_status, head in by_head.stderr) == (3, True)
    if as_other_code:
        now = versions.installed()
        monkeypatch.setattr(versions, "installed", lambda: now | {"duckdb": "9.9"})
    outcome = line.run("verify --recompute")
    assert outcome.exit_status == (1 if as_other_code else 3)
    assert "statements (3 rows again, 3 frozen)" in outcome.stderr
    assert "usage (" not in outcome.stderr
    assert ("now" in outcome.stderr and "9.9" in outcome.stderr) == as_other_code


def test_a_manifest_that_says_too_little_to_compute_its_month_again_is_a_sentence(copy_of, closed_march):
    line = copy_of(closed_march)
    folder = line.data / "statements" / "month=2026-03"

    def forget(folder):
        content = json.loads((folder / "manifest.json").read_bytes())
        del content["inputs"]
        (folder / "manifest.json").write_bytes(canonical(content))

    refrozen(folder, forget)
    for command in ("verify --recompute", "list", "status", "rebuild", "show 2026-03"):
        outcome = line.run(command)
        assert (outcome.exit_status, outcome.stdout) == (3, ""), command
        assert "is not the manifest that was frozen" in outcome.stderr, command


@pytest.mark.long
def test_a_month_that_an_early_version_froze_verifies_and_the_next_one_follows_it(copy_of, closed_march):
    """Manifests of 0.1.0 had no settings, no logical hashes, no hash of the code, and nothing was late."""
    line = copy_of(closed_march, AFTER_APRIL)
    folder = line.data / "statements" / "month=2026-03"

    def as_it_was(folder):
        content = json.loads((folder / "manifest.json").read_bytes())
        for name in LATE_COUNTS:
            del content["counts"][name]
        for name in ("git_commit", "models_sha256", "code_sha256", "requirements_sha256"):
            del content["versions"][name]
        del content["settings"], content["services"], content["tables"]
        (folder / "manifest.json").write_bytes(canonical(content))

    refrozen(folder, as_it_was)
    for command in ("verify", "list", "status", "rebuild", "show 2026-03"):
        line.must(command)
    outcome = line.run("verify --recompute")
    assert (outcome.exit_status, "does not say enough to compute it again" in outcome.stderr) == (1, True)
    land(line, "cdrs", *LATE)
    land(line, "cdrs", *IN_APRIL)
    assert closing(line, APRIL).manifest.content.counts.late == 1
    assert "Verified 2 frozen months" in line.must("verify").stdout
    line.must("verify 2026-04 --recompute")


@pytest.mark.long
def test_a_service_that_an_upgrade_lost_is_named_only_where_the_month_did_not_pin_it(
    copy_of, closed_march, monkeypatch, tmp_path
):
    """Rule 25."""
    kept = [row for row in services.SHIPPED.read_text("utf-8").splitlines() if "outbound_conversational" not in row]
    (tmp_path / "shipped.csv").write_text("\n".join(kept), encoding="utf-8")
    monkeypatch.setattr(services, "SHIPPED", tmp_path / "shipped.csv")
    line = copy_of(closed_march, AFTER_APRIL)
    assert "Computed again, each month comes to the same." in line.must("verify --recompute").stdout
    assert "Rule 9" in line.must("explain out-ip").stdout

    def forget(folder):
        content = json.loads((folder / "manifest.json").read_bytes())
        del content["services"]
        (folder / "manifest.json").write_bytes(canonical(content))

    refrozen(line.data / "statements" / "month=2026-03", forget)
    land(line, "cdrs", *IN_APRIL)
    for command in ("verify --recompute", "explain out-ip"):
        outcome = line.run(command)
        assert (outcome.exit_status, "any more: outbound_conversational (outbound)" in outcome.stderr) == (1, True)
    with pytest.raises(Refused, match=r"any more: outbound_conversational \(outbound\)"):
        closing(line, APRIL)
    row = "outbound_conversational,outbound,origin,minute,outbound"
    (line.data / "services.csv").write_text(f"{','.join(services.COLUMNS)}\n{row}\n", encoding="utf-8")
    assert "Computed again, each month comes to the same." in line.must("verify --recompute").stdout
    assert closing(line, APRIL).manifest.content.services.own_sha256


def test_assignments_that_an_early_version_landed_are_a_sentence_and_nothing_lands_beside_them(copy_of, landed_march):
    """0.1.0 did not mark which of them can never act."""
    line = copy_of(landed_march)
    (path,) = line.data.glob("landing/number_assignments/*/*.parquet")
    for one in (path.parent, *path.parent.iterdir()):
        one.chmod(0o755)
    pq.write_table(pq.read_table(path).drop_columns(["is_void"]), path)
    (path.parent / "SHA256SUMS").unlink()
    files.seal_folder(path.parent, files.hashes_below(path.parent))
    before = tree(line.data / "landing")
    given = write_csv(line.folder / "given" / "more.csv", *IN_APRIL)
    for command in (f"land cdrs {given}", "assign number +12015550101 beta", "rebuild"):
        outcome = line.run(command)
        assert (outcome.exit_status, "was landed by an early version" in outcome.stderr) == (1, True), command
    assert tree(line.data / "landing") == before
    path.write_bytes(b"PAR1")
    for command in (f"land cdrs {given}", "rebuild"):
        outcome = line.run(command)
        assert (outcome.exit_status, "cannot be read" in outcome.stderr) == (3, True), command

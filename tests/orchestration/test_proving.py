"""An export of one tenant proved from the outside: the command, and the tables that lie beside the statement."""

import json
import re

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestration.close import manifests
from tests.orchestration.conftest import AFTER_APRIL, APRIL, MARCH, settings_of

TABLES = ("statements", "statement_lines", "number_inventory", "usage", "usage_by_asset")


@pytest.fixture
def line(copy_of, closed_april):
    return copy_of(closed_april, AFTER_APRIL)


@pytest.fixture
def exported(line):
    """April of alpha, which has corrections: a record that landed late for March, and one that changed."""
    line.must("export 2026-04 --account alpha --format csv --format parquet --out out")
    return line.folder / "out" / "month=2026-04" / "account=alpha"


def proved(line, folder, options=""):
    return line.run(f"prove {folder} {options}")


def test_an_export_is_proved_with_every_table_beside_it(line, exported):
    outcome = proved(line, exported)
    april = manifests.read(settings_of(line), APRIL)
    root = april.content.statements_root_sha256
    assert outcome.exit_status == 0, outcome
    assert (
        f"the statement of alpha for 2026-04 is number 1 of the 3 under the root {root}. Head {april.sha256}"
        in outcome.stdout
    )
    assert (
        "It agrees with " + ", ".join(f"{name}.{form}" for name in TABLES for form in ("csv", "parquet"))
        in outcome.stdout
    )
    assert "Compare the root and the head with those that were published" in outcome.stdout
    told = json.loads(line.must(f"prove {exported} --json").stdout)
    assert (told["proof"]["root_sha256"], len(told["tables"])) == (root, 10)


def test_roots_heads_and_manifests_are_compared(line, exported):
    march, april = (manifests.read(settings_of(line), month) for month in (MARCH, APRIL))
    root = april.content.statements_root_sha256
    for options in (f"--expect-root {root}", f"--expect-root {root[:16].upper()} --expect-head {april.sha256[:16]}",
                    f"--manifest {april.folder}/manifest.json --expect-head {april.sha256}"):  # fmt: skip
        outcome = proved(line, exported, options)
        assert (outcome.exit_status, "Compare the root" in outcome.stdout) == (0, False), outcome
    for options in (f"--expect-head {april.sha256}", f"--manifest {april.folder}/manifest.json"):
        outcome = proved(line, exported, options)
        assert (outcome.exit_status, "Compare the root" in outcome.stdout) == (0, True), outcome
    for options, fault in (
        (f"--expect-root {april.sha256}", "the proof is under the root"),
        (f"--expect-head {march.sha256}", "the proof is under the head"),
        (f"--manifest {march.folder}/manifest.json", "is not the manifest that the proof names"),
        (f"--manifest {exported}/proof.json", "is not the manifest that the proof names"),
        (f"--manifest {exported}/nothing.json", "No such file"),
    ):
        outcome = proved(line, exported, options)
        assert (outcome.exit_status, fault in outcome.stderr) == (1, True), outcome
    for digits in (root[:15], f"{root}0", "g" * 16):
        assert proved(line, exported, f"--expect-root {digits}").exit_status == 2


def test_a_manifest_with_another_root_or_month_is_no_manifest_of_the_proof(line, exported):
    """A forger can name the hash of any file in the proof."""
    proof = json.loads((exported / "proof.json").read_bytes())
    content = json.loads((manifests.read(settings_of(line), APRIL).folder / "manifest.json").read_bytes())
    for given, fault in (
        (content | {"statements_root_sha256": "0" * 64}, "is of another month, or names another root"),
        (content | {"month": "2026-03"}, "is of another month, or names another root"),
        (content | {"statements_root_sha256": None}, "is not canonical JSON of a manifest"),
        ([1], "is not canonical JSON of a manifest"),
    ):
        path = line.folder / "manifest.json"
        path.write_bytes(manifests.canonical(given))
        named = proof | {"manifest_sha256": manifests.hashlib.sha256(path.read_bytes()).hexdigest()}
        (exported / "proof.json").write_bytes(manifests.canonical(named))
        outcome = proved(line, exported, f"--manifest {path}")
        assert (outcome.exit_status, fault in outcome.stderr) == (1, True), outcome


def text_of(folder, table):
    return (folder / f"{table}.csv").read_text(encoding="utf-8")


def changed(folder, table, change):
    path = folder / f"{table}.csv"
    before = path.read_text(encoding="utf-8")
    after = change(before)
    assert after != before
    path.write_text(after, encoding="utf-8", newline="")


def hide_digits(text):
    """A cost with a tenth place, which a sum of nine would not show."""
    return re.sub(r"(\d\.\d{9})", r"\g<1>4", text, count=1)


@pytest.mark.parametrize(
    ("table", "change", "fault"),
    [
        ("statements", lambda text: text.replace("64.", "65.", 1), "has other rows"),
        ("statements", lambda text: text.replace("=Alpha", "=Alphа"), "has other rows"),  # noqa: RUF001
        ("statements", lambda text: text.replace("false", "true", 1), "has other rows"),
        ("statements", lambda text: text + text.splitlines(keepends=True)[1], "has other rows"),
        ("statements", lambda text: text.splitlines(keepends=True)[0], "has other rows"),
        ("statements", lambda text: text.replace("total_cost", "total", 1), "has other rows"),
        ("statement_lines", lambda text: text.replace("correction", "usage", 1), "has other rows"),
        ("statement_lines", lambda text: text + text.splitlines()[1], "does not end with a line break"),
        ("number_inventory", lambda text: text.replace("2026-0", "2025-0", 1), "has other rows"),
        ("number_inventory", lambda text: text.replace("+12015550101", "+12015550102", 1), "has other rows"),
        ("usage", lambda text: text.splitlines(keepends=True)[0], "does not add up"),
        ("usage", lambda text: text + text.splitlines(keepends=True)[1], "does not add up"),
        ("usage", lambda text: text.replace("64.0", "63.0", 1), "does not add up"),
        ("usage", hide_digits, "in another form"),
        ("usage", lambda text: text.replace(",alpha,", ",beta,", 1), "of another tenant"),
        ("usage", lambda text: text.replace(",alpha,", ",,", 1), "of another tenant"),
        ("usage", lambda text: text.replace("2026-03-01", "2026-02-01", 1), "does not add up"),
        ("usage", lambda text: text + "torn", "does not end with a line break"),
        ("usage", lambda text: text + "torn\n", "no table as an export writes it"),
        ("usage", lambda text: text + '"', "does not end with a line break"),
        ("usage", lambda _: "", "does not end with a line break"),
        ("usage", lambda _: "\n", "no table as an export writes it"),
        ("usage", lambda text: text.replace("cost", "price", 1), "no table as an export writes it"),
        ("usage_by_asset", lambda text: text.replace("64.0", "63.0", 1), "does not add up"),
    ],
)
def test_a_table_that_says_something_else_than_the_statement_is_not_proved(line, exported, table, change, fault):
    changed(exported, table, change)
    outcome = proved(line, exported)
    assert (outcome.exit_status, f"{table}.csv" in outcome.stderr, fault in outcome.stderr) == (1, True, True), outcome


def test_a_cost_moved_from_one_line_to_another_does_not_add_up(line, exported):
    """Also where the total stays the same."""
    path = exported / "usage.parquet"
    with duckdb.connect() as connection:
        table = connection.execute(f"from read_parquet('{path}')").to_arrow_table()
    costs = table["cost"].to_pylist()
    assert len(set(costs)) > 1
    place = table.schema.get_field_index("cost")
    turned = pa.array([*costs[1:], costs[0]], table.schema.field(place).type)
    pq.write_table(table.set_column(place, table.schema.field(place), turned), path)
    assert "usage.parquet does not add up to the lines" in proved(line, exported).stderr


@pytest.mark.parametrize("kind", [pa.float64(), pa.decimal128(38, 10), pa.string()])
def test_a_cost_of_another_type_is_no_cost(line, exported, kind):
    path = exported / "usage.parquet"
    table = pq.read_table(path)
    place = table.schema.get_field_index("cost")
    pq.write_table(table.set_column(place, "cost", table["cost"].cast(kind)), path)
    outcome = proved(line, exported)
    # Text in the form of an export is exact.
    assert outcome.exit_status == (0 if kind == pa.string() else 1), outcome


def test_bytes_that_are_no_parquet_are_a_sentence(line, exported):
    (exported / "statements.parquet").write_bytes(b"PAR1")
    outcome = proved(line, exported)
    assert (outcome.exit_status, "statements.parquet is no table" in outcome.stderr) == (1, True), outcome


def test_a_tenant_without_usage_is_proved_too(line):
    line.must("export 2026-04 --account quiet --out out")
    assert "It agrees with statements.csv" in line.must("prove out/month=2026-04/account=quiet").stdout


def test_a_folder_without_a_statement_is_a_sentence(line):
    outcome = proved(line, line.folder / "nowhere")
    assert (outcome.exit_status, "statement.json is missing" in outcome.stderr) == (1, True)


# Manifests ------------------------------------------------------------------------------------------------------------


def test_a_manifest_is_shown_readably_and_as_json(line):
    april = manifests.read(settings_of(line), APRIL)
    printed = line.must("manifest 2026-04").stdout
    shown = (
        april.sha256,
        april.content.statements_root_sha256,
        "usage/corrections.parquet",
        april.content.inputs[0].batch_id,
    )
    for text in (*shown, "Totals by service", "Warnings", "restatement", "duckdb"):
        assert text in printed, text
    assert json.loads(line.must("manifest 2026-04 --json").stdout) == json.loads(
        (april.folder / "manifest.json").read_bytes()
    )
    assert "2026-05 is not closed" in line.run("manifest 2026-05").stderr


def test_roots_are_listed(line):
    roots = [month["statements_root_sha256"] for month in json.loads(line.must("list --json").stdout)]
    assert roots == [
        manifests.read(settings_of(line), month).content.statements_root_sha256 for month in (MARCH, APRIL)
    ]
    with duckdb.connect(str(line.data / "warehouse.duckdb"), read_only=True) as connection:
        listed = connection.execute("select statements_root_sha256 from operations.closes order by month").fetchall()
        assert [root for (root,) in listed] == roots
        documents = connection.execute(
            "select month, account_id from statements.statement_documents order by all"
        ).fetchall()
        assert documents == [(month, name) for month in ("2026-03", "2026-04") for name in ("alpha", "beta", "quiet")]

"""Data folders that earlier versions left, or other versions of DuckDB: this version verifies them and goes on with them.

What belongs here: each folder beside this file is one, with the files that landed in it and what the rules say of it
after its next close. What does not: how such a folder is made, which its README tells.
"""

import csv
import hashlib
import json
import re
import shutil
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from orchestration.landing import services
from tests.conftest import CommandLine
from tests.scenarios.test_scenarios import require_expected, stored

OLD = Path(__file__).parent / "0.1.0-2026-11-26"
FOLDERS = ["data", "data-of-duckdb-2.0.1"]
# The feeds and sources of `make_data.sh`.
LANDED = [
    "tenants tenants.csv",
    "number_assignments numbers.csv",
    "ip_assignments ips.csv",
    "cdrs september.csv",
    "cdrs september-again.csv",
    "cdrs --source freeswitch-csv@pbx1 freeswitch-september.csv",
    "tenants tenants-october.csv",
    "number_assignments numbers-october.csv",
    "cdrs october.csv",
    "cdrs --source freeswitch-csv@pbx1 freeswitch-october.csv",
    "cdrs late.csv",
]


@pytest.fixture(params=[FOLDERS[0], pytest.param(FOLDERS[1], marks=pytest.mark.long)])
def line(request: pytest.FixtureRequest, command_line: CommandLine) -> CommandLine:
    """The command line on a copy of an old folder, on a later day, beside the files that landed in it."""
    return stand_in_copy(command_line, request.param)


@pytest.fixture
def line_on_old(command_line: CommandLine) -> CommandLine:
    return stand_in_copy(command_line, "data")


def stand_in_copy(line: CommandLine, name: str) -> CommandLine:
    shutil.copytree(OLD / name, line.data)
    shutil.copytree(OLD / "input", line.folder, dirs_exist_ok=True)
    line.close_directly()
    line.at("2026-12-05T12:00:00Z")
    return line


def test_an_old_month_verifies_and_computes_to_the_same(line):
    before = hashes(line.data / "statements")
    assert "Verified 1 frozen month" in line.must("verify").stdout
    assert "Computed again, each month comes to the same." in line.must("verify --recompute").stdout
    assert hashes(line.data / "statements") == before


def test_the_month_after_an_old_one_closes_with_its_corrections(line):
    frozen = hashes(line.data / "statements" / "month=2026-09")
    assert "1 × cost_missing" in line.run("close 2026-10").stderr
    line.must("close 2026-10 --accept-rejected")
    require_expected(OLD, line.data)
    assert hashes(line.data / "statements" / "month=2026-09") == frozen
    assert "Verified 2 frozen months" in line.must("verify").stdout


@pytest.mark.long
def test_an_old_month_has_no_proof_and_says_so_and_the_one_after_it_has_one(line_on_old):
    """Rule 30."""
    line_on_old.must("close 2026-10 --accept-rejected")
    assert "Frozen before statements had proofs, so without a root: 2026-09." in line_on_old.must("verify").stdout
    printed = line_on_old.must("export 2026-09 --account beta --out out").stdout
    assert "2026-09 was frozen before statements had proofs, so there is no proof.json." in printed
    old, new = (line_on_old.folder / f"out/month={month}/account=beta" for month in ("2026-09", "2026-10"))
    assert {path.suffix for path in old.iterdir()} == {".csv"}
    assert "statement.json is missing" in line_on_old.run(f"prove {old}").stderr
    assert "so there is no" not in line_on_old.must("export 2026-10 --account beta --out out").stdout
    root = json.loads(line_on_old.must("list --json").stdout)[1]["statements_root_sha256"]
    assert "Proved: the statement of beta for 2026-10" in line_on_old.must(f"prove {new} --expect-root {root}").stdout


def test_the_services_by_which_old_months_were_closed_are_shipped_as_they_were():
    """Rule 25: such a month pins none and goes by the shipped ones, so none of their rows may ever change or go."""
    then, now = ((OLD / "services.csv").read_text("utf-8"), services.SHIPPED.read_text("utf-8"))
    assert set(then.splitlines()) <= set(now.splitlines())


def test_the_warehouse_is_made_again_from_old_files(line_on_old):
    line_on_old.must("rebuild")
    waiting = [{"status": "waiting", "record_id": name} for name in ("c-02", "l-1", "l-2")]
    before = [{"status": "before_first_month", "record_id": "b-1"}]
    assert stored(line_on_old.data, "late_records", ["status", "record_id"]) == before + waiting
    assert line_on_old.must("show 2026-09 beta").stdout


def test_what_has_landed_in_an_old_folder_lands_no_second_time(line_on_old):
    """The rules that every row is landed with are part of what makes a file the same (rule 18).

    Those of the canonical feeds are what they were. A declaration that changed makes another delivery, of duplicates.
    """
    before = hashes(line_on_old.data / "landing")
    for landed in [line for line in LANDED if "--source" not in line]:
        assert "landed before" in line_on_old.must(f"land {landed}").stdout, landed
    assert hashes(line_on_old.data / "landing") == before
    for landed in [line for line in LANDED if "--source" in line]:
        told = line_on_old.must(f"land {landed}").stdout
        assert re.search(r"of which (\d) landed \(\1 duplicates?\); 0 rejected", told), told


@pytest.mark.long
def test_a_close_takes_what_landed_without_an_optional_column_as_null(line_on_old):
    for batch, columns in (
        ("number_assignments/00000008-*", ["number_type"]),
        ("cdrs/00000009-*", ["call_id", "routed_to"]),
        ("cdrs/00000011-*", ["routed_to"]),
    ):
        (folder,) = (line_on_old.data / "landing").glob(batch)
        leave_out(folder, columns)
    line_on_old.must("verify")
    line_on_old.must("close 2026-10 --accept-rejected")
    require_expected(OLD, line_on_old.data)
    assert "Computed again, each month comes to the same." in line_on_old.must("verify --recompute").stdout


def test_a_delivery_without_an_optional_column_equals_one_with_it_empty(line_on_old):
    for batch, columns, landed, record in (
        ("cdrs/00000009-*", ["call_id", "routed_to"], "cdrs october.csv", "o-3,"),
        ("number_assignments/00000008-*", ["number_type"], "number_assignments numbers-october.csv", "+12015550102,"),
    ):
        (folder,) = (line_on_old.data / "landing").glob(batch)
        leave_out(folder, columns)
        feed, name = landed.split()
        header, *rows = (line_on_old.folder / name).read_text(encoding="utf-8").splitlines()
        (row,) = (row for row in rows if row.startswith(record))
        again = f"{','.join([header, *columns])}\n{row}{',' * len(columns)}\n"
        (line_on_old.folder / "again.csv").write_text(again, encoding="utf-8")
        printed = line_on_old.must(f"land {feed} again.csv").stdout
        assert "1 row, of which 1 landed (1 duplicate); 0 rejected" in printed


def leave_out(batch: Path, columns: list[str]) -> None:
    """Make a landed batch one whose version did not have these columns yet, in which its rows have nothing."""
    receipt = json.loads((batch / "receipt.json").read_bytes())
    for file in receipt["files"]:
        path = batch / file["name"]
        table = pq.ParquetFile(path).read()
        assert all(table.column(name).null_count == table.num_rows for name in columns)
        pq.write_table(table.drop_columns(columns), path)
        file |= {"bytes": path.stat().st_size, "sha256": hash_of(path)}
        # A receipt of version 0.1.0 names no columns, since its files have all that this version had.
        receipt["columns"] = table.drop_columns(columns).column_names
    (batch / "receipt.json").write_text(json.dumps(receipt, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    sums = hashes(batch)
    del sums["SHA256SUMS"]
    lines = (f"{digest}  {name}\n" for name, digest in sorted(sums.items()))
    (batch / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")


def hashes(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): hash_of(path) for path in folder.rglob("*") if path.is_file()}


def hash_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_statements_of_an_old_month_are_handed_out_with_their_totals(line_on_old):
    """They have no proofs, and entries that later versions would describe in more columns."""
    line_on_old.must("rebuild")
    line_on_old.must("export 2026-09 --each --format html,pdf,xlsx,focus --out out")
    folder = line_on_old.folder / "out" / "month=2026-09"
    with (folder / "index.csv").open(encoding="utf-8", newline="") as handle:
        listed = {(row["account_id"], row["currency"], Decimal(row["total_cost"])) for row in csv.DictReader(handle)}
    frozen = pq.read_table(line_on_old.data / "statements" / "month=2026-09" / "statements.parquet").to_pylist()
    assert listed == {(row["account_id"], row["currency"], row["total_cost"]) for row in frozen}
    assert {path.name for path in folder.glob("account=*/*")} == {
        "statement.html", "statement.pdf", "statement.xlsx", "focus.csv",
    }  # fmt: skip

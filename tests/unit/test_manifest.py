"""Manifests: what is read as one and what is not, what it says of the code, and what a close puts into it.

What does not belong here: how a manifest is proved against its files.
"""

import hashlib
import importlib.metadata
import json
import platform
import subprocess
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestration import files
from orchestration.close import dbt_build, manifests, pinning, publishing, versions
from orchestration.close.content import NO_PREVIOUS, CloseSettings, Counts, InputFile, TableHash, canonical
from orchestration.close.inputs import Inputs, RejectedRow
from orchestration.close.manifests import MANIFEST
from orchestration.close.publishing import Written
from orchestration.close.readback import Figures
from orchestration.errors import Damaged
from orchestration.landing.receipts import RECEIPT
from orchestration.landing.services import Service, Services
from orchestration.settings import PROJECT_ROOT
from orchestration.shape import as_json
from tests.unit.stored import (
    APRIL,
    CHAT,
    HASH,
    LANDED_AT,
    LATE_COUNTS,
    MARCH,
    MAY,
    chain,
    close,
    content,
    counts,
    receipt,
    rejected,
    settings_in,
)

# Reading --------------------------------------------------------------------------------------------------------------


def written(folder: Path, raw: bytes):
    """The settings of a data folder with this as the manifest of March."""
    settings = settings_in(folder)
    (settings.statements / "month=2026-03").mkdir(parents=True)
    (settings.statements / "month=2026-03" / MANIFEST).write_bytes(raw)
    return settings


def test_a_manifest_is_read_as_it_was_written(tmp_path):
    said = content(MARCH, landed_up_to=7, outputs=[
        {"name": name, "bytes": 1, "rows": None, "sha256": HASH} for name in ("a.csv", "usage/b.parquet", "usage.csv")
    ])  # fmt: skip
    raw = canonical(said)
    (read,) = manifests.load(written(tmp_path, raw))
    folder = tmp_path / "data" / "statements" / "month=2026-03"
    assert (read.month, as_json(read.content), read.folder) == (MARCH, said, folder)
    assert read.sha256 == hashlib.sha256(raw).hexdigest()
    assert (read.landed_up_to, read.closed_at.isoformat()) == (7, said["closed_at"])
    assert read.usage_files == [folder / "usage/b.parquet"]


def test_what_manifests_of_the_first_version_do_not_say_is_nothing(tmp_path):
    said = content(MARCH, format=1)
    del said["settings"], said["services"], said["tables"], said["statements_root_sha256"]
    for name in LATE_COUNTS:
        del said["counts"][name]
    said["counts"]["landed"] = 3
    read = manifests.read(written(tmp_path, canonical(said)), MARCH)
    assert read.content.settings == CloseSettings(grace_hours=None, default_currency=None)
    assert read.content.services == Services(rows=[], own_sha256=None)
    assert read.content.statements_root_sha256 is None
    assert read.content.counts.landed == 3
    assert {getattr(read.content.counts, name) for name in LATE_COUNTS} == {0}


@pytest.mark.parametrize(
    "given",
    [
        {"month": "2026-04"},
        {"format": 0},
        {"format": 3},
        {"format": 1},
        {"statements_root_sha256": None},
        {"statements_root_sha256": ""},
        {"statements_root_sha256": HASH[:-1]},
        {"statements_root_sha256": HASH.upper()},
        {"first_month": "2026-3"},
        {"previous_month": "2026-13"},
        {"totals": {"USD": "much"}},
        {"totals_since_first_month": {"USD": ""}},
        {"totals_by_service": [{"service": "", "direction": "", "currency": "USD", "records": 1, "cost": "1,5"}]},
        {"counts": None},
        {"counts": {}},
        {"inputs": None},
    ],
)
def test_what_is_no_manifest_of_the_month_is_damage(tmp_path, given):
    settings = written(tmp_path, canonical(content(MARCH) | given))
    with pytest.raises(Damaged, match=r"manifest\.json is not the manifest that was frozen"):
        manifests.read(settings, MARCH)


def test_the_same_content_in_another_form_is_damage(tmp_path):
    settings = written(tmp_path, json.dumps(content(MARCH), indent=1).encode())
    with pytest.raises(Damaged):
        manifests.read(settings, MARCH)


# Versions -------------------------------------------------------------------------------------------------------------


def test_the_versions_name_all_that_can_make_a_difference():
    digest = hashlib.sha256()
    package = PROJECT_ROOT / "orchestration"
    for path in sorted([*package.rglob("*.py"), *package.rglob("*.sql")]):
        digest.update(str(path.relative_to(package)).encode())
        digest.update(path.read_bytes())
    said = versions.installed()
    commit = said.pop("git_commit")
    assert said == {
        "duckdb": importlib.metadata.version("duckdb"),
        "dbt-core": importlib.metadata.version("dbt-core"),
        "dbt-duckdb": importlib.metadata.version("dbt-duckdb"),
        "dagster": importlib.metadata.version("dagster"),
        "pyarrow": importlib.metadata.version("pyarrow"),
        "tenant-statements": importlib.metadata.version("tenant-statements"),
        "python": platform.python_version(),
        "models_sha256": dbt_build.made_from(),
        "code_sha256": digest.hexdigest(),
        "requirements_sha256": hashlib.sha256((PROJECT_ROOT / "requirements.lock").read_bytes()).hexdigest(),
    }
    # No figure may depend on the engine that computed it.
    assert versions.of_code(said | {"git_commit": commit, "engine": "spark 4.3.0, java 17"}) == said


def test_without_a_lock_no_hash_of_one_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(versions, "LOCK", tmp_path / "requirements.lock")
    assert versions.installed()["requirements_sha256"] is None


def test_the_commit_is_said_where_there_is_one_and_whether_it_is_all(tmp_path, monkeypatch):
    monkeypatch.setattr(versions, "PROJECT_ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert versions.installed()["git_commit"] is None

    def git(*words: str) -> str:
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.com")
        command = ["git", *identity, "-C", str(tmp_path), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    (tmp_path / "code").write_text("one", encoding="utf-8")
    git("init", "--quiet")
    git("add", "code")
    git("commit", "--quiet", "--message=one", "--no-gpg-sign")
    commit = git("rev-parse", "HEAD")
    assert versions.installed()["git_commit"] == commit
    (tmp_path / "code").write_text("two", encoding="utf-8")
    assert versions.installed()["git_commit"] == f"{commit}-dirty"


# Composing ------------------------------------------------------------------------------------------------------------


def inputs(frozen=(), receipts=(), rows=()) -> Inputs:
    return Inputs(
        close=close(MAY, frozen, receipts),
        rejected=rows,
        accepted_rejected=True,
        warnings=["odd before"],
        closed_at=LANDED_AT,
        settings=CloseSettings(grace_hours=12, default_currency="USD"),
        services=Services([Service(*CHAT)], HASH),
    )


@pytest.fixture
def batches(tmp_path):
    """Two batches of cdrs, one without anything for May, and one of tenants, in landing order."""
    made = [
        receipt(1, rows={"2026-04": 1, "2026-05": 2, "2026-08": 4}, folder=tmp_path / "1"),
        rejected(2, {"2026-05": 1}, rows={"2026-05": 3}, folder=tmp_path / "2"),
        receipt(3, rows={"2026-08": 5}, folder=tmp_path / "3"),
        receipt(4, "tenants", {None: 6}, folder=tmp_path / "4"),
        receipt(5, "ip_assignments", folder=tmp_path / "5"),
    ]
    for batch in made:
        batch.folder.mkdir()
        batch.write()
    return made


def test_each_batch_that_was_read_is_named_with_the_files_that_were_opened(batches):
    named = publishing.named_inputs(close(MAY, [], batches))
    assert [(item.feed, item.batch_id) for item in named] == [(batch.feed, batch.batch_id) for batch in batches]
    assert [[file.name for file in item.files] for item in named] == [
        ["cdrs-2026-05.parquet"],
        ["cdrs-2026-05.parquet", "rejected.parquet"],
        ["cdrs-2026-08.parquet"],
        ["tenants-None.parquet"],
        [],
    ]
    assert named[0].files[0] == InputFile("cdrs-2026-05.parquet", 2, batches[0].files[1].sha256)
    assert named[0].receipt_sha256 == files.sha256(batches[0].folder / RECEIPT)
    # Nothing was rejected, so that nothing of August could have cleared it.
    assert [int(item.batch_id[:8]) for item in publishing.named_inputs(close(MAY, [], batches[2:]))] == [4, 5]


def composed(given: Inputs, folder: Path, figures: Figures) -> dict:
    (folder / "a.csv").write_text("a\n", encoding="utf-8")
    hashes, tables = {"a.csv": HASH}, {"usage": TableHash(1, "0")}
    written = Written(folder, hashes, tables, HASH, Counts(**counts(landed=1)), ["odd"], figures, engine="duckdb 1.5.6")
    return as_json(publishing.compose(given, written))


def test_the_first_manifest_begins_the_chain(batches, tmp_path):
    figures = Figures(
        {("voice", "out", "USD"): (1, Decimal("1.50")), ("sms", "in", "EUR"): (2, Decimal(2))},
        {"USD": Decimal("1.50"), "EUR": Decimal(2)},
    )
    row = RejectedRow("batch", 7, "private", "cost_unusable", cleared=False)
    said = composed(inputs(receipts=list(reversed(batches)), rows=[row]), tmp_path, figures)
    chained = {name: said[name] for name in ("first_month", "previous_month", "previous_manifest_sha256")}
    assert chained == {"first_month": "2026-05", "previous_month": None, "previous_manifest_sha256": NO_PREVIOUS}
    assert (said["format"], said["month"], said["landed_up_to"]) == (2, "2026-05", 5)
    assert said["statements_root_sha256"] == HASH
    assert said["versions"]["engine"] == "duckdb 1.5.6"
    assert said["totals"] == said["totals_since_first_month"] == {"USD": "1.50", "EUR": "2"}
    assert said["totals_by_service"] == [
        {"service": "sms", "direction": "in", "currency": "EUR", "records": 2, "cost": "2"},
        {"service": "voice", "direction": "out", "currency": "USD", "records": 1, "cost": "1.50"},
    ]
    chat = {
        "service": "chat",
        "direction": "inbound",
        "attributed_by": "number",
        "unit": "each",
        "section": "messaging",
    }
    assert said["services"] == {"rows": [chat], "own_sha256": HASH}
    assert said["outputs"] == [{"name": "a.csv", "bytes": 2, "rows": None, "sha256": HASH}]
    assert said["rejected"]["rows"] == [
        {"batch_id": "batch", "source_row": 7, "reason": "cost_unusable", "cleared": False}
    ]


def test_each_later_manifest_carries_the_chain_on(batches, tmp_path):
    frozen = chain(MARCH, APRIL)
    figures = Figures({}, {"USD": Decimal("0.25"), "EUR": Decimal(2)})
    said = composed(inputs(frozen, batches), tmp_path, figures)
    chained = {name: said[name] for name in ("first_month", "previous_month", "previous_manifest_sha256")}
    assert chained == {
        "first_month": "2026-03",
        "previous_month": "2026-04",
        "previous_manifest_sha256": frozen.head,
    }
    assert said["totals"] == {"USD": "0.25", "EUR": "2"}
    assert said["totals_since_first_month"] == {"USD": "2.25", "EUR": "2"}
    assert composed(inputs(frozen, batches), tmp_path, Figures({}, {}))["totals_since_first_month"] == {"USD": "2"}


def test_days_without_a_record_are_warned_of(tmp_path):
    (tmp_path / "usage").mkdir()
    rows = pa.table({"record_id": ["a"]})
    for day in MAY.days:
        pq.write_table(rows if day.day not in (1, 2) else rows.slice(1), tmp_path / "usage" / f"day={day:%d}.parquet")
    assert publishing.warnings(inputs(), tmp_path) == ["odd before", "No records on 2026-05-01, 2026-05-02 (UTC)."]
    pq.write_table(rows, tmp_path / "usage" / "day=01.parquet")
    assert publishing.warnings(inputs(), tmp_path) == ["odd before", "No records on 2026-05-02 (UTC)."]
    pq.write_table(rows, tmp_path / "usage" / "day=02.parquet")
    assert publishing.warnings(inputs(), tmp_path) == ["odd before"]


# Pinned counts --------------------------------------------------------------------------------------------------------


def test_rows_count_in_their_month_and_those_of_no_open_month_in_the_first_close_that_knows_of_them():
    by_month = {"": 1, "2026-02": 2, "2026-03": 4, "2026-04": 8, "2026-05": 16, "2026-06": 32}
    rows = {"2026-04": 3, "2026-05": 5, "2026-06": 7}
    receipts = [rejected(number, by_month, rows=rows) for number in (1, 2, 3)]
    receipts += [receipt(4, rows={"2026-06": 1}), receipt(5, rows={"2026-05": 9}), rejected(6, {"2026-05": 1})]
    receipts += [receipt(7, "tenants", {"2026-05": 1})]
    frozen = chain(MARCH, APRIL, landed_up_to=2)
    counted = {int(batch[:8]): counts for batch, *counts in pinning.receipt_counts(close(MAY, frozen, receipts))}
    assert counted == {1: [5, 16], 2: [5, 16], 3: [5, 16 + 1 + 4 + 8], 5: [9, 0], 6: [0, 1]}
    first = {int(batch[:8]): counts for batch, *counts in pinning.receipt_counts(close(MAY, [], receipts))}
    assert first == {1: [5, 16 + 1], 2: [5, 16 + 1], 3: [5, 16 + 1], 5: [9, 0], 6: [0, 1]}

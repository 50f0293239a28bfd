"""End-user details live in the tenant directory and nowhere else (rule 7), and what rejected rows hold in those alone:
told by looking into every byte that a month leaves, from landing to export, with refusals on the way.
"""

import logging
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestration import dagster_run, settings
from orchestration.close import dbt_build
from orchestration.errors import Damaged, Refused
from orchestration.months import Month
from tests.conftest import CommandLine
from tests.unit.deliveries import (
    CONTACT,
    ip_of,
    number_of,
    outbound,
    record,
    tenant,
    write_csv,
    write_jsonl,
    write_parquet,
)

# A month is landed, closed and shown by every command.

FIELDS = [*CONTACT, "address2"]


def canaries(who: str) -> dict[str, str]:
    return {field: f"canary-{who}-{field}" for field in FIELDS}


def refused_tenants(given: Path) -> list[str]:
    """Files of tenants with details in them that are refused, each for another reason and at another depth."""
    whole = tenant("gamma", recorded_at="2026-03-01T00:00:00Z", **canaries("refused"))
    write_csv(given / "id.csv", {**whole, "account_id": "no good"})
    write_csv(given / "late.csv", {**whole, "recorded_at": "2025-01-01T00:00:00Z"})
    write_csv(given / "ahead.csv", {**whole, "recorded_at": "2027-01-01T00:00:00Z"})
    write_csv(given / "zone.csv", {**whole, "recorded_at": "2026-03-01T00:00:00"})
    write_csv(given / "twin.csv", {**whole, "account_id": "ALPHA"})
    write_csv(given / "lacking.csv", {**whole, "name": ""})
    write_csv(given / "archived.csv", {**whole, "archived": "perhaps"})
    # Each value stands one column further on, so that details stand where an id, a flag and a time should.
    slipped = dict(zip(whole, [whole["recorded_at"], *list(whole.values())[:-1]], strict=True))
    write_csv(given / "slipped.csv", slipped)
    write_csv(given / "slipped-time.csv", {**whole, "recorded_at": whole["city"]})
    write_csv(given / "slipped-id.csv", {**whole, "account_id": whole["city"] + " "})
    text = write_csv(given / "whole.csv", whole).read_text(encoding="utf-8")
    header, row = text.splitlines()
    (given / "no-header.csv").write_text(f"{row}\n{row}\n", encoding="utf-8")
    (given / "half-header.csv").write_text(f"{header},{whole['city']},{whole['phone']}\n{row},x,y\n", encoding="utf-8")
    (given / "twice.csv").write_text(f"{row},{whole['city']}\n", encoding="utf-8")
    (given / "long.csv").write_text(f"{header}\n{row},more\n", encoding="utf-8")
    (given / "short.csv").write_text(f"{header}\n{row.rsplit(',', 2)[0]}\n", encoding="utf-8")
    (given / "quote.csv").write_text(text.replace("canary-refused-city", '"canary-refused-city'), encoding="utf-8")
    (given / "early.csv").write_text(text.replace("canary-refused-city", '"canary-refused-city"x'), encoding="utf-8")
    (given / "ends.csv").write_bytes(f"{header}\r\n{row}\n{row}\r\n".encode())
    (given / "bytes.csv").write_bytes(text.replace("gamma Inc", "\xe9").encode("latin-1"))
    (given / "wide.csv").write_bytes(text.encode("utf-16"))
    json_line = write_jsonl(given / "whole.jsonl", whole).read_text(encoding="utf-8")
    (given / "torn.jsonl").write_text(json_line[:-20] + "\n", encoding="utf-8")
    (given / "comma.jsonl").write_text(json_line.replace(", ", ",, ", 5), encoding="utf-8")
    (given / "escape.jsonl").write_text(json_line.replace("canary-refused-city", "\\xcanary-"), encoding="utf-8")
    (given / "name.jsonl").write_text(json_line.replace('"city"', '"canary-refused-city"'), encoding="utf-8")
    (given / "nested.jsonl").write_text(
        json_line.replace('"canary-refused-city"', '["canary-refused-city"]'), encoding="utf-8"
    )
    write_parquet(given / "name.parquet", {**whole, "canary-refused-name": "x"})
    write_parquet(given / "slipped.parquet", slipped)
    write_parquet(given / "bytes.parquet", {**whole, "city": b"canary-\xff"}, types={"city": pa.binary()})
    torn = write_parquet(given / "torn.parquet", *[whole] * 100).read_bytes()
    (given / "torn.parquet").write_bytes(torn[:40] + bytes(400) + torn[440:])
    kept = {"whole.csv", "whole.jsonl", "t.csv", "n.csv", "i.csv"}
    return sorted(path.name for path in given.iterdir() if path.name not in kept)


def rejected_records() -> list[dict]:
    """Records that are rejected, each for another reason, with a mark in every column that takes text."""
    marked = {name: f"mark-{name}" for name in ("call_id", "number", "from_number", "to_number", "source_ip", "x_tenant", "routed_to")}  # fmt: skip
    values = [
        ("cost", "mark-cost"),
        ("cost", "9" * 30),
        ("duration_seconds", "mark-seconds"),
        ("billed_seconds", "mark-billed"),
        ("service", "mark-service"),
        ("direction", "mark-direction"),
        ("currency", "mark-currency"),
        ("started_at", "mark-time"),
        ("record_id", ""),
    ]
    return [record(f"id-mark-{place}", **marked) | {name: value} for place, (name, value) in enumerate(values)]


def texts_of(path: Path) -> Iterator[str]:
    """What a file says: its bytes as they are, and the cells of what stores them compressed."""
    yield path.read_bytes().decode("utf-8", errors="replace")
    if path.suffix == ".parquet":
        yield str(pq.ParquetFile(path).read().to_pylist())
    if path.suffix == ".duckdb":
        with duckdb.connect(str(path), read_only=True) as connection:
            for schema, name in connection.execute(
                "select table_schema, table_name from information_schema.tables"
            ).fetchall():
                yield str(connection.execute(f'select * from "{schema}"."{name}"').fetchall())


def files_with(mark: str, folder: Path) -> set[str]:
    """The files that say it, but for those that were given to be landed."""
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and path.parent.name != "given" and any(mark in text for text in texts_of(path))
    }


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> Iterator[tuple[Path, list[str]]]:
    """A month from landing to export, with refusals on the way. Gives the folder and everything that was printed."""
    folder = tmp_path_factory.mktemp("contacts")
    given = folder / "given"
    given.mkdir()
    (folder / "temporary").mkdir()
    said: list[str] = []

    class Handler(logging.Handler):
        def emit(self, entry: logging.LogRecord) -> None:
            said.append(entry.getMessage())

    handler = Handler()
    logging.getLogger().addHandler(handler)
    # As open as a machine's can be: what is private here is so by our doing.
    mask = os.umask(0)
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in ("DAGSTER_HOME", "STATEMENTS_DATA_DIR"):
            monkeypatch.setenv(name, str(folder / "data"))
        monkeypatch.setattr(tempfile, "tempdir", str(folder / "temporary"))
        line = CommandLine(folder, monkeypatch)

        def run(command: str, exit_status: int = 0) -> None:
            outcome = line.run(command)
            assert outcome.exit_status == exit_status, (command, outcome)
            if command.split()[0] != "rejected":
                said.extend([outcome.stdout, outcome.stderr])

        line.at("2026-03-02T12:00:00+00:00")
        write_csv(given / "t.csv", tenant("alpha", **canaries("alpha")), tenant("beta", **canaries("beta")))
        write_csv(given / "n.csv", number_of("alpha"))
        write_csv(given / "i.csv", ip_of("beta"))
        run("land tenants given/t.csv")
        run("land number_assignments given/n.csv")
        run("land ip_assignments given/i.csv")

        for name in refused_tenants(given):
            run(f"land tenants given/{name}", exit_status=1)
            run(f"tenant add --from given/{name}", exit_status=1)
        for feed in ("cdrs", "number_assignments", "ip_assignments"):
            run(f"land {feed} given/t.csv", exit_status=1)
        new = tenant("gamma", **canaries("added"))
        del new["recorded_at"]
        write_csv(given / "new.csv", new)
        run("tenant add --from given/new.csv")
        run("tenant add --from given/new.csv", exit_status=1)
        write_csv(given / "incomplete.csv", {**new, "account_id": "delta", "city": ""})
        run("tenant add --from given/incomplete.csv", exit_status=1)
        run("tenant archive gamma")
        line.at("2026-04-02T12:00:00+00:00")
        write_csv(
            given / "c.csv", record("in"), outbound("out", source_ip="192.0.2.1"), outbound("x", x_tenant="nobody")
        )
        run("land cdrs given/c.csv")
        write_csv(given / "r.csv", *rejected_records())
        run("land cdrs given/r.csv")
        configuration = settings.load(line.data)
        for month in (Month(2026, 3), Month(2026, 4)):
            with pytest.raises(Refused) as refusal:
                dagster_run.close_through_dagster(configuration, month, accept_rejected=False)
            said.append(str(refusal.value))
        run("close 2026-03", exit_status=1)
        run("close 2026-03 --dry-run")
        run("close 2026-03 --accept-rejected")
        run("close 2026-03")
        run("export 2026-03 --format csv --format parquet --out out")
        run("export 2026-03 --account beta --out out")
        for command in (
            "show 2026-03 alpha",
            "show 2026-03",
            "status",
            "tenant list",
            "explain in",
            "list",
            "rejected",
        ):
            run(command)
            run(f"{command} --json")
        run("assignments +12015550101")
        run("verify")
        (directory,) = (line.data / "landing" / "tenants").glob("00000001-*/tenants.parquet")
        whole = directory.read_bytes()
        directory.chmod(0o644)
        directory.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
        run("verify", exit_status=3)
        run("close 2026-04", exit_status=1)
        line.at("2026-05-02T12:00:00+00:00")
        write_csv(given / "late.csv", record("april", started_at="2026-04-05T00:00:00Z"))
        run("land cdrs given/late.csv")
        with pytest.raises(Damaged) as damage:
            dagster_run.close_through_dagster(configuration, Month(2026, 4), accept_rejected=False)
        said.append(str(damage.value))
        directory.write_bytes(whole)
        directory.chmod(0o444)
        run("verify")
    os.umask(mask)
    logging.getLogger().removeHandler(handler)
    yield folder, said


@pytest.mark.long
def test_the_directory_holds_the_details_so_that_looking_for_them_can_find_them(told):
    folder, _ = told
    found = {name.rsplit("/", 1)[1] for name in files_with("canary-", folder / "data" / "landing" / "tenants")}
    assert found == {"tenants.parquet"}


@pytest.mark.long
def test_no_file_outside_of_the_tenant_directory_holds_any(told):
    folder, _ = told
    found = {name for name in files_with("canary-", folder) if not name.startswith("data/landing/tenants/")}
    assert found == set()


@pytest.mark.long
def test_what_a_rejected_row_held_is_in_the_rejected_rows_alone(told):
    folder, _ = told
    found = files_with("mark-", folder)
    (rejected,) = {name for name in found if name.startswith("data/landing/")}
    assert rejected.endswith("/rejected.parquet")
    # The warehouse has a view over that very file, of which the command `rejected` shows reasons and ids.
    assert found - {rejected} == {"data/warehouse.duckdb"}
    assert b"mark-" not in (folder / "data" / "warehouse.duckdb").read_bytes()


@pytest.mark.long
def test_dbts_own_folders_hold_nothing_of_either(told):
    found = {name for mark in ("canary-", "mark-cost") for name in files_with(mark, dbt_build.DBT_PROJECT)}
    assert found == set()


@pytest.mark.long
def test_what_was_looked_through_is_everything(told):
    folder, _ = told
    places = {path.name for path in (folder / "data").iterdir()}
    assert places >= {"landing", "statements", "dagster", "warehouse.duckdb"}
    (events,) = (folder / "data" / "dagster").rglob("index.db")
    assert b"rejected rows stand against closing" in b"".join(
        path.read_bytes() for path in events.parent.iterdir() if path.is_file()
    )
    assert list((folder / "out").rglob("*.parquet"))


@pytest.mark.long
def test_nothing_that_was_printed_or_logged_holds_any(told):
    _, said = told
    assert any("all fields of a tenant are required" in text for text in said)
    assert any("in a file without a header they are values" in text for text in said)
    assert [text[:300] for text in said if "canary-" in text or "mark-" in text] == []


def test_a_value_that_a_model_could_not_take_is_left_out_of_its_message():
    result = SimpleNamespace(
        node=SimpleNamespace(unique_id="model.x.y", name="y", resource_type="model"),
        status="error",
        message="Runtime Error in model y\n  Conversion Error: Could not convert string 'canary-' to INT32",
        execution_time=0.0,
        failures=None,
    )
    message = dbt_build._result(result).message
    assert message == "Runtime Error in model y Conversion Error: Could not convert string '…' to INT32"


# Who may look ---------------------------------------------------------------------------------------------------------


def modes_below(folder: Path) -> dict[str, str]:
    """What kind a path is of → which modes paths of that kind have."""
    found: dict[str, set[str]] = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        depth = {"statements": 1, "landing": 2}.get(name.parts[0], len(name.parts))
        kind = f"{'sealed' if len(name.parts) > depth else 'private'} {'folder' if path.is_dir() else 'file'}"
        found.setdefault(kind, set()).add(f"{stat.S_IMODE(path.stat().st_mode):o}")
    return {kind: " ".join(sorted(modes)) for kind, modes in found.items()}


@pytest.mark.long
def test_everything_is_its_owners_alone_and_what_is_sealed_nobodys_to_change(told):
    """A batch and a month are read-only, and readable once they are handed on; the folders they lie in let nobody by."""
    folder, _ = told
    assert modes_below(folder / "data") == {
        "private folder": "700",
        "private file": "600",
        "sealed folder": "555",
        "sealed file": "444",
    }
    assert stat.S_IMODE((folder / "data").stat().st_mode) == 0o700


@pytest.mark.long
def test_exports_are_their_makers_alone(told):
    folder, _ = told
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (folder / "out").rglob("*")}
    assert modes == {0o600, 0o700}


@pytest.mark.long
def test_dagsters_servers_are_private_from_their_start(tmp_path):
    program = "import os; os.umask(0); from orchestration.definitions import defs; defs(); print(oct(os.umask(0)))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"STATEMENTS_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "0o77"


@pytest.mark.long
def test_no_copy_of_what_was_given_is_left_in_the_private_build(told):
    folder, _ = told
    assert [path for path in (folder / "data" / "build").rglob("*") if path.is_file()] == []

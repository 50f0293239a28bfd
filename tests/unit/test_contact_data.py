"""End-user details live in the tenant directory and nowhere else (rule 7): told by looking into every byte that is left."""

import logging
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from tests.conftest import CommandLine
from tests.unit.deliveries import CONTACT, ip_of, number_of, outbound, record, tenant, write_csv, write_jsonl

FIELDS = [*CONTACT, "address2"]


def canaries(who: str) -> dict[str, str]:
    return {field: f"canary-{who}-{field}" for field in FIELDS}


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


def files_with_canaries(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).parts[0] if path.parent == folder else str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and any("canary-" in text for text in texts_of(path))
    }


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> Iterator[tuple[Path, list[str]]]:
    """A month from landing to export, with refusals on the way. Gives the folder and everything that was printed."""
    folder = tmp_path_factory.mktemp("contacts")
    given = folder / "given"
    given.mkdir()
    said: list[str] = []

    class Handler(logging.Handler):
        def emit(self, entry: logging.LogRecord) -> None:
            said.append(entry.getMessage())

    handler = Handler()
    logging.getLogger().addHandler(handler)
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in ("DAGSTER_HOME", "STATEMENTS_DATA_DIR"):
            monkeypatch.setenv(name, str(folder / "data"))
        line = CommandLine(folder, monkeypatch)

        def run(command: str, exit_status: int = 0) -> None:
            outcome = line.run(command)
            assert outcome.exit_status == exit_status, outcome
            said.extend([outcome.stdout, outcome.stderr])

        line.at("2026-03-02T12:00:00+00:00")
        write_csv(given / "t.csv", tenant("alpha", **canaries("alpha")), tenant("beta", **canaries("beta")))
        write_csv(given / "n.csv", number_of("alpha"))
        write_csv(given / "i.csv", ip_of("beta"))
        run("land tenants given/t.csv")
        run("land number_assignments given/n.csv")
        run("land ip_assignments given/i.csv")

        bad = canaries("refused")
        whole = tenant("gamma", recorded_at="2026-03-01T00:00:00Z", **bad)
        write_csv(given / "id.csv", {**whole, "account_id": "no good"})
        write_csv(given / "late.csv", {**whole, "recorded_at": "2025-01-01T00:00:00Z"})
        write_csv(given / "zone.csv", {**whole, "recorded_at": "2026-03-01T00:00:00"})
        write_csv(given / "twin.csv", {**whole, "account_id": "ALPHA"})
        write_csv(given / "lacking.csv", {**whole, "name": ""})
        write_csv(given / "archived.csv", {**whole, "archived": "perhaps"})
        text = write_csv(given / "whole.csv", whole).read_text(encoding="utf-8")
        (given / "long.csv").write_text(text.rstrip() + ",more\n", encoding="utf-8")
        (given / "short.csv").write_text(text.rstrip().rsplit(",", 2)[0] + "\n", encoding="utf-8")
        (given / "quote.csv").write_text(text.replace("canary-refused-city", '"canary-refused-city'), encoding="utf-8")
        (given / "bytes.csv").write_bytes(text.replace("gamma Inc", "\xe9").encode("latin-1"))
        json_line = write_jsonl(given / "whole.jsonl", whole).read_text(encoding="utf-8")
        (given / "torn.jsonl").write_text(json_line[:-20] + "\n", encoding="utf-8")
        (given / "nested.jsonl").write_text(
            json_line.replace('"canary-refused-city"', '["canary-refused-city"]'), encoding="utf-8"
        )
        for name in ("id.csv", "late.csv", "zone.csv", "twin.csv", "lacking.csv", "archived.csv", "long.csv", "short.csv",
                     "quote.csv", "bytes.csv", "torn.jsonl", "nested.jsonl"):  # fmt: skip
            run(f"land tenants given/{name}", exit_status=1)

        new = {name: value for name, value in whole.items() if name != "recorded_at"} | canaries("added")
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
        run("close 2026-03 --dry-run")
        run("close 2026-03")
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
    logging.getLogger().removeHandler(handler)
    yield folder, said


def test_the_directory_holds_the_details_so_that_looking_for_them_can_find_them(told):
    folder, _ = told
    found = {name.rsplit("/", 1)[1] for name in files_with_canaries(folder / "data" / "landing" / "tenants")}
    assert found == {"tenants.parquet"}


def test_no_file_outside_of_the_tenant_directory_holds_any(told):
    folder, _ = told
    found = files_with_canaries(folder / "data") | files_with_canaries(folder / "out")
    assert {name for name in found if not name.startswith("landing/tenants/")} == set()


def test_what_was_looked_through_is_everything(told):
    folder, _ = told
    places = {path.name for path in (folder / "data").iterdir()}
    assert places >= {"landing", "statements", "dagster", "warehouse.duckdb"}
    assert list((folder / "data" / "dagster").rglob("*.db"))
    assert list((folder / "out").rglob("*.parquet"))


def test_nothing_that_was_printed_or_logged_holds_any(told):
    _, said = told
    assert any("all fields of a tenant are required" in text for text in said)
    assert [text[:300] for text in said if "canary-" in text] == []


def test_nobody_else_on_the_machine_may_look_into_the_directory(told):
    folder, _ = told
    assert (folder / "data" / "landing" / "tenants").stat().st_mode & 0o777 == 0o700


def test_no_copy_of_what_was_given_is_left_in_the_private_build(told):
    folder, _ = told
    assert [path for path in (folder / "data" / "build").rglob("*") if path.is_file()] == []

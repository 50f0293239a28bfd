"""No text from outside is more than text: not as a value, a name, an argument, a setting or a partition key."""

import csv
import io
import json
import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import duckdb
import pyarrow.parquet as pq
import pytest

from orchestration import dagster_run, layout, screen, settings
from orchestration.close import tables
from orchestration.commands.land import Delivery, land
from orchestration.errors import Refused
from orchestration.months import Month
from orchestration.warehouse import cache, reader
from tests.hostile.conftest import FOLDER, FREE, READ, Hostile
from tests.hostile.malformed import GOOD
from tests.hostile.payloads import MARKER, PAYLOADS, PRODUCT
from tests.reach import FULL, alternately, share
from tests.unit.deliveries import tenant, tree, write_csv, write_jsonl, write_parquet

MARCH = Month(2026, 3)


def test_there_are_as_many_payloads_as_promised():
    assert len(PAYLOADS) >= 150


def assert_no_effect(folder: Path) -> None:
    """Nobody ran a payload: no marker, and nothing beside what was put there."""
    assert list(folder.rglob(MARKER)) == [], "a payload wrote its marker"
    assert not (Path.cwd() / MARKER).exists()


# Values ---------------------------------------------------------------------------------------------------------------


def usage_of(hostile: Hostile) -> dict[str, dict]:
    files = sorted((hostile.data / "statements" / "month=2026-03" / "usage").glob("*.parquet"))
    return {row["record_id"]: row for file in files for row in pq.read_table(file).to_pylist()}


def test_every_value_is_frozen_as_it_came(hostile):
    usage = usage_of(hostile)
    assert len(usage) == len(hostile.records) == 2 * len(PAYLOADS)
    for given in hostile.records:
        stated = usage[given["record_id"]]
        columns = (*FREE, *READ) if given["x_tenant" if "x_tenant" in given else "number"] and given["number"] else ()
        assert {name: stated[name] for name in columns} == {name: given[name] for name in columns}
        if "x_tenant" in given:
            assert stated["x_tenant"] == (given["x_tenant"].strip(" \t") or None)


def test_nothing_is_attributed_to_anybody_for_a_payload(hostile):
    """Records with a payload for a number or a header go to nobody, although an assignment names the same payload."""
    # But blanks around a header are no part of it, and then this one says alpha.
    meant = {f"header-{number}": "alpha" for number, text in enumerate(PAYLOADS.values()) if text == "alpha "}
    attributed = {name: row["account_id"] for name, row in usage_of(hostile).items() if row["account_id"]}
    assert attributed == meant != {}
    reasons = {row["reason"] for row in usage_of(hostile).values()}
    assert reasons <= {None, "number_malformed", "header_malformed", "header_unknown_tenant"}


def test_every_tenant_has_its_name_and_nothing_else_is_there(hostile):
    table = pq.read_table(hostile.data / "statements" / "month=2026-03" / "statements.parquet").to_pylist()
    names = {row["account_id"]: row["tenant_name"] for row in table}
    assert names == {"alpha": "alpha Inc"} | {f"p{number}": text for number, text in enumerate(PAYLOADS.values())}
    with duckdb.connect(str(hostile.data / "warehouse.duckdb"), read_only=True) as connection:
        found = connection.execute("select table_schema, table_name from information_schema.tables").fetchall()
        assert {name for schema, name in found if schema == "statements"} == {
            "statement_documents",
            *(table.name for table in (*tables.TABLES, tables.USAGE)),
        }
        assert connection.execute("select count(*) from statements.usage").fetchone() == (2 * len(PAYLOADS),)
        assert connection.execute("select number from assets.numbers").fetchall() == [("+12015550101",)]


def test_no_template_was_rendered_and_no_formula_reckoned(hostile):
    assert_no_effect(hostile.folder)
    assert hostile.data.name == FOLDER
    for path in hostile.data.rglob("*"):
        if path.suffix in (".csv", ".json", ".yaml"):
            assert PRODUCT not in path.read_text(encoding="utf-8"), path
    assert PRODUCT not in str(list(usage_of(hostile).values()))


def unguarded(cell: str) -> str:
    """What README says a reader of a CSV does: strip one quote from a cell that begins with one."""
    return cell.removeprefix("'")


def test_exports_run_nothing_and_read_back(hostile, line):
    line.must("export 2026-03 --format csv --format parquet --out out")
    line.must("export 2026-03 --account p0 --out out")
    assert_no_effect(hostile.folder)
    out = hostile.folder / "out" / "month=2026-03"
    with (out / "usage.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    exact = {row["record_id"]: row for row in pq.read_table(out / "usage.parquet").to_pylist()}
    assert len(rows) == len(exact) == 2 * len(PAYLOADS)
    texts = ("record_id", "call_id", "number", "from_number", "to_number", "source_ip", "x_tenant")
    for row in rows:
        for name, cell in row.items():
            # What begins so is run, or taken for a number or a number's sign, which a cost is.
            assert cell[:1] not in "=@\t\r\n\x00\uff1d\uff0b\uff0d\uff20" or cell == "", (name, cell)
            assert cell[:1] not in "+-" or name not in texts or cell == ""
        stated = exact[unguarded(row["record_id"])]
        assert {name: unguarded(row[name]) for name in texts} == {name: stated[name] or "" for name in texts}
    shutil.rmtree(out)


# The terminal ---------------------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("command", ["tenant list", "show 2026-03", "show 2026-03 p7", "status", "list", "rejected"])
def test_what_is_printed_is_shown_and_not_obeyed(line, command):
    for printed in (line.must(command).stdout, line.must(f"{command} --json").stdout):
        assert layout.OBEYED.findall(printed) == []
        assert PRODUCT not in printed


@pytest.mark.long
def test_brackets_and_colons_of_a_name_are_its_own(line):
    printed = line.must("tenant list").stdout
    assert PAYLOADS["template: rich's markup"] in printed
    assert ":bomb:" in printed


def test_a_line_of_progress_shows_names_as_they_are(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    for text in PAYLOADS.values():
        with screen.progress(f"Landing {text}") as step:
            step(text)
    printed = terminal.getvalue()
    assert "Landing [/red][link=http://x]y[/]" in printed
    assert "\x1b[31mred" not in printed
    assert "\x9b" not in printed


def test_json_still_says_what_the_names_are(line):
    from typer.testing import CliRunner

    from orchestration.cli import app

    result = CliRunner().invoke(app, ["--data-dir", str(line.data), "tenant", "list", "--json"])
    names = {row["account_id"]: row["tenant_name"] for row in json.loads(result.stdout)}
    assert names == {"alpha": "alpha Inc"} | {f"p{number}": text for number, text in enumerate(PAYLOADS.values())}


# Arguments ------------------------------------------------------------------------------------------------------------

ARGUMENTS = [
    "close {}",
    "close {} --dry-run",
    "show {}",
    "show 2026-03 {}",
    "manifest {}",
    "prove {}",
    "prove nowhere --expect-root {}",
    "prove nowhere --expect-head {}",
    "prove nowhere --manifest {}",
    "explain {}",
    "show 2026-03 --tenants --sort {}",
    "find --number {} --day 2026-03-05",
    "find --number +12015550101 --day {}",
    "find --number +12015550101 --day 2026-03-05 --min-cost {}",
    "explain {} --for-tenant",
    "export {}",
    "export 2026-03 --account {}",
    "export 2026-03 --format {}",
    "export 2026-03 --account nobody --out {}",
    "verify {}",
    "verify 2026-03 --expect-head {}",
    "assign number {} alpha",
    "assign number +12015550101 {}",
    "assign ip {} alpha",
    "assign {} +12015550101 alpha",
    "release number {}",
    "release ip {}",
    "assignments {}",
    "tenant archive {}",
    "tenant add --from {}",
    "land {} cdrs.parquet",
    "land tenants {}",
    "land cdrs cdrs.parquet {}",
    "land tenants tenants.parquet --cutoff {}",
    "sources check {} cdrs.parquet",
    "sources check twilio {}",
    "sources new {}",
    "sources new cdrs.parquet --name {}",
]
PLACES = [(name, command) for name in PAYLOADS for command in ARGUMENTS]
# Nine apart: each payload goes to four or five places, and each place gets payloads of several kinds.
CHOSEN = PLACES[:: 1 if FULL else 9]


@pytest.fixture(scope="module")
def frozen_bytes(hostile) -> dict[str, str]:
    return tree(hostile.data)


@pytest.mark.parametrize("command", alternately(ARGUMENTS))
def test_no_argument_is_more_than_an_argument(hostile, line, frozen_bytes, command):
    texts = {name: PAYLOADS[name] for name, place in CHOSEN if place == command}
    assert len(texts) > 15
    for name, text in texts.items():
        outcome = line.run(command.format(shlex.quote(text)))
        # An option where a value should be is wrong usage, or help; a record that is named like its payload is not there.
        # No system hands a NUL over. A text that is no hash cannot be a head.
        usage = text.startswith("-") or "\x00" in text
        meant = (2,) if "--expect-" in command else (1, 3)
        assert outcome.exit_status in ((0, 1, 2, 3) if usage else meant), (name, outcome)
        assert "Traceback" not in outcome.stderr
        assert layout.OBEYED.findall(outcome.stdout + outcome.stderr) == [], name
        assert PRODUCT not in outcome.stdout + outcome.stderr
    assert_no_effect(hostile.folder)
    assert tree(hostile.data) == frozen_bytes


@pytest.mark.parametrize("command", ARGUMENTS)
def test_an_argument_that_is_no_text_is_refused(line, frozen_bytes, command):
    outcome = line.run(command.format("'\udcff\udcfe'"))
    assert outcome.exit_status == 1
    assert "is not text in UTF-8" in outcome.stderr or "cannot be shown" in outcome.stderr


# Names ----------------------------------------------------------------------------------------------------------------


def file_names() -> dict[str, str]:
    """The payloads that a file system takes for a name."""
    return {
        name: f"{text}.csv"
        for name, text in PAYLOADS.items()
        if not set("/\x00") & set(text) and len(f"{text}.csv".encode()) <= 255
    }


@pytest.mark.long
def test_a_file_name_is_kept_as_it_is_or_refused(tmp_path):
    configuration = settings.load(tmp_path / "data")
    given = [
        write_csv(tmp_path / "given" / name, {**GOOD["cdrs"][0], "record_id": f"r{number}"})
        for number, name in enumerate(share(file_names(), 3).values())
    ]
    kept = [path for path in given if path.name.isprintable()]
    assert len(kept) > 25
    for path in set(given) - set(kept):
        with pytest.raises(Refused, match="cannot be shown"):
            land(configuration, "cdrs", [path], Delivery())
    landings = land(configuration, "cdrs", kept, Delivery())
    assert [(landing.receipt.file_name, landing.receipt.rows) for landing in landings] == [(p.name, 1) for p in kept]
    told = reader.rows(configuration, "select file_name from operations.batches order by batch_id")
    assert [name for (name,) in told] == [path.name for path in kept]
    assert_no_effect(tmp_path)


def test_a_name_of_bytes_outside_of_utf_8_is_refused(tmp_path, monkeypatch):
    path = os.fsencode(tmp_path) + b"/\xff\xfe.csv"
    with open(path, "wb") as handle:  # noqa: PTH123 — a Path cannot be written to here
        handle.write(b"x")
    with pytest.raises(Refused, match="cannot be shown"):
        land(settings.load(tmp_path / "data"), "cdrs", [Path(os.fsdecode(path))], Delivery())


def test_a_data_folder_is_the_folder_of_that_name_or_refused(tmp_path, monkeypatch):
    """Reading and landing; a whole close in a folder of such a name is what all tests here stand on."""
    monkeypatch.setattr(cache, "refresh", lambda _: None)
    monkeypatch.chdir(tmp_path)
    given = write_csv(tmp_path / "t.csv", tenant("alpha"))
    used = 0
    for text in share(PAYLOADS, 3).values():
        if "\x00" in text or "/" in text or len(text.encode()) > 255 or text in (".", "..", "-h"):
            continue
        monkeypatch.setenv("STATEMENTS_DATA_DIR", text)
        before = {path.name for path in tmp_path.iterdir()}
        try:
            configuration = settings.load()
        except Refused:
            assert set("*?[") & set(text) or not text.isprintable()
            continue
        assert configuration.data == tmp_path / text
        land(configuration, "tenants", [given], Delivery())
        assert {path.name for path in tmp_path.iterdir()} - before == {text}
        assert (tmp_path / text / "landing" / "tenants").is_dir()
        used += 1
    assert used > 20
    assert_no_effect(tmp_path)


@pytest.mark.parametrize("feed", GOOD if FULL else ["tenants"])
def test_a_column_name_is_refused_by_a_sentence(tmp_path, monkeypatch, feed):
    monkeypatch.setattr(cache, "refresh", lambda _: None)
    configuration = settings.load(tmp_path / "data")
    writers = [(write_csv, ".csv"), (write_jsonl, ".jsonl"), (write_parquet, ".parquet")]
    for number, text in enumerate(share(PAYLOADS, 3).values()):
        write, suffix = writers[number % 3]
        path = write(tmp_path / f"given{suffix}", {**GOOD[feed][0], text: "x"})
        with pytest.raises(Refused, match=r"unknown columns|cannot be read|is not") as refusal:
            land(configuration, feed, [path], Delivery())
        assert len(str(refusal.value)) < 2_000
    assert list((tmp_path / "data" / "landing" / feed).iterdir()) == []
    assert_no_effect(tmp_path)


# Ordinary words to us, whatever they are elsewhere: no path, no SQL and no device is made of an Account ID.
POSSIBLE_ACCOUNTS = {
    "path: a device",
    "path: a reserved name of Windows",
    "path: a name of ours",
    "path: a manifest",
    "SQL: a comment",
    "SQL: infinity",
    "SQL: a boolean",
    "SQL: null",
    "SQL: a number",
    "SQL: not a number",
}


@pytest.mark.parametrize("feed", ["tenants", "number_assignments", "ip_assignments"] if FULL else ["tenants"])
def test_no_payload_is_an_account_id(tmp_path, monkeypatch, feed):
    monkeypatch.setattr(cache, "refresh", lambda _: None)
    configuration = settings.load(tmp_path / "data")
    for name, text in share(PAYLOADS, 3).items():
        if name in POSSIBLE_ACCOUNTS:
            continue
        path = write_parquet(tmp_path / "given.parquet", {**GOOD[feed][0], "account_id": text})
        with pytest.raises(Refused, match="account_id may hold"):
            land(configuration, feed, [path], Delivery())
    assert list((tmp_path / "data" / "landing" / feed).iterdir()) == []


# Settings -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["STATEMENTS_FIRST_MONTH", "STATEMENTS_DEFAULT_CURRENCY", "STATEMENTS_MEMORY_LIMIT", "STATEMENTS_THREADS",
     "STATEMENTS_GRACE_HOURS"],
)  # fmt: skip
def test_no_payload_is_a_setting(monkeypatch, name):
    for text in PAYLOADS.values():
        if "\x00" in text or (name, text) == ("STATEMENTS_DEFAULT_CURRENCY", "NUL"):
            continue
        monkeypatch.setenv(name, text)
        with pytest.raises(Refused, match=name):
            settings.load()


# Dagster --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def close_job(hostile) -> Iterator[dg.JobDefinition]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in ("STATEMENTS_DATA_DIR", "DAGSTER_HOME"):
            monkeypatch.setenv(name, str(hostile.data))
        from orchestration.definitions import build_defs

        yield build_defs(settings.load()).resolve_job_def("close_month")


def test_no_payload_is_a_partition(hostile, close_job, frozen_bytes):
    with dg.DagsterInstance.ephemeral() as instance:
        for name, text in PAYLOADS.items():
            with pytest.raises(dg.DagsterError):
                close_job.execute_in_process(instance=instance, partition_key=text)
            assert instance.get_runs_count() == 0, name
    assert_no_effect(hostile.folder)
    assert tree(hostile.data) == frozen_bytes


def test_no_payload_is_an_option_of_a_run(hostile, close_job, frozen_bytes):
    with dg.DagsterInstance.ephemeral() as instance:
        for config in (
            *({"accept_rejected": text} for text in PAYLOADS.values()),
            *({text: True} for text in PAYLOADS.values()),
        ):
            with pytest.raises(dg.DagsterError):
                close_job.execute_in_process(
                    instance=instance, partition_key="2026-03", run_config={"ops": {"closing": {"config": config}}}
                )
        assert instance.get_runs_count() == 0
    assert_no_effect(hostile.folder)
    assert tree(hostile.data) == frozen_bytes


def test_a_month_that_is_none_never_reaches_a_close(hostile):
    for text in PAYLOADS.values():
        with pytest.raises(Refused, match="is not a month"):
            Month.parse(text)


def test_the_ui_is_on_this_machine_alone(hostile, monkeypatch):
    started = []

    class Child:
        def __init__(self, arguments, **_):
            started.append(arguments)

        def poll(self):
            return 0

    monkeypatch.setattr(dagster_run.subprocess, "Popen", Child)
    monkeypatch.setattr(dagster_run.signal, "signal", lambda *_: None)
    for name in ("STATEMENTS_DATA_DIR", "DAGSTER_HOME"):
        monkeypatch.setenv(name, "")
    with pytest.raises(Refused, match="The UI did not start"):
        dagster_run.serve(settings.load(hostile.folder / "ui"), 3000)
    (arguments,) = started
    assert arguments[arguments.index("-h") + 1] == "127.0.0.1"

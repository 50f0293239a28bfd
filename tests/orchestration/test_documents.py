"""Statements as people read them: every amount of every format read back and added up, the words, the bytes, the packs."""

import csv
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import openpyxl
import pyarrow.parquet as pq
import pypdfium2
import pytest

from orchestration import clock, settings
from orchestration.commands.close import close_month
from orchestration.demo import carrier
from orchestration.months import Month
from orchestration.reports import packs
from orchestration.settings import PROJECT_ROOT
from tests.conftest import CommandLine, command_line_in
from tests.orchestration.conftest import AFTER_APRIL, closing, land, stand_in
from tests.unit.deliveries import ip_of, number_of, record, tenant

pytestmark = pytest.mark.slow
DOCUMENTS = "html,pdf,xlsx"
MONTH = Month(2026, 3)
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63606060000000040001f61738550000000049454e44ae426082"
)


def frozen(data: Path, month: str, table: str) -> list[dict]:
    return pq.read_table(data / "statements" / f"month={month}" / f"{table}.parquet").to_pylist()


# Reading back ---------------------------------------------------------------------------------------------------------


class Html(HTMLParser):
    """The totals, the rows of the tables and the text of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.totals: dict[str, str] = {}
        self.rows: list[list[str]] = []
        self.text = ""
        self.tags: set[str] = set()
        self.links: list[str] = []
        self._currency: str | None = None
        self._cell = False
        self._open: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        self.tags.add(tag)
        self._open.add(tag)
        self.links += [named[name] for name in ("src", "href", "action") if name in named]
        self._currency = named.get("data-total", self._currency)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self._cell = True
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        self._open.discard(tag)
        if tag == "span":
            self._currency = None
        if tag in ("td", "th"):
            self._cell = False

    def handle_data(self, data):
        if "style" not in self._open:
            self.text += data
        if self._currency:
            self.totals[self._currency] = data
        if self._cell:
            self.rows[-1][-1] += data


def pdf_text(path: Path) -> str:
    with pypdfium2.PdfDocument(path) as document:
        return "\n".join(page.get_textpage().get_text_range() for page in document).replace("\r\n", "\n")


def pdf_totals(text: str) -> dict[str, str]:
    return {currency: total for total, currency in re.findall(r"^([\u2212\d,.]+) ([A-Z]{3})$", text, re.M)}


def amount(text: str) -> Decimal:
    """An amount as English writes it."""
    return Decimal(text.replace(",", "").replace("\u2212", "-"))


def workbook_totals(path: Path) -> dict[str, Decimal]:
    """The totals of the first sheet as they are stored; each formula is calculated again from its cells."""
    stored, formulas = (openpyxl.load_workbook(path, data_only=only) for only in (True, False))
    for sheet in formulas:
        values = stored[sheet.title]
        for cell in (cell for row in sheet.iter_rows() for cell in row if cell.data_type == "f"):
            assert calculated(cell.value, values) == exact(values[cell.coordinate].value), (sheet.title, cell.value)
    return {
        label.removeprefix("Total "): exact(value)
        for label, value, *_ in stored["Statement"].iter_rows(values_only=True)
        if str(label).startswith("Total ")
    }


def calculated(formula: str, values) -> Decimal:
    """`=ROUND(SUM(a:b),9)` or `=ROUND(SUMIF(names,name,costs),9)`, exactly."""
    if plain := re.fullmatch(r"=ROUND\(SUM\((\w+:\w+)\),9\)", formula):
        return sum((exact(cell.value) for (cell,) in values[plain[1]]), Decimal(0))
    if chosen := re.fullmatch(r'=ROUND\(SUMIF\((\w+:\w+),"(\w+)",(\w+:\w+)\),9\)', formula):
        pairs = zip(values[chosen[1]], values[chosen[3]], strict=True)
        return sum((exact(cost.value) for (name,), (cost,) in pairs if name.value == chosen[2]), Decimal(0))
    assert formula == "=ROUND(0,9)", formula
    return Decimal(0)


def exact(value) -> Decimal:
    """A number as a spreadsheet shows it, with at most fifteen digits; or a longer one, which is text."""
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)


# A made-up carrier's month, all tenants, all formats ------------------------------------------------------------------


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Iterator[CommandLine]:
    """The demo's tenants with two closed months of few records, and everything that can be handed out of the second."""
    folder = tmp_path_factory.mktemp("demo")
    with command_line_in(folder) as line, pytest.MonkeyPatch.context() as monkeypatch:
        line.at("2026-04-02T12:00:00+00:00")
        made = carrier.write_feeds(folder / "feeds", clock.now(), months=2, records_per_month=2_500)
        line.must(f"land tenants {made.tenants}")
        line.must(f"land number_assignments {made.number_assignments}")
        line.must(f"land ip_assignments {made.ip_assignments}")
        line.must(f"land cdrs {' '.join(map(str, made.cdrs))}")
        for month in made.months:
            close_month(settings.load(line.data), Month.parse(month), accept_rejected=True, progress=lambda _: None)
        monkeypatch.setattr(packs, "AT_ONCE", 15)
        line.must(f"export {MONTH} --each --detail --format {DOCUMENTS},csv,parquet,focus --out out")
        line.must(f"export {MONTH} --format {DOCUMENTS},focus --out out")
        yield line


@pytest.fixture(scope="module")
def folder(demo) -> Path:
    return demo.folder / "out" / f"month={MONTH}"


@pytest.fixture(scope="module")
def totals(demo) -> dict[str, dict[str, Decimal]]:
    """The frozen total of each tenant and currency."""
    found: dict[str, dict[str, Decimal]] = defaultdict(dict)
    for row in frozen(demo.data, str(MONTH), "statements"):
        found[row["account_id"]][row["currency"]] = row["total_cost"]
    assert len(found) >= 38
    assert {currency for stated in found.values() for currency in stated} == {"USD", "CAD"}
    return found


def read_back(folder: Path, name: str) -> dict[str, dict[str, Decimal]]:
    """The totals that each document of a statement shows."""
    page, text = Html(folder / f"{name}.html"), pdf_text(folder / f"{name}.pdf")
    return {
        "html": {currency: amount(total) for currency, total in page.totals.items()},
        "pdf": {currency: amount(total) for currency, total in pdf_totals(text).items()},
        "xlsx": workbook_totals(folder / f"{name}.xlsx"),
    }


@pytest.mark.long
def test_every_format_of_every_statement_has_the_frozen_total_and_they_add_up(demo, folder, totals):
    """Rule 24: and with what belongs to nobody they are the organization's."""
    sums: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for account, expected in totals.items():
        for form, found in read_back(folder / f"account={account}", "statement").items():
            assert found == expected, (account, form)
            for currency, total in found.items():
                sums[form][currency] += total
    for row in frozen(demo.data, str(MONTH), "unattributed"):
        for form in sums:
            sums[form][row["currency"]] += row["cost"]
    organization = {row["currency"]: row["total_cost"] for row in frozen(demo.data, str(MONTH), "organization")}
    assert read_back(folder, "organization") == dict.fromkeys(("html", "pdf", "xlsx"), organization)
    assert sums == dict.fromkeys(("html", "pdf", "xlsx"), organization)


@pytest.mark.long
def test_every_line_and_number_of_a_statement_is_on_its_page_with_its_frozen_amount(demo, folder, totals):
    lines = defaultdict(list)
    for row in frozen(demo.data, str(MONTH), "statement_lines"):
        lines[row["account_id"]].append((row["record_count"], row["cost"]))
    assets: dict[str, dict[tuple[str, str], Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for row in frozen(demo.data, str(MONTH), "usage_by_asset"):
        assets[row["account_id"]][row["asset"], row["currency"]] += row["cost"]
    for account in totals:
        page = Html(folder / f"account={account}" / "statement.html")
        shown = sorted(
            (int(row[1].replace(",", "")), amount(row[3]))
            for row in page.rows
            if len(row) == 4 and row[1].replace(",", "").isdigit() and not row[0].startswith(("+", "X-Tenant"))
            and not re.fullmatch(r"[0-9a-f.:]+", row[0])
        )  # fmt: skip
        assert shown == sorted(lines[account]), account
        by_asset = sorted(
            amount(row[3]) for row in page.rows
            if len(row) == 4 and row[1] and (row[0].startswith(("+", "X-Tenant")) or re.fullmatch(r"[0-9a-f.:]+", row[0]))
        )  # fmt: skip
        assert by_asset == sorted(assets[account].values()), account


@pytest.mark.long
def test_the_call_detail_of_a_workbook_is_whole(demo, folder, totals):
    usage = defaultdict(list)
    for path in sorted((demo.data / "statements" / f"month={MONTH}" / "usage").glob("*.parquet")):
        for row in pq.read_table(path, columns=["account_id", "record_id", "cost", "number"]).to_pylist():
            usage[row["account_id"]].append((row["record_id"], row["cost"]))
    for account in totals:
        sheet = openpyxl.load_workbook(folder / f"account={account}" / "statement.xlsx", read_only=True)["Calls"]
        head, *rows = sheet.iter_rows(values_only=True)
        calls = [dict(zip(head, row, strict=True)) for row in rows if row[1]]
        assert sorted((call["Record"], exact(call["Cost"])) for call in calls) == sorted(usage[account])
        assert all(isinstance(call["Number or IP"], str) for call in calls)


@pytest.mark.long
def test_a_page_has_the_call_detail_with_the_other_party(demo, folder):
    rows = frozen(demo.data, str(MONTH), "statements")
    account = max(rows, key=lambda row: row["total_cost"])["account_id"]
    page = Html(folder / f"account={account}" / "statement.html")
    calls = [row for row in page.rows if len(row) == 5 and re.match(r"Mar \d+, 2026", row[0])]
    with (folder / f"account={account}" / "usage.csv").open(encoding="utf-8") as handle:
        usage = [row for row in csv.DictReader(handle) if row["line_type"] == "usage"]
    parties = {row["from_number"] if row["direction"] == "inbound" else row["to_number"] for row in usage}
    assert {row[2] for row in calls} <= {party.removeprefix("'") for party in parties}
    assert len(calls) == min(len(usage), 1_000)


@pytest.mark.long
def test_the_numbers_held_at_the_end_are_the_frozen_inventory(demo, folder, totals):
    inventory = defaultdict(set)
    for row in frozen(demo.data, str(MONTH), "number_inventory"):
        inventory[row["account_id"]].add((row["number"], max(row["held_from"], MONTH.start)))
    for account in totals:
        sheet = openpyxl.load_workbook(folder / f"account={account}" / "statement.xlsx", read_only=True)["Numbers held"]
        rows = list(sheet.iter_rows(min_row=2, values_only=True))
        at_end = {
            (number, since.replace(microsecond=0))
            for number, _, since, until in rows
            if (until.month, until.day) == (4, 1)
        }
        assert at_end == {(number, since.replace(tzinfo=None, microsecond=0)) for number, since in inventory[account]}


@pytest.mark.long
def test_a_page_needs_nothing_else_and_runs_nothing(folder, totals):
    for path in [folder / "organization.html", *folder.glob("account=*/statement.html")]:
        page = Html(path)
        assert page.tags.isdisjoint({"script", "link", "iframe", "object", "form"}), path
        assert [link for link in page.links if not link.startswith(("data:", "#"))] == []
        content = path.read_text(encoding="utf-8")
        assert "default-src 'none'" in content
        assert re.search(r"https?://|url\(|@import", content) is None


@pytest.mark.long
def test_no_statement_has_anything_of_another_tenant(demo, folder, totals):
    """Rule 7, invariant 9."""
    names = {row["account_id"]: row["tenant_name"] for row in frozen(demo.data, str(MONTH), "statements")}
    with (demo.folder / "feeds" / "tenants.csv").open(encoding="utf-8") as handle:
        emails = {row["billing_email"] for row in csv.DictReader(handle)}
    assert len(emails) > 30
    for account in totals:
        text = Html(folder / f"account={account}" / "statement.html").text
        text += pdf_text(folder / f"account={account}" / "statement.pdf")
        assert names[account] in text
        assert [other for other, name in names.items() if other != account and name in text] == []
        assert [email for email in emails if email in text] == []


@pytest.mark.long
def test_focus_adds_up_to_each_statement(demo, folder, totals):
    expected = {
        f"{account}/{MONTH}/{currency}": total
        for account, stated in totals.items()
        for currency, total in stated.items()
    }
    for paths in ([folder / "focus.csv"], sorted(folder.glob("account=*/focus.csv"))):
        billed: dict[str, Decimal] = defaultdict(Decimal)
        for path in paths:
            with path.open(encoding="utf-8", newline="") as handle:
                for row in csv.DictReader(handle):
                    billed[row["InvoiceId"]] += Decimal(row["BilledCost"])
        to_nobody = billed.pop("", None)
        assert {name: total for name, total in billed.items() if total} == {
            name: total for name, total in expected.items() if total
        }
        if paths == [folder / "focus.csv"]:
            assert to_nobody == sum(row["cost"] for row in frozen(demo.data, str(MONTH), "unattributed"))


@pytest.mark.long
def test_every_statement_of_a_pack_is_proved_and_its_documents_name_hash_root_and_head(demo, folder, totals):
    """Rule 30."""
    manifest = (demo.data / "statements" / f"month={MONTH}" / "manifest.json").read_bytes()
    root, head = json.loads(manifest)["statements_root_sha256"], hashlib.sha256(manifest).hexdigest()
    for account in sorted(totals)[:3]:
        statement = folder / f"account={account}"
        demo.must(f"prove {statement} --expect-root {root} --expect-head {head}")
        leaf = json.loads((statement / "proof.json").read_bytes())["leaf_sha256"]
        for text in (Html(statement / "statement.html").text, " ".join(pdf_text(statement / "statement.pdf").split())):
            assert [digest[:16] for digest in (leaf, root, head) if digest[:16] not in text] == []


# Packs ----------------------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_the_index_lists_every_statement_and_the_hashes_every_file(folder, totals):
    with (folder / "index.csv").open(encoding="utf-8", newline="") as handle:
        index = list(csv.DictReader(handle))
    assert list(index[0]) == ["account_id", "tenant_name", "currency", "total_cost", "file", "sha256"]
    assert {(row["account_id"], row["currency"]): Decimal(row["total_cost"]) for row in index} == {
        (account, currency): total for account, stated in totals.items() for currency, total in stated.items()
    }
    sums = dict(reversed(line.split("  ")) for line in (folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines())
    written = {str(path.relative_to(folder)) for path in folder.glob("account=*/*")}
    assert {row["file"] for row in index} == written
    assert set(sums) == written | {"index.csv"}
    for name, digest in sums.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert {row["sha256"] for row in index} == {sums[name] for name in written}
    assert list(folder.rglob(".*")) == []


@pytest.mark.long
def test_the_same_month_gives_the_same_bytes_also_in_a_zip(demo, folder):
    def sums(out: str) -> str:
        return (demo.folder / out / f"month={MONTH}" / "SHA256SUMS").read_text(encoding="utf-8")

    demo.at("2027-01-01T00:00:00+00:00")
    for out, options in (("again", ""), ("zips", "--zip"), ("zips-again", "--zip")):
        demo.must(f"export {MONTH} --each --format {DOCUMENTS} {options} --out {out}")
    assert sums("zips") == sums("zips-again")
    before = {line.split("  ")[1]: line for line in (folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines()}
    # Without call detail, which the first pack has.
    again = sums("again").splitlines()
    assert len(again) == 5 * len([name for name in before if name.endswith("statement.pdf")]) + 1
    (archive, *_) = sorted((demo.folder / "zips" / f"month={MONTH}").glob("*.zip"))
    with zipfile.ZipFile(archive) as packed:
        assert [name.split("/") for name in packed.namelist()] == [
            [archive.stem, name]
            for name in ("statement.html", "statement.pdf", "statement.xlsx", "statement.json", "proof.json")
        ]
        for name in packed.namelist():
            unpacked = demo.folder / "again" / f"month={MONTH}" / name
            assert packed.read(name) == unpacked.read_bytes()


@pytest.mark.long
def test_an_interrupted_pack_goes_on_where_it_was(demo, monkeypatch):
    written: list[str] = []
    real = packs._write_one

    def interrupted(source, order, stated):
        if len(written) == 5:
            raise KeyboardInterrupt
        written.append(stated.account_id)
        return real(source, order, stated)

    monkeypatch.setattr(packs, "AT_ONCE", 3)
    monkeypatch.setattr(packs, "_made", lambda s, o, a: (packs._make(s, o, a[i : i + 3]) for i in range(0, len(a), 3)))
    monkeypatch.setattr(packs, "_write_one", interrupted)
    command = f"export {MONTH} --each --format html --out torn"
    assert demo.run(command).exit_status != 0
    folder = demo.folder / "torn" / f"month={MONTH}"
    assert not (folder / "index.csv").exists()
    # Three were noted; one of them is changed, and a line is torn.
    noted = written[:3]
    journal = folder / packs.JOURNAL
    journal.write_text(journal.read_text(encoding="utf-8") + '{"account_id": "x', encoding="utf-8")
    (folder / f"account={noted[0]}" / "statement.html").write_text("changed", encoding="utf-8")
    remade: list[str] = []
    monkeypatch.setattr(packs, "_write_one", lambda s, o, c: (remade.append(c.account_id), real(s, o, c))[1])
    demo.must(command)
    assert set(noted) - set(remade) == set(noted[1:])
    assert not journal.exists()
    demo.must(f"export {MONTH} --each --format html --out whole")
    assert (folder / "SHA256SUMS").read_bytes() == (
        demo.folder / "whole" / f"month={MONTH}" / "SHA256SUMS"
    ).read_bytes()


KILLED = """
import multiprocessing, os, signal, sys
from pathlib import Path
from orchestration import settings
from orchestration.months import Month
from orchestration.reports import export, packs

def progress(line):
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    packs.AT_ONCE = 4
    order = packs.Order(Month.parse(sys.argv[2]), export.Choice(("html",)), Path(sys.argv[3]))
    packs.write(settings.load(Path(sys.argv[1])), order, progress)
"""


@pytest.mark.long
def test_no_process_outlives_a_killed_command(demo):
    program = demo.folder / "killed.py"
    program.write_text(KILLED, encoding="utf-8")
    command = [sys.executable, program, demo.data, str(MONTH), demo.folder / "killed"]
    ended = subprocess.run(
        command,
        cwd=PROJECT_ROOT,
        env=os.environ | {"STATEMENTS_THREADS": "2", "PYTHONPATH": str(PROJECT_ROOT)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    workers = [int(pid) for pid in ended.stdout.split()]
    assert len(workers) == 2
    deadline = time.monotonic() + 60
    while any(is_running(pid) for pid in workers):
        assert time.monotonic() < deadline, workers
        time.sleep(0.1)


def is_running(pid: int) -> bool:
    """Whether a process is there and not only waits for somebody to ask how it ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# Words ----------------------------------------------------------------------------------------------------------------


NAMES = {
    "greek": "Ωμέγα Τηλεπικοινωνίες",
    "cyrillic": "Щука и Ёж",
    "arabic": "شركة الاتصالات",
    "hebrew": "חברת הטלפונים",
    "cjk": "東京電話 서울 北京",
    "thai": "บริษัท",
    "hieroglyph": "Pyramid 𓀀",
    "markup": '<b>"Bold" & #strong[x] $y$',
}


@pytest.fixture(scope="module")
def worded(tmp_path_factory) -> Iterator[CommandLine]:
    """March is closed for tenants with names of many scripts; a number and an IP moved from alpha to beta."""
    with command_line_in(tmp_path_factory.mktemp("worded")) as line:
        line.at("2026-04-02T12:00:00+00:00")
        land(line, "tenants", tenant("alpha"), tenant("beta"), tenant("new", recorded_at="2026-03-10T00:00:00Z"),
             *(tenant(account, name=name) for account, name in NAMES.items()))  # fmt: skip
        land(line, "number_assignments", number_of("alpha"), number_of("beta", recorded_at="2026-03-15T12:00:00Z"),
             number_of("beta", "+12015550109"))  # fmt: skip
        land(line, "ip_assignments", ip_of("alpha"))
        land(line, "cdrs", record("a", cost="123456789.123456789"), record("b", cost="123456789.123456789"),
             record("c", started_at="2026-03-20T00:00:00Z", cost="0.5", duration_seconds="3661"))  # fmt: skip
        closing(line)
        yield line


def handed_out(line: CommandLine, account: str, options: str = "") -> tuple[Html, str, Path]:
    line.must(f"export 2026-03 --account {account} --format {DOCUMENTS} --out out {options}")
    folder = line.folder / "out" / "month=2026-03" / f"account={account}"
    return Html(folder / "statement.html"), pdf_text(folder / "statement.pdf"), folder


def test_numbers_are_held_on_the_days_that_they_were(worded):
    """Rule 12: both tenants held it on the 15th, one before noon, the other after."""
    held = {
        account: [row for row in handed_out(worded, account)[0].rows if len(row) == 3 and row[0].startswith("+")]
        for account in ("alpha", "beta")
    }
    assert [(row[0], row[2]) for row in held["alpha"]] == [("+12015550101", "Mar 1\u2009\u2013\u200915")]
    assert [(row[0], row[2]) for row in held["beta"]] == [
        ("+12015550101", "Mar 15\u2009\u2013\u200931"),
        ("+12015550109", "the whole month"),
    ]


def test_a_partial_month_is_said_in_words(worded):
    page, text, _ = handed_out(worded, "new")
    said = "This is a partial month: the account exists since Mar 10, 2026 00:00:00 UTC."
    assert said in page.text
    assert said in " ".join(text.split())
    assert "There is nothing to charge for this month." in page.text
    assert page.totals == {"USD": "0.00"}


def test_an_amount_of_more_digits_than_a_spreadsheet_keeps_is_text_and_exact(worded):
    page, text, folder = handed_out(worded, "alpha", "--detail")
    assert page.totals == {"USD": "246,913,578.246913578"}
    assert pdf_totals(text) == {"USD": "246,913,578.246913578"}
    sheet = openpyxl.load_workbook(folder / "statement.xlsx", data_only=True)["Lines"]
    assert [row[8].value for row in sheet.iter_rows(min_row=2)] == ["246913578.246913578"] * 2
    calls = openpyxl.load_workbook(folder / "statement.xlsx", data_only=True)["Calls"]
    assert [row[12].value for row in calls.iter_rows(min_row=2)][:2] == ["123456789.123456789"] * 2


@pytest.mark.parametrize("account", [name for name in NAMES if name != "hieroglyph"])
def test_a_name_of_any_script_stands_on_every_format(worded, account):
    page, text, folder = handed_out(worded, account)
    assert NAMES[account] in page.text
    # A reader of a PDF may put a name that runs to the left into the order in which it is seen.
    assert sorted(set(NAMES[account]) - set(" ")) == sorted(set(NAMES[account]) & set(text) - set(" "))
    workbook = openpyxl.load_workbook(folder / "statement.xlsx")
    assert NAMES[account] in [row[1] for row in workbook["Statement"].iter_rows(values_only=True)]


def test_a_character_that_no_font_has_is_refused_by_its_name_and_the_rest_of_a_pack_is_there(worded):
    outcome = worded.run("export 2026-03 --account hieroglyph --format pdf --out out")
    assert outcome.exit_status == 1
    assert "U+13000 EGYPTIAN HIEROGLYPH A001" in outcome.stderr
    everything = worded.run("export 2026-03 --account hieroglyph --format csv,html,pdf,xlsx,focus --out refused")
    assert everything.exit_status == 1
    assert [path for path in (worded.folder / "refused").rglob("*") if path.is_file()] == []
    pack = worded.run("export 2026-03 --each --format pdf --out pack")
    assert (pack.exit_status, "U+13000 EGYPTIAN HIEROGLYPH A001" in pack.stderr) == (1, True)
    assert "10 of 11 statements are in" in pack.stderr
    assert len(list((worded.folder / "pack").rglob("statement.pdf"))) == 10
    assert not list((worded.folder / "pack").rglob("index.csv"))


def test_the_issuer_stands_on_every_format_in_the_declared_language(worded):
    (worded.data / "logo.png").write_bytes(PNG)
    path = worded.data / "statement.toml"
    path.write_text(
        'name = "Muster & Söhne"\naddress = ["Hauptstraße 1", "Köln"]\ncontact = "rechnung, +49 221 5550100"\n'
        'logo = "logo.png"\nlanguage = "de"\n',
        encoding="utf-8",
    )
    try:
        page, text, folder = handed_out(worded, "alpha")
    finally:
        path.unlink()
    for found in (page.text, text):
        assert all(words in found for words in ("Muster & Söhne", "Hauptstraße 1", "rechnung, +49 221 5550100"))
        assert "246.913.578,246913578" in found
        assert "März 2026" in found
    assert [link[:22] for link in page.links] == ["data:image/png;base64,"]
    first = openpyxl.load_workbook(folder / "statement.xlsx")["Statement"]
    assert "Muster & Söhne" in [row[0] for row in first.iter_rows(values_only=True)]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("name = 1", "name is one line of printable text"),
        ("names = 'x'", "'names', which means nothing there"),
        ("language = 'klingon'", "language is a tag such as"),
        ("logo = 'none.png'", "cannot be read"),
        ("logo = 'statement.toml'", "is neither PNG nor JPEG"),
        ("logo = 'torn.png'", "is torn, or no picture"),
        ("address = [1]", "address is a list of lines"),
        ("name = ", "is no TOML"),
    ],
)
def test_a_declaration_that_cannot_be_is_refused_with_its_file(worded, content, words):
    path = worded.data / "statement.toml"
    path.write_text(content, encoding="utf-8")
    (worded.data / "torn.png").write_bytes(PNG[:40])
    try:
        outcome = worded.run("export 2026-03 --account alpha --format html --out out")
    finally:
        path.unlink()
    assert outcome.exit_status == 1
    assert outcome.stderr.startswith(str(path))
    assert words in outcome.stderr


def test_a_correction_stands_apart_with_its_month_before_and_now(closed_april, tmp_path, monkeypatch):
    """Rule 26: in-alpha cost 0.01 in March, and 0.02 since; `late` came after March was closed."""
    line = stand_in(tmp_path, monkeypatch, AFTER_APRIL)
    line.data = closed_april / "data"
    line.must("export 2026-04 --account alpha --format html,xlsx,focus --out out")
    folder = tmp_path / "out" / "month=2026-04" / "account=alpha"
    page = Html(folder / "statement.html")
    rows = {row[3]: row for row in page.rows if len(row) == 8}
    assert rows["in-alpha"][0] == "March 2026"
    assert rows["in-alpha"][4:] == ["0.01 USD", "0.02 USD", "0.01", "caller, cost"]
    assert rows["late"][4:] == ["none", "64.00 USD", "64.00", "arrived after the month was closed"]
    assert page.totals == {"USD": "192.01"}
    assert workbook_totals(folder / "statement.xlsx") == {"USD": Decimal("192.01")}
    with (folder / "focus.csv").open(encoding="utf-8", newline="") as handle:
        charges = [
            (
                row["ChargeClass"],
                row["ChargePeriodStart"][:7],
                row["BillingPeriodStart"][:7],
                Decimal(row["BilledCost"]),
            )
            for row in csv.DictReader(handle)
        ]
    assert sorted(charges) == [
        ("", "2026-04", "2026-04", Decimal(128)),
        ("Correction", "2026-03", "2026-04", Decimal("64.01")),
    ]


def test_an_open_month_and_an_unknown_format_or_tenant_are_refused(worded):
    for command, words in (
        ("export 2026-04 --format pdf", "2026-04 is not closed"),
        ("export 2026-03 --format docx", "docx is no format"),
        ("export 2026-03 --account nobody --format pdf", "'nobody' has no statement for 2026-03"),
        ("export 2026-04 --each --format pdf", "2026-04 is not closed"),
        (f"export 2026-03 --each --out {worded.data}/statements", "belongs to the data folder"),
    ):
        outcome = worded.run(command)
        assert (outcome.exit_status, words in outcome.stderr) == (1, True), outcome
    assert worded.run("export 2026-03 --zip").exit_status == 2
    assert worded.run("export 2026-03 --each --account alpha").exit_status == 2
    assert not (worded.data / "statements" / "month=2026-03" / "month=2026-03").exists()
    shutil.rmtree(worded.folder / "out", ignore_errors=True)
    assert json.loads(worded.must("list --json").stdout)

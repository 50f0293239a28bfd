"""A statement's page in Chromium: on a phone, at A4 and on paper; nothing is fetched, nothing runs, everybody can read it.

What belongs here: what only a browser can tell. What does not: the words and amounts (`tests/orchestration/test_documents.py`).
"""

import dataclasses
import json
import os
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pypdfium2
import pytest
import typst
from playwright.sync_api import Browser, Page, sync_playwright

from orchestration.months import Month
from orchestration.reports.documents import html, page, pdf
from orchestration.reports.documents.contents import (
    Account,
    AssetTotal,
    Call,
    Contents,
    Correction,
    Holding,
    Line,
    MonthTotal,
)
from orchestration.reports.documents.issuer import Issuer
from tests.ui.conftest import FLAGS

MONTH = Month(2026, 10)
START = datetime(2026, 10, 1, tzinfo=UTC)
ISSUER = Issuer(
    name="Lantern Voice LLC",
    address=("1 Harbor Street", "Portland, OR 97201"),
    contact="billing@lantern.example, +1 503 555 0100",
)
LINES = [
    ("outbound", "Outbound calls", 1_078, "3842.300000", "30.814244976"),
    ("outbound", "Outbound calls, high-cost destinations", 52, "224.000000", "16.260797400"),
    ("outbound", "Outbound calls, local presence", 147, "602.300000", "7.227600000"),
    ("inbound", "Inbound calls", 1_054, "3858.500000", "14.672591256"),
    ("inbound", "Inbound calls, toll-free", 376, "1296.300000", "22.203369630"),
    ("inbound", "Caller name lookups", 419, None, "1.634100000"),
    ("messaging", "Text messages sent", 132, None, "0.826550000"),
    ("numbers", "Local numbers, monthly", 37, None, "37.000000000"),
]
# Rule 24: exact sums. Of WCAG 2.2, success criterion 1.4.3: the least contrast of text, AA.
LEAST_CONTRAST, LEAST_CONTRAST_LARGE = 4.5, 3.0
CONTRASTS = """
() => {
  const channels = color => color.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map(c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = element => {
    for (let e = element; e; e = e.parentElement) {
      const color = channels(getComputedStyle(e).backgroundColor);
      if (color.length === 3 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll('main *')]
    .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()))
    .map(e => {
      const [a, b] = [luminance(channels(getComputedStyle(e).color)), luminance(behind(e))].sort((x, y) => y - x);
      const size = parseFloat(getComputedStyle(e).fontSize);
      return {text: e.textContent.trim().slice(0, 40), size, contrast: (a + 0.05) / (b + 0.05)};
    });
}
"""


def statement() -> Contents:
    """A tenant's October with everything that a statement can have."""
    lines = [
        Line("usage", date(2026, 10, 1), title, "outbound", section, title, count, minutes and Decimal(minutes), Decimal(cost), None)
        for section, title, count, minutes, cost in LINES
    ]  # fmt: skip
    late = Line(
        "correction",
        date(2026, 9, 1),
        "x",
        "inbound",
        "inbound",
        "Inbound calls",
        0,
        Decimal(0),
        Decimal("0.001"),
        None,
    )
    usage = sum((line.cost for line in lines), Decimal(0))
    sections = {
        name: sum((line.cost for line in lines if line.section == name), Decimal(0))
        for name in ("outbound", "inbound", "features", "messaging", "numbers")
    }
    months = [Month(2025, 11)]
    while len(months) < 12:
        months.append(months[-1].next)
    totals = ["98.2", "101.5", "87.25", "0", "-3.5", "120.004", "133.1", "128.7", "141.08", "150.999", "127.3"]
    history = [MonthTotal(month, Decimal(total)) for month, total in zip(months, totals, strict=False)]
    account = Account(
        "bigcustomer.mypbx.com/2026-10/USD", "USD", sections, usage, 0, Decimal("0.001"), usage + Decimal("0.001"),
        [*lines, late], [AssetTotal("number", f"+1201555{at:04d}", at, 60 * at, Decimal(at) / 8) for at in range(1, 25)]
        + [AssetTotal("ip", "2001:db8:85a3:1234:5678:8a2e:370:7334", 12, 90, Decimal("1.25")), AssetTotal("X-Tenant header", "bigcustomer.mypbx.com", 3, 90, Decimal("0.25"))],
        [*history, MonthTotal(MONTH, usage + Decimal("0.001"))],
    )  # fmt: skip
    correction = Correction(
        date(2026, 9, 1),
        "C2026-09-0001234",
        START - timedelta(days=5),
        "Inbound calls",
        "USD",
        Decimal("0.002"),
        Decimal("0.003"),
        "USD",
        ["cost"],
    )
    held = [
        Holding("+12015550001", "local", START, MONTH.end),
        Holding("+18005550002", "toll_free", START, START + timedelta(days=14)),
    ]
    return Contents(
        month=MONTH, account_id="bigcustomer.mypbx.com", name="Big Customer, Inc.", first_effective_at=START + timedelta(hours=1),
        archived_at=None, asset_changes=2, peak_channels=5, local_numbers=53, toll_free_numbers=12, accounts=[account],
        holdings=held, corrections=[correction], tenants=[], unattributed=[], manifest_sha256="69f27646b43a1c35" + "0" * 48,
        leaf_sha256="4b1ed542b5c8aa01" + "0" * 48,
        root_sha256="c0ffee42b5c8aa01" + "0" * 48,
    )  # fmt: skip


def calls() -> Iterator[Call]:
    for at in range(40):
        yield Call(
            "usage",
            "number",
            "+12015550001",
            date(2026, 10, 1),
            f"r{at}",
            "usage",
            1,
            START + timedelta(hours=at),
            "Inbound calls",
            "+442071838750",
            61,
            66,
            Decimal("0.004"),
            "USD",
        )


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("statement")
    stated = page.of(statement(), ISSUER, calls())
    html.write(stated, None, folder / "statement.html")
    pdf.write(stated, None, folder / "statement.pdf")
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS.split())
        yield browser
        browser.close()


@pytest.fixture(params=[360, 412, 794, 1280])
def shown(browser: Browser, folder: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The page in a window of this width."""
    shown = browser.new_page(viewport={"width": request.param, "height": 900})
    asked: list[str] = []
    shown.on("request", lambda request: asked.append(request.url))
    shown.on("console", lambda message: asked.append(message.text))
    shown.goto((folder / "statement.html").as_uri())
    assert asked == [(folder / "statement.html").as_uri()]
    yield shown
    shown.close()


def test_nothing_is_wider_than_the_window_and_no_text_is_cut(shown: Page):
    width = shown.viewport_size["width"]
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    beyond = shown.evaluate(
        "width => [...document.querySelectorAll('main *')].filter(e => !e.closest('thead') && e.getBoundingClientRect().right > width + 1).length",
        width,
    )
    assert beyond == 0


def extreme() -> Contents:
    """The same October with the longest amounts, and with ids as long as those of SIP calls and declared sources."""
    huge, long_id = (
        Decimal("-1999999999.999999998"),
        "kamailio-acc@pbx1:8f2c1e4410aa4b779c1d77aa66bb55cc0123456789@sbc2",
    )
    usual = statement()
    account, correction = usual.accounts[0], usual.corrections[0]
    return dataclasses.replace(
        usual,
        accounts=[
            dataclasses.replace(
                account,
                total_cost=huge,
                lines=[dataclasses.replace(line, cost=huge) for line in account.lines],
                assets=[dataclasses.replace(asset, cost=huge) for asset in account.assets],
            )
        ],
        corrections=[dataclasses.replace(correction, record_id=long_id, old=huge, new=huge)],
    )


# Each figure as the lines that it stands on, and whether it touches the cell before it.
FIGURES = """
() => [...document.querySelectorAll('td.num, dd.num, .sum span')].filter(e => e.textContent.trim()).map(e => {
  const range = document.createRange();
  range.selectNodeContents(e);
  const before = document.createRange(), cell = e.previousElementSibling;
  const box = range.getBoundingClientRect();
  if (cell) before.selectNodeContents(cell);
  const other = cell && before.getBoundingClientRect();
  return {
    text: e.textContent,
    lines: new Set([...range.getClientRects()].map(r => Math.round(r.top))).size,
    touches: Boolean(other && other.width && other.bottom > box.top + 2 && other.top < box.bottom - 2
      && other.right > box.left - 4),
  };
})
"""


@pytest.mark.parametrize("width", [360, 390, 794])
def test_no_figure_is_broken_or_touches_another_however_long(browser: Browser, tmp_path, width):
    html.write(page.of(extreme(), ISSUER), None, tmp_path / "statement.html")
    shown = browser.new_page(viewport={"width": width, "height": 900})
    shown.goto((tmp_path / "statement.html").as_uri())
    figures = shown.evaluate(FIGURES)
    assert len(figures) > 50
    assert [figure for figure in figures if figure["touches"]] == []
    assert [figure for figure in figures if figure["lines"] > 1 and " " not in figure["text"]] == []
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    shown.close()


def test_all_text_has_the_contrast_of_wcag_aa(shown: Page):
    found = shown.evaluate(CONTRASTS)
    assert len(found) > 200
    assert [
        text for text in found if text["contrast"] < (LEAST_CONTRAST_LARGE if text["size"] >= 24 else LEAST_CONTRAST)
    ] == []


def test_the_structure_is_there_for_whoever_cannot_see_it(shown: Page):
    assert shown.evaluate("document.documentElement.lang") == "en"
    assert shown.title() == "Statement of Big Customer, Inc., October 2026"
    assert shown.locator("h1").all_inner_texts() == ["Big Customer, Inc."]
    assert shown.locator("main").count() == 1
    headless = shown.evaluate(
        "[...document.querySelectorAll('.details table')].filter(t => !t.querySelector('thead th[scope=col]') || !document.getElementById(t.getAttribute('aria-labelledby'))).length"
    )
    assert headless == 0
    assert shown.locator("img:not([alt])").count() == 0


def test_on_paper_the_first_page_is_the_summary(browser: Browser, folder: Path):
    printed = browser.new_page()
    printed.goto((folder / "statement.html").as_uri())
    printed.pdf(path=folder / "printed.pdf", prefer_css_page_size=True)
    with pypdfium2.PdfDocument(folder / "printed.pdf") as document:
        texts = [sheet.get_textpage().get_text_range() for sheet in document]
        width, height = document[0].get_size()
    assert (round(width), round(height)) == (595, 842)
    assert "Questions about this statement" in texts[0]
    assert "Usage by service" not in texts[0]
    assert "Usage by service" in texts[1]


def test_pictures(browser: Browser, folder: Path):
    """The pictures of the README, when they are asked for."""
    target = Path(os.environ["PICTURES"]) if os.environ.get("PICTURES") else folder
    phone = browser.new_page(viewport={"width": 360, "height": 760})
    phone.goto((folder / "statement.html").as_uri())
    phone.screenshot(path=target / "statement-html.png")
    fonts, families = pdf._fonts()
    inputs = {"page": json.dumps(dataclasses.asdict(page.of(statement(), ISSUER))), "fonts": families, "logo": ""}
    sheets = typst.compile(pdf.TEMPLATE, format="png", ppi=65, sys_inputs=inputs, font_paths=fonts)
    (target / "statement-pdf.png").write_bytes(sheets[0])
    assert (target / "statement-html.png").stat().st_size > 10_000

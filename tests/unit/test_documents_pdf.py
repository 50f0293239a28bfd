"""A PDF of extremes: everything stays on the paper and apart, and a character that it cannot have is named."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import openpyxl
import pypdfium2
import pytest

from orchestration.errors import Refused
from orchestration.months import Month
from orchestration.reports.documents import page, pdf, workbook
from orchestration.reports.documents.contents import Account, Contents, Correction
from orchestration.reports.documents.issuer import Issuer

MARCH = Month(2026, 3)
NONE = Decimal(0)
HUGE = Decimal("-1999999999.999999998")
# As long as the id of a SIP call under a declared source, without a place at which a line would break.
LONG_ID = "kamailio_acc@pbx1:8f2c1e4410aa4b779c1d77aa66bb55cc0123456789abcdef@sbc2.carrier.example.net;tag=as7c2b9e1d"


def contents(name: str = "A", **changes) -> Contents:
    account = Account("a/2026-03/USD", "USD", {"outbound": NONE}, NONE, 0, NONE, NONE, [], [], [])
    corrected = Correction(
        usage_month=date(2026, 2, 1),
        record_id=LONG_ID,
        started_at=datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC),
        title="Inbound calls, local presence",
        currency="USD",
        old=HUGE,
        new=-HUGE,
        new_currency="USD",
        changed=["called party", "billed duration", "cost"],
    )
    stated = Contents(
        month=MARCH, account_id="a", name=name, first_effective_at=None, archived_at=None, asset_changes=0, peak_channels=0,
        local_numbers=0, toll_free_numbers=0, accounts=[account], holdings=[], corrections=[corrected], tenants=[],
        unattributed=[], manifest_sha256="0" * 64, leaf_sha256=None, root_sha256=None,
    )  # fmt: skip
    return replace(stated, **changes)


def written(folder: Path, stated: Contents) -> pypdfium2.PdfDocument:
    pdf.write(page.of(stated, Issuer()), None, folder / "statement.pdf")
    return pypdfium2.PdfDocument(folder / "statement.pdf")


@pytest.mark.parametrize("name", ["A", "W" * 500, "Long name " * 100])
def test_nothing_leaves_the_paper_and_no_letter_stands_on_another(tmp_path, name):
    with written(tmp_path, contents(name)) as document:
        texts = [sheet.get_textpage() for sheet in document]
        for sheet, text in zip(document, texts, strict=True):
            boxes = [
                text.get_charbox(at)
                for at in range(text.count_chars())
                if text.get_text_range(at, 1).strip("\ufffe\r\n ")
            ]
            left, right = min(box[0] for box in boxes), max(box[2] for box in boxes)
            assert left >= 0
            assert right <= sheet.get_width()
            assert on_another(boxes) == []
        whole = "".join("".join(text.get_text_range() for text in texts).split())
    assert LONG_ID in whole
    assert "1,999,999,999.999999998USD" in whole
    assert name.replace(" ", "") in whole


def on_another(boxes: list[tuple[float, ...]]) -> list[tuple[float, ...]]:
    """Boxes in which the middle of an earlier one lies; the letters of a ligature have the same box."""
    found = []
    for at, own in enumerate(boxes):
        x, y = (own[0] + own[2]) / 2, (own[1] + own[3]) / 2
        found += [box for box in boxes[at + 1 :] if box != own and box[0] < x < box[2] and box[1] < y < box[3]]
    return found


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("a\ue000b", "no font that is installed with this software has U+E000"),
        ("a\x07b", "no font that is installed with this software has U+0007"),
        ("a\uffffb", "no font that is installed with this software has U+FFFF"),
        ("ab\ufeffcd", "a tagged PDF may not have U+FEFF ZERO WIDTH NO-BREAK SPACE"),
        ("a\0b", "a tagged PDF may not have U+0000"),
    ],
)
def test_a_character_that_a_pdf_cannot_have_is_named_and_no_other(tmp_path, name, told):
    with pytest.raises(Refused, match="there is no PDF of it") as refused:
        written(tmp_path, contents(name))
    sentence = str(refused.value)
    assert told in sentence
    assert sentence.count("U+") == 1


def test_a_text_that_is_too_long_for_a_cell_says_so_in_the_cell(tmp_path):
    """A cell of a spreadsheet has at most 32,767 units of text; characters beyond the first plane have two."""
    for name, count in (("x" * 32_767, None), ("x" * 32_768, "32,768"), ("\U0001f355" * 20_000, "20,000")):
        stated = contents(name)
        workbook.write(page.of(stated, Issuer()), stated, None, tmp_path / "statement.xlsx")
        rows = openpyxl.load_workbook(tmp_path / "statement.xlsx")["Statement"].iter_rows(values_only=True)
        (shown,) = (row[1] for row in rows if row[0] == "Name")
        assert len(shown.encode("utf-16-le")) // 2 <= 32_767
        if count is None:
            assert shown == name
        else:
            assert shown.endswith(f"\u2026 (cut: {count} characters; HTML and CSV have all)")
            assert name.startswith(shown.partition("\u2026")[0])

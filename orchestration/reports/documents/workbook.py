"""A statement as a workbook (XLSX): every figure as a number that a spreadsheet adds up, whole whatever its length.

What belongs here: sheets, cells and their formats. What does not: the figures (`contents`). A number of more than
fifteen digits would change in a spreadsheet, so it is written as text; so are telephone numbers.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from itertools import groupby
from pathlib import Path
from typing import Any

import xlsxwriter
from xlsxwriter.utility import xl_col_to_name

from orchestration.reports.documents.contents import Call, Contents
from orchestration.reports.documents.page import Page

# A double, which is all that a spreadsheet calculates with, holds every decimal of so many digits.
EXACT_DIGITS = 15
# A sheet has 1,048,576 rows; some stay for the head and the totals.
MOST_ROWS = 1_000_000
# A cell has so many UTF-16 units of text at most.
MOST_TEXT = 32_767
FORMATS: dict[str, dict[str, Any]] = {
    "title": {"bold": True, "font_size": 16, "font_color": "#0B5C7A"},
    "head": {"bold": True, "bottom": 2, "text_wrap": True, "valign": "top", "bg_color": "#F3F6F9"},
    "number head": {
        "bold": True,
        "bottom": 2,
        "text_wrap": True,
        "valign": "top",
        "bg_color": "#F3F6F9",
        "align": "right",
    },
    "group": {"bold": True, "bottom": 2, "bg_color": "#F3F6F9"},
    "label": {"font_color": "#4C5A69"},
    "text": {},
    "count": {"num_format": "#,##0"},
    "amount": {"num_format": "#,##0.00#######"},
    "day": {"num_format": "yyyy-mm-dd", "align": "left"},
    "instant": {"num_format": "yyyy-mm-dd hh:mm:ss", "align": "left"},
    "total": {"bold": True, "top": 1},
    "total amount": {"bold": True, "top": 1, "num_format": "#,##0.00#######"},
    "exact": {"align": "right"},
    "total exact": {"bold": True, "top": 1, "align": "right"},
}
LINE_COLUMNS = [
    ("Type", 11), ("Month", 11), ("Section", 11), ("Service", 38), ("Direction", 10), ("Currency", 9), ("Count", 10),
    ("Minutes", 14), ("Cost", 18),
]  # fmt: skip
CORRECTION_COLUMNS = [
    ("Month", 11), ("Time (UTC)", 20), ("Service", 38), ("Record", 28), ("Before", 16), ("Currency", 9), ("Now", 16),
    ("Currency", 9), ("What changed", 34),
]  # fmt: skip
CALL_COLUMNS = [
    ("By", 16), ("Number or IP", 22), ("Time (UTC)", 20), ("Type", 11), ("Month", 11), ("Entry", 12), ("Service", 38),
    ("Other party", 22), ("Seconds", 10), ("Billed seconds", 10), ("Count", 7), ("Currency", 9), ("Cost", 16),
    ("Record", 28),
]  # fmt: skip
# The columns of numbers, whose heads stand to the right as they do.
NUMBERS = {"Count", "Minutes", "Cost", "Total", "Before", "Now", "Seconds", "Billed seconds"}
Value = str | int | Decimal | date | datetime | None


class _Sheet:
    """A sheet that is written row by row, from the top."""

    def __init__(self, workbook: Any, formats: dict[str, Any], name: str) -> None:
        self._sheet = workbook.add_worksheet(name)
        # On paper: A4 across, as wide as one page.
        self._sheet.set_paper(9)
        self._sheet.set_landscape()
        self._sheet.fit_to_pages(1, 0)
        self._formats = formats
        self.next_row = 0

    def head(self, columns: Sequence[tuple[str, int]]) -> None:
        """The names of the columns, with their widths in characters."""
        for place, (label, width) in enumerate(columns):
            self._sheet.set_column(place, place, width)
            style = "number head" if label in NUMBERS else "head"
            self._sheet.write_string(self.next_row, place, label, self._formats[style])
        self._sheet.freeze_panes(self.next_row + 1, 0)
        self._sheet.repeat_rows(self.next_row)
        self.next_row += 1

    def widths(self, *widths: int) -> None:
        for place, width in enumerate(widths):
            self._sheet.set_column(place, place, width)

    def row(self, values: Sequence[Value], style: str = "text") -> None:
        for place, value in enumerate(values):
            self._write(place, value, style)
        self.next_row += 1

    def sum_row(self, label: str, place: int, formula: str, value: Decimal) -> None:
        """A total: a formula over cells above with the frozen value, or the value as text if it is too long."""
        for empty in range(place):
            self._sheet.write_blank(self.next_row, empty, None, self._formats["total"])
        self._sheet.write_string(self.next_row, 0, label, self._formats["total"])
        if fits(value):
            # Doubles add up to the last place or beside it; nine places are all that an amount has.
            rounded = f"=ROUND({formula},9)"
            self._sheet.write_formula(self.next_row, place, rounded, self._formats["total amount"], float(value))
        else:
            self._sheet.write_string(self.next_row, place, f"{value:f}", self._formats["total exact"])
        self.next_row += 1

    def _write(self, place: int, value: Value, style: str) -> None:
        row, formats = self.next_row, self._formats
        if isinstance(value, str):
            self._sheet.write_string(row, place, _cell_text(value), formats[style])
        elif isinstance(value, Decimal) and not fits(value):
            self._sheet.write_string(row, place, f"{value:f}", formats["exact"])
        elif isinstance(value, Decimal):
            self._sheet.write_number(row, place, float(value), formats["amount"])
        elif isinstance(value, int):
            self._sheet.write_number(row, place, value, formats["count"])
        elif isinstance(value, datetime):
            self._sheet.write_datetime(row, place, value.astimezone(UTC).replace(tzinfo=None), formats["instant"])
        elif isinstance(value, date):
            self._sheet.write_datetime(row, place, value, formats["day"])


def _cell_text(text: str) -> str:
    """A text as a cell takes it; one that is too long says in its cell that it is cut."""
    if len(text.encode("utf-16-le")) // 2 <= MOST_TEXT:
        return text
    note = f"… (cut: {len(text):,} characters; HTML and CSV have all)"
    # A character of two units may stand at the end.
    kept = text.encode("utf-16-le")[: 2 * (MOST_TEXT - len(note))].decode("utf-16-le", "ignore")
    return kept + note


def fits(value: Decimal) -> bool:
    """Whether a spreadsheet keeps every digit of a number."""
    return len(value.normalize().as_tuple().digits) <= EXACT_DIGITS


def write(page: Page, contents: Contents, calls: Iterable[Call] | None, target: Path) -> None:
    """Write the workbook, with call detail if `calls` are handed over. The same statement gives the same bytes."""
    options = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
        "remove_timezone": False,
    }
    with xlsxwriter.Workbook(str(target), options) as workbook:
        workbook.set_properties(
            {"title": page.title, "author": page.issuer_name, "created": contents.month.end.replace(tzinfo=None)}
        )
        formats = {name: workbook.add_format(form) for name, form in FORMATS.items()}

        def sheet(name: str) -> _Sheet:
            return _Sheet(workbook, formats, name)

        _summary(sheet("Statement"), page, contents)
        _lines(sheet("Lines"), contents)
        if contents.account_id is None:
            _tenants(sheet("Tenants"), contents)
            _unattributed(sheet("To nobody"), contents)
        else:
            _assets(sheet("Numbers and IPs"), contents)
            _holdings(sheet("Numbers held"), contents)
        if contents.corrections:
            _corrections(sheet("Corrections"), contents)
        if calls is not None:
            _calls(sheet, contents, calls)


def _summary(sheet: _Sheet, page: Page, contents: Contents) -> None:
    sheet.widths(48, 26)
    sheet.row([page.title], "title")
    sheet.row([])
    for line in (page.issuer_name, *page.issuer_address):
        if line:
            sheet.row([line], "label")
    for label, value in (("Name", page.name), ("Account ID", page.account_id), ("Period", page.period)):
        if value:
            sheet.row([label, value])
    for account in contents.accounts:
        sheet.row([])
        sheet.row([f"Statement {account.statement_id}", account.currency], "group")
        first = sheet.next_row + 1
        parts = [(section.capitalize(), cost) for section, cost in account.sections.items()]
        parts.append(("Corrections of earlier months", account.correction_cost))
        for part in parts:
            sheet.row(part)
        _add_up(sheet, f"Total {account.currency}", (1, first), [cost for _, cost in parts], account.total_cost)
    sheet.row([])
    for sentence in (*page.facts, page.contact, *page.proof):
        if sentence:
            sheet.row([sentence])


def _add_up(sheet: _Sheet, label: str, start: tuple[int, int], values: Sequence[Decimal], total: Decimal) -> None:
    """A total over the rows above, from `start` = (column, first row as a spreadsheet counts) on."""
    place, first = start
    column = xl_col_to_name(place)
    if not values:
        formula = "0"
    elif all(fits(value) for value in values):
        formula = f"SUM({column}{first}:{column}{sheet.next_row})"
    else:
        # Text adds up to nothing, so the total stands there as a number.
        formula = f"{total:f}"
    sheet.sum_row(label, place, formula, total)


def _lines(sheet: _Sheet, contents: Contents) -> None:
    sheet.head(LINE_COLUMNS)
    for account in contents.accounts:
        first = sheet.next_row + 1
        for line in account.lines:
            what: list[Value] = [line.line_type, line.usage_month, line.section, line.title, line.direction]
            sheet.row([*what, account.currency, line.records, line.minutes, line.cost])
        costs = [line.cost for line in account.lines]
        _add_up(sheet, f"Total {account.currency}", (8, first), costs, account.total_cost)


def _assets(sheet: _Sheet, contents: Contents) -> None:
    sheet.head([("By", 16), ("Number or IP", 40), ("Currency", 9), ("Count", 10), ("Minutes", 14), ("Cost", 18)])
    for account in contents.accounts:
        first = sheet.next_row + 1
        for asset in account.assets:
            minutes = (Decimal(asset.seconds) / 60).quantize(Decimal("0.000001"), ROUND_HALF_UP)
            sheet.row([asset.decided_by, asset.asset, account.currency, asset.records, minutes, asset.cost])
        costs = [asset.cost for asset in account.assets]
        _add_up(sheet, f"Usage {account.currency}", (5, first), costs, account.usage_cost)


def _holdings(sheet: _Sheet, contents: Contents) -> None:
    sheet.head([("Number", 20), ("Type", 11), ("Held from (UTC)", 20), ("Held until (UTC)", 20)])
    for held in contents.holdings:
        sheet.row([held.number, (held.number_type or "").replace("_", "-"), held.held_from, held.held_until])


def _tenants(sheet: _Sheet, contents: Contents) -> None:
    sheet.head([("Account ID", 28), ("Tenant", 34), ("Currency", 9), ("Total", 18)])
    for currency, grouped in groupby(sorted(contents.tenants, key=_currency), key=_currency):
        first, tenants = sheet.next_row + 1, list(grouped)
        for total in tenants:
            sheet.row([total.account_id, total.tenant_name, currency, total.total_cost])
        costs = [total.total_cost for total in tenants]
        _add_up(sheet, f"Tenants {currency}", (3, first), costs, sum(costs, Decimal(0)))


def _unattributed(sheet: _Sheet, contents: Contents) -> None:
    sheet.head([("Reason", 28), ("Currency", 9), ("Count", 10), ("Cost", 18)])
    for currency, grouped in groupby(contents.unattributed, key=_currency):
        first, totals = sheet.next_row + 1, list(grouped)
        for total in totals:
            sheet.row([total.reason, currency, total.records, total.cost])
        costs = [total.cost for total in totals]
        _add_up(sheet, f"To nobody {currency}", (3, first), costs, sum(costs, Decimal(0)))


def _currency(total: Any) -> str:
    currency: str = total.currency
    return currency


def _corrections(sheet: _Sheet, contents: Contents) -> None:
    sheet.head(CORRECTION_COLUMNS)
    for correction in contents.corrections:
        before: list[Value] = [correction.old, "" if correction.old is None else correction.currency]
        now: list[Value] = [correction.new, correction.new_currency or ""]
        what: list[Value] = [correction.usage_month, correction.started_at, correction.title, correction.record_id]
        sheet.row([*what, *before, *now, ", ".join(correction.changed)])


def _calls(new_sheet: Callable[[str], _Sheet], contents: Contents, calls: Iterable[Call]) -> None:
    """Every entry, on as many sheets as it takes; each ends with the sum of its rows in each currency."""
    rows, number = iter(calls), 0
    following = next(rows, None)
    while number == 0 or following is not None:
        number += 1
        sheet = new_sheet("Calls" if number == 1 else f"Calls {number}")
        sheet.head(CALL_COLUMNS)
        sums = {account.currency: Decimal(0) for account in contents.accounts}
        is_exact = True
        while following is not None and sheet.next_row <= MOST_ROWS:
            sheet.row(_call_values(following))
            sums[following.currency] += following.cost
            is_exact = is_exact and fits(following.cost)
            following = next(rows, None)
        last = sheet.next_row
        for currency, total in sums.items():
            over = f'SUMIF(L2:L{last},"{currency}",M2:M{last})' if is_exact and last > 1 else f"{total:f}"
            sheet.sum_row(f"Total {currency}", CALL_COLUMNS.index(("Cost", 16)), over, total)


def _call_values(call: Call) -> list[Value]:
    return [
        call.decided_by, call.asset, call.started_at, call.line_type, call.usage_month, call.entry, call.title,
        call.other_party, call.duration_seconds, call.billed_seconds, call.records, call.currency, call.cost,
        call.record_id,
    ]  # fmt: skip

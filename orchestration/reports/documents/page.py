"""A statement as a page of text: headings, sentences, tables and a chart, which HTML and PDF set in the same words.

What belongs here: order, words and the bound of a long table. What does not: any markup (`html`, `pdf`), or the
figures, which stand in `contents`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from itertools import groupby

from orchestration.months import Month
from orchestration.reports.documents.contents import (
    Account,
    AssetTotal,
    Call,
    Contents,
    Correction,
    Line,
)
from orchestration.reports.documents.issuer import Issuer
from orchestration.reports.documents.wording import Wording, places

# A longer table is cut on a page, with the sum of what is left out; a workbook and the CSV are whole.
MOST_ROWS = 500
MOST_CALLS = 1_000
CHART_UNITS = 1_000
NOTHING = "none"
# As many digits of a hash as nobody forges by trying.
SHORT = 16
REASONS = {
    "number_missing": "No number on the record",
    "number_malformed": "Not a possible number",
    "number_unknown": "Number never assigned",
    "number_unassigned": "Number held by nobody",
    "ip_missing": "No source IP on the record",
    "ip_malformed": "Not a possible IP",
    "ip_unknown": "IP never assigned",
    "ip_unassigned": "IP held by nobody",
    "header_malformed": "X-Tenant header is no possible Account ID",
    "header_case_mismatch": "X-Tenant header in another case",
    "header_unknown_tenant": "X-Tenant header names no tenant",
    "tenant_not_yet_created": "Tenant did not exist yet",
    "tenant_archived": "Tenant was archived",
}


@dataclass(frozen=True)
class Column:
    """A column of a table; numbers stand to the right. Those that grow share the width that the others leave."""

    label: str
    is_number: bool = False
    grows: bool = False


@dataclass(frozen=True)
class Row:
    """Cells as text. `kind`: plain, group (a heading over the rows below), subtotal or total."""

    cells: list[str]
    kind: str = "plain"


@dataclass(frozen=True)
class Table:
    title: str
    columns: list[Column]
    rows: list[Row]
    note: str = ""


@dataclass(frozen=True)
class Part:
    """A line of the summary."""

    label: str
    amount: str


@dataclass(frozen=True)
class Total:
    """The total in one currency and the parts that it is the sum of."""

    statement_id: str
    currency: str
    amount: str
    parts: list[Part]


@dataclass(frozen=True)
class Bar:
    """A month of the chart. `base` and `height` are thousandths of the chart's height, from its lower edge."""

    label: str
    amount: str
    base: int
    height: int
    is_this_month: bool


@dataclass(frozen=True)
class Chart:
    title: str
    summary: str
    bars: list[Bar]


@dataclass(frozen=True)
class Page:
    """Everything that a statement shows, in order. `language` is that of numbers and dates; the words are English."""

    title: str
    language: str
    issuer_name: str
    issuer_address: list[str]
    name: str
    account_id: str
    month: str
    period: str
    facts: list[str]
    totals: list[Total]
    charts: list[Chart]
    contact: str
    tables: list[Table]
    proof: list[str]


def of(contents: Contents, issuer: Issuer, calls: Iterable[Call] | None = None) -> Page:
    """The page of a statement; with call detail if `calls` are handed over, up to a bound."""
    wording = Wording(issuer.language, places(_amounts(contents)))
    who = contents.name if contents.account_id else "the organization"
    month = wording.month(contents.month)
    return Page(
        title=f"Statement of {who}, {month}",
        language=issuer.language,
        issuer_name=issuer.name,
        issuer_address=list(issuer.address),
        name=contents.name,
        account_id=contents.account_id or "",
        month=month,
        period=_period(contents, wording),
        facts=_facts(contents, wording),
        totals=[_total(account, wording) for account in contents.accounts],
        charts=[_chart(account, contents.month, wording) for account in contents.accounts if account.history],
        contact=_contact(contents, issuer),
        tables=[table for table in _tables(contents, wording, calls) if table.rows],
        proof=_proof(contents),
    )


def _amounts(contents: Contents) -> Iterator[Decimal]:
    """The amounts that stand one below the other."""
    for account in contents.accounts:
        yield from (account.total_cost, *account.sections.values())
        yield from (line.cost for line in account.lines)
        yield from (asset.cost for asset in account.assets)
    yield from (total.total_cost for total in contents.tenants)
    yield from (total.cost for total in contents.unattributed)


def _period(contents: Contents, wording: Wording) -> str:
    start, last = contents.month.days[0], contents.month.days[-1]
    return f"{wording.day(start)} to {wording.day(last)}, UTC"


def _facts(contents: Contents, wording: Wording) -> list[str]:
    """The sentences that say how to take the figures."""
    facts = []
    if contents.first_effective_at:
        since = wording.instant(contents.first_effective_at)
        facts.append(f"This is a partial month: the account exists since {since} UTC.")
    if contents.archived_at:
        facts.append(f"The account was archived at {wording.instant(contents.archived_at)} UTC. Its charges end there.")
    if contents.peak_channels:
        calls = "1 call was" if contents.peak_channels == 1 else f"{wording.count(contents.peak_channels)} calls were"
        facts.append(f"At most {calls} in progress at once.")
    numbers = [
        f"{wording.count(count)} {kind} number{'' if count == 1 else 's'}"
        for count, kind in ((contents.local_numbers, "local"), (contents.toll_free_numbers, "toll-free"))
        if count
    ]
    if numbers:
        facts.append(f"Held at the end of the month: {' and '.join(numbers)}.")
    if contents.asset_changes:
        changes = wording.count(contents.asset_changes)
        assets = "number or IP address" if contents.asset_changes == 1 else "numbers or IP addresses"
        facts.append(f"Within the month, {changes} {assets} came to the account or left it.")
    if not any(account.lines for account in contents.accounts):
        facts.append("There is nothing to charge for this month.")
    return facts


def _contact(contents: Contents, issuer: Issuer) -> str:
    """Whom a tenant asks; the organization has nobody to ask."""
    if contents.account_id is None:
        return ""
    ids = ", ".join(account.statement_id for account in contents.accounts)
    ask = issuer.contact or "ask the sender of this statement"
    return f"Questions about this statement: {ask}. Please name the statement {ids}."


def _proof(contents: Contents) -> list[str]:
    """How a reader checks that the figures are the frozen ones (rule 30)."""
    proof = [f"Made from the frozen month {contents.month}, head {contents.manifest_sha256[:SHORT]}."]
    if contents.root_sha256:
        proof.append(f"Root of the month's statements {contents.root_sha256[:SHORT]}.")
    if contents.leaf_sha256:
        proof.append(
            f"Hash of this statement {contents.leaf_sha256[:SHORT]}: statement.json and proof.json, beside it, prove "
            "its figures against root and head."
        )
    return proof


def _total(account: Account, wording: Wording) -> Total:
    parts = [
        Part(section.capitalize(), wording.amount(cost))
        for section, cost in account.sections.items()
        if cost or any(line.section == section for line in account.of_type("usage"))
    ]
    if account.correction_count or account.correction_cost:
        parts.append(Part("Corrections of earlier months", wording.amount(account.correction_cost)))
    return Total(account.statement_id, account.currency, wording.amount(account.total_cost), parts)


def _chart(account: Account, month: Month, wording: Wording) -> Chart:
    """The last months as bars over a common zero; a month without a statement in this currency has none."""
    totals = [entry.total for entry in account.history]
    top, bottom = max(Decimal(0), *totals), min(Decimal(0), *totals)
    span = (top - bottom) or Decimal(1)

    def units(value: Decimal) -> int:
        return int((value / span * CHART_UNITS).to_integral_value(ROUND_HALF_UP))

    bars = [
        Bar(
            label=wording.short_month(entry.month),
            amount=wording.amount(entry.total),
            base=units(min(entry.total, Decimal(0)) - bottom),
            height=units(abs(entry.total)),
            is_this_month=entry.month == month,
        )
        for entry in account.history
    ]
    listed = "; ".join(f"{bar.label}: {bar.amount}" for bar in bars)
    return Chart(f"The last months, {account.currency}", f"Totals in {account.currency}: {listed}.", bars)


def _tables(contents: Contents, wording: Wording, calls: Iterable[Call] | None) -> list[Table]:
    tables = []
    for account in contents.accounts:
        tables.append(_usage(contents, account, wording))
        tables.append(_correction_lines(contents, account, wording))
    tables.append(_corrections(contents.corrections, wording))
    for account in contents.accounts:
        tables.append(_assets(account, wording))
    tables.append(_holdings(contents, wording))
    if contents.account_id is None:
        tables.append(_tenants(contents, wording))
        tables.append(_unattributed(contents, wording))
    if calls is not None:
        tables.append(_calls(calls, wording))
    return tables


def _usage(contents: Contents, account: Account, wording: Wording) -> Table:
    """Usage by service, section by section, each with its subtotal."""
    is_organization = contents.account_id is None
    columns = [Column("Service", grows=True), Column("Count", True), Column("Minutes", True)]
    columns += [Column("Attributed", True), Column("To nobody", True)] if is_organization else []
    columns.append(Column("Cost", True))
    rows = []
    for section, grouped in groupby(account.of_type("usage"), key=lambda line: line.section):
        lines = list(grouped)
        rows.append(Row([section.capitalize()], "group"))
        rows += [Row(_line_cells(line, wording)) for line in lines]
        empty = [""] * (len(columns) - 2)
        rows.append(Row([f"{section.capitalize()} in all", *empty, wording.amount(_cost(lines))], "subtotal"))
    if rows:
        empty = [""] * (len(columns) - 2)
        rows.append(Row([f"Usage in {account.currency}", *empty, wording.amount(account.usage_cost)], "total"))
    return Table(f"Usage by service, {account.currency}", columns, rows)


def _line_cells(line: Line, wording: Wording) -> list[str]:
    split = []
    if line.attributed_cost is not None:
        split = [wording.amount(line.attributed_cost), wording.amount(line.cost - line.attributed_cost)]
    minutes = "" if line.minutes is None else wording.minutes(line.minutes)
    return [line.title, wording.count(line.records), minutes, *split, wording.amount(line.cost)]


def _cost(lines: Sequence[Line]) -> Decimal:
    return sum((line.cost for line in lines), Decimal(0))


def _month_of(day: date) -> Month:
    return Month(day.year, day.month)


def _correction_lines(contents: Contents, account: Account, wording: Wording) -> Table:
    columns = [Column("Month"), Column("Service", grows=True), Column("Count", True), Column("Minutes", True)]
    columns += [Column("Attributed", True), Column("To nobody", True)] if contents.account_id is None else []
    columns.append(Column("Cost", True))
    lines = account.of_type("correction")
    rows = [
        Row([wording.month(_month_of(line.usage_month)), *_line_cells(line, wording)]) for line in lines[:MOST_ROWS]
    ]
    rows += _others(len(lines) - len(rows), len(columns), wording, _cost(lines[MOST_ROWS:]))
    if rows:
        empty = [""] * (len(columns) - 2)
        rows.append(Row(["Corrections in all", *empty, wording.amount(account.correction_cost)], "total"))
    return Table(f"Corrections of earlier months, {account.currency}", columns, rows)


def _others(count: int, columns: int, wording: Wording, cost: Decimal) -> list[Row]:
    """A row for what a long table leaves out."""
    if count <= 0:
        return []
    others = "1 other" if count == 1 else f"{wording.count(count)} others"
    return [Row([others, *[""] * (columns - 2), wording.amount(cost)])]


def _more(count: int, noun: str, wording: Wording) -> str:
    """The subject and the verb of a sentence about rows that a page leaves out."""
    return f"{wording.count(count)} more {noun} is" if count == 1 else f"{wording.count(count)} more {noun}s are"


def _corrections(corrections: Sequence[Correction], wording: Wording) -> Table:
    """Each record that is stated otherwise, with its cost before and now."""
    columns = [Column("Month"), Column("Time (UTC)"), Column("Service", grows=True)]
    columns += [Column("Record", grows=True), Column("Before", True), Column("Now", True), Column("Difference", True)]
    columns.append(Column("What changed", grows=True))
    rows = [
        Row(
            [
                wording.month(_month_of(correction.usage_month)),
                wording.instant(correction.started_at),
                correction.title,
                correction.record_id,
                *_change(correction, wording),
                _what_changed(correction),
            ]
        )
        for correction in corrections[:MOST_ROWS]
    ]
    note = ""
    if len(corrections) > MOST_ROWS:
        left = _more(len(corrections) - MOST_ROWS, "correction", wording)
        note = f"{left} in the workbook and in the CSV of this statement."
    return Table("Corrections, record by record", columns, rows, note)


def _change(correction: Correction, wording: Wording) -> list[str]:
    """The cost before, now, and the difference, which two currencies do not have."""
    before, now = correction.old, correction.new
    shown = [NOTHING if before is None else f"{wording.amount(before)} {correction.currency}"]
    shown.append(NOTHING if now is None else f"{wording.amount(now)} {correction.new_currency}")
    if before is not None and now is not None and correction.currency != correction.new_currency:
        return [*shown, ""]
    return [*shown, wording.amount((now or Decimal(0)) - (before or Decimal(0)))]


def _what_changed(correction: Correction) -> str:
    if correction.old is None:
        return "arrived after the month was closed"
    if correction.new is None:
        return "taken back"
    return ", ".join(correction.changed) or "the details of the record"


def _assets(account: Account, wording: Wording) -> Table:
    """The usage once more, by the number, IP or header that brought it to the tenant."""
    columns = [Column("Number or IP", grows=True), Column("Count", True), Column("Minutes", True), Column("Cost", True)]
    rows = [
        Row([_asset(asset), wording.count(asset.records), _minutes_of(asset, wording), wording.amount(asset.cost)])
        for asset in account.assets[:MOST_ROWS]
    ]
    left_out = account.assets[MOST_ROWS:]
    rows += _others(len(left_out), len(columns), wording, sum((asset.cost for asset in left_out), Decimal(0)))
    if rows:
        rows.append(Row([f"Usage in {account.currency}", "", "", wording.amount(account.usage_cost)], "total"))
    return Table(f"Usage by number and IP, {account.currency}", columns, rows)


def _asset(asset: AssetTotal | Call) -> str:
    return f"X-Tenant header {asset.asset}" if asset.decided_by == "X-Tenant header" else asset.asset


def _minutes_of(asset: AssetTotal, wording: Wording) -> str:
    return wording.minutes(Decimal(asset.seconds) / 60) if asset.seconds else ""


def _holdings(contents: Contents, wording: Wording) -> Table:
    columns = [Column("Number"), Column("Type"), Column("Held", grows=True)]
    rows = [
        Row(
            [
                held.number,
                (held.number_type or "").replace("_", "-"),
                "the whole month"
                if (held.held_from, held.held_until) == (contents.month.start, contents.month.end)
                else wording.days(held.held_from, held.held_until),
            ]
        )
        for held in contents.holdings[:MOST_ROWS]
    ]
    more = len(contents.holdings) - MOST_ROWS
    note = f"{_more(more, 'number', wording)} in the workbook of this statement." if more > 0 else ""
    return Table("Numbers held", columns, rows, note)


def _tenants(contents: Contents, wording: Wording) -> Table:
    columns = [
        Column("Account ID", grows=True),
        Column("Tenant", grows=True),
        Column("Currency"),
        Column("Total", True),
    ]
    rows = [
        Row([total.account_id, total.tenant_name, total.currency, wording.amount(total.total_cost)])
        for total in contents.tenants[:MOST_ROWS]
    ]
    more = len(contents.tenants) - MOST_ROWS
    note = f"{_more(more, 'statement', wording)} in the workbook." if more > 0 else ""
    return Table("Statements of the tenants", columns, rows, note)


def _unattributed(contents: Contents, wording: Wording) -> Table:
    columns = [Column("Reason", grows=True), Column("Currency"), Column("Count", True), Column("Cost", True)]
    rows = [
        Row(
            [
                REASONS.get(total.reason, total.reason),
                total.currency,
                wording.count(total.records),
                wording.amount(total.cost),
            ]
        )
        for total in contents.unattributed
    ]
    return Table("Charges that belong to no tenant", columns, rows)


def _calls(calls: Iterable[Call], wording: Wording) -> Table:
    """The call detail of the month's usage, up to a bound, with a subtotal for each number or IP and currency."""
    columns = [Column("Time (UTC)"), Column("Service", grows=True), Column("Other party", grows=True)]
    columns.append(Column("Duration", True))
    columns.append(Column("Cost", True))
    rows: list[Row] = []
    shown = left_out = 0
    usage = (call for call in calls if call.line_type == "usage")
    for (_, currency), grouped in groupby(usage, key=lambda call: (_asset(call), call.currency)):
        cost, heading = Decimal(0), len(rows)
        for call in grouped:
            if shown == MOST_CALLS:
                left_out += 1
                continue
            if len(rows) == heading:
                rows.append(Row([_asset(call)], "group"))
            cost += call.cost
            shown += 1
            rows.append(Row(_call_cells(call, wording)))
        if len(rows) > heading:
            rows.append(Row([f"In all, {currency}", "", "", "", wording.amount(cost)], "subtotal"))
    note = ""
    if left_out:
        note = (
            f"The first {wording.count(MOST_CALLS)} records are here; {_more(left_out, 'record', wording)} in "
            "the workbook and in the CSV of this statement. The last subtotal is that of the records shown."
        )
    return Table("Call detail", columns, rows, note)


def _call_cells(call: Call, wording: Wording) -> list[str]:
    duration = wording.duration(call.duration_seconds) if call.duration_seconds else ""
    return [wording.instant(call.started_at), call.title, call.other_party, duration, wording.amount(call.cost)]

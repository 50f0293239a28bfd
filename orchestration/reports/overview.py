"""The overview: which months are closed, what has landed, what stands against the next close, and what to press.

What belongs here: these answers, and the page `overview.html` that has them for a browser without Dagster. What does
not: how Dagster shows them (`defs.overview`), or the figures of `statements status`, which this sums up.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from html import escape
from typing import Any

import duckdb

from orchestration import clock, engine, files, layout
from orchestration.close import due, manifests
from orchestration.close.readiness import RejectedRowsStand
from orchestration.commands import close
from orchestration.errors import Damaged, Refused
from orchestration.landing import receipts
from orchestration.reports import status
from orchestration.settings import Settings

MONTHS_SHOWN = 24
FEED_COLUMNS = ("feed", "rows", "rejected_rows", "last_landed_at", "cutoff")
NUMBERS = ("records", "rejected", "unattributed", "total", "rows", "rejected_rows")
HEADINGS = {"rejected_rows": "rejected", "last_landed_at": "last landed (UTC)", "cutoff": "complete up to (UTC)"}
PRESS_CLOSE = "Press *Materialize all…* on the job `close_month`, and choose {month}; or `statements close {month}`."


@dataclass(frozen=True)
class Overview:
    """The state of a data folder at an instant. `months`, the newest first, and `feeds` are rows as column → value.

    `obstacle` is the sentence that stands against the close of `next_month`, if one does; `to_press` has Markdown.
    """

    told_at: datetime
    months: Sequence[Mapping[str, Any]]
    feeds: Sequence[Mapping[str, Any]]
    next_month: str | None
    obstacle: str | None
    to_press: str


def look(settings: Settings) -> Overview:
    """The overview as of now. Damage is an obstacle like any other, so that a page can show it."""
    try:
        batches, chain = receipts.load(settings), manifests.load(settings)
        next_month, obstacle, to_press = _next(settings)
    except Damaged as error:
        press = "Nothing. Restore the file from a backup; then `statements verify`."
        return Overview(clock.now(), [], [], None, str(error), press)
    totals = {str(manifest.month): manifest.content.totals for manifest in chain}
    months = [
        {
            "month": row["month"],
            "state": row["state"],
            "records": row["landed_rows"] - row["rejected_rows"],
            "rejected": row["rejected_rows"],
            "unattributed": row["unattributed"],
            # Side by side: amounts of two currencies have no sum.
            "total": " · ".join(
                f"{layout.amount(amount)} {currency}" for currency, amount in _amounts(totals.get(row["month"], {}))
            ),
        }
        for row in reversed(status.months(batches, chain)[-MONTHS_SHOWN:])
    ]
    feeds = [{name: feed[name] for name in FEED_COLUMNS} for feed in status.feeds(batches)]
    return Overview(clock.now(), months, feeds, next_month, obstacle, to_press)


def _amounts(totals: Mapping[str, str]) -> list[tuple[str, Decimal]]:
    return [(currency, Decimal(cost)) for currency, cost in sorted(totals.items())]


def _next(settings: Settings) -> tuple[str | None, str | None, str]:
    """The month to be closed next, what stands against its close, and what to press."""
    try:
        month = due.next_month(settings)
    except Refused as error:
        press = PRESS_CLOSE.format(month="YYYY-MM")
        return None, str(error), f"{press} Or set STATEMENTS_FIRST_MONTH."
    closable_from = month.end + settings.grace
    if clock.now() < closable_from:
        press = (
            f"Nothing. {month} can be closed from {closable_from:%Y-%m-%d %H:%M} UTC; the schedule does it at 12:30."
        )
        return str(month), None, press
    again = PRESS_CLOSE.format(month=month)
    try:
        close.require_closable(settings, month, accept_rejected=False)
    except RejectedRowsStand as error:
        press = (
            "Mend the rows (`statements rejected`) and land them, or leave them out by the run's configuration "
            f"`accept_rejected`. {again}"
        )
        return str(month), error.finding, press
    except Refused as error:
        return str(month), str(error), f"When that is done: {again}"
    except duckdb.Error as error:
        raise Damaged(f"A landed file cannot be read: {engine.first_line(error)}") from error
    return str(month), None, f"Nothing: the schedule closes {month} at 12:30 UTC. At once: {again}"


def refresh_page(settings: Settings) -> Overview:
    """Write `overview.html` anew into the data folder, and put it in place whole. Returns what it has."""
    told = look(settings)
    settings.build.mkdir(parents=True, exist_ok=True)
    content = page(told).encode()
    # Another process may write at the same time; under the same name it writes the same bytes.
    staged = settings.build / f"overview-{hashlib.sha256(content).hexdigest()[:16]}.html"
    staged.write_bytes(content)
    files.swap(staged, settings.overview)
    return told


def page(overview: Overview) -> str:
    """The overview as one page without script, which no text of a file can add to."""
    standing = overview.obstacle or ("Nothing." if overview.next_month else "No month is to be closed yet.")
    return PAGE.format(
        told_at=f"{overview.told_at:%Y-%m-%d %H:%M} UTC",
        next_month=escape(overview.next_month or "not chosen yet"),
        obstacle=escape(standing),
        kind="obstacle" if overview.obstacle else "clear",
        to_press=_with_code(overview.to_press),
        months=_table(overview.months),
        feeds=_table(overview.feeds),
    )


def _with_code(markdown: str) -> str:
    """The two marks that `to_press` uses: `code` and *button*."""
    text = escape(markdown)
    for mark, tag in (("`", "code"), ("*", "strong")):
        pieces = text.split(mark)
        text = "".join(piece if place % 2 == 0 else f"<{tag}>{piece}</{tag}>" for place, piece in enumerate(pieces))
    return text


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return "<p>None.</p>"
    head = "".join(f'<th class="{_kind(name)}">{escape(HEADINGS.get(name, name))}</th>' for name in rows[0])
    body = "".join(f"<tr>{''.join(_cell(name, value, row) for name, value in row.items())}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(name: str, value: Any, row: Mapping[str, Any]) -> str:
    text = escape(layout.cell(value))
    if name == "month" and row["state"] == "closed":
        text = f'<a href="statements/month={text}/">{text}</a>'
    return f'<td class="{_kind(name)}">{text}</td>'


def _kind(name: str) -> str:
    return "number" if name in NUMBERS else "text"


PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>Statements: overview</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1c1c28; }}
h1 {{ font-size: 1.5rem; margin-bottom: 0; }}
h2 {{ font-size: 1.1rem; margin-top: 2rem; }}
.told {{ color: #5c5c70; margin-top: 0; }}
.obstacle, .clear {{ border-left: .3rem solid #b3261e; padding: .5rem 1rem; background: #f8f8fb; }}
.clear {{ border-color: #1e7d3c; }}
dt {{ font-weight: 600; }}
dd {{ margin: 0 0 .7rem; overflow-wrap: anywhere; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #dcdce4; }}
.number {{ text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }}
</style>
</head>
<body>
<h1>Overview</h1>
<p class="told">As of {told_at}</p>
<dl class="{kind}">
<dt>Next month to be closed</dt><dd>{next_month}</dd>
<dt>Stands against its close</dt><dd>{obstacle}</dd>
<dt>To press</dt><dd>{to_press}</dd>
</dl>
<h2>Months</h2>
{months}
<h2>Landed</h2>
{feeds}
</body>
</html>
"""

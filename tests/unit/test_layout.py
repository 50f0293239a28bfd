"""Tables on terminals of every usual width: no number, month, time or id is broken or lost, whatever the width."""

import io
import re
import sys
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from rich.console import Console

from orchestration import layout, months, screen
from orchestration.layout import Look

WIDTHS = (60, 80, 120, 220)
LINES = [
    {
        "section": section,
        "service": service,
        "direction": "outbound",
        "record_count": count,
        "minutes": Decimal(minutes),
        "cost": Decimal(cost),
    }
    for section, service, count, minutes, cost in (
        ("outbound", "outbound_local_presence", 1078, "3842.300000", "30.814244976"),
        ("features", "voicemail_transcription", 3, "200.933333", "1850.143542424"),
        ("messaging", "sms_sent", 1, "0.000000", "-0.020000000"),
    )
]
FEEDS = [
    {
        "feed": "number_assignments",
        "last_landed_at": datetime(2026, 11, 2, 7, 15, 9, tzinfo=UTC),
        "batch_id": "00000012-0123456789ab",
        "manifest_sha256": "0123456789abcdef" * 4,
        "rows": 1234567,
        "month": "2026-10",
        "warning": "number_assignments: complete up to 2026-10-30 00:00:00 UTC only, before the month's end.",
        "nothing": None,
    }
]


def printed(rows, width: int | None, look: Look | None = None) -> str:
    laid_out, _ = layout.table(rows, list(rows[0]), look or Look(), width)
    console = Console(file=io.StringIO(), width=width or 100_000, color_system=None, soft_wrap=True)
    console.print(laid_out)
    return console.file.getvalue()


def words(text: str) -> set[str]:
    return set(re.split(r"[\s│┃━╇┼─]+", text))


@pytest.mark.parametrize("width", WIDTHS)
def test_no_number_month_time_or_id_is_broken_or_lost(width):
    assert words(printed(LINES, width)) >= {
        "outbound_local_presence", "voicemail_transcription", "1,078", "3", "1", "3,842.30", "200.933333", "0.00",
        "30.814244976", "1,850.143542424", "-0.02",
    }  # fmt: skip
    assert words(printed(LINES, width)) >= {"service", "direction", "record", "count", "cost"}
    found = printed(FEEDS, width)
    assert words(found) >= {
        "number_assignments",
        "00000012-0123456789ab",
        "0123456789abcdef" * 4,
        "1,234,567",
        "2026-10",
    }
    assert "2026-11-02 07:15:09" in found


@pytest.mark.parametrize("width", WIDTHS)
def test_no_line_is_wider_than_the_terminal_but_for_a_single_long_word(width):
    for rows in (LINES, FEEDS):
        for line in printed(rows, width).splitlines():
            assert len(line.rstrip()) <= width or len(line.split()) <= 3, line


def test_a_sentence_is_broken_between_words_before_anything_else_gives_way():
    rows = [{"month": "2026-10", "warning": "No extract has landed since the month ended, so look.", "rows": 5}]
    found = printed(rows, 40)
    assert len(found.splitlines()) > 3
    assert words(found) >= {"2026-10", "extract", "landed", "look.", "5"}
    assert "━╇━" in found


def test_columns_that_may_go_do_so_in_their_order_and_are_named():
    names = list(LINES[0])
    for width, gone in ((220, []), (82, ["section"]), (64, ["section", "minutes"])):
        assert layout.table(LINES, names, Look(may_go=("section", "minutes")), width)[1] == gone


def test_a_block_for_each_row_has_every_value_and_leaves_out_the_empty_ones():
    found = printed(FEEDS, 60)
    assert "╇" not in found
    assert re.search(r"^rows +1,234,567$", found, re.MULTILINE)
    assert "nothing" not in found


def test_amounts_stand_with_their_points_below_each_other():
    found = [line.split("│")[-2:] for line in printed(LINES, 220).splitlines()[2:]]
    assert [minutes.strip() for minutes, _ in found] == ["3,842.30", "200.933333", "0.00"]
    for column in zip(*found, strict=True):
        assert len({cell.index(".") for cell in column}) == 1


def test_what_is_piped_keeps_whole_lines():
    found = printed(FEEDS, None)
    assert len(found.splitlines()) == 3
    assert FEEDS[0]["warning"] in found


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""), (True, "yes"), (False, "no"), (0, "0"), (1234, "1,234"), (Decimal("1234567.5"), "1,234,567.50"),
        (Decimal("-0.000000001"), "-0.000000001"), (Decimal("1E+3"), "1,000.00"), (date(2026, 10, 1), "2026-10-01"),
        (datetime(2026, 10, 1, tzinfo=UTC), "2026-10-01 00:00:00"), ("+12015550101", "+12015550101"),
        ({"CAD": Decimal("26.90"), "USD": Decimal("1169.7")}, "CAD 26.90, USD 1,169.70"), ("\x1b[31m", "\\u001b[31m"),
    ],
)  # fmt: skip
def test_a_value_as_a_person_reads_it(value, text):
    assert layout.cell(value) == text


def test_what_is_to_be_copied_and_what_names_something_has_no_groups():
    assert "1,234" not in printed([{"source_row": 1234}], 80)
    assert "1850.143542424" in printed(LINES, 220, Look(grouped=False))


def test_one_and_many():
    assert [layout.counted(n, "row") for n in (0, 1, 2, 1234)] == ["0 rows", "1 row", "2 rows", "1,234 rows"]
    assert layout.counted(2, "entry", "entries") == "2 entries"


def test_days_in_a_row_are_named_by_the_first_and_the_last():
    listed = "No records on 2026-02-27, 2026-02-28, 2026-03-01, 2026-03-05, 2026-03-07, 2026-03-08 (UTC)."
    assert months.with_ranges(listed) == (
        "No records on 2026-02-27 to 2026-03-01, 2026-03-05, 2026-03-07 to 2026-03-08 (UTC)."
    )
    assert months.with_ranges("No records on 2026-02-27 (UTC).") == "No records on 2026-02-27 (UTC)."


def test_a_long_table_tells_how_many_rows_it_leaves_out(capsys):
    screen.table("Rows", [{"row": at} for at in range(1_001)])
    printed = capsys.readouterr().out
    assert "999" in printed
    assert printed.splitlines()[-2].strip() == "999"
    assert printed.endswith("These are the first 1,000 of 1,001 rows; --json has all of them.\n")
    screen.table("Rows", [{"row": at} for at in range(1_000)])
    assert "These are" not in capsys.readouterr().out
    screen.table("Rows", [{"row": at} for at in range(1_000)], total=2_500_000)
    assert capsys.readouterr().out.endswith("These are the first 1,000 of 2,500,000 rows; --json has all of them.\n")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_sentence_on_a_terminal_breaks_between_words_and_a_command_not_at_all(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    sentence = "  Total 1,850.143542424 USD (usage 1,850.143542424, corrections 0.00); at most 5 calls at once."
    screen.say(sentence)
    lines = terminal.getvalue().splitlines()
    assert len(lines) == 2
    assert all(line.startswith("  ") and len(line) <= 60 for line in lines)
    assert " ".join(terminal.getvalue().split()) == sentence.strip()
    terminal.truncate(0)
    command = "statements --data-dir /srv/statements explain C2026-10-0000898 and so on and on and on"
    screen.line(command)
    assert command in terminal.getvalue()
    monkeypatch.setenv("COLUMNS", "64")
    screen.table("Lines", LINES, None, Look(may_go=("section", "minutes")))
    assert "This terminal has no room for section, minutes; --json has all of it." in " ".join(
        terminal.getvalue().split()
    )

"""A sheet of a workbook (.xlsx) as CSV: each cell as the text that a spreadsheet shows, dates by their number format.

What belongs here: bounds, and how a cell is written. What does not: which columns there are (`reading`). openpyxl is
imported when there is a workbook: a close imports this module too, and has none.

A workbook stores numbers as doubles, and a spreadsheet shows 15 digits of them; so does this. A cell that is text stays
exact.
"""

import csv
import io
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, cast
from xml.etree.ElementTree import ParseError

import pyarrow as pa

from orchestration.errors import Refused
from orchestration.landing.input_files import BLOCK, LONGEST_LINE

# The rows of a sheet, and how many parts a workbook may have, of how many bytes beside its sheets: shared texts are
# read whole.
MOST_ROWS = 1_048_576
MOST_MEMBERS = 1_000
LARGEST_MEMBER = 64_000_000
SHEETS = "xl/worksheets/"
# A row in a sheet's XML ends so, with whatever prefix.
ROW_END = b"row>"
UNREADABLE = (
    zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError, KeyError, ValueError,
    TypeError, IndexError, AttributeError, ParseError,
)  # fmt: skip


def write_csv(path: Path, sheet: str | None, skip_lines: int, target: Path) -> None:
    """Write the rows of a sheet, from the header on, as CSV that is packed with zstd. Blank rows are left out."""
    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        _require_bounded(path)
        workbook = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
        try:
            rows = _rows(path, workbook, sheet, skip_lines)
            with (
                pa.output_stream(str(target), compression="zstd") as packed,
                io.TextIOWrapper(cast(BinaryIO, packed), encoding="utf-8", newline="") as handle,
            ):
                csv.writer(handle, lineterminator="\n").writerows(rows)
        finally:
            workbook.close()
    except Refused:
        raise
    except (*UNREADABLE, InvalidFileException) as error:
        raise Refused(f"{path} is not a whole workbook (.xlsx). Nothing of it was landed.") from error


def _require_bounded(path: Path) -> None:
    """Refuse a workbook whose parts, unpacked, would not fit in bounded memory, whatever they say of themselves."""
    with zipfile.ZipFile(path) as workbook:
        members = workbook.infolist()
        if len(members) > MOST_MEMBERS:
            raise Refused(f"{path} has {len(members):,} parts; a workbook has at most {MOST_MEMBERS:,}.")
        for member in members:
            if not member.filename.startswith(SHEETS):
                if member.file_size > LARGEST_MEMBER:
                    raise Refused(f"{path} has a part of more than {LARGEST_MEMBER:,} bytes beside its sheets.")
                continue
            with workbook.open(member) as sheet:
                reach = 0
                while block := sheet.read(BLOCK):
                    ends = block.find(ROW_END)
                    if reach + (ends if ends >= 0 else len(block)) > 2 * LONGEST_LINE:
                        raise Refused(f"{path} has a row of more than {LONGEST_LINE:,} bytes.")
                    reach = reach + len(block) if ends < 0 else len(block) - block.rfind(ROW_END)


def _rows(path: Path, workbook: Any, sheet: str | None, skip_lines: int) -> Iterator[list[str]]:
    """The rows that hold something, as wide as the header."""
    names = workbook.sheetnames
    if sheet is None and len(names) > 1:
        raise Refused(f'{path} has {len(names)} sheets: name the one to read, as in sheet = "Calls".')
    if sheet is not None and sheet not in names:
        raise Refused(f"{path} has no sheet that is called {sheet}.")
    worksheet = workbook[sheet or names[0]]
    # What a sheet says of its own size is not to be relied on.
    worksheet.reset_dimensions()
    width = 0
    for number, values in enumerate(worksheet.iter_rows(values_only=True), start=1):
        if number > MOST_ROWS:
            raise Refused(f"{path} has more rows than a sheet can have.")
        if number <= skip_lines:
            continue
        cells = _trimmed(values)
        if cells:
            width = width or len(cells)
            yield cells + [""] * (width - len(cells))


def _trimmed(values: Iterable[Any]) -> list[str]:
    cells = [_text(value) for value in values]
    while cells and cells[-1] == "":
        cells.pop()
    return cells


def _text(value: Any) -> str:
    """A cell as text. Its number format has told openpyxl which numbers are times."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{Decimal(f'{value:.15g}'):f}"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, timedelta):
        seconds, fraction = divmod(value, timedelta(seconds=1))
        shown = f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        return f"{shown}.{fraction // timedelta(microseconds=1):06}" if fraction else shown
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value)

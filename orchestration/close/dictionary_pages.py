"""The number of values in a Parquet column's dictionary page, which its header states and pyarrow does not show.

What belongs here: reading that header, a Thrift struct in the compact protocol. What does not: the values, which
pyarrow reads, and what a repeated one means for its reader.
"""

from collections.abc import Iterator
from typing import Any, BinaryIO

# A header's eight numbers take fewer bytes, each at its longest.
LONGEST_HEADER = 64
# `PageHeader.dictionary_page_header` and, within it, `DictionaryPageHeader.num_values`, as parquet.thrift numbers them.
DICTIONARY_PAGE_HEADER, NUM_VALUES = 7, 1
# The types of Thrift that such a header has: a boolean whose type is its value, a whole number, a struct.
TRUE, FALSE, WHOLE_NUMBER, STRUCT = 1, 2, 5, 12


def stored_values(file: BinaryIO, offset: int) -> int | None:
    """The number of values in the dictionary page at `offset` of a Parquet file; None if there is no such page."""
    file.seek(offset)
    try:
        count: int = _struct(iter(file.read(LONGEST_HEADER)))[DICTIONARY_PAGE_HEADER][NUM_VALUES]
    except (StopIteration, KeyError, ValueError):
        return None
    return count


def _struct(stream: Iterator[int]) -> dict[int, Any]:
    """Field number → value. The first four bits of a field say how far its number is from the one before."""
    fields: dict[int, Any] = {}
    number = 0
    while head := next(stream):
        number += head >> 4
        fields[number] = _value(stream, head & 15)
    return fields


def _value(stream: Iterator[int], kind: int) -> Any:
    if kind in (TRUE, FALSE):
        return kind == TRUE
    if kind == WHOLE_NUMBER:
        return _whole_number(stream)
    if kind == STRUCT:
        return _struct(stream)
    raise ValueError(f"a dictionary page's header has no field of type {kind}")


def _whole_number(stream: Iterator[int]) -> int:
    """Seven bits a byte, the lowest first; the last bit of the number is its sign."""
    value = place = 0
    while (byte := next(stream)) > 127:
        value |= (byte & 127) << place
        place += 7
    value |= byte << place
    return value >> 1 if value % 2 == 0 else -(value >> 1) - 1

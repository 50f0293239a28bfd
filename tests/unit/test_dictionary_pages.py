"""How many values a dictionary page holds, of files that two writers made.

What belongs here: the number read from a page's header. What does not: what becomes of a file by it (`test_readback`).
"""

import io
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestration.close.dictionary_pages import stored_values


def first_chunk(path: Path) -> tuple[io.BytesIO, pq.ColumnChunkMetaData]:
    return io.BytesIO(path.read_bytes()), pq.read_metadata(path).row_group(0).column(0)


@pytest.mark.parametrize("checksum", [False, True])
@pytest.mark.parametrize("count", [1, 63, 64, 127, 128, 8191, 8192, 100_000])
def test_the_number_of_values_is_that_of_the_page(tmp_path, count, checksum):
    path = tmp_path / "texts.parquet"
    texts = [f"text {number}" for number in range(count)]
    pq.write_table(pa.table({"text": texts * 2}), path, write_page_checksum=checksum, dictionary_pagesize_limit=2**24)
    stored, chunk = first_chunk(path)
    assert stored_values(stored, chunk.dictionary_page_offset) == count


def test_an_enum_of_duckdb_stores_each_of_its_values(tmp_path):
    path = tmp_path / "enum.parquet"
    duckdb.sql(f"copy (select 'b'::enum('a', 'b', 'c') as letter) to '{path}' (format parquet)")
    stored, chunk = first_chunk(path)
    assert stored_values(stored, chunk.dictionary_page_offset) == 3


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_what_is_no_dictionary_page_holds_no_number(tmp_path, version):
    path = tmp_path / "texts.parquet"
    pq.write_table(pa.table({"text": ["a", "b", None]}), path, data_page_version=version)
    stored, chunk = first_chunk(path)
    assert stored_values(stored, chunk.data_page_offset) is None
    assert stored_values(stored, chunk.dictionary_page_offset + 1) is None
    assert stored_values(stored, len(stored.getvalue()) - 1) is None
    assert stored_values(stored, len(stored.getvalue())) is None

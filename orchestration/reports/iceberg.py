"""Closed months in an Apache Iceberg catalogue, for Trino, Spark, Snowflake and their like: registered, not copied.

What belongs here: which frozen files are which table's, and of which month. What does not: writing a row; the frozen
files stay where they are, and the catalogue points to them. So it is made anew where the data folder has moved.

A frozen file has no column for the month that states it. Each table is partitioned by `month`, and Iceberg takes the
value of an identity partition from the metadata where a file lacks the column.
"""

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from orchestration import data_folder, files
from orchestration.close import manifests, tables
from orchestration.close.manifests import Manifest
from orchestration.close.tables import Table
from orchestration.errors import Refused
from orchestration.months import Month
from orchestration.settings import Settings

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table as IcebergTable

NAMESPACE = "statements"
MONTH = "month"


def export(settings: Settings, months: Sequence[Month], out: Path) -> Path:
    """Register closed months in the catalogue `out/iceberg/catalog.db`, beginning it if need be. Returns its path.

    A month that is registered stays as it is, so a killed call is repeated. Each table has one snapshot more, or none.
    """
    if find_spec("pyiceberg") is None:
        raise Refused("An Iceberg catalogue needs a package more: pip install 'tenant-statements[iceberg]'.")
    from pyiceberg.catalog.sql import SqlCatalog

    files.require_printable(out, "The folder")
    chain = [manifests.require_closed(settings, month) for month in sorted(set(months))]
    manifests.require_undamaged(chain, with_days=True)
    folder = (out / "iceberg").absolute()
    data_folder.require_outside(settings, folder)
    with files.disk_errors():
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "catalog.db"
        catalog = SqlCatalog(NAMESPACE, uri=f"sqlite:///{path}", warehouse=f"file://{folder}")
        try:
            catalog.create_namespace_if_not_exists(NAMESPACE)
            for table in (*tables.TABLES, tables.USAGE):
                _register(catalog, table, chain)
        finally:
            catalog.close()
    return path


def _register(catalog: "Catalog", table: Table, chain: Sequence[Manifest]) -> None:
    """Add the files of the months that the table does not have, in one commit."""
    from pyiceberg.table import TableProperties

    schema = _schema(table, chain[-1])
    registered = catalog.create_table_if_not_exists(f"{NAMESPACE}.{table.name}", schema=schema)
    if registered.spec().is_unpartitioned():
        with registered.update_spec() as spec:
            spec.add_identity(MONTH)
    there = registered.inspect.partitions().to_pylist() if registered.current_snapshot() else []
    months = {row["partition"][MONTH] for row in there}
    missing = [manifest for manifest in chain if str(manifest.month) not in months]
    if not missing:
        return
    # A later version may freeze more columns.
    with registered.update_schema() as columns:
        columns.union_by_name(schema)
    with registered.transaction() as transaction:
        # Frozen files carry no ids of columns: they are found by name.
        names = registered.schema().name_mapping.model_dump_json()
        transaction.set_properties({TableProperties.DEFAULT_NAME_MAPPING: names})
        with transaction.update_snapshot().fast_append() as snapshot:
            for manifest in missing:
                for file in _data_files(registered, table, manifest):
                    snapshot.append_data_file(file)


def _schema(table: Table, manifest: Manifest) -> pa.Schema:
    schema = pq.read_schema(_paths(table, manifest)[0])
    return schema if MONTH in schema.names else schema.append(pa.field(MONTH, pa.string()))


def _paths(table: Table, manifest: Manifest) -> list[Path]:
    return manifest.usage_files if table is tables.USAGE else [manifest.folder / f"{table.name}.parquet"]


def _data_files(registered: "IcebergTable", table: Table, manifest: Manifest) -> Iterator["DataFile"]:
    """The files of a month, with the statistics of their footers, by which an engine skips those it need not read."""
    from pyiceberg.io import pyarrow as statistics
    from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
    from pyiceberg.typedef import Record

    plan = statistics.compute_statistics_plan(registered.schema(), registered.properties)
    ids = statistics.parquet_path_to_id_mapping(registered.schema())
    for path in _paths(table, manifest):
        found = statistics.data_file_statistics_from_parquet_metadata(pq.read_metadata(path), plan, ids)
        yield DataFile.from_args(
            content=DataFileContent.DATA,
            file_path=f"file://{path}",
            file_format=FileFormat.PARQUET,
            partition=Record(str(manifest.month)),
            file_size_in_bytes=path.stat().st_size,
            sort_order_id=None,
            spec_id=registered.metadata.default_spec_id,
            equality_ids=None,
            key_metadata=None,
            **found.to_serialized_dict(),
        )

"""A closed month beside the carrier's own bill: what both say, and where they differ (rule 28).

What belongs here: reading a bill, totals against totals, records against records. What does not: deciding who is right;
nothing that is frozen ever changes for a bill.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from orchestration import data_folder, engine, files, guarded_csv
from orchestration.close import manifests
from orchestration.close.manifests import Manifest
from orchestration.engine import text
from orchestration.errors import Refused
from orchestration.landing import input_files, normalization, receipts, services, source_files
from orchestration.landing.feeds import Column, Feed
from orchestration.landing.input_files import InputFile
from orchestration.landing.source_files import SourceFile
from orchestration.months import Month
from orchestration.settings import Settings
from orchestration.sources import declaration, former_ids, mapping
from orchestration.sources.declaration import Source

BILL = Feed(
    "bill",
    "The carrier's own account of a month: totals per service, or records.",
    "record_id",
    (
        Column("cost", kind="money", required=True),
        Column("record_id"),
        Column("service"),
        Column("direction"),
        Column("currency"),
        Column("record_count", kind="seconds"),
    ),
    sealed=False,
)
MATCHED = "matched"
# The number of differences shown on the terminal; the file has all of them.
RECORDS_SHOWN = 20


@dataclass(frozen=True)
class Reconciliation:
    """The result of a comparison: a row for each total, the first records that differ, and the count of each status."""

    totals: list[dict[str, Any]]
    records: list[dict[str, Any]]
    counts: dict[str, int]
    file: Path

    @property
    def differs(self) -> bool:
        return any(status != MATCHED for status in self.counts)


@dataclass(frozen=True)
class Bill:
    """The carrier's bill: its file, and the source whose file it is.

    A revised one is compared with everything stated of the calls of its month, by later months too.
    """

    path: Path
    source: str | None = None
    is_revised: bool = False


def reconcile(settings: Settings, month: Month, bill: Bill, out: Path) -> Reconciliation:
    """Compare a closed month with a bill, write every row of the comparison to `out`, and sum it up."""
    manifest = manifests.require_closed(settings, month)
    later = [frozen for frozen in manifests.load(settings) if frozen.month > month]
    manifests.require_undamaged([manifest], with_days=True)
    manifests.require_undamaged(later, with_days=False)
    declared = declaration.load(settings, bill.source) if bill.source else None
    file = input_files.look_at(bill.path, declared.formats if declared else ())
    with (
        files.disk_errors(),
        files.own_folder(settings.build) as scratch,
        engine.connect(settings) as connection,
    ):
        normalization.load(connection)
        with input_files.unchanged(file):
            by_record, by_service = _create_bill(connection, settings, file, declared, scratch)
        _create_corrections(connection, month, later)
        if bill.is_revised:
            _create_ours_with_corrections(connection, manifest)
        else:
            _create_ours(connection, manifest)
        _create_notes(connection, settings)
        _compare(connection, by_record=by_record, by_service=by_service)
        _write(connection, settings, out)
        return _summary(connection, out)


def _create_bill(
    connection: duckdb.DuckDBPyConnection, settings: Settings, bill: InputFile, declared: Source | None, scratch: Path
) -> tuple[bool, bool]:
    """Create table `bill`. Returns whether it has records, and whether it says what was charged for."""
    if declared:
        opened = mapping.open_source(connection, declared, services.load(settings), bill, scratch)
        former_ids.take_over(connection, declared, receipts.load(settings))
        columns = {"record_id", "service"}
    else:
        opened = source_files.open_source(connection, BILL, bill, scratch)
        columns = set(opened.types)
    if not columns & {"record_id", "service"}:
        raise Refused(f"{bill.path} has neither record_id nor service: a bill is a file of records, or of totals.")
    cost = "money" if opened.mapped or opened.types["cost"] == "VARCHAR" else ""
    with source_files.over_source(connection, opened):
        connection.execute(
            f"""
            create temp table bill as
            select
                source_row, {_value(opened, "record_id")} as record_id,
                {_value(opened, "service")} as service, {_value(opened, "direction")} as direction,
                coalesce({_value(opened, "currency")}, {text(settings.default_currency)}) as currency,
                {cost}({_value(opened, "cost")}) as cost,
                {_value(opened, "record_count")}::varchar as given_count, whole_seconds(given_count) as record_count
            from source
            """
        )
    wrong = "cost is null or (given_count is not null and record_count is null)"
    if "record_id" in columns:
        wrong += " or record_id is null"
    rows = connection.execute(f"select source_row from bill where {wrong} order by 1 limit 5").fetchall()
    if rows:
        raise Refused(
            f"{bill.path}: row {', '.join(str(row) for (row,) in rows)} has no record_id, no readable cost or no whole "
            "record_count, so the bill cannot be compared."
        )
    return "record_id" in columns, "service" in columns


def _value(opened: SourceFile, name: str) -> str:
    column = next(column for column in BILL.columns if column.name == name)
    if opened.mapped and name == "record_count":
        return "null::varchar"
    return opened.value(column)


def _create_ours(connection: duckdb.DuckDBPyConnection, manifest: Manifest) -> None:
    """The charges that the month states, corrections included: this close was the first to state those."""
    connection.execute(
        f"""
        create temp view our_total as
        select service, direction, currency, sum(record_count) as record_count, sum(cost) as cost
        from {engine.parquet([manifest.folder / "organization_statement.parquet"])}
        group by all
        """
    )
    connection.execute(
        f"""
        create temp view our_record as
        select record_id, currency, sum(record_count) as record_count, sum(cost)::decimal(38, 9) as cost
        from {engine.parquet(manifest.usage_files)}
        group by record_id, currency
        having sum(record_count) <> 0 or sum(cost) <> 0
        """
    )


def _create_corrections(connection: duckdb.DuckDBPyConnection, month: Month, later: list[Manifest]) -> None:
    """Table `correction`: the entries of later months that correct calls of this one."""
    nothing = (
        "select ''::varchar as stated_in, null::varchar as record_id, null::varchar as service, "
        "null::varchar as direction, null::varchar as currency, null::varchar as entry, null::bigint as record_count, "
        "null::decimal(18, 9) as cost where false"
    )
    selects = [
        f"select {text(manifest.month)} as stated_in, record_id, service, direction, currency, entry, record_count, "
        f"cost from {engine.parquet(manifest.correction_files)} where usage_month = date {text(month.start.date())}"
        for manifest in later
        if manifest.correction_files
    ]
    connection.execute(f"create temp table correction as {' union all '.join([nothing, *selects])}")


def _create_ours_with_corrections(connection: duckdb.DuckDBPyConnection, manifest: Manifest) -> None:
    """The charges for calls of the month, as all months together state them by now."""
    connection.execute(
        f"""
        create temp table our_entry as
        select record_id, service, direction, currency, record_count, cost
        from {engine.parquet(manifest.usage_files)}
        where line_type = 'usage'
        union all
        select record_id, service, direction, currency, record_count, cost from correction;

        create temp view our_total as
        select service, direction, currency, sum(record_count) as record_count, sum(cost)::decimal(38, 9) as cost
        from our_entry
        group by all;

        create temp view our_record as
        select record_id, currency, sum(record_count) as record_count, sum(cost)::decimal(38, 9) as cost
        from our_entry
        group by record_id, currency
        having sum(record_count) <> 0 or sum(cost) <> 0
        """
    )


def _create_notes(connection: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """The reason why a record may differ: it was rejected, came late, or a later month states it as a correction."""
    connection.execute(f"attach {text(settings.warehouse)} as warehouse (read_only)")
    connection.execute(
        """
        create temp view note as
        select record_id, string_agg(reason, '; ' order by reason) as note
        from (
            select record_id, 'rejected: ' || reason as reason from warehouse.operations.rejected_rows
            union all
            select record_id, 'landed late, ' || status from warehouse.operations.late_records
            union all
            select record_id, format('{} of {} {} in {}', entry, cost::varchar, currency, stated_in) from correction
        )
        where record_id is not null
        group by record_id
        """
    )


def _compare(connection: duckdb.DuckDBPyConnection, *, by_record: bool, by_service: bool) -> None:
    """Create table `compared`: a row for each total and, if the bill has records, one for each record."""
    keys = "service, direction, currency" if by_service else "currency"
    # A bill without directions charges for a service in all of them together.
    has_direction = engine.row(connection, "select count(direction) > 0 from bill")[0]
    if by_service and not has_direction:
        keys = "service, currency"
    counted = "count(*)" if by_record else "case when count(record_count) = count(*) then sum(record_count) end"
    selects = [
        _comparison(
            "total",
            keys,
            f"select {keys}, {counted} as record_count, sum(cost) as cost from bill group by all",
            f"select {keys}, sum(record_count) as record_count, sum(cost) as cost from our_total group by all",
        )
    ]
    if by_record:
        selects.append(
            _comparison(
                "record",
                "record_id, currency",
                "select record_id, currency, count(*) as record_count, sum(cost) as cost from bill group by all",
                "select record_id, currency, record_count, cost from our_record",
            )
        )
    connection.execute(f"create temp table compared as {' union all by name '.join(selects)}")


def _comparison(level: str, keys: str, bill: str, ours: str) -> str:
    names = keys.split(", ")
    absent = [name for name in ("service", "direction", "currency", "record_id") if name not in names]
    listed = [f"coalesce(bill.{name}, ours.{name}) as {name}" for name in names]
    listed += [f"null::varchar as {name}" for name in absent]
    same = " and ".join(f"bill.{name} is not distinct from ours.{name}" for name in names)
    note = "note.note" if level == "record" else "null::varchar"
    joined = "left join note on note.record_id = coalesce(bill.record_id, ours.record_id)" if level == "record" else ""
    return f"""
        select
            {text(level)} as level, {", ".join(listed)},
            bill.record_count::bigint as carrier_count, ours.record_count::bigint as our_count,
            bill.cost::decimal(38, 9) as carrier_cost, ours.cost::decimal(38, 9) as our_cost,
            coalesce(bill.cost, 0)::decimal(38, 9) - coalesce(ours.cost, 0)::decimal(38, 9) as difference,
            case
                when ours.currency is null then 'carrier only'
                when bill.currency is null then 'ours only'
                when bill.cost <> ours.cost then 'amount differs'
                when bill.record_count <> ours.record_count then 'count differs'
                else {text(MATCHED)}
            end as status,
            case when status <> {text(MATCHED)} then {note} end as note
        from ({bill}) as bill
        full join ({ours}) as ours on {same}
        {joined}
    """


def _write(connection: duckdb.DuckDBPyConnection, settings: Settings, out: Path) -> None:
    columns = (
        "level, service, direction, currency, record_id, status, carrier_count, our_count, carrier_cost, our_cost, "
        "difference, note"
    )
    order = ("level", "service", "direction", "currency", "record_id")
    with data_folder.file_to_hand_out(settings, out) as staged:
        guarded_csv.write(connection, f"select {columns} from compared", order, staged)


def _summary(connection: duckdb.DuckDBPyConnection, out: Path) -> Reconciliation:
    counts = dict(connection.execute("select status, count(*) from compared group by all order by all").fetchall())
    totals = engine.records(
        connection,
        "select service, direction, currency, carrier_count, our_count, carrier_cost, our_cost, difference, status "
        "from compared where level = 'total' order by all",
    )
    records = engine.records(
        connection,
        "select record_id, currency, carrier_cost, our_cost, difference, status, note from compared "
        f"where level = 'record' and status <> {text(MATCHED)} "
        f"order by abs(difference) desc, record_id limit {RECORDS_SHOWN}",
    )
    return Reconciliation(totals, records, counts, out)

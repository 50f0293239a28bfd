"""Which delivered records were delivered before, over everything that has landed and whatever month they started in.

Each batch of cdrs keeps `ids.parquet`: a fingerprint of each delivered id, in order, with the day of the delivery. So a
new batch is held against all earlier ones for five to eight bytes a record, and only files that share an id with it are
opened. What a comparison finds stands in the receipt: a close looks exactly where receipts say that a record moved.

What belongs here: rule 18 between deliveries. What does not: which delivery a statement is made from, which the models
decide.
"""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

import duckdb

from orchestration import engine, files, shape
from orchestration.engine import text
from orchestration.landing import fingerprints, landed_rows, receipts
from orchestration.landing.feeds import CDRS
from orchestration.landing.receipts import Files, Moved, Receipt, with_columns
from orchestration.landing.records import DAY_OF_START
from orchestration.settings import Settings

IDS = "ids.parquet"
# So many ids of all batches are grouped at a time.
IDS_AT_ONCE = 16_000_000
# So many records that need a look are named in a receipt.
NAMED = 5
CONTENT = ", ".join([*CDRS.values, "withdrawn"])
# Half an MD5: unlike DuckDB's own hash it is the same in every version. It is md5_number_lower(record_id), which takes
# three times as long.
FINGERPRINT = "(md5_number(record_id) >> 64)::ubigint"


@dataclass(frozen=True)
class Deliveries:
    """A batch's rows beside the deliveries before them. `cost_difference`: what replacing has changed, exactly."""

    duplicates: int
    superseded: int
    superseded_in_file: int
    superseded_elsewhere: int
    cost_difference: Decimal
    to_look_at: list[str]
    moved: list[Moved]


def compare(
    connection: duckdb.DuckDBPyConnection, batch: Receipt, earlier: Sequence[Receipt], ids: Path, scratch: Path
) -> Deliveries:
    """Hold a batch against all earlier ones, each of which has its ids, and write its own ids to `ids`.

    A column that a batch was landed without is absent in its rows, and absent equals absent.
    """
    places = scratch / "places.parquet"
    _write_places(connection, batch, places)
    with ThreadPoolExecutor(max_workers=1) as beside:
        copying = beside.submit(fingerprints.copy, places, ids)
        deliveries = _compare(connection, batch, earlier, places)
        copying.result()
    return deliveries


def _write_places(connection: duckdb.DuckDBPyConnection, batch: Receipt, places: Path) -> None:
    """Write the fingerprint, the day and the row of each delivery of a batch, in the order of fingerprints."""
    connection.execute(
        f"""
        copy (
            select {FINGERPRINT} as fingerprint, {DAY_OF_START} as day, source_row
            from ({delivered([batch])})
            order by fingerprint
        ) to {text(places)} ({engine.PARQUET}, row_group_size {fingerprints.ROW_GROUP})
        """
    )


def _compare(
    connection: duckdb.DuckDBPyConnection, batch: Receipt, earlier: Sequence[Receipt], places: Path
) -> Deliveries:
    _create_shared_ids(connection, places, earlier)
    create_deliveries(connection, [batch, *earlier], places)
    duplicates, superseded, in_file, elsewhere, difference, to_look_at = engine.row(
        connection,
        f"""
        with compared as (
            select
                *,
                row({CONTENT}) is not distinct from lag(row({CONTENT})) over delivered as is_duplicate
            from delivery
            window delivered as (partition by record_id order by batch_id, source_row)
        ),
        replaced as (
            select
                *,
                lead(batch_id) over delivered as replaced_by,
                lead(source) over delivered as replacing_source,
                coalesce(lead(cost) over delivered, 0) as replacing_cost
            from compared
            where not is_duplicate
            window delivered as (partition by record_id order by batch_id, source_row)
        ),
        own as (
            select
                record_id,
                batch_id = replaced_by as in_file,
                source <> replacing_source as elsewhere,
                replacing_cost::decimal(38, 9) - coalesce(cost, 0)::decimal(38, 9) as difference
            from replaced
            where replaced_by = {text(batch.batch_id)}
        )
        select
            (select count(*) from compared where is_duplicate and batch_id = {text(batch.batch_id)}),
            count(*),
            count(*) filter (where in_file),
            count(*) filter (where elsewhere),
            coalesce(sum(difference), 0),
            coalesce(list(distinct record_id order by record_id) filter (where in_file or elsewhere), [])[:{NAMED}]
        from own
        """,
    )
    return Deliveries(duplicates, superseded, in_file, elsewhere, difference, to_look_at, _moved(connection, batch))


def _moved(connection: duckdb.DuckDBPyConnection, batch: Receipt) -> list[Moved]:
    """The days on which a batch delivers records that were delivered before in another month, or withdrawn."""
    places = connection.execute(
        f"""
        with place as (
            select distinct record_id, batch_id, day, month from delivery
        )
        select own.day, earlier.batch_id, earlier.day, count(*)
        from place as own
        inner join place as earlier
            on own.record_id = earlier.record_id
            and own.month <> earlier.month
            and (own.batch_id > earlier.batch_id or own.day > earlier.day)
        where own.batch_id = {text(batch.batch_id)}
        group by all
        order by all
        """
    ).fetchall()
    return [Moved(*place) for place in places]


def superseded_since(connection: duckdb.DuckDBPyConnection, batch: Receipt, later: Sequence[Receipt]) -> int:
    """How many records of a batch later ones have changed since."""
    _create_shared_ids(connection, ids_file(batch), later)
    create_deliveries(connection, [batch, *later])
    (records,) = engine.row(
        connection,
        f"""
        with last as (
            select record_id, batch_id, row({CONTENT}) as content
            from delivery
            qualify row_number() over (partition by record_id order by batch_id desc, source_row desc) = 1
        ),
        own as (
            select record_id, row({CONTENT}) as content
            from delivery
            where batch_id = {text(batch.batch_id)}
            qualify row_number() over (partition by record_id order by source_row desc) = 1
        )
        select count(*)
        from own
        inner join last using (record_id)
        where own.content is distinct from last.content
        """,
    )
    return int(records)


def _create_shared_ids(connection: duckdb.DuckDBPyConnection, own: Path, others: Sequence[Receipt]) -> None:
    """Table `shared_id`: each fingerprint that a batch shares with others or has twice, with the places that have it.

    `own` is the batch's file of ids. A place is the position of a batch in `[batch, *others]`, and a day.
    """
    _create_shared_table(connection)
    found = fingerprints.shared(own, [ids_file(other) for other in others])
    with engine.streamed(connection, "found", fingerprints.SHARED, found):
        connection.execute("insert into shared_id select fingerprint, position, day from found")


def create_moved_ids(connection: duckdb.DuckDBPyConnection, batches: Sequence[Receipt]) -> None:
    """Table `shared_id`: each fingerprint that was delivered for more than one month or withdrawn, and its places.

    Batches from before there were ids are read for them.
    """
    _create_shared_table(connection)
    if not batches:
        return
    with_ids, without = ([batch for batch in batches if bool(batch.ids) is kept] for kept in (True, False))
    sources = [
        f"select {FINGERPRINT} as fingerprint, {DAY_OF_START} as day, {len(with_ids) + place} as place "
        f"from ({delivered([batch])})"
        for place, batch in enumerate(without)
    ]
    if with_ids:
        paths = [ids_file(batch) for batch in with_ids]
        sources.append(f"select fingerprint, day, file_index::integer as place from {engine.parquet(paths)}")
    engine.create_table(
        connection,
        "position_of_place",
        {"place": "integer", "position": "integer"},
        [(place, batches.index(batch)) for place, batch in enumerate([*with_ids, *without])],
    )
    rows = sum(file.rows for batch in batches for file in batch.records)
    for low, high in _parts(rows):
        connection.execute(
            f"""
            insert into shared_id
            with id as (
                select *
                from ({" union all ".join(sources)})
                where fingerprint between {low}::ubigint and {high}::ubigint
            ),
            moved as (
                select fingerprint
                from id
                group by fingerprint
                having min(date_trunc('month', day)) <> max(date_trunc('month', day)) or bool_or(day is null)
            )
            select distinct id.fingerprint, position, day
            from id
            inner join position_of_place using (place)
            where id.fingerprint in (select fingerprint from moved)
            """
        )
    connection.execute("drop table position_of_place")


def create_deliveries_of(connection: duckdb.DuckDBPyConnection, ids: str, batches: Sequence[Receipt]) -> None:
    """Table `delivery`: every delivery of the record ids that a query gives, in batches that have their ids."""
    _create_shared_table(connection)
    connection.execute(
        f"""
        insert into shared_id
        select fingerprint, file_index::integer, day
        from (select *, file_index from {engine.parquet([ids_file(batch) for batch in batches])})
        where fingerprint in (select {FINGERPRINT} from ({ids}))
        """
    )
    create_deliveries(connection, batches)


def _create_shared_table(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("create or replace temp table shared_id (fingerprint ubigint, position integer, day date)")


def _parts(rows: int) -> Iterator[tuple[int, int]]:
    """The bounds of parts of the range of fingerprints, for so many ids: memory is bounded however many they are.

    Ids lie in order, so each is read once.
    """
    parts = rows // IDS_AT_ONCE + 1
    for part in range(parts):
        yield fingerprints.RANGE * part // parts, fingerprints.RANGE * (part + 1) // parts - 1


def create_deliveries(
    connection: duckdb.DuckDBPyConnection, batches: Sequence[Receipt], places: Path | None = None
) -> None:
    """Table `delivery`: every delivery of the shared ids, with its day and month, "" for a withdrawal, and the source
    of its batch. No file without a shared id is opened.

    No id of the first batch is hashed again where a file of `places` has the row of each.
    """
    listed = connection.execute(
        "select distinct position, coalesce(day::varchar, '') from shared_id order by all"
    ).fetchall()
    days: dict[int, list[str]] = {}
    for position, day in listed:
        days.setdefault(position, []).append(day)
    engine.create_table(
        connection,
        "source_of_batch",
        {"batch_id": "varchar", "source": "varchar"},
        [(batches[position].batch_id, batches[position].source) for position in days],
    )
    shared = "(select fingerprint from shared_id)"
    deliveries = []
    if places and 0 in days:
        rows = f"select source_row from {engine.parquet([places])} where fingerprint in {shared}"
        deliveries.append(f"select * from ({delivered([batches[0]], [days.pop(0)])}) where source_row in ({rows})")
    others = delivered([batches[position] for position in days], list(days.values()))
    deliveries.append(f"select * from ({others}) where {FINGERPRINT} in {shared}")
    connection.execute(
        f"""
        create or replace temp table delivery as
        select
            delivered.*,
            coalesce(strftime(started_at at time zone 'UTC', '%Y-%m-%d'), '') as day,
            day[:7] as month,
            source_of_batch.source
        from ({" union all by name ".join(deliveries)}) as delivered
        inner join source_of_batch using (batch_id);
        drop table source_of_batch
        """
    )


def delivered(batches: Sequence[Receipt], days: Sequence[Sequence[str]] | None = None) -> str:
    """SQL of the deliveries of batches, withdrawals included; with `days`, of these days of each alone."""
    records: Files = {}
    withdrawals: list[Path] = []
    for place, batch in enumerate(batches):
        wanted = days[place] if days else None
        records |= with_columns((batch, file) for file in batch.records if wanted is None or file.day in wanted)
        if batch.withdrawn and (wanted is None or "" in wanted):
            withdrawals.append(batch.path(batch.withdrawn))
    usable = f"select *, false as withdrawn from ({landed_rows.select(records, CDRS.stored)})"
    if not withdrawals:
        return usable
    withdrawn = f"select *, true as withdrawn from {engine.parquet(withdrawals)}"
    return f"{usable} union all by name {withdrawn}"


def ids_file(batch: Receipt) -> Path:
    """The file of a batch's ids: in the batch, or beside the landing for a batch from before there was one."""
    assert batch.ids is not None, f"{batch.batch_id} has no ids"
    return (batch.made_up or batch.folder) / batch.ids.name


def complete(settings: Settings, batches: Sequence[Receipt]) -> list[Receipt]:
    """All batches, those from before there were ids with theirs, made when first needed. The caller holds the lock."""
    completed: list[Receipt] = []
    for batch in batches:
        if batch.feed == CDRS.name and not _has_sound_ids(batch):
            completed.append(_made_up(settings, batch, [other for other in completed if other.feed == CDRS.name]))
        else:
            completed.append(batch)
    return completed


def _has_sound_ids(batch: Receipt) -> bool:
    """Whether a batch has its ids. Ids of an older batch are made again when their file has changed."""
    if batch.ids is None:
        return False
    return batch.made_up is None or (ids_file(batch).is_file() and files.sha256(ids_file(batch)) == batch.ids.sha256)


def require_sound(batches: Sequence[Receipt]) -> None:
    """Raise Damaged when the ids that a landing is about to look in are not as they landed."""
    files.require_hashes({ids_file(batch): batch.ids.sha256 for batch in batches if batch.ids and not batch.made_up})


def _made_up(settings: Settings, batch: Receipt, earlier: Sequence[Receipt]) -> Receipt:
    """A batch with ids that are made now, from its files, which its hashes hold; kept for the next time."""
    staged, final = settings.build / "identity", receipts.made_up_folder(settings, batch.batch_id)
    files.remove(staged)
    scratch = staged / "scratch"
    scratch.mkdir(parents=True)
    files.require_hashes({batch.path(file): file.sha256 for file in batch.records})
    with engine.connect(settings) as connection:
        found = compare(connection, batch, earlier, staged / IDS, scratch)
    files.remove(scratch)
    made = replace(batch, ids=receipts.entry(staged / IDS, staged), moved=found.moved, made_up=final)
    content = {"ids": shape.as_json(made.ids), "moved": shape.as_json(found.moved)}
    (staged / receipts.MADE_UP).write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    files.seal_folder(staged, files.hashes_below(staged))
    files.remove(final)
    final.parent.mkdir(parents=True, exist_ok=True)
    files.publish(staged, final)
    return made

"""An independent audit of a closed month: every record's tenant found again by another way, and compared row by row.

From the landed feeds and the receipts alone: its own timelines (`timelines.sql`), one ASOF join instead of the close's
lookups, and its own search for the delivery that counts. `--all` also adds up what every record's entries say over all
closed months. Nothing of the product is imported and no model is read, so that the two can only agree by both being
right. What does not belong here: sums over records, which the close checks itself.

Memory is bounded: ids are compared in hash partitions, records day by day.
"""

import argparse
import csv
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from benchmarks import landed, timelines

SERVICES = Path(__file__).parent.parent / "seeds" / "services.csv"
# Ids of one partition are held at once: about 200 bytes each.
IDS_PER_PARTITION = 4_000_000
EXAMPLES = 10
CANONICAL = (
    "{'record_id': record_id, 'call_id': call_id, 'service': service, 'direction': direction, "
    "'started_at': started_at, 'duration_seconds': duration_seconds::bigint, "
    "'billed_seconds': billed_seconds::bigint, 'number': number, "
    "'from_number': from_number, 'to_number': to_number, 'source_ip': source_ip, 'x_tenant': x_tenant, "
    "'routed_to': routed_to, 'cost': cost::decimal(18, 9), 'currency': currency}"
)


@dataclass
class Findings:
    """How many rows were looked at, and what was wrong with which record."""

    audited: int = 0
    wrong: int = 0
    redelivered: int = 0
    examples: list[dict] = field(default_factory=list)


def audit(data: Path, month: str, *, memory_limit: str = "2GB", threads: int | None = None) -> Findings:
    """Audit a frozen month of a data folder."""
    frozen = data / "statements" / f"month={month}"
    known_up_to = json.loads((frozen / "manifest.json").read_text(encoding="utf-8"))["landed_up_to"]
    known = [batch for batch in landed.batches(data) if batch.sequence <= known_up_to]
    found = Findings()
    with tempfile.TemporaryDirectory(prefix="audit-") as scratch:
        connection = _connect(scratch, memory_limit, threads)
        # Later batches cannot change a frozen past (the seal): all assignments that ever landed must tell the same.
        timelines.create(connection, landed.batches(data))
        _keep_services(connection, data, month)
        _compare_ids(connection, known, frozen, month, Path(scratch), found)
        days = _days(month)
        _keep_spells(connection, "spells", "spells_of_month", days[0], days[-1] + timedelta(days=1))
        for day in days:
            _keep_spells(connection, "spells_of_month", "spells_of_day", day, day + timedelta(days=1))
            _compare_day(connection, known, frozen, month, day, found)
        _check_corrections(connection, frozen, found)
        connection.close()
    return found


def audit_all(data: Path, *, memory_limit: str = "2GB", threads: int | None = None) -> Findings:
    """Add up the entries of each record over all closed months: its latest delivery must be left, once, or nothing.

    Looks for every id everywhere, whatever receipts say of records that moved.
    """
    folders = closed_months(data)
    months = [folder.name.removeprefix("month=") for folder in folders]
    known_up_to = json.loads((folders[-1] / "manifest.json").read_text(encoding="utf-8"))["landed_up_to"]
    everything = landed.deliveries([batch for batch in landed.batches(data) if batch.sequence <= known_up_to])
    entries = [path for folder in folders for path in sorted((folder / "usage").glob("*.parquet"))]
    first, last = _days(months[0])[0], _days(months[-1])[-1] + timedelta(days=1)
    found = Findings()
    with tempfile.TemporaryDirectory(prefix="audit-") as scratch:
        connection = _connect(scratch, memory_limit, threads)
        (rows,) = connection.execute(f"select count(*) from ({everything})").fetchone()
        within = f"started_at >= '{first.isoformat()}' and started_at < '{last.isoformat()}'"
        # As it was before its sign was turned: a reversal must be a copy of what it takes back.
        unsigned = ", ".join(
            f"(record_count * {name})::{kind} as {name}"
            for name, kind in (("duration_seconds", "bigint"), ("billed_seconds", "bigint"), ("cost", "decimal(18, 9)"))
        )
        connection.execute(
            f"""
            copy (
                select record_id, {{'batch': batch_id, 'row': source_row}} as place, null::bigint as entries,
                    coalesce({within}, false) as is_due,
                    hash({CANONICAL}) as content, null::ubigint as owner,
                    hash(record_id) % {1 + rows // IDS_PER_PARTITION} as part
                from ({everything})
                union all
                select record_id, null, record_count, null, hash({CANONICAL}),
                    hash(account_id, attributed_by, reason, assignment_id),
                    hash(record_id) % {1 + rows // IDS_PER_PARTITION}
                from (select * replace ({unsigned}) from {landed.reader(entries)})
            ) to '{scratch}' (format parquet, compression lz4_raw, partition_by (part), overwrite_or_ignore)
            """
        )
        for part in sorted(Path(scratch).glob("part=*")):
            connection.execute(
                f"""
                create or replace temp table judged as
                with said as (
                    from read_parquet('{part}/*.parquet', hive_partitioning = false)
                ),
                due as (
                    select record_id, arg_max(content, place) as content, arg_max(is_due, place) as is_due
                    from said
                    where entries is null
                    group by record_id
                ),
                left_over as (
                    select record_id, content, sum(entries) as net
                    from said
                    where entries is not null
                    group by record_id, content, owner
                    having sum(entries) <> 0
                ),
                stated as (
                    select record_id, sum(net) as net, count(*) as contents, any_value(content) as content
                    from left_over
                    group by record_id
                )
                select
                    coalesce(due.record_id, stated.record_id) as record_id,
                    case
                        when due.record_id is null then 'stated, but never landed'
                        when coalesce(net, 0) <> is_due::int or coalesce(contents, 0) <> is_due::int
                            then format('counts {{}} times over all, not {{}}', coalesce(net, 0), is_due::int)
                        when is_due and stated.content <> due.content then 'stands otherwise than it landed last'
                    end as problem
                from due
                full join stated on stated.record_id = due.record_id
                """
            )
            _count(connection, found)
        connection.close()
    return found


def closed_months(data: Path) -> list[Path]:
    """The folders of all closed months, oldest first."""
    return sorted((data / "statements").glob("month=*"))


def _connect(scratch: str, memory_limit: str, threads: int | None) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(
        config={
            "memory_limit": memory_limit,
            "threads": threads or os.cpu_count() or 2,
            "temp_directory": scratch,
            "preserve_insertion_order": False,
        }
    )
    connection.execute("set TimeZone = 'UTC'; set enable_progress_bar = false")
    return connection


def _days(month: str) -> list[datetime]:
    start = datetime.fromisoformat(f"{month}-01").replace(tzinfo=UTC)
    days = (start + timedelta(days=place) for place in range(31))
    return [day for day in days if day.month == start.month]


def _compare_ids(connection, known, frozen: Path, month: str, scratch: Path, found: Findings) -> None:
    """Check that exactly those ids are frozen whose latest delivery lies in the month; make table `fallen`.

    Looks at all landed months, since a delivery may move its record to another one.
    """
    everything = landed.deliveries(known)
    stated = sorted((frozen / "usage").glob("day=*.parquet"))
    _write_partitions(connection, everything, stated, month, scratch)
    connection.execute(
        """
        create or replace temp table repeated (record_id varchar, times_frozen bigint);
        create or replace temp table id_differences (record_id varchar, problem varchar)
        """
    )
    for part in sorted(scratch.glob("part=*")):
        connection.execute(
            f"""
            create or replace temp table ids as
            select
                record_id,
                count(*) filter (not is_frozen) as times_landed,
                count(*) filter (not is_frozen and in_month) as times_in_month,
                count(*) filter (is_frozen) as times_frozen
            from read_parquet('{part}/*.parquet', hive_partitioning = false)
            group by record_id;
            insert into repeated select record_id, times_frozen from ids where times_landed > 1;
            insert into id_differences
                select record_id, format('landed {{}} times in the month, frozen {{}}', times_in_month, times_frozen)
                from ids
                where times_landed <= 1 and times_in_month <> times_frozen;
            drop table ids
            """
        )
    _find_fallen(connection, everything, month)
    found.redelivered = connection.execute("select count(*) from repeated").fetchone()[0]
    found.wrong += connection.execute("select count(*) from id_differences").fetchone()[0]
    _keep_examples(connection, "select record_id, problem from id_differences order by record_id", found)


def _write_partitions(connection, everything, stated, month: str, scratch: Path) -> None:
    (rows,) = connection.execute(f"select count(*) from ({everything})").fetchone()
    parts = 1 + rows // IDS_PER_PARTITION
    first, last = _days(month)[0], _days(month)[-1] + timedelta(days=1)
    connection.execute(
        f"""
        copy (
            select
                record_id, false as is_frozen,
                coalesce(started_at >= '{first.isoformat()}' and started_at < '{last.isoformat()}', false) as in_month,
                hash(record_id) % {parts} as part
            from ({everything})
            union all
            select record_id, true, true, hash(record_id) % {parts} as part
            from {landed.reader(stated)}
            where line_type = 'usage'
        ) to '{scratch}' (format parquet, compression lz4_raw, partition_by (part), overwrite_or_ignore)
        """
    )


def _find_fallen(connection, everything, month: str) -> None:
    """Of ids that came more than once: which delivery stands, and which have fallen (rule 18).

    The one that stands is the first that says what the latest says, with nothing else said in between.
    """
    first, last = _days(month)[0], _days(month)[-1] + timedelta(days=1)
    connection.execute(
        f"""
        create or replace temp table deliveries as
        select record_id, started_at, {{'batch': batch_id, 'row': source_row}} as place, {CANONICAL} as said
        from ({everything})
        where record_id in (select record_id from repeated);

        create or replace temp table standing as
        with latest as (
            select record_id, arg_max(said, place) as said
            from deliveries
            group by record_id
        ),
        last_other as (
            select deliveries.record_id, max(place) as place
            from deliveries
            inner join latest on latest.record_id = deliveries.record_id
            where deliveries.said is distinct from latest.said
            group by deliveries.record_id
        ),
        standing_place as (
            select
                deliveries.record_id,
                min(deliveries.place) as place,
                arg_min(started_at, deliveries.place) as started_at
            from deliveries
            left join last_other on last_other.record_id = deliveries.record_id
            where last_other.place is null or deliveries.place > last_other.place
            group by deliveries.record_id
        )
        select
            standing_place.*,
            repeated.times_frozen,
            coalesce(started_at >= '{first.isoformat()}' and started_at < '{last.isoformat()}', false) as in_month
        from standing_place
        inner join repeated on repeated.record_id = standing_place.record_id;

        insert into id_differences
            select
                record_id,
                format('the latest delivery is of this month: {{}}; frozen {{}} times', in_month, times_frozen)
            from standing
            where times_frozen <> in_month::int;

        create or replace temp table fallen as
        select deliveries.place.batch as batch_id, deliveries.place.row as source_row
        from deliveries
        inner join standing on standing.record_id = deliveries.record_id
        where deliveries.place <> standing.place;
        drop table deliveries
        """
    )


def _keep_services(connection, data: Path, month: str) -> None:
    """Make a table of what decides for each service in each closed month: what the first month pins that has it."""
    connection.execute(
        "create temp table services (usage_month date, service varchar, direction varchar, attributed_by varchar)"
    )
    decided_by: dict[tuple[str, str], str] = {}
    for folder in reversed(closed_months(data)):
        usage_month = folder.name.removeprefix("month=")
        if usage_month <= month:
            # What an earlier month pins wins over all later ones.
            decided_by |= {(row["service"], row["direction"]): row["attributed_by"] for row in _pinned(folder, data)}
            rows = [(f"{usage_month}-01", *pair, by) for pair, by in decided_by.items()]
            connection.executemany("insert into services values (?, ?, ?, ?)", rows)


def _pinned(frozen: Path, data: Path) -> list[dict[str, str]]:
    """The services of a closed month; of one that pinned none the shipped ones and the operator's own."""
    manifest = json.loads((frozen / "manifest.json").read_text(encoding="utf-8"))
    if "services" in manifest:
        return manifest["services"]["rows"]
    tables = [path for path in (SERVICES, data / "services.csv") if path.exists()]
    return [row for path in tables for row in csv.DictReader(path.open(encoding="utf-8-sig", newline=""))]


def _keep_spells(connection, given: str, kept: str, start: datetime, end: datetime) -> None:
    """Make a table of the spells that an instant from `start` to before `end` can lie in, to sort fewer of them."""
    connection.execute(
        f"""
        create or replace temp table {kept} as
        select {given}.*
        from {given}
        inner join (
            select kind, asset, max(holds_from) filter (holds_from <= '{start.isoformat()}') as begins
            from {given}
            group by kind, asset
        ) as first_one on first_one.kind = {given}.kind and first_one.asset = {given}.asset
        where (begins is null or holds_from >= begins) and holds_from < '{end.isoformat()}'
        """
    )


def _attributed(records: str, spells: str) -> str:
    """SQL: each of the records with the tenant that the timelines say, by rules 8 to 10."""
    return f"""
        with keyed as (
            select
                records.*,
                attributed_by = 'origin' and x_tenant is not null as by_header,
                case when attributed_by = 'number' then 'number' when x_tenant is null then 'ip' end as kind,
                case when attributed_by = 'number' then number when x_tenant is null then source_ip end as asset
            from ({records}) as records
            left join services
                on services.service = records.service and services.direction = records.direction
                and services.usage_month = date_trunc('month', records.started_at)::date
        ),
        held as (
            select keyed.*, spells.account_id as holder
            from keyed
            asof left join {spells} as spells
                on keyed.kind = spells.kind and keyed.asset = spells.asset and keyed.started_at >= spells.holds_from
        )
        select
            held.* exclude (by_header, kind, asset, holder),
            lives.account_id as due_account,
            case when lives.account_id is not null then if(by_header, 'header', kind) end as due_by
        from held
        left join lives
            on lives.account_id = if(by_header, held.x_tenant, held.holder)
            and held.started_at >= lives.alive_from
            and held.started_at < lives.alive_until
    """


def _compare_day(connection, known, frozen: Path, month: str, day: datetime, found: Findings) -> None:
    """Compare a day's frozen file with the day's landed records, every column of every row."""
    files = landed.files_of(known, "cdrs", month)
    came = f"""
        select record_id, service, direction, started_at, number, source_ip, x_tenant,
            hash({CANONICAL}, batch_id, source_row) as content
        from {landed.reader(files)} as delivery
        where started_at >= '{day.isoformat()}' and started_at < '{(day + timedelta(days=1)).isoformat()}'
            and not exists (
                select 1 from fallen
                where fallen.batch_id = delivery.batch_id and fallen.source_row = delivery.source_row
            )
    """
    stated = f"""
        select record_id, account_id, attributed_by, reason, hash({CANONICAL}, batch_id, source_row) as content
        from {landed.reader([frozen / "usage" / f"day={day:%d}.parquet"])}
        where line_type = 'usage'
    """
    connection.execute(
        f"""
        create or replace temp table judged as
        select
            coalesce(due.record_id, stated.record_id) as record_id,
            case
                when due.record_id is null then 'frozen, but not due on this day'
                when stated.record_id is null then 'due, but not frozen on this day'
                when due.content <> stated.content then 'another content than what landed'
                when due_account is distinct from account_id
                    then format('{{}} instead of {{}}', coalesce(account_id, '-'), coalesce(due_account, '-'))
                when due_by is distinct from attributed_by then 'attributed by another rule'
                when (reason is null) <> (account_id is not null) then 'a reason and an account, or neither'
            end as problem
        from ({_attributed(came, "spells_of_day")}) as due
        full join ({stated}) as stated on stated.record_id = due.record_id
        """
    )
    _count(connection, found)


def _check_corrections(connection, frozen: Path, found: Findings) -> None:
    """Corrections are attributed as at the original call: the same timelines must name the same tenant."""
    file = frozen / "usage" / "corrections.parquet"
    if not file.exists():
        return
    corrections = f"select * exclude (attributed_by), attributed_by as stated_by from '{file}'"
    connection.execute(
        f"""
        create or replace temp table judged as
        select
            record_id,
            case when due_account is distinct from account_id or due_by is distinct from stated_by
                then format('correction: {{}} instead of {{}}', coalesce(account_id, '-'), coalesce(due_account, '-'))
            end as problem
        from ({_attributed(corrections, "spells")})
        """
    )
    _count(connection, found)


def _count(connection, found: Findings) -> None:
    audited, wrong = connection.execute("select count(*), count(problem) from judged").fetchone()
    found.audited += audited
    found.wrong += wrong
    if wrong:
        _keep_examples(connection, "select record_id, problem from judged where problem is not null order by 1", found)


def _keep_examples(connection, query: str, found: Findings) -> None:
    room = EXAMPLES - len(found.examples)
    rows = connection.execute(f"{query} limit {max(room, 0)}").fetchall()
    found.examples += [{"record_id": record_id, "problem": problem} for record_id, problem in rows]


def main(arguments: Sequence[str] | None = None) -> int:
    """Audit closed months. Exit status 1 when anything is wrong."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("data", type=Path, help="a data folder")
    parser.add_argument("month", nargs="*", help="YYYY-MM, closed")
    parser.add_argument("--all", action="store_true", help="every closed month, and all of them together")
    parser.add_argument("--memory-limit", default="2GB")
    parser.add_argument("--threads", type=int)
    asked = parser.parse_args(arguments)
    wrong = 0
    closed = [folder.name.removeprefix("month=") for folder in closed_months(asked.data)]
    for month in [*(closed if asked.all else asked.month), *(["all"] if asked.all and closed else [])]:
        started = time.monotonic()
        if month != "all" and not (asked.data / "statements" / f"month={month}" / "manifest.json").exists():
            print(f"{month} is not closed in {asked.data}.", file=sys.stderr)
            return 1
        options = {"memory_limit": asked.memory_limit, "threads": asked.threads}
        found = audit_all(asked.data, **options) if month == "all" else audit(asked.data, month, **options)
        wrong += found.wrong
        for example in found.examples:
            print(f"{example['record_id']}: {example['problem']}", file=sys.stderr)
        figures = {"month": month, "audited": found.audited, "wrong": found.wrong, "redelivered": found.redelivered}
        print(json.dumps(figures | {"seconds": round(time.monotonic() - started, 1)}))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

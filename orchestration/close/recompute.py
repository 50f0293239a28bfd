"""A frozen month computed again from exactly the files its close had read, and compared with the frozen one.

What belongs here: pinning what the manifest names, building it privately, comparing the results. What does not: the
bytes and sums of what is stored (`verify`), or changing anything that is.
"""

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import duckdb

from orchestration import engine, files, guarded_csv
from orchestration.close import logical, manifests, month_build, publishing, readiness, tables, versions
from orchestration.close.content import FORMAT_WITHOUT_ROOT, Content
from orchestration.close.inputs import Close, Inputs
from orchestration.close.manifests import Chain, Manifest
from orchestration.close.month_build import Build
from orchestration.errors import Refused
from orchestration.landing import identity, receipts
from orchestration.layout import counted
from orchestration.months import Month
from orchestration.settings import Settings

# Not made from the month's records: when it was closed, by which versions, and the bytes that a writer chooses.
NOT_COMPUTED = ("format", "closed_at", "versions", "outputs", "tables")


def problems(settings: Settings, month: Month, progress: Callable[[str], None]) -> list[str]:
    """The differences between a month computed again and the frozen one; Refused when other code may be the reason.

    The rows that differ are written to the folder `differences`, outside of everything frozen.
    """
    chain = manifests.load(settings)
    frozen = chain.of(month)
    currency = frozen.content.settings.default_currency
    if currency is None:
        raise Refused(
            f"The manifest of {month} does not say enough to compute it again: version "
            f"{frozen.content.versions.get('tenant-statements')} did not write down its settings. "
            "`statements verify` without --recompute holds its bytes and sums against it."
        )
    inputs = _inputs(settings, frozen, chain.before(month))
    if not _are_there(frozen.content, inputs.close):
        return [f"what has landed is not what the manifest of {month} was made from"]
    readiness.require_services(settings, inputs.close, inputs.services)
    # The statement of a tenant without usage depends on this setting, which may have changed since.
    settings = replace(settings, default_currency=currency)
    report = settings.differences / f"month={month}"
    files.remove(report)
    folder = settings.build / "recompute"
    try:
        progress(f"Computing {month} again")
        again = month_build.make(settings, inputs, folder, progress)
        content = publishing.write_month(settings, inputs, again)
        differences = _figures(frozen.content, content)
        differences += _tables(settings, frozen, again, report) + _texts(frozen.content, content)
    finally:
        files.remove(folder)
    return _sentences(frozen, differences, report)


def _inputs(settings: Settings, frozen: Manifest, earlier: Chain) -> Inputs:
    """The inputs that the close had: the batches that had landed by then, and the settings of then."""
    landed = identity.complete(settings, receipts.load(settings))
    batches = [batch for batch in landed if batch.sequence <= frozen.landed_up_to]
    close = Close(frozen.month, earlier, batches)
    rejected = readiness.rejected_rows(settings, close)
    return Inputs(
        close=close,
        rejected=rejected,
        # Otherwise it would not have closed.
        accepted_rejected=any(not row.cleared for row in rejected),
        warnings=readiness.warnings(close),
        closed_at=frozen.closed_at,
        settings=frozen.content.settings,
        services=frozen.content.services,
    )


def _are_there(frozen: Content, close: Close) -> bool:
    """Whether a close now reads what the manifest names. Other code may open other files of the same batches."""
    named = publishing.named_inputs(close)
    if versions.of_code(frozen.versions) == versions.of_code(versions.installed()):
        return named == frozen.inputs
    landed = {batch.batch_id: batch for batch in close.batches}
    return all(
        given.batch_id in landed
        and given.receipt_sha256 == files.sha256(landed[given.batch_id].folder / receipts.RECEIPT)
        and {(file.name, file.sha256) for file in given.files} <= landed[given.batch_id].hashes.items()
        for given in frozen.inputs
    )


def _figures(frozen: Content, again: Content) -> list[str]:
    """The parts of the manifest that come out otherwise."""
    # Versions before 0.2.0 did not say what sources left out, and format 1 has no root.
    unsaid = {name for name in ("ignored", "statements_root_sha256") if getattr(frozen, name) is None}
    names = [field.name for field in fields(Content) if field.name not in unsaid.union(NOT_COMPUTED)]
    return [f"{name} of the manifest" for name in names if getattr(again, name) != getattr(frozen, name)]


def _tables(settings: Settings, frozen: Manifest, build: Build, report: Path) -> list[str]:
    """The tables that differ, in their files or from the manifest; their rows are written to `report`."""
    again, stored = (logical.of_month(settings, folder, build.each_file) for folder in (build.folder, frozen.folder))
    differences = []
    for table in (tables.USAGE, *tables.TABLES):
        now, then = again[table.name], stored[table.name]
        if now == then == frozen.content.tables.get(table.name, then):
            continue
        differences.append(f"{table.name} ({counted(now.rows, 'row')} again, {then.rows:,} frozen)")
        with engine.connect(settings) as connection:
            _write_rows(connection, table, frozen.folder, build.folder, report)
    return differences


def _write_rows(
    connection: duckdb.DuckDBPyConnection, table: tables.Table, frozen: Path, again: Path, report: Path
) -> None:
    """Write the rows that only one of the two has, each with the side that it stands on."""
    sources = [engine.parquet(logical.files_of(table, folder)) for folder in (frozen, again)]
    columns = [logical.columns_of(connection, source) for source in sources]
    # A column that only one of the two has makes every row another; what can be compared is.
    listed = ", ".join(engine.identifier(name) for name in columns[0] if name in columns[1])
    then, now = (f"select {listed} from {source}" for source in sources)
    report.mkdir(parents=True, exist_ok=True)
    query = (
        f"select 'frozen' as side, * from ({then} except all {now}) "
        f"union all by name select 'again' as side, * from ({now} except all {then})"
    )
    guarded_csv.write(connection, query, (*table.key, "side"), report / f"{table.name}.csv")


def _texts(frozen: Content, again: Content) -> list[str]:
    """The CSV files that differ by a byte: how a value is written in one is fixed."""
    then, now = (
        {name: digest for name, digest in content.hashes.items() if name.endswith(".csv")}
        for content in (frozen, again)
    )
    if frozen.format == FORMAT_WITHOUT_ROOT:
        # It has fewer of them.
        now = {name: digest for name, digest in now.items() if name in then}
    return [name for name in sorted(then.keys() | now.keys()) if then.get(name) != now.get(name)]


def _sentences(frozen: Manifest, differences: list[str], report: Path) -> list[str]:
    if not differences:
        return []
    sentence = f"{frozen.month} computed again from what its close read differs in {'; '.join(differences)}"
    sentence += f" (the rows are in {report})" if report.is_dir() else ""
    was, now = (versions.of_code(named) for named in (frozen.content.versions, versions.installed()))
    if was == now:
        return [sentence]
    other = ", ".join(f"{name} {was.get(name)} then, {now.get(name)} now" for name in sorted(was.keys() | now.keys())
                      if was.get(name) != now.get(name))  # fmt: skip
    raise Refused(f"{sentence}. It was frozen by other code: {other}. Compute it again with that.")

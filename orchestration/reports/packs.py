"""All statements of a closed month at once: a folder or a ZIP for each tenant, an index, and the hashes of all of it.

What belongs here: the order in which statements are written, several at a time, and going on after an interruption.
What does not: the files of one statement (`export`).
"""

import dataclasses
import hashlib
import importlib.metadata
import json
import multiprocessing
import os
import shutil
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from orchestration import data_folder, engine, files, guarded_csv, shape
from orchestration.errors import Refused
from orchestration.months import Month
from orchestration.reports import export
from orchestration.reports.documents import reading
from orchestration.reports.documents.contents import Contents
from orchestration.reports.documents.reading import Source
from orchestration.settings import Settings

# Statements that a process reads at once: each file of the month is passed over once for all of them.
AT_ONCE = 100
JOURNAL = ".statements-written.jsonl"
INDEX = "index.csv"
INDEX_COLUMNS = {
    "account_id": "varchar",
    "tenant_name": "varchar",
    "currency": "varchar",
    "total_cost": "decimal(38, 9)",
    "file": "varchar",
    "sha256": "varchar",
}
BAR = 24


@dataclass(frozen=True)
class Order:
    """The statements that are to be written: of which month, in which formats, where, and whether each is one ZIP."""

    month: Month
    choice: export.Choice
    out: Path
    is_zipped: bool = False

    @property
    def folder(self) -> Path:
        return export.month_folder(self.out, self.month)


@dataclass(frozen=True)
class Pack:
    """What was written: the folder, and how many statements are in it."""

    folder: Path
    statements: int


@dataclass(frozen=True)
class Written:
    """A tenant's statement as it was written: its totals by currency, and its files with their hashes."""

    account_id: str
    tenant_name: str
    totals: dict[str, str]
    hashes: dict[str, str]


def write(settings: Settings, order: Order, progress: Callable[[str], Any]) -> Pack:
    """Write every statement of a closed month, with `index.csv` and `SHA256SUMS`.

    Interrupted and called again in the same way, it goes on with the statements that are not there yet. Refused, with
    everything else written, when a statement cannot be: the sentence names each.
    """
    files.require_printable(order.out, "The folder")
    reading.require_undamaged(settings, order.month, with_days=order.choice.has_records)
    with files.disk_errors(), reading.opened(settings, order.month) as source:
        accounts = reading.account_ids(source)
        key = _key(source, order)
    data_folder.require_outside(settings, order.folder / INDEX)
    with files.disk_errors():
        order.folder.mkdir(parents=True, exist_ok=True)
        written = _resumed(order, key)
        refusals = []
        missing = [account for account in accounts if account not in written]
        pace = _Pace(len(accounts), len(written))
        with (order.folder / JOURNAL).open("a", encoding="utf-8") as journal:
            for made, refused in _made(settings, order, missing):
                for one in made:
                    journal.write(json.dumps(shape.as_json(one)) + "\n")
                    written[one.account_id] = one
                journal.flush()
                refusals += refused
                progress(pace.line(len(written)))
        if refusals:
            raise Refused(
                f"{len(written):,} of {len(accounts):,} statements are in {order.folder}, and these are not; the same "
                "command goes on with them:\n" + "\n".join(f"- {refusal}" for refusal in refusals)
            )
        _finish(settings, order, [written[account] for account in accounts])
    return Pack(order.folder, len(accounts))


class _Pace:
    """How far the statements are: a bar, how many, and how many a second."""

    def __init__(self, total: int, done: int) -> None:
        self._total, self._before, self._since = total, done, time.monotonic()

    def line(self, done: int) -> str:
        share = done / max(self._total, 1)
        rate = (done - self._before) / max(time.monotonic() - self._since, 0.001)
        return f"{'█' * round(share * BAR):░<{BAR}} {done:,} of {self._total:,} statements, {rate:,.1f} a second"


def _key(source: Source, order: Order) -> str:
    """A hash of everything that the bytes of the statements depend on: other bytes are never mixed with them."""
    logo = source.issuer.logo
    parts = [
        importlib.metadata.version("tenant-statements"),
        source.manifest.sha256,
        repr(order.choice),
        str(order.is_zipped),
        repr(dataclasses.replace(source.issuer, logo=None)),
        hashlib.sha256(logo.content).hexdigest() if logo else "",
        repr(sorted(source.titles.items())),
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _resumed(order: Order, key: str) -> dict[str, Written]:
    """The statements of an interrupted call that are as it wrote them; for another call, none and a new journal."""
    path = order.folder / JOURNAL
    try:
        first, *lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        first, lines = "", []
    if first != key:
        path.write_text(f"{key}\n", encoding="utf-8")
        return {}
    # The last line may be torn.
    found = [one for line in lines if (one := _read(line)) is not None]
    path.write_text(f"{key}\n" + "".join(json.dumps(shape.as_json(one)) + "\n" for one in found), encoding="utf-8")
    return {one.account_id: one for one in found if _is_as_written(order.folder, one)}


def _read(line: str) -> Written | None:
    try:
        return shape.build(json.loads(line), Written)
    except ValueError:
        return None


def _is_as_written(folder: Path, one: Written) -> bool:
    try:
        return all(files.sha256(folder / name) == digest for name, digest in one.hashes.items())
    except OSError:
        return False


def _made(settings: Settings, order: Order, accounts: list[str]) -> Iterator[tuple[list[Written], list[str]]]:
    """Make the statements, in several processes if there are many; yields some of them and refusals as they come."""
    parts = [accounts[start : start + AT_ONCE] for start in range(0, len(accounts), AT_ONCE)]
    if len(parts) < 2:
        yield from (_make(settings, order, part) for part in parts)
        return
    # A process of its own cannot inherit a lock that a thread of DuckDB holds. Each query has one thread then.
    alone = dataclasses.replace(settings, threads=1)
    processes = min(settings.threads, len(parts))
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _end_with_the_command) as pool:
        waiting = iter(parts)
        running: set[Future[tuple[list[Written], list[str]]]] = set()
        try:
            while True:
                running |= {
                    pool.submit(_make, alone, order, part) for part in islice(waiting, 2 * processes - len(running))
                }
                if not running:
                    return
                ended, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in ended)
        finally:
            pool.shutdown(cancel_futures=True)


def _end_with_the_command() -> None:
    """Let this process end when the command is killed; a pool's processes would wait for work for ever."""
    command = multiprocessing.parent_process()
    assert command is not None

    def follow() -> None:
        command.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _make(settings: Settings, order: Order, accounts: list[str]) -> tuple[list[Written], list[str]]:
    """Write some statements. Returns them, and a sentence for each that cannot be written."""
    made, refused = [], []
    with reading.opened(settings, order.month) as source:
        for stated in reading.of_tenants(source, accounts):
            try:
                made.append(_write_one(source, order, stated))
            except Refused as error:
                refused.append(str(error))
    return made, refused


def _write_one(source: Source, order: Order, stated: Contents) -> Written:
    account = stated.account_id or ""
    folder = export.account_folder(order.out, order.month, account)
    if order.is_zipped:
        staged = folder.with_name(f".{folder.name}.part")
        try:
            paths = export.write(source, account, order.choice, staged, stated)
            paths = [_zipped(source.settings, folder.with_name(f"{folder.name}.zip"), paths)]
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    else:
        paths = export.write(source, account, order.choice, folder, stated)
    return Written(
        account_id=account,
        tenant_name=stated.name,
        totals={one.currency: f"{one.total_cost:f}" for one in stated.accounts},
        hashes={str(path.relative_to(order.folder)): files.sha256(path) for path in paths},
    )


def _zipped(settings: Settings, target: Path, paths: list[Path]) -> Path:
    """Put files into a ZIP, in a folder of its name; the same files give the same bytes."""
    with (
        data_folder.file_to_hand_out(settings, target) as staged,
        zipfile.ZipFile(staged, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for path in paths:
            # An entry without a time of its own has ZIP's first, 1980.
            entry = zipfile.ZipInfo(f"{target.stem}/{path.name}")
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            with path.open("rb") as content, archive.open(entry, "w") as packed:
                shutil.copyfileobj(content, packed)
    return target


def _finish(settings: Settings, order: Order, written: list[Written]) -> None:
    """Write the index and the hashes, and remove the journal."""
    rows = [
        (one.account_id, one.tenant_name, currency, total, name, digest)
        for one in written
        for currency, total in one.totals.items()
        for name, digest in one.hashes.items()
    ]
    index = order.folder / INDEX
    with data_folder.file_to_hand_out(settings, index) as staged, engine.connect(settings) as connection:
        engine.create_table(connection, "listed", INDEX_COLUMNS, rows)
        guarded_csv.write(connection, "select * from listed", ("account_id", "currency", "file"), staged)
    hashes = {name: digest for one in written for name, digest in one.hashes.items()}
    hashes[INDEX] = files.sha256(index)
    with data_folder.file_to_hand_out(settings, order.folder / files.SUMS) as staged:
        staged.write_text(files.sums_text(hashes), encoding="utf-8")
    (order.folder / JOURNAL).unlink()

"""The registry: an operator changes who holds what, and the change is recorded now.

What belongs here: one change event per command, landed as a batch of its own. There is no way to say when: an event's
`recorded_at` is the instant of the command. What does not belong here: reading history (`reading`).
"""

import csv
import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestration import engine, files
from orchestration.commands.land import Landing, record
from orchestration.errors import Refused, did_you_mean
from orchestration.landing import landed_rows, normalization, receipts
from orchestration.landing.feeds import TENANTS
from orchestration.settings import Settings
from orchestration.warehouse import cache, reader

FEED_OF_KIND = {"number": "number_assignments", "ip": "ip_assignments"}
NORMALIZED = {"number": "e164(?)", "ip": "canonical_ip(?)"}
WELL_FORMED = {"number": "is_e164", "ip": "is_ip"}
STATED_BY_COMMAND = ("recorded_at", "archived")
# Tens of thousands of tenants. Python holds the rows; larger files land as the feed.
LARGEST_FILE = 16_000_000

# A tenant as a file states it: column → value.
Row = dict[str, str | None]


def assign(settings: Settings, kind: str, asset: str, account_id: str) -> Landing:
    """Give a number or IP to a tenant that is alive, from now on."""
    canonical = normalized(settings, kind, asset)
    with _alone(settings):
        _require_alive(settings, account_id)
        return record(settings, FEED_OF_KIND[kind], "assign", {kind: canonical, "account_id": account_id})


def release(settings: Settings, kind: str, asset: str) -> Landing:
    """Take a number or IP from whoever holds it, from now on."""
    canonical = normalized(settings, kind, asset)
    with _alone(settings):
        holders = reader.rows(settings, f"select account_id from assets.{kind}s where {kind} = ?", [canonical])
        if holders[:1] in ([], [(None,)]):
            raise Refused(f"{canonical} belongs to nobody, so there is nothing to release.")
        return record(settings, FEED_OF_KIND[kind], "release", {kind: canonical, "account_id": None})


def add_tenants(settings: Settings, path: Path) -> Landing:
    """Create the tenants of a CSV or JSON Lines file with every field of the tenants feed but the time."""
    rows = _read_rows(path)
    stated = [name for name in STATED_BY_COMMAND if any(name in row for row in rows)]
    if stated:
        raise Refused(f"{path} has {', '.join(stated)}: a tenant is created now. Leave the column out.")
    with _alone(settings):
        accounts = _rows_or_none(settings, "select lower(account_id) from assets.tenants")
        accounts_of_rows = [row.get("account_id") or "" for row in rows]
        taken = [account for account in accounts_of_rows if (account.lower(),) in accounts]
        if taken:
            raise Refused(
                f"{', '.join(taken[:10])}: there is such a tenant already, and an account_id is never used again."
            )
        return record(settings, TENANTS.name, "tenant-add", *rows)


def archive_tenant(settings: Settings, account_id: str) -> Landing:
    """End a tenant's life, for ever, from now on; what it holds is released with it."""
    columns = {name: kind for name, kind in TENANTS.values.items() if name not in STATED_BY_COMMAND}
    with _alone(settings):
        _require_alive(settings, account_id)
        landed = receipts.files_of_feed(receipts.load(settings), TENANTS.name)
        with engine.connect(settings) as connection:
            latest = engine.row(
                connection,
                f"select {', '.join(columns)} from ({landed_rows.select(landed, TENANTS.stored)}) "
                "where account_id = ? and not is_overtaken "
                "order by recorded_at desc, batch_id desc, source_row desc limit 1",
                [account_id],
            )
        details = dict(zip(columns, latest, strict=True))
        return record(settings, TENANTS.name, "tenant-archive", details | {"archived": "true"})


def normalized(settings: Settings, kind: str, asset: str) -> str:
    """The canonical text of a number or IP; Refused when it is neither."""
    if kind not in FEED_OF_KIND:
        raise Refused(f"{kind!r} is neither number nor ip.")
    with engine.connect(settings) as connection:
        normalization.load(connection)
        (canonical,) = engine.row(connection, f"select {NORMALIZED[kind]}", [asset])
        (is_possible,) = engine.row(connection, f"select {WELL_FORMED[kind]}(?)", [canonical])
    if not is_possible:
        example = "+12015550123" if kind == "number" else "192.0.2.17 or 2001:db8::17"
        raise Refused(
            f"{asset!r} is no {'telephone number' if kind == 'number' else 'IP address'}: write it as {example}."
        )
    assert isinstance(canonical, str)
    return canonical


def recognized(settings: Settings, asset: str) -> tuple[str, str]:
    """The kind of an asset, number or ip, and its canonical text; Refused when it is neither."""
    for kind in FEED_OF_KIND:
        try:
            return kind, normalized(settings, kind, asset)
        except Refused:
            continue
    raise Refused(f"{asset!r} is neither a telephone number nor an IP address.")


def _require_alive(settings: Settings, account_id: str) -> None:
    lives = dict(_rows_or_none(settings, "select account_id, archived_at from assets.tenants"))
    if account_id not in lives:
        raise Refused(
            f"There is no tenant {account_id!r}. `statements tenant list` shows all; `tenant add` makes one."
            f"{did_you_mean(account_id, lives)}"
        )
    if lives[account_id] is not None:
        raise Refused(
            f"The tenant {account_id} was archived at {lives[account_id]:%Y-%m-%d %H:%M} UTC, and that is final."
        )


def _rows_or_none(settings: Settings, query: str) -> list[tuple[Any, ...]]:
    return reader.rows(settings, query) if settings.warehouse.exists() else []


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Hold the lock, so that nothing changes between reading the present state and recording a change to it."""
    with files.disk_errors(), files.only_writer(settings.lock):
        if settings.warehouse.exists():
            # A batch that a killed command had landed counts.
            cache.refresh_if_stale(settings)
        yield


def _read_rows(path: Path) -> list[Row]:
    readers: dict[str, Callable[[Path], list[Row]]] = {".csv": _csv_rows, ".jsonl": _json_rows, ".json": _json_rows}
    if path.suffix.lower() not in readers:
        raise Refused(f"{path}: the name must end in {', '.join(readers)}.")
    try:
        rows = readers[path.suffix.lower()](path)
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, csv.Error) as error:
        raise Refused(f"{path} is not {path.suffix.lstrip('.').upper()} in UTF-8: {type(error).__name__}.") from error
    if not rows:
        raise Refused(f"{path} has no tenant in it.")
    return rows


def _text(path: Path) -> str:
    return files.small(path, LARGEST_FILE).decode("utf-8-sig")


def _csv_rows(path: Path) -> list[Row]:
    rows: list[Row] = list(csv.DictReader(io.StringIO(_text(path), newline=""), strict=True))
    if any(None in row or None in row.values() for row in rows):
        raise csv.Error("a row is longer or shorter than the header")
    return rows


def _json_rows(path: Path) -> list[Row]:
    rows = [json.loads(line) for line in _text(path).splitlines() if line.strip()]
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("a line is not an object")
    return rows

"""Dagster's history in SQLite, over connections that are kept.

What belongs here: how a database is reached. What does not: its tables, its place and its transactions, which are
Dagster's own. For each of the hundreds of events of a close Dagster 1.13 makes an engine of SQLAlchemy, which compiles
every statement again, and a connection, at whose end SQLite writes its log back into the database.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Self

from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.schedules.sqlite.sqlite_schedule_storage import SqliteScheduleStorage
from dagster._core.storage.sql import create_engine
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._core.storage.sqlite_storage import (
    DagsterSqliteStorage,
    _event_logs_directory,
    _runs_directory,
    _schedule_directory,
)
from dagster._serdes import ConfigurableClassData
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

# A close stores its events in two databases. A server that shows runs opens one for each, and keeps the latest.
MOST_SHARDS = 8


def _engine(database: str) -> Engine:
    engine = create_engine(database, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS})
    event.listen(engine, "connect", _leave_syncing_to_checkpoints)
    return engine


def _leave_syncing_to_checkpoints(connection: Any, _: object) -> None:
    """A loss of power may take the last events of a run and harms nothing else: a month's record is its manifest."""
    connection.execute("pragma synchronous = normal")


class _OneEngine:
    """The `connect` of the storages with one database."""

    _conn_string: str

    @cached_property
    def _engine(self) -> Engine:
        return _engine(self._conn_string)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        with self._engine.connect() as connection, connection.begin():
            yield connection

    def dispose(self) -> None:
        self._engine.dispose()


class Runs(_OneEngine, SqliteRunStorage):
    """Runs and their tags."""


class Schedules(_OneEngine, SqliteScheduleStorage):
    """Ticks of schedules and sensors."""


class Events(SqliteEventLogStorage):
    """Events: a database for each run, and `index` with those of all assets."""

    def __init__(self, base_dir: str) -> None:
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        super().__init__(base_dir)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            if shard not in self._engines:
                engine = _engine(self.conn_string_for_shard(shard))
                self._initdb(engine)
                self._engines[shard] = engine
                if len(self._engines) > MOST_SHARDS:
                    _, oldest = self._engines.popitem(last=False)
                    oldest.dispose()
            self._engines.move_to_end(shard)
            with self._engines[shard].connect() as connection, connection.begin():
                yield connection

    def wipe(self) -> None:
        """Without a connection to the files that go."""
        self._forget()
        super().wipe()

    def dispose(self) -> None:
        super().dispose()
        self._forget()

    def _forget(self) -> None:
        with self._db_lock:
            while self._engines:
                _, engine = self._engines.popitem()
                engine.dispose()


class SqliteHistory(DagsterSqliteStorage):
    """Dagster's storage under a folder, where its own class puts it too."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self.base_dir = base_dir
        self._run_storage = Runs.from_local(_runs_directory(base_dir))
        self._event_log_storage = Events(_event_logs_directory(base_dir))
        self._schedule_storage = Schedules.from_local(_schedule_directory(base_dir))
        self._inst_data = inst_data
        # That of Dagster's class would make storages of its own.
        DagsterStorage.__init__(self)  # type: ignore[no-untyped-call, arg-type]

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        return cls.from_local(inst_data=inst_data, **config_value)

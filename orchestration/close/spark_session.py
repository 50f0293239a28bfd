"""A session of Apache Spark with the settings on which money depends, and what Spark says as one sentence.

What belongs here: starting Spark in this process, its settings, and its errors. Where the cluster is, and how large, is
Spark's own configuration (`spark-defaults.conf`, SPARK_CONF_DIR). What does not: what is computed. Spark is imported
when it is needed: it is an extra, and importing it takes seconds.
"""

from __future__ import annotations

import atexit
import functools
import importlib.util
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from orchestration import files
from orchestration.errors import Refused
from orchestration.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# The database of the pins: views of the session, which are in no catalogue and gone with it.
PINS = "pins"
# Every setting that decides about a figure, a time or a file. They are set, read back, and never left to a default.
SETTINGS: Mapping[str, str] = {
    # A sum beyond its range is an error. Without it, it is null, and a statement would say 0.
    "spark.sql.ansi.enabled": "true",
    "spark.sql.storeAssignmentPolicy": "ANSI",
    # The difference of two amounts keeps all nine places. By default, Spark gives it eight.
    "spark.sql.decimalOperations.allowPrecisionLoss": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.timestampType": "TIMESTAMP_LTZ",
    # Microseconds in a file as other software reads them; by default it would be INT96.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.parquet.writeLegacyFormat": "false",
    "spark.sql.parquet.compression.codec": "zstd",
    "spark.sql.sources.default": "parquet",
    "spark.sql.legacy.createHiveTableByDefault": "false",
    "spark.sql.caseSensitive": "false",
    # A day is one file.
    "spark.sql.files.maxRecordsPerFile": "0",
    # A missing or unreadable file is an error.
    "spark.sql.files.ignoreMissingFiles": "false",
    "spark.sql.files.ignoreCorruptFiles": "false",
    # The catalogue is the session's own: a build shares no name with anybody.
    "spark.sql.catalogImplementation": "in-memory",
    "spark.sql.globalTempDatabase": PINS,
    # Nothing of Spark's on a terminal: what an operator can do about an error, a sentence says.
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "OFF",
}
# Held where the configuration says nothing of them.
DEFAULTS: Mapping[str, str] = {"spark.app.name": "tenant-statements", "spark.ui.enabled": "false"}
# On one machine, nobody else has to reach the driver.
LOCAL_DEFAULTS: Mapping[str, str] = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
# How a month is computed that is small enough: such a close is planning, and none of it is worth a compiler's time, a
# second plan after each stage, or many tasks. The figures are the same with and without.
FEW_ROWS: Mapping[str, str] = {
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.shuffle.partitions": "2",
}
OLDEST_JAVA = 17
# An error's class and sentence, as Spark words it.
CLASSIFIED = re.compile(r"\[([A-Z][A-Z0-9_.]+)\] ([^\n]*)")
JAVA_EXCEPTION = re.compile(r"(?:[a-z]\w*\.)+\w*(?:Error|Exception)\b(?:: [^\n]*)?")
# What Spark quotes may be a value of a record; its advice to switch a check off is no way out.
QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|(?<=[Vv]alue )\S+|(?<![\w(,.])[0-9]{4}[0-9.]*")
ADVICE = re.compile(r" ?(?:If necessary|Use `?try_|To return NULL|Please|Correct the|SQLSTATE).*")


def connect(settings: Settings) -> SparkSession:
    """The session of this process, started when there is none. Refused when it cannot be, or is set otherwise."""
    _require_installed()
    session = _started(settings.threads)
    if session.sparkContext._jsc is None or session.sparkContext._jsc.sc().isStopped():
        # The cluster is gone, and with it the session; a new one may find it again.
        _started.cache_clear()
        session = _started(settings.threads)
    require_settings(session)
    return session


def version(session: SparkSession) -> str:
    """The engine as a manifest names it."""
    assert session.sparkContext._jvm is not None
    java = session.sparkContext._jvm.java.lang.System.getProperty("java.version")
    return f"spark {session.version}, java {java}"


def suit(session: SparkSession, *, few_rows: bool) -> None:
    """Set how the next month is computed: as suits a few rows, or as Spark's configuration has it."""
    configured = session.sparkContext.getConf()
    for name, value in FEW_ROWS.items():
        if few_rows:
            session.conf.set(name, value)
        elif configured.contains(name):
            session.conf.set(name, configured.get(name))
        else:
            session.conf.unset(name)


def require_settings(session: SparkSession) -> None:
    """Refused unless the session has every setting of SETTINGS, whoever set it last."""
    for name, value in SETTINGS.items():
        if (found := session.conf.get(name, None)) != value:
            raise Refused(
                f"Spark has {name} = {found} where a close needs {value}, so nothing was published. Take it out of "
                "Spark's configuration, and close again."
            )


def _require_installed() -> None:
    if not all(importlib.util.find_spec(name) for name in ("pyspark", "dbt.adapters.spark")):
        raise Refused(
            "STATEMENTS_ENGINE=spark needs packages more: run `make spark`, or pip install 'tenant-statements[spark]'."
        )
    if os.environ.get("SPARK_REMOTE"):
        raise Refused(
            "SPARK_REMOTE is set, and a close does not run through Spark Connect. Unset it, and name the cluster in "
            "spark-defaults.conf, as in `spark.master spark://HOST:7077`."
        )
    java = _java_version()
    if java is None or java < OLDEST_JAVA:
        found = "there is none" if java is None else f"this is Java {java}"
        raise Refused(
            f"Spark needs Java {OLDEST_JAVA} or newer, and {found}. Install it (Debian: openjdk-17-jre-headless), "
            "or name it with JAVA_HOME."
        )


@functools.cache
def _java_version() -> int | None:
    """The major version of the Java that Spark would take; None where there is none."""
    home = os.environ.get("JAVA_HOME")
    program = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if program is None:
        return None
    try:
        told = subprocess.run([program, "-version"], capture_output=True, text=True, check=True).stderr
    except (OSError, subprocess.CalledProcessError):
        return None
    found = re.search(r'version "(?:1\.)?([0-9]+)', told)
    return int(found[1]) if found else None


@functools.cache
def _started(threads: int) -> SparkSession:
    """Start Spark's driver as a child of this process, which dies with it."""
    from pyspark import SparkConf, SparkContext
    from pyspark.java_gateway import launch_gateway
    from pyspark.sql import SparkSession

    # They would print each error with its stack, beside raising it.
    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger", "py4j"):
        logging.getLogger(name).disabled = True
    _let_nobody_turn_checks_off()
    given = SparkConf(loadDefaults=False).setAll(list(SETTINGS.items()))
    with tempfile.TemporaryFile() as said, errors(said):
        gateway = launch_gateway(given, {"stderr": said, "stdout": subprocess.DEVNULL})
        SparkContext._ensure_initialized(gateway=gateway)
        conf = SparkConf()
        master = conf.get("spark.master", "local[*]") or ""
        if master == "local[*]":
            conf.setMaster(f"local[{threads}]")
        for name, value in {**DEFAULTS, **(LOCAL_DEFAULTS if master.startswith("local") else {})}.items():
            conf.setIfMissing(name, value)
        # Spark makes the folder of a database that no build uses.
        unused = tempfile.mkdtemp(prefix=files.OWN_FOLDER)
        atexit.register(shutil.rmtree, unused, ignore_errors=True)
        conf.set("spark.sql.warehouse.dir", f"file://{unused}")
        # Executors run this project's Python code in its own environment, at the same path.
        os.environ.setdefault("PYSPARK_PYTHON", conf.get("spark.pyspark.python", sys.executable) or sys.executable)
        return SparkSession(SparkContext(conf=conf))


def _let_nobody_turn_checks_off() -> None:
    """dbt-spark sets `spark.sql.ansi.enabled` to false before each statement, whatever its profile says."""
    from dbt.adapters.spark.connections import SparkCredentials

    credentials_class: Any = SparkCredentials
    made = credentials_class.__post_init__
    if made.__name__ == "strict":
        return

    def strict(credentials: SparkCredentials) -> None:
        made(credentials)
        credentials.server_side_parameters["spark.sql.ansi.enabled"] = SETTINGS["spark.sql.ansi.enabled"]

    credentials_class.__post_init__ = strict


@contextmanager
def errors(said: IO[bytes] | None = None) -> Iterator[None]:
    """Turn what Spark raises into a sentence; `said` is a file in which a driver that did not start says why."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (PySparkException, Py4JError, ConnectionError) as error:
        reason = sentence(str(error))
        if said is not None and "JAVA_GATEWAY_EXITED" in reason:
            said.seek(0)
            reason = sentence(said.read().decode(errors="replace")) or reason
        raise Refused(f"Spark could not do it, so nothing was published: {reason}") from None


def sentence(message: str) -> str:
    """Spark's own sentence of an error, without its stack, and without the values that it quotes."""
    found = CLASSIFIED.search(message)
    java = JAVA_EXCEPTION.search(message)
    text = f"{found[1]}: {found[2]}" if found else java[0] if java else message.strip().partition("\n")[0]
    return QUOTED.sub("…", ADVICE.sub("", text)).strip()[:300]

"""Running the close job in this process, against the same Dagster storage that the UI shows.

What belongs here: the instance, one run of the job, and the UI's servers. What does not: declarations. Dagster is
imported when it is needed: importing it takes seconds.
"""

import functools
import gc
import http
import http.client
import importlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from orchestration import files, screen
from orchestration.errors import Damaged, Refused
from orchestration.frozen import frozen_months
from orchestration.months import Month
from orchestration.settings import Settings

INSTANCE_CONFIG = Path(__file__).parent / "runtime" / "dagster.yaml"
WORKSPACE = Path(__file__).parent / "runtime" / "workspace.yaml"
# Seconds. Dagster gives its web server and its daemon 45 each.
STOPPING = 120
# What stops the servers: Ctrl+C, `kill`, and a terminal that is closed.
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
IN_POSTGRES = {"postgres": {"postgres_url": {"env": "STATEMENTS_DAGSTER_POSTGRES"}}}


def prepare_home(settings: Settings) -> Path:
    """Lay out Dagster's storage under the data folder and point this process and its children there."""
    import dagster as dg

    home = settings.dagster_home
    # A library that tries again warns of it; an operator hears of what came of it.
    logging.getLogger().setLevel(logging.ERROR)
    # Which Ctrl+C ends while it is closed.
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "yes"
    os.environ["DAGSTER_HOME"] = str(home)
    os.environ["STATEMENTS_DATA_DIR"] = str(settings.data)
    # Dagster makes its databases when it first opens them, and two processes that do so at once break them for good.
    with files.only_writer(home / ".lock"):
        wanted, target = _instance_config(settings), home / "dagster.yaml"
        if not target.exists() or target.read_text(encoding="utf-8") != wanted:
            # In place whole or not at all: with an empty one Dagster would go by its defaults, and telemetry is one.
            staged = target.with_suffix(".part")
            staged.write_text(wanted, encoding="utf-8")
            staged.replace(target)
        dg.DagsterInstance.from_config(str(home)).dispose()
    return home


def _instance_config(settings: Settings) -> str:
    """Dagster's settings: always those of this version, so that an upgrade reaches a data folder that is there."""
    shipped = INSTANCE_CONFIG.read_text(encoding="utf-8")
    if settings.dagster_postgres is None:
        return shipped
    if not settings.dagster_postgres.startswith("postgresql+psycopg2://"):
        raise Refused(
            "STATEMENTS_DAGSTER_POSTGRES is not of the form postgresql+psycopg2://USER:PASSWORD@HOST/DATABASE."
        )
    if find_spec("dagster_postgres") is None:
        raise Refused("STATEMENTS_DAGSTER_POSTGRES needs a package more: pip install 'tenant-statements[postgres]'.")
    import yaml

    return yaml.safe_dump(yaml.safe_load(shipped) | {"storage": IN_POSTGRES})


def retell(settings: Settings) -> None:
    """Write the overview's page anew, and tell Dagster's history where there is one. The command's work is done."""
    try:
        _retell(settings)
    except Refused as error:
        screen.complain(f"It is done, but Dagster's overview was not told. {error}")
    except OSError as error:
        screen.complain(f"It is done, but {settings.overview} was not written: {error.strerror or error}.")


def _retell(settings: Settings) -> None:
    if not (settings.dagster_home / "dagster.yaml").exists():
        from orchestration.reports import overview

        overview.refresh_page(settings)
        return
    import dagster as dg

    from orchestration.defs import history

    with _usable_history(settings):
        prepare_home(settings)
        with dg.DagsterInstance.from_config(str(settings.dagster_home)) as instance:
            history.tell_of_landing(instance, settings)


def close_through_dagster(settings: Settings, month: Month, *, accept_rejected: bool) -> bool:
    """Run the job `close_month` for one month. Returns whether the month was frozen already, perhaps by another close
    in the meantime. Raises Refused or Damaged just as the close did."""
    _import_what_a_close_needs()
    import dagster as dg

    with _usable_history(settings):
        prepare_home(settings)
        from orchestration.commands.close import ALREADY_FROZEN
        from orchestration.definitions import build_defs
        from orchestration.defs.assets import FROZEN_MONTH

        job = build_defs(_with_first_month(settings, month)).resolve_job_def("close_month")
        with dg.DagsterInstance.from_config(str(settings.dagster_home)) as instance, redirect_stderr(_Stderr()):
            try:
                run = job.execute_in_process(
                    instance=instance,
                    partition_key=str(month),
                    # The operator who typed the command sees it fail, and decides.
                    tags={"dagster/max_retries": "0"},
                    run_config={
                        "ops": {"closing": {"config": {"accept_rejected": accept_rejected}}},
                        "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
                    },
                )
            except dg.Failure as failure:
                raise failure.__cause__ or failure from None
            except dg.DagsterExecutionInterruptedError:
                raise KeyboardInterrupt from None
        (materialization,) = (
            event.materialization for event in run.get_asset_materialization_events() if event.asset_key == FROZEN_MONTH
        )
        return bool(materialization.metadata["outcome"].value == ALREADY_FROZEN)


def _with_first_month(settings: Settings, month: Month) -> Settings:
    """Where no month is frozen, the one that is named is the first, whatever else has landed (rule 22)."""
    is_known = settings.first_month or frozen_months(settings)
    return settings if is_known else replace(settings, first_month=str(month))


@functools.cache
def _import_what_a_close_needs() -> None:
    """Import Dagster's and dbt's thousands of modules without looking for garbage among them, now and at every turn.

    Nearly all that a module makes is there until the process ends. To look through it was a sixth of a small close.
    """
    gc.disable()
    try:
        for name in ("dagster", "dagster_dbt", "dbt.cli.main"):
            importlib.import_module(name)
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def _usable_history(settings: Settings) -> Iterator[None]:
    """Refused when Dagster's history cannot be read or written; a refusal of the close itself comes first."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (Refused, Damaged):
        raise
    except Exception as error:
        causes = list(_causes(error))
        fault = next((cause for cause in causes if isinstance(cause, SQLAlchemyError)), None)
        if fault is None:
            raise
        reason = str(fault.__cause__ or fault).splitlines()[0]
        for cause in causes:
            if isinstance(cause, Refused | Damaged):
                raise cause from error
        if settings.dagster_postgres:
            raise Refused(
                f"Dagster's history cannot be read or written (STATEMENTS_DAGSTER_POSTGRES): {reason}. "
                "Start the database, and try again: a month is frozen whole or not at all."
            ) from error
        raise Refused(
            f"Dagster's history under {settings.dagster_home} cannot be written: {reason}. "
            "If the disk is full, make room, and close again: a month is frozen whole or not at all."
        ) from error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    # In a ring where an error that Dagster had wrapped was raised again: the wrapper is its context, and it the cause.
    told: set[int] = set()
    while error is not None and id(error) not in told:
        told.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


class _Stderr:
    """A command's stderr, without Dagster's complaint about each event that it cannot write into its history.

    The complaint quotes the event and not the reason. The command itself ends with a sentence, or goes on.
    """

    COMPLAINT = "Exception while writing logger call to event log"

    def __init__(self) -> None:
        self._stream = sys.stderr

    def write(self, text: str) -> int:
        return len(text) if text.startswith(self.COMPLAINT) else self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def serve(settings: Settings, port: int) -> int:
    """Run Dagster's web UI and daemon on 127.0.0.1 until they are stopped. Returns 0, or their status if they end.

    Refused, with the servers stopped, when the web server answers a request that `runtime.ui_guard` should refuse.
    """
    _tell_of_everything(settings)
    # Errors alone: each tick stands in the UI, and a library's warning is nothing an operator can act on.
    quiet = ["--log-level", "error", "--code-server-log-level", "error"]
    # The web server keeps connections to PostgreSQL open, and an answer over one that a restart of the database cut is
    # an error. A connection that is opened anew after a second outlives no restart.
    fresh = ["--db-pool-recycle", "1"]
    arguments = ["-w", str(WORKSPACE), "-h", "127.0.0.1", "-p", str(port), *quiet, *fresh]
    # Dagster stops its servers when it is interrupted, and leaves them running when it is merely ended. In a session of
    # their own, the servers are interrupted by us alone, whoever asks for it, and a close in progress is not.
    asked = _Asked()
    for number in STOPS:
        # `nohup` and a shell's background have them ignored, and mean it.
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, asked)
    child = subprocess.Popen(
        [sys.executable, "-m", "dagster", "dev", *arguments],
        cwd=settings.data,
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
        # A shell's background job would start with interrupts ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        start_new_session=True,
    )
    try:
        asked.from_now_on()
        _require_guard(child, port)
        screen.say(f"Open http://127.0.0.1:{port}, stop with Ctrl-C.")
        return child.wait()
    except KeyboardInterrupt:
        _stop(child)
        return 0


class _Asked:
    """Hears once that somebody wants the servers stopped: a second interrupt would cut that short, and leave some.

    Raises KeyboardInterrupt for it, but not before there are servers that can be stopped.
    """

    def __init__(self) -> None:
        self._is_heard = self._is_raised = False

    def __call__(self, *_: object) -> None:
        for number in STOPS:
            signal.signal(number, signal.SIG_IGN)
        self._is_heard = True
        if self._is_raised:
            raise KeyboardInterrupt

    def from_now_on(self) -> None:
        """Raise, also what was heard before."""
        self._is_raised = True
        if self._is_heard:
            raise KeyboardInterrupt


def _tell_of_everything(settings: Settings) -> None:
    """Report to a fresh or lost history what is there, before anybody looks at it."""
    import dagster as dg

    with _usable_history(settings):
        prepare_home(settings)
        from orchestration.defs import history

        with dg.DagsterInstance.from_config(str(settings.dagster_home)) as instance:
            history.tell_of_everything(instance, settings)


def _require_guard(child: subprocess.Popen[bytes], port: int) -> None:
    """Wait for the web server's first answer, to a request for a stranger's host, and stop it unless it refuses."""
    while child.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", "/server_info", headers={"Host": "stranger.invalid"})
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException):
            time.sleep(0.2)
            continue
        finally:
            connection.close()
        if status != http.HTTPStatus.FORBIDDEN:
            _stop(child)
            raise Refused(
                f"The UI was stopped: the server on port {port} answers requests of other sites. Either another "
                "program has this port, or Dagster is not of the version that `make setup` installs."
            )
        return
    raise Refused("The UI did not start. The lines above give the reason.")


def _stop(child: subprocess.Popen[bytes]) -> None:
    """Interrupt the servers, and kill a process that has not ended in STOPPING seconds: it may ignore interrupts."""
    child.send_signal(signal.SIGINT)
    try:
        child.wait(STOPPING)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()

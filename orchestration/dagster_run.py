"""Running the close job in this process, against the same Dagster storage that the UI shows.

What belongs here: the instance, one run of the job, and the UI's servers. What does not: declarations. Dagster is
imported when it is needed: that alone takes seconds.
"""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from orchestration import files
from orchestration.errors import Damaged, Refused
from orchestration.months import Month
from orchestration.settings import Settings

INSTANCE_CONFIG = Path(__file__).with_name("dagster.yaml")


def prepare_home(settings: Settings) -> Path:
    """Lay out Dagster's storage under the data folder and point this process and its children there."""
    settings.dagster_home.mkdir(parents=True, exist_ok=True)
    target = settings.dagster_home / "dagster.yaml"
    if not target.exists():
        # In place whole or not at all: with an empty one Dagster would go by its defaults, and telemetry is one. Several
        # commands may start together in a new folder.
        with files.only_writer(target.with_suffix(".lock")):
            staged = target.with_suffix(".part")
            shutil.copyfile(INSTANCE_CONFIG, staged)
            staged.replace(target)
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "yes"
    os.environ["DAGSTER_HOME"] = str(settings.dagster_home)
    os.environ["STATEMENTS_DATA_DIR"] = str(settings.data)
    return settings.dagster_home


def close_through_dagster(settings: Settings, month: Month, *, accept_rejected: bool) -> None:
    """Run the job `close_month` for one month. Raises Refused or Damaged just as the close did."""
    prepare_home(settings)
    import dagster as dg
    from sqlalchemy.exc import SQLAlchemyError

    from orchestration.definitions import defs

    try:
        with dg.DagsterInstance.from_config(str(settings.dagster_home)) as instance:
            defs.resolve_job_def("close_month").execute_in_process(
                instance=instance,
                partition_key=str(month),
                run_config={
                    "ops": {"closing": {"config": {"accept_rejected": accept_rejected}}},
                    "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
                },
            )
    except dg.Failure as failure:
        raise failure.__cause__ or failure from None
    except SQLAlchemyError as error:
        # Dagster could not write its history. What the close itself had to say comes first.
        raise _refusal_behind(error) or Refused(
            f"Dagster's history under {settings.dagster_home} cannot be written: {error.__cause__ or error}. "
            "If the disk is full, make room, and close again: a month is frozen whole or not at all."
        ) from error


def _refusal_behind(error: BaseException) -> Refused | Damaged | None:
    while error is not None:
        if isinstance(error, Refused | Damaged):
            return error
        error = error.__cause__ or error.__context__
    return None


def serve(settings: Settings, port: int) -> int:
    """Run Dagster's web UI and daemon on 127.0.0.1 until they are stopped. Returns their exit status."""
    prepare_home(settings)
    arguments = ["-m", "orchestration.definitions", "-h", "127.0.0.1", "-p", str(port)]
    # Dagster stops its servers when it is interrupted, and leaves them running when it is merely ended. A shell's
    # background job would start with interrupts ignored.
    child = subprocess.Popen(
        [sys.executable, "-m", "dagster", "dev", *arguments],
        cwd=settings.data,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    signal.signal(signal.SIGTERM, lambda *_: child.send_signal(signal.SIGINT))
    try:
        return child.wait()
    except KeyboardInterrupt:
        return child.wait()

"""The alarm that a run failed: a command of the operator's own, for e-mail, Slack or any webhook.

What belongs here: the sentence and how the command is run. What does not: any address, and anything about a tenant:
the sentence names the job, the month and the run, and the reason stands in the UI alone.
"""

import os
import subprocess

SECONDS = 60


def message(job: str, month: str | None, run_id: str) -> str:
    """One sentence without quotes, fit to stand inside JSON."""
    of = f" of {month}" if month else ""
    return f"tenant-statements: run {run_id[:8]} ({job}{of}) failed. Dagster says why: /runs/{run_id}"


def ring(command: str, sentence: str) -> None:
    """Run the command by the shell, with the sentence in MESSAGE. Its output is discarded."""
    subprocess.run(
        command,
        shell=True,
        check=True,
        timeout=SECONDS,
        env=os.environ | {"MESSAGE": sentence},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

"""The commands that show how it all works: `demo` and `ui`.

What belongs here: their arguments and help. What does not: the made-up carrier (`demo`) or the servers (`dagster_run`).
"""

from typing import Annotated

import typer

from orchestration.cli.command import STATE


def run_demo() -> None:
    """Land a made-up carrier's last four months, close them, show a statement and where everything is.

    Example: statements --data-dir tour demo
    """
    from orchestration.demo import tour

    tour.run(STATE.settings)


def serve_ui(port: Annotated[int, typer.Option(min=1, max=65535, help="The port on 127.0.0.1.")] = 3000) -> None:
    """Dagster's web UI and daemon, on this machine alone.

    Example: statements ui --port 3000
    """
    from orchestration import dagster_run

    raise typer.Exit(dagster_run.serve(STATE.settings, port))

"""Where the time of a close went, from what its Dagster run logged while it ran: nothing is switched on for it.

What belongs here: turning log lines into seconds per step. What does not: measuring whole processes.
"""

import argparse
import os
from pathlib import Path

PINNING, FREEZING, WAREHOUSE = "Pinning what has landed", "Freezing", "Refreshing the warehouse"
PEAK_MODELS = ("int_channel_buckets", "int_channel_calls", "int_channel_changes", "int_peak_channels")


def steps(data: Path) -> dict[str, float]:
    """Step → seconds, in the order of the last close of a data folder.

    dbt logs a model when it is done, so a model's seconds include the tests that ran since the model before.
    """
    import dagster as dg

    # The instance's own configuration names this variable.
    os.environ["DAGSTER_HOME"] = str(data / "dagster")
    with dg.DagsterInstance.from_config(str(data / "dagster")) as instance:
        (run,) = instance.get_runs(limit=1)
        entries = instance.all_logs(run.run_id)
    log = [(entry.timestamp, entry.user_message, entry.dagster_event_type) for entry in entries]
    said = [(at, message) for at, message, kind in log if kind is None]
    # Other assets materialize before the month does.
    materialized = (at for at, _, kind in log if kind is not None and kind.value == "ASSET_MATERIALIZATION")
    ended = next(at for at in materialized if at >= said[-1][0])
    found: dict[str, float] = {}
    for (at, message), (until, following) in zip(said, [*said[1:], (ended, "")], strict=True):
        began = (PINNING, FREEZING, WAREHOUSE)
        if message in began and following not in began and following:
            # The first model's end: pinning, starting dbt and that model.
            found[f"{message}, starting dbt"] = until - at
        elif message in began:
            found[message] = until - at
        elif following == FREEZING:
            found["last tests"] = until - at
        else:
            found[following] = until - at
    found["Dagster's own events"] = log[-1][0] - ended
    return {step: round(seconds, 2) for step, seconds in found.items()}


def peak_seconds(of_steps: dict[str, float]) -> float:
    """What of these steps was spent on peak channels."""
    return sum(seconds for step, seconds in of_steps.items() if step in PEAK_MODELS)


def main() -> None:
    """Print the steps of the last close of a data folder."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("data", type=Path)
    for step, seconds in steps(parser.parse_args().data).items():
        print(f"{seconds:9.2f}  {step}")


if __name__ == "__main__":
    main()

"""Changes to Dagster 1.13 in its servers' processes, which load this because dagster.yaml names it.

Its webserver refuses a backfill over an operation that cannot be split: it compares the months wanted of one asset and
of another with `!=`, which also looks at whether they have been counted yet. Without this, several months could not be
chosen at once. To be deleted when `TimeWindowPartitionsSubset` compares alike with `==` and `!=`; a test says so.

The webserver obeys the pages of other sites, too; `ui_guard` is put in front of it before it starts. Every process that
creates runs announces a close as `announcing` has it.

A run's process writes each of its events to the servers' stderr, which is for errors alone. Dagster has one setting for
that and for the history of the run, where the steps of a close are wanted; so the first is set here.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Self

import dagster as dg
from dagster._core.definitions.partitions.subset.time_window import TimeWindowPartitionsSubset
from dagster._core.execution import context_creation_job
from dagster._core.storage.root import LocalArtifactStorage
from dagster._serdes import ConfigurableClassData

from orchestration.errors import Refused
from orchestration.runtime import announcing


class ArtifactStorage(LocalArtifactStorage):
    """Dagster's own; of the things that dagster.yaml can name, one that every server makes as it starts."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        # A method of Dagster's class is replaced on purpose: it is the mend.
        TimeWindowPartitionsSubset.__ne__ = _differs  # type: ignore[method-assign]
        announcing.install()
        # Likewise a function: the loggers of a run whose configuration names none.
        context_creation_job.default_system_loggers = _errors_alone  # type: ignore[assignment, attr-defined]
        # The module that the web server's process begins with.
        if "dagster_webserver.cli" in sys.modules:
            _guard_web_server()
        return cls(inst_data=inst_data, **config_value)


def _guard_web_server() -> None:
    """Guard the web server of this process, or end with a sentence before there is one."""
    from orchestration.runtime import ui_guard

    try:
        ui_guard.install()
    except Refused as error:
        sys.exit(str(error))


def _differs(one: object, other: object) -> bool:
    return not one == other  # noqa: SIM201 - this is `!=`


def _errors_alone(_: dg.DagsterInstance | None) -> Sequence[tuple[dg.LoggerDefinition, Mapping[str, object]]]:
    return [(dg.colored_console_logger, {"name": "dagster", "log_level": "ERROR"})]

"""A refusal as Dagster shows it: the sentence, the rows that it is about, and what to press; never a stack trace.

What belongs here: how a failure of a run looks. What does not: why something is refused (`close.readiness`), and no
value of a rejected row: a row of a tenants file may hold contact data, and Dagster keeps its metadata in its history.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterUserCodeProcessError
from dagster_shared.error import SerializableErrorInfo

from orchestration.close.readiness import RejectedRowsStand
from orchestration.errors import Damaged, Refused
from orchestration.months import Month
from orchestration.reports import rejected
from orchestration.settings import Settings

ROWS_SHOWN = 50
LOCATION, REPOSITORY = "tenant-statements", "__repository__"
# A link to what an operator presses.
CLOSE_MONTH = dg.MetadataValue.job("close_month", LOCATION, repository_name=REPOSITORY)
ACCEPTING = """
```yaml
ops:
  closing:
    config:
      accept_rejected: true
```
"""


class Failed(DagsterUserCodeProcessError, dg.Failure):
    """A failure that is shown as a sentence. It is never tried again by itself.

    Dagster writes a stack trace into the history of every error but those of another process, which it takes as they
    were told; so this is both that and a failure with metadata.
    """

    def __init__(self, sentence: str, metadata: Mapping[str, Any] | None = None) -> None:
        told = dg.Failure(sentence, metadata, allow_retries=False)
        info = SerializableErrorInfo(message=sentence, stack=[], cls_name=None)
        super().__init__(sentence, user_code_process_error_infos=[info])  # type: ignore[no-untyped-call]
        self.metadata, self.allow_retries = told.metadata, told.allow_retries


def of_close(settings: Settings, month: Month, error: Refused | Damaged) -> Failed:
    """The failure of a run that may not close the month."""
    if isinstance(error, RejectedRowsStand):
        sentence = (
            f"{error.finding} Land mended rows with the same record_id; or leave these out of this close alone, by the "
            "run's configuration: the manifest then names them, for ever."
        )
        rows, total = rejected.first_rows(settings, month, ROWS_SHOWN, only_open=True)
        return Failed(
            sentence,
            {
                "rejected_rows": _table(rows),
                "rows_not_shown": total - len(rows),
                "configuration_that_leaves_them_out": dg.MetadataValue.md(ACCEPTING),
                "then_press": f"Materialize all… on the job below, for {month}",
                "job": CLOSE_MONTH,
            },
        )
    if isinstance(error, Damaged):
        return Failed(str(error))
    return Failed(str(error), {"then_press": f"Materialize all… on the job below, for {month}", "job": CLOSE_MONTH})


def _table(rows: list[dict[str, Any]]) -> dg.TableMetadataValue:
    """Where the rows stand and why they were rejected: none of their values, not even the record's id."""
    columns = {"file_name": "string", "source_row": "int", "reason": "string", "batch_id": "string"}
    return dg.MetadataValue.table(
        records=[dg.TableRecord({name: row[name] for name in columns}) for row in rows],
        schema=dg.TableSchema([dg.TableColumn(name, kind) for name, kind in columns.items()]),
    )

"""Which months are frozen, by the names of their folders, and where each one lies.

What belongs here: names and places. What does not: what a frozen month holds (`close.manifests`), or proving it.
"""

from pathlib import Path

from orchestration.errors import Damaged, Refused
from orchestration.months import Month
from orchestration.settings import Settings

PREFIX = "month="


def month_folder(settings: Settings, month: Month) -> Path:
    """The folder of a month, whether it is frozen or not."""
    return settings.statements / f"{PREFIX}{month}"


def frozen_months(settings: Settings) -> list[Month]:
    """The months that are frozen, oldest first."""
    if not settings.statements.is_dir():
        return []
    try:
        return sorted(
            Month.parse(folder.name.removeprefix(PREFIX))
            for folder in settings.statements.iterdir()
            if folder.name.startswith(PREFIX)
        )
    except Refused as error:
        raise Damaged(f"Among the frozen months in {settings.statements} lies another name. {error}") from error


def require_closed(settings: Settings, month: Month) -> None:
    """Refused when the month is not frozen, with the months that are."""
    frozen = frozen_months(settings)
    if month not in frozen:
        listed = f"Closed are {', '.join(map(str, frozen))}." if frozen else "No month is closed yet."
        raise Refused(f"{month} is not closed, so it has no statement. {listed}")

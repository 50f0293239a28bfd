"""Completion of arguments by the shell: months, accounts, feeds and sources, as they are on this machine.

What belongs here: lists of names. What does not: a sentence; where nothing can be looked up, nothing is offered.
"""

from collections.abc import Callable

import typer

from orchestration.errors import Damaged, Refused
from orchestration.settings import Settings, load

Completion = Callable[[typer.Context, str], list[str]]


def _offered(names: Callable[[Settings], list[str]]) -> Completion:
    """The names that begin with what has been typed."""

    def complete(context: typer.Context, incomplete: str) -> list[str]:
        try:
            found = names(load(context.find_root().params.get("data_dir")))
        except (Refused, Damaged, OSError):
            return []
        return [name for name in found if name.startswith(incomplete)]

    return complete


@_offered
def feeds(_: Settings) -> list[str]:
    from orchestration.landing.feeds import FEEDS

    return list(FEEDS)


@_offered
def sources(settings: Settings) -> list[str]:
    from orchestration.sources import declaration

    return declaration.names(settings)


@_offered
def closed_months(settings: Settings) -> list[str]:
    from orchestration import frozen

    return [str(month) for month in frozen.frozen_months(settings)]


@_offered
def months(settings: Settings) -> list[str]:
    """The closed months and the one to be closed next."""
    from orchestration import frozen

    frozen_months = frozen.frozen_months(settings)
    return [*map(str, frozen_months), *(str(month.next) for month in frozen_months[-1:])]


@_offered
def accounts(settings: Settings) -> list[str]:
    from orchestration.warehouse import reader

    return [account for (account,) in reader.rows(settings, "select account_id from assets.tenants order by 1")]

"""The commands about who holds what: `tenant`, `assign`, `release`, `assignments`.

What belongs here: their arguments, help and sentences. What does not: how a change is recorded (`commands.registry`).
"""

from pathlib import Path
from typing import Annotated

import typer

from orchestration import screen
from orchestration.cli.command import STATE, AsJson, print_rows, retelling
from orchestration.errors import Refused
from orchestration.layout import counted
from orchestration.settings import Settings


@retelling
def add_tenants(
    from_file: Annotated[Path, typer.Option("--from", help="CSV or JSON Lines with every field of a tenant.")],
) -> None:
    """Create tenants, now."""
    from orchestration.commands import registry

    landing = registry.add_tenants(STATE.settings, from_file)
    created = counted(landing.receipt.rows, "tenant")
    screen.say(f"Created {created}, recorded at {landing.receipt.landed_at:%Y-%m-%d %H:%M:%S} UTC.")


@retelling
def archive_tenant(account_id: str) -> None:
    """End a tenant's life, now and for ever; what it holds is released."""
    from orchestration.commands import registry

    landing = registry.archive_tenant(STATE.existing, account_id)
    screen.say(f"Archived {account_id}, recorded at {landing.receipt.landed_at:%Y-%m-%d %H:%M:%S} UTC.")


def list_tenants(as_json: AsJson = False) -> None:
    """All tenants, with their lives."""
    from orchestration.warehouse import reader

    print_rows("Tenants", reader.records(STATE.existing, "select * from assets.tenants order by account_id"), as_json)


@retelling
def assign(kind: Annotated[str, typer.Argument(help="number or ip")], asset: str, account_id: str) -> None:
    """Give a number or IP to a tenant, now."""
    from orchestration.commands import registry

    landing = registry.assign(STATE.existing, kind, asset, account_id)
    screen.say(f"{asset} belongs to {account_id} from {landing.receipt.landed_at:%Y-%m-%d %H:%M:%S.%f} UTC on.")


@retelling
def release(kind: Annotated[str, typer.Argument(help="number or ip")], asset: str) -> None:
    """Take a number or IP from whoever holds it, now."""
    from orchestration.commands import registry

    landing = registry.release(STATE.existing, kind, asset)
    screen.say(f"{asset} belongs to nobody from {landing.receipt.landed_at:%Y-%m-%d %H:%M:%S.%f} UTC on.")


def list_assignments(asset: Annotated[str, typer.Argument(help="A number or IP.")], as_json: AsJson = False) -> None:
    """Who held a number or IP, from when to when."""
    from orchestration.warehouse import reader

    settings = STATE.existing
    kind, canonical = _normalized(settings, asset)
    rows = reader.records(
        settings,
        f"select * from assets.{kind}_assignment_history where {kind} = ? order by valid_from",
        [canonical],
    )
    if not rows:
        raise Refused(f"{canonical} was never assigned to anybody.")
    columns = ["account_id", "valid_from", "valid_to", "recorded_at", "is_late", "assignment_id"]
    print_rows(f"{kind} {canonical}", rows, as_json, columns)


def _normalized(settings: Settings, asset: str) -> tuple[str, str]:
    """The kind of an asset, number or ip, and its canonical text."""
    from orchestration.commands import registry

    for kind in ("number", "ip"):
        try:
            return kind, registry.normalized(settings, kind, asset)
        except Refused:
            continue
    raise Refused(f"{asset!r} is neither a telephone number nor an IP address.")

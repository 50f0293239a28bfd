"""The commands about who holds what: `tenant`, `assign`, `release`, `assignments`.

What belongs here: their arguments, help and sentences. What does not: how a change is recorded (`commands.registry`).
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration import screen
from orchestration.cli import completion
from orchestration.cli.command import STATE, AsCsv, AsJson, Form, print_rows, retelling
from orchestration.errors import Refused
from orchestration.layout import Look, counted

if TYPE_CHECKING:
    from orchestration.commands.land import Landing

Account = Annotated[str, typer.Argument(help="A tenant's Account ID.", autocompletion=completion.accounts)]
Kind = Annotated[str, typer.Argument(help="number or ip")]
Asset = Annotated[str, typer.Argument(help="A telephone number or an IP address.")]


@retelling
def add_tenants(
    from_file: Annotated[Path, typer.Option("--from", help="CSV or JSON Lines with every field of a tenant.")],
    as_json: AsJson = False,
) -> None:
    """Create tenants, now.

    Example: statements tenant add --from new-tenants.csv
    """
    from orchestration.commands import registry

    landing = registry.add_tenants(STATE.settings, from_file)
    if as_json:
        _print_change(landing, created=landing.receipt.rows)
        return
    created = counted(landing.receipt.rows, "tenant")
    screen.say(f"Created {created}, recorded at {landing.receipt.landed_at:%Y-%m-%d %H:%M:%S} UTC.")


@retelling
def archive_tenant(account_id: Account, as_json: AsJson = False) -> None:
    """End a tenant's life, now and for ever; what it holds is released.

    Example: statements tenant archive smallcustomer
    """
    from orchestration.commands import registry

    landing = registry.archive_tenant(STATE.existing, account_id)
    if as_json:
        _print_change(landing, account_id=account_id)
        return
    screen.say(f"Archived {account_id}, recorded at {landing.receipt.landed_at:%Y-%m-%d %H:%M:%S} UTC.")


def list_tenants(as_json: AsJson = False, as_csv: AsCsv = False) -> None:
    """All tenants, with their lives.

    Example: statements tenant list --csv
    """
    from orchestration.warehouse import reader

    form = Form.chosen(as_json=as_json, as_csv=as_csv)
    tenants = reader.records(STATE.existing, "select * from assets.tenants order by account_id")
    print_rows("Tenants", tenants, form, look=Look(may_go=("alive_from",)))


@retelling
def assign(kind: Kind, asset: Asset, account_id: Account, as_json: AsJson = False) -> None:
    """Give a number or IP to a tenant, now.

    Example: statements assign number +12015550123 smallcustomer
    """
    from orchestration.commands import registry

    landing = registry.assign(STATE.existing, kind, asset, account_id)
    if as_json:
        _print_change(landing, kind=kind, asset=asset, account_id=account_id)
        return
    screen.say(f"{asset} belongs to {account_id} from {landing.receipt.landed_at:%Y-%m-%d %H:%M:%S.%f} UTC on.")


@retelling
def release(kind: Kind, asset: Asset, as_json: AsJson = False) -> None:
    """Take a number or IP from whoever holds it, now.

    Example: statements release ip 192.0.2.17
    """
    from orchestration.commands import registry

    landing = registry.release(STATE.existing, kind, asset)
    if as_json:
        _print_change(landing, kind=kind, asset=asset, account_id=None)
        return
    screen.say(f"{asset} belongs to nobody from {landing.receipt.landed_at:%Y-%m-%d %H:%M:%S.%f} UTC on.")


def _print_change(landing: "Landing", **change: str | int | None) -> None:
    """A change as JSON: what it says, the instant from which it acts, and the batch that records it."""
    screen.as_json({**change, "recorded_at": landing.receipt.landed_at, "batch_id": landing.receipt.batch_id})


def list_assignments(asset: Asset, as_json: AsJson = False, as_csv: AsCsv = False) -> None:
    """Who held a number or IP, from when to when.

    Example: statements assignments +12015550123
    """
    from orchestration.commands import registry
    from orchestration.warehouse import reader

    settings = STATE.existing
    kind, canonical = registry.recognized(settings, asset)
    rows = reader.records(
        settings,
        f"select * from assets.{kind}_assignment_history where {kind} = ? order by valid_from",
        [canonical],
    )
    if not rows:
        raise Refused(f"{canonical} was never assigned to anybody.")
    columns = ["account_id", "valid_from", "valid_to", "recorded_at", "is_late", "assignment_id"]
    look = Look(may_go=("assignment_id", "is_late"))
    print_rows(f"{kind} {canonical}", rows, Form.chosen(as_json=as_json, as_csv=as_csv), columns, look)

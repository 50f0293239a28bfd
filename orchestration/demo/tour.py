"""The demo: the made-up carrier's months through the real landing and the real close, and where to look then."""

import sys
import time
from pathlib import Path

from orchestration import clock, dagster_run, frozen, screen
from orchestration.close import manifests
from orchestration.commands import land
from orchestration.demo import carrier
from orchestration.errors import Refused
from orchestration.landing import receipts
from orchestration.months import Month
from orchestration.reports import show
from orchestration.settings import Settings
from orchestration.warehouse import reader


def run(settings: Settings) -> None:
    """Land, close, show. Running it again lands nothing and verifies."""
    feeds = settings.data / "demo"
    if receipts.load(settings) and not feeds.exists():
        raise Refused(
            f"{settings.data} holds data that is not the demo's. Give the demo a folder of its own: "
            "`statements --data-dir DIR demo`."
        )
    started = time.monotonic()
    screen.say("Making up a carrier with 40 tenants and four ended months …")
    carrier_files = carrier.write_feeds(feeds, Month.of(clock.now()).start)
    landed = 0
    for feed, paths in (
        ("tenants", [carrier_files.tenants]),
        ("number_assignments", [carrier_files.number_assignments]),
        ("ip_assignments", [carrier_files.ip_assignments]),
        ("cdrs", list(carrier_files.cdrs)),
    ):
        with screen.progress(f"Landing {feed}") as step:
            landings = land.land(settings, feed, paths, land.Delivery(), step)
        for landing in landings:
            receipt = landing.receipt
            landed += receipt.rows if feed == "cdrs" else 0
            screen.say(
                f"  {'landed' if landing.is_new else 'known '} {receipt.file_name}: {receipt.rows:,} rows, "
                f"{receipt.duplicates:,} duplicate, {receipt.superseded:,} superseded, "
                f"{receipt.rejected_rows:,} rejected"
            )
    for name in carrier_files.months:
        _close(settings, Month.parse(name))
    last = Month.parse(carrier_files.months[-1])
    screen.say("")
    show.render(show.read(settings, last, carrier_files.showcase_account))
    _say_where(settings, last, carrier_files.showcase_account)
    screen.say(f"{landed:,} records in {time.monotonic() - started:.0f} s.")


def _close(settings: Settings, month: Month) -> None:
    was_frozen = month in frozen.frozen_months(settings)
    with screen.progress(f"Closing {month}"):
        dagster_run.close_through_dagster(settings, month, accept_rejected=False)
    manifest = manifests.read(settings, month)
    counts = manifest.content.counts
    screen.say(
        f"  {'verified' if was_frozen else 'closed'} {month}: {counts.accepted:,} records, "
        f"{counts.unattributed:,} unattributed, head {manifest.sha256[:16]}…"
    )


def _say_where(settings: Settings, month: Month, account: str) -> None:
    (record,) = reader.rows(
        settings,
        "select record_id from statements.usage where month = ? and account_id = ? and attributed_by = 'header' "
        "order by record_id limit 1",
        [str(month), account],
    ) or [("",)]
    command = sys.argv[0] if settings.data == Path("data").absolute() else f"{sys.argv[0]} --data-dir {settings.data}"
    screen.line(f"Frozen statements   {frozen.month_folder(settings, month)}")
    query = f"select account_id, total_cost from statements.statements where month = '{month}' order by 2 desc"
    screen.line(f'Query them          {command} sql "{query}"')
    screen.line(f"A statement         {command} show {month} {account}")
    screen.line(f"Why a record        {command} explain {record[0]}")
    screen.line(f"Hand it out         {command} export {month} --account {account}")
    screen.line(f"Prove it            {command} verify")
    screen.line(f"The UI              {command} ui      then open http://127.0.0.1:3000")

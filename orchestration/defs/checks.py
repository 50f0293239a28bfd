"""The daily look at everything that is kept: not one byte, frozen or landed, has changed.

What belongs here: what these checks are about and show. What does not: finding damage (`close.verify`).
"""

from collections.abc import Iterator

import dagster as dg

from orchestration import settings
from orchestration.close import manifests, verify
from orchestration.close.manifests import Chain
from orchestration.defs import feeds
from orchestration.errors import Damaged
from orchestration.frozen import frozen_months
from orchestration.landing import receipts as landed
from orchestration.landing.feeds import FEEDS
from orchestration.runtime import run_worker
from orchestration.settings import Settings

NOTHING_FROZEN = dg.AssetCheckSpec(
    "nothing_frozen_has_changed",
    asset="frozen_month",
    description="Every frozen byte hashed again, the chain of manifests walked, every sum added up again.",
)
NOTHING_LANDED = [
    dg.AssetCheckSpec(
        "nothing_landed_has_changed",
        asset=feeds.key(feed),
        description="Every landed byte hashed again; no batch is missing that was there.",
    )
    for feed in FEEDS
]


@dg.multi_asset_check(name="verifying", specs=[NOTHING_FROZEN, *NOTHING_LANDED], can_subset=True)
def everything_is_as_it_was(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
    """What `statements verify` does. Damage is red and is never mended: restore the file from a backup."""
    configuration = settings.load()
    run_worker.show_life(context.instance, context.run.run_id)
    asked = context.selected_asset_check_keys
    results = _frozen(configuration) if NOTHING_FROZEN.key in asked else []
    if any(spec.key in asked for spec in NOTHING_LANDED):
        results += [
            result
            for result in _landed(configuration)
            if dg.AssetCheckKey(result.asset_key, result.check_name) in asked
        ]
    yield from results
    if red := [result.description for result in results if not result.passed]:
        # A check that only turns red would let the run be green, and nobody would be told.
        raise dg.Failure(description=f"What is stored is not what was stored. {red[0]}", allow_retries=False)


def _frozen(configuration: Settings) -> list[dg.AssetCheckResult]:
    months = frozen_months(configuration)
    problems = [problem for month in months for problem in verify.month_problems(configuration, month)]
    chain = Chain() if problems else manifests.load(configuration)
    problems += verify.chain_problems(chain)
    head = {"head": chain.head} if chain else {}
    return [_result(NOTHING_FROZEN, problems, {"months": len(months), **head})]


def _landed(configuration: Settings) -> list[dg.AssetCheckResult]:
    problems = verify.strays(configuration) + verify.landed_problems(configuration)
    folders = {feed: str(configuration.landing / feed) for feed in FEEDS}
    batches = [] if problems else landed.load(configuration)
    if not problems:
        problems = verify.batch_problems(batches, _readable_manifests(configuration))
    results = []
    for spec, (feed, folder) in zip(NOTHING_LANDED, folders.items(), strict=True):
        # What is said of no feed's folder is said of all of them.
        told = [one for one in problems if folder in one or not any(other in one for other in folders.values())]
        results.append(_result(spec, told, {"batches": sum(receipt.feed == feed for receipt in batches)}))
    return results


def _readable_manifests(configuration: Settings) -> Chain:
    """All of them; none when one is damaged, which the check of the frozen months says."""
    try:
        return manifests.load(configuration)
    except Damaged:
        return Chain()


def _result(spec: dg.AssetCheckSpec, problems: list[str], figures: dict[str, object]) -> dg.AssetCheckResult:
    listed = dg.MetadataValue.md("\n".join(f"- {problem}" for problem in problems[:20]) or "None.")
    return dg.AssetCheckResult(
        asset_key=spec.asset_key,
        check_name=spec.name,
        passed=not problems,
        description="; ".join(problems[:5]) or None,
        metadata={"problems": listed, **({} if problems else figures)},
    )

"""The daily look at everything that is kept: not one byte, frozen or landed, has changed.

What belongs here: what these checks are about and show. What does not: finding damage (`close.verify`).
"""

from collections.abc import Iterator

import dagster as dg

from orchestration.close import manifests, verify
from orchestration.close.manifests import Chain
from orchestration.defs import feeds, refusal
from orchestration.defs.showing import Metadata
from orchestration.errors import Damaged
from orchestration.frozen import frozen_months
from orchestration.landing import receipts
from orchestration.landing.feeds import FEEDS
from orchestration.runtime import run_worker
from orchestration.settings import Settings, load

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
    """The same checks as `statements verify`. Damage is red and is never mended: restore the file from a backup."""
    settings = load()
    run_worker.show_life(context.instance, context.run.run_id)
    selected = context.selected_asset_check_keys
    results = {NOTHING_FROZEN.key: _frozen(settings)} if NOTHING_FROZEN.key in selected else {}
    if any(spec.key in selected for spec in NOTHING_LANDED):
        results |= {key: result for key, result in _landed(settings).items() if key in selected}
    yield from results.values()
    if red := [result.description for result in results.values() if not result.passed]:
        # A check that only turns red would let the run be green, and nobody would be told.
        raise refusal.Failed(f"What is stored is not what was stored. {red[0]}")


def _frozen(settings: Settings) -> dg.AssetCheckResult:
    months = frozen_months(settings)
    problems = [problem for month in months for problem in verify.month_problems(settings, month)]
    chain = Chain() if problems else manifests.load(settings)
    problems += verify.chain_problems(chain)
    head: Metadata = {"head": chain.head} if chain.head else {}
    return _result(NOTHING_FROZEN, problems, {"months": len(months), **head})


def _landed(settings: Settings) -> dict[dg.AssetCheckKey, dg.AssetCheckResult]:
    problems = verify.strays(settings) + verify.landed_problems(settings)
    folders = {feed: str(settings.landing / feed) for feed in FEEDS}
    landed = [] if problems else receipts.load(settings)
    if not problems:
        problems = verify.batch_problems(landed, _readable_manifests(settings))
    results = {}
    for spec, (feed, folder) in zip(NOTHING_LANDED, folders.items(), strict=True):
        # A problem that names no feed's folder is a problem of all of them.
        concerning = [
            problem
            for problem in problems
            if folder in problem or not any(other in problem for other in folders.values())
        ]
        figures: Metadata = {"batches": sum(receipt.feed == feed for receipt in landed)}
        results[spec.key] = _result(spec, concerning, figures)
    return results


def _readable_manifests(settings: Settings) -> Chain:
    """All of them; none when one is damaged, which the check of the frozen months says."""
    try:
        return manifests.load(settings)
    except Damaged:
        return Chain()


def _result(spec: dg.AssetCheckSpec, problems: list[str], figures: Metadata) -> dg.AssetCheckResult:
    shown: Metadata = {
        "problems": dg.MetadataValue.md("\n".join(f"- {problem}" for problem in problems[:20]) or "None.")
    }
    return dg.AssetCheckResult(
        asset_key=spec.asset_key,
        check_name=spec.name,
        passed=not problems,
        description="; ".join(problems[:5]) or None,
        metadata=shown if problems else shown | figures,
    )

"""Proof that nothing stored has changed: every stored byte re-hashed, the chain walked, the figures re-added.

What belongs here: finding damage and naming it. What does not: mending it. Nothing here writes.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa

from orchestration import engine, files, frozen
from orchestration.close import manifests, net_counts, statement_documents
from orchestration.close.content import NO_PREVIOUS
from orchestration.close.manifests import MANIFEST, Chain, Manifest
from orchestration.close.readback import read_back
from orchestration.errors import Damaged, Refused
from orchestration.files import EachFile, two_at_a_time
from orchestration.landing import receipts
from orchestration.landing.feeds import FEEDS
from orchestration.landing.receipts import RECEIPT, Receipt
from orchestration.layout import counted
from orchestration.months import Month
from orchestration.settings import Settings

# The errors that damaged Parquet raises while it is read, and its values while they are added.
UNREADABLE = (OSError, pa.ArrowException, duckdb.Error, KeyError, TypeError, ValueError, ArithmeticError)
# The tenants that a sentence names.
SHOWN = 3


def require_intact(settings: Settings, month: Month, each_file: EachFile = two_at_a_time) -> None:
    """Raise Damaged unless every byte and every figure of a frozen month is as it was frozen."""
    problems = month_problems(settings, month, each_file)
    if problems := problems or chain_problems(manifests.load(settings)):
        raise Damaged(
            f"{month} is not as it was frozen. {'; '.join(problems[:5])}. "
            "Restore it from a backup; it is never repaired."
        )


def require_all_batches(batches: Sequence[Receipt], chain: Chain) -> None:
    """Raise Damaged when a batch is gone: a close without it would state less, and nobody would miss it."""
    if problems := batch_problems(batches, chain):
        raise Damaged(f"{'; '.join(problems[:5])}. Restore what has landed from a backup.")


def require_intact_statements(used: Sequence[Path], chain: Chain, each_file: EachFile = two_at_a_time) -> None:
    """Raise Damaged unless the frozen files from which a build took earlier statements are as they were frozen.

    The month before is checked whole ahead of every close; of older ones only what is used.
    """
    listed = {manifest.folder / name: digest for manifest in chain for name, digest in manifest.content.hashes.items()}
    files.require_hashes({path: listed[path] for path in used}, each_file)


def all_problems(settings: Settings, months: list[Month], progress: Callable[[str], None]) -> list[str]:
    """Everything that is not as it was stored, in sentences: of these months, the chain, and all that has landed."""
    problems = []
    for month in months:
        progress(f"Verifying {month}")
        problems += month_problems(settings, month) or document_problems(settings, month)
    problems += strays(settings)
    progress("Verifying what has landed")
    problems += landed_problems(settings)
    if not problems:
        chain = manifests.load(settings)
        landed = receipts.load(settings)
        problems = chain_problems(chain) + batch_problems(landed, chain)
        if not problems and chain and len(months) == len(chain):
            progress("Counting each record over all months")
            problems = net_counts.problems(settings, chain, landed)
    return problems


def strays(settings: Settings) -> list[str]:
    """Strangers among the frozen months and the feeds: files and folders that belong to neither."""
    return [
        f"{path} does not belong among the {others}"
        for folder, others, belongs in (
            (settings.statements, "frozen months", lambda name: name.startswith("month=")),
            (settings.landing, "feeds", lambda name: name in FEEDS),
        )
        if folder.is_dir()
        for path in sorted(folder.iterdir())
        if not belongs(path.name)
    ]


def month_problems(settings: Settings, month: Month, each_file: EachFile = two_at_a_time) -> list[str]:
    """The parts of a frozen month that are not as they were frozen."""
    folder = frozen.month_folder(settings, month)
    if problems := files.check_folder(folder, each_file):
        return problems
    try:
        manifest = manifests.read(settings, month)
        listed = manifest.content.hashes
        # Each file has just been checked against the sums.
        sums = {name: digest for name, digest in files.sums(folder).items() if name != MANIFEST}
        if listed.keys() != sums.keys():
            return [f"{folder} holds other files than its manifest lists"]
        problems = [
            f"{folder / name} does not match the hash in its manifest" for name in sums if sums[name] != listed[name]
        ]
        return problems or _figure_problems(manifest, each_file) or _root_problems(manifest)
    except (Damaged, Refused) as error:
        return [str(error)]
    except UNREADABLE as error:
        return [f"the files of {month} cannot be added up ({type(error).__name__})"]


def document_problems(settings: Settings, month: Month) -> list[str]:
    """The documents of tenants that do not say what the tables of a frozen month say; each byte of both is as frozen.

    Computing them anew takes a close too long, so `statements verify` alone asks.
    """
    manifest = manifests.read(settings, month)
    if manifest.content.statements_root_sha256 is None:
        return []
    try:
        with engine.connect(settings) as connection:
            differing = statement_documents.differing(connection, manifest.folder, month)
    except UNREADABLE as error:
        return [f"the statement documents of {month} cannot be compared with its tables ({type(error).__name__})"]
    if not differing:
        return []
    more = f" and {counted(len(differing) - SHOWN, 'other')}" if len(differing) > SHOWN else ""
    return [f"the statement documents of {month} do not say what its tables say: {', '.join(differing[:SHOWN])}{more}"]


def _root_problems(manifest: Manifest) -> list[str]:
    """Format 1 has no documents, and no root to hold them against."""
    root = manifest.content.statements_root_sha256
    return statement_documents.problems(manifest.folder, root) if root is not None else []


def _figure_problems(manifest: Manifest, each_file: EachFile) -> list[str]:
    figures = read_back(manifest.folder, manifest.content.counts, each_file)
    totals = {currency: Decimal(cost) for currency, cost in manifest.content.totals.items()}
    by_service = {
        (total.service, total.direction, total.currency): (total.records, Decimal(total.cost))
        for total in manifest.content.totals_by_service
    }
    if (totals, by_service) != (figures.cost_by_currency, figures.by_service):
        return [f"the files of {manifest.month} add up to other totals than its manifest says"]
    return []


def chain_problems(chain: Chain) -> list[str]:
    """The breaks between months: a gap, another manifest, totals that do not grow by a month's own."""
    problems = []
    earlier: Manifest | None = None
    for manifest in chain:
        content = manifest.content
        problems += _link_problems(earlier, manifest)
        if content.first_month != chain.first_month:
            problems.append(f"{manifest.month} counts from {content.first_month}, not from {chain.first_month}")
        if _grown(earlier, content.totals) != _amounts(content.totals_since_first_month):
            problems.append(f"the totals since the first month do not grow by those of {manifest.month}")
        earlier = manifest
    return problems


def _link_problems(earlier: Manifest | None, manifest: Manifest) -> list[str]:
    month, named = manifest.month, manifest.content.previous_month
    sha256 = manifest.content.previous_manifest_sha256
    if named is None and sha256 != NO_PREVIOUS:
        return [f"{month} names a previous manifest, but no month"]
    if earlier is None:
        return [f"{named}, after which {month} was frozen, is missing"] if named else []
    if earlier.month.next != month:
        return [f"{earlier.month.next} is missing between {earlier.month} and {month}"]
    if (named, sha256) != (earlier.month, earlier.sha256):
        return [f"{month} was frozen after another {earlier.month} than the one that is here"]
    return []


def _grown(earlier: Manifest | None, totals: dict[str, str]) -> dict[str, Decimal]:
    before, own = _amounts(earlier.content.totals_since_first_month if earlier else {}), _amounts(totals)
    return {currency: before.get(currency, Decimal()) + own.get(currency, Decimal()) for currency in before | own}


def _amounts(stored: dict[str, str]) -> dict[str, Decimal]:
    return {currency: Decimal(amount) for currency, amount in stored.items()}


def landed_problems(settings: Settings) -> list[str]:
    """The landed batches that are not as they landed, byte by byte."""
    problems: list[str] = []
    for feed in FEEDS:
        for folder in sorted((settings.landing / feed).glob("*")):
            damage = files.check_folder(folder)
            if not damage:
                try:
                    receipts.read(folder)
                except Damaged as error:
                    damage = [str(error)]
            problems += damage
    return problems


def batch_problems(batches: Sequence[Receipt], chain: Chain) -> list[str]:
    """Batches that are gone or there twice, and those that are not what frozen months were made from."""
    numbers = Counter(batch.sequence for batch in batches)
    last = max([*numbers, *(manifest.landed_up_to for manifest in chain)], default=0)
    problems = [f"two landed batches have the number {number}" for number, count in numbers.items() if count > 1]
    if missing := sorted(set(range(1, last + 1)) - numbers.keys()):
        problems.append(f"landed batches are missing: numbers {', '.join(map(str, missing[:10]))}")
    present = {batch.batch_id: batch for batch in batches}
    named = {(item.batch_id, item.receipt_sha256) for manifest in chain for item in manifest.content.inputs}
    for batch_id, sha256 in sorted(named):
        if batch_id not in present:
            problems.append(f"batch {batch_id}, from which a frozen month was made, is missing")
        elif files.sha256(present[batch_id].folder / RECEIPT) != sha256:
            problems.append(f"the receipt of batch {batch_id} is not the one a frozen month was made with")
    return problems

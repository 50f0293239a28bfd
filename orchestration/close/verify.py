"""Proof that nothing stored has changed: every stored byte re-hashed, the chain walked, the figures re-added.

What belongs here: finding damage and naming it. What does not: mending it. Nothing here writes.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import duckdb

from orchestration import files
from orchestration.close import manifest as manifests
from orchestration.close.manifest import MANIFEST, NO_PREVIOUS, Manifest
from orchestration.close.readback import read_back
from orchestration.errors import Damaged, Refused
from orchestration.landing import receipts as landed
from orchestration.landing.feeds import FEEDS
from orchestration.landing.receipts import RECEIPT, Receipt
from orchestration.landing.seal import frozen_months
from orchestration.months import Month
from orchestration.settings import Settings

# What reading a manifest of another form can raise: a name that is missing, a value of another kind.
MISSHAPEN = (KeyError, TypeError, ValueError, AttributeError, ArithmeticError)


def require_intact(settings: Settings, month: Month) -> None:
    """Raise Damaged unless every byte and every figure of a frozen month is as it was frozen."""
    if problems := month_problems(settings, month):
        raise Damaged(
            f"{month} is not as it was frozen. {'; '.join(problems[:5])}. "
            "Restore it from a backup; it is never repaired."
        )


def require_intact_statements(connection: duckdb.DuckDBPyConnection, frozen: Sequence[Manifest]) -> None:
    """Raise Damaged unless the frozen files from which a build took earlier statements are as they were frozen.

    The month before is checked whole ahead of every close; of older ones only what is used.
    """
    listed = {
        manifest.folder / output["name"]: output["sha256"]
        for manifest in frozen
        for output in manifest.content["outputs"]
    }
    used = connection.execute("select distinct stated_file from main.int_last_statements").fetchall()
    files.require_hashes({Path(name): listed[Path(name)] for (name,) in used})


def all_problems(settings: Settings, months: list[Month], progress: Callable[[str], None]) -> list[str]:
    """Everything that is not as it was stored, in sentences: of these months, and of all that has landed."""
    problems = []
    for month in months:
        progress(f"Verifying {month}")
        problems += month_problems(settings, month)
    progress("Verifying what has landed")
    return problems + gaps(settings) + landed_problems(settings)


def gaps(settings: Settings) -> list[str]:
    """Months that the chain skips, and whatever else lies among the frozen months."""
    frozen = frozen_months(settings)
    problems = [
        f"{earlier.next} is missing between {earlier} and {later}"
        for earlier, later in pairwise(frozen)
        if earlier.next != later
    ]
    if settings.statements.is_dir():
        problems += [
            f"{path} does not belong among the frozen months"
            for path in sorted(settings.statements.iterdir())
            if not path.name.startswith("month=")
        ]
    return problems


def month_problems(settings: Settings, month: Month) -> list[str]:
    """What in a frozen month is not as it was frozen."""
    folder = manifests.month_folder(settings, month)
    if problems := files.check_folder(folder):
        return problems
    try:
        manifest = manifests.read(settings, month)
        listed = {output["name"]: output["sha256"] for output in manifest.content["outputs"]}
        found = {str(path.relative_to(folder)): path for path in files.files_below(folder)}
        if listed.keys() != found.keys() - {MANIFEST, files.SUMS}:
            return [f"{folder} holds other files than its manifest lists"]
        problems = [
            f"{found[name]} does not match the hash in its manifest"
            for name, digest in listed.items()
            if files.sha256(found[name]) != digest
        ]
        return problems or _figure_problems(manifest) + _chain_problems(settings, manifest)
    except (Damaged, Refused) as error:
        return [str(error)]
    except MISSHAPEN as error:
        return [f"{folder / MANIFEST} does not have the form of a manifest ({type(error).__name__})"]


def _figure_problems(manifest: Manifest) -> list[str]:
    figures = read_back(manifest.folder, manifest.content["counts"])
    totals = {currency: Decimal(cost) for currency, cost in manifest.content["totals"].items()}
    if totals != figures.cost_by_currency:
        return [f"the files of {manifest.month} add up to other totals than its manifest says"]
    return []


def _chain_problems(settings: Settings, manifest: Manifest) -> list[str]:
    named, sha256 = manifest.content["previous_month"], manifest.content["previous_manifest_sha256"]
    if named is None:
        return [] if sha256 == NO_PREVIOUS else [f"{manifest.month} names a previous manifest, but no month"]
    previous = manifests.read(settings, Month.parse(named))
    if previous.sha256 != sha256 or previous.month.next != manifest.month:
        return [f"{manifest.month} was frozen after another {named} than the one that is here"]
    grown = {
        currency: Decimal(previous.content["totals_since_first_month"].get(currency, "0"))
        + Decimal(manifest.content["totals"].get(currency, "0"))
        for currency in manifest.content["totals_since_first_month"]
    }
    stated = {c: Decimal(cost) for c, cost in manifest.content["totals_since_first_month"].items()}
    return [] if grown == stated else [f"the totals since the first month do not grow by those of {manifest.month}"]


def landed_problems(settings: Settings) -> list[str]:
    """What has landed and is not as it landed, and what manifests name that is gone."""
    problems: list[str] = []
    present: dict[str, Receipt] = {}
    for feed in FEEDS:
        for folder in sorted((settings.landing / feed).glob("*")):
            if found := files.check_folder(folder):
                problems += found
                continue
            try:
                receipt = landed.read(folder)
                present[receipt.batch_id] = receipt
            except Damaged as error:
                problems.append(str(error))
    sequences = sorted(receipt.sequence for receipt in present.values())
    if sequences and not problems and sequences != list(range(1, len(sequences) + 1)):
        missing = sorted(set(range(1, sequences[-1] + 1)) - set(sequences))
        problems.append(f"landed batches are missing: numbers {', '.join(map(str, missing[:10]))}")
    if problems:
        return problems
    try:
        named = {
            (item["batch_id"], item["receipt_sha256"])
            for month in frozen_months(settings)
            for item in manifests.read(settings, month).content["inputs"]
        }
    except MISSHAPEN as error:
        return [f"a manifest does not name the batches it was made from ({type(error).__name__})"]
    except Damaged as error:
        return [str(error)]
    for batch_id, sha256 in sorted(named):
        if batch_id not in present:
            problems.append(f"batch {batch_id}, from which a frozen month was made, is missing")
        elif files.sha256(present[batch_id].folder / RECEIPT) != sha256:
            problems.append(f"the receipt of batch {batch_id} is not the one a frozen month was made with")
    return problems

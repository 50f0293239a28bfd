"""A frozen month computed again from just what its close had read, and held against what is frozen.

What belongs here: pinning what the manifest names, building it privately, comparing tables. What does not: the
bytes and sums of what is stored (`verify`), or changing anything.
"""

from collections.abc import Callable
from dataclasses import replace

from orchestration import engine, files
from orchestration.close import dbt_build, logical, pinning, publishing, readiness, verify
from orchestration.close import manifest as manifests
from orchestration.close.manifest import Manifest
from orchestration.errors import Refused
from orchestration.landing import receipts as landed
from orchestration.months import Month
from orchestration.settings import Settings


def problems(settings: Settings, month: Month, progress: Callable[[str], None]) -> list[str]:
    """What a month computed again says otherwise; Refused when other code may be why."""
    known = manifests.load(settings)
    frozen = next(manifest for manifest in known if manifest.month == month)
    try:
        named, currency = frozen.content["inputs"], frozen.content["settings"]["default_currency"]
        for part in ("tables", "versions"):
            frozen.content[part].keys()
    except verify.MISSHAPEN as error:
        return [f"the manifest of {month} does not say enough to compute it again ({type(error).__name__})"]
    receipts = [receipt for receipt in landed.load(settings) if receipt.sequence <= frozen.landed_up_to]
    earlier = [manifest for manifest in known if manifest.month < month]
    if publishing.named_inputs(receipts, month, earlier) != named:
        return [f"what has landed is not what the manifest of {month} was made from"]
    # The statement of a tenant without usage depends on this setting, which may have changed since.
    configuration = replace(settings, default_currency=currency)
    folder = settings.build / "recompute"
    files.remove(folder)
    try:
        out_dir = folder / f"month={month}"
        (out_dir / "usage").mkdir(parents=True)
        build_file = folder / "build.duckdb"
        rejected = readiness.rejected_rows(configuration, month, earlier, receipts)
        progress(f"Computing {month} again")
        pinning.pin(configuration, build_file, month, receipts, earlier, rejected, out_dir)
        dbt_build.build(configuration, build_file, progress)
        with engine.connect(configuration, build_file) as connection:
            publishing.write_tables(connection, out_dir)
            again = logical.of_month(connection, out_dir)
            stored = logical.of_month(connection, frozen.folder)
    finally:
        files.remove(folder)
    return _differences(frozen, stored, again)


def _differences(frozen: Manifest, stored: dict, again: dict) -> list[str]:
    stated = frozen.content["tables"]
    differing = [name for name in again if not again[name] == stored[name] == stated.get(name, stored[name])]
    if not differing:
        return []
    told = "; ".join(f"{name} ({again[name]['rows']} rows again, {stored[name]['rows']} frozen)" for name in differing)
    said = f"{frozen.month} computed again from what its close read differs in {told}"
    was, now = (manifests.of_code(versions) for versions in (frozen.content["versions"], manifests.versions()))
    if was == now:
        return [said]
    other = ", ".join(f"{name} {was.get(name)} then, {now.get(name)} now" for name in sorted(was.keys() | now.keys())
                      if was.get(name) != now.get(name))  # fmt: skip
    raise Refused(f"{said}. It was frozen by other code: {other}. Compute it again with that.")

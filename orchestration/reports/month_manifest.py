"""A month's manifest as a person reads it: a table for each of its parts.

What belongs here: laying it out. What does not: what a manifest says (`close.content`); the file stays canonical JSON.
"""

from dataclasses import asdict
from typing import Any

from orchestration.close.manifests import Manifest
from orchestration.shape import as_json

# The parts that are single values, in the order in which they are asked for.
SINGLE = (
    "format",
    "period_start",
    "period_end",
    "closed_at",
    "first_month",
    "previous_month",
    "previous_manifest_sha256",
    "statements_root_sha256",
    "landed_up_to",
)


def sections(manifest: Manifest) -> dict[str, list[dict[str, Any]]]:
    """Title → rows."""
    content = manifest.content
    said = as_json(content)
    names = {"manifest_sha256": manifest.sha256} | {name: said[name] for name in SINGLE} | said["settings"]
    totals = [
        {"currency": currency, "total": total, "since_first_month": content.totals_since_first_month.get(currency)}
        for currency, total in sorted(content.totals.items())
    ]
    return {
        f"Manifest of {manifest.month}": _pairs(names),
        "Totals": totals,
        "Totals by service": said["totals_by_service"],
        "Records": _pairs(said["counts"]),
        "Rows that sources left out": _pairs(content.ignored or {}),
        "Rejected rows that the close answered for": said["rejected"]["rows"],
        "Warnings": [{"warning": warning} for warning in content.warnings],
        "Inputs": [
            {name: value for name, value in asdict(one).items() if name != "files"} | {"files": len(one.files)}
            for one in content.inputs
        ],
        "Files": said["outputs"],
        "Services": said["services"]["rows"],
        "Versions": _pairs(said["versions"]),
    }


def _pairs(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"name": name, "value": value} for name, value in values.items()]

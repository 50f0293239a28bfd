"""A frozen month's manifest: what it was made of and what came out, hashed; each names the hash of the one before.

What belongs here: its content, its canonical JSON, and reading it again. What does not: making the files it lists.
"""

import hashlib
import importlib.metadata
import json
import platform
import subprocess
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any

import rfc8785

from orchestration import files, frozen
from orchestration.close import dbt_build
from orchestration.errors import Damaged, Refused
from orchestration.frozen import frozen_months
from orchestration.months import Month
from orchestration.settings import PROJECT_ROOT, Settings
from orchestration.shape import has_shape

MANIFEST = "manifest.json"
LOCK = PROJECT_ROOT / "requirements.lock"
NO_PREVIOUS = "0" * 64
ENGINES = ("duckdb", "dbt-core", "dbt-duckdb", "dagster", "pyarrow", "tenant-statements")
# What became of the landed rows, and what was stated late.
LATE_COUNTS = (
    "late_landed", "late_duplicate", "late_superseded", "before_first_month", "late", "restatement", "reversal",
)  # fmt: skip
COUNTS = ("landed", "accepted", "duplicate", "superseded", "rejected", "attributed", "unattributed", *LATE_COUNTS)
# What manifests of 0.1.0 do not say: nothing was stated late then, and the rest is not known.
NOT_YET_SAID = {
    "counts": dict.fromkeys(LATE_COUNTS, 0),
    "settings": {"grace_hours": None, "default_currency": None},
    "tables": {},
}
# What a manifest says at least, and in which form.
SHAPE = {
    "format": int,
    "month": str,
    "period_start": datetime,
    "period_end": datetime,
    "first_month": str,
    "closed_at": datetime,
    "previous_month": str | None,
    "previous_manifest_sha256": str,
    "landed_up_to": int,
    "settings": {"grace_hours": int | None, "default_currency": str | None},
    "inputs": [
        {"feed": str, "batch_id": str, "file_name": str, "source_sha256": str, "receipt_sha256": str, "files": list}
    ],
    "outputs": [{"name": str, "bytes": int, "rows": int | None, "sha256": str}],
    "tables": dict[str, dict],
    "counts": dict.fromkeys((*COUNTS, "conflict_header_ip"), int),
    "totals": dict[str, str],
    "totals_by_service": [{"service": str, "direction": str, "currency": str, "records": int, "cost": str}],
    "totals_since_first_month": dict[str, str],
    "rejected": {
        "accepted_by_operator": bool,
        "rows": [{"batch_id": str, "source_row": int, "reason": str, "cleared": bool}],
    },
    "warnings": list[str],
    "versions": dict[str, str | None],
}


@dataclass(frozen=True)
class Manifest:
    """A manifest as it was read: its month, content and hash (the head of the chain, when it is the last)."""

    month: Month
    content: dict[str, Any]
    sha256: str
    folder: Path

    @property
    def closed_at(self) -> datetime:
        return datetime.fromisoformat(self.content["closed_at"])

    @property
    def landed_up_to(self) -> int:
        """The landing sequence of the last batch that the close knew of."""
        return self.content["landed_up_to"]

    @property
    def usage_files(self) -> list[Path]:
        """Every entry that the month states: its days, and its corrections."""
        return [
            self.folder / output["name"] for output in self.content["outputs"] if output["name"].startswith("usage/")
        ]


def versions() -> dict[str, str | None]:
    """What computed the month: the commit where there is one, hashes of the code and of what it was installed with."""
    return {name: importlib.metadata.version(name) for name in ENGINES} | {
        "python": platform.python_version(),
        "git_commit": _git_commit(),
        "models_sha256": dbt_build.made_from(),
        "code_sha256": _code_sha256(),
        "requirements_sha256": files.sha256(LOCK) if LOCK.is_file() else None,
    }


def of_code(stated: dict[str, str | None]) -> dict[str, str | None]:
    """What of the versions can make a difference to a figure: a commit may concern the documentation alone."""
    return {name: value for name, value in stated.items() if name != "git_commit"}


def _git_commit() -> str | None:
    try:
        told = subprocess.run(
            ["git", "-C", str(PROJECT_ROOT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return told.stdout.strip()


def _code_sha256() -> str:
    digest = hashlib.sha256()
    package = Path(__file__).parents[1]
    for path in sorted(path for path in package.rglob("*") if path.suffix in (".py", ".sql")):
        digest.update(str(path.relative_to(package)).encode() + path.read_bytes())
    return digest.hexdigest()


def canonical(content: dict[str, Any]) -> bytes:
    """JSON as RFC 8785 fixes it, byte for byte. Numbers are whole and amounts are text: it reads alike everywhere."""
    return rfc8785.dumps(content)


def read(settings: Settings, month: Month) -> Manifest:
    folder = frozen.month_folder(settings, month)
    try:
        raw = (folder / MANIFEST).read_bytes()
        content = json.loads(raw)
        as_written = canonical(content)
        content = _completed(content)
        _require_form(content)
        if content["month"] != str(month) or as_written != raw:
            raise ValueError("another month's, or another form")
        return Manifest(month, content, hashlib.sha256(raw).hexdigest(), folder)
    except (OSError, ValueError, ArithmeticError, RecursionError, Refused) as error:
        raise Damaged(f"{folder / MANIFEST} is not the manifest that was frozen. Restore it from a backup.") from error


def _completed(content: Any) -> Any:
    """The content, with what its version did not say yet."""
    if not has_shape(content, {"counts": dict}):
        return content
    return NOT_YET_SAID | content | {"counts": NOT_YET_SAID["counts"] | content["counts"]}


def _require_form(content: Any) -> None:
    """Raise unless everything is there that readers take for granted, each value of its kind."""
    if not has_shape(content, SHAPE) or content["format"] != 1:
        raise ValueError("another form")
    for month in (content["month"], content["first_month"], content["previous_month"] or content["month"]):
        Month.parse(month)
    by_service = (service["cost"] for service in content["totals_by_service"])
    for amount in chain(content["totals"].values(), content["totals_since_first_month"].values(), by_service):
        Decimal(amount)


def load(settings: Settings) -> list[Manifest]:
    """The manifests of all frozen months, oldest first."""
    return [read(settings, month) for month in frozen_months(settings)]

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
from pathlib import Path
from typing import Any

from orchestration import files
from orchestration.close import dbt_build
from orchestration.errors import Damaged
from orchestration.landing.seal import frozen_months
from orchestration.months import Month
from orchestration.settings import PROJECT_ROOT, Settings

MANIFEST = "manifest.json"
LOCK = PROJECT_ROOT / "requirements.lock"
NO_PREVIOUS = "0" * 64
ENGINES = ("duckdb", "dbt-core", "dbt-duckdb", "dagster", "pyarrow", "tenant-statements")


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


def month_folder(settings: Settings, month: Month) -> Path:
    return settings.statements / f"month={month}"


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
    """JSON with sorted keys and no spare blanks; numbers are whole, amounts are text: it reads alike everywhere."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def read(settings: Settings, month: Month) -> Manifest:
    folder = month_folder(settings, month)
    try:
        raw = (folder / MANIFEST).read_bytes()
        content = json.loads(raw)
        if content["month"] != str(month):
            raise ValueError("another month's")
        return Manifest(month, content, hashlib.sha256(raw).hexdigest(), folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Damaged(f"{folder / MANIFEST} is not the manifest that was frozen. Restore it from a backup.") from error


def load(settings: Settings) -> list[Manifest]:
    """The manifests of all frozen months, oldest first."""
    return [read(settings, month) for month in frozen_months(settings)]

"""The versions that compute a month: the commit where there is one, hashes of the code and of its requirements.

What belongs here: naming the code that runs. What does not: the manifest that names it.
"""

import hashlib
import importlib.metadata
import platform
import subprocess
from pathlib import Path

from orchestration import files
from orchestration.close import dbt_build
from orchestration.settings import PROJECT_ROOT

LOCK = PROJECT_ROOT / "requirements.lock"
ENGINES = ("duckdb", "dbt-core", "dbt-duckdb", "dagster", "pyarrow", "tenant-statements")
# Name → version, commit or hash; None where there is no such thing here.
Versions = dict[str, str | None]


def installed() -> Versions:
    """The versions of this installation."""
    engines: Versions = {name: importlib.metadata.version(name) for name in ENGINES}
    return engines | {
        "python": platform.python_version(),
        "git_commit": _git_commit(),
        "models_sha256": dbt_build.made_from(),
        "code_sha256": _code_sha256(),
        "requirements_sha256": files.sha256(LOCK) if LOCK.is_file() else None,
    }


def of_code(versions: Versions) -> Versions:
    """The versions that can make a difference to a figure.

    A commit may concern the documentation alone, and no figure may depend on the engine that computed it.
    """
    return {name: value for name, value in versions.items() if name not in ("git_commit", "engine")}


def _git_commit() -> str | None:
    try:
        described = subprocess.run(
            ["git", "-C", str(PROJECT_ROOT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return described.stdout.strip()


def _code_sha256() -> str:
    digest = hashlib.sha256()
    package = Path(__file__).parents[1]
    for path in sorted(path for path in package.rglob("*") if path.suffix in (".py", ".sql")):
        digest.update(str(path.relative_to(package)).encode() + path.read_bytes())
    return digest.hexdigest()

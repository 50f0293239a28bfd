"""What is installed: the version that everything names, the lock, and every required package but for one.

What belongs here: declarations beside what is installed. What does not: what the packages do.
"""

import importlib.metadata
import re
import subprocess
import sys
import tomllib

import pytest

from orchestration.close import versions
from orchestration.settings import PROJECT_ROOT

LEFT_OUT = "dbt-core-experimental-parser"


@pytest.mark.slow
def test_only_the_second_parser_of_dbt_is_missing():
    checked = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True)
    assert re.fullmatch(rf"dbt-core \S+ requires {LEFT_OUT}, which is not installed\.\n", checked.stdout), (
        checked.stdout
    )


def test_the_lock_names_packages_and_hashes_and_no_place_to_get_them_from():
    lines = (PROJECT_ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    package, digest, comment = r"[a-z0-9-]+==\S+( ; .+)? \\", r"    --hash=sha256:[0-9a-f]{64}( \\)?", r" *#.*|"
    assert [line for line in lines if not re.fullmatch(f"{package}|{digest}|{comment}", line)] == []
    assert [line for line in lines if line.startswith(LEFT_OUT)] == []
    assert len([line for line in lines if re.fullmatch(package, line)]) > 100


def test_the_changelog_the_package_its_installation_manifests_and_the_command_line_name_one_version(command_line):
    """Whoever begins a new section of the changelog begins a new version, so that no two releases' manifests look alike."""
    changelog = (PROJECT_ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    declared = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert re.search(r"^## (\S+)", changelog, re.MULTILINE)[1] == declared
    assert importlib.metadata.version("tenant-statements") == declared
    assert versions.installed()["tenant-statements"] == declared
    assert command_line.must("--version").stdout == f"statements {declared}"

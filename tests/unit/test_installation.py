"""What is installed: every package that another one requires, but for one; and the lock that it is installed from.

What belongs here: the lock beside what is installed. What does not: what the packages do.
"""

import re
import subprocess
import sys

from orchestration.settings import PROJECT_ROOT

LEFT_OUT = "dbt-core-experimental-parser"


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

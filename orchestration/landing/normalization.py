"""How the text of a feed becomes canonical values: the macros of `normalize.sql`, and the hash of all rules of landing.

What belongs here: loading the macros and naming their version. What does not: any rule, which stands in the script.
"""

import hashlib
from pathlib import Path

import duckdb

from orchestration import engine, settings

# A macro that takes a text apart needs memory many times its length, and nothing that a feed means is as long.
LONGEST_READ = 1_000
SCRIPT = Path(__file__).with_name("normalize.sql")


def load(connection: duckdb.DuckDBPyConnection) -> None:
    """Define the macros in this connection."""
    engine.load_macros(connection, SCRIPT)


def rules_sha256() -> str:
    """The hash of the rules that every row is landed with."""
    digest = hashlib.sha256()
    for path in (SCRIPT, settings.SEEDS / "services.csv", settings.SEEDS / "currencies.csv"):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def short(column: str, macro: str, otherwise: str = "null") -> str:
    """SQL of a macro over a text of at most LONGEST_READ bytes; of `otherwise` for a longer one."""
    return f"case when strlen({column}) <= {LONGEST_READ} then {macro}({column}) else {otherwise} end"

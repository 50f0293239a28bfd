"""`adapter` as macros know it, for SQLFluff, whose templater is Jinja alone: it lints DuckDB's form.

What belongs here: the names of dbt that `apply_dbt_builtins` lacks. Nothing that computes a month reads this.
"""

from collections.abc import Callable

from jinja2 import pass_context
from jinja2.runtime import Context


@pass_context
def dispatch(context: Context, name: str) -> Callable[..., str]:
    """The macro `name` in its DuckDB form."""
    macro: Callable[..., str] = context[f"duckdb__{name}"]
    return macro

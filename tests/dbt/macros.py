"""The project's macros in plain Jinja, as either engine renders them: what a test asks an engine is SQL.

What belongs here: rendering. What does not: any expectation.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

from jinja2 import Environment, pass_context
from jinja2.runtime import Context

from orchestration.close import dbt_build


@cache
def sources() -> str:
    """Every macro of the project, in one text."""
    macros = json.loads(dbt_build.prepare().read_text(encoding="utf-8"))["macros"].values()
    own = [macro["macro_sql"] for macro in macros if macro["package_name"] == "tenant_statements"]
    return "\n".join(source for source in own if source.startswith("{% macro"))


def render(engine: str, expression: str) -> str:
    """The SQL of a Jinja expression for `duckdb` or `spark`."""
    return sql(engine, "{{ " + expression + " }}")


def sql(engine: str, template: str) -> str:
    """SQL with Jinja in it, rendered for `duckdb` or `spark`."""

    @pass_context
    def dispatch(context: Context, name: str) -> Callable[..., Any]:
        return context[f"{engine}__{name}"]

    environment = Environment(extensions=["jinja2.ext.do"])
    names = {"adapter": SimpleNamespace(dispatch=dispatch), "return": lambda value: value}
    return environment.from_string(sources() + template).render(names).strip()

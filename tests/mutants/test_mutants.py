"""The mutants themselves: that each wrong is made where it should be, and a few of them against the tests.

All of them, against all tests that could notice: `make test-mutants`.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.settings import PROJECT_ROOT
from tests.mutants import python_mutations, run, sql_mutations

SQL = """\
{{ config(order=['a', 'b']) }}
{# a > b and c #}
-- greatest(a, b)
select
    coalesce(a, b) as c,
    row_number() over (partition by d, e order by f desc) as g,
    cast(h as decimal(38, 6)) as i
from j
left join k
    on j.l = k.l
    and j.m >= k.m
where n between 1 and 2
"""
# Without a mutant, too, these have to pass first: the quickest that notices.
BUILD = "tests/dbt/test_project.py::test_late_records_find_a_busy_assets_holder_of_their_own_month"
PYTHON = """\
def f(a, b):
    check(a)
    if a and not b:
        raise ValueError
    return any(a) if a < b else b + 1
"""


def changes(mutants) -> set[tuple[str, str]]:
    return {(" ".join(one.before.split()), " ".join(one.after.split())) for one in mutants}


def test_what_may_be_wrong_in_sql():
    assert changes(sql_mutations.mutants(Path("model.sql"), SQL)) == {
        ("a, b", "a"),
        ("a, b", "b"),
        ("d, e", "d"),
        ("d, e", "e"),
        ("desc", "asc"),
        ("left join", "inner join"),
        ("=", "<>"),
        (">=", ">"),
        ("and", "or"),
        ("j.m >= k.m", "true"),
        ("n between 1 and 2", "true"),
        ("1", "2"),
        ("2", "3"),
    }


def test_what_may_be_wrong_in_python():
    assert changes(python_mutations.mutants(Path("module.py"), PYTHON)) == {
        ("check(a)", "pass"),
        ("a and not b", "((a) or (not b))"),
        ("a and not b", "not (a and not b)"),
        ("not b", "bool(b)"),
        ("raise ValueError", "pass"),
        ("any(a) if a < b else b + 1", "None"),
        ("any", "all"),
        ("a < b", "(a <= b)"),
        ("b + 1", "(b - 1)"),
        ("1", "2"),
    }


@pytest.mark.parametrize("mutants", [sql_mutations, python_mutations])
def test_a_mutant_differs_in_nothing_else(mutants):
    source = SQL if mutants is sql_mutations else PYTHON
    for one in mutants.mutants(Path("file"), source):
        applied = one.applied(source)
        end = one.start + len(one.before)
        assert applied != source
        assert (applied[: one.start], applied[one.start + len(one.after) :]) == (source[: one.start], source[end:])


def test_what_is_explained_is_still_there():
    assert run.explained() <= {
        run.Same.of(*one) for subject in run.SUBJECTS.values() for one in run.mutants_of(subject)
    }


@pytest.mark.long
@pytest.mark.parametrize(
    ("subject", "mutant", "test"),
    [
        ("sql", "'keyed.started_at < holdings.valid_until' → 'true'", BUILD),
        ("publishing", "'digest != listed[name]'", "tests/unit/test_files.py"),
    ],
)
def test_some_are_tried(subject, mutant, test):
    told = subprocess.run(
        [sys.executable, "-m", "tests.mutants.run", subject, "--only", mutant, "--sample", "1", "--tests", test],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert f"{subject}: 100.0% of 1 noticed" in told.stdout

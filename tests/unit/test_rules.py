"""docs/rules.md is the rulebook: whoever cites a rule by number cites one that stands there, and a test cites each rule.

What belongs here: citations, and the form of the rulebook. What does not: whether a rule holds; the tests cited do that.
"""

import re
from pathlib import Path

import pytest

from orchestration.settings import PROJECT_ROOT

RULEBOOK = PROJECT_ROOT / "docs" / "rules.md"
HEADING = re.compile(r'^<a id="rule-(\d+)"></a>\*\*Rule (\d+)\. [^*\n]+\.\*\*', re.MULTILINE)
# A mark stands on a line of its own, to be deleted when its part is built.
MARK = re.compile(r"^\*Not implemented yet in \d+\.\d+\.\d+: .+\.\*$")
WHOLE_RULE = re.compile(r"^\*Not implemented yet in \S+: the whole rule\.\*$", re.MULTILINE)
# "rule 8", "Rules 2 and 4", "rules 8 to 11, 15 to 17", "rules 13, 19, 21", also where a line breaks and in a test's name.
NUMBERS = r"\d+(?:(?:,\s|,?\s(?:and|or|to)\s)\d+)*"
CITATION = re.compile(rf"\b[Rr]ules?\s({NUMBERS})\b(?!\.\d)|#rule-(\d+)")
FOLDERS = ("orchestration", "dbt_project", "seeds", "tests", "docs", "benchmarks")
# Files without a suffix: the README of a scenario, its steps.
SUFFIXES = (".py", ".sql", ".yml", ".yaml", ".toml", ".csv", ".md", "")
NOT_OURS = {"target", "__pycache__", "data"}


def cited(text: str) -> set[int]:
    """The numbers of all rules that a text cites."""
    plain = re.sub(r"[\s_]+(?:#\s+|--\s+)?", " ", text)
    found = set()
    for numbers, anchor in CITATION.findall(plain):
        if anchor:
            found.add(int(anchor))
            continue
        for first, last in re.findall(r"(\d+)(?: to (\d+))?", numbers):
            found |= set(range(int(first), int(last or first) + 1))
    return found


def rules() -> dict[int, str]:
    """Number → text of each rule."""
    text = RULEBOOK.read_text(encoding="utf-8")
    starts = [*HEADING.finditer(text)]
    ends = [heading.start() for heading in starts[1:]] + [len(text)]
    return {int(heading[1]): text[heading.start() : end] for heading, end in zip(starts, ends, strict=True)}


def texts() -> dict[Path, str]:
    """Every file of the project that may cite a rule, this one left out."""
    paths = [path for folder in FOLDERS for path in (PROJECT_ROOT / folder).rglob("*")]
    return {
        path: path.read_text(encoding="utf-8")
        for path in [*paths, *PROJECT_ROOT.glob("*.md")]
        if path.suffix in SUFFIXES
        and path.is_file()
        and path != Path(__file__)
        and not NOT_OURS & set(path.relative_to(PROJECT_ROOT).parts)
    }


def is_test(path: Path) -> bool:
    """A test module, or what a scenario says that it proves."""
    within = path.relative_to(PROJECT_ROOT).parts
    return within[0] == "tests" and (path.match("test_*.py") or (within[1] == "scenarios" and path.name == "README"))


def test_the_rules_are_numbered_without_a_gap_and_each_has_an_anchor_of_its_number():
    headings = HEADING.findall(RULEBOOK.read_text(encoding="utf-8"))
    assert len(headings) >= 30
    assert headings == [(str(number), str(number)) for number, _ in enumerate(headings, start=1)]


def test_a_mark_of_what_is_not_built_is_one_line():
    lines = RULEBOOK.read_text(encoding="utf-8").splitlines()
    marks = [line for line in lines if line.startswith("*Not implemented")]
    assert [line for line in marks if not MARK.match(line)] == []


def test_every_rule_that_is_cited_exists():
    numbers = set(rules())
    wrong = {
        str(path.relative_to(PROJECT_ROOT)): sorted(unknown)
        for path, text in texts().items()
        if (unknown := cited(text) - numbers)
    }
    assert wrong == {}


def test_every_rule_that_is_built_is_cited_by_a_test():
    built = {number for number, text in rules().items() if not WHOLE_RULE.search(text)}
    tested = set().union(*(cited(text) for path, text in texts().items() if is_test(path)))
    assert sorted(built - tested) == []


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("(rule 16)", {16}),
        ("Rule 8: this service belongs to", {8}),
        ("rules 2 and 4", {2, 4}),
        ("(rules 13, 19, 21, 22).", {13, 19, 21, 22}),
        ("rules 8 to 11, 15 to 17", {8, 9, 10, 11, 15, 16, 17}),
        ("rules 4, 12, 13 and 14 read anew", {4, 12, 13, 14}),
        ("(rules\n    12 and 13)", {12, 13}),
        ("# as rule\n# 31 says", {31}),
        ("def test_an_account_id_is_what_rule_2_says():", {2}),
        ("[the seal](rules.md#rule-13)", {13}),
        ("a rule; 7 rows, overrule 3, rule 2.5", set()),
    ],
)
def test_a_citation_is_read_in_every_way_that_it_is_written(text, numbers):
    assert cited(text) == numbers

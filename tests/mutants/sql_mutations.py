"""Small wrongs that a model's SQL could hold: one changed text each.

What belongs here: which wrongs are made, and where in a file they may be made. What does not: running them.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.mutants.mutant import Mutant

# What no query is made of: Jinja's comments, statements and configuration, SQL's comments, and the names of checks, which
# begin with the number of their invariant.
NOT_SQL = re.compile(r"\{#.*?#\}|\{%.*?%\}|\{\{\s*(?:config|return)\(.*?\)\s*\}\}|--[^\n]*|'[0-9] [^']*'", re.DOTALL)
# `union` for `union all` is not among them: the rows of every model differ by its grain, which the tests hold.
WORDS = {
    " >= ": " > ",
    " > ": " >= ",
    " <= ": " < ",
    " < ": " <= ",
    " = ": " <> ",
    " <> ": " = ",
    " + ": " - ",
    " - ": " + ",
    "left join": "inner join",
    "inner join": "left join",
    "full outer join": "inner join",
    "select distinct": "select",
    "greatest(": "least(",
    "least(": "greatest(",
    "min(": "max(",
    "max(": "min(",
    "arg_max(": "arg_min(",
    "arg_max_null(": "arg_min_null(",
    "arg_min(": "arg_max(",
    "lead(": "lag(",
    "lag(": "lead(",
    "not exists": "exists",
    "not in": "in",
    "is not null": "is null",
    "is null": "is not null",
    "is not distinct from": "is distinct from",
    "is distinct from": "is not distinct from",
    "is not true": "is true",
    " desc": " asc",
    "nulls last": "nulls first",
    "nulls first": "nulls last",
    "and": "or",
    "or": "and",
    "true": "false",
    "false": "true",
}
ANY_WORD = re.compile(
    "|".join(
        (r"(?<!\w)" if word[0].isalpha() else "") + re.escape(word) + (r"(?!\w)" if word[-1].isalpha() else "")
        for word in sorted(WORDS, key=len, reverse=True)
    )
)
# Whole numbers that are neither in a name, a decimal, the size of a type, nor what `exists` does not look at.
NUMBER = re.compile(r"(?<![\w.({'\"])(?<!select )(?<!decimal\(38, )\d+(?![\w.'\"])")
CHOICE = re.compile(r"\b(greatest|least|coalesce)\(")
KEYS = re.compile(r"\b(order by|partition by)\s+")
END_OF_KEYS = re.compile(r"\s+(?:rows|range|order by|limit)\b|\n\n|;")
CONDITION = re.compile(r"^[ \t]*(?:and|or|where)[ \t]+(?P<condition>[^\n]+)$", re.MULTILINE)


def mutants(path: Path, source: str) -> Iterator[Mutant]:
    """Every mutant of one file."""
    sql = NOT_SQL.sub(lambda found: re.sub(r"[^\n]", "\0", found.group()), source)
    for start, end, after in sorted({*_words(sql), *_numbers(sql), *_choices(sql), *_keys(sql), *_conditions(sql)}):
        yield Mutant.of(path, source, start, end, after)


def _words(sql: str) -> Iterator[tuple[int, int, str]]:
    for found in ANY_WORD.finditer(sql):
        line = sql[sql.rfind("\n", 0, found.start()) + 1 : found.start()]
        if found.group() == "and" and re.search(r"\bbetween\b", line):
            continue
        yield found.start(), found.end(), WORDS[found.group()]


def _numbers(sql: str) -> Iterator[tuple[int, int, str]]:
    for found in NUMBER.finditer(sql):
        before = sql[: found.start()]
        if re.search(r"(decimal\(\d*,? ?|(order|group) by [\d, ]*)$", before):
            continue
        yield found.start(), found.end(), str(int(found.group()) + 1)


def _choices(sql: str) -> Iterator[tuple[int, int, str]]:
    """One argument fewer."""
    for found in CHOICE.finditer(sql):
        arguments = _split(sql, found.end())
        for left_out in range(len(arguments) if len(arguments) > 1 else 0):
            kept = [sql[start:end] for at, (start, end) in enumerate(arguments) if at != left_out]
            if "\0" not in "".join(kept):
                yield found.end(), arguments[-1][1], ",".join(kept).lstrip()


def _keys(sql: str) -> Iterator[tuple[int, int, str]]:
    """One key of an order or of a partition fewer."""
    for found in KEYS.finditer(sql):
        keys = _split(sql, found.end())
        for left_out in range(len(keys) if len(keys) > 1 else 0):
            kept = [sql[start:end] for at, (start, end) in enumerate(keys) if at != left_out]
            if "\0" not in "".join(kept):
                yield found.end(), keys[-1][1], ",".join(kept).lstrip()


def _conditions(sql: str) -> Iterator[tuple[int, int, str]]:
    """One line of a condition that always holds."""
    for found in CONDITION.finditer(sql):
        condition = found["condition"]
        if condition.count("(") == condition.count(")") and condition.count("{{") == condition.count("}}"):
            always = "true" if not found.group().lstrip().startswith("or") else "false"
            yield found.start("condition"), found.end("condition"), always


def _split(sql: str, start: int) -> list[tuple[int, int]]:
    """The spans of a list that begins here, up to the bracket or clause that ends it."""
    spans, depth, at = [], 0, start
    for position in range(start, len(sql)):
        letter = sql[position]
        if letter in "({[":
            depth += 1
        elif letter in ")}]":
            if depth == 0:
                spans.append((at, position))
                return spans
            depth -= 1
        elif letter == "," and depth == 0:
            spans.append((at, position))
            at = position + 1
        elif depth == 0 and END_OF_KEYS.match(sql, position):
            spans.append((at, position))
            return spans
    return []

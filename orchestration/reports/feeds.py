"""The columns of the feeds, for people who make such files: on the terminal, as JSON, and as `docs/feeds.md`.

What belongs here: laying the declaration out. What does not: any column, which stands in `landing.feeds`.
"""

from collections.abc import Iterable
from typing import Any

from orchestration.errors import Refused, did_you_mean
from orchestration.landing.feeds import FEEDS, STORED_TYPES, Column, Feed

HEAD = """\
# The feeds

Every column of every feed, written from their declaration by `statements feeds --markdown > docs/feeds.md`.

A feed comes as CSV (RFC 4180, with a header), JSON Lines or Parquet; CSV and JSON Lines may be compressed (`.gz`,
`.zst`). The order of columns is free. An unknown column, or a missing required one, refuses the file. An empty field,
`''` and null all mean absent. An absent value of a required column rejects the row in `cdrs`, and refuses the file in
the other feeds, unless a default is stated. A line, or a text in Parquet, has at most 4,000,000 bytes.

- text is stored as `varchar`.
- An instant is ISO 8601 with `Z` or an offset, or a Parquet timestamp adjusted to UTC. It is stored as `timestamptz`;
  what is finer than a microsecond is cut.
- money is digits as text, in JSON also a number; in Parquet text, an integer or a DECIMAL of at most 38 digits, never
  FLOAT or DOUBLE. It is stored exactly, as `decimal(18, 9)`.
- seconds are a whole number, as text or as an integer, stored as `integer`.
- A flag is `true` or `false`, also `1`, `0`, `t`, `f`, `yes`, `no` in any case, or a BOOLEAN in Parquet. It is stored
  as `boolean`.
"""


def chosen(name: str | None) -> list[Feed]:
    """The feed of this name, or all."""
    if name is None:
        return list(FEEDS.values())
    if name not in FEEDS:
        raise Refused(f"{name!r} is no feed. The feeds are {', '.join(FEEDS)}.{did_you_mean(name, FEEDS)}")
    return [FEEDS[name]]


def columns(feed: Feed) -> list[dict[str, Any]]:
    """One entry per column of a feed's files, in the order of the declaration."""
    return [
        {
            "feed": feed.name,
            "column": column.name,
            "type": column.kind,
            "stored_as": STORED_TYPES[column.kind] if column.stored else None,
            "unit": _plain(column.unit),
            "required": column.required,
            "default": _plain(column.default),
            "example": column.example,
            "confidential": column.confidential,
            "meaning": _plain(column.description),
        }
        for column in feed.columns
    ]


def _plain(text: str) -> str | None:
    return text.replace("`", "") or None


def markdown(feeds: Iterable[Feed]) -> str:
    """The page about these feeds."""
    return "\n".join([HEAD, *(_section(feed) for feed in feeds)]).rstrip("\n")


def _section(feed: Feed) -> str:
    rows = "\n".join(_row(column) for column in feed.columns)
    confidential = ""
    if any(column.confidential for column in feed.columns):
        confidential = (
            "\n† Contact data: it stays in the tenant directory, and no build, statement or log ever has it.\n"
        )
    return f"""\
## {feed.name}

{feed.description}

| column | type | unit or form | required | default | example | meaning |
|---|---|---|---|---|---|---|
{rows}
{confidential}"""


def _row(column: Column) -> str:
    mark = " †" if column.confidential else ""
    cells = (
        f"`{column.name}`{mark}",
        column.kind,
        column.unit,
        "yes" if column.required else "",
        column.default,
        f"`{column.example}`",
        column.description,
    )
    return f"| {' | '.join(cells)} |"

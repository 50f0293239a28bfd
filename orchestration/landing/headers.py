"""The names in a file's header beside the columns of its feed: they fit, or the file is refused.

What belongs here: which names fit, and which may be shown. What does not: reading a header (`source_files`), or the
columns themselves (`feeds`).
"""

import re
from collections.abc import Sequence
from pathlib import Path

from orchestration.errors import Refused
from orchestration.landing.feeds import FEEDS, TENANTS, Feed

# A refusal names so many unknown columns: enough to see what the file is.
COLUMNS_NAMED = 12
# A name of a column, and no postal code, address, e-mail or name of a person.
COLUMN_NAME = re.compile("[A-Za-z_]{1,40}[0-9]{0,3}")
# Each line of a JSON Lines file may have other names; so many of them are counted.
UNKNOWN_COUNTED = 100_000


def require_columns(feed: Feed, path: Path, names: Sequence[str], seems: str = "") -> None:
    """Refuse a file that lacks a required column of the feed, repeats one, or has one that the feed does not have.

    `seems` is a sentence of what the file seems to be instead, told where a column is lacking.
    """
    problems = []
    if repeated := [name for name in feed.names if names.count(name) > 1]:
        problems.append(f"repeats {', '.join(repeated)}")
    if missing := [name for name in feed.required_beside(names) if name not in names]:
        problems.append(f"lacks {', '.join(missing)}")
    if unknown := [name for name in names if name not in feed.names]:
        problems.append(f"has unknown columns {_shown(feed, unknown, known=len(names) - len(unknown))}")
    if problems:
        fitting = [other.name for other in FEEDS.values() if set(other.required) <= set(names) <= set(other.names)]
        hint = f" It fits the feed {fitting[0]}." if fitting else ""
        raise Refused(
            f"{path} does not fit the feed {feed.name}: it {', and '.join(problems)}."
            f"{hint}{f' {seems}' if missing and seems else ''} "
            f"The columns of {feed.name} are {', '.join(feed.names)}."
        )


def _shown(feed: Feed, unknown: Sequence[str], *, known: int) -> str:
    """The unknown names that cannot be taken for values, and how many others there are.

    Without its header, a file begins with the values of its first row: in a tenants file, or in one that lands as
    another feed, they are somebody's name, address and e-mail. So names are shown where most columns are known ones.
    """
    is_header = feed is not TENANTS and known >= len(unknown)
    named = [name for name in unknown if is_header and COLUMN_NAME.fullmatch(name)][:COLUMNS_NAMED]
    if not named:
        count = f"{len(unknown):,}{' or more' if len(unknown) >= UNKNOWN_COUNTED else ''}"
        return f"({count} of them; in a file without a header they are values, so they are not shown)"
    others = len(unknown) - len(named)
    return ", ".join(repr(name) for name in named) + (f" and {others:,} more" if others else "")

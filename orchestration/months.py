"""UTC calendar months, written YYYY-MM: the only unit in which statements exist."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from orchestration.errors import Refused

DAY = r"\d{4}-\d\d-\d\d"


@dataclass(frozen=True, order=True)
class Month:
    """A UTC calendar month, half-open: `start <= t < end`. Prints as YYYY-MM."""

    year: int
    number: int

    @classmethod
    def parse(cls, text: str) -> "Month":
        # The years 0 and 9999 have an edge that no clock can show.
        if not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", text) or text[:4] in ("0000", "9999"):
            raise Refused(f"{text!r} is not a month: write it as YYYY-MM, for example 2026-03.")
        return cls(int(text[:4]), int(text[5:]))

    @classmethod
    def of(cls, instant: datetime) -> "Month":
        utc = instant.astimezone(UTC)
        return cls(utc.year, utc.month)

    @property
    def start(self) -> datetime:
        return datetime(self.year, self.number, 1, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        return self.next.start

    @property
    def next(self) -> "Month":
        return Month(self.year + self.number // 12, self.number % 12 + 1)

    @property
    def previous(self) -> "Month":
        return Month(self.year - (self.number == 1), (self.number - 2) % 12 + 1)

    @property
    def days(self) -> list[date]:
        length = (self.end - self.start).days
        return [(self.start + timedelta(days=day)).date() for day in range(length)]

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.number:02d}"


def with_ranges(sentence: str) -> str:
    """A sentence whose lists of days name the days in a row by the first and the last of them."""
    return re.sub(rf"{DAY}(, {DAY})+", lambda listed: ", ".join(_ranges(listed[0].split(", "))), sentence)


def _ranges(days: list[str]) -> list[str]:
    rows: list[list[date]] = []
    for day in map(date.fromisoformat, days):
        if rows and rows[-1][-1] + timedelta(days=1) == day:
            rows[-1].append(day)
        else:
            rows.append([day])
    return [row[0].isoformat() if len(row) == 1 else f"{row[0]} to {row[-1]}" for row in rows]

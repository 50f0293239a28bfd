"""Numbers and dates as a person reads them, in the language that the issuer chose.

What belongs here: the form of a value. What does not: sentences, which are English (`page`). An amount keeps every
digit that was frozen: it is grouped, never rounded.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cached_property

from babel import Locale, dates, numbers

from orchestration.layout import amount
from orchestration.months import Month


def places(values: Iterable[Decimal]) -> int:
    """The most places that one of these amounts has; two at least."""
    return max((len(amount(value, grouped=False).partition(".")[2]) for value in values), default=2)


@dataclass(frozen=True)
class Wording:
    """The forms of one language. Amounts have `least_places` at least, so that they stand one below the other."""

    language: str
    least_places: int = 2

    @cached_property
    def locale(self) -> Locale:
        return Locale.parse(self.language, sep="-")

    @cached_property
    def _group(self) -> str:
        return numbers.get_group_symbol(self.locale)

    @cached_property
    def _point(self) -> str:
        return numbers.get_decimal_symbol(self.locale)

    def amount(self, value: Decimal) -> str:
        """An exact amount: every digit that is not zero stands there."""
        whole, _, digits = amount(value, grouped=False).partition(".")
        return f"{self._grouped(whole)}{self._point}{digits.ljust(self.least_places, '0')}"

    def count(self, value: int) -> str:
        return self._grouped(str(value))

    def minutes(self, value: Decimal) -> str:
        """Minutes with two places, half away from zero; a workbook and the CSV have all six."""
        whole, _, places = f"{value.quantize(Decimal('0.01'), ROUND_HALF_UP):f}".partition(".")
        return f"{self._grouped(whole)}{self._point}{places}"

    def _grouped(self, digits: str) -> str:
        sign, digits = ("\u2212", digits[1:]) if digits.startswith("-") else ("", digits)
        # Of the digits before the point, the last so many stand together, and those before in groups of so many.
        last, others = self.locale.decimal_formats[None].grouping
        head, tail = digits[:-last], digits[-last:]
        groups = [head[max(0, end - others) : end] for end in range(len(head), 0, -others)]
        return sign + self._group.join([*reversed(groups), tail])

    def month(self, month: Month) -> str:
        return dates.format_skeleton("yMMMM", month.start, locale=self.locale)

    def short_month(self, month: Month) -> str:
        return dates.format_skeleton("yMMM", month.start, locale=self.locale)

    def day(self, day: date) -> str:
        return dates.format_date(day, "long", locale=self.locale)

    def days(self, start: datetime, end: datetime) -> str:
        """The days, in UTC, that a stretch `[start, end)` of a month touches: "October 1 to 14"."""
        first, last = start.astimezone(UTC).date(), (end - timedelta(microseconds=1)).astimezone(UTC).date()
        if first == last:
            return dates.format_skeleton("MMMMd", first, locale=self.locale)
        return dates.format_interval(first, last, "MMMMd", locale=self.locale)

    def instant(self, instant: datetime) -> str:
        """A day and a time to the second, in UTC."""
        utc = instant.astimezone(UTC)
        return f"{dates.format_date(utc, 'medium', locale=self.locale)} {utc:%H:%M:%S}"

    def duration(self, seconds: int) -> str:
        """Hours, minutes and seconds, `h:mm:ss`."""
        sign, whole = ("\u2212", -seconds) if seconds < 0 else ("", seconds)
        return f"{sign}{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"

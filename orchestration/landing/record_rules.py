"""The rules of records that an operator sets: the services, and the currency of a record that names none.

What belongs here: reading and checking them, and the hash of all rules that a record lands with. What does not: how a
row is judged by them (`records`).
"""

import csv
import hashlib
from dataclasses import dataclass

from orchestration.errors import Refused
from orchestration.landing import normalization, services
from orchestration.landing.services import Services
from orchestration.settings import SEEDS, Settings

# The currency that every record without one had before this was a rule: files that landed then landed with it.
FORMER_CURRENCY = "USD"


@dataclass(frozen=True)
class RecordRules:
    """The rules that an operator sets. `sha256` is the hash of these and of all others that a record lands with."""

    services: Services
    default_currency: str

    @property
    def sha256(self) -> str:
        shipped = normalization.rules_sha256()
        own = [f"default_currency {self.default_currency}"] if self.default_currency != FORMER_CURRENCY else []
        own += [f"services {self.services.own_sha256}"] if self.services.own_sha256 else []
        # An installation that sets neither lands with the shipped rules, as it always has.
        return hashlib.sha256(" ".join([shipped, *own]).encode()).hexdigest() if own else shipped


def load(settings: Settings) -> RecordRules:
    """The rules as they are set now. Refused when one of them cannot be."""
    with (SEEDS / "currencies.csv").open(encoding="utf-8", newline="") as handle:
        listed = {row["currency"] for row in csv.DictReader(handle)}
    if settings.default_currency not in listed:
        raise Refused(
            f"STATEMENTS_DEFAULT_CURRENCY is {settings.default_currency!r}, which is no currency of ISO 4217. "
            "Write a code such as USD."
        )
    return RecordRules(services.load(settings), settings.default_currency)

"""A frozen month's manifest, and the chain that the frozen months make.

Each manifest names the hash of the one before. What belongs here: reading them, and the order of the months. What does
not: what a manifest says (`content`), or proving that it is true (`verify`).
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

from orchestration import files, frozen
from orchestration.close.content import FORMAT, FORMAT_WITHOUT_ROOT, Content, canonical
from orchestration.errors import Damaged
from orchestration.months import Month
from orchestration.settings import Settings
from orchestration.shape import build

MANIFEST = "manifest.json"
SHA256 = "[0-9a-f]{64}"


@dataclass(frozen=True)
class Manifest:
    """A manifest as it was read: its month, content and hash (the head of the chain, when it is the last)."""

    month: Month
    content: Content
    sha256: str
    folder: Path

    @property
    def closed_at(self) -> datetime:
        return self.content.closed_at

    @property
    def landed_up_to(self) -> int:
        return self.content.landed_up_to

    @property
    def usage_files(self) -> list[Path]:
        """Every entry that the month states: its days, and its corrections."""
        return [self.folder / output.name for output in self.content.outputs if output.name.startswith("usage/")]

    @property
    def correction_files(self) -> list[Path]:
        """The entries that correct months before; nothing when there are none."""
        return [
            self.folder / output.name
            for output in self.content.outputs
            if output.name == "usage/corrections.parquet" and output.rows
        ]


@dataclass(frozen=True)
class Chain:
    """Frozen months, oldest first. A chain is true when it has one."""

    manifests: tuple[Manifest, ...] = ()

    def __post_init__(self) -> None:
        months = [manifest.month for manifest in self.manifests]
        assert all(earlier < later for earlier, later in pairwise(months)), f"{months} are not oldest first"

    def __iter__(self) -> Iterator[Manifest]:
        return iter(self.manifests)

    def __len__(self) -> int:
        return len(self.manifests)

    def __contains__(self, month: Month) -> bool:
        """Whether a month is frozen."""
        return any(manifest.month == month for manifest in self.manifests)

    @property
    def last(self) -> Manifest | None:
        return self.manifests[-1] if self.manifests else None

    @property
    def head(self) -> str | None:
        """The hash of the last manifest: a copy of it kept elsewhere proves that nothing was forged since."""
        return self.last.sha256 if self.last else None

    @property
    def first_month(self) -> Month | None:
        return self.manifests[0].month if self.manifests else None

    @property
    def next_month(self) -> Month | None:
        """The month that can be closed next; None before a first month is chosen."""
        return self.last.month.next if self.last else None

    @property
    def landed_up_to(self) -> int:
        """The landing sequence of the last batch that had landed by the last close; 0 before the first."""
        return self.last.landed_up_to if self.last else 0

    def of(self, month: Month) -> Manifest:
        """The manifest of a frozen month."""
        (manifest,) = (manifest for manifest in self.manifests if manifest.month == month)
        return manifest

    def before(self, month: Month) -> "Chain":
        """The part of the chain that was frozen before a month."""
        return Chain(tuple(manifest for manifest in self.manifests if manifest.month < month))


def read(settings: Settings, month: Month) -> Manifest:
    """The manifest of a frozen month. Raises Damaged when it is not byte for byte one that a close writes."""
    folder = frozen.month_folder(settings, month)
    try:
        raw = (folder / MANIFEST).read_bytes()
        parsed = json.loads(raw)
        if canonical(parsed) != raw:
            raise ValueError("another form")
        content = build(parsed, Content)
        if not _is_of_a_known_format(content) or content.month != month:
            raise ValueError("another format, or another month's")
        for amount in content.amounts:
            Decimal(amount)
        return Manifest(month, content, hashlib.sha256(raw).hexdigest(), folder)
    except (OSError, ValueError, ArithmeticError, RecursionError) as error:
        raise Damaged(f"{folder / MANIFEST} is not the manifest that was frozen. Restore it from a backup.") from error


def _is_of_a_known_format(content: Content) -> bool:
    root = content.statements_root_sha256
    if content.format == FORMAT_WITHOUT_ROOT:
        return root is None
    return content.format == FORMAT and root is not None and re.fullmatch(SHA256, root) is not None


def require_closed(settings: Settings, month: Month) -> Manifest:
    """The manifest of a month. Refused when the month is not frozen, with the months that are."""
    frozen.require_closed(settings, month)
    return read(settings, month)


def require_undamaged(months: Iterable[Manifest], *, with_days: bool, only: Collection[str] | None = None) -> None:
    """Raise Damaged unless the files of frozen months have the hashes of their manifests: before they are shown.

    `with_days`: those with the records of a day, too, which are nearly all of the bytes. `only`: files of these names.
    """
    files.require_hashes(
        {
            manifest.folder / name: digest
            for manifest in months
            for name, digest in manifest.content.hashes.items()
            if (with_days or not name.startswith("usage/day=")) and (only is None or name in only)
        }
    )


def load(settings: Settings) -> Chain:
    """All frozen months."""
    return Chain(tuple(read(settings, month) for month in frozen.frozen_months(settings)))

"""One fault of Dagster 1.13, mended in its servers' processes, which load this because dagster.yaml names it.

Its webserver refuses a backfill over an operation that cannot be split: it compares the months wanted of one asset and
of another with `!=`, which also looks at whether they have been counted yet. Without this, several months could not be
chosen at once. To be deleted when `TimeWindowPartitionsSubset` compares alike with `==` and `!=`; a test says so.
"""

from dagster._core.definitions.partitions.subset.time_window import TimeWindowPartitionsSubset
from dagster._core.storage.root import LocalArtifactStorage

TimeWindowPartitionsSubset.__ne__ = lambda self, other: not self == other  # noqa: SIM201 - this is `!=`


class ArtifactStorage(LocalArtifactStorage):
    """Dagster's own; of the things that dagster.yaml can name, one that every server loads as it starts."""

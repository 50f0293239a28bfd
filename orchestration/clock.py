"""The one place that asks what time it is, so that a test can move the clock. No command can."""

from datetime import UTC, datetime


def now() -> datetime:
    """The current instant, timezone-aware, UTC."""
    return datetime.now(UTC)

"""What the tests of the second engine share: whether Spark is here at all, and a session of it.

What belongs here: fixtures. What does not: expectations.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from orchestration import settings
from orchestration.close import spark_session
from orchestration.errors import Refused

# The whole reach takes hours on two cores; `make test-spark` asks for it.
FULL = os.environ.get("STATEMENTS_TEST_REACH") == "full"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def spark() -> Iterator[None]:
    """Spark on this machine. Its absence skips a test with the sentence that a user would see."""
    try:
        spark_session._require_installed()
    except Refused as missing:
        pytest.skip(str(missing))
    yield


@pytest.fixture(scope="session")
def session(spark: None):
    """The session in which a close of this process would run."""
    return spark_session.connect(settings.load())

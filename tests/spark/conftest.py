"""What the tests of the second engine share: whether Spark is here at all, and a session of it.

What belongs here: fixtures. What does not: expectations.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orchestration import settings
from orchestration.close import spark_session
from orchestration.errors import Refused

# A configuration for months of a few rows: most of such a close is planning, and the compiler's best code comes too late.
# Without it, Java keeps 48 MB of code, and compiles again what it has thrown away.
SMALL = """
spark.master local[2]
spark.sql.shuffle.partitions 2
spark.driver.extraJavaOptions -XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m -XX:+UseSerialGC
"""


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Spark on this machine. Its absence skips a test with the sentence that a user would see."""
    try:
        spark_session._require_installed()
    except Refused as missing:
        pytest.skip(str(missing))
    folder = tmp_path_factory.mktemp("spark-conf")
    (folder / "spark-defaults.conf").write_text(SMALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_CONF_DIR", str(folder))
        yield


@pytest.fixture(scope="session")
def session(spark: None):
    """The session in which a close of this process would run."""
    return spark_session.connect(settings.load())

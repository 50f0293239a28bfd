"""A cluster of Spark on this host: a standalone master and workers, each a process of its own with one core.

What belongs here: starting, configuring, killing. What does not: expectations.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

PATIENCE_SECONDS = 120


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Cluster:
    """`configuration` is a folder for SPARK_CONF_DIR, which names this cluster."""

    folder: Path
    port: int
    processes: list[subprocess.Popen] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"spark://127.0.0.1:{self.port}"

    @property
    def configuration(self) -> Path:
        return self.folder / "conf"

    def start(self, name: str, *arguments: str) -> None:
        """Start a process of the cluster in a group of its own, and wait until it says that it is ready."""
        import pyspark

        home = Path(pyspark.__file__).parent
        log = self.folder / f"{name}.log"
        environment = os.environ | {
            "SPARK_HOME": str(home),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_DAEMON_MEMORY": "256m",
            "SPARK_CONF_DIR": str(self.folder / "daemons"),
        }
        with log.open("wb") as said:
            self.processes.append(
                subprocess.Popen(
                    [str(home / "bin" / "spark-class"), *arguments],
                    stdout=said,
                    stderr=said,
                    env=environment,
                    start_new_session=True,
                )
            )
        ready = "registered with master" if name != "master" else "I have been elected leader"
        deadline = time.monotonic() + PATIENCE_SECONDS
        while ready not in log.read_text(errors="replace"):
            assert time.monotonic() < deadline, log.read_text(errors="replace")[-2000:]
            time.sleep(0.5)

    def kill(self, process: subprocess.Popen) -> None:
        """Kill a process of the cluster with all that it started, as a machine that fails does."""
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def cluster(folder: Path, workers: int) -> Iterator[Cluster]:
    """A master and so many workers, gone at the end."""
    started = Cluster(folder, free_port())
    started.configuration.mkdir(parents=True)
    (folder / "daemons").mkdir()
    (started.configuration / "spark-defaults.conf").write_text(
        f"spark.master {started.address}\n"
        "spark.driver.host 127.0.0.1\n"
        "spark.driver.bindAddress 127.0.0.1\n"
        "spark.executor.cores 1\n"
        "spark.executor.memory 1g\n"
    )
    master = ["org.apache.spark.deploy.master.Master", "--host", "127.0.0.1", "--port", str(started.port)]
    worker = ["org.apache.spark.deploy.worker.Worker", "--host", "127.0.0.1", "--cores", "1", "--memory", "1536m"]
    try:
        started.start("master", *master, "--webui-port", "0")
        for number in range(workers):
            place = str(folder / f"work-{number}")
            started.start(f"worker-{number}", *worker, "--webui-port", "0", "--work-dir", place, started.address)
        yield started
    finally:
        for process in started.processes:
            if process.poll() is None:
                started.kill(process)

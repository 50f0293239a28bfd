"""Nothing opens a network connection: told by what Python is asked for, by the kernel, and by working without a network."""

import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.reach import FULL
from tests.unit.deliveries import ip_of, number_of, outbound, record, tenant, write_csv

# Runs in a process of its own, since an audit hook stays for good. Each line of its standard input is a command.
PROGRAM = """
import sys
from datetime import UTC, datetime

asked = []
# A library that binds to an address of this machine, to see whether it has IPv6, reaches nobody.
NAMES = ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request")

def note(event, arguments):
    if event in NAMES and not isinstance(arguments[-1], (str, bytes)) or event.startswith(("http.", "ftplib", "smtplib")):
        asked.append(f"{event} {arguments!r}")

sys.addaudithook(note)

from orchestration import cli, clock

clock.now = lambda: datetime(2026, 4, 2, 12, tzinfo=UTC)
for line in sys.stdin.read().splitlines():
    try:
        cli.app(line.split(), standalone_mode=False)
    except SystemExit as ended:
        assert not ended.code, line
print("asked for:", asked)
"""
COMMANDS = """
land tenants t.csv
land number_assignments n.csv
land ip_assignments i.csv
land cdrs c.csv
close 2026-03 --dry-run
close 2026-03
close 2026-03
verify
rebuild
show 2026-03
explain in
export 2026-03 --format csv --format parquet --out out
export 2026-03 --format html,pdf,xlsx,focus --out out
""".strip()
ADDRESS = re.compile(r'sin6?_(?:addr=inet_addr\("([^"]+)"\)|addr=inet_pton\(AF_INET6, "([^"]+)")')


def able(*command: str) -> list[str]:
    """The command, where this machine has it and lets us use it; nothing where not."""
    works = shutil.which(command[0]) and subprocess.run([*command, "true"], capture_output=True).returncode == 0
    return list(command) if works else []


def addresses(trace: Path) -> set[str]:
    """The internet addresses that a trace of system calls names."""
    return {first or second for first, second in ADDRESS.findall(trace.read_text(errors="replace"))}


@pytest.mark.long
def test_a_month_is_landed_closed_exported_and_verified_without_a_network(tmp_path):
    write_csv(tmp_path / "t.csv", tenant("alpha"), tenant("beta"))
    write_csv(tmp_path / "n.csv", number_of("alpha"))
    write_csv(tmp_path / "i.csv", ip_of("beta"))
    write_csv(tmp_path / "c.csv", record("in"), outbound("out", source_ip="192.0.2.1"))
    trace = tmp_path / "trace"
    calls = ["--seccomp-bpf", "-f", "-qq", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o", str(trace)]
    cut_off = able("unshare", "--net") or able("unshare", "--map-root-user", "--net")
    watched = able("strace", *calls)
    done = subprocess.run(
        [*cut_off, *watched, sys.executable, "-c", PROGRAM],
        input=COMMANDS,
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "STATEMENTS_DATA_DIR": str(tmp_path / "data"), "HOME": str(tmp_path), "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2_000:]
    assert "asked for: []" in done.stdout
    assert "Closed 2026-03: 2 records" in done.stdout
    assert "Verified 1 frozen month" in done.stdout
    if watched:
        assert "inet_" not in trace.read_text(errors="replace")


@pytest.mark.skipif(not FULL or not shutil.which("strace"), reason="starts Dagster's servers: make test-hostile")
def test_the_ui_listens_and_talks_on_this_machine_alone(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    trace = tmp_path / "trace"
    child = subprocess.Popen(
        ["strace", "--seccomp-bpf", "-f", "-qq", "-e", "trace=connect,bind,sendto", "-o", str(trace),
         sys.executable, "-m", "orchestration.cli", "--data-dir", str(tmp_path / "data"), "ui", "--port", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 180
        while True:
            try:
                page = urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).read()
                break
            except OSError:
                assert time.monotonic() < deadline, "the UI did not come up"
                time.sleep(1)
        assert b"Dagster" in page
        time.sleep(15)
    finally:
        (statements,) = subprocess.check_output(["pgrep", "-P", str(child.pid)], text=True).split()
        subprocess.run(["kill", "-TERM", statements], check=False)
        try:
            child.wait(60)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
    assert addresses(trace) == {"127.0.0.1"}
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "data").rglob("*")} == {0}

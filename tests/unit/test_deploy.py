"""The files in `deploy`, as the programs that they are for read them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from orchestration import settings

DEPLOY = settings.PROJECT_ROOT / "deploy"
UNIT = DEPLOY / "tenant-statements.service"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_finds_no_fault_in_the_unit(tmp_path: Path):
    # Its program is looked for, and stands where this checkout is.
    program = tmp_path / "statements"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    copy = tmp_path / UNIT.name
    copy.write_text(
        re.sub("^ExecStart=[^ ]+", f"ExecStart={program}", UNIT.read_text(encoding="utf-8"), flags=re.M),
        encoding="utf-8",
    )
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False
    )
    about = [line for line in done.stderr.splitlines() if copy.name in line or copy.stem in line]
    assert (done.returncode, about) == (0, []), done.stderr


def test_the_unit_starts_the_command_and_keeps_the_data_where_it_may_write():
    unit = UNIT.read_text(encoding="utf-8")
    assert re.search("^ExecStart=[^ ]*/statements ui$", unit, re.M)
    (folder,) = re.findall("^Environment=STATEMENTS_DATA_DIR=/var/lib/(.+)$", unit, re.M)
    assert f"StateDirectory={folder}\n" in unit


@pytest.mark.skipif(not shutil.which("nginx"), reason="needs nginx")
@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl")
def test_nginx_finds_no_fault_in_the_example(tmp_path: Path):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=statements.example.com",
         "-keyout", tmp_path / "statements.key", "-out", tmp_path / "statements.crt"],
        check=True, capture_output=True,
    )  # fmt: skip
    example = (DEPLOY / "nginx.conf").read_text(encoding="utf-8").replace("/etc/ssl/", f"{tmp_path}/")
    (tmp_path / "example.conf").write_text(example, encoding="utf-8")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = " ".join(f"{kind}_temp_path {tmp_path}/{kind};" for kind in kinds)
    http = f"access_log off; {folders} include {tmp_path}/example.conf;"
    whole = f"pid {tmp_path}/pid; error_log {tmp_path}/log; events {{}} http {{ {http} }}"
    (tmp_path / "nginx.conf").write_text(whole, encoding="utf-8")
    done = subprocess.run(["nginx", "-t", "-c", tmp_path / "nginx.conf"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_proxy_passes_the_host_that_the_guard_asks_for_and_sockets():
    example = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    for directive in ("proxy_pass", "Host $host", "Upgrade $http_upgrade", 'Connection "upgrade"', "auth_basic "):
        assert directive in example

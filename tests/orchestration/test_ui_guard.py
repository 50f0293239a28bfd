"""Dagster's web server with the guard in front of it, as `dagster dev` starts it, and requests that no page may make.

What belongs here: requests with every header as it could come. What does not: what browsers send (`tests/ui`).
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

import dagster_webserver
import pytest
from dagster_webserver.graphql import GraphQLServer
from dagster_webserver.webserver import DagsterWebserver

from orchestration import dagster_run, settings
from orchestration.errors import Refused
from orchestration.runtime import ui_guard
from orchestration.runtime.server_mend import ArtifactStorage

PROXIED = "statements.example.com, Intern.Example:8443"
Headers = list[tuple[str, str]]


@dataclass(frozen=True)
class Answer:
    status: int
    text: str
    headers: dict[str, str]


@dataclass(frozen=True)
class Server:
    """A web server without a code location, on a port of 127.0.0.1."""

    port: int

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def ask(self, path: str, headers: Headers = (), method: str = "GET", body: str | None = None) -> Answer:
        """The answer to exactly these headers, and the server's own host where none is given."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        given = [*headers, *([] if any(name == "Host" for name, _ in headers) else [("Host", self.host)])]
        for name, value in [*given, *([("Content-Length", str(len(body)))] if body else [])]:
            connection.putheader(name, value)
        connection.endheaders(body.encode() if body else None)
        response = connection.getresponse()
        answer = Answer(
            response.status,
            "" if response.status == 101 else response.read().decode(),
            {name.lower(): value for name, value in response.getheaders()},
        )
        connection.close()
        return answer

    def post(self, query: str, headers: Headers = ()) -> Answer:
        given = [*headers, ("Content-Type", "application/json")]
        return self.ask("/graphql", given, "POST", json.dumps({"query": query}))

    def connect(self, headers: Headers = ()) -> int:
        """The status of a WebSocket's handshake; 101 opens it."""
        handshake = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
                     ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), ("Sec-WebSocket-Protocol", "graphql-ws")]  # fmt: skip
        return self.ask("/graphql", [*headers, *handshake]).status

    def limits(self) -> dict[str, int]:
        """A setting that one mutation changes and one query tells, with nothing else behind them."""
        told = json.loads(self.post("{ instance { concurrencyLimits { concurrencyKey slotCount } } }").text)
        return {one["concurrencyKey"]: one["slotCount"] for one in told["data"]["instance"]["concurrencyLimits"]}


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    data, port = tmp_path_factory.mktemp("guarded") / "data", free_port()
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in ("DAGSTER_HOME", "STATEMENTS_DATA_DIR"):
            monkeypatch.setenv(name, "")
        monkeypatch.setenv("STATEMENTS_UI_HOSTS", PROXIED)
        dagster_run.prepare_home(settings.load(data))
        child = subprocess.Popen(
            [sys.executable, "-m", "dagster_webserver", "--empty-workspace", "-h", "127.0.0.1", "-p", str(port)]
        )
    found, deadline = Server(port), time.monotonic() + 120
    while True:
        try:
            assert found.ask("/server_info").status == 200
            break
        except ConnectionError:
            assert child.poll() is None and time.monotonic() < deadline, "the web server did not come up"  # noqa: PT018
            time.sleep(0.2)
    yield found
    child.terminate()
    child.wait(60)


# The host ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:{}", "localhost:{}", "LocalHost:{}", "[::1]:{}", "statements.example.com", "STATEMENTS.example.com", "intern.example:8443"],
)  # fmt: skip
def test_the_server_answers_under_its_own_names(server, host):
    assert server.ask("/server_info", [("Host", host.format(server.port))]).status == 200
    assert server.connect([("Host", host.format(server.port))]) == 101


@pytest.mark.parametrize(
    "hosts",
    [
        ["evil.example"],
        ["evil.example:{}"],
        ["127.0.0.1"],
        ["127.0.0.1:1"],
        ["localhost.:{}"],
        ["0.0.0.0:{}"],
        ["127.0.0.1.evil.example:{}"],
        ["evil.example/127.0.0.1:{}"],
        ["statements.example.com:{}"],
        ["statements.example.com.evil.example"],
        ["intern.example"],
        [""],
        ["127.0.0.1:{}", "evil.example"],
        ["evil.example", "127.0.0.1:{}"],
        ["127.0.0.1:{}, evil.example"],
    ],
)
def test_the_server_answers_under_no_other_name(server, hosts):
    """A name that its owner lets lead here would make that owner's pages the same origin as the UI for a browser."""
    headers = [("Host", host.format(server.port)) for host in hosts]
    for path in ("/server_info", "/", "/graphql?query={version}"):
        refused = server.ask(path, [*headers, ("Sec-Fetch-Site", "none")])
        # The parser of HTTP refuses some before anybody sees them.
        assert refused.status in (400, 403)
        if refused.status == 403:
            assert f"http://127.0.0.1:{server.port}" in refused.text
            assert "STATEMENTS_UI_HOSTS" in refused.text
            assert refused.text.count("\n") == 1
    assert server.connect(headers) in (400, 403)


# The page -------------------------------------------------------------------------------------------------------------

FOREIGN_ORIGINS = ["http://evil.example", "http://127.0.0.1:1", "http://localhost:{}", "https://127.0.0.1", "null", "",
                   "http://127.0.0.1:{}.evil.example", "http://evil.example/http://127.0.0.1:{}", "file://127.0.0.1:{}",
                   "https://statements.example.com:444"]  # fmt: skip
OWN_ORIGINS = ["http://127.0.0.1:{}", "https://statements.example.com", "http://intern.example:8443"]


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
def test_a_page_of_another_origin_gets_no_answer(server, origin):
    headers = [("Origin", origin.format(server.port))]
    assert server.post("{ version }", headers).status == 403
    assert server.ask("/graphql?query={version}", headers).status == 403
    assert server.ask("/report_asset_materialization/x", headers, "POST", "{}").status == 403
    assert server.connect(headers) == 403
    twice = [*headers, ("Origin", f"http://{server.host}")]
    assert server.post("{ version }", twice).status == 403
    # The parser of handshakes takes one alone.
    assert server.connect(twice) in (400, 403)


@pytest.mark.parametrize("origin", OWN_ORIGINS)
def test_a_page_of_the_ui_gets_an_answer(server, origin):
    headers = [("Origin", origin.format(server.port)), ("Sec-Fetch-Site", "same-origin")]
    assert server.post("{ version }", headers).status == 200
    assert server.connect(headers) == 101


def test_a_program_that_is_no_browser_gets_an_answer(server):
    assert server.post("{ version }").status == 200
    assert server.connect() == 101


@pytest.mark.parametrize("site", ["cross-site", "same-site", "Same-Origin", "", "of another kind"])
def test_a_request_that_a_browser_says_is_of_another_site_gets_no_answer(server, site):
    headers = [("Sec-Fetch-Site", site)]
    refused = server.post("{ version }", headers)
    assert (refused.status, refused.text.count("\n")) == (403, 1)
    assert "another site" in refused.text
    for more in ([], [("Sec-Fetch-Mode", "no-cors"), ("Sec-Fetch-Dest", "image")]):
        for path in ("/graphql?query={version}", "/server_info", "/"):
            assert server.ask(path, [*headers, *more]).status == 403
    assert server.connect(headers) == 403
    assert server.connect([*headers, ("Sec-Fetch-Site", "same-origin")]) == 403


NAVIGATION = [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")]


@pytest.mark.parametrize("path", ["/", "/runs", "/assets/frozen_month?partition=2026-03"])
def test_a_link_from_another_site_opens_a_page(server, path):
    opened = server.ask(path, [*NAVIGATION, ("Accept", "text/html")])
    assert (opened.status, "<!DOCTYPE html>" in opened.text) == (200, True)
    assert opened.headers["x-frame-options"] == "SAMEORIGIN"


@pytest.mark.parametrize(
    ("path", "method", "changed"),
    [
        ("/graphql", "GET", {}),
        ("/graphql?query={version}", "GET", {}),
        ("/graphql/?query={version}", "GET", {}),
        ("/", "POST", {}),
        ("/", "HEAD", {}),
        ("/", "GET", {"Sec-Fetch-Dest": "iframe"}),
        ("/", "GET", {"Sec-Fetch-Dest": "embed"}),
        ("/", "GET", {"Sec-Fetch-Mode": "no-cors"}),
        ("/", "GET", {"Origin": "http://evil.example"}),
        ("/", "GET", {"Origin": "null"}),
    ],
)
def test_a_link_from_another_site_opens_nothing_else(server, path, method, changed):
    headers = [*(dict(NAVIGATION) | {"Accept": "text/html"} | changed).items()]
    assert server.ask(path, headers, method, "x" if method == "POST" else None).status == 403


def test_a_socket_is_no_page_to_open(server):
    assert server.connect(NAVIGATION) == 403


# Changes by GET -------------------------------------------------------------------------------------------------------

CHANGE = 'mutation { setConcurrencyLimit(concurrencyKey: "%s", limit: 7) }'


def test_a_change_is_made_by_post(server):
    """And would be made by GET, were it not for the guard: Dagster executes either."""
    assert server.post(CHANGE % "posted").status == 200
    assert server.limits()["posted"] == 7


@pytest.mark.parametrize(
    "parameters",
    [
        [("query", CHANGE)],
        [("query", "# a { query\n\ufeff,,,\n" + CHANGE)],
        [("query", "query One { version }\n" + CHANGE.replace("mutation", "mutation Two")), ("operationName", "Two")],
        [("query", "fragment query on Query { version } " + CHANGE)],
        [("query", "{ version }"), ("query", CHANGE)],
        [("query", CHANGE), ("query", "{ version }")],
        [("query", CHANGE.replace("mutation", "mutation ($variable: String)")), ("variables", '{"variable": "x"}')],
    ],
)
@pytest.mark.parametrize("path", ["/graphql", "//graphql", "/graphql/", "/%67raphql", "/other"])
def test_no_change_is_made_by_get(server, path, parameters):
    encoded = urlencode([(name, value.replace("%s", "got")) for name, value in parameters])
    for method in ("GET", "HEAD"):
        for headers in ([], [("Sec-Fetch-Site", "none")], [("Origin", f"http://{server.host}")], NAVIGATION):
            refused = server.ask(f"{path}?{encoded}", [*headers, ("Accept", "application/json")], method)
            assert refused.status == 403
            assert method == "HEAD" or "by GET" in refused.text or "another site" in refused.text
    assert "got" not in server.limits()


@pytest.mark.parametrize(
    "query",
    ["{ version }", "query mutation { version }", "{ mutation: version }", '{ runOrError(runId: "mutation { x }") { __typename } }'],
)  # fmt: skip
def test_whatever_only_reads_may_come_by_get(server, query):
    told = server.ask(f"/graphql?{urlencode({'query': query})}")
    assert (told.status, "data" in json.loads(told.text)) == (200, True)


def test_a_query_that_is_none_is_left_to_dagster(server):
    assert server.ask(f"/graphql?{urlencode({'query': 'mutation {'})}").status == 400
    assert server.ask(f"/runs?{urlencode({'query': 'status:failure'})}").status == 200


# A guard that cannot be there ----------------------------------------------------------------------------------------


@pytest.fixture
def not_installed() -> Iterator[None]:
    """No guard in this process, whatever was put into it; the server's class is put back."""
    create = GraphQLServer.create_asgi_app
    ui_guard.install.cache_clear()
    yield
    ui_guard.install.cache_clear()
    GraphQLServer.create_asgi_app = create
    if "create_asgi_app" in vars(DagsterWebserver):
        del DagsterWebserver.create_asgi_app


def test_a_web_server_without_a_place_for_the_guard_does_not_start(not_installed, monkeypatch, tmp_path):
    monkeypatch.setenv("STATEMENTS_DATA_DIR", str(tmp_path))
    del GraphQLServer.create_asgi_app
    with pytest.raises(Refused, match="has no place for the guard"):
        ui_guard.install()
    monkeypatch.setitem(sys.modules, "dagster_webserver.cli", dagster_webserver)
    with pytest.raises(SystemExit, match="The UI is not started: this version of Dagster has no place for the guard"):
        ArtifactStorage.from_config_value(None, {"base_dir": str(tmp_path)})
    monkeypatch.delitem(sys.modules, "dagster_webserver.cli")
    # Commands and runs serve nothing.
    assert ArtifactStorage.from_config_value(None, {"base_dir": str(tmp_path)})


@pytest.mark.long
def test_the_process_of_such_a_web_server_ends_with_the_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.setenv("STATEMENTS_DATA_DIR", "")
    dagster_run.prepare_home(settings.load(tmp_path / "data"))
    program = (
        "from dagster_webserver.graphql import GraphQLServer; del GraphQLServer.create_asgi_app\n"
        "from dagster_webserver.cli import main; main()"
    )
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, "--empty-workspace", "-p", str(free_port())],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert ended.stderr.strip().splitlines()[-1].startswith("The UI is not started: this version of Dagster")


@pytest.mark.parametrize(
    ("interrupts", "stopping", "signalled"), [("SIG_DFL", 120, "SIGINT"), ("SIG_IGN", 1, "SIGKILL")]
)
def test_servers_that_answer_a_stranger_are_stopped(monkeypatch, interrupts, stopping, signalled):
    """Whatever the reason: the guard was put into a class that no longer serves, or Dagster loads it too late.

    A shell starts its background jobs, and so this test, with interrupts ignored: each server says how it takes them.
    """
    monkeypatch.setattr(dagster_run, "STOPPING", stopping)
    port = free_port()
    program = (
        f"import http.server, signal; signal.signal(signal.SIGINT, signal.{interrupts}); "
        f"http.server.HTTPServer(('127.0.0.1', {port}), http.server.SimpleHTTPRequestHandler).serve_forever()"
    )
    child = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL)
    try:
        with pytest.raises(Refused, match=f"the server on port {port} answers requests of other sites"):
            dagster_run._require_guard(child, port)
        assert child.returncode == -signal.Signals[signalled]
    finally:
        child.kill()
        child.wait()


# A `statements ui` whose servers are a program that tells of each interrupt, and takes a second to end.
SERVES = """
import subprocess, sys
from orchestration import dagster_run, settings
program = '''
import signal, time
signal.signal(signal.SIGINT, lambda *_: (print("interrupted", flush=True), told.append(1)))
told = []
print("serving", flush=True)
while not told:
    time.sleep(0.05)
time.sleep(1)
sys.exit(7)
'''
start = subprocess.Popen
dagster_run.subprocess.Popen = lambda _, **options: start([sys.executable, "-c", "import sys" + program], **options)
dagster_run._tell_of_everything = dagster_run._require_guard = lambda *_: None
found = settings.load()
found.data.mkdir()
sys.exit(dagster_run.serve(found, 3000))
"""
SERVING = {"serving\n", "Open http://127.0.0.1:3000, stop with Ctrl-C.\n"}


@pytest.mark.slow
@pytest.mark.parametrize("signals", [["SIGINT"], ["SIGTERM"], ["SIGHUP"], ["SIGINT", "SIGINT"], ["SIGTERM", "SIGHUP"]])
@pytest.mark.parametrize("send", [os.kill, os.killpg])
@pytest.mark.usefixtures("interruptible")
def test_the_servers_are_interrupted_once_whoever_asks_for_it(tmp_path, signals, send):
    """By Ctrl+C, which goes to all processes of a terminal, or by a signal to `statements ui` alone."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVES],
        env=os.environ | {"STATEMENTS_DATA_DIR": str(tmp_path / "data")},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as serving:
        assert {serving.stdout.readline() for _ in range(2)} == SERVING
        for name in signals:
            send(serving.pid, signal.Signals[name])
            time.sleep(0.2)
        assert (serving.stdout.read(), serving.wait()) == ("interrupted\n", 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.usefixtures("interruptible")
def test_servers_that_have_just_been_started_are_stopped_too(tmp_path, name):
    """The signal comes before it is known which process they are."""
    started = "dagster_run.subprocess.Popen = lambda _, **options: "
    assert started in SERVES
    signalled = f"import os, signal; dagster_run._sent = lambda child: os.kill(os.getpid(), signal.{name}) or child"
    program = SERVES.replace(started, f"{signalled}\n{started}dagster_run._sent(").replace("**options)", "**options))")
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"STATEMENTS_DATA_DIR": str(tmp_path / "data")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, "Open" in done.stdout) == (0, False), done.stderr


@pytest.mark.slow
def test_what_a_shell_has_ignored_stays_ignored(tmp_path):
    """`nohup statements ui &` outlives its terminal."""
    with subprocess.Popen(
        ["nohup", sys.executable, "-c", SERVES],
        env=os.environ | {"STATEMENTS_DATA_DIR": str(tmp_path / "data")},
        stdout=subprocess.PIPE,
        text=True,
    ) as serving:
        assert {serving.stdout.readline() for _ in range(2)} == SERVING
        serving.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        assert serving.poll() is None
        serving.send_signal(signal.SIGTERM)
        assert (serving.stdout.read(), serving.wait()) == ("interrupted\n", 0)


def test_servers_that_refuse_a_stranger_go_on(server):
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        dagster_run._require_guard(child, server.port)
        assert child.poll() is None
    finally:
        child.kill()
        child.wait()


def test_servers_that_end_before_they_answer_are_a_sentence():
    with pytest.raises(Refused, match="The UI did not start"):
        dagster_run._require_guard(subprocess.Popen([sys.executable, "-c", ""]), free_port())


def test_a_port_that_is_none_is_wrong_usage(command_line):
    for port in ("0", "65536", "x"):
        assert command_line.run(f"ui --port {port}").exit_status == 2
    assert os.listdir(command_line.folder) == []  # noqa: PTH208

"""Pages of other sites in a browser that reaches the UI: none closes a month, reads a byte or shows the UI in a frame.

What belongs here: requests as a browser makes them. What does not: every header as it could come (`tests/orchestration`).
"""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.ui.conftest import FLAGS, SELECTOR, Ui

# Names that lead to this machine, as those of an attacker may from one moment to the next.
EVIL, REBOUND = "evil.example", "rebound.example"
CLOSE = "mutation ($parameters: ExecutionParams!) { launchRun(executionParams: $parameters) { __typename } }"
# The request leaves, and the page learns whether it may read the answer.
ATTEMPT = """
    async ([url, options]) => {
        try {
            const answer = await fetch(url, options);
            return [answer.type, answer.status, await answer.text()];
        } catch (error) { return ["refused by the browser", 0, ""]; }
    }
"""
# Whoever may open a socket may subscribe to the events of every run.
SOCKET = """
    url => new Promise(resolve => {
        const socket = new WebSocket(url, "graphql-ws");
        socket.onopen = () => resolve("open");
        socket.onerror = () => resolve("refused");
    })
"""


class _Stranger(BaseHTTPRequestHandler):
    """Any path is an empty page; the tests write into it."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!DOCTYPE html><title>stranger</title><body>")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def stranger() -> Iterator[int]:
    """The port on which another site's server listens."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Stranger)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    rules = f"--host-resolver-rules=MAP {EVIL} 127.0.0.1, MAP {REBOUND} 127.0.0.1"
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=[*FLAGS.split(), rules])
        yield found
        found.close()


@dataclass(frozen=True)
class Attack:
    """A close of the first month without its rejected rows, as another site would write it."""

    ui: Ui

    @property
    def parameters(self) -> dict[str, str]:
        parameters = {
            "selector": SELECTOR | {"jobName": "close_month"},
            "runConfigData": {"ops": {"closing": {"config": {"accept_rejected": True}}}},
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": str(self.ui.months[0])}]},
        }
        return {"query": CLOSE, "variables": json.dumps({"parameters": parameters})}

    @property
    def address(self) -> str:
        return f"{self.ui.url}/graphql?{urlencode(self.parameters)}"

    @property
    def body(self) -> str:
        return json.dumps(self.parameters)


@pytest.fixture
def attack(ui: Ui) -> Iterator[Attack]:
    """Afterwards no run was launched, so no month is frozen."""
    yield Attack(ui)
    assert ui.runs() == []
    assert ui.frozen() == []


@pytest.fixture(params=["another port", "another name"])
def page(request: pytest.FixtureRequest, browser: Browser, stranger: int) -> Iterator[Page]:
    """A page of the same site as the UI and another origin, and a page of another site."""
    host = "127.0.0.1" if request.param == "another port" else EVIL
    found = browser.new_page()
    found.set_default_timeout(30_000)
    found.goto(f"http://{host}:{stranger}/")
    yield found
    found.close()


@pytest.mark.parametrize("mode", ["no-cors", "cors"])
def test_a_fetch_launches_nothing_and_reads_nothing(attack, page, mode):
    told = page.evaluate(ATTEMPT, [attack.address, {"mode": mode, "credentials": "include"}])
    assert told == (["opaque", 0, ""] if mode == "no-cors" else ["refused by the browser", 0, ""])
    posted = {"mode": mode, "method": "POST", "body": attack.body}
    page.evaluate(ATTEMPT, [attack.address, posted])
    page.evaluate(ATTEMPT, [f"{attack.ui.url}/graphql", posted | {"headers": {"Content-Type": "text/plain"}}])


def test_an_image_and_a_script_launch_nothing(attack, page):
    statuses = []
    page.on("response", lambda answer: statuses.append(answer.status) if "graphql" in answer.url else None)
    for tag in ("img", "script"):
        page.evaluate(
            """([tag, url]) => new Promise(resolve => {
                const one = document.createElement(tag);
                one.onload = one.onerror = resolve;
                one.src = url;
                document.body.append(one);
            })""",
            [tag, attack.address],
        )
    assert statuses == [403, 403]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain"])
def test_a_form_launches_nothing(attack, page, method, kind):
    with page.expect_navigation() as navigation:
        page.evaluate(
            """([url, method, kind, fields]) => {
                const form = document.createElement("form");
                Object.assign(form, {action: url, method, enctype: kind});
                for (const [name, value] of Object.entries(fields)) {
                    const field = document.createElement("input");
                    Object.assign(field, {name, value});
                    form.append(field);
                }
                document.body.append(form);
                form.submit();
            }""",
            [f"{attack.ui.url}/graphql" if method == "GET" else attack.address, method, kind, attack.parameters],
        )
    assert navigation.value.status == 403
    assert "another site" in page.inner_text("body")


def test_a_socket_reads_nothing(attack, page):
    assert page.evaluate(SOCKET, f"{attack.ui.url.replace('http', 'ws')}/graphql") == "refused"


def test_the_ui_is_not_shown_in_a_frame(attack, page):
    with page.expect_response(lambda answer: answer.url.startswith(attack.ui.url)) as answer:
        page.evaluate("url => { document.body.innerHTML = `<iframe src='${url}'></iframe>`; }", attack.ui.url)
    assert answer.value.status == 403


def test_a_link_to_the_ui_opens_it(attack, page):
    page.evaluate("url => { document.body.innerHTML = `<a href='${url}'>the UI</a>`; }", f"{attack.ui.url}/runs")
    page.get_by_text("the UI").click()
    expect(page.get_by_role("link", name="Runs").first).to_be_visible()


def test_a_name_that_is_bound_to_this_machine_later_is_not_the_ui(attack, browser):
    """The browser takes the UI for a page of that name's owner, who may then read and send whatever it likes."""
    page = browser.new_page()
    host = f"{REBOUND}:{attack.ui.port}"
    answer = page.goto(f"http://{host}/")
    assert (answer.status, "does not answer for this host" in answer.text()) == (403, True)
    assert page.evaluate(ATTEMPT, [f"http://{host}/graphql?query={{version}}", {}])[:2] == ["basic", 403]
    sent = {"method": "POST", "headers": {"Content-Type": "application/json"}, "body": attack.body}
    assert page.evaluate(ATTEMPT, [f"http://{host}/graphql", sent])[:2] == ["basic", 403]
    assert page.evaluate(SOCKET, f"ws://{host}/graphql") == "refused"
    page.close()


def test_a_page_of_the_ui_makes_the_same_requests(ui, browser):
    """Each of them would do its work: a page of the UI gets its answer, and a run is launched by POST alone."""
    attack, page = Attack(ui), browser.new_page()
    page.goto(f"http://localhost:{ui.port}/")
    here = f"http://localhost:{ui.port}/graphql"
    assert page.evaluate(ATTEMPT, [f"{here}?query={{version}}", {}])[:2] == ["basic", 200]
    assert page.evaluate(SOCKET, here.replace("http", "ws")) == "open"
    got = page.evaluate(ATTEMPT, [attack.address.replace(f"{ui.url}/graphql", here), {}])
    assert (got[1], "by GET" in got[2]) == (403, True)
    assert ui.runs() == []
    sent = {"method": "POST", "headers": {"Content-Type": "application/json"}, "body": attack.body}
    assert "LaunchRunSuccess" in page.evaluate(ATTEMPT, [here, sent])[2]
    (run,) = ui.runs()
    assert ui.ended(run["runId"]) == "SUCCESS"
    assert ui.frozen() == [str(ui.months[0])]
    page.close()

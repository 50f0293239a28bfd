"""The guard in front of Dagster's web server, which by itself answers every page that a browser here shows.

What belongs here: which requests are refused, and putting the guard into the server. What does not: who may press a
button. There is no login: whoever reaches the server under one of its own names may press all of them.
"""

import functools
from http import HTTPStatus
from typing import Any

from graphql import GraphQLSyntaxError, OperationDefinitionNode, OperationType, parse
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.status import WS_1008_POLICY_VIOLATION
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from orchestration import settings
from orchestration.errors import Refused

# Names that a browser takes for this machine, whatever any name server says.
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
OWN_PAGES = ("same-origin", "none")


class Guard:
    """ASGI middleware that answers 403 and one sentence to requests that another site may have caused.

    `hosts`: the hosts beside this machine's own names, as browsers write them, under which a proxy serves the UI.
    """

    def __init__(self, app: ASGIApp, hosts: tuple[str, ...]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_unframed(message: Message) -> None:
            if message["type"] == "http.response.start":
                # A page of another site that shows the UI in a frame could have its visitor press a button there.
                MutableHeaders(scope=message)["X-Frame-Options"] = "SAMEORIGIN"
            await send(message)

        fault = self._fault(HTTPConnection(scope)) if scope["type"] in ("http", "websocket") else None
        if fault is None:
            await self._app(scope, receive, send_unframed)
        elif scope["type"] == "http":
            await PlainTextResponse(f"{fault}\n", HTTPStatus.FORBIDDEN)(scope, receive, send)
        else:
            # Closed before it is accepted, a WebSocket is a 403 too; no browser shows a page the sentence of one.
            await WebSocketClose(WS_1008_POLICY_VIOLATION)(scope, receive, send)

    def _fault(self, request: HTTPConnection) -> str | None:
        """Why a request is refused, or None."""
        _, port = request.scope["server"]
        own = (*(name for host in LOOPBACK for name in _written(host, port)), *self._hosts)
        # A name of another site that leads to this machine makes that site's pages the UI's own for the browser.
        named = [host.lower() for host in request.headers.getlist("host")]
        if len(named) != 1 or named[0] not in own:
            return (
                f"The UI does not answer for this host. Open http://127.0.0.1:{port}, or, with a proxy in front of it, "
                "name the host in STATEMENTS_UI_HOSTS."
            )
        if not _is_of_own_page(request, (*named, *self._hosts)) and not _opens_a_page(request):
            return "The UI does not answer to a page of another site. Do it in the UI."
        if request.scope.get("method") != "POST" and _changes_something(request):
            return "A request by GET changes nothing. Send it by POST."
        return None


def _written(host: str, port: int) -> tuple[str, ...]:
    """A host as browsers write it: without the port that http goes by."""
    return (host, f"{host}:80") if port == 80 else (f"{host}:{port}",)


def _is_of_own_page(request: HTTPConnection, hosts: tuple[str, ...]) -> bool:
    """Whether the UI's own page, its user or a program sent this, by headers that browsers set and no page can."""
    origins = {f"{scheme}://{host}" for host in hosts for scheme in ("http", "https")}
    return all(origin.lower() in origins for origin in request.headers.getlist("origin")) and all(
        site in OWN_PAGES for site in request.headers.getlist("sec-fetch-site")
    )


def _opens_a_page(request: HTTPConnection) -> bool:
    """Whether somebody follows a link from elsewhere to a page of the UI, other than the one that takes any query."""
    headers = request.headers
    return (
        request.scope.get("method") == "GET"
        and not request.scope["path"].rstrip("/").endswith("/graphql")
        and "origin" not in headers
        and headers.getlist("sec-fetch-mode") == ["navigate"]
        and headers.getlist("sec-fetch-dest") == ["document"]
    )


def _changes_something(request: HTTPConnection) -> bool:
    """Whether a query in the address has an operation other than to read, wherever it is sent to."""
    for query in request.query_params.getlist("query"):
        try:
            definitions = parse(query, no_location=True).definitions
        except GraphQLSyntaxError:
            # The server parses it in the same way, and refuses it.
            continue
        operations = [one.operation for one in definitions if isinstance(one, OperationDefinitionNode)]
        if any(operation is not OperationType.QUERY for operation in operations):
            return True
    return False


@functools.cache
def install() -> None:
    """Put the guard in front of every web server that this process makes. Refused when Dagster has no place for it."""
    try:
        from dagster_webserver.webserver import DagsterWebserver

        create = DagsterWebserver.create_asgi_app
    except (ImportError, AttributeError) as error:
        raise Refused(
            "The UI is not started: this version of Dagster has no place for the guard against other sites. "
            "`make setup` installs the version that has."
        ) from error
    hosts = settings.load().ui_hosts

    def create_guarded(self: DagsterWebserver[Any, Any], **options: Any) -> Starlette:
        app = create(self, **options)
        app.add_middleware(Guard, hosts=hosts)
        return app

    # A method of Dagster's class is replaced on purpose: it takes no middleware from its settings.
    DagsterWebserver.create_asgi_app = create_guarded  # type: ignore[method-assign, assignment]

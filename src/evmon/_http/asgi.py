"""``/metrics`` as an ASGI app, to mount in an existing web application."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import anyio

from evmon._http.exposition import Response, Routes

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_NOT_RUNNING = Response(
    503, (("content-type", "text/plain; charset=utf-8"),), b"no bus is running\n"
)


def asgi_app(routes: Callable[[], Routes | None]) -> ASGIApp:
    """Make an ASGI 3 application.

    Args:
        routes: function that returns the routes, called for each request; None is
            answered with 503.

    Returns:
        An application for the scopes ``http`` and ``lifespan``.
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":
            raise ValueError(f"{scope['type']}: only http is supported")
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        path = scope["path"].removeprefix(scope.get("root_path", "")).rstrip("/")
        current = routes()
        response = _NOT_RUNNING
        if current is not None:
            # Rendering many series is slow: keep it off the event loop.
            response = await anyio.to_thread.run_sync(
                current.answer, scope["method"], path or "/metrics", headers
            )
        length = str(len(response.body))
        start_headers = [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in (*response.headers, ("content-length", length))
        ]
        await send(
            {
                "type": "http.response.start",
                "status": response.status,
                "headers": start_headers,
            }
        )
        body = b"" if scope["method"] == "HEAD" else response.body
        await send({"type": "http.response.body", "body": body})

    return app


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return

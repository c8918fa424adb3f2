"""The ASGI app gives the same answers as the HTTP server."""

import pytest
from prometheus_client.core import GaugeMetricFamily

from evmon._http.asgi import asgi_app
from evmon._http.exposition import Exposition, Routes


@pytest.fixture
def routes(clock):
    families = lambda: [GaugeMetricFamily("now", "Seconds.", value=1)]  # noqa: E731
    return Routes(Exposition(families, 1.0, clock.monotonic))


async def call(app, scope, *messages):
    incoming, sent = list(messages), []

    async def receive():
        return incoming.pop(0)

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    return sent


def request(method="GET", path="/metrics", headers=(), **scope):
    return {"type": "http", "method": method, "path": path, "headers": headers, **scope}


async def test_it_answers_as_the_routes_do(routes):
    headers = [(b"Accept", b"application/openmetrics-text")]
    start, body = await call(asgi_app(lambda: routes), request(headers=headers))
    expected = routes.answer(
        "GET", "/metrics", {"accept": "application/openmetrics-text"}
    )

    assert (200, expected.body) == (start["status"], body["body"])
    assert (b"content-length", str(len(expected.body)).encode()) in start["headers"]


async def test_head_has_no_body(routes):
    start, body = await call(asgi_app(lambda: routes), request("HEAD"))

    assert 200 == start["status"]
    assert b"" == body["body"]


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/x", 404), ("POST", "/metrics", 405)]
)
async def test_other_paths_and_methods_are_refused(routes, method, path, status):
    start, _ = await call(asgi_app(lambda: routes), request(method, path))

    assert status == start["status"]


async def test_it_can_be_mounted_below_a_path(routes):
    scope = request(path="/internal/metrics", root_path="/internal")
    start, _ = await call(asgi_app(lambda: routes), scope)

    assert 200 == start["status"]


async def test_without_a_bus_the_answer_is_503():
    start, body = await call(asgi_app(lambda: None), request())

    assert (503, b"no bus is running\n") == (start["status"], body["body"])


async def test_lifespan_events_are_acknowledged(routes):
    sent = await call(
        asgi_app(lambda: routes),
        {"type": "lifespan"},
        {"type": "lifespan.startup"},
        {"type": "lifespan.shutdown"},
    )

    assert [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ] == [m["type"] for m in sent]


async def test_websockets_are_refused(routes):
    with pytest.raises(ValueError, match="only http is supported"):
        await call(asgi_app(lambda: routes), {"type": "websocket"})


@pytest.mark.parametrize("path", ["/metrics", "/metrics/", "/metrics/metrics"])
async def test_it_answers_at_the_path_where_it_is_mounted(routes, path):
    mounted = request(path=path, root_path="/metrics")
    start, _ = await call(asgi_app(lambda: routes), mounted)

    assert 200 == start["status"]

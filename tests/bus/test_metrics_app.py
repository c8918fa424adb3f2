"""The ASGI app serves the metrics of the running bus."""

from evmon import metrics_app


async def _get(app, path="/metrics"):
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "headers": []}
    await app(scope, receive, send)
    return sent[0]["status"], b"".join(m.get("body", b"") for m in sent[1:])


async def test_metrics_app_serves_the_running_bus(bus):
    app = metrics_app()
    assert 503 == (await _get(app))[0]
    async with bus:
        status, body = await _get(app)
        own_status, _ = await _get(metrics_app(bus))

    assert 200 == status == own_status
    assert b'evmon_discovery_handlers{evmon_bus="shop"} 2.0' in body
    assert b"evmon_cache_hit_ratio" in body

"""``/metrics`` for an application that has a web server already."""

from evmon._bus import EventBus, running_buses
from evmon._telemetry.asgi import ASGIApp, asgi_app
from evmon._telemetry.exposition import Routes


def metrics_app(bus: EventBus | None = None) -> ASGIApp:
    """``/metrics`` as an ASGI app, for an application that has a web server already.

    Args:
        bus: whose metrics; None means the one that runs in this process when a request
            comes. While none runs, the answer is 503.

    Example:
        >>> app = metrics_app()  # app.mount("/", evmon.metrics_app()) in Starlette
    """

    def routes() -> Routes | None:
        source = bus or next(iter(running_buses), None)
        return source.routes if source else None

    return asgi_app(routes)

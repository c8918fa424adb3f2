"""``/metrics`` as an ASGI app, to mount in an existing web application."""

from evmon._bus.bus import EventBus, running_buses
from evmon._http.asgi import ASGIApp, asgi_app
from evmon._http.exposition import Routes


def metrics_app(bus: EventBus | None = None) -> ASGIApp:
    """Serve ``/metrics``, ``/livez`` and ``/readyz`` in an existing web application.

    Args:
        bus: the bus to report on. By default the one that is running in this process
            when a request arrives; if several are running, an arbitrary one of them.

    Returns:
        An ASGI 3 application, to be mounted at ``/metrics``; the health checks are then
        at ``/metrics/livez`` and ``/metrics/readyz``. It answers 503 while no bus is
        running.

    Example:
        >>> app = FastAPI()
        >>> app.mount("/metrics", metrics_app())
    """

    def routes() -> Routes | None:
        source = bus or next(iter(running_buses), None)
        return source.routes if source else None

    return asgi_app(routes)

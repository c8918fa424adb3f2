"""The ``/metrics`` server: a thread of its own with strict limits on clients.

It does not use the application's event loop, so a blocked application can still be
scraped and a scrape does not delay handlers.
"""

import asyncio
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from evmon._http.connections import Connections, accept
from evmon._http.exposition import Routes
from evmon._settings.configs import MetricsConfig
from evmon.errors import ConfigError

BACKLOG: Final = 128
"""Connections that wait in the kernel to be accepted."""


class MetricsServer:
    """Serves routes over HTTP/1.1 from a thread of its own.

    Args:
        config: address and limits.
        routes: routes that answer the requests.

    Example:
        >>> server = MetricsServer(MetricsConfig(port=0), routes)
        >>> server.start()
        >>> server.url
        'http://127.0.0.1:40123'
        >>> server.stop()
    """

    def __init__(self, config: MetricsConfig, routes: Routes) -> None:
        self._config = config
        self._routes = routes
        self._socket: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._failure: OSError | None = None

    @property
    def port(self) -> int:
        """The listening port; the configured one before `start`."""
        if self._socket is None:
            return self._config.port
        port: int = self._socket.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """Base URL, without a path."""
        host = self._config.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def start(self) -> None:
        """Listen and serve; returns once connections are accepted.

        Raises:
            ConfigError: cannot listen on the address.
        """
        if self._thread is not None:
            return
        self._socket = _listen(self._config)
        self._thread = threading.Thread(
            target=self._run, name="evmon-metrics", daemon=True
        )
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            self.stop()
            raise _cannot_serve(self._config, self._failure) from self._failure

    def stop(self) -> None:
        """Close all connections and end the thread; idempotent."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        thread.join()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except OSError as error:  # usually out of file descriptors
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        assert self._socket is not None  # noqa: S101 - `start` made it
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        renderer = ThreadPoolExecutor(1, "evmon-render")
        connections = Connections(self._config, self._routes, renderer)
        accepting = self._loop.create_task(accept(self._socket, connections))
        self._ready.set()
        try:
            await self._stop.wait()
        finally:
            accepting.cancel()
            await asyncio.wait([accepting])
            connections.close_all()
            await asyncio.sleep(0)  # the loop closes sockets in its next step
            renderer.shutdown(cancel_futures=True)


def _listen(config: MetricsConfig) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    try:
        listening = socket.create_server(
            (config.host, config.port), family=family, backlog=BACKLOG
        )
    except OSError as error:
        raise _cannot_serve(config, error) from error
    listening.setblocking(False)
    return listening


def _cannot_serve(config: MetricsConfig, error: OSError) -> ConfigError:
    return ConfigError(
        f"cannot serve /metrics on {config.host}:{config.port}:"
        f" {error.strerror or error}; set EVMON_METRICS_PORT, --metrics-port or"
        " MetricsConfig(port=...) to a free port, or to 0 for any free port"
    )

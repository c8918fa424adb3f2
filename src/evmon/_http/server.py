"""The ``/metrics`` server: a thread of its own with strict limits on clients.

It shares nothing with the application's event loop, so a blocked application can still
be scraped and a scrape does not delay handlers. HTTP is parsed by h11.
"""

import asyncio
import logging
import math
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import h11

from evmon._http.exposition import Response, Routes
from evmon._settings.configs import MetricsConfig
from evmon.errors import ConfigError

MAX_HEAD_BYTES: Final = 8 * 1024
BACKLOG: Final = 128
PAUSE_SECONDS: Final = 1.0
GRACE_SECONDS: Final = 0.1

_log = logging.getLogger("evmon.metrics")


class MetricsServer:
    """Serves routes over HTTP/1.1 from a thread of its own.

    Args:
        config: address and limits.
        routes: answer the requests.

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
        connections = _Connections(self._config, self._routes, renderer)
        accepting = self._loop.create_task(_accept(self._socket, connections))
        self._ready.set()
        try:
            await self._stop.wait()
        finally:
            accepting.cancel()
            await asyncio.wait([accepting])
            connections.close_all()
            await asyncio.sleep(0)  # the loop closes sockets in its next step
            renderer.shutdown(cancel_futures=True)


async def _accept(listening: socket.socket, connections: "_Connections") -> None:
    """Accept connections while there is room; others wait in the kernel's backlog."""
    loop = asyncio.get_running_loop()
    while True:
        await connections.room()
        await _readable(listening)
        try:
            # Not `sock_accept`: a cancellation at the wrong moment would leak a socket.
            client, _ = listening.accept()
        except (BlockingIOError, ConnectionAbortedError):
            continue
        except OSError as error:
            # Usually out of file descriptors: an immediate retry would busy-loop.
            _log.warning("cannot accept a connection to /metrics: %s", error)
            await asyncio.sleep(PAUSE_SECONDS)
            continue
        client.setblocking(False)
        try:
            await loop.connect_accepted_socket(lambda: _Connection(connections), client)
        except OSError:  # the client disconnected first
            client.close()
        except BaseException:
            client.close()
            raise


async def _readable(listening: socket.socket) -> None:
    """Wait for an incoming connection."""
    loop = asyncio.get_running_loop()
    there = asyncio.Event()
    loop.add_reader(listening, there.set)
    try:
        await there.wait()
    finally:
        loop.remove_reader(listening)


class _Connections:
    """All open connections and their shared state."""

    def __init__(
        self, config: MetricsConfig, routes: Routes, renderer: ThreadPoolExecutor
    ) -> None:
        self.config = config
        self.routes = routes
        self.renderer = renderer
        self._open: dict[_Connection, None] = {}
        self._changed = asyncio.Event()

    async def room(self) -> None:
        """Wait until another connection may be accepted.

        At the limit, the connection that has been idle longest is closed, after a grace
        period to send a request; one that is being answered never is.
        """
        loop = asyncio.get_running_loop()
        while len(self._open) >= self.config.max_connections:
            victim = next((c for c in self._open if not c.answering), None)
            wait = victim.idle_from + GRACE_SECONDS - loop.time() if victim else None
            if victim is not None and wait is not None and wait <= 0:
                victim.close()
                self.remove(victim)
                return
            self._changed.clear()
            # No cancelling timeout: before Python 3.11 it can swallow the cancellation
            # that ends the server.
            timer = (
                loop.call_later(wait, self._changed.set) if wait is not None else None
            )
            try:
                await self._changed.wait()
            finally:
                if timer is not None:
                    timer.cancel()

    def add(self, connection: "_Connection") -> None:
        self._open[connection] = None

    def remove(self, connection: "_Connection") -> None:
        self._open.pop(connection, None)
        self._changed.set()

    def rested(self, connection: "_Connection") -> None:
        """A connection was answered: move it to the end of the idle order."""
        if connection in self._open:
            del self._open[connection]
            self._open[connection] = None
        self._changed.set()

    def close_all(self) -> None:
        for connection in list(self._open):
            connection.close()


class _Connection(asyncio.Protocol):
    """One client connection; answers its requests one at a time."""

    def __init__(self, connections: _Connections) -> None:
        self._connections = connections
        self._config = connections.config
        self._http = h11.Connection(
            h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES
        )
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self.answering = False
        self.idle_from = self._loop.time()
        self._without_body = False
        self._writable = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._expect_within(self._config.header_timeout_seconds)
        self._connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        self._connections.remove(self)
        self._cancel_timer()

    def data_received(self, data: bytes) -> None:
        self._http.receive_data(data)
        if self.answering or not self._writable:
            # Pipelined requests wait in the kernel's buffer.
            self._connected().pause_reading()
        else:
            self._next()

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._go_on()

    def eof_received(self) -> bool:
        self._http.receive_data(b"")
        self._go_on()
        return True  # a half-closed client still gets its answers

    def close(self) -> None:
        """Close it now, to make room for another one."""
        self._cancel_timer()
        if self._transport is not None:
            # Not just `close`: a client that reads nothing would keep it open.
            flushed = self._transport.get_write_buffer_size() == 0
            self._transport.close() if flushed else self._transport.abort()

    def _finish(self) -> None:
        """Close it once the client has read the answer, within a time limit."""
        if self._transport is not None:
            self._expect_within(self._config.request_timeout_seconds)
            self._transport.close()

    def _next(self) -> None:
        """Answer the next request, if it is complete."""
        self._without_body = False
        try:
            event = self._http.next_event()
        except h11.RemoteProtocolError as error:
            self._refuse(error.error_status_hint, "malformed request")
            return
        if isinstance(event, h11.Request):
            self._begin(event)
        elif event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
            self._finish()

    def _begin(self, request: h11.Request) -> None:
        method = request.method.decode("ascii")
        self._without_body = method == "HEAD"
        headers = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in request.headers
        }
        if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
            self._refuse(413, "request bodies are not accepted")
            return
        self._http.next_event()  # end of message: there is no body
        self.answering = True
        self._expect_within(self._config.request_timeout_seconds)
        path = request.target.decode("latin-1").partition("?")[0]
        answer = self._loop.run_in_executor(
            self._connections.renderer,
            self._connections.routes.answer,
            method,
            path,
            headers,
        )
        answer.add_done_callback(self._answered)

    def _answered(self, answer: "asyncio.Future[Response]") -> None:
        if answer.cancelled() or self._transport is None:
            return
        error = answer.exception()
        if error is not None:
            _log.error("cannot answer a request: %s", error, exc_info=error)
            self._refuse(500, "internal error; see the log of the service")
            return
        if self._transport.is_closing():
            return
        self._send(answer.result())
        self.answering = False
        self.idle_from = -math.inf
        if self._http.our_state is h11.MUST_CLOSE:
            self._finish()
            return
        self._http.start_next_cycle()
        self._connections.rested(self)
        self._expect_within(self._config.header_timeout_seconds)
        self._go_on()

    def _go_on(self) -> None:
        """Read the next request once the client has taken the last answer."""
        if self.answering or not self._writable or self._connected().is_closing():
            return
        self._connected().resume_reading()
        self._next()

    def _connected(self) -> asyncio.Transport:
        assert self._transport is not None  # noqa: S101 - only called while connected
        return self._transport

    def _refuse(self, status: int, line: str) -> None:
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            headers = (("content-type", "text/plain"), ("connection", "close"))
            self._send(Response(status, headers, f"{line}\n".encode()))
        self._finish()

    def _send(self, response: Response) -> None:
        length = str(len(response.body))
        head = h11.Response(
            status_code=response.status,
            headers=[*response.headers, ("content-length", length)],
        )
        chunks = [self._http.send(head)]
        if not self._without_body:
            chunks.append(self._http.send(h11.Data(data=response.body)))
        chunks.append(self._http.send(h11.EndOfMessage()))
        # Not `writelines`: in Python 3.12.0 to 3.13.1 it does not pause the writer.
        for chunk in chunks:
            if chunk:
                self._connected().write(chunk)

    def _expect_within(self, seconds: float) -> None:
        self._cancel_timer()
        self._timer = self._loop.call_later(seconds, self._too_slow)

    def _too_slow(self) -> None:
        self._timer = None
        if self._transport is not None:
            self._transport.abort()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


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

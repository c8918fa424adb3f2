"""Connections to the ``/metrics`` server: their number and their time are limited."""

import asyncio
import logging
import math
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import h11

from evmon._http.exposition import Response, Routes
from evmon._http.hosts import AllowedHosts
from evmon._settings.configs import MetricsConfig

MAX_HEAD_BYTES: Final = 8 * 1024
"""Largest request line and headers that are accepted."""

ACCEPT_RETRY_SECONDS: Final = 1.0
"""Seconds until connections are accepted again after a failure."""

GRACE_SECONDS: Final = 0.1
"""Seconds that a new connection is kept without a request when all are in use."""

_NOT_ALLOWED: Final = (
    "this name of the server is not allowed; add it to EVMON_METRICS_ALLOWED_HOSTS or"
    " MetricsConfig(allowed_hosts=...)"
)

_log = logging.getLogger("evmon.metrics")


async def accept(listening: socket.socket, connections: "Connections") -> None:
    """Accept connections while there is room; others wait in the kernel's backlog."""
    loop = asyncio.get_running_loop()
    while True:
        await connections.wait_for_room()
        await _readable(listening)
        try:
            # Not `sock_accept`: a cancellation at the wrong moment would leak a socket.
            client, _ = listening.accept()
        except (BlockingIOError, ConnectionAbortedError):
            continue
        except OSError as error:
            # Usually out of file descriptors: an immediate retry would fail again.
            _log.warning("cannot accept a connection to /metrics: %s", error)
            await asyncio.sleep(ACCEPT_RETRY_SECONDS)
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
    incoming = asyncio.Event()
    loop.add_reader(listening, incoming.set)
    try:
        await incoming.wait()
    finally:
        loop.remove_reader(listening)


class Connections:
    """All open connections and what they share.

    Args:
        config: limits on clients.
        routes: routes that answer the requests.
        renderer: executor of one thread, in which requests are answered.
    """

    def __init__(
        self, config: MetricsConfig, routes: Routes, renderer: ThreadPoolExecutor
    ) -> None:
        self.config = config
        self.routes = routes
        self.renderer = renderer
        self.hosts = AllowedHosts(config.host, config.allowed_hosts)
        self._open: dict[_Connection, None] = {}
        self._changed = asyncio.Event()

    async def wait_for_room(self) -> None:
        """Wait until another connection may be accepted.

        At the limit, the connection that has been idle longest is closed, after a grace
        period to send a request; one that is being answered never is.
        """
        loop = asyncio.get_running_loop()
        while len(self._open) >= self.config.max_connections:
            oldest = next((c for c in self._open if not c.answering), None)
            wait = oldest.idle_from + GRACE_SECONDS - loop.time() if oldest else None
            if oldest is not None and wait is not None and wait <= 0:
                oldest.close()
                self.remove(oldest)
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
        """Count a connection that was made."""
        self._open[connection] = None

    def remove(self, connection: "_Connection") -> None:
        """Forget a connection that was closed."""
        self._open.pop(connection, None)
        self._changed.set()

    def idle(self, connection: "_Connection") -> None:
        """Move a connection that was answered to the end of the order of idle ones."""
        if connection in self._open:
            del self._open[connection]
            self._open[connection] = None
        self._changed.set()

    def close_all(self) -> None:
        """Close all connections."""
        for connection in list(self._open):
            connection.close()


class _Connection(asyncio.Protocol):
    """One client connection; answers its requests one at a time."""

    def __init__(self, connections: Connections) -> None:
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
        self._is_head = False
        self._writable = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._set_timeout(self._config.header_timeout_seconds)
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
            self._read_request()

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._resume()

    def eof_received(self) -> bool:
        self._http.receive_data(b"")
        self._resume()
        return True  # a half-closed client still gets its responses

    def close(self) -> None:
        """Close the connection now, to make room for another one."""
        self._cancel_timer()
        if self._transport is not None:
            # `close` alone would wait for a client that reads nothing.
            flushed = self._transport.get_write_buffer_size() == 0
            self._transport.close() if flushed else self._transport.abort()

    def _finish(self) -> None:
        """Close the connection once the client has read the response, within the timeout."""
        if self._transport is not None:
            self._set_timeout(self._config.request_timeout_seconds)
            self._transport.close()

    def _read_request(self) -> None:
        """Answer the next request, if it is complete."""
        self._is_head = False
        try:
            event = self._http.next_event()
        except h11.RemoteProtocolError as error:
            self._refuse(error.error_status_hint, "malformed request")
            return
        if isinstance(event, h11.Request):
            self._answer(event)
        elif event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
            self._finish()

    def _answer(self, request: h11.Request) -> None:
        method = request.method.decode("ascii")
        self._is_head = method == "HEAD"
        headers = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in request.headers
        }
        if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
            self._refuse(413, "request bodies are not accepted")
            return
        target = request.target.decode("latin-1")
        host = headers.get("host", "")
        if not target.startswith("/"):  # an absolute URI, whose host has precedence
            scheme, _, rest = target.partition("://")
            host, _, path = rest.partition("/") if scheme else (host, "", "")
            target = f"/{path}"
        if not self._connections.hosts.allows(host):
            self._refuse(403, _NOT_ALLOWED)
            return
        self._http.next_event()  # end of message: there is no body
        self.answering = True
        self._set_timeout(self._config.request_timeout_seconds)
        path = target.partition("?")[0]
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
        self._connections.idle(self)
        self._set_timeout(self._config.header_timeout_seconds)
        self._resume()

    def _resume(self) -> None:
        """Read the next request once the client has taken the last response."""
        if self.answering or not self._writable or self._connected().is_closing():
            return
        self._connected().resume_reading()
        self._read_request()

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
        if not self._is_head:
            chunks.append(self._http.send(h11.Data(data=response.body)))
        chunks.append(self._http.send(h11.EndOfMessage()))
        # Not `writelines`: in Python 3.12.0 to 3.13.1 it does not pause the writer.
        for chunk in chunks:
            if chunk:
                self._connected().write(chunk)

    def _set_timeout(self, seconds: float) -> None:
        self._cancel_timer()
        self._timer = self._loop.call_later(seconds, self._time_out)

    def _time_out(self) -> None:
        self._timer = None
        if self._transport is not None:
            self._transport.abort()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

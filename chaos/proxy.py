"""A TCP proxy that delays, drops and cuts connections."""

import asyncio
import random
from dataclasses import dataclass, field
from typing import Final, cast

PIECE: Final = 4096
"""Bytes that a slow link forwards at once."""


@dataclass(slots=True)
class Faults:
    """Active faults; can be changed while the proxy runs.

    Attributes:
        delay: seconds by which replies are delayed.
        rate: bytes per second that all connections share, each way; 0 for no limit.
        drop_replies: share of replies that are dropped.
        stall_share: share of dropped replies after which the connection stays open
            without further replies; after the others it is reset.
        silent: whether connections stay open but nothing is forwarded.
        refuse: whether new connections are reset at once.
        rng: random numbers for the choice of replies.
    """

    delay: float = 0.0
    rate: float = 0.0
    drop_replies: float = 0.0
    stall_share: float = 0.0
    silent: bool = False
    refuse: bool = False
    rng: random.Random = field(default_factory=random.Random)


class _SlowWay:
    """One way of a slow link: data waits for all that was sent before."""

    def __init__(self) -> None:
        self._free_at = 0.0

    def send(self, to: asyncio.Transport, data: bytes, rate: float) -> None:
        """Forward data piece by piece, `rate` bytes per second."""
        loop = asyncio.get_running_loop()
        for start in range(0, len(data), PIECE):
            piece = data[start : start + PIECE]
            self._free_at = max(self._free_at, loop.time()) + len(piece) / rate
            loop.call_at(self._free_at, _forward, to, piece)


def _forward(to: asyncio.Transport, data: bytes) -> None:
    if not to.is_closing():
        to.write(data)


class Proxy:
    """Forwards connections on the loopback interface to a server.

    Args:
        target: port of the server.
        rng: random numbers for the choice of replies to drop.
    """

    def __init__(self, target: int, rng: random.Random) -> None:
        self.target = target
        self.port = 0
        self.faults = Faults(rng=rng)
        self.replies = 0
        """Replies received from the server, counted by chunks of data."""
        self.dropped = 0
        """Replies dropped."""
        self.cuts = 0
        """Faults that broke all connections."""
        self.clients: set[_Client] = set()
        """Open connections."""
        self.slow_up = _SlowWay()
        self.slow_down = _SlowWay()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen on a free port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Client(self), "127.0.0.1", self.port
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and reset all connections."""
        if self._server is not None:
            self._server.close()
        self.reset_connections()

    def reset_connections(self) -> None:
        """Reset all open connections."""
        for client in list(self.clients):
            client.abort()

    async def cut(self, seconds: float) -> None:
        """Reset all connections and refuse new ones for some seconds."""
        self.cuts += 1
        self.faults.refuse = True
        self.reset_connections()
        await asyncio.sleep(seconds)
        self.faults.refuse = False

    async def go_silent(self, seconds: float) -> None:
        """Forward nothing for some seconds, then reset all connections."""
        self.cuts += 1
        self.faults.silent = True
        await asyncio.sleep(seconds)
        self.faults.silent = False
        # Bytes are missing, so these connections cannot be used any more.
        self.reset_connections()


class _Client(asyncio.Protocol):
    """A connection from a client, paired with one to the server."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._up: asyncio.Transport | None = None
        self._down: asyncio.Transport | None = None
        self._unsent = bytearray()
        self._stalled = False
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connect to the server."""
        self._down = cast("asyncio.Transport", transport)
        if self._proxy.faults.refuse:
            self._down.abort()
            return
        self._proxy.clients.add(self)
        self._task = asyncio.get_running_loop().create_task(self._connect())

    def data_received(self, data: bytes) -> None:
        """Forward data from the client."""
        if self._proxy.faults.silent:
            return
        if self._up is None:
            self._unsent += data
        elif self._proxy.faults.rate:
            self._proxy.slow_up.send(self._up, data, self._proxy.faults.rate)
        else:
            self._up.write(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Reset the connection to the server."""
        self.abort()

    def abort(self) -> None:
        """Reset both connections."""
        self._proxy.clients.discard(self)
        for side in (self._down, self._up):
            if side is not None and not side.is_closing():
                side.abort()

    def replied(self, data: bytes) -> None:
        """Forward data from the server, subject to the faults."""
        faults = self._proxy.faults
        self._proxy.replies += 1
        if self._stalled or faults.silent or self._down is None:
            return
        if faults.drop_replies and faults.rng.random() < faults.drop_replies:
            self._proxy.dropped += 1
            if faults.rng.random() < faults.stall_share:
                self._stalled = True
            else:
                self.abort()
            return
        if faults.delay:
            loop = asyncio.get_running_loop()
            loop.call_later(faults.delay, self._down.write, data)
        elif faults.rate:
            self._proxy.slow_down.send(self._down, data, faults.rate)
        else:
            self._down.write(data)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            up, _ = await loop.create_connection(
                lambda: _Server(self), "127.0.0.1", self._proxy.target
            )
        except OSError:
            self.abort()
            return
        self._up = up
        if self._down is None or self._down.is_closing():
            self._up.abort()
        elif self._unsent:
            self._up.write(bytes(self._unsent))
            self._unsent.clear()


class _Server(asyncio.Protocol):
    """A connection to the server."""

    def __init__(self, client: _Client) -> None:
        self._client = client

    def data_received(self, data: bytes) -> None:
        """Forward data from the server."""
        self._client.replied(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Reset the connection to the client."""
        self._client.abort()

"""A TCP proxy on loopback that breaks connections in the ways that networks do."""

import asyncio
import random
from dataclasses import dataclass, field
from typing import cast


@dataclass(slots=True)
class Faults:
    """What goes wrong now; change it while the proxy runs.

    Attributes:
        delay: seconds by which replies come late.
        drop_replies: share of replies that never arrive.
        stall_share: share of those after which the connection stays up and silent; after
            the others it breaks.
        half_open: whether nothing goes through, on connections that stay up.
        refuse: whether new connections are cut at once.
        rng: decides.
    """

    delay: float = 0.0
    drop_replies: float = 0.0
    stall_share: float = 0.0
    half_open: bool = False
    refuse: bool = False
    rng: random.Random = field(default_factory=random.Random)


class Proxy:
    """Forwards a port of its own to the server's.

    Args:
        target: port of the server.
        rng: decides which replies are dropped.
    """

    def __init__(self, target: int, rng: random.Random) -> None:
        self.target = target
        self.port = 0
        self.faults = Faults(rng=rng)
        self.replies = 0
        """Replies seen (pieces of them, as they come from the server)."""
        self.dropped = 0
        """Replies that did not arrive."""
        self.cuts = 0
        """Times that `cut` was called."""
        self._links: set[_Client] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen on any free port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Client(self), "127.0.0.1", self.port
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close everything."""
        if self._server is not None:
            self._server.close()
        self.break_all()

    def break_all(self) -> None:
        """Break all connections there are."""
        for client in list(self._links):
            client.abort()

    async def cut(self, seconds: float) -> None:
        """No network for some seconds."""
        self.cuts += 1
        self.faults.refuse = True
        self.break_all()
        await asyncio.sleep(seconds)
        self.faults.refuse = False

    async def go_half_open(self, seconds: float) -> None:
        """Connections stay up, and nothing comes through; then they break."""
        self.cuts += 1
        self.faults.half_open = True
        await asyncio.sleep(seconds)
        self.faults.half_open = False
        # What was swallowed is gone, so the connections are of no use any more.
        self.break_all()


class _Client(asyncio.Protocol):
    """A connection from a client, and the one to the server that belongs to it."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._up: asyncio.Transport | None = None
        self._down: asyncio.Transport | None = None
        self._early = bytearray()
        self._stalled = False
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came."""
        self._down = cast("asyncio.Transport", transport)
        if self._proxy.faults.refuse:
            self._down.abort()
            return
        self._proxy._links.add(self)
        self._task = asyncio.get_running_loop().create_task(self._connect())

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        if self._proxy.faults.half_open:
            return
        if self._up is None:
            self._early += data
        else:
            self._up.write(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The client is gone."""
        self.abort()

    def abort(self) -> None:
        """Break both sides."""
        self._proxy._links.discard(self)
        for side in (self._down, self._up):
            if side is not None and not side.is_closing():
                side.abort()

    def replied(self, data: bytes) -> None:
        """Bytes from the server."""
        faults = self._proxy.faults
        self._proxy.replies += 1
        if self._stalled or faults.half_open or self._down is None:
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
        elif self._early:
            self._up.write(bytes(self._early))
            self._early.clear()


class _Server(asyncio.Protocol):
    """The connection to the server."""

    def __init__(self, client: _Client) -> None:
        self._client = client

    def data_received(self, data: bytes) -> None:
        """Bytes from the server."""
        self._client.replied(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The server is gone."""
        self._client.abort()

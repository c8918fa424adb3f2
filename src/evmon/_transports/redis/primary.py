"""Which server is the primary: found when it is needed, and anew after it was lost."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

import anyio
from redis.exceptions import ConnectionError as RedisConnectionError

from evmon._clock import Clock
from evmon._transports.redis.dial import Server
from evmon._transports.redis.errors import FAILURES

_T = TypeVar("_T")


class Finder(Protocol):
    """Finds the primary."""

    check_interval: float | None
    """Seconds after which the primary is looked up again while it answers; None: never."""

    async def find(self, lost: Server | None, within: float) -> Server:
        """The primary.

        Args:
            lost: primary whose connection broke last; None if none did.
            within: seconds until those that have not answered are ignored.

        Raises:
            redis.exceptions.ConnectionError: nobody that could be asked knows it.
        """

    async def close(self) -> None:
        """Close the connections to those that are asked."""


class FixedServer:
    """The finder of a single server.

    Args:
        server: the server; a Unix socket has none.
    """

    check_interval: float | None = None

    def __init__(self, server: Server = ("", 0)) -> None:
        self._server = server

    async def find(self, lost: Server | None, within: float) -> Server:  # noqa: ARG002
        """The server."""
        return self._server

    async def close(self) -> None:
        """Nothing to close."""


class Primary:
    """The primary, shared by the connections of one transport.

    Args:
        finder: finds it.
        timeout: seconds within which it is to be found.
        clock: source of time.
    """

    def __init__(self, finder: Finder, timeout: float, clock: Clock) -> None:
        self._finder = finder
        self._timeout = timeout
        self._clock = clock
        self._lock = asyncio.Lock()
        self._server: Server | None = None
        self._lost: Server | None = None
        self._looked_up = 0.0
        self.generation = 0
        """Changes when connections made before must not be used any more."""

    async def server(self) -> Server:
        """The primary.

        Raises:
            redis.exceptions.ConnectionError: it cannot be found.
        """
        async with self._lock:
            if self._server is None:
                found = await self._finder.find(self._lost, self._timeout)
                self._server = found
                self._looked_up = self._clock.monotonic()
            return self._server

    @property
    def is_unconfirmed(self) -> bool:
        """Whether the last look-up is so long ago that there may be another primary."""
        interval = self._finder.check_interval
        return (
            interval is not None
            and self._server is not None
            and self._clock.monotonic() - self._looked_up > interval
        )

    async def confirm(self, *, now: bool = False) -> None:
        """Look up again, unless that was done a moment ago.

        A primary that was cut off or frozen still answers when it is back, and loses what it
        is sent. If nobody answers, the known one counts as the primary.

        Args:
            now: look up even if that was done a moment ago.
        """
        async with self._lock:
            if self._server is None or not (now or self.is_unconfirmed):
                return
            within = min(self._timeout, self._finder.check_interval or self._timeout)
            try:
                found = await self._finder.find(None, within)
            except FAILURES:
                found = self._server
            self._looked_up = self._clock.monotonic()
            self.move(found)

    def move(self, server: Server) -> None:
        """Make another server the primary; nothing happens if it is already."""
        if server != self._server:
            self._server = server
            self.generation += 1

    def lose(self, generation: int) -> None:
        """A connection broke, or its server turned out not to be the primary.

        Args:
            generation: that of the connection; nothing happens if it is not the current one.
        """
        if generation == self.generation:
            self._lost, self._server = self._server, None
            self.generation += 1

    async def close(self) -> None:
        """Close the connections to those that are asked."""
        await self._finder.close()


async def answers(
    ask: Callable[[Server], Awaitable[_T]],
    servers: Sequence[Server],
    enough: int,
    within: float,
    *,
    grace: float = 0.0,
) -> list[_T]:
    """Ask several servers at once, and return the answers.

    Args:
        ask: asks one; what it raises counts as no answer.
        servers: servers to ask.
        enough: number of answers after which the others are ignored.
        within: seconds after which they are ignored as well.
        grace: seconds to wait for the others when there are enough answers.

    Raises:
        redis.exceptions.ConnectionError: none answered.
    """
    found: list[_T] = []
    errors: dict[Server, str] = {}

    async def ask_one(server: Server) -> None:
        try:
            found.append(await ask(server))
        except FAILURES as error:
            errors[server] = str(error)
        if len(found) == enough:
            limit = anyio.current_time() + grace
            tasks.cancel_scope.deadline = min(tasks.cancel_scope.deadline, limit)

    with anyio.move_on_after(within):
        async with anyio.create_task_group() as tasks:
            for server in servers:
                tasks.start_soon(ask_one, server)
    if not found:
        silent = f"no answer within {within:g} s"
        said = (f"{h}:{p}: {errors.get((h, p), silent)}" for h, p in servers)
        raise RedisConnectionError("; ".join(said))
    return found

"""Remembers which server is the primary; looks it up when it is lost or may have changed."""

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
    """Looks up the primary, for example by asking sentinels."""

    check_interval: float | None
    """Seconds after which a primary that still answers is looked up again; None: never."""

    async def find(self, lost: Server | None, within: float) -> Server:
        """Look up the primary.

        Args:
            lost: the primary that was lost last, which may be down; None if none was.
            within: seconds after which no more answers are awaited.

        Raises:
            redis.exceptions.ConnectionError: no server that was asked knows it.
        """

    async def close(self) -> None:
        """Close the connections to the servers that are asked."""


class FixedServer:
    """The finder of a single server.

    Args:
        server: host and port; the default for a Unix socket.
    """

    check_interval: float | None = None

    def __init__(self, server: Server = ("", 0)) -> None:
        self._server = server

    async def find(self, lost: Server | None, within: float) -> Server:  # noqa: ARG002
        """Return the only server."""
        return self._server

    async def close(self) -> None:
        """Nothing to close."""


class Primary:
    """Keeps track of the primary for all connections of one transport.

    Args:
        finder: looks up the primary.
        timeout: maximum seconds of a look-up.
        clock: source of time.
    """

    def __init__(self, finder: Finder, timeout: float, clock: Clock) -> None:
        self._finder = finder
        self._timeout = timeout
        self._clock = clock
        self._lock = asyncio.Lock()
        self._server: Server | None = None
        self._lost: Server | None = None
        self._looked_up_at = 0.0
        self.generation = 0
        """Grows when the primary is lost or another one; older connections are outdated."""

    async def server(self) -> Server:
        """Return the known primary; look it up if none is known.

        Raises:
            redis.exceptions.ConnectionError: the look-up failed.
        """
        async with self._lock:
            if self._server is None:
                found = await self._finder.find(self._lost, self._timeout)
                self._looked_up_at = self._clock.monotonic()
                if self._server is None:  # not moved meanwhile
                    self._server = found
            return self._server

    @property
    def needs_check(self) -> bool:
        """Whether the known primary must be looked up again before it is used."""
        interval = self._finder.check_interval
        return (
            interval is not None
            and self._server is not None
            and self._clock.monotonic() - self._looked_up_at > interval
        )

    async def confirm(self, *, now: bool = False) -> None:
        """Look up the known primary again if its check is due.

        A former primary that was cut off or frozen may answer again after a failover; what
        is written to it then is lost. If the look-up fails, the known one is kept.

        Args:
            now: look it up even if its check is not due.
        """
        async with self._lock:
            if self._server is None or not (now or self.needs_check):
                return
            within = min(self._timeout, self._finder.check_interval or self._timeout)
            try:
                # It was not lost, so it is asked like any other server.
                found = await self._finder.find(None, within)
            except FAILURES:
                found = self._server
            self._looked_up_at = self._clock.monotonic()
            self.move(found)

    def move(self, server: Server) -> None:
        """Make a server the primary; no effect if it is the primary already."""
        if server != self._server:
            self._server = server
            self.generation += 1

    def lose(self, generation: int) -> None:
        """Forget the primary: a connection to it broke, or it turned out not to be one.

        Args:
            generation: generation of the connection; no effect if it is not the current one.
        """
        if generation == self.generation:
            self._lost, self._server = self._server, None
            self.generation += 1

    async def close(self) -> None:
        """Close the connections of the finder."""
        await self._finder.close()


async def ask_all(
    ask: Callable[[Server], Awaitable[_T]],
    servers: Sequence[Server],
    enough: int,
    within: float,
    *,
    grace: float = 0.0,
) -> list[_T]:
    """Ask several servers at once, and return the answers.

    Args:
        ask: asks one server; a failure of the connection counts as no answer.
        servers: servers to ask.
        enough: number of answers that suffice.
        within: seconds after which no more answers are awaited.
        grace: seconds to wait for more answers after that number.

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
        no_answer = f"no answer within {within:g} s"
        reasons = (f"{h}:{p}: {errors.get((h, p), no_answer)}" for h, p in servers)
        raise RedisConnectionError("; ".join(reasons))
    return found

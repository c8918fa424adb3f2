"""Connections to the primary, over which commands are sent and replies received."""

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ClusterDownError, ReadOnlyError, ResponseError

from evmon._clock import Clock
from evmon._transports.redis.dial import Dial, Server
from evmon._transports.redis.errors import FAILURES
from evmon._transports.redis.primary import FixedServer, Primary

Command: TypeAlias = tuple[Any, ...]
"""Name and arguments of a Redis command."""

_NOT_PRIMARY: Final = (ReadOnlyError, ClusterDownError)
"""Replies of a server that is not the primary, or is cut off from its cluster."""


class Connections:
    """Connections to the primary; each serves one exchange at a time.

    A connection is kept for the next exchange, unless it failed or the primary has changed.
    What is sent in one exchange goes over one connection.

    Args:
        dial: opens connections.
        primary: which server is the primary.
    """

    def __init__(self, dial: Dial, primary: Primary) -> None:
        self.primary = primary
        self._dial = dial
        self._idle: list[AbstractConnection] = []
        self._generation = primary.generation
        self._others: dict[Server, Connections] = {}
        self._closed = False

    async def exchange(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands in one round trip; an error reply is returned in its place.

        Raises:
            redis.exceptions.RedisError: the connection failed.
            OSError: the connection failed.
        """
        if self.primary.needs_check:
            await self.primary.confirm()
        await self._drop_outdated()
        generation = self.primary.generation
        connection = self._idle.pop() if self._idle else None
        try:
            if connection is None:
                connection = await self._dial(await self.primary.server())
            await connection.send_packed_command(connection.pack_commands(commands))
            replies = [await _reply(connection) for _ in commands]
        except BaseException as error:
            # Unread replies must not be taken for replies to the next commands.
            if connection is not None:
                await connection.disconnect(nowait=True)
            if isinstance(error, FAILURES):
                self.primary.lose(generation)
            raise
        if any(isinstance(reply, _NOT_PRIMARY) for reply in replies):
            self.primary.lose(generation)
        if self._closed or generation != self.primary.generation:
            await connection.disconnect(nowait=True)
        else:
            self._idle.append(connection)
        return replies

    async def ask(
        self, server: Server, commands: Sequence[Command], clock: Clock
    ) -> list[Any]:
        """Send commands to the server that a slot is being moved to, each with ASKING.

        Raises:
            redis.exceptions.RedisError: the connection failed.
            OSError: the connection failed.
        """
        if server not in self._others:
            only = Primary(FixedServer(server), timeout=0, clock=clock)
            self._others[server] = Connections(self._dial, only)
        asking = [part for command in commands for part in (("ASKING",), command)]
        replies = await self._others[server].exchange(asking)
        return replies[1::2]

    async def close(self) -> None:
        """Close all connections; a running exchange closes its own at its end."""
        self._closed = True
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.disconnect()
        for other in self._others.values():
            await other.close()

    async def _drop_outdated(self) -> None:
        """Close the idle connections if the primary has changed since they were used."""
        if self._generation == self.primary.generation:
            return
        self._generation = self.primary.generation
        idle, self._idle = self._idle, []
        others, self._others = self._others, {}
        for connection in idle:
            await connection.disconnect(nowait=True)
        for other in others.values():
            await other.close()


async def _reply(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error

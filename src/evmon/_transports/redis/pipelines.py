"""A connection of one's own, for whoever sends one batch of commands after another."""

from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ResponseError

from evmon._transports.redis.address import RedisClient

Command = tuple[Any, ...]


class DedicatedConnection:
    """A connection that is kept, and connects again by itself after it broke.

    A pipeline of redis-py fetches a connection from the pool and puts it back each time,
    between the arrival of events and the calls of their handlers.

    Args:
        client: whose pool the connection is from.
    """

    def __init__(self, client: Redis) -> None:
        self._pool = client.connection_pool
        self._connection: AbstractConnection | None = None

    async def exchange(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands in one round trip and return their replies, errors among them.

        Raises:
            redis.exceptions.RedisError: the connection failed.
            OSError: likewise.
        """
        if self._connection is None:
            self._connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
        connection = self._connection
        try:
            if not connection.is_connected:
                # Not left to `send…`, which dials the old address: behind sentinels,
                # `connect` asks them where the primary is now.
                await connection.connect()
            await connection.send_packed_command(connection.pack_commands(commands))
            return [await _reply(connection) for _ in commands]
        except BaseException:
            # Replies that are still to come must not answer what is asked next.
            await connection.disconnect(nowait=True)
            raise

    async def leave(self) -> None:
        """Drop the connection; the next use makes a new one."""
        if self._connection is not None:
            await self._connection.disconnect(nowait=True)


class ClusterPipelines:
    """The same where the servers are many: redis-py's pipelines find each one's.

    Args:
        client: of the cluster.
    """

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    async def exchange(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands and return their replies, errors among them.

        Raises:
            redis.exceptions.RedisError: the connection failed.
            OSError: likewise.
        """
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        replies: list[Any] = await pipeline.execute(raise_on_error=False)
        return replies

    async def leave(self) -> None:
        """Nothing is kept."""


async def _reply(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error

"""Two ways to send several commands in one round trip: to one server or to a cluster."""

from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ResponseError

from evmon._transports.redis.address import RedisClient

Command = tuple[Any, ...]
"""Name and arguments of a Redis command."""


class DedicatedConnection:
    """A dedicated connection for one caller that pipelines sequentially.

    It saves taking a connection from the pool for every read. It reconnects at its next
    use after a failure.

    Args:
        client: client whose connection pool is used.
    """

    def __init__(self, client: Redis) -> None:
        self._pool = client.connection_pool
        self._connection: AbstractConnection | None = None

    async def exchange(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands in one round trip; an error reply is returned in its place.

        Raises:
            redis.exceptions.RedisError: the connection failed.
            OSError: the connection failed.
        """
        if self._connection is None:
            self._connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
        connection = self._connection
        try:
            if not connection.is_connected:
                # `send_packed_command` would connect to the previous address; `connect`
                # asks the sentinels for the current primary.
                await connection.connect()
            await connection.send_packed_command(connection.pack_commands(commands))
            return [await _reply(connection) for _ in commands]
        except BaseException:
            # Unread replies must not be taken for replies to the next commands.
            await connection.disconnect(nowait=True)
            raise

    async def leave(self) -> None:
        """Close the connection; the next use opens a new one."""
        if self._connection is not None:
            await self._connection.disconnect(nowait=True)


class ClusterPipelines:
    """The same for a cluster: redis-py routes each command to its node.

    Args:
        client: client of the cluster.
    """

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    async def exchange(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands; an error reply is returned in its place.

        Raises:
            redis.exceptions.RedisError: the connection failed.
            OSError: the connection failed.
        """
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        replies: list[Any] = await pipeline.execute(raise_on_error=False)
        return replies

    async def leave(self) -> None:
        """Nothing to close: connections belong to the pool."""


async def _reply(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error

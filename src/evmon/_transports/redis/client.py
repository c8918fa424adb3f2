"""A client to the server: commands out, raw replies in, every failure a `TransportError`."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Final

from redis.asyncio import Redis

from evmon._clock import Clock
from evmon._telemetry.transport_recorder import TransportRecorder
from evmon._transports.redis.address import CONNECTIONS, RedisClient
from evmon._transports.redis.errors import (
    FAILURES,
    BrokenError,
    ReadOnlyError,
    translate,
)
from evmon._transports.redis.pipelines import (
    ClusterPipelines,
    Command,
    DedicatedConnection,
)
from evmon.errors import TransportError

CALLS: Final = CONNECTIONS // 2
"""Calls at once, the rest waits: past its last connection redis-py fails at once, as if
the server were gone."""

_log = logging.getLogger("evmon.transport")


class Client:
    """A client, its failures translated and its reconnections counted.

    Args:
        client: made by `connect`.
        secrets: texts that must not appear in an error.
        recorder: counts reconnections.
        clock: time.
        one_by_one: whether nobody pipes while somebody else does.
    """

    def __init__(
        self,
        client: RedisClient,
        secrets: Sequence[str],
        recorder: TransportRecorder,
        clock: Clock,
        *,
        one_by_one: bool = False,
    ) -> None:
        self._client = client
        self._pipes: DedicatedConnection | ClusterPipelines = ClusterPipelines(client)
        if one_by_one and isinstance(client, Redis):
            self._pipes = DedicatedConnection(client)
        self._secrets = secrets
        self._recorder = recorder
        self._clock = clock
        self._turns = asyncio.Semaphore(CALLS)
        self.broken = False
        """Whether the last thing heard was that the connection broke."""
        self.last_heard = -float("inf")
        """When the server last answered, by the monotonic clock."""

    async def call(self, *command: Any) -> Any:
        """Send one command and return its reply.

        Raises:
            TransportError: the command, or the connection, failed.
        """
        try:
            async with self._turns:
                reply = await self._client.execute_command(*command)
        except FAILURES as error:
            raise await self._failed(error) from error
        self._heard()
        return reply

    async def pipe(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands in one round trip and return their replies.

        Raises:
            TransportError: the connection failed, or the first command that did.
        """
        try:
            async with self._turns:
                replies = await self._pipes.exchange(commands)
        except FAILURES as error:
            raise await self._failed(error) from error
        self._heard()
        for reply in replies:
            if isinstance(reply, Exception):
                raise await self._failed(reply) from reply
        return replies

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    def _heard(self) -> None:
        self.last_heard = self._clock.monotonic()
        if self.broken:
            self.broken = False
            self._recorder.reconnected()
            _log.info("reconnected to Redis")

    async def _failed(self, error: BaseException) -> TransportError:
        translated = translate(error, self._secrets)
        if isinstance(translated, BrokenError):
            self.broken = True
        elif isinstance(translated, ReadOnlyError):
            self.broken = True
            await self._leave()
        return translated

    async def _leave(self) -> None:
        """Drop connections to a server that is no primary any more."""
        await self._pipes.leave()
        pool = getattr(self._client, "connection_pool", None)
        if pool is not None:
            await pool.disconnect(inuse_connections=False)

"""Sends commands and scripts to Redis; every failure is raised as a `TransportError`."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.exceptions import NoScriptError

from evmon._clock import Clock
from evmon._telemetry.transport_recorder import TransportRecorder
from evmon._transports.redis.address import CONNECTIONS, RedisClient
from evmon._transports.redis.errors import (
    FAILURES,
    BrokenError,
    ReadOnlyError,
    ScriptMissingError,
    WrongTypeError,
    translate,
)
from evmon._transports.redis.key_types import keys_in, wrong_type
from evmon._transports.redis.pipelines import (
    ClusterPipelines,
    Command,
    DedicatedConnection,
)
from evmon._transports.redis.scripts import Script, with_text
from evmon.errors import TransportError

MAX_CALLS: Final = CONNECTIONS // 2
"""Maximum number of concurrent calls; further ones wait.

redis-py does not wait for a free connection: it fails as if the server were down.
"""

_log = logging.getLogger("evmon.transport")


class Client:
    """A client that translates errors and counts reconnections.

    Args:
        client: client of redis-py, made by `connect`.
        secrets: texts that must not appear in an error.
        recorder: counter of reconnections.
        clock: source of time.
        one_by_one: whether `pipe` is never called concurrently.
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
        self._pipelines: DedicatedConnection | ClusterPipelines
        if one_by_one and isinstance(client, Redis):
            self._pipelines = DedicatedConnection(client)
        else:
            self._pipelines = ClusterPipelines(client)
        self._secrets = secrets
        self._recorder = recorder
        self._clock = clock
        self._slots = asyncio.Semaphore(MAX_CALLS)
        self.broken = False
        """Whether the connection broke and no reply has come since."""
        self.last_reply = -float("inf")
        """Monotonic time of the last reply, errors included."""

    async def call(self, *command: Any) -> Any:
        """Send one command and return its reply.

        Raises:
            TransportError: the command or the connection failed.
        """
        try:
            async with self._slots:
                reply = await self._client.execute_command(*command)
        except FAILURES as error:
            raise await self._failure(error, command) from error
        self._replied()
        return reply

    async def eval(
        self, script: Script, keys: Sequence[str | bytes], args: Sequence[Any]
    ) -> Any:
        """Run a script and return its reply.

        Args:
            script: script to run.
            keys: values of KEYS, all in one hash slot.
            args: values of ARGV.

        Raises:
            TransportError: the script or the connection failed.
        """
        command = script.command(keys, args)
        try:
            return await self.call(*command)
        except ScriptMissingError:
            # Nothing has run, so this cannot run the script twice.
            return await self.call(*with_text(command))

    async def pipe(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands in one round trip and return their replies.

        Where the server lacks a script, that command and all after it are sent again. So
        what follows a script must be safe to repeat, and must not be another script.

        Raises:
            TransportError: the connection failed, or a command did; the first such error.
        """
        try:
            async with self._slots:
                replies = await self._pipelines.exchange(commands)
                missing = _first_missing_script(replies)
                if missing < len(replies):
                    # The missing script has not run, so it runs once. What follows it has
                    # run too early: WAIT must wait for what the script writes. What
                    # precedes it is not repeated.
                    rest = [with_text(command) for command in commands[missing:]]
                    replies[missing:] = await self._pipelines.exchange(rest)
        except FAILURES as error:
            raise await self._failure(error) from error
        self._replied()
        for command, reply in zip(commands, replies, strict=True):
            if isinstance(reply, Exception):
                raise await self._failure(reply, command) from reply
        return replies

    async def wrong_types(self, keys: Sequence[str]) -> list[str]:
        """What is wrong with the types of keys, as `wrong_type` says it.

        Raises:
            TransportError: the connection failed, or the server refuses.
        """
        # Not `pipe`: this also runs while the reader is waiting on its own connection.
        kinds = [await self.call("TYPE", key) for key in keys]
        found = zip(keys, kinds, strict=True)
        said = (wrong_type(key, kind.decode()) for key, kind in found)
        return [text for text in said if text]

    async def close(self) -> None:
        """Close all connections, those to sentinels included."""
        await self._client.aclose()
        pool = getattr(self._client, "connection_pool", None)
        if isinstance(pool, SentinelConnectionPool):
            for sentinel in pool.sentinel_manager.sentinels:
                await sentinel.aclose()

    def _replied(self) -> None:
        self.last_reply = self._clock.monotonic()
        if self.broken:
            self.broken = False
            self._recorder.reconnected()
            _log.info("reconnected to Redis")

    async def _failure(
        self, error: BaseException, command: Command = ()
    ) -> TransportError:
        translated = translate(error, self._secrets)
        if isinstance(translated, BrokenError):
            self.broken = True
        elif isinstance(translated, ReadOnlyError):
            self.broken = True
            await self._leave_replica()
        else:
            self._replied()
        if isinstance(translated, WrongTypeError):
            return await self._with_key(translated, command)
        return translated

    async def _with_key(
        self, error: WrongTypeError, command: Command
    ) -> WrongTypeError:
        """The error with the name of the key, which Redis does not tell."""
        try:
            wrong = await self.wrong_types(keys_in(command))
        except TransportError:
            return error
        return WrongTypeError(f"WRONGTYPE {wrong[0]}") if wrong else error

    async def _leave_replica(self) -> None:
        """Close the connections to a server that is no longer the primary."""
        await self._pipelines.leave()
        pool = getattr(self._client, "connection_pool", None)
        if pool is not None:
            await pool.disconnect(inuse_connections=False)


def _first_missing_script(replies: Sequence[Any]) -> int:
    """Index of the first reply NOSCRIPT; the number of replies if there is none."""
    found = (n for n, reply in enumerate(replies) if isinstance(reply, NoScriptError))
    return next(found, len(replies))

"""Sends commands and scripts to Redis; every failure is raised as a `TransportError`."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Final

from evmon._clock import Clock
from evmon._telemetry.transport_recorder import TransportRecorder
from evmon._transports.redis.connections import Command, Connections
from evmon._transports.redis.delivery import deliver
from evmon._transports.redis.errors import (
    FAILURES,
    BrokenError,
    ReadOnlyError,
    WrongTypeError,
    translate,
)
from evmon._transports.redis.key_types import keys_in, wrong_type
from evmon._transports.redis.scripts import Script
from evmon.errors import TransportError

MAX_CALLS: Final = 50
"""Maximum number of concurrent calls, and so of connections; further ones wait."""

_PRIMARY: Final = b"master"
"""What ROLE says first on a primary."""

_log = logging.getLogger("evmon.transport")


class Client:
    """Sends commands, translates errors and counts reconnections.

    Args:
        connections: connections to the primary.
        secrets: texts that must not appear in an error.
        recorder: counter of reconnections.
        clock: source of time.
        patience: seconds for which a command is sent again while its slot moves.
    """

    def __init__(
        self,
        connections: Connections,
        secrets: Sequence[str],
        recorder: TransportRecorder,
        clock: Clock,
        patience: float,
    ) -> None:
        self._connections = connections
        self._secrets = secrets
        self._recorder = recorder
        self._clock = clock
        self._patience = patience
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
        (reply,) = await self.pipe([command])
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
        return await self.call(*script.command(keys, args))

    async def pipe(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands in one round trip, over one connection; return their replies.

        What a server has not run is sent again, see `deliver`.

        Raises:
            TransportError: the connection failed, or a command did; the first such error.
        """
        try:
            async with self._slots:
                replies = await deliver(
                    self._connections, commands, self._clock, self._patience
                )
        except FAILURES as error:
            raise await self._failure(error) from error
        self._replied()
        for command, reply in zip(commands, replies, strict=True):
            if isinstance(reply, Exception):
                raise await self._failure(reply, command) from reply
        return replies

    async def check_primary(self) -> None:
        """Check the server, which lacks what it should have.

        Raises:
            TransportError: it is not the primary, so its last reply says nothing.
        """
        primary = self._connections.primary
        before = primary.generation
        await primary.confirm(now=True)
        try:
            role = await self.call("ROLE")
        except (BrokenError, ReadOnlyError):
            raise
        except TransportError as error:
            _log.debug("cannot ask the server for its role: %s", error)
            role = [_PRIMARY]
        if role[0] != _PRIMARY:
            primary.lose(primary.generation)
        if before != primary.generation:
            raise ReadOnlyError("another server is the primary now")

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
        """Close all connections."""
        await self._connections.close()

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
        if isinstance(translated, (BrokenError, ReadOnlyError)):
            self.broken = True
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

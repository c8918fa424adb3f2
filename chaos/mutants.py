"""Mutants of evmon: each breaks one guarantee, and the checker must detect it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from evmon._transports.base import DeadLetter, Received, Redelivery
from evmon._transports.redis import RedisTransport
from evmon._transports.redis import address as connection
from evmon._transports.redis.dead_letters import dead_fields
from evmon._transports.redis.held import HeldEntries
from evmon._transports.redis.pipelines import Command
from evmon._transports.redis.reader import Reader
from evmon.errors import TransportError


def ack_first() -> None:
    """Acknowledges entries when they are read, before they are handled."""
    read = RedisTransport.read

    async def wrong(
        self: RedisTransport, max_count: int, max_wait: float
    ) -> list[Received]:
        entries = await read(self, max_count, max_wait)
        for received in entries:
            inbox: HeldEntries = received.token.inbox
            await self._client.call("XACK", inbox.stream, inbox.group, received.id)
        return entries

    _patch(RedisTransport, "read", wrong)


def noack() -> None:
    """Reads entries with NOACK."""
    command = Reader._read_command

    def wrong(
        self: Reader, inboxes: Sequence[HeldEntries], count: int, max_wait: float | None
    ) -> Command:
        arguments = command(self, inboxes, count, max_wait)
        return (*arguments[:4], "NOACK", *arguments[4:])

    _patch(Reader, "_read_command", wrong)


def group_at_dollar() -> None:
    """Creates consumer groups at the end of the stream."""

    async def wrong(self: Reader, inbox: HeldEntries) -> bool:
        create = ("XGROUP", "CREATE", inbox.stream, self._group, "$", "MKSTREAM")
        try:
            await self._client.call(*create)
        except TransportError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise
            return False
        return True

    _patch(Reader, "_make_group", wrong)


def no_reclaim() -> None:
    """Never claims the entries of dead consumers."""

    async def wrong(self: Reader, max_count: int) -> list[Received]:  # noqa: ARG001
        return []

    _patch(Reader, "_reclaim", wrong)


def delconsumer_at_exit() -> None:
    """Deletes the consumer on close, and its pending entries with it."""

    async def wrong(self: RedisTransport) -> None:
        await self.flush()
        for inbox in self._inboxes:
            delete = ("DELCONSUMER", inbox.stream, inbox.group, self._consumer)
            await self._client.call("XGROUP", *delete)

    _patch(RedisTransport, "_say_goodbye", wrong)


def non_atomic_dead_letters() -> None:
    """Acknowledges an entry before it appends the dead letter."""
    settle = RedisTransport.settle

    async def wrong(
        self: RedisTransport,
        received: Received,
        dead: DeadLetter | None,
        again: Redelivery | None,
    ) -> bool:
        if dead is None:
            return await settle(self, received, dead, again)
        inbox: HeldEntries = received.token.inbox
        await self._client.call("XACK", inbox.stream, inbox.group, received.id)
        await asyncio.sleep(0.1)
        fields = dead_fields(received, dead, self._consumer, self._clock.time())
        await self._client.call("XADD", self._keys.dead, "*", *fields)
        inbox.held.pop(received.id, None)
        return True

    _patch(RedisTransport, "settle", wrong)


def client_retries() -> None:
    """Lets redis-py resend commands that the server may have executed."""

    def retry(*_: Any) -> Retry:
        return Retry(NoBackoff(), 3)

    _patch(connection, "Retry", retry)


MUTANTS: dict[str, Callable[[], None]] = {
    mutant.__name__: mutant
    for mutant in (
        ack_first,
        noack,
        group_at_dollar,
        no_reclaim,
        delconsumer_at_exit,
        non_atomic_dead_letters,
        client_retries,
    )
}


def apply(name: str) -> None:
    """Patch evmon in this process with a mutant."""
    MUTANTS[name]()


def _patch(target: Any, name: str, wrong: Any) -> None:
    if not hasattr(target, name):
        raise AttributeError(f"{target!r} has no {name}: update the mutant")
    setattr(target, name, wrong)

"""Mutants of evmon, each wrong in a way that loses events or hides it.

They prove the checker: a harness that stays green with one of them finds nothing.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from evmon._transports.base import DeadLetter, Received, Redelivery
from evmon._transports.redis import RedisTransport, address
from evmon._transports.redis.dead_letters import dead_fields
from evmon._transports.redis.groups import ConsumerGroups
from evmon._transports.redis.held import HeldEntries
from evmon._transports.redis.pipelines import Command
from evmon._transports.redis.reader import Reader
from evmon.errors import TransportError


def ack_first() -> None:
    """Entries are acked when they are read, not when they are handled."""
    read = RedisTransport.read

    async def wrong(
        self: RedisTransport, max_count: int, max_wait: float
    ) -> list[Received]:
        entries = await read(self, max_count, max_wait)
        for received in entries:
            held: HeldEntries = received.token.held
            await self._client.call("XACK", held.stream, held.group, received.id)
        return entries

    _put(RedisTransport, "read", wrong)


def noack() -> None:
    """Entries are read with NOACK."""
    command = Reader._read_command

    def wrong(
        self: Reader, streams: Sequence[HeldEntries], count: int, block: float | None
    ) -> Command:
        words = command(self, streams, count, block)
        return (*words[:4], "NOACK", *words[4:])

    _put(Reader, "_read_command", wrong)


def group_at_dollar() -> None:
    """A group that is made reads what comes from then on."""

    async def wrong(self: ConsumerGroups, held: HeldEntries) -> bool:
        create = ("XGROUP", "CREATE", held.stream, held.group, "$", "MKSTREAM")
        try:
            await self._client.call(*create)
        except TransportError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise
            return False
        return True

    _put(ConsumerGroups, "_create_group", wrong)


def no_reclaim() -> None:
    """Nobody takes over what a dead consumer held."""

    async def wrong(self: Reader, max_count: int) -> list[Received]:  # noqa: ARG001
        return []

    _put(Reader, "_reclaim", wrong)


def delconsumer_at_exit() -> None:
    """A consumer deletes its name at the end, and what is pending under it."""

    async def wrong(self: RedisTransport) -> None:
        await self.flush()
        consumer = self._consumer
        for held in consumer.streams:
            forget = ("DELCONSUMER", held.stream, held.group, consumer.name)
            await self._client.call("XGROUP", *forget)

    _put(RedisTransport, "_leave_group", wrong)


def non_atomic_dead_letters() -> None:
    """An entry is acked first, and becomes a dead letter a little later."""
    settle = RedisTransport.settle

    async def wrong(
        self: RedisTransport,
        received: Received,
        dead: DeadLetter | None,
        redelivery: Redelivery | None,
    ) -> bool:
        if dead is None:
            return await settle(self, received, dead, redelivery)
        held: HeldEntries = received.token.held
        await self._client.call("XACK", held.stream, held.group, received.id)
        await asyncio.sleep(0.1)
        fields = dead_fields(received, dead, self._consumer.name, self._clock.time())
        await self._client.call("XADD", self._consumer.keys.dead, "*", *fields)
        held.drop(received.id)
        return True

    _put(RedisTransport, "settle", wrong)


def client_retries() -> None:
    """The client sends again by itself what may have been carried out already."""

    def retry(*_: Any) -> Retry:
        return Retry(NoBackoff(), 3)

    _put(address, "Retry", retry)


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
    """Make this process's evmon wrong."""
    MUTANTS[name]()


def _put(target: Any, name: str, wrong: Any) -> None:
    if not hasattr(target, name):
        raise AttributeError(f"{target!r} has no {name}: the mutant is out of date")
    setattr(target, name, wrong)

"""Mutants of evmon: each breaks one guarantee, and the checker must detect it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from evmon._transports.base import DeadLetter, Outcome, Received
from evmon._transports.redis import RedisTransport, address
from evmon._transports.redis.dead_letters import dead_fields
from evmon._transports.redis.groups import ConsumerGroups
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
            held: HeldEntries = received.token.held
            await self._client.call("XACK", held.stream, held.group, received.id)
        return entries

    _patch(RedisTransport, "read", wrong)


def noack() -> None:
    """Reads entries with NOACK."""
    command = Reader._read_command

    def wrong(
        self: Reader, streams: Sequence[HeldEntries], count: int, block: float | None
    ) -> Command:
        words = command(self, streams, count, block)
        return (*words[:4], "NOACK", *words[4:])

    _patch(Reader, "_read_command", wrong)


def group_at_dollar() -> None:
    """Creates consumer groups at the end of the stream."""

    async def wrong(self: ConsumerGroups, held: HeldEntries) -> bool:
        create = ("XGROUP", "CREATE", held.stream, held.group, "$", "MKSTREAM")
        try:
            await self._client.call(*create)
        except TransportError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise
            return False
        return True

    _patch(ConsumerGroups, "_create_group", wrong)


def no_reclaim() -> None:
    """Never claims the entries of dead consumers."""

    async def wrong(self: Reader, max_count: int) -> list[Received]:  # noqa: ARG001
        return []

    _patch(Reader, "_reclaim", wrong)


def delconsumer_at_exit() -> None:
    """Deletes the consumer on close, and its pending entries with it."""

    async def wrong(self: RedisTransport) -> None:
        await self.flush()
        consumer = self._consumer
        for held in consumer.streams:
            delete = ("DELCONSUMER", held.stream, held.group, consumer.name)
            await self._client.call("XGROUP", *delete)

    _patch(RedisTransport, "_leave_group", wrong)


def non_atomic_dead_letters() -> None:
    """Acknowledges an entry before it appends the dead letter."""
    settle = RedisTransport.settle

    async def wrong(
        self: RedisTransport, received: Received, outcomes: Sequence[Outcome]
    ) -> bool:
        letters = [o for o in outcomes if isinstance(o, DeadLetter)]
        if not letters:
            return await settle(self, received, outcomes)
        held: HeldEntries = received.token.held
        await self._client.call("XACK", held.stream, held.group, received.id)
        await asyncio.sleep(0.1)
        now = self._clock.time()
        for letter in letters:
            fields = dead_fields(received, letter, self._consumer.name, now)
            await self._client.call("XADD", self._consumer.keys.dead, "*", *fields)
        held.drop(received.id)
        return True

    _patch(RedisTransport, "settle", wrong)


def client_retries() -> None:
    """Lets redis-py resend commands that the server may have executed."""

    def retry(*_: Any) -> Retry:
        return Retry(NoBackoff(), 3)

    _patch(address, "Retry", retry)


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

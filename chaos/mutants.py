"""Mutants of evmon: each breaks one guarantee, and the checker must detect it."""

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from redis.exceptions import RedisError

from evmon._transports.base import DeadLetter, Outcome, Received
from evmon._transports.redis import RedisTransport, scripts
from evmon._transports.redis.acks import Acks
from evmon._transports.redis.batch_size import BatchSize
from evmon._transports.redis.connections import Command, Connections
from evmon._transports.redis.dead_letters import dead_fields
from evmon._transports.redis.dial import Server
from evmon._transports.redis.groups import ConsumerGroups
from evmon._transports.redis.held import HeldEntries
from evmon._transports.redis.reader import Reader
from evmon._transports.redis.scripts import Script
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
    """Resends commands that the server may have executed."""
    exchange = Connections.exchange

    async def wrong(self: Connections, commands: Sequence[Command]) -> list[Any]:
        for _ in range(3):
            with contextlib.suppress(RedisError, OSError):
                return await exchange(self, commands)
        return await exchange(self, commands)

    _patch(Connections, "exchange", wrong)


def unfenced_acks() -> None:
    """Acknowledges entries that another consumer has reclaimed."""

    def wrong(
        self: Acks,  # noqa: ARG001
        held: HeldEntries,
        ids: Sequence[str],
    ) -> Command:
        return ("XACK", held.stream, held.group, *ids)

    def report(self: Acks, reply: Any, ids: Sequence[str]) -> bool:  # noqa: ARG001
        return True

    _patch(Acks, "command", wrong)
    _patch(Acks, "report", report)


def batches_by_count() -> None:
    """Reads and publishes as many events at once as there are, however large."""

    def of(self: BatchSize, wanted: int) -> int:  # noqa: ARG001
        return wanted

    def fitting(self: BatchSize, sizes: Sequence[int]) -> int:  # noqa: ARG001
        return len(sizes)

    _patch(BatchSize, "of", of)
    _patch(BatchSize, "fitting", fitting)


def undeclared_stream() -> None:
    """Promotes retries to streams that the script does not declare."""
    promote = scripts.PROMOTE
    declares = "local KEYS = {KEYS[1], KEYS[2], KEYS[3], unpack(ARGV, 2)}\n"
    text = declares + promote.text
    sha1 = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    scripts._texts[sha1] = text

    class Wrong(Script):
        def command(self, keys: Sequence[str | bytes], args: Sequence[Any]) -> Command:
            return super().command(keys[:3], (*args, *keys[3:]))

    _patch(scripts, "PROMOTE", Wrong(text, sha1, promote.commands))


def wait_elsewhere() -> None:
    """Sends WAIT to another node of the cluster, which has written nothing."""
    exchange = Connections.exchange

    async def wrong(self: Connections, commands: Sequence[Command]) -> list[Any]:
        if commands[-1][0] != "WAIT":
            return await exchange(self, commands)
        *replies, nodes = await exchange(self, [*commands[:-1], ("CLUSTER", "NODES")])
        connection = await self._dial(
            _other_primary(nodes.decode(), await self.primary.server())
        )
        await connection.send_command(*commands[-1])
        replies.append(await connection.read_response())
        await connection.disconnect()
        return replies

    _patch(Connections, "exchange", wrong)


def _other_primary(nodes: str, owner: Server) -> Server:
    """A primary with a replica, and without the slot, from the reply to CLUSTER NODES."""
    rows = [line.split() for line in nodes.splitlines()]
    with_replicas = {row[3] for row in rows}
    address = next(
        row[1].partition("@")[0]
        for row in rows
        if row[0] in with_replicas and not row[1].startswith(f"{owner[0]}:{owner[1]}@")
    )
    host, _, port = address.rpartition(":")
    return host, int(port)


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
        unfenced_acks,
        batches_by_count,
    )
}
"""Mutants that a single server shows."""

TOPOLOGY_MUTANTS: dict[str, Callable[[], None]] = {
    mutant.__name__: mutant for mutant in (undeclared_stream, wait_elsewhere)
}
"""Mutants that several servers show."""


def apply(name: str) -> None:
    """Patch evmon in this process with a mutant."""
    (MUTANTS | TOPOLOGY_MUTANTS)[name]()


def _patch(target: Any, name: str, wrong: Any) -> None:
    if not hasattr(target, name):
        raise AttributeError(f"{target!r} has no {name}: update the mutant")
    setattr(target, name, wrong)

"""Appends batches of events to their streams, in parts that arrive in time."""

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from evmon._failpoints import ON, reach
from evmon._settings.configs import RedisConfig
from evmon._transports.redis import scripts
from evmon._transports.redis.batch_size import BatchSize
from evmon._transports.redis.client import Client
from evmon._transports.redis.routing import StreamRouter
from evmon.errors import TransportError

TICKET_SECONDS: Final = 86_400
"""Seconds for which the ticket of a producer's last batch is kept."""


class Appender:
    """Appends the events of one producer.

    Args:
        client: connection to Redis.
        producer: key of the producer's last ticket.
        router: selects the stream of each event.
        config: timeouts, and the number of replicas to wait for.
    """

    def __init__(
        self, client: Client, producer: str, router: StreamRouter, config: RedisConfig
    ) -> None:
        self._client = client
        self._producer = producer
        self._router = router
        self._config = config
        self._size = BatchSize()
        self.sent_to: Sequence[str] = ()
        """Stream of each event of the last batch; empty if all go to the service's own."""
        self._missing = (0, 0)
        """Ticket of a batch that is appended in part, and the number of these events."""

    async def append(
        self, batch: Sequence[bytes], types: Sequence[str], ticket: int
    ) -> list[Exception | None]:
        """Append events in order; returns for each None, or why it may be missing.

        Args:
            batch: encoded events of a batch, or those that an earlier call left out.
            types: types of the events.
            ticket: number of the batch; 0 if there is only one attempt.

        Raises:
            TransportError: it is unknown whether any of them were appended.
        """
        sizes = [len(raw) for raw in batch]
        self.sent_to = names = self._router.names(types)
        key = self._router.key
        streams = [key(name) for name in names] or [key()] * len(batch)
        part, first = self._missing
        first = first if part == ticket else 0
        done = 0
        while done < len(batch):
            end = done + self._size.fitting(sizes[done:])
            events = list(zip(streams[done:end], batch[done:end], strict=True))
            try:
                await self._send(events, ticket, first + done)
            except TransportError as error:
                self._size.failed()
                self._missing = (ticket, first + done)
                if not done:
                    raise
                return [None] * done + [error] * (len(batch) - done)
            self._size.arrived(sizes[done:end])
            done = end
        self._missing = (0, 0)
        return [None] * len(batch)

    async def _send(
        self, events: Sequence[tuple[str, bytes]], ticket: int, first: int
    ) -> None:
        """Append streams and events in one step; `first` is the number of those before."""
        keys = [self._producer, *dict(events)]
        args: list[Any] = [ticket, TICKET_SECONDS, first]
        for stream, run in groupby(events, key=itemgetter(0)):
            raws = [raw for _, raw in run]
            args += (keys.index(stream, 1) + 1, len(raws), *raws)
        if ON:
            reach("before_publish")
        needed = self._config.min_replicas
        if needed:
            # WAIT counts replicas for its own connection, so it is sent over the same.
            wait = ("WAIT", needed, int(self._config.timeout * 1000 / 2))
            commands = [scripts.PUBLISH.command(keys, args), wait]
            _, reached = await self._client.pipe(commands)
            if reached < needed:
                raise TransportError(f"{reached} of {needed} replicas have the events")
        else:
            await self._client.eval(scripts.PUBLISH, keys, args)
            if ON:
                reach("after_publish")

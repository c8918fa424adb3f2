"""Settles failed entries: dead-letters them, schedules a retry, or both."""

import asyncio
import logging
from dataclasses import replace
from typing import Any

from evmon._event_records import about
from evmon._failpoints import ON, reach
from evmon._transports.base import DeadLetter, Received, Redelivery
from evmon._transports.redis import scripts
from evmon._transports.redis.client import Client
from evmon._transports.redis.consumer import Consumer
from evmon._transports.redis.dead_letters import dead_fields
from evmon._transports.redis.entries import EVENT, write_extra
from evmon._transports.redis.errors import BrokenError
from evmon._transports.redis.held import HeldEntries, Origin
from evmon._transports.redis.keys import MARK_SECONDS
from evmon._transports.redis.reader import Reader

_log = logging.getLogger("evmon.transport")


class Settlement:
    """Settles entries of one consumer, atomically and once.

    Args:
        consumer: consumer that holds the entries.
        client: connection to Redis.
        reader: reader of the consumer, which promotes the retries.
        max_scheduled: maximum number of scheduled retries.
    """

    def __init__(
        self, consumer: Consumer, client: Client, reader: Reader, max_scheduled: int
    ) -> None:
        self._consumer = consumer
        self._client = client
        self._reader = reader
        self._max_scheduled = max_scheduled
        self.in_doubt: set[Received] = set()
        """Entries whose settlement was sent, but its reply was lost."""

    async def settle(
        self, received: Received, dead: DeadLetter | None, redelivery: Redelivery | None
    ) -> bool:
        """Acknowledge an entry and dead-letter it, schedule it, or both, in one step.

        Returns:
            False if nothing was done because the entry was reclaimed.

        Raises:
            TransportError: the server cannot be reached, or refuses.
        """
        held: HeldEntries = received.token.held
        now = self._consumer.clock.time() + self._reader.server_ahead
        letter: list[bytes] = []
        if dead is not None:
            letter = dead_fields(received, dead, self._consumer.name, now)
        retry: list[bytes | int] = []
        if redelivery is not None:
            delay_ms = int(redelivery.delay * 1000)
            retry = [delay_ms, *_retry_fields(received, redelivery, now)]
        fields = (len(letter), *letter, *retry)
        in_doubt = received in self.in_doubt
        if ON:
            reach("before_settle")
        try:
            done = await self._run(received, fields, mark_orphan=0)
            if done < 0 and not in_doubt and received.id in held.entries:
                subject = about(received)
                _log.warning(
                    "%s was removed from the group's pending entries (XGROUP"
                    " DELCONSUMER?): settling it anyway",
                    subject,
                    extra=subject.fields,
                )
                done = await self._run(received, fields, mark_orphan=MARK_SECONDS)
        except (BrokenError, asyncio.CancelledError):
            self.in_doubt.add(received)
            raise
        if redelivery is not None:
            self._reader.retry_scheduled()
        if ON:
            reach("after_settle")
        self.in_doubt.discard(received)
        held.drop(received.id)
        # If an earlier reply was lost, it was this consumer that settled the entry.
        return done > 0 or in_doubt

    async def _run(
        self, received: Received, fields: tuple[Any, ...], *, mark_orphan: int
    ) -> int:
        """Run the script; returns its reply."""
        consumer, held = self._consumer, received.token.held
        keys = consumer.keys
        done: int = await self._client.eval(
            scripts.SETTLE,
            (held.stream, keys.dead, keys.retry, keys.retry_entries, *consumer.marks),
            (
                *(held.group, consumer.name, received.id),
                *(self._max_scheduled, mark_orphan, *fields),
            ),
        )
        return done


def _retry_fields(
    received: Received, redelivery: Redelivery, now: float
) -> list[bytes]:
    """The fields of an entry's retry.

    Args:
        received: entry to retry.
        redelivery: attempts so far, and handlers to call.
        now: current Unix time.
    """
    origin: Origin = received.token
    extra = replace(
        origin.extra,
        attempts=redelivery.attempts,
        handlers=redelivery.handlers,
        group=origin.held.group,
        first_failed=origin.extra.first_failed or now,
    )
    return [EVENT, received.raw, *write_extra(extra)]

"""Settles failed entries: stores their dead letters and schedules their retries."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from evmon._failpoints import ON, reach
from evmon._log_fields import about
from evmon._transports.base import DeadLetter, Outcome, Received, Redelivery
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

    async def settle(self, received: Received, outcomes: Sequence[Outcome]) -> bool:
        """Acknowledge an entry, store its dead letters and schedule its retries.

        Returns:
            False if nothing was done because the entry was reclaimed.

        Raises:
            TransportError: the server cannot be reached, or refuses.
        """
        held: HeldEntries = received.token.held
        letters = [o for o in outcomes if isinstance(o, DeadLetter)]
        retries = [o for o in outcomes if isinstance(o, Redelivery)]
        arguments = self._arguments(received, letters, retries)
        in_doubt = received in self.in_doubt
        if ON:
            reach("before_settle")
        try:
            done = await self._run(received, arguments, mark_orphan=0)
            if done < 0 and not in_doubt and received.id in held.entries:
                subject = about(received)
                _log.warning(
                    "%s was removed from the group's pending entries (XGROUP"
                    " DELCONSUMER?): settling it anyway",
                    subject,
                    extra=subject.fields,
                )
                done = await self._run(received, arguments, mark_orphan=MARK_SECONDS)
        except (BrokenError, asyncio.CancelledError):
            self.in_doubt.add(received)
            raise
        if done == 0 and not in_doubt:
            await self._client.check_primary()
        if retries:
            self._reader.retry_scheduled()
        if ON:
            reach("after_settle")
        self.in_doubt.discard(received)
        held.drop(received.id)
        # If an earlier reply was lost, it was this consumer that settled the entry.
        return done > 0 or in_doubt

    def _arguments(
        self,
        received: Received,
        letters: Sequence[DeadLetter],
        retries: Sequence[Redelivery],
    ) -> list[bytes | int]:
        """What follows in ARGV: the dead letters, and then the retries."""
        now = self._consumer.server_clock.time()
        arguments: list[bytes | int] = [len(letters)]
        for letter in letters:
            fields = dead_fields(received, letter, self._consumer.name, now)
            arguments += (len(fields), *fields)
        for retry in retries:
            fields = _retry_fields(received, retry, now)
            arguments += (int(retry.delay * 1000), len(fields), *fields)
        return arguments

    async def _run(
        self, received: Received, arguments: Sequence[Any], *, mark_orphan: int
    ) -> int:
        """Run the script; returns its reply."""
        consumer, held = self._consumer, received.token.held
        keys = consumer.keys
        done: int = await self._client.eval(
            scripts.SETTLE,
            (held.stream, keys.dead, keys.retry, keys.retry_entries, *consumer.marks),
            (
                *(held.group, consumer.name, received.id),
                *(self._max_scheduled, mark_orphan, *arguments),
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

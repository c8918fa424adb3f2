"""Renews ownership of entries while their handlers run, and releases unfinished ones."""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from typing import Final

from evmon._log_fields import about, about_many
from evmon._transports.base import Received
from evmon._transports.redis import scripts
from evmon._transports.redis.client import Client
from evmon._transports.redis.consumer import Consumer
from evmon._transports.redis.held import HeldEntries
from evmon._transports.redis.keys import MARK_SECONDS
from evmon.errors import TransportError

RENEWALS: Final = 4
"""Renewals during one lease, so that one or two may fail."""

_log = logging.getLogger("evmon.transport")


class Leases:
    """Renews and releases the leases of one consumer.

    Args:
        consumer: consumer whose entries are renewed.
        client: connection to Redis.
    """

    def __init__(self, consumer: Consumer, client: Client) -> None:
        self._consumer = consumer
        self._client = client
        self.lost: Callable[[Received], None] = lambda _: None

    async def run(self) -> None:
        """Renew until cancelled."""
        clock, lease = self._consumer.clock, self._consumer.lease
        interval = lease / RENEWALS
        while True:
            before = clock.monotonic()
            await clock.sleep(interval)
            late = clock.monotonic() - before - interval
            if late > interval:
                _log.warning(
                    "the event loop was blocked for %.1f s: other consumers may reclaim"
                    " the events handled here (lease: %.1f s)",
                    late,
                    lease,
                )
            try:
                await self.renew()
            except TransportError as error:
                _log.warning("cannot renew leases, retrying: %s", error)

    async def renew(self) -> None:
        """Renew the leases of all held entries; drop those that were reclaimed.

        Raises:
            TransportError: the server cannot be reached, or refuses.
        """
        # Concurrently: a time-out on one stream must not delay the others.
        renewals = (self._renew(held) for held in self._consumer.streams)
        for error in await asyncio.gather(*renewals, return_exceptions=True):
            if error is not None:
                raise error

    async def _renew(self, held: HeldEntries) -> None:
        ids = list(held.entries)
        if not ids:
            return
        reclaimed, trimmed = await self._client.eval(
            scripts.RENEW,
            (held.stream, *self._consumer.marks),
            (held.group, self._consumer.name, MARK_SECONDS, *ids),
        )
        if trimmed:
            entries = map(held.entries.get, map(bytes.decode, trimmed))
            subject = about_many(len(trimmed), [e for e in entries if e is not None])
            _log.warning(
                "%s were trimmed from the stream while being handled here: if this"
                " process dies now, they are lost",
                subject,
                extra=subject.fields,
            )
        for entry_id in reclaimed:
            received = held.drop(entry_id.decode())
            if received is not None:
                held.recorder.lease_lost()
                subject = about(received)
                _log.warning(
                    "lease of %s lost: another consumer reclaimed it",
                    subject,
                    extra=subject.fields,
                )
                self.lost(received)

    async def release(
        self, received: Sequence[Received], in_doubt: Collection[Received]
    ) -> None:
        """Release entries, so that another consumer can reclaim them at once.

        Args:
            received: entries to release.
            in_doubt: entries that may be settled already.

        Raises:
            TransportError: the server cannot be reached; the entries stay pending.
        """
        for held in self._consumer.streams:
            ours = [r for r in received if r.token.held is held]
            unsettled = [
                r.id for r in ours if r.id in held.entries and r not in in_doubt
            ]
            ids = [*unsettled, *(r.id for r in ours if r.id not in unsettled)]
            for entry_id in ids:
                held.drop(entry_id)
            if ids:
                await self._release(held, ids, len(unsettled))

    async def _release(
        self, held: HeldEntries, ids: Sequence[str], unsettled: int
    ) -> None:
        lease_ms = self._consumer.lease_ms
        trimmed = await self._client.eval(
            scripts.RELEASE,
            (held.stream, *self._consumer.marks),
            (held.group, self._consumer.name, lease_ms, unsettled, *ids),
        )
        if trimmed:
            self._consumer.recorder.lost("trimmed", trimmed)
            subject = about_many(trimmed)
            _log.error(
                "lost %s: trimmed from the stream before they were handled",
                subject,
                extra=subject.fields,
            )

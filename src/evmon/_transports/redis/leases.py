"""Leases: what is handled here stays ours while it takes its time, and only then."""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from typing import Final

from evmon._clock import Clock
from evmon._telemetry.transport_recorder import TransportRecorder
from evmon._transports.base import Received
from evmon._transports.redis import scripts
from evmon._transports.redis.client import Client
from evmon._transports.redis.held import HeldEntries
from evmon._transports.redis.keys import NOTED_SECONDS, Keys
from evmon.errors import TransportError

RENEWALS: Final = 4
"""Renewals in the time of a lease, so that one or two may fail."""

_log = logging.getLogger("evmon.transport")


class Leases:
    """Renews and gives back the leases of one consumer.

    Args:
        client: to the server.
        inboxes: what is held.
        keys: of the service.
        consumer: name of this consumer.
        lease: seconds of silence after which entries are taken over.
        recorder: measures.
        clock: time.
    """

    def __init__(
        self,
        client: Client,
        inboxes: Sequence[HeldEntries],
        keys: Keys,
        consumer: str,
        lease: float,
        recorder: TransportRecorder,
        clock: Clock,
    ) -> None:
        self._client = client
        self._inboxes = inboxes
        self._consumer = consumer
        self._notes = (keys.trimmed(consumer), keys.taken(consumer))
        self._lease = lease
        self._recorder = recorder
        self._clock = clock
        self.lost: Callable[[Received], None] = lambda _: None

    async def run(self) -> None:
        """Renew until cancelled."""
        interval = self._lease / RENEWALS
        while True:
            before = self._clock.monotonic()
            await self._clock.sleep(interval)
            late = self._clock.monotonic() - before - interval
            if late > interval:
                _log.warning(
                    "the event loop was blocked for %.1f s: other consumers may reclaim"
                    " the events handled here (lease: %.1f s)",
                    late,
                    self._lease,
                )
            try:
                await self.renew()
            except TransportError as error:
                _log.warning("cannot renew leases, retrying: %s", error)

    async def renew(self) -> None:
        """Renew what is ours, and let go of what is not.

        Raises:
            TransportError: the server could not be asked.
        """
        # At the same time: no stream is to wait until another one's renewal timed out.
        renewals = (self._renew(inbox) for inbox in self._inboxes)
        for error in await asyncio.gather(*renewals, return_exceptions=True):
            if error is not None:
                raise error

    async def _renew(self, inbox: HeldEntries) -> None:
        ids = list(inbox.held)
        if not ids:
            return
        taken, trimmed = await self._client.call(
            *("EVAL", scripts.RENEW, 3, inbox.stream, *self._notes),
            *(inbox.group, self._consumer, NOTED_SECONDS, *ids),
        )
        if trimmed:
            _log.warning(
                "%d events were trimmed from the stream while being handled here:"
                " if this process dies now, they are lost",
                len(trimmed),
            )
        for entry_id in taken:
            received = inbox.let_go(entry_id.decode())
            if received is not None:
                self._recorder.lease_lost()
                _log.warning(
                    "lease of event %s lost: another consumer reclaimed it", received.id
                )
                self.lost(received)

    async def release(
        self, received: Sequence[Received], in_doubt: Collection[Received]
    ) -> None:
        """Give entries back.

        Args:
            received: the entries.
            in_doubt: those that may be ended already.

        Raises:
            TransportError: the server could not be told; they stay pending.
        """
        for inbox in self._inboxes:
            ours = [r for r in received if r.token.inbox is inbox]
            sure = [r.id for r in ours if r.id in inbox.held and r not in in_doubt]
            ids = [*sure, *(r.id for r in ours if r.id not in sure)]
            for entry_id in ids:
                inbox.let_go(entry_id)
            if ids:
                silence = int(self._lease * 1000)
                trimmed = await self._client.call(
                    *("EVAL", scripts.RELEASE, 3, inbox.stream, *self._notes),
                    *(inbox.group, self._consumer, silence, len(sure), *ids),
                )
                if trimmed:
                    self._recorder.lost("trimmed", trimmed)
                    _log.error(
                        "lost %d events: trimmed from the stream before they were handled",
                        trimmed,
                    )

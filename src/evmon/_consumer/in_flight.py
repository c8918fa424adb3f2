"""Entries in flight: read from the transport and not yet finished."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from evmon._clock import Clock
from evmon._consumer.work import Settlement
from evmon._log_fields import about, about_many
from evmon._settings.retry_policy import RetryPolicy
from evmon._telemetry.recorders import ConsumeRecorder
from evmon._transports.base import DeadLetter, Received, Transport
from evmon.errors import TransportError

RECONNECT: Final = RetryPolicy()
"""Delays between attempts to reach the transport; handlers have their own policies."""

_log = logging.getLogger("evmon.consumer")


class InFlight:
    """Holds the entries in flight, counts them, and finishes each one once.

    Args:
        transport: transport that the entries were read from.
        recorder: recorder of the number in flight and of dead letters.
        clock: source of time and randomness.
        finished: set whenever an entry is finished.
    """

    def __init__(
        self,
        transport: Transport,
        recorder: ConsumeRecorder,
        clock: Clock,
        finished: asyncio.Event,
    ) -> None:
        self._transport = transport
        self._recorder = recorder
        self._clock = clock
        self._finished = finished
        self._entries: dict[Received, None] = {}  # in the order of delivery
        self._recorded = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, received: Received) -> bool:
        return received in self._entries

    def add(self, entries: Sequence[Received]) -> None:
        """Add entries that were just read."""
        self._entries.update(dict.fromkeys(entries))

    def remove(self, received: Received) -> None:
        """Remove an entry without telling the transport."""
        self._entries.pop(received, None)
        self._finished.set()

    def acknowledge(self, received: Received) -> None:
        """Acknowledge an entry whose handlers all succeeded."""
        self._transport.ack(received)
        self._entries.pop(received, None)
        self._finished.set()

    async def settle(self, settlement: Settlement) -> None:
        """Settle an entry, retrying until the transport accepts it."""
        received, outcomes = settlement.received, settlement.outcomes
        n = 0
        while True:
            try:
                settled = await self._transport.settle(received, outcomes)
                break
            except TransportError as error:
                subject = about(received)
                _log.warning(
                    "cannot settle %s, retrying: %s",
                    *(subject, error),
                    extra=subject.fields,
                )
                await self._clock.sleep(RECONNECT.delay(n) * self._clock.random())
                n += 1
        for outcome in outcomes:
            if settled and isinstance(outcome, DeadLetter):
                self._dead_lettered(received, outcome)
        self.remove(received)
        self.update_gauge()

    def _dead_lettered(self, received: Received, letter: DeadLetter) -> None:
        self._recorder.dead_lettered(letter.reason)
        subject = about(
            received,
            handler=letter.handlers[0] if len(letter.handlers) == 1 else None,
            attempt=letter.attempts or None,
        )
        _log.warning(
            "%s was dead-lettered (%s): %s",
            *(subject, letter.reason, letter.error_message),
            extra={**subject.fields, "reason": letter.reason},
        )

    async def release(self) -> None:
        """Flush acknowledgements and release unfinished entries."""
        unfinished = list(self._entries)
        subject = about_many(len(unfinished), unfinished)
        self._entries.clear()
        self.update_gauge()
        try:
            if unfinished:
                _log.warning(
                    "released %s for redelivery: not handled within the drain timeout",
                    subject,
                    extra=subject.fields,
                )
                await self._transport.release(unfinished)
            await self._transport.flush()
        except TransportError as error:
            _log.warning(
                "cannot release %s, which stay pending until reclaimed: %s",
                *(subject, error),
                extra=subject.fields,
            )

    def update_gauge(self) -> None:
        """Record the number in flight; called once for many entries, to save time."""
        change = len(self._entries) - self._recorded
        if change:
            self._recorded += change
            self._recorder.in_flight(change)

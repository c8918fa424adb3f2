"""The publisher: buffers events and sends them in batches."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from evmon._batch import Batch, all_sent, late, refused
from evmon._clock import Clock, move_on_after
from evmon._events import Event, decode_data, encode
from evmon._handlers.registry import Route
from evmon._history import History
from evmon._log_fields import about_many
from evmon._retry import Retrier
from evmon._settings.configs import (
    DEFAULT_LIMITS,
    Batching,
    EventLimits,
    PublishRetry,
)
from evmon._telemetry.recorders import PublishRecorder
from evmon._transports.base import Transport
from evmon.errors import (
    BusStateError,
    InvalidEventError,
    PublishError,
    TransportError,
)

MAX_BATCH_BYTES: Final = 4 * 1024 * 1024
"""Bytes at which a batch is full, to keep requests to the server small."""

_WRONG_LOOP: Final = (
    "not on the event loop of the bus; in a thread, such as that of a plain handler,"
    " use publish_sync()"
)

_log = logging.getLogger("evmon.publisher")


class Publisher:
    """Sends events in batches.

    A single event is sent at once. Events that arrive while a batch is being sent form
    the next one, so batches grow with the load without waiting.

    Args:
        transport: transport that the batches are sent to.
        batching: sizes of batches and of the buffer.
        retry: how batches, or parts of them, are retried.
        retrier: retrier that applies its policy.
        recorder: recorder of metrics.
        route_of: function that returns the label of an event type, and how its data is
            validated.
        clock: source of time.
        limits: maximum size and depth of an event.
        history: history of a test, to which accepted events are added.
    """

    def __init__(
        self,
        transport: Transport,
        batching: Batching,
        *,
        retry: PublishRetry,
        retrier: Retrier,
        recorder: PublishRecorder,
        route_of: Callable[[str], Route],
        clock: Clock,
        limits: EventLimits = DEFAULT_LIMITS,
        history: History | None = None,
    ) -> None:
        self._transport = transport
        self._max_size = batching.max_size
        self._batching = batching
        self._policy = retry.policy
        self._deadline = retry.deadline
        self._retrier = retrier
        self._recorder = recorder
        self._route_of = route_of
        self._clock = clock
        self._limits = limits
        self._history = history
        self._batches: deque[Batch] = deque()
        self._buffered = 0
        self._counted = 0
        self._progress_at = 0.0
        self._room = asyncio.Event()
        self._wake = asyncio.Event()
        self._urgent = asyncio.Event()
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def buffered(self) -> int:
        """Number of events waiting to be sent or being sent."""
        return self._buffered

    async def publish(self, event: "Event[Any]") -> None:
        """Send an event; returns when the transport has accepted it.

        Raises:
            InvalidEventError: it is too large, too deep or not representable in JSON, or
                its data is not of the declared type.
            PublishError: the transport did not accept it, after all retries.
        """
        self._check_loop()
        raw, label = self._encode(event)
        if self._buffered >= self._batching.max_buffered:
            await self._wait_for_room()
        batch = self._add(event, raw, label, urgent=True)
        index = len(batch.ids) - 1
        results = await asyncio.shield(batch.done)
        error = results[index]
        if error is not None:
            raise PublishError(event.id, str(error)) from error

    async def publish_many(
        self,
        events: Iterable["Event[Any]"],
        timeout: float | None = None,
    ) -> list[PublishError | None]:
        """Send many events; returns for each None, or why it was refused.

        Those that are not accepted after `timeout` seconds are refused.
        """
        self._check_loop()
        expired = asyncio.get_running_loop().create_future()
        timer = None
        if timeout is not None:
            timer = self._clock.call_later(timeout, lambda: self._expire(expired))
        try:
            return await self._publish_until(expired, events, timeout or 0.0)
        finally:
            if timer is not None:
                timer.cancel()

    async def _publish_until(
        self,
        expired: "asyncio.Future[None]",
        events: Iterable["Event[Any]"],
        timeout: float,
    ) -> list[PublishError | None]:
        sent: list[tuple[Batch, int]] = []
        outcome: list[PublishError | None] = []
        try:
            for event in events:
                try:
                    raw, label = self._encode(event)
                except InvalidEventError as error:
                    outcome.append(refused(event.id, error))
                    continue
                if self._buffered >= self._batching.max_buffered:
                    await self._wait_for_room(expired)
                    if expired.done():
                        outcome.append(late(event.id, timeout))
                        continue
                batch = self._add(event, raw, label, urgent=True)
                sent.append((batch, len(batch.ids) - 1))
                outcome.append(None)
        except Exception:
            await all_sent(sent, expired)  # the events before are still sent
            raise
        await all_sent(sent, expired)
        buffered = [at for at, error in enumerate(outcome) if error is None]
        for at, (batch, index) in zip(buffered, sent, strict=True):
            if not batch.done.done():
                outcome[at] = late(batch.ids[index], timeout)
            elif (failure := batch.done.result()[index]) is not None:
                outcome[at] = refused(batch.ids[index], failure)
        return outcome

    def publish_nowait(self, event: "Event[Any]") -> None:
        """Buffer an event to be sent; a failure is logged and counted, not raised.

        Raises:
            InvalidEventError: it is too large, too deep or not representable in JSON, or
                its data is not of the declared type.
            PublishError: the buffer is full.
        """
        self._check_loop()
        raw, label = self._encode(event)
        if self._buffered >= self._batching.max_buffered:
            raise PublishError(
                event.id,
                f"the buffer is full ({self._buffered} events): await publish() instead",
            )
        self._add(event, raw, label, urgent=False)

    async def run(self) -> None:
        """Send batches; returns after `close`, once all batches are sent."""
        self._loop = asyncio.get_running_loop()
        self._recorder.buffer_limited(self._batching.max_buffered)
        try:
            await self._send_all()
        finally:
            self._recorder.buffer_limited(-self._batching.max_buffered)

    async def _send_all(self) -> None:
        while True:
            self._wake.clear()
            if not self._batches:
                if self._closed:
                    return
                await self._wake.wait()
                continue
            batch = self._batches[0]
            full = self._is_full(batch)
            if not (batch.urgent or full or self._closed):
                with move_on_after(self._clock, self._batching.max_wait):
                    await self._urgent.wait()
            self._urgent.clear()
            self._batches.popleft()
            await self._send(batch)

    async def flush(self) -> None:
        """Send all buffered events without delay; returns when they are sent."""
        for batch in self._batches:
            batch.urgent = True
        self._urgent.set()
        while self._buffered:
            self._room.clear()
            await self._room.wait()

    def close(self) -> None:
        """Accept no more events; `run` returns once the buffer is empty."""
        self._closed = True
        self._wake.set()
        self._urgent.set()

    def abandon(self) -> int:
        """Drop all buffered events; returns their number."""
        self._closed = True
        self._room.set()
        lost = 0
        while self._batches:
            batch = self._batches.popleft()
            lost += len(batch.ids)
            stopped: Exception = TransportError(
                "the bus stopped before the event was sent"
            )
            self._resolve(batch, [stopped] * len(batch.ids))
        return lost

    def _check_loop(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise BusStateError(_WRONG_LOOP) from None
        if loop is not self._loop is not None:
            raise BusStateError(_WRONG_LOOP)

    def _encode(self, event: "Event[Any]") -> tuple[bytes, str]:
        """Encode and validate an event; returns its bytes and metric label."""
        raw = encode(event, self._limits)
        route = self._route_of(event.type)
        if route.check is not None:
            try:
                route.check(decode_data(raw))
            except InvalidEventError as error:
                raise InvalidEventError(
                    error.reason, f"{event.type}: {error}"
                ) from error
        return raw, route.label

    def _add(
        self, event: "Event[Any]", raw: bytes, label: str, *, urgent: bool
    ) -> Batch:
        if self._closed:
            raise BusStateError("the bus is stopping: it accepts no more events")
        batch = self._batches[-1] if self._batches else None
        if batch is None or self._is_full(batch):
            done = asyncio.get_running_loop().create_future()
            batch = Batch(done, created_at=self._clock.monotonic())
            self._batches.append(batch)
            self._wake.set()
            self._count_buffer()
        batch.raws.append(raw)
        batch.labels.append(label)
        batch.ids.append(event.id)
        batch.types.append(event.type)
        batch.size += len(raw)
        self._buffered += 1
        if not urgent:
            batch.unawaited.append(len(batch.ids) - 1)
        if urgent and not batch.urgent:
            batch.urgent = True
            self._urgent.set()
        elif self._is_full(batch):
            self._urgent.set()
        return batch

    def _is_full(self, batch: Batch) -> bool:
        return len(batch.ids) >= self._max_size or batch.size >= MAX_BATCH_BYTES

    def _count_buffer(self) -> None:
        """Update the gauge of the buffer; called once for many events, to save time."""
        change = self._buffered - self._counted
        if change:
            self._counted += change
            self._recorder.buffered(change)

    async def _wait_for_room(
        self, expired: "asyncio.Future[None] | None" = None
    ) -> None:
        while self._buffered >= self._batching.max_buffered and not self._closed:
            if expired is not None and expired.done():
                return
            self._room.clear()
            await self._room.wait()

    def _expire(self, expired: "asyncio.Future[None]") -> None:
        expired.set_result(None)
        self._room.set()

    async def _send(self, batch: Batch) -> None:
        """Send one batch, and retry those of its events that failed."""
        stopped: Exception = TransportError("the bus stopped before the event was sent")
        results: list[Exception | None] = [stopped] * len(batch.ids)
        unsent: Sequence[int] = range(len(batch.ids))
        n = 0
        try:
            while True:
                await self._send_once(batch, unsent, results)
                before = len(unsent)
                unsent = [index for index in unsent if results[index] is not None]
                error = results[unsent[0]] if unsent else None
                now = self._clock.monotonic()
                if len(unsent) < before:
                    # A slow link, not an outage: that is what the limits are for.
                    self._progress_at, n = now, 0
                if error is None:
                    break
                since = max(batch.created_at, self._progress_at)
                left = since + self._deadline - now
                retry = n if left > 0 else self._policy.max_retries
                delay = self._retrier.next_delay(self._policy, retry, error)
                if delay is None:
                    break
                await self._clock.sleep(min(delay, left))
                n += 1
        finally:
            self._resolve(batch, results)

    async def _send_once(
        self, batch: Batch, indexes: Sequence[int], results: list[Exception | None]
    ) -> None:
        self._count_buffer()
        started = self._clock.monotonic()
        failure: Exception | None = None
        batch.attempted = True
        try:
            outcome = await self._transport.publish(
                [batch.raws[i] for i in indexes],
                [batch.types[i] for i in indexes],
                batch.ticket,
            )
        except TransportError as error:
            failure = error
            outcome = [error] * len(indexes)
        for index, result in zip(indexes, outcome, strict=True):
            results[index] = result
        failure = failure or next((error for error in outcome if error), None)
        took = max(self._clock.monotonic() - started, 0.0)
        streams = self._transport.sent_to
        batch.sent(indexes, streams)
        self._recorder.batch_sent(len(indexes), took, failure, streams or ("",))

    def _resolve(self, batch: Batch, results: list[Exception | None]) -> None:
        self._buffered -= len(results)
        self._count_buffer()
        self._room.set()
        if self._history is not None:
            for raw, result in zip(batch.raws, results, strict=True):
                if result is None:
                    self._history.add_published(raw)
        types = batch.types
        batch.raws, batch.types = [], []  # free memory: publishers still hold the batch
        if batch.attempted:
            for error, stream, counts in batch.counts_by_error(results):
                self._recorder.sent(counts, error, stream)
        else:
            self._recorder.abandoned(len(results))
        # `publish` raises the error; for `publish_nowait` it is only logged.
        lost = [at for at in batch.unawaited if results[at] is not None]
        if lost:
            self._recorder.lost(len(lost))
            subject = about_many(
                len(lost),
                event_ids=[batch.ids[at] for at in lost],
                event_types=[types[at] for at in lost],
            )
            _log.error(
                "lost %s from publish_nowait: %s",
                *(subject, results[lost[0]]),
                extra=subject.fields,
            )
        if not batch.done.done():
            batch.done.set_result(results)

"""The consumer: reads events, has them handled and drains at the end."""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from math import inf
from typing import Final

import anyio
from anyio.abc import TaskGroup

from evmon._clock import Clock, Timer, move_on_after
from evmon._consumer.breaker import Breaker
from evmon._consumer.in_flight import RECONNECT, InFlight
from evmon._consumer.router import Router
from evmon._consumer.work import Settlement, Work
from evmon._consumer.workers import Workers
from evmon._failpoints import ON, reach
from evmon._handlers.registry import Registry
from evmon._history import History
from evmon._retry import Retrier
from evmon._settings.configs import DEFAULT_LIMITS, ConsumerConfig, EventLimits
from evmon._settings.retry_policy import RetryPolicy
from evmon._telemetry.recorders import ConsumeRecorder
from evmon._transports.base import Received, Transport
from evmon.errors import TransportError

RELEASE_WITHIN: Final = 1.0
"""Seconds to release unfinished events; failing that, their lease expires."""

_log = logging.getLogger("evmon.consumer")


class Consumer:
    """Handles the events of a transport.

    An event with several handlers is settled when all of them are done; they fail and
    are retried independently.

    Args:
        transport: transport that delivers the events.
        registry: registry of handlers.
        config: sizes and times.
        policy: retry policy of handlers without one of their own.
        retrier: retrier that applies the policies of handlers.
        recorder: recorder of metrics.
        clock: source of time and randomness.
        limits: maximum size and depth of an event.
        awaits_handlers: whether handlers are still being discovered; until then, an
            event without a handler is retried later.
        history: history of a test, to which calls of handlers are added.
    """

    def __init__(
        self,
        transport: Transport,
        registry: Registry,
        config: ConsumerConfig,
        *,
        policy: RetryPolicy,
        retrier: Retrier,
        recorder: ConsumeRecorder,
        clock: Clock,
        limits: EventLimits = DEFAULT_LIMITS,
        awaits_handlers: Callable[[], bool] = lambda: False,
        history: History | None = None,
    ) -> None:
        self._transport = transport
        self._registry = registry
        self._config = config
        self._recorder = recorder
        self._clock = clock
        self._breaker = Breaker(
            config.breaker_limit_percent,
            config.breaker_calls,
            config.breaker_pause,
            clock,
        )
        self._router = Router(
            registry,
            config,
            policy=policy,
            recorder=recorder,
            clock=clock,
            limits=limits,
            awaits_handlers=awaits_handlers,
        )
        self._changed = asyncio.Event()
        self._in_flight = InFlight(transport, recorder, clock, self._changed)
        self._workers = Workers(
            config,
            self._in_flight,
            retrier=retrier,
            breaker=self._breaker,
            error_types=recorder.error_types,
            clock=clock,
            history=history,
        )
        self._stopping = asyncio.Event()
        self._drain_by = inf
        self._end_of_drain: Timer | None = None
        self._reading = anyio.CancelScope()

    @property
    def in_flight(self) -> int:
        """Number of events read and not yet settled."""
        return len(self._in_flight)

    @property
    def unfinished(self) -> list[str]:
        """Names of the handlers that run, those left behind included; thread-safe."""
        return self._workers.unfinished

    @property
    def busy(self) -> bool:
        """Whether a handler is running or about to be called."""
        return self._workers.busy

    @property
    def paused_for(self) -> float:
        """Seconds for which the circuit breaker still pauses reading."""
        return self._breaker.seconds_to_trial() if self._breaker.is_open else 0.0

    async def run(self) -> None:
        """Handle events until `stop`, then drain; leave behind what refuses to end."""
        loop = asyncio.get_running_loop()

        def handlers_changed(_: int) -> None:
            loop.call_soon_threadsafe(self._handlers_changed)

        unobserve = self._registry.observe(handlers_changed)
        self._transport.watch(self._reclaimed)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._workers.raise_failure)
                try:
                    with self._reading:
                        await self._read_loop(group)
                    await self._drain(group)
                finally:
                    with anyio.CancelScope(shield=True):
                        await self._workers.shut_down()
                    group.cancel_scope.cancel()
        finally:
            unobserve()
            if self._end_of_drain is not None:
                self._end_of_drain.cancel()
        with anyio.move_on_after(RELEASE_WITHIN, shield=True):
            await self._in_flight.release()

    def _handlers_changed(self) -> None:
        self._router.forget_calls()
        self._changed.set()

    def stop(self, drain_timeout: float | None = None) -> None:
        """Stop reading; `run` returns when all events in flight are settled.

        Args:
            drain_timeout: maximum seconds to wait for that; by default as configured.
        """
        if drain_timeout is None:
            drain_timeout = self._config.drain_timeout
        self._drain_by = self._clock.monotonic() + drain_timeout
        self._stopping.set()
        # A read ends by itself unless the server is silent; then it is cancelled.
        self._end_of_drain = self._clock.call_later(drain_timeout, self._reading.cancel)
        self._changed.set()
        self._transport.interrupt()

    async def _read_loop(self, group: TaskGroup) -> None:
        failures = 0
        while not self._stopping.is_set():
            self._changed.clear()
            free = self._config.max_concurrency - len(self._in_flight)
            if free <= 0 or not len(self._registry):
                await self._changed.wait()
                continue
            if self._breaker.is_open:
                if not self._breaker.may_read():
                    await self._pause(self._breaker.seconds_to_trial())
                    continue
                free = 1
            started = self._clock.monotonic()
            wanted = min(free, self._config.batch_size)
            try:
                entries = await self._transport.read(
                    wanted, self._config.retry_check_interval
                )
            except TransportError as error:
                took = self._clock.monotonic() - started
                self._recorder.received(took, error, self._transport.streams)
                delay = RECONNECT.delay(failures) * self._clock.random()
                _log.warning("reading failed, retrying in %.2f s: %s", delay, error)
                failures += 1
                await self._pause(delay)
                continue
            failures = 0
            if not entries:
                self._breaker.trial_read_was_empty()
                continue
            if ON:
                reach("after_read")
            took = self._clock.monotonic() - started - self._transport.idle
            streams: Collection[str] = self._transport.streams
            if len(streams) > 1:
                streams = {received.stream for received in entries}
            self._recorder.received(max(took, 0.0), None, streams)
            self._accept(entries, group)
            if len(entries) < wanted:
                # Nothing else is waiting: let handlers run first, so that their
                # acknowledgements are sent with the next read.
                await asyncio.sleep(0)

    async def _pause(self, seconds: float) -> None:
        """Sleep, but wake up to stop."""
        with move_on_after(self._clock, seconds):
            await self._stopping.wait()

    def _accept(self, entries: Sequence[Received], group: TaskGroup) -> None:
        """Queue entries for the workers, and settle those without a handler to call."""
        self._in_flight.add(entries)
        works: list[Work] = []
        for routed in self._router.route(entries):
            if isinstance(routed, Settlement):
                group.start_soon(self._in_flight.settle, routed)
            else:
                works.append(routed)
        self._in_flight.update_gauge()
        self._workers.add(works, group)

    def _reclaimed(self, received: Received) -> None:
        """Stop handling an entry that another consumer has reclaimed."""
        if received in self._in_flight:
            self._in_flight.remove(received)
            self._workers.cancel(received)

    async def _drain(self, group: TaskGroup) -> None:
        """Wait for events in flight; also handle those that only this process can."""
        left = max(self._drain_by - self._clock.monotonic(), 0.0)
        with move_on_after(self._clock, left):
            while self._in_flight or self._transport.backlog:
                if ON:
                    reach("during_drain")
                self._changed.clear()
                free = self._config.max_concurrency - len(self._in_flight)
                if free > 0 and self._transport.backlog:
                    self._accept(await self._transport.read(free, 0), group)
                else:
                    await self._changed.wait()

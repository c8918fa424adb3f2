"""The methods of the bus that publish events."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Iterable
from concurrent.futures import wait
from datetime import datetime, timezone
from typing import Any, Final

from evmon._batch import late
from evmon._bus.run import in_event_loop
from evmon._clock import SYSTEM_CLOCK, Clock, move_on_after
from evmon._events import Event, check_event, check_type, new_id, now
from evmon._publisher import Publisher
from evmon.errors import BusStateError, ConfigError, InvalidEventError, PublishError

_NOTHING_GIVEN: Final = (None, None, None, None)
_AS_ONE: Final = (
    "an Event is given instead of a type or list: publish it with publish_many([event])"
)
_LOOP_CHECK_INTERVAL: Final = 1.0
"""Seconds between checks, while a thread waits, whether the event loop still runs."""


class PublishMethods(ABC):
    """Publishing, for a class that provides a publisher and its event loop."""

    _clock: Clock

    @property
    @abstractmethod
    def service(self) -> str:
        """Name of the service, the default source of events."""

    @abstractmethod
    def _publisher(self) -> Publisher:
        """The publisher of the running bus.

        Raises:
            BusStateError: the bus is not running.
        """

    @abstractmethod
    def _event_loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of the running bus."""

    async def publish(
        self,
        type: str,  # noqa: A002 - CloudEvents' word
        data: Any = None,
        *,
        id: str | None = None,  # noqa: A002 - CloudEvents' word
        source: str | None = None,
        time: datetime | None = None,
        traceparent: str | None = None,
        timeout: float | None = None,
    ) -> "Event[Any]":
        """Publish an event and wait until the transport has accepted it.

        Call it on the event loop of the bus; in a thread, use `publish_sync`.

        Args:
            type: words joined by dots, for example ``order.created``.
            data: JSON types, or what msgspec and pydantic encode as JSON (dataclasses,
                dates, models …). All handlers share it: they must not mutate it.
            id: unique for the source; by default a new id.
            source: by default the name of the service.
            time: with a time zone; by default now.
            traceparent: W3C Trace Context to pass on; none by default.
            timeout: seconds after which to raise `PublishError`; by default that takes as
                long as the retries (`PublishRetry`). The event may still be sent.

        Returns:
            The published event.

        Raises:
            InvalidEventError: an attribute is invalid by CloudEvents 1.0, or the event
                is too large, too deep or not representable in JSON.
            PublishError: the transport did not accept it, after all retries or in time.
            BusStateError: the bus is not running, or runs on another event loop.
            ConfigError: the timeout is not a number of seconds.

        Example:
            >>> event = await bus.publish("order.created", {"id": 7})
            >>> event.type
            'order.created'
        """
        event = self._event(type, data, id, source, time, traceparent)
        await self._publish_within(timeout, self._publisher(), event)
        return event

    async def publish_many(
        self,
        events: "Iterable[Event[Any] | tuple[str, Any]]",
        *,
        timeout: float | None = None,
    ) -> list[PublishError | None]:
        """Publish many events in few batches; waits until all are sent or refused.

        Args:
            events: `Event` objects, or pairs of type and data.
            timeout: seconds after which events that were not accepted are refused; by
                default that takes as long as the retries (`PublishRetry`). They may
                still be sent.

        Returns:
            One entry for each event, in order: None, or why it was refused.

        Raises:
            InvalidEventError: an attribute of an event is invalid, or something is neither
                an event nor a pair; those before it were sent.
            BusStateError: the bus is not running, or runs on another event loop.
            ConfigError: the timeout is not a number of seconds.

        Example:
            >>> await bus.publish_many([("order.created", {"id": n}) for n in (7, 8)])
            [None, None]
        """
        if isinstance(events, Event):
            raise InvalidEventError("decode_error", _AS_ONE)
        _check_timeout(timeout)
        checked = map(self._checked, events)
        return await self._publisher().publish_many(checked, timeout)

    def publish_sync(
        self,
        type: str,  # noqa: A002 - CloudEvents' word
        data: Any = None,
        *,
        timeout: float | None = None,
    ) -> "Event[Any]":
        """Publish from a thread, such as that of a plain handler; blocks until sent.

        Args:
            type: words joined by dots, for example ``order.created``.
            data: as for `publish`; None by default.
            timeout: as for `publish`; none by default.

        Returns:
            The published event.

        Raises:
            InvalidEventError: the type is invalid, or the event is too large, too deep
                or not representable in JSON.
            PublishError: the transport did not accept it, after all retries or in time.
            ConfigError: the timeout is not a number of seconds.
            BusStateError: the bus or its event loop is not running, or the caller is on
                an event loop.

        Example:
            >>> @event_handler("order.created")
            ... def created(event: Event) -> None:
            ...     bus.publish_sync("invoice.requested", event.data)
        """
        event = self._event(type, data)
        publisher = self._publisher()
        if in_event_loop():
            raise BusStateError(
                "publish_sync() would block the event loop; use await publish()"
            )
        publishing = self._publish_within(timeout, publisher, event)
        _wait_on(self._event_loop(), publishing)
        return event

    def publish_nowait(self, type: str, data: Any = None) -> "Event[Any]":  # noqa: A002
        """Buffer an event and return at once; it is sent in the background.

        If it cannot be sent after all retries, it is logged and counted as lost.

        Args:
            type: words joined by dots, for example ``order.created``.
            data: as for `publish`; None by default.

        Returns:
            The buffered event.

        Raises:
            InvalidEventError: the type is invalid, or the event is too large, too deep
                or not representable in JSON.
            PublishError: the buffer is full (``Batching.max_buffered``).
            BusStateError: the bus is not running, or runs on another event loop.

        Example:
            >>> bus.publish_nowait("page.viewed", {"path": "/"}).type
            'page.viewed'
        """
        event = self._event(type, data)
        self._publisher().publish_nowait(event)
        return event

    def _checked(self, event: Any) -> "Event[Any]":
        if isinstance(event, Event):
            return check_event(event)
        if not isinstance(event, (tuple, list)) or len(event) != 2:
            raise InvalidEventError(
                "decode_error", f"{event!r:.80} must be an Event or a pair (type, data)"
            )
        return self._event(*event)

    def _event(
        self,
        event_type: str,
        data: Any = None,
        event_id: str | None = None,
        source: str | None = None,
        time: datetime | None = None,
        traceparent: str | None = None,
    ) -> "Event[Any]":
        if isinstance(event_type, Event):
            raise InvalidEventError("decode_error", _AS_ONE)
        event = Event(
            id=new_id() if event_id is None else event_id,
            source=self.service if source is None else source,
            type=check_type(event_type),
            time=self._now() if time is None else time,
            data=data,
            traceparent=traceparent,
        )
        given = (event_id, source, time, traceparent)
        # Generated attributes are valid.
        return event if given == _NOTHING_GIVEN else check_event(event)

    def _now(self) -> datetime:
        if self._clock is SYSTEM_CLOCK:
            return now()  # takes half the time
        return datetime.fromtimestamp(self._clock.time(), timezone.utc)

    async def _publish_within(
        self,
        timeout: float | None,
        publisher: Publisher,
        event: "Event[Any]",
    ) -> None:
        """Publish, and fail once `timeout` has passed, if it is not None."""
        _check_timeout(timeout)
        if timeout is None:
            return await publisher.publish(event)
        with move_on_after(self._clock, timeout):
            return await publisher.publish(event)
        raise late(event.id, timeout)


def _check_timeout(timeout: Any) -> None:
    is_number = isinstance(timeout, (int, float)) and not isinstance(timeout, bool)
    if timeout is not None and not (is_number and timeout >= 0):
        raise ConfigError(f"timeout={timeout!r:.80}: must be seconds, 0 or more")


def _wait_on(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine on the loop of another thread and wait for it.

    Raises:
        BusStateError: the loop does not run, or stops meanwhile.
    """
    stopped = BusStateError("the event loop of the bus does not run: nothing is sent")
    if not loop.is_running():
        work.close()
        raise stopped
    future = asyncio.run_coroutine_threadsafe(work, loop)
    while not wait([future], _LOOP_CHECK_INTERVAL).done:
        if not loop.is_running():
            future.cancel()
            raise stopped
    future.result()

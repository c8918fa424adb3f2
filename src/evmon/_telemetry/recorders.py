"""Recorders: one method for each measurement of a component.

Attributes are built when a recorder is made, never per event. Recording never raises.
"""

from collections.abc import Collection, Mapping
from typing import Literal, get_args

from evmon._telemetry import instruments as i
from evmon._telemetry.instrument import Instrument
from evmon._telemetry.labels import UNKNOWN, ErrorTypes, destination_of, label
from evmon._telemetry.meter import Attributes, Meter, Record
from evmon.errors import (
    DEAD_LETTER_REASONS,
    DeadLetterReason,
    Reject,
    RetryLater,
    decisive_error,
)

Outcome = Literal["registered", "empty", "failed"]
EvictionReason = Literal["expired", "collected", "invalidated"]
Component = Literal["discovery", "publish", "handler"]
CallOutcome = Literal["success", "error", "rejected", "retry_later"]


class CacheRecorder:
    """The metadata cache: lookups, scans and entries."""

    def __init__(self, meter: Meter) -> None:
        self.hit = meter.bind(i.CACHE_LOOKUPS, {i.CACHE_RESULT: "hit"})
        self._miss = meter.bind(i.CACHE_LOOKUPS, {i.CACHE_RESULT: "miss"})
        self._scan_duration = meter.bind(i.CACHE_SCAN_DURATION)
        self._entries = meter.bind(i.CACHE_ENTRIES)
        reasons: tuple[EvictionReason, ...] = ("expired", "collected", "invalidated")
        self._evictions: dict[EvictionReason, Record] = {
            reason: meter.bind(i.CACHE_EVICTIONS, {i.EVICTION_REASON: reason})
            for reason in reasons
        }

    def scanned(self, seconds: float) -> None:
        """A lookup missed and the provider was scanned."""
        self._miss(1)
        self._scan_duration(seconds)

    def stored(self) -> None:
        """An entry was added to the cache."""
        self._entries(1)

    def evicted(self, reason: EvictionReason) -> None:
        """An entry was removed from the cache."""
        self._entries(-1)
        self._evictions[reason](1)


class DiscoveryRecorder:
    """Discovery: its queue, batches and providers."""

    def __init__(self, meter: Meter) -> None:
        self._queue_size = meter.bind(i.DISCOVERY_QUEUE_SIZE)
        self._batch_duration = meter.bind(i.DISCOVERY_BATCH_DURATION)
        self._last_run_time = meter.bind(i.DISCOVERY_LAST_RUN_TIME)
        outcomes: tuple[Outcome, ...] = ("registered", "empty", "failed")
        self._providers: dict[Outcome, Record] = {
            outcome: meter.bind(i.DISCOVERY_PROVIDERS, {i.DISCOVERY_OUTCOME: outcome})
            for outcome in outcomes
        }

    def queued(self) -> None:
        """A provider was queued."""
        self._queue_size(1)

    def settled(self, outcome: Outcome) -> None:
        """A provider left the queue for good."""
        self._queue_size(-1)
        self._providers[outcome](1)

    def dropped(self, providers: int) -> None:
        """Providers left the queue without being scanned."""
        self._queue_size(-providers)

    def batch_ended(self, seconds: float, unix_time: float) -> None:
        """A batch was scanned."""
        self._batch_duration(seconds)
        self._last_run_time(unix_time)


class RetryRecorder:
    """Retries of one component."""

    def __init__(
        self, meter: Meter, component: Component, error_types: ErrorTypes | None = None
    ) -> None:
        self._meter = meter
        self._attributes = {i.RETRY_COMPONENT: component}
        self._error_types = error_types or ErrorTypes()
        self._delay = meter.bind(i.RETRY_DELAY, self._attributes)
        self._attempts = _ByError(meter, i.RETRY_ATTEMPTS, self._attributes)
        self._exhausted = _ByError(meter, i.RETRY_EXHAUSTED, self._attributes)

    def retrying(self, error: BaseException, delay_seconds: float) -> None:
        """A retry was scheduled."""
        if not isinstance(decisive_error(error), RetryLater):
            self._attempts(self._error_types.of(error))(1)
        self._delay(delay_seconds)

    def exhausted(self, error: BaseException) -> None:
        """The operation failed for good, unless a handler decided that by `Reject`."""
        if not isinstance(decisive_error(error), Reject):
            self._exhausted(self._error_types.of(error))(1)


class PublishRecorder:
    """Published events; `streams` are those of the transport."""

    def __init__(
        self,
        meter: Meter,
        system: str,
        destination: str,
        server: Attributes = {},
        *,
        streams: Collection[str] = ("",),
    ) -> None:
        self._meter = meter
        attributes: Attributes = {i.SYSTEM: system, **_operation("send"), **server}
        self._by_stream = _by_stream(attributes, destination, streams)
        self._error_types = ErrorTypes()
        self._durations = {
            stream: _ByError(meter, i.OPERATION_DURATION, by, zero=False)
            for stream, by in self._by_stream.items()
        }
        self.buffered = meter.bind(i.PUBLISHER_BUFFER_SIZE)
        self.buffer_limited = meter.bind(i.PUBLISHER_BUFFER_LIMIT)
        self.lost = meter.bind(i.EVENTS_LOST, {i.LOSS_REASON: "unsent"})
        self.abandoned = meter.bind(i.PUBLISHER_ABANDONED)
        self._batch_size = meter.bind(i.PUBLISHER_BATCH_SIZE)
        self._sent: dict[tuple[str, str, str], Record] = {}
        for stream in streams:
            self._sent_of(UNKNOWN, "", stream)

    def sent(
        self, counts: Mapping[str, int], error: BaseException | None, stream: str = ""
    ) -> None:
        """Events were handed over, and accepted or refused; counted by type label."""
        error_type = self._error_types.of(error) if error else ""
        for type_label, count in counts.items():
            self._sent_of(type_label, error_type, stream)(count)

    def batch_sent(
        self,
        size: int,
        seconds: float,
        error: BaseException | None,
        streams: Collection[str] = ("",),
    ) -> None:
        """One send operation on the transport ended."""
        self._batch_size(size)
        duration = self._durations[_only(streams)]
        duration(self._error_types.of(error) if error else "")(seconds)

    def _sent_of(self, type_label: str, error_type: str, stream: str) -> Record:
        key = (type_label, error_type, stream)
        record = self._sent.get(key)
        if record is None:
            attributes = {**self._by_stream[stream], i.EVENT_TYPE: type_label}
            if error_type:
                attributes[i.ERROR_TYPE] = error_type
            record = self._sent[key] = self._meter.bind(i.SENT_MESSAGES, attributes)
        return record


def _operation(name: str) -> Attributes:
    """The name of an operation is its type too."""
    return {i.OPERATION: name, i.OPERATION_TYPE: name}


def _by_stream(
    attributes: Attributes, destination: str, streams: Collection[str]
) -> dict[str | None, Attributes]:
    """Attributes by stream; those for None, of several at once, have no destination."""
    named: dict[str | None, Attributes] = {
        stream: {
            **attributes,
            i.DESTINATION: label(destination_of(destination, stream)),
        }
        for stream in streams
    }
    return {None: attributes, **named}


def _only(streams: Collection[str]) -> str | None:
    """The stream if all are the same, else None."""
    distinct = set(streams)
    return distinct.pop() if len(distinct) == 1 else None


class HandlerSeries:
    """The series of one handler; that of success is bound when it is registered.

    A handler that raises `Reject` or `RetryLater` has decided, not failed: such calls
    have an outcome and no ``error.type``.
    """

    __slots__ = ("_by_outcome", "_error_types", "succeeded")

    def __init__(
        self, meter: Meter, attributes: Attributes, error_types: ErrorTypes
    ) -> None:
        outcomes: tuple[CallOutcome, ...] = get_args(CallOutcome)
        self._by_outcome: dict[CallOutcome, _ByError] = {
            outcome: _ByError(
                meter,
                i.PROCESS_DURATION,
                {**attributes, i.OUTCOME: outcome},
                zero=outcome == "success",
            )
            for outcome in outcomes
        }
        self._error_types = error_types
        self.succeeded = self._by_outcome["success"]("")

    def raised(self, seconds: float, error: BaseException) -> None:
        """A call of the handler raised an error."""
        decisive = decisive_error(error)
        if isinstance(decisive, Reject):
            self._by_outcome["rejected"]("")(seconds)
        elif isinstance(decisive, RetryLater):
            self._by_outcome["retry_later"]("")(seconds)
        else:
            self._by_outcome["error"](self._error_types.of(error))(seconds)


class ConsumeRecorder:
    """Consumed events; `streams` are those of the transport."""

    def __init__(
        self,
        meter: Meter,
        system: str,
        destination: str,
        group: str,
        server: Attributes = {},
        *,
        streams: Collection[str] = ("",),
    ) -> None:
        self._meter = meter
        consumer: Attributes = {i.SYSTEM: system, i.GROUP: label(group), **server}
        self._by_stream = _by_stream(consumer, destination, streams)
        self.error_types = ErrorTypes()
        self.in_flight = meter.bind(i.EVENTS_IN_FLIGHT)
        receive = _operation("receive")
        self._receive = {
            stream: _ByError(meter, i.OPERATION_DURATION, {**by, **receive}, zero=False)
            for stream, by in self._by_stream.items()
        }
        self._consumed: dict[tuple[str, str], Record] = {}
        self._handlers: dict[tuple[str, str, str], HandlerSeries] = {}
        self._dead_letters: dict[DeadLetterReason, Record] = {
            reason: meter.bind(i.DEAD_LETTERS, {i.DEAD_LETTER_REASON: reason})
            for reason in DEAD_LETTER_REASONS
        }
        for stream in streams:
            self.consumed(UNKNOWN, 0, stream)

    def received(
        self,
        seconds: float,
        error: BaseException | None = None,
        streams: Collection[str] = ("",),
    ) -> None:
        """A receive operation returned events or failed."""
        receive = self._receive[_only(streams)]
        receive(self.error_types.of(error) if error else "")(seconds)

    def consumed(self, type_label: str, count: int, stream: str = "") -> None:
        """Events of a type were delivered."""
        key = (type_label, stream)
        record = self._consumed.get(key)
        if record is None:
            attributes = {
                **self._by_stream[stream],
                **_operation("receive"),
                i.EVENT_TYPE: type_label,
            }
            record = self._meter.bind(i.CONSUMED_MESSAGES, attributes)
            self._consumed[key] = record
        record(count)

    def handler(self, name: str, type_label: str, stream: str = "") -> HandlerSeries:
        """The series of one handler for events with a type label."""
        key = (name, type_label, stream)
        series = self._handlers.get(key)
        if series is None:
            attributes = {
                **self._by_stream[stream],
                **_operation("process"),
                i.EVENT_TYPE: type_label,
                i.HANDLER: label(name),
            }
            series = self._handlers[key] = HandlerSeries(
                self._meter, attributes, self.error_types
            )
        return series

    def dead_lettered(self, reason: DeadLetterReason) -> None:
        """An event was dead-lettered."""
        self._dead_letters[reason](1)


class _ByError:
    """The series of an instrument by ``error.type``, bound on first use."""

    def __init__(
        self,
        meter: Meter,
        instrument: Instrument,
        attributes: Attributes,
        *,
        zero: bool = True,
    ) -> None:
        self._meter = meter
        self._instrument = instrument
        self._attributes = attributes
        self._series: dict[str, Record] = {}
        if zero:
            self("")

    def __call__(self, error_type: str) -> Record:
        record = self._series.get(error_type)
        if record is None:
            attributes = dict(self._attributes)
            if error_type:
                attributes[i.ERROR_TYPE] = error_type
            record = self._meter.bind(self._instrument, attributes)
            self._series[error_type] = record
        return record

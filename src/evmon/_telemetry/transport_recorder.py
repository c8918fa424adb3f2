"""Metrics of a transport: its operations and its current state."""

from dataclasses import dataclass
from math import nan

from evmon._telemetry import instruments as i
from evmon._telemetry.labels import destination_of, label
from evmon._telemetry.meter import Meter, NoMeter
from evmon.errors import LOSS_REASONS, LossReason


@dataclass(frozen=True, slots=True)
class StreamStats:
    """The state of one stream, and of its consumer group, at one moment.

    Attributes:
        length: entries in the stream, settled ones included.
        lag: entries not yet delivered to the group; None if unknown.
        pending: entries delivered to a consumer and not yet settled.
        pending_age: seconds since the oldest pending entry was published; None if
            unknown, as the other ages, because the server's clock was set.
        unread_age: seconds since the oldest unread entry was published.
    """

    length: int = 0
    lag: int | None = 0
    pending: int = 0
    pending_age: float | None = 0.0
    unread_age: float | None = 0.0


@dataclass(frozen=True, slots=True)
class ServiceStats:
    """The dead letters and retries of a service at one moment.

    Attributes:
        dead: dead letters kept.
        dead_age: seconds since the oldest of them was dead-lettered; None if unknown.
        scheduled: entries scheduled for a retry.
    """

    dead: int = 0
    dead_age: float | None = 0.0
    scheduled: int = 0


class StreamRecorder:
    """Records metrics of one stream and its consumer group.

    Args:
        meter: meter that binds the series.
        destination: value of ``messaging.destination.name``.
        group: value of ``messaging.consumer.group.name``.
    """

    def __init__(self, meter: Meter, destination: str, group: str) -> None:
        to = {i.DESTINATION: label(destination)}
        by = {**to, i.GROUP: label(group)}
        self.waited = meter.bind_many(i.EVENT_WAIT, by)
        self.redelivered = meter.bind(i.REDELIVERIES, by)
        self._reclaims = meter.bind(i.RECLAIMS, by)
        self._lease_losses = meter.bind(i.LEASE_LOSSES, by)
        self._recreations = meter.bind(i.GROUP_RECREATIONS, by)
        self._lag = meter.bind(i.CONSUMER_LAG, by)
        self._lag_known = meter.bind(i.CONSUMER_LAG_KNOWN, by)
        self._pending = meter.bind(i.CONSUMER_PENDING, by)
        self._pending_age = meter.bind(i.CONSUMER_PENDING_AGE, by)
        self._unread_age = meter.bind(i.CONSUMER_UNREAD_AGE, by)
        self._length = meter.bind(i.STREAM_LENGTH, to)

    def record_stats(self, stats: StreamStats) -> None:
        """The state of the stream was read."""
        self._lag(_or_nan(stats.lag))
        self._lag_known(0 if stats.lag is None else 1)
        self._pending(stats.pending)
        self._pending_age(_or_nan(stats.pending_age))
        self._unread_age(_or_nan(stats.unread_age))
        self._length(stats.length)

    def unknown(self) -> None:
        """The state cannot be read: remove the samples of the last one."""
        for record in (
            *(self._lag, self._pending, self._pending_age, self._unread_age),
            self._length,
        ):
            record(nan)
        self._lag_known(0)

    def reclaimed(self, count: int) -> None:
        """Pending entries were reclaimed from another consumer."""
        self._reclaims(count)
        self.redelivered(count)

    def lease_lost(self) -> None:
        """Another consumer reclaimed an entry that is handled here."""
        self._lease_losses(1)

    def group_recreated(self) -> None:
        """The consumer group was missing and was recreated."""
        self._recreations(1)


class TransportRecorder:
    """Records metrics of a transport, and makes the recorders of its streams.

    Args:
        meter: meter that binds the series.
        destination: value of ``messaging.destination.name`` of the service's own stream.
        group: value of ``messaging.consumer.group.name``.
    """

    def __init__(self, meter: Meter, destination: str, group: str) -> None:
        self._meter, self._destination, self._group = meter, destination, group
        to = {i.DESTINATION: label(destination)}
        self.polled = meter.bind(i.LAST_POLL_TIME, {**to, i.GROUP: label(group)})
        self._reconnects = meter.bind(i.RECONNECTS, to)
        self._dead = meter.bind(i.DEAD_LETTER_QUEUE_SIZE, to)
        self._dead_age = meter.bind(i.DEAD_LETTER_QUEUE_AGE, to)
        self._scheduled = meter.bind(i.RETRY_SCHEDULE_SIZE, to)
        self._losses = {
            reason: meter.bind(i.EVENTS_LOST, {i.LOSS_REASON: reason})
            for reason in LOSS_REASONS
        }
        self.unreadable = meter.bind(
            i.DEAD_LETTERS, {i.DEAD_LETTER_REASON: "unreadable"}
        )

    def stream(self, name: str = "") -> StreamRecorder:
        """The recorder of the service's own stream, or of an additional one."""
        destination = destination_of(self._destination, name)
        return StreamRecorder(self._meter, destination, self._group)

    def record_stats(self, stats: ServiceStats) -> None:
        """The state of dead letters and retries was read."""
        self._dead(stats.dead)
        self._dead_age(_or_nan(stats.dead_age))
        self._scheduled(stats.scheduled)

    def unknown(self) -> None:
        """The state cannot be read: remove the samples of the last one."""
        for record in (self._dead, self._dead_age, self._scheduled):
            record(nan)

    def reconnected(self) -> None:
        """A connection broke and was re-established."""
        self._reconnects(1)

    def lost(self, reason: LossReason, count: int) -> None:
        """Events are known to be lost."""
        self._losses[reason](count)


def no_recorder() -> TransportRecorder:
    """A recorder that measures nothing, for a transport used on its own."""
    return TransportRecorder(NoMeter(), "", "")


def _or_nan(value: float | None) -> float:
    """NaN, which removes the sample, for an unknown value."""
    return nan if value is None else value

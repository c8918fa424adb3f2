"""Panels of the dashboard *Events*: throughput and durations."""

from evmon._alerting.dashboards.panels import (
    BUS_LEGEND,
    OF_GROUP,
    PROCESS,
    RATE,
    TO_DESTINATION,
    Limit,
    Panel,
    Query,
    heatmap,
    per_destination,
    quantiles,
    rate,
)
from evmon._alerting.promql import PER_BUS, by, series
from evmon._settings.thresholds import Thresholds
from evmon._telemetry import instruments as i

_TYPE = ("evmon_event_type",)
_HANDLER = ("evmon_handler_name",)


def throughput(limits: Thresholds) -> tuple[Panel, ...]:
    """Return the panels on published, consumed and in-flight events."""
    return (
        _published(),
        _consumed(),
        _in_flight(),
        _events_in_a_batch(),
        _publisher_buffer(limits),
        _stream_length(),
    )


def _published() -> Panel:
    return Panel(
        title="Published",
        description="Events sent in a second, by type; failures included.",
        unit="cps",
        queries=(
            Query(rate(i.SENT_MESSAGES, TO_DESTINATION, _TYPE), "{{evmon_event_type}}"),
        ),
    )


def _consumed() -> Panel:
    return Panel(
        title="Consumed",
        description="Events delivered in a second, by type; redeliveries included.",
        unit="cps",
        queries=(
            Query(rate(i.CONSUMED_MESSAGES, OF_GROUP, _TYPE), "{{evmon_event_type}}"),
        ),
        alerts=("EvmonUnknownEventTypes",),
    )


def _in_flight() -> Panel:
    return Panel(
        title="In flight",
        description="Events read and not settled, in each process.",
        unit="short",
        queries=(
            Query(
                by(PER_BUS, series(i.EVENTS_IN_FLIGHT, PROCESS)),
                BUS_LEGEND,
            ),
        ),
    )


def _events_in_a_batch() -> Panel:
    return Panel(
        title="Events in a batch",
        description="How many events the publisher sends together.",
        unit="short",
        # Prometheus interpolates from 0 in the first bucket, which holds batches of 1.
        queries=tuple(
            Query(f"clamp_min({query.expr}, 1)", query.legend)
            for query in quantiles(i.PUBLISHER_BATCH_SIZE, PROCESS)
        ),
        no_value="no batches",
    )


def _publisher_buffer(limits: Thresholds) -> Panel:
    used = by(PER_BUS, series(i.PUBLISHER_BUFFER_SIZE, PROCESS))
    room = by(PER_BUS, series(i.PUBLISHER_BUFFER_LIMIT, PROCESS))
    return Panel(
        title="Publisher's buffer",
        description="Share in use. Above the line EvmonPublisherBufferFull warns;"
        " at 100 % publishers wait.",
        unit="percent",
        queries=(Query(f"100 * {used} / {room}", BUS_LEGEND),),
        limits=(Limit(limits.buffer_warning_percent, "yellow"),),
        alerts=("EvmonPublisherBufferFull",),
    )


def _stream_length() -> Panel:
    return Panel(
        title="Stream length",
        description="Entries in the stream, settled ones included: what `retention`"
        " keeps.",
        unit="short",
        queries=per_destination(i.STREAM_LENGTH),
    )


def durations() -> tuple[Panel, ...]:
    """Return the panels on durations of handlers, waits and operations."""
    return (
        _time_in_handlers(),
        _time_in_handlers_p95_by_handler(),
        _time_in_handlers_spread(),
        _wait_in_the_stream(),
        _operations_on_the_transport_p95(),
        _retry_delay(),
    )


def _time_in_handlers() -> Panel:
    return Panel(
        title="Time in handlers",
        description="Percentiles of the time that a handler takes with an event.",
        unit="s",
        queries=quantiles(i.PROCESS_DURATION, OF_GROUP),
    )


def _time_in_handlers_p95_by_handler() -> Panel:
    by_handler = f"rate({series(i.PROCESS_DURATION, OF_GROUP, '_bucket')}[{RATE}])"
    return Panel(
        title="Time in handlers, p95 by handler",
        description="Which handler is slow.",
        unit="s",
        queries=(
            Query(
                f"histogram_quantile(0.95, {by((*_HANDLER, 'le'), by_handler)})",
                "{{evmon_handler_name}}",
            ),
        ),
    )


def _time_in_handlers_spread() -> Panel:
    return Panel(
        title="Time in handlers, spread",
        description="How many calls took how long.",
        unit="s",
        kind="heatmap",
        queries=heatmap(i.PROCESS_DURATION, OF_GROUP),
    )


def _wait_in_the_stream() -> Panel:
    return Panel(
        title="Wait in the stream",
        description="Time from an event's publication to its first read.",
        unit="s",
        queries=quantiles(i.EVENT_WAIT, OF_GROUP),
    )


def _operations_on_the_transport_p95() -> Panel:
    operation = ("messaging_operation_name", "le")
    buckets = f"rate({series(i.OPERATION_DURATION, TO_DESTINATION, '_bucket')}[{RATE}])"
    return Panel(
        title="Operations on the transport, p95",
        description="Time of a send and of a receive.",
        unit="s",
        queries=(
            Query(
                f"histogram_quantile(0.95, {by(operation, buckets)})",
                "{{messaging_operation_name}}",
            ),
        ),
    )


def _retry_delay() -> Panel:
    return Panel(
        title="Retry delay",
        description="Delays before retries, jitter included.",
        unit="s",
        queries=quantiles(i.RETRY_DELAY, PROCESS),
        no_value="no retries",
    )

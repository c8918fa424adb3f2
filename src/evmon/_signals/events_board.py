"""The dashboard *Events*: how events flow, wait, fail and are put aside."""

from evmon._signals.panels import (
    OF_GROUP,
    PROCESS,
    RATE,
    TO,
    Board,
    Limit,
    Panel,
    Query,
    Row,
    heat,
    or_zero,
    quantiles,
    rate,
)
from evmon._signals.promql import DESTINATION, GROUP, PER_INSTANCE, by, series
from evmon._signals.recording import ERROR
from evmon._telemetry import instruments as i
from evmon._telemetry.instruments import Instrument
from evmon._thresholds import Thresholds

_TYPE = ("evmon_event_type",)
_OF = (DESTINATION, GROUP)
_GROUP = f"{{{{{GROUP}}}}} of {{{{{DESTINATION}}}}}"
_HANDLER = ("evmon_handler_name",)


def events_board(limits: Thresholds) -> Board:
    """The dashboard, with the lines where the limits are."""
    return Board(
        "evmon-events",
        "evmon / Events",
        "How do events flow? Throughput, time, failures, lag, dead letters.",
        (
            Row("Throughput", _throughput(limits)),
            Row("Time", _time()),
            Row("Failures", _failures(limits)),
            Row("Lag and pending", _lag(limits)),
            Row("Consumers", _consumers()),
        ),
        has_groups=True,
    )


def _worst(row: Instrument) -> tuple[Query, ...]:
    """A gauge that every consumer of a group tells alike."""
    return (Query(by(_OF, series(row, OF_GROUP), "max"), _GROUP),)


def _at(row: Instrument) -> tuple[Query, ...]:
    """A gauge that everybody at a destination tells alike."""
    gauge = by((DESTINATION,), series(row, TO), "max")
    return (Query(or_zero(gauge), f"{{{{{DESTINATION}}}}}"),)


def _throughput(limits: Thresholds) -> tuple[Panel, ...]:
    used = by(PER_INSTANCE, series(i.PUBLISHER_BUFFER_SIZE, PROCESS))
    room = by(PER_INSTANCE, series(i.PUBLISHER_BUFFER_LIMIT, PROCESS))
    return (
        Panel(
            title="Published",
            description="Events sent in a second, by type; failures included.",
            unit="eps",
            queries=(Query(rate(i.SENT_MESSAGES, TO, _TYPE), "{{evmon_event_type}}"),),
        ),
        Panel(
            title="Consumed",
            description="Events delivered in a second, by type; redeliveries included.",
            unit="eps",
            queries=(
                Query(
                    rate(i.CONSUMED_MESSAGES, OF_GROUP, _TYPE), "{{evmon_event_type}}"
                ),
            ),
        ),
        Panel(
            title="In flight",
            description="Events read and not settled, in each process.",
            unit="short",
            queries=(
                Query(
                    by(PER_INSTANCE, series(i.EVENTS_IN_FLIGHT, PROCESS)),
                    "{{job}} {{instance}}",
                ),
            ),
        ),
        Panel(
            title="Events in a batch",
            description="How many events the publisher sends together.",
            unit="short",
            queries=quantiles(i.PUBLISHER_BATCH_SIZE, PROCESS),
        ),
        Panel(
            title="Publisher's buffer",
            description="Share in use. Above the line EvmonPublisherBufferFull warns;"
            " at 100 % publishers wait.",
            unit="percent",
            queries=(Query(f"100 * {used} / {room}", "{{job}} {{instance}}"),),
            limits=(Limit(limits.buffer_warning_percent, "yellow"),),
        ),
        Panel(
            title="Stream length",
            description="Entries in the stream, settled ones included: what `retention`"
            " keeps.",
            unit="short",
            queries=_at(i.STREAM_LENGTH),
        ),
    )


def _time() -> tuple[Panel, ...]:
    operation = ("messaging_operation_name", "le")
    buckets = f"rate({series(i.OPERATION_DURATION, TO, '_bucket')}[{RATE}])"
    by_handler = f"rate({series(i.PROCESS_DURATION, OF_GROUP, '_bucket')}[{RATE}])"
    return (
        Panel(
            title="Time in handlers",
            description="Percentiles of the time that a handler takes with an event.",
            unit="s",
            queries=quantiles(i.PROCESS_DURATION, OF_GROUP),
        ),
        Panel(
            title="Time in handlers, p95 by handler",
            description="Which handler is slow.",
            unit="s",
            queries=(
                Query(
                    f"histogram_quantile(0.95, {by((*_HANDLER, 'le'), by_handler)})",
                    "{{evmon_handler_name}}",
                ),
            ),
        ),
        Panel(
            title="Time in handlers, spread",
            description="How many calls took how long.",
            unit="s",
            kind="heatmap",
            queries=heat(i.PROCESS_DURATION, OF_GROUP),
        ),
        Panel(
            title="Wait in the stream",
            description="Time from an event's publication to its first read.",
            unit="s",
            queries=quantiles(i.EVENT_WAIT, OF_GROUP),
        ),
        Panel(
            title="Operations on the transport, p95",
            description="Time of a send and of a receive.",
            unit="s",
            queries=(
                Query(
                    f"histogram_quantile(0.95, {by(operation, buckets)})",
                    "{{messaging_operation_name}}",
                ),
            ),
        ),
        Panel(
            title="Retry delay",
            description="Delays before retries, jitter included.",
            unit="s",
            queries=tuple(
                Query(or_zero(query.expr), query.legend)
                for query in quantiles(i.RETRY_DELAY, PROCESS)
            ),
        ),
    )


def _failures(limits: Thresholds) -> tuple[Panel, ...]:
    failed = rate(i.PROCESS_DURATION, f"{OF_GROUP},{ERROR}", _HANDLER, "_count")
    calls = rate(i.PROCESS_DURATION, OF_GROUP, _HANDLER, "_count")
    return (
        Panel(
            title="Share of calls that fail",
            description="By handler. Above the yellow line EvmonHandlerErrorsHigh"
            " warns.",
            unit="percent",
            queries=(
                Query(
                    f"100 * ({failed} or 0 * {calls}) / {calls}",
                    "{{evmon_handler_name}}",
                ),
            ),
            limits=(
                Limit(limits.handler_errors_warning_percent, "yellow"),
                Limit(limits.handler_errors_critical_percent, "red"),
            ),
        ),
        Panel(
            title="Failures by error",
            description="What handlers raised, by the error's class.",
            unit="eps",
            queries=(
                Query(
                    or_zero(
                        rate(
                            i.PROCESS_DURATION,
                            f"{OF_GROUP},{ERROR}",
                            ("error_type",),
                            "_count",
                        )
                    ),
                    "{{error_type}}",
                ),
            ),
        ),
        Panel(
            title="Dead letters by reason",
            description="Events put aside in a second. `evmon dlq list` shows them.",
            unit="eps",
            queries=(
                Query(
                    rate(i.DEAD_LETTERS, PROCESS, ("evmon_dead_letter_reason",)),
                    "{{evmon_dead_letter_reason}}",
                ),
            ),
        ),
        Panel(
            title="Dead letters kept",
            description="How many wait for somebody to look.",
            unit="short",
            queries=_at(i.DEAD_LETTER_QUEUE_SIZE),
        ),
        Panel(
            title="Oldest dead letter",
            description="Above the line EvmonDeadLetterQueueOld warns.",
            unit="s",
            queries=_at(i.DEAD_LETTER_QUEUE_AGE),
            limits=(Limit(limits.dead_letter_age_warning_seconds, "yellow"),),
        ),
        Panel(
            title="Lost",
            description="Events that are known to be lost, by reason; groups that had to"
            " be made again.",
            unit="short",
            queries=(
                Query(
                    by(
                        ("evmon_loss_reason",),
                        f"increase({series(i.EVENTS_LOST, PROCESS)}[{RATE}])",
                    ),
                    "{{evmon_loss_reason}}",
                ),
                Query(
                    or_zero(
                        f"sum(increase({series(i.GROUP_RECREATIONS, OF_GROUP)}[{RATE}]))"
                    ),
                    "groups made again",
                ),
            ),
        ),
    )


def _lag(limits: Thresholds) -> tuple[Panel, ...]:
    lag = by(_OF, series(i.CONSUMER_LAG, OF_GROUP), "max")
    return (
        Panel(
            title="Lag",
            description="Events that a group has not been given yet. A gap means that"
            " the server cannot tell it.",
            unit="short",
            queries=_worst(i.CONSUMER_LAG),
        ),
        Panel(
            title="Time to work off the lag",
            description="At the present pace. Above the line, and growing,"
            " EvmonConsumerLagGrowing warns.",
            unit="s",
            queries=(
                Query(
                    f"{lag} / ({rate(i.CONSUMED_MESSAGES, OF_GROUP, _OF)} > 0)", _GROUP
                ),
            ),
            limits=(Limit(limits.drain_warning_seconds, "yellow"),),
        ),
        Panel(
            title="Oldest unread event",
            description="Above the yellow line EvmonConsumerLagOld warns.",
            unit="s",
            queries=_worst(i.CONSUMER_UNREAD_AGE),
            limits=(
                Limit(limits.lag_age_warning_seconds, "yellow"),
                Limit(limits.lag_age_critical_seconds, "red"),
            ),
        ),
        Panel(
            title="Pending",
            description="Events given to a consumer and not settled.",
            unit="short",
            queries=_worst(i.CONSUMER_PENDING),
        ),
        Panel(
            title="Oldest pending event",
            description="Above the yellow line EvmonPendingOld warns.",
            unit="s",
            queries=_worst(i.CONSUMER_PENDING_AGE),
            limits=(
                Limit(limits.pending_age_warning_seconds, "yellow"),
                Limit(limits.pending_age_critical_seconds, "red"),
            ),
        ),
        Panel(
            title="Waiting for another try",
            description="Events in the retry schedule.",
            unit="short",
            queries=_at(i.RETRY_SCHEDULE_SIZE),
        ),
    )


def _consumers() -> tuple[Panel, ...]:
    def events(row: Instrument, name: str) -> Query:
        return Query(or_zero(f"sum(rate({series(row, OF_GROUP)}[{RATE}]))"), name)

    return (
        Panel(
            title="Consumed by process",
            description="How the work is shared.",
            unit="eps",
            queries=(
                Query(
                    rate(i.CONSUMED_MESSAGES, OF_GROUP, PER_INSTANCE),
                    "{{job}} {{instance}}",
                ),
            ),
        ),
        Panel(
            title="Delivered again",
            description="Redeliveries, what was taken over from silent consumers, and"
            " leases lost to others.",
            unit="eps",
            queries=(
                events(i.REDELIVERIES, "redelivered"),
                events(i.RECLAIMS, "taken over"),
                events(i.LEASE_LOSSES, "lease lost"),
            ),
        ),
        Panel(
            title="Connections made again",
            description="Connections to the transport that broke.",
            unit="short",
            queries=(
                Query(
                    or_zero(f"sum(increase({series(i.RECONNECTS, TO)}[{RATE}]))"),
                    "reconnects",
                ),
            ),
        ),
        Panel(
            title="Last poll",
            description="When each consumer last heard from the transport.",
            unit="dateTimeFromNow",
            kind="table",
            queries=(
                Query(
                    "1000 * "
                    + by(PER_INSTANCE, series(i.LAST_POLL_TIME, OF_GROUP), "max"),
                ),
            ),
            minimum=None,
        ),
        Panel(
            title="Ready",
            description="What /readyz says.",
            unit="bool_yes_no",
            queries=(
                Query(
                    by(PER_INSTANCE, series(i.CONSUMER_READY, PROCESS), "min"),
                    "{{job}} {{instance}}",
                ),
            ),
        ),
        Panel(
            title="Lag known",
            description="Whether the server can tell the lag.",
            unit="bool_yes_no",
            queries=_worst(i.CONSUMER_LAG_KNOWN),
        ),
    )

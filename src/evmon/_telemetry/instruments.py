"""The table of instruments.

Everything that evmon measures is declared here: name, kind, unit, description,
attributes and bucket boundaries. ``docs/telemetry.md``, the alert rules and the
dashboards are generated from it. Names follow the OpenTelemetry semantic conventions.
"""

from opentelemetry.semconv._incubating.attributes import (
    error_attributes,
    messaging_attributes,
)
from opentelemetry.semconv._incubating.metrics import (
    messaging_metrics,
    process_metrics,
)

from evmon._settings.thresholds import Thresholds
from evmon._telemetry.instrument import Instrument, Kind

ERROR_TYPE = error_attributes.ERROR_TYPE
SYSTEM = messaging_attributes.MESSAGING_SYSTEM
OPERATION = messaging_attributes.MESSAGING_OPERATION_NAME
DESTINATION = messaging_attributes.MESSAGING_DESTINATION_NAME
GROUP = messaging_attributes.MESSAGING_CONSUMER_GROUP_NAME
EVENT_TYPE = "evmon.event.type"
HANDLER = "evmon.handler.name"
OUTCOME = "evmon.outcome"
DISCOVERY_OUTCOME = "evmon.discovery.outcome"
CACHE_RESULT = "evmon.cache.result"
EVICTION_REASON = "evmon.cache.eviction.reason"
RETRY_COMPONENT = "evmon.retry.component"
LOSS_REASON = "evmon.loss.reason"
DEAD_LETTER_REASON = "evmon.dead_letter.reason"
CPU_MODE = "cpu.mode"

MESSAGING_BOUNDARIES = (
    *(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 7.5, 10.0),
)
"""Boundaries advised by the OpenTelemetry messaging conventions, in seconds."""

_PROCESSING_LIMIT = Thresholds().processing_warning_ms / 1000
_BATCH_BOUNDARIES = tuple(
    sorted(
        {
            *(0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
            _PROCESSING_LIMIT,
        }
    )
)
_SCAN_BOUNDARIES = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 1.0)
_DELAY_BOUNDARIES = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_WAIT_BOUNDARIES = (
    *(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0),
    *(60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0),
)

DISCOVERY_QUEUE_SIZE = Instrument(
    "evmon.discovery.queue.size",
    Kind.UP_DOWN_COUNTER,
    "{provider}",
    "Providers waiting to be scanned or retried.",
)
DISCOVERY_HANDLERS = Instrument(
    "evmon.discovery.handlers",
    Kind.UP_DOWN_COUNTER,
    "{handler}",
    "Registered handlers.",
)
DISCOVERY_PROVIDERS = Instrument(
    "evmon.discovery.providers",
    Kind.COUNTER,
    "{provider}",
    "Providers scanned, by outcome.",
    (DISCOVERY_OUTCOME,),
)
DISCOVERY_BATCH_DURATION = Instrument(
    "evmon.discovery.batch.duration",
    Kind.HISTOGRAM,
    "s",
    "Duration of a batch of providers.",
    boundaries=_BATCH_BOUNDARIES,
)
DISCOVERY_LAST_RUN_TIME = Instrument(
    "evmon.discovery.last_run.time",
    Kind.GAUGE,
    "s",
    "End of the last batch of providers, in Unix time.",
)
CACHE_LOOKUPS = Instrument(
    "evmon.cache.lookups",
    Kind.COUNTER,
    "{lookup}",
    "Lookups of a provider's metadata, by result.",
    (CACHE_RESULT,),
)
CACHE_EVICTIONS = Instrument(
    "evmon.cache.evictions",
    Kind.COUNTER,
    "{entry}",
    "Metadata entries removed from the cache, by reason.",
    (EVICTION_REASON,),
)
CACHE_ENTRIES = Instrument(
    "evmon.cache.entries",
    Kind.UP_DOWN_COUNTER,
    "{entry}",
    "Metadata entries in the cache.",
)
CACHE_SCAN_DURATION = Instrument(
    "evmon.cache.scan.duration",
    Kind.HISTOGRAM,
    "s",
    "Duration of the scan of a provider after a cache miss.",
    boundaries=_SCAN_BOUNDARIES,
)
RETRY_ATTEMPTS = Instrument(
    "evmon.retry.attempts",
    Kind.COUNTER,
    "{attempt}",
    "Retries scheduled after a failure; not those that a handler asks for.",
    (RETRY_COMPONENT, ERROR_TYPE),
)
RETRY_EXHAUSTED = Instrument(
    "evmon.retry.exhausted",
    Kind.COUNTER,
    "{operation}",
    "Operations that failed for good: no retry was left, or the error is permanent;"
    " not the events that a handler rejects.",
    (RETRY_COMPONENT, ERROR_TYPE),
)
RETRY_DELAY = Instrument(
    "evmon.retry.delay",
    Kind.HISTOGRAM,
    "s",
    "Delay before a retry, jitter included.",
    (RETRY_COMPONENT,),
    _DELAY_BOUNDARIES,
)
SENT_MESSAGES = Instrument(
    messaging_metrics.MESSAGING_CLIENT_SENT_MESSAGES,
    Kind.COUNTER,
    "{message}",
    "Events that publishers tried to send; error.type is set if it failed.",
    (SYSTEM, OPERATION, DESTINATION, EVENT_TYPE, ERROR_TYPE),
)
CONSUMED_MESSAGES = Instrument(
    messaging_metrics.MESSAGING_CLIENT_CONSUMED_MESSAGES,
    Kind.COUNTER,
    "{message}",
    "Events delivered to this consumer, redeliveries included.",
    (SYSTEM, OPERATION, DESTINATION, GROUP, EVENT_TYPE),
)
OPERATION_DURATION = Instrument(
    messaging_metrics.MESSAGING_CLIENT_OPERATION_DURATION,
    Kind.HISTOGRAM,
    "s",
    "Duration of an operation on the transport: send, receive.",
    (SYSTEM, OPERATION, DESTINATION, ERROR_TYPE),
    MESSAGING_BOUNDARIES,
)
PROCESS_DURATION = Instrument(
    messaging_metrics.MESSAGING_PROCESS_DURATION,
    Kind.HISTOGRAM,
    "s",
    "Duration of a handler call, by outcome; error.type is set if it failed.",
    (SYSTEM, OPERATION, DESTINATION, GROUP, EVENT_TYPE, HANDLER, OUTCOME, ERROR_TYPE),
    MESSAGING_BOUNDARIES,
)
EVENTS_IN_FLIGHT = Instrument(
    "evmon.events.in_flight",
    Kind.UP_DOWN_COUNTER,
    "{event}",
    "Events read and not yet settled by this consumer.",
)
DEAD_LETTERS = Instrument(
    "evmon.dead_letters",
    Kind.COUNTER,
    "{event}",
    "Events dead-lettered, by reason.",
    (DEAD_LETTER_REASON,),
)
CONSUMER_LAG = Instrument(
    "evmon.consumer.lag",
    Kind.GAUGE,
    "{event}",
    "Events not yet delivered to the group; no sample if unknown.",
    (DESTINATION, GROUP),
)
CONSUMER_LAG_KNOWN = Instrument(
    "evmon.consumer.lag.known",
    Kind.GAUGE,
    "",
    "1 if the lag is known, 0 if the server does not report it.",
    (DESTINATION, GROUP),
)
CONSUMER_PENDING = Instrument(
    "evmon.consumer.pending",
    Kind.GAUGE,
    "{event}",
    "Events delivered to a consumer of the group and not yet settled.",
    (DESTINATION, GROUP),
)
CONSUMER_PENDING_AGE = Instrument(
    "evmon.consumer.pending.oldest_age",
    Kind.GAUGE,
    "s",
    "Time since the oldest pending event was published; 0 if none is pending.",
    (DESTINATION, GROUP),
)
CONSUMER_UNREAD_AGE = Instrument(
    "evmon.consumer.unread.oldest_age",
    Kind.GAUGE,
    "s",
    "Age of the oldest event not yet delivered to the group; 0 if there is none.",
    (DESTINATION, GROUP),
)
STREAM_LENGTH = Instrument(
    "evmon.stream.length",
    Kind.GAUGE,
    "{event}",
    "Entries in the stream, settled ones included.",
    (DESTINATION,),
)
EVENT_WAIT = Instrument(
    "evmon.event.wait.duration",
    Kind.HISTOGRAM,
    "s",
    "Time that an event waited in the stream before it was first read.",
    (DESTINATION, GROUP),
    _WAIT_BOUNDARIES,
)
REDELIVERIES = Instrument(
    "evmon.consumer.redeliveries",
    Kind.COUNTER,
    "{event}",
    "Events delivered again because a consumer did not settle them.",
    (DESTINATION, GROUP),
)
RECLAIMS = Instrument(
    "evmon.consumer.reclaims",
    Kind.COUNTER,
    "{event}",
    "Pending events reclaimed from another consumer.",
    (DESTINATION, GROUP),
)
LEASE_LOSSES = Instrument(
    "evmon.consumer.lease.losses",
    Kind.COUNTER,
    "{event}",
    "Events reclaimed by another consumer while they were handled here.",
    (DESTINATION, GROUP),
)
GROUP_RECREATIONS = Instrument(
    "evmon.consumer.group.recreations",
    Kind.COUNTER,
    "{group}",
    "Times that the consumer group was missing and recreated.",
    (DESTINATION, GROUP),
)
RECONNECTS = Instrument(
    "evmon.transport.reconnects",
    Kind.COUNTER,
    "{connection}",
    "Connections to the transport that broke and were re-established.",
    (DESTINATION,),
)
LAST_POLL_TIME = Instrument(
    "evmon.consumer.last_poll.time",
    Kind.GAUGE,
    "s",
    "Last response of the transport to the consumer, in Unix time.",
    (DESTINATION, GROUP),
)
UPTIME = Instrument(
    "evmon.uptime",
    Kind.GAUGE,
    "s",
    "Time since the bus started.",
)
CONSUMER_READY = Instrument(
    "evmon.ready",
    Kind.GAUGE,
    "",
    "1 while /readyz reports ready, otherwise 0.",
)
DEAD_LETTER_QUEUE_SIZE = Instrument(
    "evmon.dead_letter.queue.size",
    Kind.GAUGE,
    "{event}",
    "Dead letters kept.",
    (DESTINATION,),
)
DEAD_LETTER_QUEUE_AGE = Instrument(
    "evmon.dead_letter.queue.oldest_age",
    Kind.GAUGE,
    "s",
    "Age of the oldest dead letter; 0 if there is none.",
    (DESTINATION,),
)
RETRY_SCHEDULE_SIZE = Instrument(
    "evmon.retry.schedule.size",
    Kind.GAUGE,
    "{event}",
    "Events scheduled on the transport for a retry.",
    (DESTINATION,),
)
PUBLISHER_BUFFER_SIZE = Instrument(
    "evmon.publisher.buffer.size",
    Kind.UP_DOWN_COUNTER,
    "{event}",
    "Events buffered by the publisher.",
)
PUBLISHER_BUFFER_LIMIT = Instrument(
    "evmon.publisher.buffer.limit",
    Kind.UP_DOWN_COUNTER,
    "{event}",
    "Maximum number of events buffered by the publisher.",
)
PUBLISHER_BATCH_SIZE = Instrument(
    "evmon.publisher.batch.size",
    Kind.HISTOGRAM,
    "{event}",
    "Events sent in one batch.",
    boundaries=(1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0),
)
EVENTS_LOST = Instrument(
    "evmon.events.lost",
    Kind.COUNTER,
    "{event}",
    "Events known to be lost, by reason.",
    (LOSS_REASON,),
)
PROCESS_MEMORY_USAGE = Instrument(
    process_metrics.PROCESS_MEMORY_USAGE,
    Kind.OBSERVABLE_UP_DOWN_COUNTER,
    "By",
    "Resident memory of the process.",
)
PROCESS_MEMORY_VIRTUAL = Instrument(
    process_metrics.PROCESS_MEMORY_VIRTUAL,
    Kind.OBSERVABLE_UP_DOWN_COUNTER,
    "By",
    "Virtual memory of the process.",
)
PROCESS_CPU_TIME = Instrument(
    process_metrics.PROCESS_CPU_TIME,
    Kind.OBSERVABLE_COUNTER,
    "s",
    "CPU time of the process, by mode.",
    (CPU_MODE,),
)
PROCESS_THREAD_COUNT = Instrument(
    process_metrics.PROCESS_THREAD_COUNT,
    Kind.OBSERVABLE_UP_DOWN_COUNTER,
    "{thread}",
    "Threads of the process.",
    # Prometheus reserves names that end in _count for histograms and summaries.
    shown_as="process.threads",
)

INSTRUMENTS: tuple[Instrument, ...] = tuple(
    value for value in globals().copy().values() if isinstance(value, Instrument)
)
"""Every instrument of evmon, in the order of this file."""

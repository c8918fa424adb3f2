"""The settings classes: frozen, and overridable by ``EVMON_*`` variables."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from evmon._settings.fields import (
    ANY,
    NOT_EMPTY,
    Rule,
    above,
    at_least,
    between,
    documented,
    refuse_url,
    setting,
    validate,
)
from evmon._settings.retry_policy import RetryPolicy
from evmon.errors import ConfigError, TransportError

_STREAM_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


@documented
@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryConfig:
    """How providers are scanned for handlers.

    Example:
        >>> DiscoveryConfig(batch_size=50).cache_ttl_seconds
        300.0
    """

    batch_size: int = setting(
        10, at_least(1), "Providers scanned concurrently in one batch."
    )
    cache_ttl_seconds: float = setting(
        300.0, above(0), "Seconds to cache the metadata of a provider."
    )
    strict: bool = setting(
        True,
        ANY,
        "Whether a provider that can never work, or a module that cannot be imported,"
        " fails the start. If false, the bus starts without its handlers and is not ready.",
    )

    def __post_init__(self) -> None:
        validate(self)


@documented
@dataclass(frozen=True, slots=True, kw_only=True)
class Batching:
    """How published events are batched.

    An awaited publish is sent at once, with whatever is buffered; only events from
    `publish_nowait` wait up to `max_wait` for a batch to fill.

    Example:
        >>> Batching(max_size=100).max_wait
        0.05
    """

    max_size: int = setting(
        1000,
        at_least(1),
        "Maximum number of events in a batch; 1 sends them one by one.",
    )
    max_wait: float = setting(
        0.05,
        at_least(0),
        "Maximum seconds that a `publish_nowait` event waits to be batched.",
    )
    max_buffered: int = setting(
        10_000,
        at_least(1),
        "Buffered events at which `publish` waits and `publish_nowait` fails.",
    )

    def __post_init__(self) -> None:
        validate(self)


@documented
@dataclass(frozen=True, slots=True, kw_only=True)
class PublishRetry:
    """How a publish is retried that the transport did not accept.

    The delays are those of a `RetryPolicy` with full jitter.

    Example:
        >>> PublishRetry(deadline=5).max_retries
        10
    """

    max_retries: int = setting(
        10, at_least(0), "Maximum retries after the first attempt; 0 disables retries."
    )
    base_delay: float = setting(0.1, at_least(0), "Seconds before the first retry.")
    max_delay: float = setting(2.0, at_least(0), "Maximum seconds before a retry.")
    deadline: float = setting(
        30.0, at_least(0), "Seconds since the publish after which no retry begins."
    )

    def __post_init__(self) -> None:
        validate(self)

    @property
    def policy(self) -> RetryPolicy:
        """The same without the deadline."""
        return RetryPolicy(
            max_retries=self.max_retries,
            base_delay=self.base_delay,
            max_delay=self.max_delay,
            retry_on=(TransportError,),
        )


@documented
@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerConfig:
    """How events are read and handled.

    Example:
        >>> ConsumerConfig(max_concurrency=10).batch_size
        100
    """

    group: str = setting(
        "", ANY, "Name of the consumer group; if empty, the name of the service."
    )
    batch_size: int = setting(
        100, at_least(1), "Maximum number of events requested in one read."
    )
    retry_check_interval: float = setting(
        0.1, above(0), "Seconds between checks of the retry schedule while reading."
    )
    max_concurrency: int = setting(
        100, at_least(1), "Maximum number of events handled concurrently."
    )
    handler_timeout: float | None = setting(
        None,
        above(0),
        "Seconds after which a coroutine handler is cancelled; None means no limit.",
    )
    ignore_unknown: bool = setting(
        False,
        ANY,
        "Acknowledge events that have no handler instead of dead-lettering them.",
    )
    max_deliveries: int = setting(
        5,
        at_least(1),
        "Deliveries, including those lost to crashes, before dead-lettering an event.",
    )
    breaker_limit_percent: float | None = setting(
        90.0,
        between(0, 100),
        "Percentage of failed handler calls at which reading pauses; None disables it.",
    )
    breaker_calls: int = setting(
        100, at_least(1), "Handler calls over which that percentage is computed."
    )
    breaker_pause: float = setting(
        5.0,
        above(0),
        "Seconds of the first pause; each further one doubles, up to 60 s.",
    )
    drain_timeout: float = setting(
        25.0, at_least(0), "Seconds for running handlers to finish when the bus stops."
    )

    def __post_init__(self) -> None:
        validate(self)
        refuse_url("ConsumerConfig.group", self.group, "a URL is given as transport=")


_NAMES = Rule(
    lambda names: (
        isinstance(names, tuple)
        and all(isinstance(n, str) and _STREAM_NAME.fullmatch(n) for n in names)
    ),
    "a tuple of names of letters, digits, '.', '-' and '_'",
)


@documented
@dataclass(frozen=True, slots=True, kw_only=True)
class RedisConfig:
    """How the Redis transport behaves.

    All events go to one stream, unless `streams` names more and `stream_for` selects
    one for each event type. Each stream is read in order; there is no order between
    streams.

    Example:
        >>> RedisConfig(lease=60, password="secret").password is None
        False
    """

    username: str = setting("", ANY, "User name; if empty, the one in the URL, if any.")
    password: str = setting(
        "",
        ANY,
        "Password; if empty, the one in the URL, if any.",
        secret=True,
    )
    timeout: float = setting(
        5.0, above(0), "Seconds to wait for a connection or a response."
    )
    connect_within: float = setting(
        10.0, at_least(0), "Seconds to keep trying to reach the server at startup."
    )
    lease: float = setting(
        30.0,
        at_least(0.1),
        "Seconds without renewal after which a consumer's events can be reclaimed.",
    )
    min_replicas: int = setting(
        0,
        at_least(0),
        "Replicas that must acknowledge an event before it counts as published.",
    )
    require_durable: bool = setting(
        False, ANY, "Refuse a server whose configuration may lose events."
    )
    retention: float | None = setting(
        None,
        at_least(0),
        "Seconds to keep events after every group has finished them; None keeps all.",
    )
    streams: tuple[str, ...] = setting(
        (), _NAMES, "Names of additional streams; see `stream_for`."
    )
    stream_for: Callable[[str], str] | None = setting(
        None,
        ANY,
        "Function from event type to one of `streams`; any other result means the"
        " service's own stream.",
    )
    max_scheduled: int = setting(
        100_000, at_least(1), "Maximum number of events scheduled for a retry."
    )
    upkeep_interval: float = setting(
        5.0, above(0), "Seconds between measurements of lag, pending events and sizes."
    )

    def __post_init__(self) -> None:
        validate(self)
        if bool(self.streams) != bool(self.stream_for):
            raise ConfigError("RedisConfig.streams and stream_for: set both or neither")


@documented
@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorConfig:
    """How often the monitor checks limits and logs a summary.

    Example:
        >>> MonitorConfig(summary_interval_seconds=60).check_interval_seconds
        15.0
    """

    check_interval_seconds: float = setting(
        15.0, above(0), "Seconds between checks of the limits."
    )
    summary_interval_seconds: float = setting(
        300.0, above(0), "Seconds between performance summaries in the log."
    )

    def __post_init__(self) -> None:
        validate(self)


@documented
@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsConfig:
    """Where ``/metrics`` is served, and the limits on its clients.

    Example:
        >>> MetricsConfig(port=0).host
        '127.0.0.1'
    """

    host: str = setting("127.0.0.1", NOT_EMPTY, "Address to listen on.")
    port: int = setting(
        9464, between(0, 65535), "Port to listen on; 0 picks a free one."
    )
    max_connections: int = setting(
        32,
        at_least(1),
        "Maximum number of connections; a new one replaces the longest idle one.",
    )
    header_timeout_seconds: float = setting(
        5.0, above(0), "Seconds for a client to send its request."
    )
    request_timeout_seconds: float = setting(
        10.0, above(0), "Seconds for a whole exchange, from request to response."
    )
    cache_seconds: float = setting(
        1.0, at_least(0), "Seconds to reuse one rendering for further scrapes."
    )
    allowed_hosts: str = setting(
        "",
        ANY,
        "Names, separated by commas, that clients may use for the server beside its"
        " address and loopback names; `*` allows any.",
    )

    def __post_init__(self) -> None:
        validate(self)


@documented
@dataclass(frozen=True, slots=True, kw_only=True)
class EventLimits:
    """The maximum size and nesting depth of an event.

    Example:
        >>> EventLimits(max_bytes=1024).max_depth
        64
    """

    max_bytes: int = setting(
        262_144, at_least(1), "Maximum bytes of an encoded event (256 KiB)."
    )
    max_depth: int = setting(
        64, at_least(1), "Maximum levels of nested objects and arrays."
    )

    def __post_init__(self) -> None:
        validate(self)


DEFAULT_LIMITS: Final = EventLimits()

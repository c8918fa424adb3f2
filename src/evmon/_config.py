"""What a user can set: small frozen values, each overridable by ``EVMON_*`` variables."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from evmon._settings import (
    ANY,
    NOT_EMPTY,
    Rule,
    above,
    at_least,
    between,
    setting,
    validate,
)
from evmon.errors import ConfigError

_STREAM_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryConfig:
    """How providers are looked at.

    Example:
        >>> DiscoveryConfig(batch_size=50).cache_ttl_seconds
        300.0
    """

    batch_size: int = setting(
        10, at_least(1), "Providers looked at together in one batch."
    )
    cache_ttl_seconds: float = setting(
        300.0, above(0), "Seconds for which a provider's metadata is kept."
    )

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batching:
    """How published events are gathered into batches.

    An awaited publish never waits for company: it leaves with whatever is there.
    `max_wait` applies to `publish_nowait` alone.

    Example:
        >>> Batching(max_size=100).max_wait
        0.05
    """

    enabled: bool = setting(
        True, ANY, "Whether events share a batch; false sends one by one."
    )
    max_size: int = setting(1000, at_least(1), "Events in one batch at the most.")
    max_wait: float = setting(
        0.05, at_least(0), "Seconds that a `publish_nowait` event waits for company."
    )
    max_buffered: int = setting(
        10_000, at_least(1), "Events waiting to be sent before publishers must wait."
    )

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerConfig:
    """How events are read and handled.

    Example:
        >>> ConsumerConfig(max_concurrency=10).batch_size
        100
    """

    group: str = setting("", ANY, "Consumer group; empty means the service's name.")
    batch_size: int = setting(100, at_least(1), "Events asked for in one read.")
    max_wait: float = setting(
        0.1, above(0), "Seconds between looks at the retry schedule while reading."
    )
    max_concurrency: int = setting(
        100, at_least(1), "Events handled at the same time at the most."
    )
    handler_timeout: float | None = setting(
        None,
        above(0),
        "Seconds after which a coroutine handler is cancelled; none by default.",
    )
    ignore_unknown: bool = setting(
        False,
        ANY,
        "Whether events without a handler are done, instead of dead-lettered: for a"
        " group that wants only some types.",
    )
    max_deliveries: int = setting(
        5,
        at_least(1),
        "Deliveries, crashes included, before an event is dead-lettered.",
    )
    breaker_limit_percent: float | None = setting(
        90.0,
        between(0, 100),
        "Share of failed handler calls above which reading pauses; None never pauses.",
    )
    breaker_calls: int = setting(
        100, at_least(1), "Handler calls that are looked at together for that."
    )
    breaker_pause: float = setting(
        5.0, above(0), "Seconds of the first pause; it doubles, up to 60 s."
    )
    drain_timeout: float = setting(
        25.0, at_least(0), "Seconds given to running handlers when the bus stops."
    )

    def __post_init__(self) -> None:
        validate(self)


_NAMES = Rule(
    lambda names: (
        isinstance(names, tuple)
        and all(isinstance(n, str) and _STREAM_NAME.fullmatch(n) for n in names)
    ),
    "a tuple of names of letters, digits, '.', '-' and '_'",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisConfig:
    """How Redis is used, when the transport is one.

    All events go to one stream, unless `streams` names more and `stream_for` chooses
    among them. Each stream is read in the order in which it was written; between
    streams there is no order.

    Example:
        >>> RedisConfig(lease=60, password="secret").password is None
        False
    """

    username: str = setting(
        "", ANY, "Name to log in with; empty means the one in the URL, if any."
    )
    password: str = setting(
        "",
        ANY,
        "Password to log in with; empty means the one in the URL, if any.",
        secret=True,
    )
    timeout: float = setting(
        5.0, above(0), "Seconds to wait for a connection or an answer."
    )
    connect_within: float = setting(
        10.0, at_least(0), "Seconds for which an unreachable server is tried at start."
    )
    lease: float = setting(
        30.0,
        at_least(0.1),
        "Seconds of silence after which a consumer's events are taken over.",
    )
    min_replicas: int = setting(
        0, at_least(0), "Replicas that must have an event before it counts as sent."
    )
    require_durable: bool = setting(
        False, ANY, "Whether to refuse a server that may forget events."
    )
    retention: float | None = setting(
        None,
        at_least(0),
        "Seconds for which events are kept after every group finished them;"
        " all are kept by default.",
    )
    streams: tuple[str, ...] = setting(
        (), _NAMES, "Names of streams beside the service's own; see `stream_for`."
    )
    stream_for: Callable[[str], str] | None = setting(
        None,
        ANY,
        "Which of `streams` an event type goes to; any other answer means the"
        " service's own stream.",
    )
    max_scheduled: int = setting(
        100_000, at_least(1), "Events that may wait for their next try."
    )
    upkeep_interval: float = setting(
        5.0, above(0), "Seconds between two looks at lag, pending events and sizes."
    )

    def __post_init__(self) -> None:
        validate(self)
        if bool(self.streams) != bool(self.stream_for):
            raise ConfigError(
                "RedisConfig.streams and stream_for: must be set both, or neither"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorConfig:
    """How often the monitor looks and speaks.

    Example:
        >>> MonitorConfig(summary_interval_seconds=60).check_interval_seconds
        15.0
    """

    check_interval_seconds: float = setting(
        15.0, above(0), "Seconds between two looks at the limits."
    )
    summary_interval_seconds: float = setting(
        300.0, above(0), "Seconds between two performance summaries in the log."
    )

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsConfig:
    """Where ``/metrics`` is served, and how much of a client it puts up with.

    Example:
        >>> MetricsConfig(port=0).host
        '127.0.0.1'
    """

    host: str = setting(
        "127.0.0.1", NOT_EMPTY, "Address to listen on; loopback unless told otherwise."
    )
    port: int = setting(
        9464, between(0, 65535), "Port to listen on; 0 takes any that is free."
    )
    max_connections: int = setting(
        32, at_least(1), "Connections kept at once; the idlest one yields to a new one."
    )
    header_timeout_seconds: float = setting(
        5.0, above(0), "Seconds that a client may take to send its request."
    )
    request_timeout_seconds: float = setting(
        10.0, above(0), "Seconds that a whole exchange may take."
    )
    cache_seconds: float = setting(
        1.0, at_least(0), "Seconds for which one rendering serves all scrapes."
    )

    def __post_init__(self) -> None:
        validate(self)

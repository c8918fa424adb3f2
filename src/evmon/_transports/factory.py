"""What a transport provides for the table of transports."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from evmon._clock import Clock
from evmon._telemetry.transport_recorder import TransportRecorder
from evmon._transports.base import Transport
from evmon._transports.dead_letters import DeadLetters


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportOptions:
    """What a transport is made from.

    Attributes:
        url: URL of the transport.
        service: name of the service; names the destination.
        group: name of the consumer group.
        config: settings of this transport; None if it has none.
        recorder: records metrics.
        clock: source of time.
    """

    url: str
    service: str
    group: str
    config: Any
    recorder: TransportRecorder
    clock: Clock


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a service will miss on a server.

    Attributes:
        problems: one line for each problem.
        unknown: one line for each thing that the server does not tell.
    """

    problems: Sequence[str]
    unknown: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportFactory:
    """How a transport is made from its URL; nothing connects yet.

    Attributes:
        open: makes the transport.
        check: raises `ConfigError` for an invalid URL, given it and the settings.
        open_dead_letters: makes access to the dead letters, given the URL, the name of
            the service and the settings; None if they end with the process.
        inspect: inspects the server, given the URL, the name of the service and the
            settings; None if there is none.
    """

    open: Callable[[TransportOptions], Transport]
    check: Callable[[str, Any], object] | None = None
    open_dead_letters: Callable[[str, str, Any], DeadLetters] | None = None
    inspect: Callable[[str, str, Any], Awaitable[Inspection]] | None = None

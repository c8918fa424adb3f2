"""Transports: how events are carried; selected by URL."""

import re
from typing import Final

from evmon._clock import SYSTEM_CLOCK, Clock
from evmon._settings.configs import RedisConfig
from evmon._telemetry.meter import Meter, NoMeter
from evmon._telemetry.transport_recorder import TransportRecorder
from evmon._transports.base import Transport
from evmon._transports.memory import MemoryTransport
from evmon.errors import ConfigError

_REDIS: Final = (
    *("redis", "rediss", "unix"),
    *("redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster"),
)


def scheme_of(url: str) -> str:
    """The scheme of a URL, even if the rest is invalid; empty if there is none."""
    found = re.match(r"([a-z][a-z0-9+.-]*):", url, re.IGNORECASE)
    return found[1].lower() if found else ""


def check_transport(url: str, redis: RedisConfig) -> None:
    """Refuse an invalid transport URL early.

    Raises:
        ConfigError: the scheme is unknown or the URL is invalid.
    """
    scheme = scheme_of(url)
    if scheme in _REDIS:
        # Imported here, so that the Redis client is only loaded when used.
        from evmon._transports.redis.address import parse_address

        parse_address(url, redis)
    elif scheme != "memory":
        known = ", ".join(f"{name}://" for name in ("memory", *_REDIS))
        raise ConfigError(f"transport={scheme!r}://…: must be one of {known}")


def open_transport(
    url: str,
    service: str,
    clock: Clock = SYSTEM_CLOCK,
    *,
    group: str = "",
    redis: RedisConfig = RedisConfig(),
    meter: Meter = NoMeter(),
) -> Transport:
    """Make the transport of a URL, without connecting yet.

    Args:
        url: for example ``memory://``, or ``redis://localhost:6379/0``.
        service: names the destination.
        clock: time source of the retry schedule.
        group: name of the consumer group; if empty, that of the service.
        redis: settings of the Redis transport.
        meter: binds metrics.

    Raises:
        ConfigError: the scheme is unknown or the URL is invalid.
    """
    check_transport(url, redis)
    recorder = TransportRecorder(meter, service, group or service)
    if scheme_of(url) == "memory":
        return MemoryTransport(service, clock, recorder=recorder)
    from evmon._transports.redis import RedisTransport

    return RedisTransport(url, service, group, redis, recorder, clock)

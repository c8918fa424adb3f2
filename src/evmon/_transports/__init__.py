"""Transports: how events travel. A URL says which one."""

import re
from typing import Final

from evmon._clock import SYSTEM_CLOCK, Clock
from evmon._config import RedisConfig
from evmon._telemetry.meter import Meter, NoMeter
from evmon._telemetry.transport import TransportRecorder
from evmon._transports.base import Transport
from evmon._transports.memory import MemoryTransport
from evmon.errors import ConfigError

_REDIS: Final = (
    *("redis", "rediss", "unix"),
    *("redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster"),
)


def scheme_of(url: str) -> str:
    """The scheme of a URL, however wrong the rest is; empty when there is none."""
    found = re.match(r"([a-z][a-z0-9+.-]*):", url, re.IGNORECASE)
    return found[1].lower() if found else ""


def check_transport(url: str, redis: RedisConfig) -> None:
    """Refuse a URL that names no transport, before anything is made for it.

    Raises:
        ConfigError: no transport has this scheme, or the URL is wrong.
    """
    scheme = scheme_of(url)
    if scheme in _REDIS:
        # Only here: whoever uses no Redis need not load its client.
        from evmon._transports.redis.connection import parse_address

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
    """Make the transport that a URL names; nothing is connected yet.

    Args:
        url: for example ``memory://``, or ``redis://localhost:6379/0``.
        service: names the destination.
        clock: for the retry schedule.
        group: name of the consumer group; the service's name when empty.
        redis: how Redis is used, where it is.
        meter: binds what is measured.

    Raises:
        ConfigError: no transport has this scheme, or the URL is wrong.
    """
    check_transport(url, redis)
    recorder = TransportRecorder(meter, service, group or service)
    if scheme_of(url) == "memory":
        return MemoryTransport(service, clock, recorder=recorder)
    from evmon._transports.redis import RedisTransport

    return RedisTransport(url, service, group, redis, recorder, clock)

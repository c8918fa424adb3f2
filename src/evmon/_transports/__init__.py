"""Transports: how events travel. A URL says which one."""

from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from evmon._clock import SYSTEM_CLOCK, Clock
from evmon._transports.base import Transport
from evmon._transports.memory import MemoryTransport
from evmon.errors import ConfigError

_SCHEMES: Final[dict[str, Callable[[str, str, Clock], Transport]]] = {
    "memory": lambda _, service, clock: MemoryTransport(service, clock),
}


def open_transport(url: str, service: str, clock: Clock = SYSTEM_CLOCK) -> Transport:
    """Make the transport that a URL names; nothing is connected yet.

    Args:
        url: for example ``memory://``.
        service: names the destination.
        clock: for the retry schedule.

    Raises:
        ConfigError: no transport has this scheme.
    """
    scheme = urlsplit(url).scheme
    make = _SCHEMES.get(scheme)
    if make is None:
        known = ", ".join(f"{name}://" for name in _SCHEMES)
        raise ConfigError(f"transport={scheme!r}://…: must be one of {known}")
    return make(url, service, clock)

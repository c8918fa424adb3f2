"""Transports: how events are carried; selected by the scheme of a URL."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from evmon._clock import Clock
from evmon._settings.environment import resolve
from evmon._settings.settings import Settings
from evmon._telemetry.meter import Meter
from evmon._telemetry.transport_recorder import TransportRecorder
from evmon._transports.base import Transport
from evmon._transports.dead_letters import DeadLetters
from evmon._transports.factory import Inspection, TransportFactory, TransportOptions
from evmon.errors import ConfigError


def _memory() -> TransportFactory:
    from evmon._transports.memory import FACTORY

    return FACTORY


def _redis() -> TransportFactory:
    # Imported here, so that the Redis client is only loaded when used.
    from evmon._transports.redis.factory import FACTORY

    return FACTORY


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of transport.

    Attributes:
        schemes: schemes of its URLs.
        load: imports its factory.
        section: name of the field of `Settings` with its settings; empty if none.
    """

    schemes: tuple[str, ...]
    load: Callable[[], TransportFactory]
    section: str = ""

    def config(self, settings: Settings) -> Any:
        """The settings of this kind of transport; None if it has none."""
        return getattr(settings, self.section) if self.section else None


_KINDS: Final = (
    _Kind(("memory",), _memory),
    _Kind(
        (
            *("redis", "rediss", "unix"),
            *("redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster"),
        ),
        _redis,
        section="redis",
    ),
)
"""The table of transports."""

_BY_SCHEME: Final = {scheme: kind for kind in _KINDS for scheme in kind.schemes}


def check_transport(settings: Settings) -> None:
    """Refuse an invalid transport URL early.

    Raises:
        ConfigError: the scheme is unknown or the URL is invalid.
    """
    kind = _kind_of(settings.transport)
    check = kind.load().check
    if check is not None:
        check(settings.transport, kind.config(settings))


def open_transport(settings: Settings, meter: Meter, clock: Clock) -> Transport:
    """Make the transport of a bus, without connecting yet.

    Args:
        settings: settings of the bus.
        meter: meter that binds the instruments.
        clock: source of time for the retry schedule.

    Raises:
        ConfigError: the scheme is unknown or the URL is invalid.
    """
    kind = _kind_of(settings.transport)
    group = settings.consumer.group or settings.service
    options = TransportOptions(
        url=settings.transport,
        service=settings.service,
        group=group,
        config=kind.config(settings),
        recorder=TransportRecorder(meter, settings.service, group),
        clock=clock,
    )
    return kind.load().open(options)


async def inspect_server(
    url: str, service: str, environ: Mapping[str, str]
) -> Inspection:
    """What a service will miss on the server of a transport.

    Args:
        url: URL of the transport.
        service: name of the service.
        environ: environment, for the settings of the transport.

    Raises:
        ConfigError: the URL is invalid, or the transport has no server.
        TransportError: the server cannot be reached.
    """
    kind = _kind_of(url)
    inspect = kind.load().inspect
    if inspect is None:
        raise ConfigError(f"{_without_login(url)}: this transport has no server")
    config = kind.config(Settings())
    return await inspect(url, service, resolve(config, environ))


def open_dead_letters(
    url: str, service: str, environ: Mapping[str, str]
) -> DeadLetters:
    """Make access to the dead letters of a service, without connecting yet.

    Args:
        url: URL of the transport.
        service: name of the service.
        environ: environment, for the settings of the transport.

    Raises:
        ConfigError: the URL is invalid, the transport stores no dead letters, or a
            variable has an invalid value.
    """
    stored = {
        scheme: (kind, open_letters)
        for scheme, kind in _BY_SCHEME.items()
        if (open_letters := kind.load().open_dead_letters) is not None
    }
    scheme = _scheme_of(url)
    if scheme not in stored:
        shown = f"{scheme}://…" if scheme else _without_login(url)
        raise ConfigError(f"--transport {shown}: must be one of {_listed(stored)}")
    kind, open_letters = stored[scheme]
    config = kind.config(Settings())
    return open_letters(url, service, resolve(config, environ) if config else None)


def _kind_of(url: str) -> _Kind:
    scheme = _scheme_of(url)
    if scheme not in _BY_SCHEME:
        known = _listed(_BY_SCHEME)
        shown = f"{scheme!r}://…" if scheme else repr(_without_login(url))
        raise ConfigError(f"transport={shown}: must be one of {known}")
    return _BY_SCHEME[scheme]


def _scheme_of(url: str) -> str:
    """The scheme of a URL, even if the rest is invalid; empty if there is none."""
    found = re.match(r"([a-z][a-z0-9+.-]*)://", url, re.IGNORECASE)
    return found[1].lower() if found else ""


def _without_login(text: str) -> str:
    """What was given instead of a URL, without what may be a password."""
    login, at, rest = text.rpartition("@")
    return f"…@{rest}" if login or at else text


def _listed(schemes: Iterable[str]) -> str:
    return ", ".join(f"{scheme}://" for scheme in schemes)

"""Buses of one process that a variable would give the same name."""

import gc
from collections.abc import Mapping
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

from evmon._settings.settings import Settings
from evmon.errors import ConfigError

_VARIABLES: Final = ("EVMON_SERVICE", "EVMON_CONSUMER_GROUP", "EVMON_TRANSPORT")


class _Place(NamedTuple):
    """What decides which events a bus reads."""

    transport: str
    service: str
    group: str


_buses: "WeakKeyDictionary[object, tuple[_Place, _Place]]" = WeakKeyDictionary()
"""The buses of this process that have not stopped: their places in code, and in fact."""


def claim_names(
    bus: object, in_code: Settings, settings: Settings, environ: Mapping[str, str]
) -> None:
    """Remember the names of a bus, until `release_names`.

    Args:
        bus: bus that has the names.
        in_code: settings as given in code.
        settings: the same with the overrides of the environment.
        environ: the environment.

    Raises:
        ConfigError: a variable gives it the names of another bus, which it differs from
            in code; each would be sent events that only the other can handle.
    """
    place = _place(settings)
    given = _place(in_code)
    if place.transport == "memory://":  # never shared, so not what tells buses apart
        given = given._replace(transport=place.transport)
    if _confused(given, place):
        gc.collect()  # buses in reference cycles, that nobody uses any more
    if _confused(given, place):
        names = " and ".join(name for name in _VARIABLES if name in environ)
        raise ConfigError(
            f"{names} would make this bus and another one of this process the same:"
            f" service {place.service!r}, group {place.group!r}, on one transport;"
            " unset it, and name each bus in code"
        )
    _buses[bus] = given, place


def release_names(bus: object) -> None:
    """Forget a bus that has stopped."""
    _buses.pop(bus, None)


def _confused(given: _Place, place: _Place) -> bool:
    """Whether another bus has the same place, and not in code."""
    return any(
        place == other_place and given != other_given
        for other_given, other_place in list(_buses.values())
    )


def _place(settings: Settings) -> _Place:
    group = settings.consumer.group or settings.service
    return _Place(settings.transport, settings.service, group)

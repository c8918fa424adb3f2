"""Declarations of what a bus publishes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, get_origin

from evmon._events import Event
from evmon._handlers.conversion import converter
from evmon._handlers.handlers import check_pattern
from evmon.errors import ConfigError, DiscoveryError


@dataclass(frozen=True, slots=True)
class Published:
    """Event types that a bus publishes.

    Attributes:
        pattern: an event type or a pattern.
        model: type of the data; None if it is not validated.
        check: function that validates the decoded data; None if there is no model.
    """

    pattern: str
    model: Any
    check: Callable[[Any], Any] | None = field(compare=False, repr=False)


def published(pattern: str, model: Any) -> Published:
    """Make a declaration.

    Args:
        pattern: an event type or a pattern.
        model: type of the data, as a handler would annotate it, or None.

    Raises:
        ConfigError: the pattern is invalid, or no data can be of the type.
    """
    check_pattern(pattern)
    if model is None:
        return Published(pattern, None, None)
    if (get_origin(model) or model) is Event:
        raise ConfigError(
            f"publishes({pattern!r}, {model!r}): name the type of the data, not Event"
        )
    try:
        check = converter(model, f"publishes({pattern!r})")
    except DiscoveryError as error:
        raise ConfigError(str(error)) from error
    return Published(pattern, model, check)

"""Loads the bus named by ``MODULE:BUS``."""

import importlib
import logging
import sys

from evmon._bus.bus import EventBus
from evmon._text import one_line
from evmon._user_code import user_line
from evmon.errors import ConfigError, EvmonError

_log = logging.getLogger("evmon.cli")


def load_bus(target: str) -> EventBus:
    """Import a module and return a bus defined in it.

    The working directory is importable, as it is for ``python -m``. The traceback of an
    import that fails is logged at the level DEBUG.

    Args:
        target: for example ``shop.app:bus``.

    Raises:
        ConfigError: the target is malformed, or there is no such bus.
    """
    module_name, _, attribute = target.partition(":")
    if not module_name or not attribute:
        raise ConfigError(f"{target!r}: must be MODULE:BUS, such as shop.app:bus")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        found: object = importlib.import_module(module_name)
        for name in attribute.split("."):
            found = getattr(found, name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        _log.debug("cannot load %s", target, exc_info=error)
        place = user_line(error, module_name)
        if isinstance(error, EvmonError):  # clear without the name of its type
            raise ConfigError(f"{one_line(error)}{place}") from error
        raise ConfigError(
            f"cannot load {target!r}: {type(error).__name__}: {one_line(error)}{place}"
        ) from error
    if not isinstance(found, EventBus):
        raise ConfigError(f"{target!r} is a {type(found).__name__}, not an EventBus")
    return found

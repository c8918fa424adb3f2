"""Loads the bus named by ``MODULE:BUS``."""

import importlib
import sys
import traceback

from evmon._bus.bus import EventBus
from evmon.errors import ConfigError, EvmonError


def load_bus(target: str) -> EventBus:
    """Import a module and return a bus defined in it.

    The working directory is importable, as it is for ``python -m``.

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
    except EvmonError:
        raise  # its message is clear without the context of the import
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        raise ConfigError(
            f"cannot load {target!r}: {type(error).__name__}: {error}{_place(error)}"
        ) from error
    if not isinstance(found, EventBus):
        raise ConfigError(f"{target!r} is a {type(found).__name__}, not an EventBus")
    return found


def _place(error: BaseException) -> str:
    """File and line in user code that raised; empty if none was reached."""
    if isinstance(error, SyntaxError):
        return ""  # its message contains the location
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename not in (__file__, importlib.__file__) and (
            not frame.filename.startswith("<")
        ):
            return f" ({frame.filename}:{frame.lineno})"
    return ""

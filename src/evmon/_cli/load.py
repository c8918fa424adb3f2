"""Loads the bus named by ``MODULE:BUS``."""

import importlib
import logging
import sys
import sysconfig
import traceback
from pathlib import Path
from typing import Final

from evmon._bus.bus import EventBus
from evmon._text import one_line
from evmon.errors import ConfigError, EvmonError

_log = logging.getLogger("evmon.cli")
_PATHS: Final = sysconfig.get_paths()
_STANDARD_LIBRARY: Final = tuple(
    Path(_PATHS[name]).resolve() for name in ("stdlib", "platstdlib")
)
_INSTALLED: Final = tuple(
    Path(_PATHS[name]).resolve() for name in ("purelib", "platlib")
)
_EVMON: Final = Path(__file__).resolve().parents[1]


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


def user_line(error: BaseException, module_name: str) -> str:
    """The file and line of user code that failed; empty if none was reached."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({error.filename}:{error.lineno})"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<") and not _is_below(frame.filename, _EVMON)
    ]
    outside = [frame for frame in frames if not _is_library(frame.filename)]
    # An installed application is below site-packages too.
    package = module_name.partition(".")[0]
    installed = [frame for frame in frames if package in Path(frame.filename).parts]
    for frame in reversed(outside or installed):
        return f" ({frame.filename}:{frame.lineno})"
    return ""


def _is_library(filename: str) -> bool:
    """Whether a file is part of the standard library or of an installed package."""
    return _is_below(filename, *_STANDARD_LIBRARY, *_INSTALLED) or bool(
        {"site-packages", "dist-packages"} & {*Path(filename).parts}
    )


def _is_below(filename: str, *folders: Path) -> bool:
    path = Path(filename).resolve()
    return any(path.is_relative_to(folder) for folder in folders)

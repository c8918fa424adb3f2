"""The lines of user code that errors and handlers come from."""

import functools
import sysconfig
import traceback
from pathlib import Path
from types import FunctionType, MethodType
from typing import Any, Final

_PATHS: Final = sysconfig.get_paths()
_STANDARD_LIBRARY: Final = tuple(
    Path(_PATHS[name]).resolve() for name in ("stdlib", "platstdlib")
)
_INSTALLED: Final = tuple(
    Path(_PATHS[name]).resolve() for name in ("purelib", "platlib")
)
_EVMON: Final = Path(__file__).resolve().parent


def user_line(error: BaseException, module_name: str) -> str:
    """The innermost line of user code that an error, or its cause, passed through.

    Args:
        error: error that was raised.
        module_name: module of the application; it counts as user code even if it is
            installed.

    Returns:
        A text such as `` (/srv/shop/app.py:7)``; empty if no such line was reached.
    """
    for raised in (error, error.__cause__):
        line = _line_in_traceback(raised, module_name) if raised else ""
        if line:
            return line
    return ""


def definition_line(defined: Any) -> str:
    """The line where a function, or the constructor of a class, is defined.

    Returns:
        A text such as `` (/srv/shop/app.py:7)``; empty if it is not written in Python.
    """
    if isinstance(defined, type):
        defined = defined.__init__  # type: ignore[misc]
    for _ in range(100):  # wrappers may form a cycle
        if isinstance(defined, functools.partial):
            defined = defined.func
        elif isinstance(defined, (staticmethod, classmethod, MethodType)):
            defined = defined.__func__
        elif isinstance(defined, FunctionType) and hasattr(defined, "__wrapped__"):
            defined = defined.__wrapped__
        else:
            break
    if not isinstance(defined, FunctionType):
        return ""
    return f" ({defined.__code__.co_filename}:{defined.__code__.co_firstlineno})"


def _line_in_traceback(error: BaseException, module_name: str) -> str:
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

"""Makes the records of evmon's loggers safe to print, and logging them safe to do."""

import logging
import sys
import traceback
from collections.abc import Callable
from typing import Any, Final

from evmon._text import one_line, traceback_text

LOGGERS: Final = (
    *(
        "evmon.bus",
        "evmon.cli",
        "evmon.consumer",
        "evmon.discovery",
        "evmon.exposition",
    ),
    *("evmon.metrics", "evmon.monitor", "evmon.publisher", "evmon.telemetry"),
    "evmon.transport",
)
"""Every logger of the package; a filter does not apply to the loggers below."""


def clean_records() -> None:
    """Let evmon's loggers clean whatever text they are given, and raise nothing."""
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.addFilter(_clean)
        if "handle" not in vars(logger):
            logger.handle = _guarded(logger.handle)  # type: ignore[method-assign,assignment]


def _guarded(
    handle: Callable[[logging.LogRecord], None],
) -> Callable[[logging.LogRecord], None]:
    """Report an error of a filter as `logging` reports one of a handler."""

    def guarded(record: logging.LogRecord) -> None:
        try:
            handle(record)
        except Exception:  # noqa: BLE001 - filters are user code
            if logging.raiseExceptions and sys.stderr is not None:
                sys.stderr.write("--- Logging error of a filter ---\n")
                traceback.print_exc(file=sys.stderr)

    return guarded


def _clean(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        record.args = tuple(map(_clean_argument, record.args))
    if record.exc_info and record.exc_info[1] is not None:
        # Formatters print this text; `exc_info` stays for handlers that report errors.
        record.exc_text = traceback_text(record.exc_info[1])
    return True


def _clean_argument(argument: Any) -> Any:
    if isinstance(argument, (str, BaseException)):
        return one_line(argument)
    return argument

"""Makes the records of evmon's loggers safe to print."""

import logging
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
    """Let evmon's loggers clean whatever text they are given."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_clean)


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

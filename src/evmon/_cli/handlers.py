"""``evmon handlers``: lists the handlers that would be discovered."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from rich.table import Table

from evmon._cli.output import styled
from evmon._handlers.handlers import Handler

_log = logging.getLogger("evmon.discovery")


def handlers_table(handlers: Iterable[Handler]) -> Table:
    """A table of handlers, by pattern."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("PATTERN", "HANDLER", "KIND", "RETRIES"):
        table.add_column(heading, overflow="fold")
    for handler in sorted(handlers, key=lambda h: (h.pattern, h.name)):
        retries = str(handler.retry.max_retries) if handler.retry else "default"
        kind = "async" if handler.is_async else "thread"
        if handler.call_many:
            kind += ", many"
        cells = (handler.pattern, handler.key, kind, retries)
        table.add_row(*map(styled, cells))
    return table


@contextmanager
def failures_left_out_of_log() -> Iterator[None]:
    """Log no failure of discovery: the command prints them."""
    _log.addFilter(_is_no_failure)
    try:
        yield
    finally:
        _log.removeFilter(_is_no_failure)


def _is_no_failure(record: logging.LogRecord) -> bool:
    return record.levelno < logging.ERROR

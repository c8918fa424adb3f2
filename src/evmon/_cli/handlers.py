"""``evmon handlers``: lists the handlers that would be discovered."""

from collections.abc import Iterable

from rich.table import Table

from evmon._cli.output import styled
from evmon._handlers.handlers import Handler


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

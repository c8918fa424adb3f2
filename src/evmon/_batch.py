"""Batches of the publisher."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from evmon.errors import PublishError

_tickets = itertools.count(1)


@dataclass(slots=True, eq=False)
class Batch:
    """Events sent together.

    Attributes:
        done: result of each event: None, or why it was refused.
        unawaited: indexes of the events of `publish_nowait`.
        ticket: number of the batch for the transport.
        size: bytes of all events.
        urgent: whether to send the batch without waiting for more events.
    """

    done: "asyncio.Future[list[Exception | None]]"
    raws: list[bytes] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    unawaited: list[int] = field(default_factory=list)
    created_at: float = 0.0
    ticket: int = field(default_factory=_tickets.__next__)
    size: int = 0
    urgent: bool = False

    def counts_by_error(
        self, results: Sequence[Exception | None]
    ) -> Iterable[tuple[Exception | None, Counter[str]]]:
        """Events by label, for each kind of result: None, or an error of the kind."""
        by_error: dict[str, tuple[Exception | None, Counter[str]]] = {}
        for result, label in zip(results, self.labels, strict=True):
            kind = type(result).__name__ if result else ""
            by_error.setdefault(kind, (result, Counter()))[1][label] += 1
        return by_error.values()


async def all_sent(
    events: Iterable[tuple[Batch, int]], expired: "asyncio.Future[Any]"
) -> None:
    """Wait until all events are sent or refused, or until `expired` is done."""
    batches = {id(batch): batch for batch, _ in events}
    for batch in batches.values():
        await asyncio.wait([batch.done, expired], return_when=asyncio.FIRST_COMPLETED)


def refused(event_id: str, error: Exception) -> PublishError:
    """The error for an event that was not accepted."""
    refused = PublishError(event_id, str(error))
    refused.__cause__ = error
    return refused


def late(event_id: str, timeout: float) -> PublishError:
    """The error for an event that was not accepted in time."""
    return PublishError(
        event_id, f"not accepted within {timeout:g} s; it may still be sent"
    )

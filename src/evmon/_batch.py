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
        attempted: whether it was handed to the transport.
        streams: stream that each event was sent to; empty if there is only one.
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
    attempted: bool = False
    streams: list[str] = field(default_factory=list)

    def counts_by_error(
        self, results: Sequence[Exception | None]
    ) -> Iterable[tuple[Exception | None, str, Counter[str]]]:
        """Events by label, for each stream and kind of result.

        Returns:
            None or an error of the kind, the stream, and the number of events by label.
        """
        found: dict[tuple[type, str], tuple[Exception | None, str, Counter[str]]] = {}
        streams = self.streams or itertools.repeat("", len(results))
        for result, stream, label in zip(results, streams, self.labels, strict=True):
            key = (type(result), stream)
            counts = found.get(key)
            if counts is None:
                counts = found[key] = (result, stream, Counter())
            counts[2][label] += 1
        return found.values()

    def sent(self, indexes: Sequence[int], streams: Sequence[str]) -> None:
        """Remember the streams that events were sent to; none if there is only one."""
        if not streams:
            return
        if not self.streams:
            self.streams = [""] * len(self.ids)
        for index, stream in zip(indexes, streams, strict=True):
            self.streams[index] = stream


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

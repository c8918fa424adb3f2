"""The fields of log records about events, and the words that name an event in them.

Every record of evmon about an event has the same fields, whatever it reports; all of them
are made here. Nothing is done for an event about which nothing is logged.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec

from evmon._text import one_line

FIELDS: Final = ("event_id", "event_type", "entry_id", "handler", "attempt")
"""Fields of a record about one event or several; None where a value is not known."""

MANY_FIELDS: Final = ("event_count", "event_ids", "entry_ids")
"""Additional fields of a record about several events."""

MAX_IDS: Final = 100
"""Maximum number of ids in one record."""


class Entry(Protocol):
    """An entry on the transport, such as a `Received`."""

    @property
    def id(self) -> str:
        """Id of the entry."""
        ...

    @property
    def raw(self) -> bytes:
        """The encoded event."""
        ...


@dataclass(frozen=True, slots=True)
class Subject:
    """What a log record is about: an argument of the message, and the `extra` fields.

    Attributes:
        text: words for the message, such as ``event 7 (order.created, entry 3-0)``.
        fields: value of each field.

    Example:
        >>> subject = about(event_id="7", event_type="order.created")
        >>> log.warning("lost %s", subject, extra=subject.fields)
    """

    text: str
    fields: dict[str, Any]

    def __str__(self) -> str:
        return self.text


class _Attributes(msgspec.Struct):
    id: str = ""
    type: str = ""


_read_attributes = msgspec.json.Decoder(_Attributes).decode


def about(
    entry: Entry | None = None,
    *,
    event_id: str = "",
    event_type: str = "",
    handler: str | None = None,
    attempt: int | None = None,
) -> Subject:
    """What a record about one event is about.

    Args:
        entry: entry of the event; None if it has none yet.
        event_id: the event's own id; by default read from the entry.
        event_type: type of the event; by default read from the entry.
        handler: name of the handler that was called, or is to be.
        attempt: number of its attempt, from 1.
    """
    if entry is not None and not event_id:
        event_id, event_type = _attributes(entry)
    values = (
        _known(event_id),
        _known(event_type),
        None if entry is None else _known(entry.id),
        None if handler is None else _known(handler),
        attempt,
    )
    return Subject(_text(*values[:3]), dict(zip(FIELDS, values, strict=True)))


def about_many(
    count: int,
    entries: Sequence[Entry] = (),
    *,
    event_ids: Sequence[str] = (),
    event_types: Sequence[str] = (),
    entry_ids: Sequence[str] = (),
    handler: str | None = None,
    attempt: int | None = None,
) -> Subject:
    """What a record about several events is about.

    A field that all the events share has that value, otherwise None.

    Args:
        count: number of events.
        entries: entries of the events, as far as they are known.
        event_ids: ids of the events, if there are no entries.
        event_types: types of the events, if there are no entries.
        entry_ids: ids of the entries, if no more is known of them.
        handler: name of the handler that was called.
        attempt: number of its attempt, from 1.
    """
    if entries:
        read = [_attributes(entry) for entry in entries[:MAX_IDS]]
        event_ids = [event_id for event_id, _ in read]
        event_types = [event_type for _, event_type in read]
        entry_ids = [entry.id for entry in entries[:MAX_IDS]]
    values = (
        _shared(event_ids, count),
        _shared(event_types, count),
        _shared(entry_ids, count),
        None if handler is None else _known(handler),
        attempt,
    )
    lists = (count, _listed(event_ids), _listed(entry_ids))
    fields = dict(zip((*FIELDS, *MANY_FIELDS), (*values, *lists), strict=True))
    return Subject(f"{count} events", fields)


def _attributes(entry: Entry) -> tuple[str, str]:
    """Id and type of an event, also of one that is otherwise invalid."""
    try:
        read = _read_attributes(entry.raw)
    except (ValueError, RecursionError):
        return "", ""
    return read.id, read.type


def _text(event_id: str | None, event_type: str | None, entry_id: str | None) -> str:
    entry = entry_id and f"entry {entry_id}"
    if event_id is None:
        return entry or (f"events of type {event_type}" if event_type else "an event")
    details = ", ".join(part for part in (event_type, entry) if part)
    return f"event {event_id} ({details})" if details else f"event {event_id}"


def _known(text: str) -> str | None:
    # A formatter may print a field, so it is cleaned as an argument of the message is.
    return one_line(text) or None


def _shared(values: Sequence[str], count: int) -> str | None:
    if len(values) != count or len(set(values)) != 1:
        return None
    return _known(values[0])


def _listed(values: Sequence[str]) -> list[str] | None:
    return [one_line(value) for value in values[:MAX_IDS]] or None

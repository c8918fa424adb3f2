"""The fields of a dead letter, and of an entry's next try."""

from datetime import datetime, timezone
from typing import Final

import msgspec

from evmon._transports.base import DeadLetter, Received, Redelivery
from evmon._transports.redis.held import Origin
from evmon._transports.redis.keys import (
    DEAD_PREFIX,
    EVENT,
    PACKED,
    Extra,
    Fields,
    write_extra,
)

VERSION: Final = "1"
MAX_FIELDS: Final = 1000
"""Fields of a stranger's entry that a dead letter keeps one by one."""


def dead_fields(
    received: Received, dead: DeadLetter, consumer: str, now: float
) -> list[bytes]:
    """A dead letter: all fields of the entry as they were, and why it is here.

    Args:
        received: the entry.
        dead: why.
        consumer: name of the one that gave up.
        now: Unix time.
    """
    origin: Origin = received.token
    facts = {
        "version": VERSION,
        "reason": dead.reason,
        "stream": origin.inbox.stream,
        "id": received.id,
        "group": origin.inbox.group,
        "consumer": consumer,
        "event_type": dead.event_type,
        "event_id": dead.event_id,
        "traceparent": dead.traceparent,
        "error_type": dead.error_type,
        "error_message": dead.error_message,
        "handlers": "\n".join(dead.handlers),
        "attempts": str(dead.attempts),
        "deliveries": str(received.deliveries),
        "first_failed_at": _moment(origin.extra.first_failed or now),
        "dead_at": _moment(now),
        "redriven": str(origin.extra.redriven),
    }
    fields = list(_original(received))
    for name, value in facts.items():
        fields += (DEAD_PREFIX + name.encode(), value.encode(errors="replace"))
    return fields


def next_fields(received: Received, again: Redelivery, now: float) -> list[bytes]:
    """The entry as it will come again.

    Args:
        received: the entry.
        again: what is said about its next try.
        now: Unix time.
    """
    origin: Origin = received.token
    extra = Extra(
        attempts=again.attempts,
        handlers=again.handlers,
        group=origin.inbox.group,
        first_failed=origin.extra.first_failed or now,
        redriven=origin.extra.redriven,
    )
    return [EVENT, received.raw, *write_extra(extra)]


def _original(received: Received) -> Fields:
    """The entry's fields; those of a stranger that wrote very many, packed in one."""
    fields: Fields = received.token.fields
    if not fields:
        return (EVENT, received.raw)
    if len(fields) > 2 * MAX_FIELDS:
        return (PACKED, msgspec.msgpack.encode(list(fields)))
    return fields


def _moment(unix_time: float) -> str:
    return datetime.fromtimestamp(unix_time, timezone.utc).isoformat(
        "T", "milliseconds"
    )

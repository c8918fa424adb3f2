"""Dead letters: their fields, and the queue of a service to list, replay and purge them."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final

import msgspec

from evmon._failpoints import ON, reach
from evmon._settings.configs import RedisConfig
from evmon._transports.base import DeadLetter, Received
from evmon._transports.dead_letters import UNREADABLE, NotReplayedError
from evmon._transports.redis import scripts
from evmon._transports.redis.batch_size import BatchSize
from evmon._transports.redis.entries import (
    DEAD_PREFIX,
    EVENT,
    OWN_FIELDS,
    PACKED,
    Extra,
    Fields,
    mapping,
    number,
    write_extra,
)
from evmon._transports.redis.errors import BrokenError, ReadOnlyError
from evmon._transports.redis.held import Origin
from evmon._transports.redis.keys import Keys
from evmon._transports.redis.standalone_client import standalone_client
from evmon.errors import TransportError

VERSION: Final = "1"
"""Version of the fields of a dead letter."""

MAX_FIELDS: Final = 1000
"""Maximum number of fields kept one by one; the fields of a larger entry are packed.

So are those of an entry whose field names have a meaning in a dead letter.
"""

MAX_PARTS: Final = 7000
"""Maximum number of names and values that a script can append: Lua's stack ends at 8,000."""

PAGE: Final = 100
"""Dead letters read or deleted by one command."""


@dataclass(frozen=True, slots=True)
class StoredDeadLetter:
    """A dead letter, as stored.

    Attributes:
        id: id of the dead letter.
        facts: what was recorded when it was dead-lettered, by name.
        fields: names and values of the original entry in turn.
        stored: names and values of the dead letter in turn, as stored.
    """

    id: str
    facts: dict[str, str]
    fields: Fields
    stored: Fields = ()

    @property
    def raw(self) -> bytes:
        """The encoded event; empty if the entry had none."""
        return mapping(self.fields).get(EVENT, b"")

    @property
    def reason(self) -> str:
        """Why it was dead-lettered; `UNREADABLE` if that is not recorded."""
        return self.facts.get("reason") or UNREADABLE

    @property
    def group(self) -> str:
        """Name of the consumer group that dead-lettered it; empty if not recorded."""
        return self.facts.get("group", "")

    @property
    def event_type(self) -> str:
        """Type of the event; empty if it could not be decoded."""
        return self.facts.get("event_type", "")

    @property
    def redriven(self) -> int:
        """How often it was replayed before."""
        return int(number(self.facts.get("redriven", "")))

    @property
    def can_be_replayed(self) -> bool:
        """Whether it is small enough; only an entry that evmon did not write is not."""
        return len(self.fields) <= MAX_PARTS


class DeadLetterQueue:
    """The dead letters of one service.

    Args:
        url: URL of the server.
        service: name of the service.
        config: login and timeouts.

    Raises:
        ConfigError: the URL is invalid.
    """

    def __init__(self, url: str, service: str, config: RedisConfig) -> None:
        self._keys = Keys(service)
        self._client, self._primary = standalone_client(url, service, config)

    async def close(self) -> None:
        """Disconnect."""
        await self._client.close()
        await self._primary.close()

    async def exists(self) -> bool:
        """Whether the service has a stream or dead letters."""
        keys = (self._keys.stream(), self._keys.dead)
        return bool(await self._client.call("EXISTS", *keys))

    async def letters(self, after: str = "-") -> AsyncIterator[StoredDeadLetter]:
        """All dead letters stored at the time of the call, oldest first.

        Args:
            after: ``(`` and the id of the dead letter after which to start.
        """
        # A replayed event that fails again becomes a new dead letter: leave it out.
        newest = await self._client.call(
            *("XREVRANGE", self._keys.dead, "+", "-", "COUNT", 1)
        )
        while newest:
            page = await self._client.call(
                *("XRANGE", self._keys.dead, after, newest[0][0], "COUNT", PAGE)
            )
            for entry_id, fields in page:
                yield _parse(entry_id, fields)
            if len(page) < PAGE:
                return
            after = f"({page[-1][0].decode()}"

    async def letter(self, letter_id: str) -> StoredDeadLetter | None:
        """The dead letter with an id; None if there is none."""
        found = await self._client.call("XRANGE", self._keys.dead, letter_id, letter_id)
        # Redis completes an id without a sequence number, so it may find another one.
        letter = _parse(*found[0]) if found else None
        return letter if letter and letter.id == letter_id else None

    async def replay(
        self, letters: Sequence[StoredDeadLetter]
    ) -> list[bool | NotReplayedError]:
        """Move dead letters back to their streams, for the handlers that failed.

        All that are small enough together move in one step and one round trip.

        Returns:
            For each, whether it still existed, or why the server refused it.

        Raises:
            TransportError: the server cannot be reached, or is a replica.
        """
        results: list[bool | NotReplayedError] = []
        entries = [(letter, _replay_fields(letter)) for letter in letters]
        while entries:
            count = BatchSize().fitting(
                [sum(map(len, fields)) for _, fields in entries]
            )
            results += await self._replay(entries[:count])
            entries = entries[count:]
        return results

    async def _replay(
        self, entries: Sequence[tuple[StoredDeadLetter, list[bytes]]]
    ) -> list[bool | NotReplayedError]:
        """Move some dead letters back in one step, given their new fields."""
        keys = [self._keys.dead]
        args: list[Any] = []
        for letter, fields in entries:
            stream = self._stream_of(letter)
            if stream not in keys:
                keys.append(stream)
            args += (letter.id, keys.index(stream) + 1, len(fields), *fields)
        try:
            replies: list[Any] = await self._client.eval(scripts.REPLAY, keys, args)
        except (BrokenError, ReadOnlyError):
            raise
        except TransportError as error:
            return [NotReplayedError(str(error)) for _ in entries]
        if ON:
            reach("during_replay")
        return [
            await self._refusal(reply.decode(), self._stream_of(letter))
            if isinstance(reply, bytes)
            else bool(reply)
            for (letter, _), reply in zip(entries, replies, strict=True)
        ]

    async def _refusal(self, text: str, stream: str) -> NotReplayedError:
        """Why a stream refuses an entry; a wrong type is named with its key."""
        if text.startswith("WRONGTYPE"):
            for wrong in await self._client.wrong_types([stream]):
                text = f"WRONGTYPE {wrong}"
        return NotReplayedError(text)

    def _stream_of(self, letter: StoredDeadLetter) -> str:
        """The stream that the dead letter came from, if it is one of the service."""
        own = self._keys.stream()
        stream = letter.facts.get("stream", "")
        return stream if stream.startswith(f"{own}:") else own

    async def purge(self, letter_ids: Sequence[str]) -> int:
        """Delete dead letters; returns how many existed."""
        count = 0
        for start in range(0, len(letter_ids), PAGE):
            page = letter_ids[start : start + PAGE]
            count += await self._client.call("XDEL", self._keys.dead, *page)
        return count


def dead_fields(
    received: Received, dead: DeadLetter, consumer: str, now: float
) -> list[bytes]:
    """The fields of a new dead letter: those of the entry, and the reason.

    Args:
        received: entry that failed.
        dead: reason and error.
        consumer: name of the consumer that dead-letters it.
        now: current Unix time.
    """
    origin: Origin = received.token
    facts = {
        "version": VERSION,
        "reason": dead.reason,
        "stream": origin.held.stream,
        "id": received.id,
        "group": origin.held.group,
        "consumer": consumer,
        "event_type": dead.event_type,
        "event_id": dead.event_id,
        "traceparent": dead.traceparent,
        "error_type": dead.error_type,
        "error_message": dead.error_message,
        "handlers": "\n".join(dead.handlers),
        "attempts": str(dead.attempts),
        "deliveries": str(received.deliveries),
        "first_failed_at": _iso_time(origin.extra.first_failed or now),
        "dead_at": _iso_time(now),
        "redriven": str(origin.extra.redriven),
    }
    fields = list(_original_fields(received))
    for name, value in facts.items():
        fields += (DEAD_PREFIX + name.encode(), value.encode(errors="replace"))
    return fields


def _original_fields(received: Received) -> Fields:
    fields: Fields = received.token.fields
    if not fields:
        return (EVENT, received.raw)
    reserved = any(
        name == PACKED or name.startswith(DEAD_PREFIX) for name in fields[::2]
    )
    if reserved or len(fields) > 2 * MAX_FIELDS:
        return (PACKED, msgspec.msgpack.encode(list(fields)))
    return fields


def _iso_time(unix_time: float) -> str:
    return datetime.fromtimestamp(unix_time, timezone.utc).isoformat(
        "T", "milliseconds"
    )


def _parse(entry_id: bytes, fields: Fields) -> StoredDeadLetter:
    """Parse a dead letter. Other programs may write some, so nothing raises."""
    facts = {}
    original: list[bytes] = []
    for name, value in zip(fields[::2], fields[1::2], strict=False):
        if name.startswith(DEAD_PREFIX):
            key = name[len(DEAD_PREFIX) :].decode(errors="replace")
            facts[key] = value.decode(errors="replace")
        else:
            original += (name, value)
    return StoredDeadLetter(entry_id.decode(), facts, _unpacked(original), fields)


def _unpacked(fields: list[bytes]) -> list[bytes]:
    """The fields of an entry that may be packed; others are returned as they are."""
    if len(fields) != 2 or fields[0] != PACKED:
        return fields
    try:
        unpacked = msgspec.msgpack.decode(fields[1], type=list[bytes])
    except msgspec.DecodeError:
        return fields
    return fields if len(unpacked) % 2 else unpacked


def _replay_fields(letter: StoredDeadLetter) -> list[bytes]:
    """The original fields without attempts, for the handlers that failed."""
    names = letter.facts.get("handlers", "")
    extra = Extra(
        handlers=tuple(name for name in names.split("\n") if name),
        group=letter.group,
        redriven=letter.redriven + 1,
    )
    kept = [
        part
        for name, value in zip(letter.fields[::2], letter.fields[1::2], strict=False)
        if name == EVENT or name not in OWN_FIELDS
        for part in (name, value)
    ]
    return [*kept, *write_extra(extra)]

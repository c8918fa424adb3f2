"""The dead letters of a service, to look at, to replay and to purge."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from evmon._clock import SYSTEM_CLOCK
from evmon._failpoints import ON, reach
from evmon._settings.configs import RedisConfig
from evmon._telemetry.transport_recorder import no_recorder
from evmon._transports.redis import scripts
from evmon._transports.redis.address import connect, parse_address
from evmon._transports.redis.client import Client
from evmon._transports.redis.keys import (
    DEAD_PREFIX,
    EVENT,
    OWN_FIELDS,
    PACKED,
    Extra,
    Fields,
    Keys,
    mapping,
    write_extra,
)

PAGE: Final = 100
MAX_PARTS: Final = 7000
"""Names and values of an entry that a script can append; Lua's stack ends at 8,000."""


@dataclass(frozen=True, slots=True)
class StoredDeadLetter:
    """A dead letter.

    Attributes:
        id: of the dead letter.
        facts: what was noted when it was put aside, by name.
        fields: of the entry as it was, names and values in turn.
    """

    id: str
    facts: dict[str, str]
    fields: Fields

    @property
    def raw(self) -> bytes:
        """The event as it was published; empty for an entry that held none."""
        return mapping(self.fields).get(EVENT, b"")

    @property
    def reason(self) -> str:
        """Why it is here."""
        return self.facts.get("reason", "")

    @property
    def event_type(self) -> str:
        """Of the event; empty when it could not be decoded."""
        return self.facts.get("event_type", "")

    @property
    def redriven(self) -> int:
        """How often it was replayed before."""
        text = self.facts.get("redriven", "")
        return int(text) if text.isdecimal() else 0

    @property
    def can_be_replayed(self) -> bool:
        """Whether it is small enough; only a stranger's entry is not."""
        return len(self.fields) <= MAX_PARTS


class DeadLetterQueue:
    """The dead letters of one service.

    Args:
        url: of the server.
        service: whose dead letters.
        config: login and times.

    Raises:
        ConfigError: the URL is wrong.
    """

    def __init__(self, url: str, service: str, config: RedisConfig) -> None:
        address = parse_address(url, config)
        client = connect(address, config.timeout, config.timeout)
        self._client = Client(client, address.secrets, no_recorder(), SYSTEM_CLOCK)
        self._keys = Keys(service)

    async def close(self) -> None:
        """Disconnect."""
        await self._client.close()

    async def exists(self) -> bool:
        """Whether the service was ever here."""
        keys = (self._keys.stream(), self._keys.dead)
        return bool(await self._client.call("EXISTS", *keys))

    async def letters(self, after: str = "-") -> AsyncIterator[StoredDeadLetter]:
        """All dead letters there are now, the oldest first.

        Args:
            after: id of the dead letter after which to start, ``(`` before it.
        """
        # What is put aside from now on, by a replay that failed again, is not for us.
        last = await self._client.call("XREVRANGE", self._keys.dead, "+", "-", *_ONE)
        while last:
            page = await self._client.call(
                *("XRANGE", self._keys.dead, after, last[0][0], "COUNT", PAGE)
            )
            for entry_id, fields in page:
                yield _letter(entry_id, fields)
            if len(page) < PAGE:
                return
            after = f"({page[-1][0].decode()}"

    async def letter(self, letter_id: str) -> StoredDeadLetter | None:
        """One dead letter, if it is there."""
        found = await self._client.call("XRANGE", self._keys.dead, letter_id, letter_id)
        # An id without its last part stands for the first one of its millisecond.
        letter = _letter(*found[0]) if found else None
        return letter if letter and letter.id == letter_id else None

    async def replay(self, letter: StoredDeadLetter) -> bool:
        """Put a dead letter back where it came from, for the handlers that failed.

        Returns:
            False when it is no longer there.
        """
        stream = letter.facts.get("stream", "")
        if not stream.startswith(self._keys.stream()):
            stream = self._keys.stream()
        done = await self._client.call(
            *("EVAL", scripts.REPLAY, 2, self._keys.dead, stream, letter.id),
            *_fields_to_replay(letter),
        )
        if ON:
            reach("during_replay")
        return bool(done)

    async def purge(self, letter_ids: Sequence[str]) -> int:
        """Delete dead letters for good; returns how many there were."""
        count = 0
        for start in range(0, len(letter_ids), PAGE):
            page = letter_ids[start : start + PAGE]
            count += await self._client.call("XDEL", self._keys.dead, *page)
        return count


_ONE: Final = ("COUNT", 1)


def _letter(entry_id: bytes, fields: Fields) -> StoredDeadLetter:
    facts = {}
    original: list[bytes] = []
    for name, value in zip(fields[::2], fields[1::2], strict=False):
        if name.startswith(DEAD_PREFIX):
            key = name[len(DEAD_PREFIX) :].decode(errors="replace")
            facts[key] = value.decode(errors="replace")
        elif name == PACKED:
            original += msgspec.msgpack.decode(value, type=list[bytes])
        else:
            original += (name, value)
    return StoredDeadLetter(entry_id.decode(), facts, original)


def _fields_to_replay(letter: StoredDeadLetter) -> list[bytes]:
    """The entry as it was, with no attempts so far, for those who gave it up."""
    names = letter.facts.get("handlers", "")
    extra = Extra(
        handlers=tuple(name for name in names.split("\n") if name),
        group=letter.facts.get("group", ""),
        redriven=letter.redriven + 1,
    )
    kept = [
        part
        for name, value in zip(letter.fields[::2], letter.fields[1::2], strict=False)
        if name == EVENT or name not in OWN_FIELDS
        for part in (name, value)
    ]
    return [*kept, *write_extra(extra)]

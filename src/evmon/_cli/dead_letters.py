"""Selects and prints dead letters."""

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from evmon._cli.output import echo_error
from evmon._handlers.handlers import check_pattern
from evmon._handlers.registry import matches
from evmon._text import printable
from evmon._transports.dead_letters import (
    DeadLetters,
    NotReplayedError,
    StoredDeadLetter,
)
from evmon.errors import ConfigError

_ID: Final = re.compile(r"([0-9]{1,20})-([0-9]{1,20})")
_MAX_PART: Final = 2**64 - 1
_MAX_CELL: Final = 1024
"""Maximum length of a text in a table."""


def check_id(letter_id: str) -> None:
    """Check that a text is the id of an entry in Redis.

    Raises:
        ConfigError: it is not.
    """
    match = _ID.fullmatch(letter_id)
    if match is None or any(int(part) > _MAX_PART for part in match.groups()):
        raise ConfigError(
            f"{letter_id!r:.200}: not the id of a dead letter, which looks like"
            " 1700000000000-0; 'evmon dlq list' lists them"
        )


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters to select.

    Attributes:
        event_type: event type or pattern; None selects all.
        reason: reason for dead-lettering; None selects all.
        limit: maximum number; None selects all.
        ids: ids of dead letters; empty selects all.
        group: name of the consumer group that dead-lettered it; None selects all.

    Raises:
        ConfigError: the pattern or an id is invalid.
    """

    event_type: str | None
    reason: str | None
    limit: int | None = None
    ids: tuple[str, ...] = ()
    group: str | None = None

    def __post_init__(self) -> None:
        if self.event_type is not None:
            check_pattern(self.event_type)
        for letter_id in self.ids:
            check_id(letter_id)

    async def select(self, queue: DeadLetters) -> AsyncIterator[StoredDeadLetter]:
        """The selected dead letters, oldest first."""
        left = -1 if self.limit is None else self.limit
        async for letter in self._by_id(queue) if self.ids else queue.letters():
            if not left:
                return
            if self._matches(letter):
                left -= 1
                yield letter

    async def _by_id(self, queue: DeadLetters) -> AsyncIterator[StoredDeadLetter]:
        for letter_id in self.ids:
            letter = await queue.letter(letter_id)
            if letter is None:
                echo_error(f"no dead letter {letter_id}")
            else:
                yield letter

    def _matches(self, letter: StoredDeadLetter) -> bool:
        if self.reason is not None and letter.reason != self.reason:
            return False
        if self.group is not None and letter.group != self.group:
            return False
        return self.event_type is None or (
            bool(letter.event_type) and matches(self.event_type, letter.event_type)
        )


@dataclass(slots=True)
class Replayed:
    """What became of the dead letters that were to be replayed.

    Attributes:
        count: number of those that were, or would be.
        too_large: number of those with too many fields.
        refused: number of those that the server refused.
        refusal: its first message.
    """

    count: int = 0
    too_large: int = 0
    refused: int = 0
    refusal: str = ""

    async def replay(
        self, queue: DeadLetters, letters: Sequence[StoredDeadLetter]
    ) -> int:
        """Replay some; returns how many were replayed."""
        count = 0
        for result in await queue.replay(letters):
            if isinstance(result, NotReplayedError):
                self.refused += 1
                self.refusal = self.refusal or str(result)
            else:
                count += result
        self.count += count
        return count

    @property
    def problems(self) -> list[str]:
        """Why some were not replayed, one line for each cause."""
        lines = []
        if self.too_large:
            lines.append(f"{self.too_large} have too many fields to be replayed")
        if self.refused:
            lines.append(f"{self.refused} could not be replayed: {self.refusal}")
        return lines


def recorded_facts(letter: StoredDeadLetter) -> dict[str, str]:
    """Recorded facts; `id` is the id of the dead letter, `entry_id` that of its entry."""
    recorded = letter.facts
    return {
        **recorded,
        "reason": letter.reason,
        "id": letter.id,
        "entry_id": recorded.get("id", ""),
    }


def raw_fields(letter: StoredDeadLetter) -> list[str]:
    r"""A line for each stored field, with ``\x`` and two digits for a special byte."""
    stored = letter.stored
    return [
        f"{repr(name)[1:]} {repr(value)[1:]}"
        for name, value in zip(stored[::2], stored[1::2], strict=False)
    ]


def letter_as_json(letter: StoredDeadLetter) -> dict[str, Any]:
    """Recorded facts, with the handlers as a list."""
    facts = recorded_facts(letter)
    names = facts.get("handlers", "").split("\n")
    return {**facts, "handlers": [name for name in names if name]}


class LetterLines:
    """Lines of a table of dead letters, which is printed while it is read.

    Args:
        first: the first dead letters, which the widths of the columns fit; a column with
            the consumer groups is added if there are several.
    """

    def __init__(self, first: Sequence[StoredDeadLetter]) -> None:
        self._several = len({letter.group for letter in first}) > 1
        headings = ["ID", "DEAD SINCE (UTC)", "REASON", "TYPE", "ATTEMPTS", "ERROR"]
        if self._several:
            headings.insert(2, "GROUP")
        rows = [headings, *(self._cells(letter) for letter in first)]
        self._widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        self.heading = self._join(headings)

    def line(self, letter: StoredDeadLetter) -> str:
        """The line of a dead letter."""
        return self._join(self._cells(letter))

    def _cells(self, letter: StoredDeadLetter) -> list[str]:
        facts = letter.facts
        cells = [
            letter.id,
            facts.get("dead_at", "")[:19],
            letter.reason,
            letter.event_type,
            facts.get("attempts", ""),
            facts.get("error_message", ""),
        ]
        if self._several:
            cells.insert(2, letter.group)
        return [printable(" ".join(cell[:_MAX_CELL].split("\n"))) for cell in cells]

    def _join(self, cells: Sequence[str]) -> str:
        padded = (c.ljust(w) for c, w in zip(cells, self._widths, strict=True))
        return "  ".join(padded).rstrip()

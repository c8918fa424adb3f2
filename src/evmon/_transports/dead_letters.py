"""The interface between `evmon dlq` and the dead letters of a transport."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final, Protocol

from evmon.errors import DeadLetterReason, TransportError

UNREADABLE: Final[DeadLetterReason] = "unreadable"
"""Reason shown for a dead letter in which none is stored."""


class NotReplayedError(TransportError):
    """The server refuses to replay a dead letter; others may still be replayed."""


class StoredDeadLetter(Protocol):
    """A dead letter as it is stored."""

    @property
    def id(self) -> str:
        """Id of the dead letter."""
        ...

    @property
    def facts(self) -> Mapping[str, str]:
        """What was recorded with it, by name; for example ``error_message``."""
        ...

    @property
    def raw(self) -> bytes:
        """The encoded event; empty if the entry had none."""
        ...

    @property
    def stored(self) -> Sequence[bytes]:
        """Names and values in turn, as stored."""
        ...

    @property
    def reason(self) -> str:
        """Why the event was dead-lettered; `UNREADABLE` if that is not recorded."""
        ...

    @property
    def group(self) -> str:
        """Name of the consumer group that dead-lettered it; empty if not recorded."""
        ...

    @property
    def event_type(self) -> str:
        """Type of the event; empty if it could not be decoded."""
        ...

    @property
    def can_be_replayed(self) -> bool:
        """Whether the transport can publish the entry again."""
        ...


class DeadLetters(Protocol):
    """The dead letters of one service.

    Failures of the server or the network are raised as `TransportError`.
    """

    async def exists(self) -> bool:
        """Whether the transport knows the service."""
        ...

    def letters(self) -> AsyncIterator[StoredDeadLetter]:
        """The dead letters stored when the iteration starts, oldest first."""
        ...

    async def letter(self, letter_id: str) -> StoredDeadLetter | None:
        """The dead letter with this id; None if there is none."""
        ...

    async def replay(
        self, letters: Sequence[Any]
    ) -> "Sequence[bool | NotReplayedError]":
        """Publish events again, for the handlers that failed, and delete their letters.

        Args:
            letters: dead letters from `letters` or `letter` of the same object.

        Returns:
            For each, whether it still existed, or why the server refused it.
        """
        ...

    async def purge(self, letter_ids: Sequence[str]) -> int:
        """Delete dead letters; returns how many existed."""
        ...

    async def close(self) -> None:
        """Release all resources."""
        ...

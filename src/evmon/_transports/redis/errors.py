"""From what redis-py raises to what evmon raises; the one place that reads messages."""

import asyncio
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

from redis import exceptions as redis_errors

from evmon.errors import TransportError

MASK: Final = "***"
FAILURES: Final = (
    redis_errors.RedisError,
    redis_errors.RedisClusterException,  # no RedisError, for redis-py
    OSError,
    asyncio.TimeoutError,
)
"""What redis-py raises when the server, or the way to it, fails."""


class GroupGoneError(TransportError):
    """The stream or its group is not there (any more)."""


class ReadOnlyError(TransportError):
    """The server is a replica now; a new connection may find the new primary."""


class BrokenError(TransportError):
    """The connection broke, or no answer came in time."""


class RefusedError(BrokenError):
    """The server does not let us in; at start, waiting would not change that."""


def translate(error: BaseException, secrets: Iterable[str] = ()) -> TransportError:
    """The error as evmon's, without passwords.

    Args:
        error: what redis-py raised, or returned as a reply.
        secrets: texts to mask in its message.
    """
    text = masked(str(error), secrets) or type(error).__name__
    if isinstance(error, redis_errors.ReadOnlyError):
        return ReadOnlyError(text)
    if isinstance(error, redis_errors.AuthenticationError) or "DB index" in text:
        return RefusedError(text)
    if not isinstance(error, redis_errors.ResponseError):
        return BrokenError(text)
    # Redis has no code of its own for a reader whose stream was deleted.
    if text.startswith(("NOGROUP", "UNBLOCKED")) or "no such key" in text:
        return GroupGoneError(text)
    return TransportError(text)


def masked(text: str, secrets: Iterable[str]) -> str:
    """`text` with every secret, as it is or percent-encoded, replaced."""
    for secret in secrets:
        for form in {secret, quote(secret, safe="")}:
            text = text.replace(form, MASK)
    return text

"""Translates errors of redis-py; no other module reads their messages."""

import asyncio
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

from redis import exceptions as redis_errors

from evmon.errors import TransportError

MASK: Final = "***"
_WRONG_TYPE: Final = "WRONGTYPE"
_DENIED_IN_SCRIPT: Final = "ACL failure in script"
FAILURES: Final = (
    redis_errors.RedisError,
    OSError,
    asyncio.TimeoutError,
)
"""What redis-py raises when the server or the connection fails."""


class GroupGoneError(TransportError):
    """The stream or its consumer group does not exist."""


class WrongTypeError(TransportError):
    """A key holds another type than the command needs."""


class ReadOnlyError(TransportError):
    """The server is not the primary, and has run nothing; another one may be."""


class PermissionDeniedError(TransportError):
    """The user may not run a command, or use a key."""


class BrokenError(TransportError):
    """The connection broke, or no reply came in time."""


class RefusedError(BrokenError):
    """The server refuses the login or the database; retrying does not help."""


def translate(error: BaseException, secrets: Iterable[str] = ()) -> TransportError:
    """Convert an error of redis-py, without passwords.

    Args:
        error: error that redis-py raised, or returned as a reply.
        secrets: texts to mask in its message.
    """
    text = masked(str(error), secrets) or type(error).__name__
    if isinstance(error, redis_errors.ReadOnlyError | redis_errors.ClusterDownError):
        return ReadOnlyError(text)
    denied = isinstance(error, redis_errors.NoPermissionError)
    if denied or text.startswith(_DENIED_IN_SCRIPT):
        return PermissionDeniedError(text)
    if isinstance(error, redis_errors.AuthenticationError) or "DB index" in text:
        return RefusedError(text)
    if not isinstance(error, redis_errors.ResponseError):
        return BrokenError(text)
    # Redis has no error code for a blocked reader whose stream was deleted.
    if text.startswith(("NOGROUP", "UNBLOCKED")) or "no such key" in text:
        return GroupGoneError(text)
    return (WrongTypeError if text.startswith(_WRONG_TYPE) else TransportError)(text)


def masked(text: str, secrets: Iterable[str]) -> str:
    """Replace every secret in `text`, plain or percent-encoded."""
    for secret in secrets:
        for form in {secret, quote(secret, safe="")}:
            text = text.replace(form, MASK)
    return text

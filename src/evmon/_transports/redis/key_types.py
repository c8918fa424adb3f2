"""The Redis type of each key, and the text that names a key of another type."""

import re
import shlex
from collections.abc import Mapping
from typing import Final

from evmon._transports.redis.connections import Command

_TYPES: Final[Mapping[str, str]] = {
    "events": "stream",
    "dead": "stream",
    "retry": "zset",
    "retry:entries": "hash",
    "runs": "hash",
    "clock": "hash",
    "producer": "string",
    "trimmed": "set",
    "reclaimed": "set",
}
"""Type of each kind of key in `Keys`."""

_KEY: Final = re.compile(
    r"evmon:\{.*\}:(?:(events|producer|trimmed|reclaimed)(?::.*)?"
    r"|(dead|retry|retry:entries|runs|clock))",
    re.DOTALL,
)
_COMMANDS: Final[Mapping[str, str]] = {
    "string": "GET {}",
    "list": "LRANGE {} 0 9",
    "set": "SSCAN {} 0",
    "zset": "ZRANGE {} 0 9",
    "hash": "HSCAN {} 0",
    "stream": "XRANGE {} - + COUNT 10",
}
"""Command that shows the beginning of a key, by its type."""


def expected_type(key: str) -> str:
    """The type of a key of `Keys`; empty for any other key."""
    match = _KEY.fullmatch(key)
    return _TYPES[match[1] or match[2]] if match else ""


def keys_in(command: Command) -> list[str]:
    """The keys of `Keys` among the arguments of a command."""
    return [arg for arg in command if isinstance(arg, str) and expected_type(arg)]


def wrong_type(key: str, found: str) -> str:
    """What is wrong with the type of a key, and the command that shows the key.

    Args:
        key: name of the key.
        found: its type in Redis; ``none`` if it does not exist.

    Returns:
        An empty text if nothing is wrong.
    """
    expected = expected_type(key)
    if not expected or found in (expected, "none"):
        return ""
    command = _COMMANDS.get(found, "TYPE {}").format(shlex.quote(key))
    return f"{key} holds a {found}, not a {expected}; look at it: redis-cli {command}"

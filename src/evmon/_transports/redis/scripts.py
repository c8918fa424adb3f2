"""The Lua scripts, and the commands that run them.

A script is called by its SHA-1 digest (EVALSHA). `Client` sends the text (EVAL) only to a
server that does not have the script: after a restart, a failover or SCRIPT FLUSH.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

from evmon._transports.redis.connections import Command

_CALL: Final = re.compile(
    r"redis\.p?call\(\s*'(XGROUP|XINFO|\w+)'(?:(?<='XGROUP'),\s*'(\w+)'"
    r"|(?<='XINFO'),\s*'(\w+)')?"
)
"""A command in a script, and its subcommand."""

_WRITES: Final = frozenset(
    {
        *("EXPIRE", "HDEL", "HSET", "SADD", "SET", "SREM", "XACK", "XADD", "XCLAIM"),
        *("XDEL", "XGROUP|CREATE", "XGROUP|DELCONSUMER", "XGROUP|SETID", "XTRIM"),
        *("ZADD", "ZREM"),
    }
)
"""Commands of the scripts that write."""

_texts: Final[dict[str, str]] = {}
"""Text of each script by its digest."""


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script.

    Attributes:
        text: source code, as sent to the server.
        sha1: digest of `text`, by which the server finds a script that it has.
        commands: commands that it runs, with a subcommand as ``XGROUP|CREATE``.
    """

    text: str
    sha1: str
    commands: frozenset[str]

    def command(self, keys: Sequence[str | bytes], args: Sequence[Any]) -> Command:
        """The EVALSHA command; see `with_text` for the case that the script is missing.

        Args:
            keys: values of KEYS.
            args: values of ARGV.
        """
        return ("EVALSHA", self.sha1, len(keys), *keys, *args)


def with_text(command: Command) -> Command:
    """An EVALSHA command as EVAL, which makes the server store the script.

    Any other command is returned as it is.
    """
    if command[0] != "EVALSHA":
        return command
    _, sha1, *rest = command
    return ("EVAL", _texts[sha1], *rest)


def _load(*names: str) -> Script:
    """Join files into one script, without comment lines, to keep EVAL small."""
    folder = files(__package__) / "lua"
    text = "\n".join(
        line
        for name in names
        for line in (folder / f"{name}.lua").read_text("utf-8").splitlines()
        if not line.lstrip().startswith("--")
    )
    commands = frozenset(
        "|".join(filter(None, match.groups())) for match in _CALL.finditer(text)
    )
    text = _permission_check(commands) + text
    sha1 = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    _texts[sha1] = text
    return Script(text, sha1, commands)


def _permission_check(commands: Iterable[str]) -> str:
    """Lua code that refuses to begin what the user may not finish.

    Redis does not undo what a script has written before a command was refused.
    """
    writes = sorted(name for name in commands if name in _WRITES)
    if len(writes) < 2:
        return ""
    # With the key, which the server expects; it is of the service, as all others are.
    words = ", ".join(
        "{" + "".join(f"'{word}', " for word in name.split("|")) + "KEYS[1]}"
        for name in writes
    )
    return (
        f"for _, words in ipairs({{{words}}}) do\n"
        "  if not redis.acl_check_cmd(unpack(words)) then\n"
        "    return redis.error_reply('NOPERM this user may not run '"
        " .. table.concat(words, ' ', 1, #words - 1))\n"
        "  end\n"
        "end\n"
    )


PUBLISH: Final = _load("publish")
ACK: Final = _load("ack")
SETTLE: Final = _load("orphaned", "settle")
GROUP: Final = _load("group")
PROMOTE: Final = _load("promote")
RECLAIM: Final = _load("reclaim")
RECOVER: Final = _load("recover")
RENEW: Final = _load("renew")
RELEASE: Final = _load("orphaned", "release")
FORGET: Final = _load("forget")
STATS: Final = _load("stats")
TRIM: Final = _load("trim")
REPLAY: Final = _load("replay")
CLOCK: Final = _load("clock")
RESTART: Final = _load("restart")
PERMITTED: Final = _load("permitted")

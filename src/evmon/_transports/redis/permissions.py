"""The permissions that evmon needs in Redis, and those that a user lacks."""

import logging
from collections.abc import Collection, Sequence
from typing import Final

from evmon._transports.redis import scripts
from evmon._transports.redis.client import Client
from evmon._transports.redis.errors import PermissionDeniedError
from evmon._transports.redis.keys import Keys
from evmon._transports.redis.scripts import Script
from evmon.errors import ConfigError

_log = logging.getLogger("evmon.transport")

_SCRIPTS: Final = [
    value for value in vars(scripts).values() if isinstance(value, Script)
]

_DIRECT: Final = frozenset(
    {
        *("EXISTS", "TYPE", "WAIT", "XACK", "XDEL", "XLEN", "XPENDING", "XRANGE"),
        *("XREADGROUP", "XREVRANGE", "ZCARD"),
    }
)
"""Commands that are sent outside of scripts, `TO_RUN_SCRIPTS` and `OPTIONAL` aside."""

TO_RUN_SCRIPTS: Final = frozenset({"EVAL", "EVALSHA"})

OPTIONAL: Final = frozenset({"CLUSTER|SLOTS", "INFO", "ROLE", "SELECT"})
"""Commands without which evmon knows less, or that only some servers need."""

NEEDED: Final = (
    frozenset[str]().union(*(script.commands for script in _SCRIPTS))
    | _DIRECT
    | TO_RUN_SCRIPTS
) - OPTIONAL
"""All commands that a consumer needs, with a subcommand as ``XGROUP|CREATE``."""

TO_PUBLISH: Final = scripts.PUBLISH.commands | TO_RUN_SCRIPTS
"""Those without which nothing can be published."""


def acl_rules(service: str) -> list[str]:
    """The rules of ``ACL SETUSER`` that allow what evmon does, and nothing else.

    Args:
        service: name of the service.
    """
    commands = sorted(NEEDED | OPTIONAL)
    return [f"~{Keys(service).pattern}", *(f"+{name.lower()}" for name in commands)]


async def missing_permissions(client: Client, service: str) -> list[str]:
    """The needed commands that the user may not run; empty if there are none.

    Args:
        client: connection to Redis.
        service: name of the service.

    Raises:
        TransportError: the server cannot be reached.
    """
    keys = Keys(service)
    try:
        refused: Sequence[bytes] = await client.eval(
            scripts.PERMITTED, (keys.stream(),), sorted(NEEDED - TO_RUN_SCRIPTS)
        )
    except PermissionDeniedError as error:
        if "key" in str(error):
            return [f"keys {keys.pattern}"]
        return sorted(TO_RUN_SCRIPTS)
    return [name.decode() for name in refused]


def describe(missing: Collection[str], service: str) -> str:
    """One line that names what is missing, and how to add it; empty if nothing is.

    Args:
        missing: what `missing_permissions` returned.
        service: name of the service.
    """
    if not missing:
        return ""
    named = ", ".join(name.replace("|", " ") for name in missing)
    rules = [
        f"~{Keys(service).pattern}" if name.startswith("keys ") else f"+{name.lower()}"
        for name in missing
    ]
    return (
        f"the Redis user may not use {named}; add to its ACL SETUSER: {' '.join(rules)}"
    )


async def check_permissions(client: Client, service: str, *, reads: bool) -> None:
    """Refuse a user who cannot do what the process is for; warn of the rest.

    Args:
        client: connection to Redis.
        service: name of the service.
        reads: whether events will be read, not only published.

    Raises:
        ConfigError: a permission is missing.
        TransportError: the server cannot be reached.
    """
    missing = await missing_permissions(client, service)
    text = describe(missing, service)
    publishes = NEEDED.issuperset(missing) and TO_PUBLISH.isdisjoint(missing)
    if text and (reads or not publishes):
        raise ConfigError(text)
    if text:
        _log.warning("permissions are missing: %s", text)

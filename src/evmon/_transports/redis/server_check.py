"""A look at the server before events are entrusted to it."""

import logging
from collections.abc import Mapping
from typing import Any, Final

from evmon._transports.redis.client import Client
from evmon._transports.redis.errors import BrokenError
from evmon.errors import ConfigError, TransportError

OLDEST: Final = (7, 0, 0)
"""Redis 7.0 tells XCLAIM what was trimmed, and the lag of a group."""

OLDEST_SAFE: Final = (7, 0, 5)
"""Before 7.0.5, XAUTOCLAIM can be made to write past its memory (CVE-2022-35951)."""

_log = logging.getLogger("evmon.transport")


async def check_server(client: Client, require_durable: bool) -> None:  # noqa: FBT001
    """Warn of what may lose events; refuse it if durability is required.

    Raises:
        ConfigError: the server is too old, or durability is required and not given.
        TransportError: the server cannot be reached.
    """
    try:
        info = await client.call("INFO")
    except BrokenError:
        raise
    except TransportError as error:
        if require_durable:
            raise ConfigError(f"require_durable: INFO is refused: {error}") from error
        _log.warning("cannot check the server's settings: %s", error)
        return
    old = too_old(info)
    if old:
        raise ConfigError(old)
    dangers = dangers_of(info)
    if dangers and require_durable:
        raise ConfigError(f"require_durable: {'; '.join(dangers)}")
    for danger in dangers:
        _log.warning("events may get lost: %s", danger)
    if _version(info) < OLDEST_SAFE:
        _log.warning(
            "Redis %s has known vulnerabilities: use 7.0.5 or later",
            info["redis_version"],
        )


def too_old(info: Mapping[str, Any]) -> str:
    """What is wrong with the server's age, if anything."""
    if _version(info) >= OLDEST:
        return ""
    return f"Redis {info.get('redis_version')} is too old: 7.0 or later is needed"


def dangers_of(info: Mapping[str, Any]) -> list[str]:
    """What in the server's settings may lose events, in words.

    Args:
        info: the reply to INFO.
    """
    dangers = []
    if not info.get("aof_enabled"):
        dangers.append(
            "the server keeps no append-only file, so a restart forgets events"
            " (set appendonly yes)"
        )
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if info.get("maxmemory") and policy != "noeviction":
        what = "whole streams" if policy.startswith("allkeys") else "evmon's own notes"
        dangers.append(f"maxmemory-policy {policy} may evict {what} (set noeviction)")
    return dangers


def _version(info: Mapping[str, Any]) -> tuple[int, ...]:
    parts = str(info.get("redis_version", "0")).split(".")
    return tuple(int(part) for part in parts[:3] if part.isdecimal())

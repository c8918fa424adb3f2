"""Checks version and durability of the server at startup."""

import logging
from collections.abc import Mapping
from typing import Any, Final

from evmon._transports.redis.client import Client
from evmon._transports.redis.errors import BrokenError
from evmon.errors import ConfigError, TransportError

OLDEST: Final = (7, 0, 0)
"""From 7.0 on, XCLAIM drops trimmed entries, and XINFO reports a group's lag."""

OLDEST_SAFE: Final = (7, 0, 5)
"""Before 7.0.5, XAUTOCLAIM can overflow the heap (CVE-2022-35951)."""

UNKNOWN_WITHOUT_INFO: Final = (
    "INFO is refused: unknown are the server's version, whether it keeps an append-only"
    " file, and whether it evicts keys"
)

_log = logging.getLogger("evmon.transport")


async def check_server(client: Client, *, require_durable: bool) -> None:
    """Warn about settings that may lose events.

    Args:
        client: connection to Redis.
        require_durable: raise an error instead.

    Raises:
        ConfigError: the server is too old, or durability is required but not given.
        TransportError: the server cannot be reached.
    """
    try:
        info = parse_info(await client.call("INFO"))
    except BrokenError:
        raise
    except TransportError as error:
        if require_durable:
            raise ConfigError(f"require_durable: INFO is refused: {error}") from error
        _log.warning(
            "the server tells little about itself: %s (%s)", UNKNOWN_WITHOUT_INFO, error
        )
        return
    old = too_old(info)
    if old:
        raise ConfigError(old)
    risks = risks_of(info)
    if risks and require_durable:
        raise ConfigError(f"require_durable: {'; '.join(risks)}")
    for risk in risks:
        _log.warning("events may get lost: %s", risk)
    if _version(info) < OLDEST_SAFE:
        _log.warning(
            "Redis %s has known vulnerabilities: use 7.0.5 or later",
            info["redis_version"],
        )


def parse_info(reply: bytes) -> dict[str, str]:
    """Names and values of the reply to INFO."""
    lines = reply.decode(errors="replace").splitlines()
    parts = (line.partition(":") for line in lines)
    return {name: value for name, colon, value in parts if colon}


def too_old(info: Mapping[str, Any]) -> str:
    """An error message if the server is too old; empty if not.

    Args:
        info: reply to INFO.
    """
    if _version(info) >= OLDEST:
        return ""
    return f"Redis {info.get('redis_version')} is too old: 7.0 or later is needed"


def risks_of(info: Mapping[str, Any]) -> list[str]:
    """One sentence for each setting that may lose events.

    Args:
        info: reply to INFO.
    """
    risks = []
    if not int(info.get("aof_enabled", 0)):
        risks.append(
            "the server keeps no append-only file, so a restart forgets events"
            " (set appendonly yes)"
        )
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if int(info.get("maxmemory", 0)) and policy != "noeviction":
        evicted = (
            "whole streams" if policy.startswith("allkeys") else "evmon's expiring keys"
        )
        risks.append(f"maxmemory-policy {policy} may evict {evicted} (set noeviction)")
    return risks


def _version(info: Mapping[str, Any]) -> tuple[int, ...]:
    parts = str(info.get("redis_version", "0")).split(".")
    return tuple(int(part) for part in parts[:3] if part.isdecimal())

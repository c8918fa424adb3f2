"""Sends again what a server has not run: a missing script, or a slot that moves."""

from collections.abc import Sequence
from typing import Any, Final

from redis.exceptions import AskError, MovedError, NoScriptError, TryAgainError

from evmon._clock import Clock
from evmon._transports.redis.connections import Command, Connections
from evmon._transports.redis.scripts import with_text

_NOT_RUN: Final = (NoScriptError, MovedError, AskError, TryAgainError)

RETRY_DELAY: Final = 0.05
"""Seconds between two attempts while the keys of a command are on two servers."""


async def deliver(
    connections: Connections, commands: Sequence[Command], clock: Clock, within: float
) -> list[Any]:
    """Send commands in one round trip; an error reply is returned in its place.

    A command that has not run is sent again, so it runs once. So is each WAIT after it,
    which must wait for what that command writes, over its connection.

    Args:
        connections: connections to the primary.
        commands: the commands.
        clock: source of time.
        within: seconds for which commands are sent again.

    Raises:
        redis.exceptions.RedisError: the connection failed.
        OSError: the connection failed.
    """
    replies = await connections.exchange(commands)
    again = _not_run(commands, replies)
    if not again:
        return replies
    commands = list(commands)
    deadline = clock.monotonic() + within
    attempts = 0
    while again and clock.monotonic() < deadline:
        reason = replies[again[0]]
        if attempts or isinstance(reason, TryAgainError):
            await clock.sleep(RETRY_DELAY)
        attempts += 1
        for n in again:
            if isinstance(reason, NoScriptError):
                commands[n] = with_text(commands[n])
        rest = [commands[n] for n in again]
        results = await _send(connections, rest, reason, clock)
        for n, result in zip(again, results, strict=True):
            replies[n] = result
        again = [again[n] for n in _not_run(rest, results)]
    return replies


async def _send(
    connections: Connections,
    commands: Sequence[Command],
    reason: Exception,
    clock: Clock,
) -> list[Any]:
    """Send commands to the server that a reply refers to."""
    if isinstance(reason, AskError):
        # An empty host is that of the server that was asked.
        server = (
            reason.host or (await connections.primary.server())[0],
            int(reason.port),
        )
        if not isinstance(reason, MovedError):  # which is a subclass
            return await connections.ask(server, commands, clock)
        connections.primary.move(server)
    return await connections.exchange(commands)


def _not_run(commands: Sequence[Command], replies: Sequence[Any]) -> list[int]:
    """Indices of the commands to send again."""
    found = [n for n, reply in enumerate(replies) if isinstance(reply, _NOT_RUN)]
    if not found:
        return found
    return [
        n
        for n, command in enumerate(commands)
        if n in found or (n > found[0] and command[0] == "WAIT")
    ]

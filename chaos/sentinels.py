"""A primary with replicas that three sentinels watch."""

import asyncio
import signal
from pathlib import Path
from typing import Any, Final

import anyio
from redis.exceptions import RedisError

from chaos.redis_server import RedisServer

NAME: Final = "chaos"
"""The name by which the sentinels know the primary."""

DOWN_AFTER: Final = 1000
"""Milliseconds of silence after which a sentinel counts the primary as down."""

FAILOVER_TIMEOUT: Final = 5000
READY_WITHIN: Final = 20.0
SENTINELS: Final = 3
REPLICAS: Final = 2


class WatchedPrimary:
    """A primary, two replicas, and three sentinels of which two must agree.

    Args:
        folder: directory for the files of the servers.
        options: further options of the primary and its replicas.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        names = ["primary", *(f"replica{n}" for n in range(REPLICAS))]
        fast = ("--repl-diskless-sync-delay", "0")
        self.servers = [
            RedisServer(self._own(name), "everysec", *fast, *options) for name in names
        ]
        self.sentinels: list[RedisServer] = []

    @property
    def url(self) -> str:
        """URL of the sentinels."""
        hosts = ",".join(f"127.0.0.1:{s.port}" for s in self.sentinels)
        return f"redis+sentinel://{hosts}/{NAME}"

    async def start(self) -> None:
        """Start all servers, and wait until the sentinels know the replicas and each other.

        Raises:
            TimeoutError: they do not in time.
        """
        primary, *replicas = self.servers
        for server in self.servers:
            await server.start()
        for replica in replicas:
            replica.execute("REPLICAOF", "127.0.0.1", primary.port)
        for number in range(SENTINELS):
            folder = self._own(f"sentinel{number}")
            (folder / "sentinel.conf").write_text(
                f"sentinel monitor {NAME} 127.0.0.1 {primary.port} 2\n"
                f"sentinel down-after-milliseconds {NAME} {DOWN_AFTER}\n"
                f"sentinel failover-timeout {NAME} {FAILOVER_TIMEOUT}\n"
                f"sentinel parallel-syncs {NAME} 2\n"
            )
            sentinel = RedisServer(folder, config=folder / "sentinel.conf")
            self.sentinels.append(sentinel)
            await sentinel.start()
        with anyio.fail_after(READY_WITHIN):
            while not all(map(_knows_all, self.sentinels)):
                await asyncio.sleep(0.05)

    def primary(self) -> RedisServer:
        """The primary, as the first sentinel that answers knows it.

        Raises:
            RuntimeError: no sentinel answers.
        """
        for sentinel in self.sentinels:
            try:
                _, port = sentinel.execute("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)
            except RedisError:
                continue
            return next(s for s in self.servers if s.port == int(port))
        raise RuntimeError("no sentinel answers")

    def execute(self, *command: Any) -> Any:
        """Send a command to the primary, and return the reply.

        Raises:
            RedisError: the server replied with an error or is not reachable.
        """
        return self.primary().execute(*command)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Send a signal to all servers and wait until they exit."""
        for server in (*self.sentinels, *self.servers):
            server.unfreeze()
            server.stop(number)

    def _own(self, name: str) -> Path:
        folder = self._folder / name
        folder.mkdir()
        return folder


def _knows_all(sentinel: RedisServer) -> bool:
    state = sentinel.execute("SENTINEL", "MASTER", NAME)
    return (
        int(state["num-slaves"]) == REPLICAS
        and int(state["num-other-sentinels"]) == SENTINELS - 1
    )

"""A redis-server of a run's own: with an append-only file, killed and started at will."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

START_WITHIN = 20.0
"""Seconds that the server may take to load its file."""


class Server:
    """A private server on a free port of loopback.

    Args:
        folder: for its files.
        fsync: the server's ``appendfsync``. With ``everysec`` it holds writes back while a
            sync is slow, and answers all the same.
    """

    def __init__(self, folder: Path, fsync: str = "always") -> None:
        self.port = free_port()
        self.restarts = 0
        """Times that it was killed and started again."""
        self._folder = folder
        self._fsync = fsync
        self._process: subprocess.Popen[bytes] | None = None
        self._client = Redis(
            port=self.port, decode_responses=True, encoding_errors="replace"
        )

    @property
    def version(self) -> str:
        """Of the server, such as 7.0.15."""
        return str(self.ask("INFO")["redis_version"])

    def ask(self, *command: Any) -> Any:
        """Send a command past the proxy and return the reply.

        Raises:
            RedisError: the server refused, or is not there.
        """
        return self._client.execute_command(*command)  # type: ignore[no-untyped-call]

    def append(self, stream: str, entries: list[dict[Any, Any]]) -> None:
        """Write raw entries to a stream, in one go."""
        pipe: Any = self._client.pipeline(transaction=False)
        for fields in entries:
            pipe.xadd(stream, fields)
        pipe.execute()

    def answers(self) -> bool:
        """Whether it is up, with its data loaded."""
        try:
            self.ask("PING")
        except RedisError:
            return False
        return True

    async def start(self) -> None:
        """Start and wait until it answers.

        Raises:
            RuntimeError: it is not installed, or does not come up.
        """
        program = shutil.which("redis-server")
        if program is None:
            raise RuntimeError("redis-server is not installed")
        self._process = subprocess.Popen(
            [
                *(program, "--port", str(self.port), "--bind", "127.0.0.1"),
                *("--dir", str(self._folder), "--save", ""),
                *("--appendonly", "yes", "--appendfsync", self._fsync),
                *("--logfile", str(self._folder / "redis.log")),
            ]
        )
        loop = asyncio.get_running_loop()
        deadline = loop.time() + START_WITHIN
        while loop.time() < deadline:
            if self.answers():
                return
            await asyncio.sleep(0.02)
        raise RuntimeError("redis-server does not come up")

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Send a signal and wait for the end."""
        if self._process is not None:
            os.kill(self._process.pid, number)
            self._process.wait(20)
            self._process = None

    async def kill(self) -> None:
        """Kill -9, and start again with what the file holds."""
        self.stop(signal.SIGKILL)
        self.restarts += 1
        await self.start()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

"""A Redis server with an append-only file that a run can kill and restart."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

PROGRAM = os.environ.get("EVMON_TEST_REDIS", "redis-server")
"""The server: Redis, or Valkey."""

START_WITHIN = 20.0
"""Seconds for the server to start and load its append-only file."""


class RedisServer:
    """A private server on a free port of the loopback interface.

    Args:
        folder: directory for the files of the server.
        fsync: value of ``appendfsync``. With ``everysec`` Redis delays writes while a sync
            is slow, but still replies.
        options: further options of the command line.
        config: configuration file of a sentinel; None for a server.
    """

    def __init__(
        self,
        folder: Path,
        fsync: str = "always",
        *options: str,
        config: Path | None = None,
    ) -> None:
        self.port = free_port()
        self.restarts = 0
        """Number of times it was killed and restarted."""
        self._folder = folder
        self._fsync = fsync
        self._options = options
        self._config = config
        self._process: subprocess.Popen[bytes] | None = None
        # A frozen server must not freeze the run.
        self._client = Redis(
            port=self.port,
            decode_responses=True,
            encoding_errors="replace",
            socket_timeout=10,
            retry=Retry(NoBackoff(), 1),
        )

    def execute(self, *command: Any) -> Any:
        """Send a command directly, not through the proxy, and return the reply.

        Raises:
            RedisError: the server replied with an error or is not reachable.
        """
        return self._client.execute_command(*command)  # type: ignore[no-untyped-call]

    def append(self, stream: str, entries: list[dict[Any, Any]]) -> None:
        """Append raw entries to a stream in one pipeline."""
        pipe: Any = self._client.pipeline(transaction=False)
        for fields in entries:
            pipe.xadd(stream, fields)
        pipe.execute()

    def is_up(self) -> bool:
        """Whether the server replies to PING."""
        try:
            self.execute("PING")
        except RedisError:
            return False
        return True

    async def start(self) -> None:
        """Start the server and wait until it is up.

        Raises:
            RuntimeError: the server is not installed or does not start.
        """
        program = shutil.which(PROGRAM)
        if program is None:
            raise RuntimeError(f"{PROGRAM} is not installed")
        self._process = subprocess.Popen(
            [
                *(program, *([str(self._config)] if self._config else [])),
                *("--port", str(self.port), "--bind", "127.0.0.1"),
                *("--dir", str(self._folder)),
                *("--logfile", str(self._folder / "redis.log")),
                *(["--sentinel"] if self._config else self._files()),
                *self._options,
            ]
        )
        loop = asyncio.get_running_loop()
        deadline = loop.time() + START_WITHIN
        while loop.time() < deadline:
            if self.is_up():
                return
            await asyncio.sleep(0.02)
        raise RuntimeError(f"{PROGRAM} does not start")

    def _files(self) -> tuple[str, ...]:
        append = ("--appendonly", "yes", "--appendfsync", self._fsync)
        return ("--save", "", *append)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Send a signal to the server and wait until it exits."""
        self._client.close()
        if self._process is not None:
            os.kill(self._process.pid, number)
            self._process.wait(20)
            self._process = None

    def freeze(self) -> None:
        """Stop the server with SIGSTOP: its connections stay open, and nothing answers."""
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGSTOP)

    def unfreeze(self) -> None:
        """Let the server continue with SIGCONT."""
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGCONT)

    async def kill(self) -> None:
        """Kill the server with SIGKILL and restart it from its append-only file."""
        self.stop(signal.SIGKILL)
        self.restarts += 1
        await self.start()


def free_port() -> int:
    """A port of the loopback interface that is free at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

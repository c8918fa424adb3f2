"""A ``redis-server`` with an append-only file that a run can kill and restart."""

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
"""Seconds for the server to start and load its append-only file."""


class RedisServer:
    """A private server on a free port of the loopback interface.

    Args:
        folder: directory for the files of the server.
        fsync: value of ``appendfsync``. With ``everysec`` Redis delays writes while a sync
            is slow, but still replies.
    """

    def __init__(self, folder: Path, fsync: str = "always") -> None:
        self.port = free_port()
        self.restarts = 0
        """Number of times it was killed and restarted."""
        self._folder = folder
        self._fsync = fsync
        self._process: subprocess.Popen[bytes] | None = None
        self._client = Redis(
            port=self.port, decode_responses=True, encoding_errors="replace"
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
            RuntimeError: redis-server is not installed or does not start.
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
            if self.is_up():
                return
            await asyncio.sleep(0.02)
        raise RuntimeError("redis-server does not start")

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Send a signal to the server and wait until it exits."""
        if self._process is not None:
            os.kill(self._process.pid, number)
            self._process.wait(20)
            self._process = None

    async def freeze(self, seconds: float) -> None:
        """Stop the server with SIGSTOP for some seconds."""
        if self._process is not None:
            await freeze(self._process, seconds)

    async def kill(self) -> None:
        """Kill the server with SIGKILL and restart it from its append-only file."""
        self.stop(signal.SIGKILL)
        self.restarts += 1
        await self.start()


async def freeze(process: "subprocess.Popen[bytes]", seconds: float) -> None:
    """Stop a process with SIGSTOP for some seconds."""
    process.send_signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        process.send_signal(signal.SIGCONT)


def free_port() -> int:
    """A port of the loopback interface that is free at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

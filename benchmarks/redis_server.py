"""A private redis-server without persistence."""

import socket
import subprocess
import tempfile
import time
from types import TracebackType

from redis import ConnectionError as RedisConnectionError
from redis import Redis
from typing_extensions import Self


class PrivateRedis:
    """A context manager that runs ``redis-server`` on a free port of loopback."""

    def __enter__(self) -> Self:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self._directory = tempfile.TemporaryDirectory(prefix="evmon-bench-")
        options = {
            "--bind": "127.0.0.1",
            "--port": str(port),
            "--save": "",
            "--appendonly": "no",
            "--dir": self._directory.name,
        }
        self._process = subprocess.Popen(
            ["redis-server", *(part for pair in options.items() for part in pair)],
            stdout=subprocess.DEVNULL,
        )
        self.url = f"redis://127.0.0.1:{port}/0"
        self.client = Redis.from_url(self.url)
        deadline = time.monotonic() + 10
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.__exit__(None, None, None)
                raise RuntimeError("redis-server does not start")
            time.sleep(0.05)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.client.close()
        self._process.terminate()
        self._process.wait(10)
        self._directory.cleanup()

    @property
    def version(self) -> str:
        """Version of the server, such as 7.0.15."""
        return str(self.client.info("server")["redis_version"])

    def empty(self) -> str:
        """Delete all data; returns the URL of the server."""
        self.client.flushall()
        return self.url

    def entries(self) -> int:
        """Number of entries in all streams."""
        keys = self.client.keys()
        return sum(
            self.client.xlen(k) for k in keys if self.client.type(k) == b"stream"
        )

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except RedisConnectionError:
            return False

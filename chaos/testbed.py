"""The testbed of a run: a Redis server, a proxy in front of it, and client processes."""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import anyio
from redis.exceptions import RedisError

from chaos import journal
from chaos.checker import Outcome
from chaos.proxy import Proxy
from chaos.redis_server import RedisServer

STREAM = "evmon:{chaos}:events"
DEAD = "evmon:{chaos}:dead"
RETRY = "evmon:{chaos}:retry"
GROUP = "chaos"
READY_WITHIN = 30.0
UNLIMITED = 10**9
"""Number of events for a publisher that runs until SIGTERM."""

Options = Mapping[str, object]


class Servers(Protocol):
    """Several servers, of which one at a time has the events."""

    @property
    def url(self) -> str:
        """URL for clients."""

    async def start(self) -> None:
        """Start the servers, and wait until they work together."""

    def execute(self, *command: Any) -> Any:
        """Send a command to the one that has the events, and return the reply."""

    def stop(self, number: int) -> None:
        """Send a signal to all of them, and wait until they exit."""


@dataclass(slots=True)
class ConsumerProcess:
    """A consumer process.

    Attributes:
        name: suffix of the names of its files.
        process: the process.
        options: command line options of ``chaos.consumer``.
        env: additional environment variables.
    """

    name: str
    process: "subprocess.Popen[bytes]"
    options: Options
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def alive(self) -> bool:
        """Whether the process is running."""
        return self.process.poll() is None


class Testbed:
    """Starts and stops the processes of a run.

    Args:
        folder: directory for all files.
        seed: seed of all randomness.
        fsync: value of ``appendfsync`` of the server.
        servers: servers to use directly, instead of one behind a proxy.
    """

    def __init__(
        self,
        folder: Path,
        seed: int,
        fsync: str = "always",
        servers: Servers | None = None,
    ) -> None:
        self.folder = folder
        self.seed = seed
        self.rng = random.Random(seed)
        self.server = RedisServer(folder, fsync)
        self.proxy = Proxy(self.server.port, random.Random(seed + 1))
        self._servers = servers
        self.consumers: list[ConsumerProcess] = []
        """Consumers that are expected to be running."""
        self.publishers: list[subprocess.Popen[bytes]] = []
        self.kills = 0
        """Consumers killed with SIGKILL."""
        self.crashes: list[str] = []
        """Processes that exited unexpectedly, as problems."""
        self.last_name = ""
        """Name of the process started last."""
        self._started = 0

    def start_publisher(
        self, events: int, rate: float = 0, env: Options | None = None, **options: Any
    ) -> "subprocess.Popen[bytes]":
        """Start a publisher.

        Args:
            events: number of events to publish.
            rate: events per second; 0 for no limit.
            env: additional environment variables.
            options: further command line options of ``chaos.publisher``.
        """
        name = self._next_name("g")
        given = {"events": events, "rate": rate, "seed": self.seed, **options}
        process = self._start("publisher", name, given, env or {})
        self.publishers.append(process)
        return process

    def start_consumer(
        self, env: Options | None = None, **options: Any
    ) -> ConsumerProcess:
        """Start a consumer.

        Args:
            env: additional environment variables.
            options: command line options of ``chaos.consumer``.
        """
        name = self._next_name("c")
        process = self._start("consumer", name, options, env or {})
        given = {key: str(value) for key, value in (env or {}).items()}
        consumer = ConsumerProcess(name, process, options, given)
        self.consumers.append(consumer)
        return consumer

    @property
    def url(self) -> str:
        """The URL that the processes connect to."""
        if self._servers is not None:
            return self._servers.url
        return f"redis://127.0.0.1:{self.proxy.port}/0"

    def execute(self, *command: Any) -> Any:
        """Send a command to the server, or to the primary, and return the reply.

        Raises:
            RedisError: the server replied with an error or is not reachable.
        """
        return (self._servers or self.server).execute(*command)

    async def start(self) -> None:
        """Start the servers."""
        if self._servers is not None:
            await self._servers.start()
            return
        await self.server.start()
        await self.proxy.start()

    def kill(self, consumer: ConsumerProcess) -> None:
        """Kill a consumer with SIGKILL."""
        consumer.process.kill()
        self.forget(consumer)
        self.kills += 1

    def restart(self, consumer: ConsumerProcess) -> ConsumerProcess:
        """Kill a consumer with SIGKILL, and start one with the same options."""
        self.kill(consumer)
        return self.start_consumer(consumer.env, **consumer.options)

    async def terminate(
        self, consumer: ConsumerProcess, within: float = 30.0
    ) -> tuple[int, float]:
        """Send SIGTERM to a consumer, and SIGKILL if it is still running after a while.

        Returns:
            The exit code, and the seconds until the process exited.
        """
        started = time.monotonic()
        consumer.process.send_signal(signal.SIGTERM)
        while consumer.alive and time.monotonic() - started < within:
            await asyncio.sleep(0.005)
        took = time.monotonic() - started
        if consumer.alive:
            consumer.process.kill()
        return self.forget(consumer), took

    def forget(self, consumer: ConsumerProcess) -> int:
        """Wait for a consumer that is expected to exit; returns its exit code."""
        if consumer in self.consumers:
            self.consumers.remove(consumer)
        return consumer.process.wait()

    async def wait_until_ready(self, *consumers: ConsumerProcess) -> None:
        """Wait until consumers, by default all, report ready.

        Raises:
            RuntimeError: one exited or did not become ready in time.
        """
        deadline = time.monotonic() + READY_WITHIN
        for consumer in consumers or tuple(self.consumers):
            while not (self.folder / f"ready-{consumer.name}").exists():
                if not consumer.alive or time.monotonic() > deadline:
                    raise RuntimeError(
                        f"{consumer.name} did not start: {self.log_tail(consumer)}"
                    )
                await asyncio.sleep(0.02)

    def log_tail(self, consumer: ConsumerProcess, size: int = 2000) -> str:
        """The last characters of a consumer's standard error."""
        return (self.folder / f"log-{consumer.name}").read_text()[-size:]

    async def scrape(self, consumer: ConsumerProcess) -> str:
        """Scrape the metrics of a consumer, once it is ready."""
        await self.wait_until_ready(consumer)
        url = (self.folder / f"ready-{consumer.name}").read_text()
        return await asyncio.to_thread(_get, url)

    async def wait_until_published(self, within: float = 120.0) -> None:
        """Wait until all publishers have exited.

        Raises:
            TimeoutError: one is still running.
        """
        deadline = time.monotonic() + within
        while any(p.poll() is None for p in self.publishers):
            if time.monotonic() > deadline:
                raise TimeoutError("a publisher does not exit")
            await asyncio.sleep(0.05)
        for process in self.publishers:
            if process.returncode not in (0, -signal.SIGKILL):
                self.crashes.append(f"a publisher exited with {process.returncode}")

    async def wait_for_entries(self, entries: int, within: float = 60.0) -> None:
        """Wait until the stream has at least this many entries.

        Raises:
            TimeoutError: it has fewer.
        """
        with anyio.fail_after(within):
            while self.execute("XLEN", STREAM) < entries:
                await asyncio.sleep(0.02)

    async def wait_until_settled(self, within: float = 60.0) -> bool:
        """Wait until no entry is pending, unread or scheduled.

        Returns:
            False if some still are.
        """
        deadline = time.monotonic() + within
        settled = 0
        while time.monotonic() < deadline:
            self._notice_crashes()
            with contextlib.suppress(RedisError, RuntimeError):
                settled = 0 if any(self.unfinished()) else settled + 1
                # A retry may have been promoted between two commands.
                if settled == 2:
                    return True
            await asyncio.sleep(0.1)
        return False

    def unfinished(self) -> tuple[int, int, int]:
        """Number of pending entries, 1 if any is unread, number of scheduled entries."""
        execute = self.execute
        pending, first_unread = 0, "-"
        for group in execute("XINFO", "GROUPS", STREAM):
            if group["name"] == GROUP:
                pending = group["pending"]
                first_unread = f"({group['last-delivered-id']}"
        unread = len(execute("XRANGE", STREAM, first_unread, "+", "COUNT", 1))
        return pending, unread, execute("ZCARD", RETRY)

    def outcome(self) -> Outcome:
        """What the processes recorded and what is left in Redis."""
        pending, unread, scheduled = self.unfinished()
        return Outcome(
            published=journal.published_ids(self.folder),
            refused=journal.refused_ids(self.folder),
            handled=journal.handled_ids(self.folder),
            dead=[letter["dead.event_id"] for letter in self.dead_letters()],
            pending=pending,
            unread=unread,
            scheduled=scheduled,
        )

    def dead_letters(self) -> list[dict[str, str]]:
        """The fields of all dead letters."""
        found: list[dict[str, str]] = []
        after = "-"
        while True:
            page = self.execute("XRANGE", DEAD, after, "+", "COUNT", 1000)
            found += [fields for _, fields in page]
            if len(page) < 1000:
                return found
            after = f"({page[-1][0]}"

    def stop(self) -> None:
        """Kill all processes."""
        for process in (*(c.process for c in self.consumers), *self.publishers):
            if process.poll() is None:
                process.kill()
                process.wait()
        (self._servers or self.server).stop(signal.SIGKILL)

    def _notice_crashes(self) -> None:
        for consumer in [c for c in self.consumers if not c.alive]:
            code = self.forget(consumer)
            tail = self.log_tail(consumer, 300)
            self.crashes.append(f"{consumer.name} exited with {code}: {tail}")

    def _next_name(self, kind: str) -> str:
        self._started += 1
        self.last_name = f"{kind}{self._started}"
        return self.last_name

    def _start(
        self, module: str, name: str, options: Options, env: Options
    ) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", f"chaos.{module}", "--name", name]
        command += ["--url", self.url, "--folder", str(self.folder)]
        for key, value in options.items():
            command += [f"--{key.replace('_', '-')}", str(value)]
        with (self.folder / f"log-{name}").open("wb") as log:
            return subprocess.Popen(command, stderr=log, env=child_environment(env))


def child_environment(extra: Options) -> dict[str, str]:
    """Environment in which a child process imports the same modules as this one.

    Args:
        extra: additional environment variables.
    """
    path = os.pathsep.join(p or "." for p in sys.path)
    given = {key: str(value) for key, value in extra.items()}
    return {**os.environ, "PYTHONPATH": path, **given}


@contextlib.asynccontextmanager
async def start_testbed(
    seed: int,
    fsync: str = "always",
    make_servers: Callable[[Path], Servers] | None = None,
) -> AsyncIterator[Testbed]:
    """Start a server and a proxy; stop all processes and delete all files afterwards.

    Args:
        seed: seed of all randomness.
        fsync: value of ``appendfsync`` of the server.
        make_servers: makes the servers to start instead, with their files in a folder.
    """
    with TemporaryDirectory(prefix="evmon-chaos-", ignore_cleanup_errors=True) as name:
        servers = make_servers(Path(name)) if make_servers else None
        bed = Testbed(Path(name), seed, fsync, servers)
        try:
            await bed.start()
            yield bed
        finally:
            bed.stop()
            await bed.proxy.stop()


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as reply:
        return str(reply.read().decode())

"""A server, a proxy before it, and the processes of a run."""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
from redis.exceptions import RedisError

from chaos import files
from chaos.checker import Truth
from chaos.proxy import Proxy
from chaos.servers import Server

STREAM = "evmon:{chaos}:events"
DEAD = "evmon:{chaos}:dead"
RETRY = "evmon:{chaos}:retry"
GROUP = "chaos"
READY_WITHIN = 30.0

Options = Mapping[str, object]


@dataclass(slots=True)
class Worker:
    """A consumer process.

    Attributes:
        name: of its files.
        process: itself.
        options: that it was started with.
        env: likewise.
    """

    name: str
    process: "subprocess.Popen[bytes]"
    options: Options
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process.poll() is None


class World:
    """What a run plays with.

    Args:
        folder: for all files.
        seed: of all chance.
        fsync: the server's ``appendfsync``.
    """

    def __init__(self, folder: Path, seed: int, fsync: str = "always") -> None:
        self.folder = folder
        self.seed = seed
        self.rng = random.Random(seed)
        self.server = Server(folder, fsync)
        self.proxy = Proxy(self.server.port, random.Random(seed + 1))
        self.workers: list[Worker] = []
        self.publishers: list[subprocess.Popen[bytes]] = []
        self.kills = 0
        self.crashes: list[str] = []
        """Consumers that ended by themselves."""
        self.last_name = ""
        """Of the process that was started last."""
        self._names = 0

    def publisher(
        self, events: int, rate: float = 0, env: Options | None = None, **options: Any
    ) -> "subprocess.Popen[bytes]":
        """Start a process that publishes."""
        name = self._name("g")
        given = {"events": events, "rate": rate, "seed": self.seed, **options}
        process = self._run("publisher", name, given, env or {})
        self.publishers.append(process)
        return process

    def consumer(self, env: Options | None = None, **options: Any) -> Worker:
        """Start a process that consumes."""
        name = self._name("c")
        process = self._run("consumer", name, options, env or {})
        given = {key: str(value) for key, value in (env or {}).items()}
        worker = Worker(name, process, options, given)
        self.workers.append(worker)
        return worker

    def kill(self, worker: Worker) -> None:
        """Kill -9."""
        worker.process.kill()
        worker.process.wait()
        self.kills += 1
        self._gone(worker)

    def restart(self, worker: Worker) -> Worker:
        """Kill -9, and start another one with the same options."""
        self.kill(worker)
        return self.consumer(worker.env, **worker.options)

    async def end(self, worker: Worker, within: float = 30.0) -> tuple[int, float]:
        """SIGTERM; the exit code and the seconds until it came."""
        started = time.monotonic()
        worker.process.send_signal(signal.SIGTERM)
        while worker.alive and time.monotonic() - started < within:
            await asyncio.sleep(0.005)
        took = time.monotonic() - started
        if worker.alive:
            worker.process.kill()
        self._gone(worker)
        return worker.process.wait(), took

    def reap(self, worker: Worker) -> int:
        """A consumer that was meant to end by itself did; returns its exit code."""
        self._gone(worker)
        return worker.process.wait()

    async def ready(self, *workers: Worker) -> None:
        """Wait until consumers have started.

        Raises:
            RuntimeError: one did not, or ended.
        """
        deadline = time.monotonic() + READY_WITHIN
        for worker in workers or tuple(self.workers):
            while not (self.folder / f"ready-{worker.name}").exists():
                if not worker.alive or time.monotonic() > deadline:
                    raise RuntimeError(
                        f"{worker.name} did not start: {self.log(worker)}"
                    )
                await asyncio.sleep(0.02)

    def log(self, worker: Worker, size: int = 2000) -> str:
        """The end of what a consumer wrote to its standard error."""
        return (self.folder / f"log-{worker.name}").read_text()[-size:]

    async def scrape(self, worker: Worker) -> str:
        """The metrics of a consumer, now."""
        url = (self.folder / f"ready-{worker.name}").read_text()
        return await asyncio.to_thread(_get, url)

    async def published(self, within: float = 120.0) -> None:
        """Wait until the publishers are through.

        Raises:
            TimeoutError: they are not.
        """
        deadline = time.monotonic() + within
        while any(p.poll() is None for p in self.publishers):
            if time.monotonic() > deadline:
                raise TimeoutError("the publishers do not end")
            await asyncio.sleep(0.05)
        for process in self.publishers:
            if process.returncode not in (0, -signal.SIGKILL):
                self.crashes.append(f"a publisher ended with {process.returncode}")

    async def length(self, entries: int, within: float = 60.0) -> None:
        """Wait until the stream has that many entries.

        Raises:
            TimeoutError: it does not get them.
        """
        with anyio.fail_after(within):
            while self.server.ask("XLEN", STREAM) < entries:
                await asyncio.sleep(0.02)

    async def settled(self, within: float = 60.0) -> bool:
        """Wait until nothing is left to do; False when that does not come."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            for worker in self.workers:
                if not worker.alive:
                    self.crashes.append(
                        f"{worker.name} ended with {worker.process.returncode}:"
                        f" {self.log(worker, 300)}"
                    )
                    self.workers.remove(worker)
                    break
            with contextlib.suppress(RedisError):
                if not any(self.left()):
                    return True
            await asyncio.sleep(0.1)
        return False

    def left(self) -> tuple[int, int, int]:
        """Pending and scheduled entries, and whether any is unread (1).

        A group that is gone read nothing.
        """
        ask = self.server.ask
        pending, last = 0, "-"
        for group in ask("XINFO", "GROUPS", STREAM):
            if group["name"] == GROUP:
                pending, last = group["pending"], f"({group['last-delivered-id']}"
        unread = len(ask("XRANGE", STREAM, last, "+", "COUNT", 1))
        return pending, unread, ask("ZCARD", RETRY)

    def truth(self) -> Truth:
        """All that is known."""
        pending, unread, scheduled = self.left()
        return Truth(
            published=files.published(self.folder),
            refused=files.refused(self.folder),
            handled=files.handled(self.folder),
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
            page = self.server.ask("XRANGE", DEAD, after, "+", "COUNT", 1000)
            found += [fields for _, fields in page]
            if len(page) < 1000:
                return found
            after = f"({page[-1][0]}"

    def stop(self) -> None:
        """End all processes."""
        for process in (*(w.process for w in self.workers), *self.publishers):
            if process.poll() is None:
                process.kill()
                process.wait()
        self.server.stop(signal.SIGKILL)

    def _name(self, kind: str) -> str:
        self._names += 1
        self.last_name = f"{kind}{self._names}"
        return self.last_name

    def _gone(self, worker: Worker) -> None:
        if worker in self.workers:
            self.workers.remove(worker)

    def _run(
        self, module: str, name: str, options: Options, env: Options
    ) -> "subprocess.Popen[bytes]":
        url = f"redis://127.0.0.1:{self.proxy.port}/0"
        command = [sys.executable, "-m", f"chaos.{module}", "--name", name]
        command += ["--url", url, "--folder", str(self.folder)]
        for key, value in options.items():
            command += [f"--{key.replace('_', '-')}", str(value)]
        given = {key: str(value) for key, value in env.items()}
        path = os.pathsep.join(p or "." for p in sys.path)
        with (self.folder / f"log-{name}").open("wb") as log:
            return subprocess.Popen(
                command, stderr=log, env={**os.environ, "PYTHONPATH": path, **given}
            )


@contextlib.asynccontextmanager
async def world(seed: int, fsync: str = "always") -> AsyncIterator[World]:
    """A world of its own, with server and proxy; nothing is left of it afterwards."""
    with TemporaryDirectory(prefix="evmon-chaos-", ignore_cleanup_errors=True) as name:
        made = World(Path(name), seed, fsync)
        try:
            await made.server.start()
            await made.proxy.start()
            yield made
        finally:
            made.stop()
            await made.proxy.stop()


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as reply:
        return str(reply.read().decode())

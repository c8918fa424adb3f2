"""Fixtures that many tests share."""

import asyncio
import heapq
import itertools
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import hypothesis
import pytest
import redis as redis_client
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from redis.backoff import NoBackoff
from redis.retry import Retry
from tests.shop import Orders
from tests.stage import Stage

import evmon
from evmon import EventBus
from evmon._telemetry.meter import InstrumentMeter
from evmon._telemetry.provider import Telemetry
from evmon._telemetry.snapshot import Snapshot

# How quick the machine is says nothing about what is tested.
hypothesis.settings.register_profile(
    "evmon",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("evmon")

# Processes that tests start use the same evmon as the tests themselves.
os.environ["PYTHONPATH"] = str(Path(evmon.__file__).parents[1])


class ManualClock:
    """Time that stands still until it is moved; sleepers wake in order."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.chance = 1.0
        self.slept: list[float] = []
        self._sleepers: list[tuple[float, int, asyncio.Future]] = []
        self._numbers = itertools.count()

    def time(self) -> float:
        return 1_700_000_000.0 + self.now

    def monotonic(self) -> float:
        return self.now

    def random(self) -> float:
        return self.chance

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        waiting = asyncio.get_running_loop().create_future()
        due = self.now + seconds
        heapq.heappush(self._sleepers, (due, next(self._numbers), waiting))
        await waiting

    async def advance(self, seconds: float) -> None:
        """Move time on, and let whoever was asleep until then go on."""
        end = self.now + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _, waiting = heapq.heappop(self._sleepers)
            self.now = max(self.now, due)
            if not waiting.done():
                waiting.set_result(None)
            await settle()
        self.now = end
        await settle()


class InstantClock(ManualClock):
    """Time that passes at once: a sleep only notes how long it was."""

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


class Measured:
    """A meter, and a look at what it measured."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self.provider = MeterProvider([self._reader], shutdown_on_exit=False)
        self.meter = InstrumentMeter(self.provider.get_meter("evmon"))

    @property
    def snapshot(self) -> Snapshot:
        return Snapshot(self._reader.get_metrics_data())

    def total(self, instrument, **attributes) -> float:
        return self.snapshot.total(instrument, attributes)


class RedisServer:
    """A real server on a free port, with an append-only file in a directory of its own."""

    def __init__(self, binary, folder, *options, config_file=None, sentinel=False):
        self._binary = [binary, str(config_file)] if config_file else [binary]
        self.folder = folder
        self.port = _free_port()
        files = ("--save", "", "--appendonly", "yes", "--appendfsync", "always")
        self._options = ("--sentinel", *options) if sentinel else (*files, *options)
        self._process = None

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self):
        return self._process.pid

    def client(self, **options):
        return redis_client.Redis(port=self.port, decode_responses=True, **options)

    def start(self):
        self._process = subprocess.Popen(
            [
                *(*self._binary, "--port", str(self.port), "--bind", "127.0.0.1"),
                *("--dir", str(self.folder)),
                *("--logfile", str(self.folder / "redis.log"), *self._options),
            ]
        )
        deadline = time.monotonic() + 10
        with self.client(retry=Retry(NoBackoff(), 0)) as client:
            while True:
                try:
                    client.ping()
                    return
                except redis_client.AuthenticationError:
                    return  # it answers, and wants a password
                except redis_client.ConnectionError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.02)

    def stop(self, number=signal.SIGTERM):
        if self._process.poll() is not None:
            return
        os.kill(self._process.pid, number)
        self._process.wait(10)

    def restart(self, number=signal.SIGKILL):
        self.stop(number)
        self.start()


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def settle(rounds: int = 50) -> None:
    """Let everything run that can run without time passing."""
    for _ in range(rounds):
        await asyncio.sleep(0)


async def eventually(condition, within: float = 5.0) -> None:
    """Wait until `condition()` is true; fail after `within` seconds."""
    deadline = asyncio.get_running_loop().time() + within
    while not condition():
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"not true within {within} s")
        await asyncio.sleep(0.005)


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def instant_clock():
    return InstantClock()


@pytest.fixture
def measured():
    measured = Measured()
    yield measured
    measured.provider.shutdown()


@pytest.fixture
def telemetry():
    telemetry = Telemetry("shop")
    yield telemetry
    telemetry.shutdown()


@pytest.fixture
def orders():
    return Orders()


@pytest.fixture
def bus(orders):
    bus = EventBus(service="shop", transport="memory://")
    bus.register(orders)
    return bus


@pytest.fixture
def stage(measured):
    return lambda **config: Stage(measured.meter, **config)


@pytest.fixture(scope="session")
def redis_binary():
    """The server under the tests: Redis, or what the environment names instead."""
    binary = os.environ.get("EVMON_TEST_REDIS", "redis-server")
    if shutil.which(binary) is None:
        pytest.fail(f"these tests need {binary}: apt install redis-server")
    return binary


@pytest.fixture(scope="session")
def redis_server(redis_binary, tmp_path_factory):
    server = RedisServer(redis_binary, tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def server(redis_server):
    """The session's server, empty."""
    with redis_server.client() as client:
        client.flushall()
    return redis_server


@pytest.fixture
def own_server(redis_binary, tmp_path):
    """A server that the test may stop, start and set up as it likes."""
    started = []

    def make(*options, **kind):
        folder = tmp_path / f"redis{len(started)}"
        folder.mkdir()
        server = RedisServer(redis_binary, folder, *options, **kind)
        started.append(server)
        server.start()
        return server

    yield make
    for server in started:
        server.stop()


@pytest.fixture
def client(server):
    with server.client() as client:
        yield client


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch):
    """The environment of the one who runs the tests decides nothing."""
    for name in list(os.environ):
        if name.startswith(("EVMON_", "OTEL_")):
            monkeypatch.delenv(name)


pytest.eventually = eventually
pytest.settle = settle

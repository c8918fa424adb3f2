"""Fixtures for all tests."""

import gc
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import hypothesis
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from tests.clocks import InstantClock, ManualClock
from tests.consumer_harness import ConsumerHarness
from tests.servers import RedisServer
from tests.shop import Orders

import evmon
from evmon import EventBus
from evmon._telemetry.meter import InstrumentMeter
from evmon._telemetry.provider import Telemetry
from evmon._telemetry.snapshot import Snapshot

# A slow machine must not fail a test that checks something else.
hypothesis.settings.register_profile(
    "evmon",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("evmon")

# Processes that tests start import the same evmon as the tests themselves.
os.environ["PYTHONPATH"] = str(Path(evmon.__file__).parents[1])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """Replace lone surrogates in captured output, which pytest-xdist cannot send."""
    report = yield
    report.sections = [
        (title, text.encode("utf-8", "replace").decode())
        for title, text in report.sections
    ]
    return report


@pytest.fixture(autouse=True)
def _resources_are_closed(request):
    """Fail a slow test, rather than a later one, if it leaves a connection open."""
    yield
    if request.node.get_closest_marker("slow"):
        gc.collect()


class Measured:
    """A meter and what was recorded through it."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self.provider = MeterProvider([self._reader], shutdown_on_exit=False)
        self.meter = InstrumentMeter(self.provider.get_meter("evmon"))

    @property
    def snapshot(self) -> Snapshot:
        return Snapshot(self._reader.get_metrics_data())

    def total(self, instrument, **attributes) -> float:
        return self.snapshot.total(instrument, attributes)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def installed_wheel(wheel, tmp_path_factory):
    """A folder for PYTHONPATH, as `pip install --target` makes it."""
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


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
def make_harness(measured):
    """Makes a consumer; takes the fields of ConsumerConfig."""
    return lambda **config: ConsumerHarness(measured.meter, **config)


@pytest.fixture(scope="session")
def redis_binary():
    """The server to test against: Redis, or the one named in EVMON_TEST_REDIS."""
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
    """The server that all tests share, emptied."""
    with redis_server.client() as client:
        client.flushall()
    return redis_server


@pytest.fixture
def own_server(redis_binary, tmp_path):
    """Starts servers that the test may stop and configure as it likes."""
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
def _without_settings_of_the_environment(monkeypatch):
    """Remove the variables that evmon and OpenTelemetry read."""
    for name in list(os.environ):
        if name.startswith(("EVMON_", "OTEL_")):
            monkeypatch.delenv(name)

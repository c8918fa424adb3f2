"""A redis-server of this session's own, and transports on it."""

import os
import shutil
import signal
import socket
import subprocess
import time

import pytest
import redis as redis_client
from redis.backoff import NoBackoff
from redis.retry import Retry


class RedisServer:
    """A real server on a free port, with an append-only file in a directory of its own."""

    def __init__(self, folder, *options):
        self.folder = folder
        self.port = _free_port()
        self._options = options
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
                *("redis-server", "--port", str(self.port), "--bind", "127.0.0.1"),
                *("--dir", str(self.folder), "--save", "", "--appendonly", "yes"),
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


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory):
    if shutil.which("redis-server") is None:
        pytest.fail("these tests need redis-server: apt install redis-server")
    server = RedisServer(tmp_path_factory.mktemp("redis"))
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
def own_server(tmp_path):
    """A server that the test may stop, start and set up as it likes."""
    started = []

    def make(*options):
        folder = tmp_path / f"redis{len(started)}"
        folder.mkdir()
        server = RedisServer(folder, *options)
        server.start()
        started.append(server)
        return server

    yield make
    for server in started:
        server.stop()


@pytest.fixture
def client(server):
    with server.client() as client:
        yield client

"""Real servers that tests start, stop and talk to."""

import os
import signal
import socket
import subprocess
import time

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry


class RedisServer:
    """A Redis server on a free port, with an append-only file in its own folder."""

    def __init__(self, binary, folder, *options, config_file=None, sentinel=False):
        self._binary = [binary, str(config_file)] if config_file else [binary]
        self.folder = folder
        self.port = free_port()
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
        return redis.Redis(port=self.port, decode_responses=True, **options)

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
                except redis.AuthenticationError:
                    return  # it answers, and wants a password
                except redis.ConnectionError:
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


def free_port():
    """A port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]

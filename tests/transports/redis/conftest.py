"""Transports on a real server, closed after the test."""

import asyncio

import pytest

from evmon import RedisConfig
from evmon._telemetry.transport_recorder import TransportRecorder
from evmon._transports.redis import RedisTransport


@pytest.fixture
async def make(server, measured):
    opened = []

    async def make(url=server.url, group="", service="shop", **config):
        recorder = TransportRecorder(measured.meter, service, group or service)
        transport = RedisTransport(url, service, group, RedisConfig(**config), recorder)
        opened.append(transport)
        await transport.open()
        return transport

    yield make
    for transport in opened:
        await transport.close()


@pytest.fixture
async def running():
    """Runs transports in the background during the test."""
    tasks = []

    def start(transport):
        tasks.append(asyncio.create_task(transport.run()))

    yield start
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

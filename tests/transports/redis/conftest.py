"""Transports on a real server, closed after the test."""

import asyncio

import pytest

from evmon._telemetry.transport_recorder import TransportRecorder


@pytest.fixture
def make(server, measured, open_redis):
    async def make(url=server.url, group="", service="shop", **config):
        recorder = TransportRecorder(measured.meter, service, group or service)
        return await open_redis(
            url, service=service, group=group, recorder=recorder, **config
        )

    return make


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

"""An idle service uses no CPU time."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

SCRIPT = """
import asyncio, resource
from evmon import EventBus, MetricsConfig, MonitorConfig, event_handler

@event_handler("a")
async def handle(event): ...

def switches():
    return resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw

async def main():
    bus = EventBus(
        metrics=MetricsConfig(port=0), monitor=MonitorConfig(check_interval_seconds=60)
    )
    bus.register(handle)
    async with bus:
        await bus.publish("a")
        await asyncio.sleep(1)
        before = switches()
        await asyncio.sleep(10)
        print(switches() - before)

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.serial
def test_an_idle_service_causes_no_context_switches():
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT)],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path("src").resolve())},
    )

    # One is the end of the sleep that measures.
    assert 1 >= int(result.stdout), result.stdout

"""No text that evmon logs can pose as a record of its own."""

import io
import logging
import re
from pathlib import Path

import pytest

import evmon
from evmon import EventBus, event_handler
from evmon._log_records import LOGGERS
from evmon.testing import settled

FORGED = "x\n2026-01-01 00:00:00 CRITICAL evmon.bus all is lost\r\x1b[2J\u202e"


@pytest.fixture
def log():
    """What a plain handler prints."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("RECORD %(name)s %(message)s"))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel("DEBUG")
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


def check(text):
    for line in text.split("\n")[:-1]:
        assert line.startswith(("RECORD ", "    ")), line
        assert line.isprintable(), line


async def test_the_error_of_a_handler_forges_no_line(log):
    @event_handler("a")
    async def broken(event):
        try:
            raise KeyError(FORGED)
        except KeyError as error:
            raise ValueError(FORGED) from error

    bus = EventBus(service="shop")
    bus.add_handler("a", broken, retry=evmon.RetryPolicy(max_retries=0))
    async with bus:
        await bus.publish("a", 1, id="id")
        await settled(bus)

    assert "gave up on event id" in log.getvalue()
    assert "Traceback" in log.getvalue()
    check(log.getvalue())


async def test_the_error_of_a_provider_forges_no_line(log):
    class Broken:
        def __init__(self):
            raise ValueError(FORGED)

        @event_handler("a")
        async def handle(self, event): ...

    bus = EventBus(service="shop", retry=evmon.RetryPolicy(max_retries=0))
    bus.register(Broken)
    async with bus:
        await settled(bus)

    assert "cannot discover provider" in log.getvalue()
    check(log.getvalue())


@pytest.mark.parametrize("name", LOGGERS)
def test_each_logger_cleans_arguments_and_tracebacks(log, name):
    error = ValueError(FORGED)
    logging.getLogger(name).error("%s: %s: %d", FORGED, error, 7, exc_info=error)

    assert log.getvalue().split("\n")[0].endswith(": 7")
    check(log.getvalue())


def test_every_logger_of_the_package_is_cleaned():
    names = {
        name
        for path in Path(evmon.__file__).parent.rglob("*.py")
        for name in re.findall(r'getLogger\("(.*?)"\)', path.read_text("utf-8"))
    }

    assert names == set(LOGGERS)

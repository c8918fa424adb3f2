"""Fixtures for the tests of instruments and their export."""

import pytest

from evmon._telemetry.instruments import INSTRUMENTS
from evmon._telemetry.provider import Telemetry


@pytest.fixture
def everything():
    """Telemetry in which every instrument was recorded once, with all its attributes."""
    telemetry = Telemetry("shop")
    for row in INSTRUMENTS:
        if not row.kind.name.startswith("OBSERVABLE"):
            telemetry.meter.bind(row, dict.fromkeys(row.attributes, "x"))(1)
    yield telemetry
    telemetry.shutdown()

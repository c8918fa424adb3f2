"""Fixtures of the tests of what is measured."""

import pytest

from evmon._telemetry.instruments import INSTRUMENTS
from evmon._telemetry.provider import Telemetry


@pytest.fixture
def everything():
    """Every instrument, recorded once with each of its attributes."""
    telemetry = Telemetry("shop")
    for row in INSTRUMENTS:
        if not row.kind.name.startswith("OBSERVABLE"):
            telemetry.meter.bind(row, dict.fromkeys(row.attributes, "x"))(1)
    yield telemetry
    telemetry.shutdown()

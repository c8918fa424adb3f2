"""A bus on every transport."""

import pytest
from tests.transports.bus.measured_bus import MeasuredBus


@pytest.fixture
def measured_bus(url):
    return lambda **settings: MeasuredBus(url, **settings)

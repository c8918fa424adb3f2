"""A bus on every transport."""

import pytest
from tests.transports.bus.measured_bus import MeasuredBus


@pytest.fixture(params=["memory", "redis"])
def url(request):
    if request.param == "memory":
        return "memory://"
    return request.getfixturevalue("server").url


@pytest.fixture
def measured_bus(url):
    return lambda **settings: MeasuredBus(url, **settings)

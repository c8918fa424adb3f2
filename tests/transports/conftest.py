"""The transports that tests of the bus run on."""

import pytest


def memory_url(_):
    return "memory://"


def redis_url(request):
    return request.getfixturevalue("server").url


@pytest.fixture(params=[memory_url, redis_url], ids=["memory", "redis"])
def url(request):
    """URL of each transport in turn."""
    return request.param(request)

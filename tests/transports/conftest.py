"""The transports that tests of the bus run on."""

import pytest

from evmon import RedisConfig
from evmon._transports.redis import RedisTransport


def memory_url(_):
    return "memory://"


def redis_url(request):
    return request.getfixturevalue("server").url


@pytest.fixture(params=[memory_url, redis_url], ids=["memory", "redis"])
def url(request):
    """URL of each transport in turn."""
    return request.param(request)


@pytest.fixture
async def open_redis():
    """Opens transports to Redis; takes the URL, and the fields of RedisConfig."""
    opened = []

    async def open_redis(url, *, service="shop", group="", recorder=None, **config):
        transport = RedisTransport(url, service, group, RedisConfig(**config), recorder)
        opened.append(transport)
        await transport.open()
        return transport

    yield open_redis
    for transport in opened:
        await transport.close()

"""What an entry says of itself is read, whoever wrote it."""

import pytest
from tests.transports.redis.entries import DEAD, STREAM, an_event, pending

from evmon import EventBus


@pytest.mark.parametrize("number", ["nan", "-5", "1e300", "x", "\udcff", "9" * 5000])
async def test_nonsense_in_our_own_fields_is_survived(server, client, number):
    seen = []
    bus = EventBus(service="shop", transport=server.url)
    bus.add_handler("a", seen.append)
    nonsense = number.encode(errors="surrogateescape")
    fields = {
        "event": an_event(),
        "attempts": nonsense,
        "first_failed": nonsense,
        "redriven": nonsense,
    }
    client.xadd(STREAM, fields)
    async with bus:
        await pytest.eventually(lambda: seen)
        await pytest.eventually(lambda: pending(client) == 0)

    assert client.xlen(DEAD) == 0

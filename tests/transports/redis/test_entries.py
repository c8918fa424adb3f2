"""Extra fields of an entry are written and parsed; invalid values count as absent."""

import pytest
from tests.transports.redis.entries import DEAD, STREAM, an_event, pending
from tests.waiting import eventually

from evmon import EventBus
from evmon._transports.redis.entries import Extra, mapping, read_extra, write_extra


@pytest.mark.parametrize("number", ["nan", "-5", "1e300", "x", "\udcff", "9" * 5000])
async def test_an_entry_with_invalid_extra_fields_is_handled(server, client, number):
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
        await eventually(lambda: seen)
        await eventually(lambda: pending(client) == 0)

    assert 0 == client.xlen(DEAD)


@pytest.mark.parametrize(
    "extra", [Extra(), Extra(2, ("h", "g"), "shop", 1_700_000_000.125, 3)]
)
def test_written_extra_fields_are_read_back(extra):
    assert extra == read_extra(mapping(write_extra(extra)))


def test_default_values_are_not_written():
    assert [] == write_extra(Extra())

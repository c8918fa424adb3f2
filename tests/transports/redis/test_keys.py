"""What an entry says of itself is read, whoever wrote it."""

import pytest
from tests.transports.redis.entries import DEAD, STREAM, an_event, pending

from evmon import EventBus
from evmon._transports.redis.entries import Extra, mapping, read_extra, write_extra
from evmon._transports.redis.keys import Keys


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


def test_all_keys_of_a_service_are_in_one_slot():
    keys = Keys("shop")
    names = [keys.dead, keys.retry, keys.retry_entries, keys.runs]
    names += [keys.stream(), keys.stream("x"), keys.producer("p")]
    names += [keys.trimmed("c"), keys.reclaimed("c")]

    assert {"evmon:{shop}"} == {name[:12] for name in names}
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "extra", [Extra(), Extra(2, ("h", "g"), "shop", 1_700_000_000.125, 3)]
)
def test_what_is_written_is_read_again(extra):
    assert extra == read_extra(mapping(write_extra(extra)))


def test_what_says_nothing_is_not_written():
    assert [] == write_extra(Extra())

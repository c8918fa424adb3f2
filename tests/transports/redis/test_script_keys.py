"""Every script declares all keys that it touches, as a cluster needs."""

import re

import pytest
from tests.transports.redis.entries import DEAD, RETRY, STREAM, read_all

from evmon._transports.base import Redelivery
from evmon._transports.redis import scripts
from evmon._transports.redis.scripts import Script

SCRIPTS = {
    name: value.text
    for name, value in vars(scripts).items()
    if isinstance(value, Script)
}
DECLARED = re.compile(
    r"redis\.p?call\(\s*"
    r"(?:'(?:TIME|INFO)'"  # commands without a key
    r"|'X(?:INFO|GROUP)',\s*'[A-Z]+',\s*KEYS\[\w+\]"
    r"|'(?!XINFO|XGROUP)[A-Z]+',\s*KEYS\[\w+\])"
    r"\s*[,)]"
)


def undeclared(text):
    """The uses of `redis` whose key is not an element of KEYS."""
    used = text.replace("redis.error_reply(", "").replace("redis.acl_check_cmd", "")
    return [
        used[match.start() : match.start() + 60]
        for match in re.finditer(r"\bredis\b", used)
        if not DECLARED.match(used, match.start())
    ]


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_touches_only_keys_that_it_declares(name):
    assert [] == undeclared(SCRIPTS[name].replace("'redis_version:7.'", ""))


@pytest.mark.parametrize(
    "call",
    [
        "redis.call('XADD', stream, '*', 'a', 'b')",
        "redis.call('SADD', KEYS[2] .. owner, 'm')",
        "redis.pcall('XADD',\n  'evmon:{shop}:dead', '*')",
        "redis.call('XINFO', 'GROUPS', stream)",
        "redis.call('XGROUP', KEYS[1], 'CREATE')",
        "redis.call(command, KEYS[1])",
        "local call = redis.call",
        "redis.call('GET', ARGV[1])",
    ],
)
def test_an_undeclared_key_is_found(call):
    assert [] != undeclared(call)


async def test_a_retry_of_a_stream_that_is_no_longer_configured_is_handled(
    make, client
):
    before = await make(streams=("x",), stream_for=lambda kind: kind)
    await before.publish([b"a", b"b"], ["x", "other"])
    for received in await read_all(before, 2):
        await before.settle(received, [Redelivery(0, 1, ())])
    assert 2 == client.zcard(RETRY)

    now = await make()

    assert {b"a", b"b"} == {received.raw for received in await read_all(now, 2)}
    assert (0, 0) == (client.zcard(RETRY), client.xlen(DEAD))
    assert 1 == client.xlen(f"{STREAM}:x")


async def test_a_retry_of_a_configured_stream_stays_in_it(make, client):
    t = await make(streams=("x",), stream_for=lambda kind: kind)
    await t.publish([b"a"], ["x"])
    (received,) = await read_all(t, 1)
    await t.settle(received, [Redelivery(0, 1, ())])
    await read_all(t, 1)

    assert (2, 0) == (client.xlen(f"{STREAM}:x"), client.xlen(STREAM))


async def test_entries_of_consumers_with_any_name_are_reclaimed(make, client):
    t = await make(lease=0.1)
    await t.publish([b"a", b"b", b"c"])
    for name in (b"\xff\xfe", "other", "a b"):
        client.xreadgroup("shop", name, {STREAM: ">"}, count=1)
    await t._clock.sleep(0.15)

    assert 3 == len(await read_all(t, 3))
    assert 1 == client.scard(b"evmon:{shop}:reclaimed:\xff\xfe")
    assert 1 == client.scard("evmon:{shop}:reclaimed:other")


async def test_an_entry_that_changed_its_owner_during_a_search_is_left(
    make, client, monkeypatch
):
    t = await make(lease=0.1)
    await t.publish([b"a"])
    client.xreadgroup("shop", "one", {STREAM: ">"})
    await t._clock.sleep(0.15)
    find = t._reader._idle_owners

    async def find_and_change(held, count):
        owners = await find(held, count)
        client.xautoclaim(STREAM, "shop", "two", 0)
        await t._clock.sleep(0.15)
        return owners

    with monkeypatch.context() as patch:
        patch.setattr(t._reader, "_idle_owners", find_and_change)
        assert [] == await t.read(1, 0.01)

    assert [b"a"] == [received.raw for received in await read_all(t, 1)]
    assert 1 == client.scard("evmon:{shop}:reclaimed:two")
    assert 0 == client.exists("evmon:{shop}:reclaimed:one")

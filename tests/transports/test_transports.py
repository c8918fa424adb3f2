"""The table of transports selects one by the scheme of the URL."""

import asyncio
import subprocess
import sys

import pytest
from tests.waiting import eventually

from evmon import ConfigError, EventBus, RedisConfig
from evmon._clock import SYSTEM_CLOCK
from evmon._settings.settings import Settings
from evmon._telemetry import instruments as i
from evmon._telemetry.meter import NoMeter
from evmon._transports import check_transport, open_dead_letters, open_transport
from evmon._transports.memory import MemoryTransport
from evmon._transports.redis import RedisTransport
from evmon._transports.redis.address import SCHEMES

REDIS = ", ".join(f"{scheme}://" for scheme in SCHEMES)


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("memory://", MemoryTransport),
        ("redis://localhost", RedisTransport),
        ("REDIS://localhost", RedisTransport),
        ("unix:///run/redis.sock", RedisTransport),
        ("rediss+cluster://localhost", RedisTransport),
    ],
)
async def test_the_scheme_selects_the_transport(url, kind):
    transport = open_transport(Settings(transport=url), NoMeter(), SYSTEM_CLOCK)

    assert kind is type(transport)
    assert "evmon" == transport.destination
    await transport.close()


@pytest.mark.parametrize(
    ("url", "shown"),
    [("redys://u:hunter2@h", "'redys'://…"), ("localhost", "'localhost'")],
)
def test_an_unknown_scheme_is_refused_with_the_known_ones(url, shown):
    with pytest.raises(ConfigError) as caught:
        check_transport(Settings(transport=url))

    assert f"transport={shown}: must be one of memory://, {REDIS}" == str(caught.value)


def test_dead_letters_in_memory_are_refused_with_the_schemes_that_store_them():
    with pytest.raises(ConfigError) as caught:
        open_dead_letters("memory://", "shop", {})

    assert f"--transport memory://…: must be one of {REDIS}" == str(caught.value)


def test_the_settings_of_a_transport_are_checked_with_its_url():
    with pytest.raises(ConfigError, match="database 'x'"):
        EventBus(transport="redis://localhost/x", redis=RedisConfig(timeout=1))


def test_dead_letters_are_opened_with_the_environment_of_their_transport_only():
    with pytest.raises(ConfigError, match=r"^EVMON_REDIS_TIMEOUT='0'"):
        open_dead_letters("redis://localhost", "shop", {"EVMON_REDIS_TIMEOUT": "0"})
    open_dead_letters("redis://localhost", "shop", {"EVMON_CONSUMER_BATCH_SIZE": "0"})


def test_the_redis_client_is_not_imported_for_other_transports():
    code = (
        "import sys, evmon; import evmon._cli;"
        " evmon.EventBus(); sys.exit('redis' in sys.modules)"
    )

    assert 0 == subprocess.run([sys.executable, "-c", code], check=False).returncode


@pytest.mark.parametrize("transport", ["memory", "redis"])
async def test_a_receive_is_not_measured_while_no_event_is_there(transport, request):
    url = "memory://"
    if transport == "redis":
        url = request.getfixturevalue("server").url
    bus = EventBus("receive-idle", url)
    bus.add_handler("a", lambda event: None)
    receive = {i.OPERATION_TYPE: "receive"}
    async with bus:
        await asyncio.sleep(0.5)
        await bus.publish("a")

        def received():
            snapshot = bus._runtime.telemetry.snapshot()
            return snapshot.distribution(i.OPERATION_DURATION, receive)

        await eventually(lambda: received().count)
        assert 0.2 > received().mean

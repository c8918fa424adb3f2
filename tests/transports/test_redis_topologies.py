"""The bus behind sentinels and in a cluster, on real servers."""

import asyncio
import itertools
import socket
import time

import pytest
from tests.waiting import eventually

from evmon import ConsumerConfig, Event, EventBus, RedisConfig, Reject, RetryLater
from evmon._transports.redis import RedisTransport, scripts

pytestmark = pytest.mark.slow

QUICK = RedisConfig(lease=2, timeout=1, upkeep_interval=0.5)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def sentinel(own_server, tmp_path):
    """A primary with a replica and one sentinel; returns the primary and the URL."""
    primary = own_server("--repl-diskless-sync-delay", "0")
    replica = own_server("--replicaof", "127.0.0.1", str(primary.port))
    conf = tmp_path / "sentinel.conf"
    conf.write_text(
        f"sentinel monitor shop 127.0.0.1 {primary.port} 1\n"
        "sentinel down-after-milliseconds shop 500\n"
        "sentinel failover-timeout shop 2000\n"
        "requirepass sentinels-own\n"
    )
    watcher = own_server(config_file=conf, sentinel=True)
    with replica.client() as client:
        deadline = time.monotonic() + 10
        while client.info("replication")["master_link_status"] != "up":
            assert time.monotonic() < deadline
            time.sleep(0.02)
    login = "?sentinel_password=sentinels-own"
    return primary, f"redis+sentinel://127.0.0.1:{watcher.port}/shop{login}"


async def test_consumers_and_publishers_follow_a_failover(sentinel):
    primary, url = sentinel
    seen, sent = set(), set()

    async def handle(event: Event) -> None:
        seen.add(event.data)

    bus = EventBus(service="shop", transport=url, redis=QUICK)
    bus.add_handler("a", handle)

    async def publish():
        for number in itertools.count():
            (refused,) = await bus.publish_many([("a", number)])
            if refused is None:
                sent.add(number)
            await asyncio.sleep(0.01)

    async with bus:
        publishing = asyncio.create_task(publish())
        await eventually(lambda: len(seen) > 20)
        await asyncio.to_thread(primary.stop, 9)
        before = max(sent)
        await eventually(lambda: max(seen) > before + 100, 30)
        publishing.cancel()
        await eventually(lambda: sent <= seen, 10)


@pytest.fixture(scope="module")
def cluster_server(redis_server, redis_binary, tmp_path_factory):
    """A cluster of one node, which has all slots; it takes two seconds to form."""
    # The default port of the cluster's bus, 10,000 higher, may not exist.
    options = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    folder = tmp_path_factory.mktemp("cluster")
    node = type(redis_server)(redis_binary, folder, *options)
    node.start()
    with node.client() as client:
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        deadline = time.monotonic() + 10
        while client.cluster("INFO")["cluster_state"] != "ok":
            assert time.monotonic() < deadline
            time.sleep(0.02)
    yield node
    node.stop()


@pytest.fixture
def cluster(cluster_server):
    """The cluster, empty."""
    with cluster_server.client() as client:
        client.flushall()
    return cluster_server


async def test_a_bus_works_in_a_cluster(cluster):
    seen = []

    async def handle(event: Event) -> None:
        seen.append((event.type, event.data))
        if event.data == "bad":
            raise Reject("no")
        if event.data == "later" and seen.count(seen[-1]) == 1:
            raise RetryLater(1.1)

    bus = EventBus(
        service="shop",
        transport=f"redis+cluster://127.0.0.1:{cluster.port}",
        redis=RedisConfig(
            streams=("x",),
            stream_for=lambda kind: kind,
            retention=0.0,
            upkeep_interval=0.2,
            min_replicas=0,
        ),
        consumer=ConsumerConfig(max_concurrency=2),
    )
    bus.add_handler("**", handle)
    async with bus:
        for kind, data in itertools.product(("x", "y"), ("good", "bad", "later")):
            await bus.publish(kind, data)
        await eventually(lambda: len(seen) == 8, 10)
        assert 200 == bus.routes.answer("GET", "/readyz", {}).status
    with cluster.client() as client:
        assert 2 == client.xlen("evmon:{shop}:dead")
        assert 0 == client.zcard("evmon:{shop}:retry")


async def test_a_missing_script_is_sent_again_in_a_cluster(cluster):
    keys = ("evmon:{shop}:producer:p", "evmon:{shop}:events")
    transport = RedisTransport(f"redis+cluster://127.0.0.1:{cluster.port}", "shop")
    await transport.open()
    with cluster.client() as client:
        for count in (1, 3, 5):
            client.script_flush()
            await transport.publish([b"a"])
            client.script_flush()
            script = scripts.PUBLISH.command(keys, (0, 60, 0, 2, 1, b"a"))
            after = ("INCR", f"{keys[1]}:after")
            assert [1, count // 2 + 1] == await transport._client.pipe([script, after])
            assert count + 1 == client.xlen(keys[1])
    await transport.close()

"""Liveness depends on the event loop only, readiness also on Redis."""

import asyncio
import http.client
import signal
from urllib.parse import urlsplit

import pytest
from tests.waiting import eventually, let_tasks_run

from evmon import Event, EventBus, MetricsConfig, RedisConfig
from evmon._bus.health import ALIVE_FOR, HealthChecks
from evmon._telemetry import instruments as i


class StubTransport:
    """The part of a transport that health checks use."""

    problem = ""


@pytest.fixture
def transport():
    return StubTransport()


@pytest.fixture
def health(transport, measured, clock):
    return HealthChecks(transport, measured.meter, clock)


def answers(health):
    ready = health.readyz()
    return ready.ok, ready.detail


async def test_not_ready_before_all_parts_run(health, measured):
    assert (False, "starting") == answers(health)
    assert 0 == measured.total(i.CONSUMER_READY)
    health.started()

    assert (True, "ready") == answers(health)
    assert 1 == measured.total(i.CONSUMER_READY)


async def test_not_ready_while_draining(health, measured):
    health.started()
    health.draining()

    assert (False, "draining") == answers(health)
    assert 0 == measured.total(i.CONSUMER_READY)
    assert health.livez().ok


async def test_a_problem_of_the_transport_is_reported_until_it_clears(
    health, transport, measured, caplog
):
    caplog.set_level("INFO")
    health.started()
    transport.problem = "the connection is broken"
    assert (False, "the connection is broken") == answers(health)
    assert health.livez().ok
    for _ in range(10):
        health.update_gauges()
    assert 0 == measured.total(i.CONSUMER_READY)
    transport.problem = ""
    health.update_gauges()

    assert (True, "ready") == answers(health)
    assert 1 == measured.total(i.CONSUMER_READY)
    assert 1 == caplog.text.count("not ready: the connection is broken")
    assert "ready" == [r.getMessage() for r in caplog.records][-1]


async def test_alive_while_the_event_loop_runs(health, clock):
    health.started()
    for _ in range(10):
        assert "alive" == health.livez().detail
        await let_tasks_run()
        clock.now += 2 * ALIVE_FOR

    assert health.livez().ok


async def test_not_alive_while_the_event_loop_is_blocked(health, clock):
    health.started()
    assert health.livez().ok
    clock.now += ALIVE_FOR
    assert health.livez().ok
    clock.now += 1

    assert not health.livez().ok
    assert "the event loop has not responded for 31 s" == health.livez().detail
    await let_tasks_run()
    assert health.livez().ok


async def test_not_ready_while_the_event_loop_is_blocked(
    health, clock, measured, caplog
):
    caplog.set_level("INFO")
    health.started()
    assert (True, "ready") == answers(health)
    clock.now += ALIVE_FOR + 1
    assert (False, "the event loop does not respond") == answers(health)
    for _ in range(3):
        clock.now += 15
        health.update_gauges()
    assert 0 == measured.total(i.CONSUMER_READY)
    assert 1 == caplog.text.count("not ready: the event loop does not respond")
    await let_tasks_run()
    health.update_gauges()

    assert (True, "ready") == answers(health)
    assert 1 == measured.total(i.CONSUMER_READY)


async def test_collecting_metrics_alone_notices_a_blocked_event_loop(
    health, clock, measured
):
    health.started()
    await let_tasks_run()
    health.update_gauges()
    clock.now += ALIVE_FOR + 1
    health.update_gauges()

    assert 0 == measured.total(i.CONSUMER_READY)
    assert not health.livez().ok


async def test_the_problem_of_a_state_comes_before_the_event_loop(health, clock):
    health.started()
    health.livez()
    health.draining()
    clock.now += ALIVE_FOR + 1

    assert (False, "draining") == answers(health)


async def test_a_bus_that_failed_is_not_ready(monkeypatch):
    async def fail(_):
        raise ZeroDivisionError

    monkeypatch.setattr("evmon._monitor.Monitor.run", fail)
    bus = EventBus()
    with pytest.raises(ZeroDivisionError):
        await bus.start()
        await bus.wait()
        answer = bus.routes.answer("GET", "/readyz", {})
        assert 503 == answer.status
        await bus.stop()

    assert 503 == bus.routes.answer("GET", "/readyz", {}).status


async def test_nothing_is_scheduled_between_checks(health):
    loop = asyncio.get_running_loop()
    health.started()
    assert health.livez().ok
    await let_tasks_run()

    assert [] == [t for t in loop._scheduled if not t.cancelled()]
    assert {asyncio.current_task()} == asyncio.all_tasks()


# Over HTTP


async def get(bus, path):
    def ask():
        parts = urlsplit(bus.metrics_url)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=5)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode().strip()
        finally:
            connection.close()

    return await asyncio.to_thread(ask)


async def until(bus, path, status, within=10.0):
    deadline = asyncio.get_running_loop().time() + within
    while True:
        answer = await get(bus, path)
        if answer[0] == status:
            return answer[1]
        assert asyncio.get_running_loop().time() < deadline, answer
        await asyncio.sleep(0.02)


def bus_on(url, **settings):
    bus = EventBus(
        service="shop", transport=url, metrics=MetricsConfig(port=0), **settings
    )
    bus.add_handler("a", lambda event: None)
    return bus


@pytest.mark.parametrize("transport", ["memory", "redis"])
async def test_a_running_bus_is_alive_and_ready(transport, request):
    url = "memory://"
    if transport == "redis":
        url = request.getfixturevalue("server").url
    async with bus_on(url) as bus:
        assert (200, "alive") == await get(bus, "/livez")
        assert (200, "ready") == await get(bus, "/readyz")
        assert 200 == (await get(bus, "/metrics"))[0]
        assert '\nevmon_ready{evmon_bus="shop"} 1.0' in (await get(bus, "/metrics"))[1]
        assert 404 == (await get(bus, "/other"))[0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_a_bus_without_its_server_is_alive_and_not_ready(own_server, number):
    server = own_server()
    async with bus_on(server.url, redis=RedisConfig(timeout=0.5)) as bus:
        assert 200 == (await get(bus, "/readyz"))[0]
        await asyncio.to_thread(server.stop, number)
        detail = await until(bus, "/readyz", 503)
        assert "the connection to Redis is broken" == detail
        assert (200, "alive") == await get(bus, "/livez")
        await asyncio.to_thread(server.start)
        assert "ready" == await until(bus, "/readyz", 200)


async def test_a_bus_with_a_hanging_server_is_not_ready(own_server):
    import os

    server = own_server()
    redis = RedisConfig(timeout=0.2, upkeep_interval=0.1)
    async with bus_on(server.url, redis=redis) as bus:
        os.kill(server.pid, signal.SIGSTOP)
        try:
            detail = await until(bus, "/readyz", 503)
            assert 200 == (await get(bus, "/livez"))[0]
        finally:
            os.kill(server.pid, signal.SIGCONT)
        assert "Redis" in detail
        assert "ready" == await until(bus, "/readyz", 200)


async def test_a_bus_that_waits_for_its_server_at_startup_is_alive_and_not_ready(
    own_server,
):
    server = own_server()
    server.stop()
    bus = bus_on(server.url)
    starting = asyncio.create_task(bus.start())
    await eventually(lambda: bus.metrics_url and ":0/" not in bus.metrics_url)
    assert (200, "alive") == await get(bus, "/livez")
    assert (503, "starting") == await get(bus, "/readyz")
    await asyncio.to_thread(server.start)
    await starting
    assert (200, "ready") == await get(bus, "/readyz")
    await bus.stop()


async def test_a_long_wait_for_the_server_does_not_count_as_a_blocked_loop(clock):
    bus = EventBus(
        transport="redis://127.0.0.1:1",
        redis=RedisConfig(connect_within=1000),
        clock=clock,
    )
    starting = asyncio.create_task(bus.start())
    await let_tasks_run()
    health = bus._runtime.health
    while clock.now < 1_000 + 3 * ALIVE_FOR:
        await clock.advance(0.25)
        assert health.livez().ok
        assert not health.readyz().ok
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)


async def test_a_bus_that_drains_is_alive_and_not_ready():
    running, gate = asyncio.Event(), asyncio.Event()

    async def slow(event: Event) -> None:
        running.set()
        await gate.wait()

    bus = EventBus(metrics=MetricsConfig(port=0))
    bus.add_handler("a", slow)
    await bus.start()
    await bus.publish("a")
    await running.wait()
    stopping = asyncio.create_task(bus.stop())
    await let_tasks_run()
    assert (503, "draining") == await get(bus, "/readyz")
    assert (200, "alive") == await get(bus, "/livez")
    gate.set()
    await stopping

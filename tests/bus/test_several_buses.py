"""Buses of one process share one metrics address, and never a name by accident."""

import contextlib
import subprocess
import sys

import pytest
from prometheus_client import start_http_server

from evmon import ConfigError, ConsumerConfig, EventBus, MetricsConfig


@pytest.fixture
def port(unused_tcp_port):
    return unused_tcp_port


async def test_an_address_that_another_bus_serves_is_left_to_it(
    monkeypatch, caplog, port
):
    caplog.set_level("INFO")
    monkeypatch.setenv("EVMON_METRICS_PORT", str(port))
    first, second = EventBus("first"), EventBus("second")
    async with first, second:
        assert f"http://127.0.0.1:{port}/metrics" == first.metrics_url
        assert second.metrics_url is None
        assert second.routes is not first.routes
        await second.publish("a")

    line = (
        f"/metrics of second is not served: http://127.0.0.1:{port}/metrics is already"
        " served by first"
    )
    assert 1 == caplog.messages.count(line)


async def test_an_address_is_free_again_once_its_bus_has_stopped(port):
    metrics = MetricsConfig(port=port)
    for name in ("first", "second"):
        async with EventBus(name, metrics=metrics) as bus:
            assert bus.metrics_url is not None


async def test_any_free_port_and_other_addresses_are_served_by_each_bus(port):
    for metrics in (MetricsConfig(port=0), MetricsConfig(port=port)):
        first = EventBus("first", metrics=MetricsConfig(port=0))
        second = EventBus("second", metrics=metrics)
        async with first, second:
            assert None not in {first.metrics_url, second.metrics_url}
            assert first.metrics_url != second.metrics_url


@contextlib.contextmanager
def taken_by_another_process(port):
    """A port that another process listens on."""
    script = (
        "import socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1])));"
        " print('listens', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(port)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as process:
        process.stdout.readline()
        try:
            yield
        finally:
            process.stdin.close()


async def test_an_address_that_another_exporter_serves_is_left_to_it(port, caplog):
    exporter, thread = start_http_server(port, "127.0.0.1")
    try:
        async with EventBus("shop", metrics=MetricsConfig(port=port)) as bus:
            assert bus.metrics_url is None
            await bus.publish("a")
    finally:
        exporter.shutdown()
        exporter.server_close()
        thread.join()

    line = (
        "/metrics, /livez and /readyz of shop are not served: another exporter of this"
        f" process serves http://127.0.0.1:{port}"
    )
    assert 1 == caplog.messages.count(line)


async def test_a_bus_that_cannot_listen_leaves_no_trace(port):
    with taken_by_another_process(port), pytest.raises(ConfigError, match="cannot"):
        await EventBus("first", metrics=MetricsConfig(port=port)).start()
    async with EventBus("second", metrics=MetricsConfig(port=port)) as bus:
        assert bus.metrics_url is not None


def test_one_variable_cannot_name_two_buses(monkeypatch):
    monkeypatch.setenv("EVMON_SERVICE", "all")
    first = EventBus("first")
    with pytest.raises(ConfigError) as caught:
        EventBus("second")

    assert "all" == first.service
    assert (
        "EVMON_SERVICE would make this bus and another one of this process the same:"
        " service 'all', group 'all', on one transport; unset it, and name each bus in"
        " code" == str(caught.value)
    )


def test_one_variable_cannot_name_two_groups(monkeypatch):
    monkeypatch.setenv("EVMON_CONSUMER_GROUP", "all")
    buses = [EventBus("shop", consumer=ConsumerConfig(group="first"))]
    with pytest.raises(ConfigError, match="EVMON_CONSUMER_GROUP would make"):
        buses.append(EventBus("shop", consumer=ConsumerConfig(group="second")))


async def test_a_variable_may_name_buses_that_the_code_does_not_tell_apart(monkeypatch):
    monkeypatch.setenv("EVMON_SERVICE", "all")
    buses = [EventBus("shop"), EventBus("shop")]

    assert ["all", "all"] == [bus.service for bus in buses]


def test_a_bus_in_a_reference_cycle_that_nobody_uses_has_no_name(monkeypatch):
    monkeypatch.setenv("EVMON_SERVICE", "all")
    cycle = [EventBus("first")]
    cycle.append(cycle)
    del cycle

    assert "all" == EventBus("second").service


async def test_a_variable_may_name_one_bus_after_the_other(monkeypatch):
    monkeypatch.setenv("EVMON_SERVICE", "all")
    first = EventBus("first")
    async with first:
        pass

    assert "all" == EventBus("second").service

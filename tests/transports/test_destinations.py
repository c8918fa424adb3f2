"""``messaging.destination.name`` is the stream that an event went to and came from."""

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.waiting import eventually

from evmon import EventBus, MetricsConfig, RedisConfig

SENT = "messaging_client_sent_messages_total"
CONSUMED = "messaging_client_consumed_messages_total"
HANDLED = "messaging_process_duration_seconds_count"
WAITED = "evmon_event_wait_duration_seconds_count"
OPERATIONS = "messaging_client_operation_duration_seconds_count"


@pytest.fixture
def bus(server):
    bus = EventBus(
        service="shop",
        transport=server.url,
        redis=RedisConfig(
            streams=("mail", "idle"),
            stream_for=lambda kind: kind.split(".")[0],
            upkeep_interval=0.05,
        ),
        metrics=MetricsConfig(port=0, cache_seconds=0),
    )
    bus.add_handler("mail.*", lambda event: None)
    bus.add_handler("order.*", lambda event: None)
    return bus


def samples(bus, name):
    """Labels and value of each series."""
    text = bus.routes.answer("GET", "/metrics", {}).body.decode()
    return [
        (sample.labels, sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    ]


def by_destination(bus, name, **labels):
    """Sum of the series of each destination; without one, under an empty name."""
    found = {}
    for of, value in samples(bus, name):
        if labels.items() <= of.items():
            destination = of.get("messaging_destination_name", "")
            found[destination] = found.get(destination, 0) + value
    return found


async def test_each_event_is_counted_for_the_stream_that_it_goes_through(bus):
    async with bus:
        await bus.publish("order.made")
        await eventually(lambda: {"shop": 1} == by_destination(bus, HANDLED))
        await bus.publish_many([("mail.sent", n) for n in range(3)])
        counts = {"shop": 1, "shop:mail": 3}
        await eventually(lambda: counts == by_destination(bus, HANDLED))

        every = {**counts, "shop:idle": 0}
        assert every == by_destination(bus, SENT)
        assert every == by_destination(bus, CONSUMED)
        assert counts == by_destination(bus, WAITED)
        sends = by_destination(bus, OPERATIONS, messaging_operation_name="send")
        assert {"shop": 1, "shop:mail": 1} == sends
        reads = by_destination(bus, OPERATIONS, messaging_operation_name="receive")
        assert {"shop": 1, "shop:mail": 1} == reads


async def test_an_operation_on_several_streams_has_no_destination(bus):
    async with bus:
        await bus.publish_many([("mail.sent", None), ("order.made", None)])
        sends = by_destination(bus, OPERATIONS, messaging_operation_name="send")

        assert {"": 1} == sends
        await eventually(
            lambda: {"shop": 1, "shop:mail": 1} == by_destination(bus, HANDLED)
        )


async def test_lag_and_length_are_those_of_each_stream(bus, client):
    async with bus:
        await bus.publish_many([("mail.sent", n) for n in range(3)])
        lengths = {"shop": 0, "shop:mail": 3, "shop:idle": 0}
        await eventually(lambda: lengths == by_destination(bus, "evmon_stream_length"))

        assert set(lengths) == set(by_destination(bus, "evmon_consumer_lag"))
        assert {"shop"} == set(by_destination(bus, "evmon_dead_letter_queue_size"))


async def test_stream_for_may_answer_differently_each_time(server):
    turns = iter(["a", "b", "a", "b"])
    bus = EventBus(
        service="shop",
        transport=server.url,
        redis=RedisConfig(streams=("a", "b"), stream_for=lambda _: next(turns)),
        metrics=MetricsConfig(port=0, cache_seconds=0),
    )
    bus.add_handler("order", lambda event: None)
    async with bus:
        for _ in range(4):
            await bus.publish("order")

        assert {"shop": 0, "shop:a": 2, "shop:b": 2} == by_destination(bus, SENT)

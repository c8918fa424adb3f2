"""`bus.publishes` declares what is published: its label in metrics, and its data."""

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import pydantic
import pytest
from typing_extensions import TypedDict

from evmon import ConfigError, Event, EventBus, InvalidEventError, PublishError
from evmon._telemetry import instruments as i


@dataclass
class Order:
    id: int
    tags: list[str]


class Struct(msgspec.Struct):
    id: int
    tags: list[str]


class Typed(TypedDict):
    id: int
    tags: list[str]


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True)
    id: int
    tags: list[str]


MODELS = [Order, Struct, Typed, Model]
GOOD = {"id": 7, "tags": ["new"]}
BAD = {"id": 7, "tags": ["new", 5]}


@pytest.fixture
def bus():
    return EventBus(service="shop")


def sent(bus):
    """Published events by label."""
    snapshot = bus._runtime.telemetry.snapshot()
    labels = ("order.created", "order.*", "_unknown")
    counts = {n: snapshot.total(i.SENT_MESSAGES, {i.EVENT_TYPE: n}) for n in labels}
    return {name: count for name, count in counts.items() if count}


async def test_a_declared_type_is_a_label_in_a_process_that_only_publishes(bus):
    bus.publishes("order.created")
    async with bus:
        await bus.publish("order.created")
        await bus.publish("order.paid")

        assert {"order.created": 1, "_unknown": 1} == sent(bus)


async def test_a_pattern_is_the_label_of_the_types_that_it_matches(bus):
    bus.publishes("order.*")
    bus.publishes("order.created")
    async with bus:
        for event_type in ("order.created", "order.paid", "order.shipped"):
            await bus.publish(event_type)

        assert {"order.created": 1, "order.*": 2} == sent(bus)


async def test_a_type_can_be_declared_after_the_start(bus):
    async with bus:
        await bus.publish("order.created", BAD)
        await asyncio.to_thread(bus.publishes, "order.created", Order)
        await bus.publish("order.created", GOOD)
        with pytest.raises(InvalidEventError):
            await bus.publish("order.created", BAD)

        assert {"_unknown": 1, "order.created": 1} == sent(bus)


async def test_a_declaration_neither_handles_events_nor_makes_the_bus_read(bus):
    bus.publishes("order.created", Order)
    async with bus:
        await bus.publish("order.created", GOOD)

        assert () == bus.handlers
        assert 1 == bus._runtime.transport.backlog


@pytest.mark.parametrize("model", MODELS)
async def test_data_that_fits_is_published_as_it_was(bus, model):
    bus.publishes("order.created", model)
    async with bus:
        await bus.publish("order.created", GOOD)
        event = await bus.publish("order.created", model(**GOOD))

        assert model(**GOOD) == event.data


@pytest.mark.parametrize("model", MODELS)
async def test_data_that_does_not_fit_is_refused_with_its_place(bus, model):
    bus.publishes("order.created", model)
    async with bus:
        with pytest.raises(InvalidEventError, match=r"tags.*1") as caught:
            await bus.publish("order.created", BAD)
        with pytest.raises(InvalidEventError):
            await asyncio.to_thread(bus.publish_sync, "order.created", BAD)
        with pytest.raises(InvalidEventError):
            bus.publish_nowait("order.created", BAD)
        results = await bus.publish_many(
            [("order.created", BAD), ("order.created", GOOD)]
        )

        assert str(caught.value).startswith("order.created: data is not a ")
        assert "invalid_data" == caught.value.reason
        assert isinstance(results[0], PublishError)
        assert isinstance(results[0].__cause__, InvalidEventError)
        assert results[1] is None
        assert 1 == bus._runtime.transport.backlog


async def test_an_object_of_the_model_is_validated_too(bus):
    bus.publishes("order.created", Order)
    async with bus:
        with pytest.raises(InvalidEventError, match=r"Expected `int`.*\$\.id"):
            await bus.publish("order.created", Order("seven", []))


async def test_events_of_publish_many_are_validated(bus):
    bus.publishes("order.created", Annotated[int, msgspec.Meta(gt=0)])
    async with bus:
        good = await bus.publish("order.created", 5)
        bad = msgspec.structs.replace(good, data=-5)
        results = await bus.publish_many([good, bad])

        assert [True, False] == [result is None for result in results]


async def test_the_most_specific_declaration_decides(bus):
    bus.publishes("order.**", Order)
    bus.publishes("order.note", str)
    bus.publishes("order.any")
    async with bus:
        await bus.publish("order.note", "fragile")
        await bus.publish("order.any", 5)
        with pytest.raises(InvalidEventError):
            await bus.publish("order.other", "fragile")


async def test_a_handler_of_the_same_type_still_gets_its_events(bus, make_recorder):
    handle, received = make_recorder
    bus.publishes("order.created", Order)
    bus.add_handler("order.created", handle)
    async with bus:
        await bus.publish("order.created", GOOD)

    assert [GOOD] == received


@pytest.fixture
def make_recorder():
    received = []

    async def handle(event):
        received.append(event.data)

    return handle, received


async def test_each_bus_has_its_own_declarations(bus):
    other = EventBus(service="billing")
    bus.publishes("order.created", Order)
    async with bus, other:
        await other.publish("order.created", BAD)

        assert {"_unknown": 1} == sent(other)


def test_the_same_declaration_again_changes_nothing(bus):
    bus.publishes("order.created", Order)
    bus.publishes("order.created", Order)
    with pytest.raises(ConfigError, match=r"it is declared with <class .*Order"):
        bus.publishes("order.created", Model)
    with pytest.raises(ConfigError, match="it is declared with"):
        bus.publishes("order.created")


@pytest.mark.parametrize(
    ("pattern", "model", "message"),
    [
        ("order created", None, "must be words joined by dots"),
        (Order, None, "must be words joined by dots"),
        ("a", object, "publishes\\('a'\\): cannot convert event data to object"),
        ("a", Event[Order], "name the type of the data, not Event"),
        ("a", Event, "name the type of the data, not Event"),
        ("a", "Order", "publishes\\('a'\\)"),
        ("a", 7, "is not a data type"),
    ],
)
def test_an_invalid_declaration_is_refused(bus, pattern, model, message):
    with pytest.raises(ConfigError, match=message):
        bus.publishes(pattern, model)


def test_the_number_of_declarations_is_limited(bus):
    for number in range(1000):
        bus.publishes(f"tenant{number}.created")
    bus.publishes("tenant0.created")
    with pytest.raises(ConfigError, match="1000 are declared; declare a pattern"):
        bus.publishes("tenant1000.created")


async def test_any_data_may_be_declared(bus):
    bus.publishes("a", Any)
    async with bus:
        assert 5 == (await bus.publish("a", 5)).data

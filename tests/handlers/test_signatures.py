"""Parameters of handlers: what they get, and signatures that are refused."""

import asyncio
import functools
import types
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pydantic
import pytest
from typing_extensions import TypedDict

from evmon import Delivery, DiscoveryError, Event, InvalidEventError
from evmon._events import FIRST_DELIVERY, now
from evmon._handlers.handlers import handler_of


@dataclass
class OrderClass:
    id: int


class OrderDict(TypedDict):
    id: int


class OrderModel(pydantic.BaseModel):
    id: int


@pydantic.dataclasses.dataclass
class OrderPydanticClass:
    id: int


def event(data=None):
    return Event(id="1", source="shop", type="order.created", time=now(), data=data)


def decorated(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


def handle_event(e: Event):
    return e


def handle_any(e: Event[Any]):
    return e


def handle_bare(e):
    return e


def handle_object(e: object):
    return e


def handle_event_of_object(e: Event[object]):
    return e


def handle_typed(e: Event[OrderClass]):
    return e.data


def handle_data(order: OrderClass):
    return order


def handle_both(e: Event, order: OrderModel):
    return e.type, order


def handle_delivery(e: Event, how: Delivery):
    return how


def handle_default(e: Event, limit: int = 3):
    return limit


def handle_args(*args):
    return args[0]


def handle_kwargs(e, **kwargs):
    return e


def handle_string(order: "OrderDict"):
    return order


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (handle_typed, OrderClass(7)),
        (handle_data, OrderClass(7)),
        (handle_both, ("order.created", OrderModel(id=7))),
        (handle_delivery, FIRST_DELIVERY),
        (handle_default, 3),
        (handle_string, {"id": 7}),
    ],
)
def test_a_parameter_gets_what_its_annotation_asks_for(function, expected):
    handler = handler_of(function, "order.*")

    assert expected == handler.call(event({"id": 7}), FIRST_DELIVERY)


@pytest.mark.parametrize(
    "function",
    [
        *(handle_event, handle_any, handle_bare, handle_args, handle_kwargs),
        *(handle_object, handle_event_of_object),
    ],
)
def test_a_parameter_for_the_event_gets_the_same_object(function):
    sent = event({"id": 7})

    assert sent is handler_of(function, "a").call(sent, FIRST_DELIVERY)


@pytest.mark.parametrize(
    "kind", [OrderClass, OrderDict, OrderModel, OrderPydanticClass, int, list[int]]
)
def test_data_that_fails_validation_raises_invalid_event_error(kind):
    def handle(data): ...

    handle.__annotations__["data"] = kind
    handler = handler_of(handle, "a")

    with pytest.raises(InvalidEventError) as caught:
        handler.call(event({"id": "seven", "x": [None]}), FIRST_DELIVERY)

    assert "invalid_data" == caught.value.reason
    assert "\n" not in str(caught.value)


def handle_many(events: list[Event]):
    return events


def handle_many_any(events: Sequence[Event[Any]]):
    return events


def handle_many_typed(events: list[Event[OrderClass]]):
    return [e.data for e in events]


@pytest.mark.parametrize("function", [handle_many, handle_many_any])
def test_a_list_of_events_makes_a_batch_handler(function):
    handler = handler_of(function, "a")
    sent = [event(1), event(2)]

    assert sent == handler.call_many(sent)
    assert [sent[0]] == handler.call(sent[0], FIRST_DELIVERY)


def test_a_batch_handler_validates_the_data_of_each_event():
    handler = handler_of(handle_many_typed, "a")

    assert [OrderClass(7)] == handler.call_many([event({"id": 7})])
    assert [OrderClass(7)] == handler.call(event({"id": 7}), FIRST_DELIVERY)
    with pytest.raises(InvalidEventError):
        handler.call_many([event({"id": 7}), event({"id": "seven"})])


@pytest.mark.parametrize("function", [handle_event, handle_data, len])
def test_other_handlers_take_one_event_at_a_time(function):
    assert handler_of(function, "a").call_many is None


async def handle_generator(event):
    yield event


def handle_plain_generator(event):
    yield event


def handle_parts(a: int, b: str): ...


def handle_injected(session: functools.partial): ...


def handle_many_and_more(events: list[Event], how: Delivery): ...


def handle_nothing(): ...


def handle_keyword(*, event): ...


def handle_unresolved(event: "Missing"): ...  # noqa: F821


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (handle_generator, "is a generator; use a function"),
        (handle_plain_generator, "is a generator"),
        (functools.partial(handle_plain_generator), "is a generator"),
        (
            handle_parts,
            "only one parameter may take the data; combine them in a dataclass",
        ),
        (handle_injected, "cannot convert event data to partial; annotate with"),
        (
            handle_many_and_more,
            r"a handler that takes list\[Event\] can have no other parameter",
        ),
        (handle_nothing, "has no parameter for the event"),
        (handle_keyword, "'event' is keyword-only and has no default; make it"),
        (handle_unresolved, "cannot resolve the annotation of 'event'"),
    ],
)
def test_a_signature_that_cannot_take_an_event_is_refused(function, message):
    with pytest.raises(DiscoveryError, match=message):
        handler_of(function, "a")


class CallableObject:
    async def __call__(self, event): ...


async def async_function(event): ...


@pytest.mark.parametrize(
    ("function", "is_async"),
    [
        (async_function, True),
        (functools.partial(async_function), True),
        (decorated(async_function), False),
        (CallableObject(), True),
        (handle_bare, False),
        (lambda event: None, False),
        (functools.partial(handle_bare), False),
    ],
)
def test_a_handler_is_async_if_calling_it_gives_a_coroutine(function, is_async):
    assert is_async == handler_of(function, "a").is_async


def test_a_function_without_a_readable_signature_is_refused():
    class Opaque:
        __signature__ = "nonsense"

        def __call__(self, event): ...

    with pytest.raises(DiscoveryError, match="cannot read its signature"):
        handler_of(Opaque(), "a")


def test_two_parameters_for_the_event_are_refused():
    with pytest.raises(DiscoveryError, match="only one parameter may take the event"):
        handler_of(lambda a, b: None, "a")


@dataclass
class Basket:
    orders: list[OrderModel]


@pytest.mark.parametrize(
    ("hint", "data", "made"),
    [
        (list[OrderModel], [{"id": 7}], [OrderModel(id=7)]),
        (OrderModel | None, {"id": 7}, OrderModel(id=7)),
        (OrderModel | None, None, None),
        (dict[str, OrderModel], {"a": {"id": 7}}, {"a": OrderModel(id=7)}),
        (Basket, {"orders": [{"id": 7}]}, Basket([OrderModel(id=7)])),
        (dict[int, str], {"7": "a"}, {7: "a"}),
    ],
)
def test_pydantic_models_are_validated_inside_other_types(hint, data, made):
    async def handle(value):
        seen.append(value)

    seen = []
    handle.__annotations__ = {"value": hint}
    handler = handler_of(handle, "a")
    asyncio.run(handler.call(event(data), FIRST_DELIVERY))
    assert [made] == seen
    if data is not None:
        with pytest.raises(InvalidEventError):
            handler.call(event({"no": "thing"}), FIRST_DELIVERY)


def test_a_nested_type_that_cannot_be_validated_is_refused():
    async def handle(value: "list[dict[str, types.ModuleType]]"): ...

    with pytest.raises(DiscoveryError, match="cannot convert event data to module"):
        handler_of(handle, "a")


def test_an_optional_event_annotation_gets_the_event():
    async def handle(event: Event | None):
        seen.append(event)

    seen = []
    asyncio.run(handler_of(handle, "a").call(event(7), FIRST_DELIVERY))
    assert 7 == seen[0].data

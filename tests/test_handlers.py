"""Handlers are found wherever a class may hide them, and called with what they ask for."""

import asyncio
import functools
import types
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pydantic
import pytest
from typing_extensions import TypedDict

from evmon import (
    ConfigError,
    Delivery,
    DiscoveryError,
    Event,
    InvalidEventError,
    RetryPolicy,
    event_handler,
)
from evmon._events import now
from evmon._handlers import bind, check_pattern, handler_of, scan
from evmon._signatures import FIRST_DELIVERY


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


def found(provider):
    return [(spec.attribute, spec.declaration.pattern) for spec in scan(provider)]


def decorated(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


def test_methods_of_an_instance_and_of_its_class_are_found():
    class Orders:
        @event_handler("order.created")
        async def created(self, event): ...

        def other(self): ...

    assert found(Orders()) == [("created", "order.created")]
    assert found(Orders) == [("created", "order.created")]


def test_inherited_methods_are_found_and_overridden_ones_are_not():
    class Base:
        @event_handler("a")
        def first(self, event): ...

        @event_handler("b")
        def second(self, event): ...

    class Child(Base):
        def second(self, event): ...

        @event_handler("c")
        def third(self, event): ...

    assert {("first", "a"), ("third", "c")} == set(found(Child()))


def test_static_and_class_methods_are_found_whichever_decorator_is_outside():
    class Orders:
        @staticmethod
        @event_handler("a")
        def one(event): ...

        @event_handler("b")
        @staticmethod
        def two(event): ...

        @classmethod
        @event_handler("c")
        def three(cls, event): ...

        @event_handler("d")
        @classmethod
        def four(cls, event): ...

    assert [pattern for _, pattern in found(Orders())] == ["a", "b", "c", "d"]
    for spec in scan(Orders()):
        bind(Orders(), spec).call(event(), FIRST_DELIVERY)
        bind(Orders, spec).call(event(), FIRST_DELIVERY)


def test_declarations_below_wrappers_are_found():
    class Orders:
        @decorated
        @decorated
        @event_handler("order.created")
        def created(self, event):
            return "created"

        @functools.lru_cache  # noqa: B019
        @event_handler("order.seen")
        def seen(self, event): ...

    provider = Orders()

    assert [p for _, p in found(provider)] == ["order.created", "order.seen"]
    assert bind(provider, scan(provider)[0]).call(event(), FIRST_DELIVERY) == "created"


def test_several_declarations_on_one_function_count_each():
    @event_handler("a")
    @event_handler("b")
    def handle(event): ...

    assert found(handle) == [(None, "a"), (None, "b")]


def test_properties_and_descriptors_are_never_triggered():
    class Trap:
        def __get__(self, instance, owner):
            raise AssertionError("triggered")

    class Orders:
        trap = Trap()

        @property
        def expensive(self):
            raise AssertionError("triggered")

        @functools.cached_property
        def cached(self):
            raise AssertionError("triggered")

        def __getattr__(self, name):
            raise AssertionError("triggered")

        @event_handler("a")
        def handle(self, event): ...

    assert found(Orders()) == [("handle", "a")]


def test_what_an_instance_carries_itself_is_found():
    class Holder: ...

    holder = Holder()
    holder.handle = event_handler("a")(lambda event: "handled")

    (spec,) = scan(holder)

    assert bind(holder, spec).call(event(), FIRST_DELIVERY) == "handled"


def test_a_module_gives_its_own_functions_only():
    module = types.ModuleType("shop")
    exec(
        "from evmon import event_handler\n"
        "@event_handler('a')\n"
        "async def own(event): ...\n"
        "class Orders:\n"
        "    @event_handler('b')\n"
        "    def handle(self, event): ...\n",
        module.__dict__,
    )
    module.imported = event_handler("c")(lambda event: None)

    assert found(module) == [("own", "a")]


@pytest.mark.parametrize(
    "provider", [None, 7, "text", object(), [], type, len, Exception()]
)
def test_anything_may_be_looked_at(provider):
    assert scan(provider) == ()


def test_slots_without_dict_are_looked_at():
    class Slots:
        __slots__ = ()

        @event_handler("a")
        def handle(self, event): ...

    assert found(Slots()) == [("handle", "a")]


def test_a_loop_of_wrappers_ends():
    def one(event): ...

    def two(event): ...

    one.__wrapped__ = two
    two.__wrapped__ = one

    class Orders:
        handle = one

    assert found(Orders()) == []


def test_the_metadata_holds_no_reference_to_its_provider():
    class Orders:
        @event_handler("a")
        def handle(self, event): ...

    provider = Orders()

    assert provider not in [getattr(s, "attribute", None) for s in scan(provider)]
    assert all(isinstance(s.attribute, str) for s in scan(provider))


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
def test_parameters_are_given_what_their_annotation_asks_for(function, expected):
    handler = handler_of(function, "order.*")

    assert expected == handler.call(event({"id": 7}), FIRST_DELIVERY)


@pytest.mark.parametrize(
    "function",
    [
        *(handle_event, handle_any, handle_bare, handle_args, handle_kwargs),
        *(handle_object, handle_event_of_object),
    ],
)
def test_a_parameter_for_the_event_gets_the_very_event(function):
    sent = event({"id": 7})

    assert sent is handler_of(function, "a").call(sent, FIRST_DELIVERY)


@pytest.mark.parametrize(
    "kind", [OrderClass, OrderDict, OrderModel, OrderPydanticClass, int, list[int]]
)
def test_data_that_does_not_fit_is_a_permanent_failure(kind):
    def handle(data): ...

    handle.__annotations__["data"] = kind
    handler = handler_of(handle, "a")

    with pytest.raises(InvalidEventError) as caught:
        handler.call(event({"id": "seven", "x": [None]}), FIRST_DELIVERY)

    assert caught.value.reason == "invalid_data"
    assert "\n" not in str(caught.value)


def handle_many(events: list[Event]):
    return events


def handle_many_any(events: Sequence[Event[Any]]):
    return events


def handle_many_typed(events: list[Event[OrderClass]]):
    return [e.data for e in events]


@pytest.mark.parametrize("function", [handle_many, handle_many_any])
def test_a_list_of_events_asks_for_many_in_one_call(function):
    handler = handler_of(function, "a")
    sent = [event(1), event(2)]

    assert sent == handler.call_many(sent)
    assert [sent[0]] == handler.call(sent[0], FIRST_DELIVERY)


def test_the_data_of_each_of_many_is_validated():
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
        (handle_unresolved, "cannot resolve its annotations"),
    ],
)
def test_a_signature_that_no_event_can_fill_is_refused(function, message):
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
        (decorated(async_function), True),
        (CallableObject(), True),
        (handle_bare, False),
        (lambda event: None, False),
        (functools.partial(handle_bare), False),
    ],
)
def test_coroutine_functions_are_known_through_what_wraps_them(function, is_async):
    assert is_async == handler_of(function, "a").is_async


def test_bound_methods_are_called_on_their_instance():
    class Orders:
        async def handle(self, event: Event): ...

    handler = handler_of(Orders().handle, "a", RetryPolicy(max_retries=9))

    assert handler.is_async
    assert handler.retry.max_retries == 9
    assert handler.name.endswith("Orders.handle")


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (handle_bare, f"{__name__}.handle_bare"),
        (functools.partial(handle_bare), f"{__name__}.handle_bare"),
        (functools.partial(functools.partial(handle_bare)), f"{__name__}.handle_bare"),
        (CallableObject(), f"{__name__}.CallableObject"),
        ([].append, "list.append"),
    ],
)
def test_a_handler_is_named_after_its_module_and_function(function, name):
    assert handler_of(function, "a").name.replace("builtins.", "") == name


@pytest.mark.parametrize(
    "pattern", ["a", "a.b", "*", "**", "a.*", "a.**", "*.b.*", "*.**"]
)
def test_patterns_are_words_and_stars(pattern):
    assert pattern == check_pattern(pattern)


@pytest.mark.parametrize(
    "pattern", ["", ".", "a.", "**.a", "a.**.b", "a*", "a b", "***", None, 7, "a\n"]
)
def test_anything_else_is_refused_where_it_is_written(pattern):
    with pytest.raises(ConfigError, match="must be words joined by dots"):
        event_handler(pattern)


def test_a_pattern_that_is_left_out_is_told():
    with pytest.raises(ConfigError, match="needs a pattern"):

        @event_handler
        async def handle(event): ...


def test_a_retry_that_is_no_policy_is_refused_where_it_is_written():
    with pytest.raises(ConfigError, match=r"retry=5: must be a RetryPolicy"):
        event_handler("a", retry=5)
    with pytest.raises(ConfigError, match=r"retry=5: must be a RetryPolicy"):
        handler_of(handle_bare, "a", 5)


def test_only_functions_can_be_declared():
    with pytest.raises(ConfigError, match="must decorate a function"):
        event_handler("a")(7)


def test_a_builtin_takes_the_event():
    seen = []
    event = Event(id="1", source="test", type="a", time=now())

    handler_of(seen.append, "a").call(event, FIRST_DELIVERY)

    assert seen == [event]


def test_a_function_that_says_nothing_of_itself_is_refused():
    class Opaque:
        __signature__ = "nonsense"

        def __call__(self, event): ...

    with pytest.raises(DiscoveryError, match="cannot read its signature"):
        handler_of(Opaque(), "a")


def test_a_plain_wrapper_of_a_coroutine_function_is_awaited_if_there_is_something_to():
    async def inner(event):
        seen.append(event.id)

    @functools.wraps(inner)
    def returns_it(event):
        return inner(event)

    @functools.wraps(inner)
    def runs_it_itself(event):
        seen.append("alone")

    seen = []
    for function in (returns_it, runs_it_itself):
        handler = handler_of(function, "a")
        assert handler.is_async
        asyncio.run(handler.call(event(), FIRST_DELIVERY))
    assert ["1", "alone"] == seen


def test_only_one_parameter_takes_the_event():
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
def test_models_may_stand_inside_of_other_types(hint, data, made):
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


def test_what_cannot_be_made_is_refused_however_deep_it_stands():
    async def handle(value: "list[dict[str, types.ModuleType]]"): ...

    with pytest.raises(DiscoveryError, match="cannot convert event data to module"):
        handler_of(handle, "a")


def test_an_event_that_may_be_missing_is_an_event():
    async def handle(event: Event | None):
        seen.append(event)

    seen = []
    asyncio.run(handler_of(handle, "a").call(event(7), FIRST_DELIVERY))
    assert 7 == seen[0].data


def test_a_class_is_no_handler():
    with pytest.raises(ConfigError, match="must decorate a function"):

        @event_handler("a")
        class Orders: ...


def test_a_partial_of_a_declared_function_is_declared():
    @event_handler("a")
    async def handle(suffix, event): ...

    assert [(None, "a")] == found(functools.partial(handle, "x"))

"""Finding decorated handlers in classes, instances and modules, and binding them."""

import functools
import types

import pytest

from evmon import ConfigError, Event, RetryPolicy, event_handler
from evmon._events import FIRST_DELIVERY, now
from evmon._handlers.handlers import bind, check_pattern, handler_of, scan


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

    assert [("created", "order.created")] == found(Orders())
    assert [("created", "order.created")] == found(Orders)


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


def test_static_and_class_methods_are_found_in_either_order_of_decorators():
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

    assert ["a", "b", "c", "d"] == [pattern for _, pattern in found(Orders())]
    for spec in scan(Orders()):
        bind(Orders(), spec).call(event(), FIRST_DELIVERY)
        bind(Orders, spec).call(event(), FIRST_DELIVERY)


def test_handlers_inside_wrappers_are_found():
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

    assert ["order.created", "order.seen"] == [p for _, p in found(provider)]
    assert "created" == bind(provider, scan(provider)[0]).call(event(), FIRST_DELIVERY)


def test_a_function_decorated_twice_has_two_patterns():
    @event_handler("a")
    @event_handler("b")
    def handle(event): ...

    assert [(None, "a"), (None, "b")] == found(handle)


def test_properties_and_descriptors_are_not_evaluated():
    class Trap:
        def __get__(self, instance, owner):
            raise AssertionError("evaluated")

    class Orders:
        trap = Trap()

        @property
        def expensive(self):
            raise AssertionError("evaluated")

        @functools.cached_property
        def cached(self):
            raise AssertionError("evaluated")

        def __getattr__(self, name):
            raise AssertionError("evaluated")

        @event_handler("a")
        def handle(self, event): ...

    assert [("handle", "a")] == found(Orders())


def test_handlers_in_attributes_of_an_instance_are_found():
    class Holder: ...

    holder = Holder()
    holder.handle = event_handler("a")(lambda event: "handled")

    (spec,) = scan(holder)

    assert "handled" == bind(holder, spec).call(event(), FIRST_DELIVERY)


def test_only_functions_defined_in_a_module_are_found_in_it():
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

    assert [("own", "a")] == found(module)


@pytest.mark.parametrize(
    "provider", [None, 7, "text", object(), [], type, len, Exception()]
)
def test_objects_without_handlers_are_scanned_without_error(provider):
    assert () == scan(provider)


def test_instances_without_dict_are_scanned():
    class Slots:
        __slots__ = ()

        @event_handler("a")
        def handle(self, event): ...

    assert [("handle", "a")] == found(Slots())


def test_functions_that_wrap_each_other_are_scanned_once():
    def one(event): ...

    def two(event): ...

    one.__wrapped__ = two
    two.__wrapped__ = one

    class Orders:
        handle = one

    assert [] == found(Orders())


def test_metadata_holds_no_reference_to_its_provider():
    class Orders:
        @event_handler("a")
        def handle(self, event): ...

    provider = Orders()

    assert provider not in [getattr(s, "attribute", None) for s in scan(provider)]
    assert all(isinstance(s.attribute, str) for s in scan(provider))


def handle_bare(e):
    return e


class CallableObject:
    async def __call__(self, event): ...


def test_a_bound_method_is_a_handler_with_the_given_retry_policy():
    class Orders:
        async def handle(self, event: Event): ...

    handler = handler_of(Orders().handle, "a", RetryPolicy(max_retries=9))

    assert handler.is_async
    assert 9 == handler.retry.max_retries
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
def test_patterns_of_words_and_wildcards_are_accepted(pattern):
    assert pattern == check_pattern(pattern)


@pytest.mark.parametrize(
    "pattern", ["", ".", "a.", "**.a", "a.**.b", "a*", "a b", "***", None, 7, "a\n"]
)
def test_other_patterns_are_refused_by_the_decorator(pattern):
    with pytest.raises(ConfigError, match="must be words joined by dots"):
        event_handler(pattern)


def test_the_decorator_without_a_pattern_is_refused():
    with pytest.raises(ConfigError, match="needs a pattern"):

        @event_handler
        async def handle(event): ...


def test_a_retry_that_is_no_policy_is_refused_by_the_decorator():
    with pytest.raises(ConfigError, match=r"retry=5: must be a RetryPolicy"):
        event_handler("a", retry=5)
    with pytest.raises(ConfigError, match=r"retry=5: must be a RetryPolicy"):
        handler_of(handle_bare, "a", 5)


def test_the_decorator_refuses_what_is_not_callable():
    with pytest.raises(ConfigError, match="must decorate a function"):
        event_handler("a")(7)


def test_a_builtin_function_gets_the_event():
    seen = []
    event = Event(id="1", source="test", type="a", time=now())

    handler_of(seen.append, "a").call(event, FIRST_DELIVERY)

    assert [event] == seen


def test_the_decorator_refuses_a_class():
    with pytest.raises(ConfigError, match="must decorate a function"):

        @event_handler("a")
        class Orders: ...


def test_a_partial_of_a_decorated_function_is_found():
    @event_handler("a")
    async def handle(suffix, event): ...

    assert [(None, "a")] == found(functools.partial(handle, "x"))

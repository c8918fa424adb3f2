"""Each annotation of a handler is resolved alone, in the class that it is bound to."""

import functools
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pytest

from evmon import DiscoveryError, Event
from evmon._handlers.annotations import parameter_hints

if TYPE_CHECKING:
    from somewhere import Missing

T = TypeVar("T")
S = TypeVar("S")


class Order: ...


class Base(Generic[T]):
    def created(self, data: T): ...

    def event(self, event: Event[T]): ...

    def many(self, events: "list[Event[T]]"): ...


class Orders(Base[Order]): ...


class Middle(Base[list[S]], Generic[S]): ...


class Nested(Middle[Order]): ...


class StillGeneric(Base[Order], Generic[T]):
    def own(self, data: T): ...


class Concrete(StillGeneric[int]): ...


@pytest.mark.parametrize(
    ("function", "hint"),
    [
        (Orders().created, Order),
        (Orders().event, Event[Order]),
        (Orders().many, list[Event[Order]]),
        (Nested().created, list[Order]),
        (Base[Order]().created, Order),
        (Middle[Order]().created, list[Order]),
        (Concrete().created, Order),
        (Concrete().own, int),
        (functools.partial(Orders().created), Order),
        (Base().created, T),
    ],
)
def test_a_type_variable_is_what_the_class_of_the_instance_gives(function, hint):
    assert [hint] == parameter_hints(function, "handler")


def returns_missing(event: Event) -> "Missing": ...


def unused_default_missing(event: Event, unused: "Missing" = None): ...


def keywords_missing(event: Event, **kwargs: "Missing"): ...


@pytest.mark.parametrize(
    "function", [returns_missing, unused_default_missing, keywords_missing]
)
def test_an_annotation_that_is_not_needed_is_not_resolved(function):
    assert [Event] == parameter_hints(function, "handler")


def test_an_annotation_that_is_needed_must_resolve():
    def created(event: "Missing"): ...

    with pytest.raises(
        DiscoveryError, match="cannot resolve the annotation of 'event'"
    ):
        parameter_hints(created, "handler")


def test_an_annotation_of_a_wrapper_is_that_of_the_wrapped_function():
    def created(data: "Order"): ...

    @functools.wraps(created)
    def wrapper(*args: Any): ...

    assert [Order] == parameter_hints(wrapper, "handler")

"""Data is validated as the type that a handler asks for, constraints included."""

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import annotated_types
import msgspec
import pydantic
import pytest
from typing_extensions import TypedDict

from evmon import DiscoveryError, Event, InvalidEventError
from evmon._events import FIRST_DELIVERY, decode, encode, now
from evmon._handlers.conversion import converter
from evmon._handlers.handlers import handler_of
from evmon.testing import make_event

Positive = Annotated[int, msgspec.Meta(gt=0)]
FieldPositive = Annotated[int, pydantic.Field(gt=0)]


@dataclass
class OrderClass:
    quantity: pydantic.PositiveInt


class OrderDict(TypedDict):
    quantity: FieldPositive


class OrderTuple(NamedTuple):
    quantity: Annotated[int, annotated_types.Gt(0)]


class OrderStruct(msgspec.Struct):
    quantity: Positive


@pytest.mark.parametrize(
    ("hint", "good", "bad"),
    [
        (Positive, 5, -5),
        (pydantic.PositiveInt, 5, -5),
        (FieldPositive, 5, -5),
        (Annotated[int, annotated_types.Gt(0)], 5, -5),
        (list[Positive], [5], [5, -5]),
        (list[pydantic.PositiveInt], [5], [5, -5]),
        (dict[str, FieldPositive], {"a": 5}, {"a": -5}),
        (pydantic.PositiveInt | None, None, -5),
        (OrderClass, {"quantity": 5}, {"quantity": -5}),
        (OrderDict, {"quantity": 5}, {"quantity": -5}),
        (OrderTuple, [5], [-5]),
        (OrderStruct, {"quantity": 5}, {"quantity": -5}),
        (list[OrderClass], [{"quantity": 5}], [{"quantity": -5}]),
    ],
)
def test_a_constraint_on_a_parameter_is_checked(hint, good, bad):
    convert = converter(hint, "handler")

    convert(good)

    with pytest.raises(InvalidEventError, match="data is not a"):
        convert(bad)


def test_a_constraint_inside_of_an_event_is_checked():
    def created(event: Event[pydantic.PositiveInt]): ...

    handler = handler_of(created, "a")
    event = Event(id="1", source="shop", type="a", time=now(), data=-5)

    with pytest.raises(InvalidEventError, match="greater than 0"):
        handler.call(event, FIRST_DELIVERY)


class Model(pydantic.BaseModel):
    id: int


@dataclass
class Label:
    raw: bytes


class Parcel(TypedDict):
    order: Model
    label: Label


def test_bytes_of_a_class_beside_a_model_arrive_as_published():
    parcel = {"order": Model(id=7), "label": Label(b"\x80")}
    sent = decode(encode(make_event("a", parcel))).data

    assert parcel == converter(Parcel, "handler")(sent)


def test_metadata_that_is_no_constraint_is_ignored():
    assert 5 == converter(Annotated[int, "how many"], "handler")(5)


def test_a_constraint_that_msgspec_cannot_check_is_refused():
    class Mixed(msgspec.Struct):
        quantity: pydantic.PositiveInt

    with pytest.raises(DiscoveryError, match=r"use msgspec\.Meta"):
        converter(Mixed, "handler")

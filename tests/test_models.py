"""Data with pydantic types becomes JSON that validates again."""

from dataclasses import dataclass
from datetime import datetime, timezone

import msgspec
import pydantic
import pytest

from evmon._events import Event, decode_data, encode
from evmon._handlers.conversion import converter
from evmon._models import as_dumped, dump_model


@dataclass
class Order:
    id: int


@pydantic.dataclasses.dataclass
class Address:
    city: str = pydantic.Field(alias="cityName")


class Both(pydantic.BaseModel):
    id: int = pydantic.Field(
        validation_alias=pydantic.AliasChoices("a", "b"), serialization_alias="b"
    )


def test_only_a_dataclass_that_pydantic_validates_is_dumped():
    order = Order(7)

    assert order is as_dumped(order)
    assert {"cityName": "Rome"} == as_dumped(Address(cityName="Rome"))


def test_a_model_is_dumped_by_a_name_that_it_validates():
    assert {"b": 7} == dump_model(Both(a=7))


def test_what_is_no_model_is_refused():
    with pytest.raises(TypeError, match="type object is not supported"):
        dump_model(object())


@pydantic.dataclasses.dataclass
class Stop:
    both: Both
    id: int = pydantic.Field(
        validation_alias=pydantic.AliasChoices("idA", "idB"), serialization_alias="idB"
    )


class Line(msgspec.Struct):
    id: int


STOP = Stop(both=Both(a=1), idA=2)


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (Stop, STOP),
        (list[Stop], [STOP]),
        (tuple[int, Stop], (1, STOP)),
        (dict[str, Stop], {"first": STOP}),
        (dict[str, list[Stop]], {"first": [STOP]}),
        (tuple[Stop, Line], (STOP, Line(1))),
    ],
)
def test_dataclasses_in_containers_validate_by_their_aliases(hint, value):
    now = datetime(2030, 1, 1, tzinfo=timezone.utc)
    raw = encode(Event(id="1", source="shop", type="a", time=now, data=value))

    assert value == converter(hint, "handler")(decode_data(raw))


def test_data_without_dataclasses_is_not_copied():
    data = {"orders": [{"id": 7}, (1, 2)], "tags": {"new"}}

    assert data is as_dumped(data)

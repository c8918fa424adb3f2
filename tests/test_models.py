"""Data with pydantic types becomes JSON that validates again."""

from dataclasses import dataclass

import pydantic
import pytest

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

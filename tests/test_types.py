"""The types inside a type."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import pydantic

from evmon._types import needs_pydantic, parts_of


class Order(pydantic.BaseModel):
    at: dt.date
    parent: Order | None = None


@dataclass
class Box:
    orders: list[Order]
    boxes: list[Box]


def test_the_types_inside_models_are_left_to_pydantic():
    assert Order in parts_of(Box)
    assert dt.date not in parts_of(Box)
    assert dt.date in parts_of(Box, of_models=True)


def test_a_type_that_holds_itself_is_looked_into_once():
    assert 1 == list(parts_of(Box, of_models=True)).count(Box)


def test_pydantic_must_validate_its_constraints_and_dataclasses():
    by_pydantic = pydantic.dataclasses.dataclass(type("Label", (), {}))

    assert not needs_pydantic(list(parts_of(Box)))
    assert needs_pydantic(list(parts_of(list[pydantic.PositiveInt])))
    assert needs_pydantic(list(parts_of(list[by_pydantic])))

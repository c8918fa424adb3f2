"""Data with pydantic types as JSON that validates again as these types."""

import dataclasses
import functools
import operator
from collections.abc import Callable, Collection
from typing import Any, Final

from evmon._types import (
    is_msgspec,
    is_pydantic,
    needs_pydantic,
    parts_of,
    pydantic_fields,
)

_JSON_SCALARS: Final = frozenset({str, int, float, bool, type(None)})
_ARRAYS: Final = frozenset({list, tuple, set, frozenset})


def dump_model(value: Any) -> Any:
    """Convert what msgspec does not support: pydantic models.

    As the model is validated again: without computed fields, and by the names that its
    validation accepts.

    Raises:
        TypeError: it is no model.
    """
    dump = getattr(value, "model_dump", None)
    if dump is None:
        raise TypeError(f"type {type(value).__qualname__} is not supported")
    by_alias = _validates_by_alias(type(value))  # type: ignore[arg-type]
    return dump(mode="json", by_alias=by_alias, round_trip=True)


def as_dumped(data: Any) -> Any:
    """Dataclasses that pydantic validates as their JSON data; other data as it is.

    msgspec would encode them by names and formats that pydantic does not validate.
    """
    kind = type(data)
    if kind in _JSON_SCALARS:
        return data
    if kind is dict:
        values = _all_dumped(data.values())
        return data if values is None else dict(zip(data, values, strict=True))
    if kind in _ARRAYS:
        values = _all_dumped(data)
        return data if values is None else values
    dump = _dump_of(kind)
    return data if dump is None else dump(data)


def _all_dumped(values: Collection[Any]) -> list[Any] | None:
    """Values as they are dumped, or None if dumping changes none."""
    dumped = [as_dumped(value) for value in values]
    if not any(map(operator.is_not, values, dumped)):
        return None
    # Beside a struct, msgspec validates the dataclasses, too, and as it encodes them.
    return None if any(is_msgspec(type(value)) for value in values) else dumped


@functools.lru_cache(maxsize=1024)
def _dump_of(kind: Any) -> Callable[[Any], Any] | None:
    if not dataclasses.is_dataclass(kind):
        return None
    parts = list(parts_of(kind))
    if any(map(is_msgspec, parts)) or not needs_pydantic(parts):
        return None
    from pydantic import TypeAdapter

    by_alias = _validates_by_alias(kind)  # type: ignore[arg-type]
    dump = TypeAdapter(kind).dump_python
    return functools.partial(dump, mode="json", by_alias=by_alias, round_trip=True)


@functools.lru_cache(maxsize=1024)
def _validates_by_alias(kind: Any) -> bool:
    """Whether the names of serialization aliases validate, those of models inside too.

    pydantic dumps a model and those inside it either by their aliases or by their names.
    """
    parts = parts_of(kind, of_models=True)
    return all(_accepts_aliases(part) for part in parts if is_pydantic(part))


def _accepts_aliases(kind: Any) -> bool:
    is_model = hasattr(kind, "model_config")
    config = kind.model_config if is_model else kind.__pydantic_config__
    by_name = config.get("populate_by_name") or config.get("validate_by_name")
    for name, field in pydantic_fields(kind).items():
        if field.serialization_alias in (None, name, field.validation_alias):
            continue
        choices = getattr(field.validation_alias, "choices", (field.validation_alias,))
        if field.serialization_alias not in choices:
            return not (by_name or name in choices or None in choices)
    return True

"""The types inside a type, and the libraries that define them."""

import dataclasses
import typing
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, get_args, get_origin

import msgspec


def parts_of(hint: Any, *, of_models: bool = False) -> Iterator[Any]:
    """A type, the types inside it, and the metadata of `Annotated`.

    Args:
        hint: the type.
        of_models: whether to look inside pydantic models and dataclasses, too.
    """
    return _parts(hint, {}, of_models=of_models)


def is_pydantic(part: Any) -> bool:
    """Whether it is a pydantic model or dataclass."""
    return isinstance(part, type) and hasattr(part, "__pydantic_validator__")


def needs_pydantic(parts: Sequence[Any]) -> bool:
    """Whether msgspec cannot validate these types, even if models inside are left out.

    Models can be: msgspec passes them on.
    """
    return any(
        is_constraint(part) or (is_pydantic(part) and dataclasses.is_dataclass(part))
        for part in parts
    )


def is_msgspec(part: Any) -> bool:
    """Whether it is a msgspec struct or constraint."""
    struct = isinstance(part, type) and issubclass(part, msgspec.Struct)
    return struct or isinstance(part, msgspec.Meta)


def is_constraint(part: Any) -> bool:
    """Whether it is metadata by which pydantic validates."""
    if isinstance(part, type):
        return False
    module = type(part).__module__.partition(".")[0]
    return module in ("pydantic", "annotated_types") or hasattr(
        part, "__get_pydantic_core_schema__"
    )


def pydantic_fields(kind: type) -> dict[str, Any]:
    """The fields of a pydantic model or dataclass by name."""
    fields: dict[str, Any] = kind.__pydantic_fields__  # type: ignore[attr-defined]
    return fields


def _parts(hint: Any, seen: dict[int, Any], *, of_models: bool) -> Iterator[Any]:
    if id(hint) in seen:
        return
    seen[id(hint)] = hint  # kept, so that no other type gets its id
    yield hint
    for part in _inside(hint, of_models=of_models):
        yield from _parts(part, seen, of_models=of_models)


def _inside(hint: Any, *, of_models: bool) -> Iterator[Any]:
    if get_origin(hint) is Annotated:
        yield from hint.__metadata__
    yield from get_args(hint)
    alias = getattr(hint, "__value__", None)  # a `type` statement
    if alias is not None:
        yield alias
    origin = get_origin(hint) or hint
    if is_pydantic(origin):
        fields = pydantic_fields(origin) if of_models else {}
        yield from (field.annotation for field in fields.values())
    elif isinstance(origin, type) and _has_fields(origin):
        try:
            hints = typing.get_type_hints(origin, include_extras=True)
        except Exception:  # noqa: BLE001 - whoever converts the type reports it
            return
        yield from hints.values()


def _has_fields(kind: type) -> bool:
    """Whether the annotations of a class are its fields."""
    return (
        dataclasses.is_dataclass(kind)
        or issubclass(kind, msgspec.Struct)
        or hasattr(kind, "__total__")  # TypedDict
        or hasattr(kind, "_fields")  # NamedTuple
        or hasattr(kind, "__attrs_attrs__")
    )

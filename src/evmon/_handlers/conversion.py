"""Conversion: from the decoded JSON of an event to the type that a handler asks for."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from evmon._types import (
    is_constraint,
    is_msgspec,
    is_pydantic,
    needs_pydantic,
    parts_of,
)
from evmon.errors import DiscoveryError, InvalidEventError

Convert = Callable[[Any], Any]


def converter(hint: Any, name: str) -> Convert:
    """A function that validates data as a type, or raises `InvalidEventError`.

    pydantic converts what holds a pydantic type or constraint, in its JSON mode, since
    that is what the data was; msgspec converts the rest.

    Args:
        hint: the annotation.
        name: name of the handler, for messages.

    Raises:
        DiscoveryError: no event data can be converted to this type.
    """
    validate = _validator(hint, name)

    def convert(data: Any) -> Any:
        try:
            return validate(data)
        except (ValueError, TypeError, RecursionError) as error:
            kind = getattr(hint, "__name__", str(hint))
            reason = " ".join(str(error).split())
            raise InvalidEventError(
                "invalid_data", f"data is not a {kind}: {reason:.500}"
            ) from error

    return convert


def _validator(hint: Any, name: str) -> Convert:
    parts = list(parts_of(hint))
    constraint = next((part for part in parts if is_constraint(part)), None)
    # Bytes beside models are msgspec's, which writes them as base64; pydantic as text.
    by_pydantic = needs_pydantic(parts) or (
        any(map(is_pydantic, parts)) and bytes not in parts
    )
    if by_pydantic and not any(map(is_msgspec, parts)):
        try:
            return _pydantic(hint)
        except Exception as error:
            if constraint is not None:
                raise DiscoveryError(
                    f"{name}: {hint!r} is not a data type: {error}"
                ) from error
    elif constraint is not None:
        raise DiscoveryError(
            f"{name}: {hint!r} mixes msgspec types with {constraint!r}, which msgspec"
            " does not check; use msgspec.Meta"
        )
    _check_convertible(hint, name)
    return functools.partial(
        msgspec.convert, type=hint, dec_hook=_nested, str_keys=True
    )


def _pydantic(hint: Any) -> Convert:
    from pydantic import TypeAdapter

    validate = TypeAdapter(hint).validator.validate_json
    encode = msgspec.json.encode
    return lambda data: validate(encode(data))


def _nested(kind: Any, data: Any) -> Any:
    """Validate a pydantic type inside of a type that msgspec converts."""
    return kind.__pydantic_validator__.validate_json(msgspec.json.encode(data))


def _check_convertible(hint: Any, name: str) -> None:
    """Refuse a type that cannot be decoded from JSON, before an event arrives."""
    try:
        info = msgspec.inspect.type_info(hint)
    except Exception as error:
        raise DiscoveryError(f"{name}: {hint!r} is not a data type: {error}") from error
    for kind in _custom_types(info, set()):
        if not is_pydantic(kind):
            raise DiscoveryError(
                f"{name}: cannot convert event data to {getattr(kind, '__name__', kind)};"
                " annotate with Event, Delivery, a dataclass, a TypedDict or a pydantic"
                " model"
            )


def _custom_types(info: Any, seen: set[int]) -> Iterator[type]:
    """The types inside a type that msgspec does not support."""
    if id(info) in seen:
        return
    seen.add(id(info))
    if isinstance(info, msgspec.inspect.CustomType):
        yield info.cls
    elif isinstance(info, tuple):
        for part in info:
            yield from _custom_types(part, seen)
    elif isinstance(info, (msgspec.inspect.Type, msgspec.inspect.Field)):
        for part in info.__struct_fields__:
            yield from _custom_types(getattr(info, part), seen)

"""Events in CloudEvents' words, and the way they travel as JSON."""

import itertools
import os
import re
import secrets
import types
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final, Generic, TypeVar

import msgspec

from evmon._settings import at_least, setting, validate
from evmon.errors import InvalidEventError

T = TypeVar("T")

MAX_TYPE_LENGTH: Final = 255
_TYPE: Final = re.compile(r"[^\s.*\x00-\x1f\x7f]+(?:\.[^\s.*\x00-\x1f\x7f]+)*")


class Event(
    msgspec.Struct,
    Generic[T],
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    tag_field="specversion",
    tag="1.0",
):
    """Something that happened; immutable, in the vocabulary of CloudEvents 1.0.

    Attributes:
        id: unique together with `source`; the same on every redelivery.
        source: who says so, usually the service's name.
        type: what happened, words joined by dots: ``order.created``.
        time: when, with a time zone.
        data: what there is to say about it, of JSON types.
        traceparent: W3C trace context of the publisher, if it had one.

    Example:
        >>> Event(id="1", source="shop", type="order.created", time=now(), data=7).data
        7
    """

    id: str
    source: str
    type: str
    time: datetime
    data: T = None  # type: ignore[assignment]
    traceparent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLimits:
    """How large and how deep an event may be.

    Example:
        >>> EventLimits(max_bytes=1024).max_depth
        64
    """

    max_bytes: int = setting(
        262_144, at_least(1), "Bytes of an encoded event at the most (256 KiB)."
    )
    max_depth: int = setting(
        64, at_least(1), "Levels of nested objects and arrays at the most."
    )

    def __post_init__(self) -> None:
        validate(self)


DEFAULT_LIMITS: Final = EventLimits()


def now() -> datetime:
    """The moment, in UTC."""
    return datetime.now(timezone.utc)


def check_type(event_type: str) -> str:
    """Return `event_type` if it can be one.

    Raises:
        InvalidEventError: empty, too long, or not words joined by dots.
    """
    if isinstance(event_type, str) and event_type in _known_types:
        return event_type
    if (
        not isinstance(event_type, str)
        or len(event_type) > MAX_TYPE_LENGTH
        or not _TYPE.fullmatch(event_type)
        or not event_type.isprintable()
    ):
        raise InvalidEventError(
            "decode_error",
            f"type {event_type!r:.80} must be printable words joined by dots,"
            f" without spaces or '*', {MAX_TYPE_LENGTH} characters at most",
        )
    if len(_known_types) < _MAX_KNOWN_TYPES:
        _known_types.add(event_type)
    return event_type


def check_event(event: "Event[Any]") -> "Event[Any]":
    """Return `event` if its attributes are what CloudEvents 1.0 asks for.

    Raises:
        InvalidEventError: names the attribute, its value and what it must be.
    """
    check_type(event.type)
    for name, value in (("id", event.id), ("source", event.source)):
        if not isinstance(value, str) or not value:
            raise InvalidEventError(
                "decode_error", f"{name} {value!r:.80} must be a string, not empty"
            )
    if not isinstance(event.time, datetime) or event.time.tzinfo is None:
        raise InvalidEventError(
            "decode_error",
            f"time {event.time!r:.80} must be a datetime with a time zone",
        )
    if not isinstance(event.traceparent, (str, types.NoneType)):
        raise InvalidEventError(
            "decode_error", f"traceparent {event.traceparent!r:.80} must be a string"
        )
    return event


def encode(event: "Event[Any]", limits: EventLimits = DEFAULT_LIMITS) -> bytes:
    """The event in CloudEvents' JSON format.

    Raises:
        InvalidEventError: it is too large, too deep, or holds what JSON cannot.
    """
    try:
        raw = _encode(event)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidEventError(
            "decode_error", f"{event.type} cannot be JSON: {error}"
        ) from error
    _check_limits(raw, limits)
    return raw


def decode(raw: bytes, limits: EventLimits = DEFAULT_LIMITS) -> "Event[Any]":
    """Read an event that somebody else wrote.

    Raises:
        InvalidEventError: with the reason; never anything else, whatever the bytes.
    """
    _check_limits(raw, limits)
    try:
        event = _decode(raw)
    except (ValueError, RecursionError) as error:
        raise InvalidEventError("decode_error", f"not an event: {error}") from error
    check_type(event.type)
    return event


def new_id() -> str:
    """A new event id: unique over processes, and quick to make.

    A random prefix for each process (renewed after a fork) and a running number.
    """
    return f"{_prefix}-{next(_numbers):x}"


def _plain(value: Any) -> Any:
    """What JSON knows, of a pydantic model; msgspec asks for what it does not know."""
    dump = getattr(value, "model_dump", None)
    if dump is None:
        raise TypeError(f"a {type(value).__qualname__} is none of JSON's types")
    return dump(mode="json")


_encode = msgspec.json.Encoder(enc_hook=_plain).encode
_decode = msgspec.json.Decoder(Event[Any]).decode
_MAX_KNOWN_TYPES: Final = 1024
_known_types: set[str] = set()
_numbers = itertools.count(1)
_prefix = ""


def _renew_prefix() -> None:
    global _prefix  # noqa: PLW0603 - one for each process is the point
    _prefix = secrets.token_hex(8)


_renew_prefix()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_prefix)


def _check_limits(raw: bytes, limits: EventLimits) -> None:
    if len(raw) > limits.max_bytes:
        raise InvalidEventError(
            "too_large", f"{len(raw)} bytes, {limits.max_bytes} are allowed"
        )
    # The signs are counted first: a real walk is needed only when they could nest.
    if raw.count(b"[") + raw.count(b"{") > limits.max_depth:
        depth = _depth(raw)
        if depth > limits.max_depth:
            raise InvalidEventError(
                "too_deep", f"nested {depth} levels, {limits.max_depth} are allowed"
            )


# It matches at every quote, closed or not: one that could fail would be tried again from
# the next quote on, and take minutes for what a stranger can send.
_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.?)*"?|[\[{]|[\]}]', re.DOTALL)


def _depth(raw: bytes) -> int:
    """How deep brackets nest, strings left aside; without recursion."""
    depth = deepest = 0
    for token in _STRUCTURE.finditer(raw):
        sign = raw[token.start()]
        if sign in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif sign in b"]}":
            depth -= 1
    return deepest

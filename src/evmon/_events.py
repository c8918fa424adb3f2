"""Events with the attributes of CloudEvents 1.0, and their JSON encoding."""

import itertools
import math
import os
import re
import secrets
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final, Generic, TypeVar

import msgspec

from evmon._extensions import (
    DEFINED,
    NO_EXTENSIONS,
    WIRE_NAME,
    check_extensions,
    merged,
)
from evmon._models import as_dumped, dump_model
from evmon._settings.configs import DEFAULT_LIMITS, EventLimits
from evmon.errors import InvalidEventError

T = TypeVar("T")

MAX_TYPE_LENGTH: Final = 255
_TYPE: Final = re.compile(r"[^\s.*\x00-\x1f\x7f]+(?:\.[^\s.*\x00-\x1f\x7f]+)*")
_TRACE_FIELDS: Final = "-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
_TRACEPARENT: Final = re.compile(
    rf"00{_TRACE_FIELDS}|(?!00|ff)[0-9a-f]{{2}}{_TRACE_FIELDS}(?:-[!-~]*)?"
)
"""W3C Trace Context: versions after ``00`` may add fields."""
_EXAMPLE: Final = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Event(
    msgspec.Struct,
    Generic[T],
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    tag_field="specversion",
    tag="1.0",
    # Unknown members are extension attributes, which `decode` keeps.
    forbid_unknown_fields=True,
    rename={"extensions": WIRE_NAME},
):
    """An immutable event with the attributes of the CloudEvents 1.0 specification.

    `data` is decoded once and shared by all handlers of the event: do not mutate it.

    Attributes:
        id: unique together with `source`; the same on every redelivery.
        source: origin of the event, usually the name of the service.
        type: words joined by dots, for example ``order.created``; at most 255
            characters, without spaces or ``*``.
        time: time of the event, with a time zone.
        data: payload of JSON types; None by default.
        traceparent: W3C Trace Context of the publisher; None by default.
        tracestate: the vendors' part of it; None by default.
        subject: subject of the event within `source`; None by default.
        datacontenttype: media type of `data`; None means JSON.
        dataschema: URI of the schema of `data`; None by default.
        extensions: extension attributes by name, for example ``partitionkey``: strings,
            booleans or integers; none by default.

    Example:
        >>> from datetime import datetime, timezone
        >>> now = datetime.now(timezone.utc)
        >>> Event(id="1", source="shop", type="order.created", time=now, data=7).data
        7
    """

    id: str
    source: str
    type: str
    time: datetime
    data: T = None  # type: ignore[assignment]
    traceparent: str | None = None
    tracestate: str | None = None
    subject: str | None = None
    datacontenttype: str | None = None
    dataschema: str | None = None
    extensions: Mapping[str, Any] = NO_EXTENSIONS


@dataclass(frozen=True, slots=True)
class Delivery:
    """How an event was delivered; passed to a parameter that is annotated with it.

    Attributes:
        attempt: number of this call of the handler with this event, from 1.
        redelivered: whether the event was delivered before without being settled, for
            example to a consumer that crashed.

    Example:
        >>> @event_handler("order.created")
        ... async def created(event: Event, delivery: Delivery) -> None:
        ...     if delivery.redelivered:
        ...         await check_not_done(event.id)
    """

    attempt: int = 1
    redelivered: bool = False


FIRST_DELIVERY: Final = Delivery()


class _OnlyData(msgspec.Struct):
    data: Any = None


def now() -> datetime:
    """The current time in UTC."""
    return datetime.now(timezone.utc)


def check_type(event_type: str) -> str:
    """Return `event_type` if it is valid.

    Raises:
        InvalidEventError: the type is empty, too long, or not words joined by dots.
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
            f" without spaces or '*', at most {MAX_TYPE_LENGTH} characters",
        )
    if len(_known_types) < _MAX_KNOWN_TYPES:
        _known_types.add(event_type)
    return event_type


def check_event(event: "Event[Any]") -> "Event[Any]":
    """Return `event` if its attributes are valid by CloudEvents 1.0.

    Raises:
        InvalidEventError: names the attribute, its value and the rule.
    """
    check_type(event.type)
    for name, value in (("id", event.id), ("source", event.source)):
        if not isinstance(value, str) or not value:
            raise InvalidEventError(
                "decode_error", f"{name} {value!r:.80} must be a non-empty string"
            )
    if not isinstance(event.time, datetime) or event.time.tzinfo is None:
        raise InvalidEventError(
            "decode_error",
            f"time {event.time!r:.80} must be a datetime with a time zone",
        )
    trace = event.traceparent
    if trace is not None and not (
        isinstance(trace, str) and _TRACEPARENT.fullmatch(trace)
    ):
        raise InvalidEventError(
            "decode_error",
            f"traceparent {trace!r:.80} must be a W3C traceparent, for example {_EXAMPLE}",
        )
    for name in ("tracestate", "subject", "datacontenttype", "dataschema"):
        value = getattr(event, name)
        if value is not None and not (isinstance(value, str) and value):
            raise InvalidEventError(
                "decode_error", f"{name} {value!r:.80} must be a non-empty string"
            )
    if event.extensions is not NO_EXTENSIONS:
        check_extensions(event.extensions)
    return event


def encode(event: "Event[Any]", limits: EventLimits = DEFAULT_LIMITS) -> bytes:
    """Encode an event in the JSON Event Format of CloudEvents 1.0.

    Raises:
        InvalidEventError: the event is too large, too deep, or not representable in JSON.
    """
    data = event.data
    try:
        if not _is_flat(data) and (dumped := as_dumped(data)) is not data:
            event = msgspec.structs.replace(event, data=dumped)
        if event.extensions is NO_EXTENSIONS:
            raw = _encode(event)
        else:
            bare = msgspec.structs.replace(event, extensions=NO_EXTENSIONS)
            raw = merged(_encode(bare), _encode(dict(event.extensions)))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidEventError(
            "decode_error", f"{event.type} cannot be encoded as JSON: {error}"
        ) from error
    _check_limits(raw, limits)
    _check_unchanged(event, raw)
    return raw


def _check_unchanged(event: "Event[Any]", raw: bytes) -> None:
    """Refuse data that JSON would change without a word: NaN, bytes and other keys.

    Comparing with what a consumer will decode is cheap; looking for the place is not,
    and is only done for data that is not equal.
    """
    data = event.data
    if _is_flat(data) or _decode_data(raw).data == data:
        return
    for path, problem in _changed(data, "data", holds_null=b"null" in raw):
        raise InvalidEventError(
            "decode_error", f"{event.type} cannot be encoded as JSON: {path} {problem}"
        )


def _is_flat(data: Any) -> bool:
    """Whether data needs no comparison: a JSON value, or an object of such values."""
    if type(data) is not dict:
        return type(data) in _EXACT
    for key, value in data.items():
        if type(value) not in _EXACT or type(key) is not str:
            return False
    return True


def _changed(value: Any, path: str, *, holds_null: bool) -> Iterator[tuple[str, str]]:
    """The places in data that JSON cannot hold, and why.

    Args:
        value: the data.
        path: its place.
        holds_null: whether its JSON has a null, which may be NaN in an object.
    """
    if isinstance(value, float) and not math.isfinite(value):
        yield path, f"is {value}: JSON has no such number"
    elif isinstance(value, (bytes, bytearray, memoryview)):
        yield path, "is bytes: JSON has none; encode them as text, such as base64"
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str):
                kind = type(key).__name__
                yield path, f"has the key {key!r:.80} ({kind}): JSON keys are strings"
            yield from _changed(inner, f"{path}[{key!r:.80}]", holds_null=holds_null)
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            yield from _changed(inner, f"{path}[{index}]", holds_null=holds_null)
    elif holds_null and type(value) not in _EXACT:
        plain = msgspec.to_builtins(value, enc_hook=dump_model)
        if isinstance(plain, (dict, list)):
            yield from _changed(plain, path, holds_null=True)


def decode(raw: bytes, limits: EventLimits = DEFAULT_LIMITS) -> "Event[Any]":
    """Decode an event from untrusted bytes.

    Raises:
        InvalidEventError: the bytes are not a valid event; no other error is raised.
    """
    _check_limits(raw, limits)
    try:
        try:
            event = _decode(raw)
            plain = event.extensions is NO_EXTENSIONS
        except msgspec.ValidationError:
            plain = False
        if not plain:
            event = _decode_extended(raw)
    except (ValueError, RecursionError) as error:
        raise InvalidEventError("decode_error", f"not an event: {error}") from error
    check_type(event.type)
    if event.time.tzinfo is None:  # other publishers may omit it, `encode` may not
        time = event.time.replace(tzinfo=timezone.utc)
        event = msgspec.structs.replace(event, time=time)
    return event


def _decode_extended(raw: bytes) -> "Event[Any]":
    """Decode an event that has extension attributes, or is invalid."""
    members = _decode_members(raw)
    known = {name: members.pop(name) for name in DEFINED if name in members}
    event = msgspec.convert(known, Event[Any])
    return msgspec.structs.replace(event, extensions=members)


def decode_data(raw: bytes) -> Any:
    """The data of an encoded event, as a consumer will decode it."""
    return _decode_data(raw).data


def new_id() -> str:
    """A new event id, unique across processes and cheap to generate.

    A random prefix for each process (renewed after a fork) and a counter.
    """
    return f"{_prefix}-{next(_numbers):x}"


_encode = msgspec.json.Encoder(enc_hook=dump_model).encode
_decode = msgspec.json.Decoder(Event[Any]).decode
_decode_members = msgspec.json.Decoder(dict[str, Any]).decode
_decode_data = msgspec.json.Decoder(_OnlyData).decode
_EXACT: Final = frozenset({str, int, bool, types.NoneType})
_MAX_KNOWN_TYPES: Final = 1024
_known_types: set[str] = set()
_numbers = itertools.count(1)
_prefix = ""


def _renew_prefix() -> None:
    global _prefix  # noqa: PLW0603 - one per process
    _prefix = secrets.token_hex(8)


_renew_prefix()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_prefix)


def _check_limits(raw: bytes, limits: EventLimits) -> None:
    if len(raw) > limits.max_bytes:
        raise InvalidEventError(
            "too_large", f"{len(raw)} bytes, at most {limits.max_bytes} allowed"
        )
    # Counting brackets is fast, and enough for most events.
    if raw.count(b"[") + raw.count(b"{") > limits.max_depth:
        depth = _depth(raw)
        if depth > limits.max_depth:
            raise InvalidEventError(
                "too_deep", f"nested {depth} levels, at most {limits.max_depth} allowed"
            )


# The pattern matches at every quote, closed or not: one that could fail would retry
# from each following quote, taking minutes (quadratic time) for malicious input.
_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.?)*"?|[\[{]|[\]}]', re.DOTALL)


def _depth(raw: bytes) -> int:
    """Nesting depth of brackets outside of strings."""
    depth = deepest = 0
    for token in _STRUCTURE.finditer(raw):
        sign = raw[token.start()]
        if sign in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif sign in b"]}":
            depth -= 1
    return deepest

"""Events: CloudEvents as JSON, validation, limits."""

import decimal
import enum
import json
import math
import os
import uuid
from dataclasses import dataclass
from datetime import datetime, timezone

import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic.alias_generators import to_camel

from evmon import Event, EventLimits, InvalidEventError
from evmon._events import _depth as depth_of
from evmon._events import check_event, check_type, decode, encode, new_id, now
from evmon._handlers.conversion import converter

WORDS = st.lists(
    st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1), min_size=1
).map(".".join)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=20,
)


def event(data=None, **changes):
    fields = {"id": "1", "source": "shop", "type": "order.created", "time": now()}
    return Event(**{**fields, "data": data, **changes})


def raw(**changes):
    fields = {
        "specversion": "1.0",
        "id": "1",
        "source": "shop",
        "type": "order.created",
        "time": "2026-01-02T03:04:05Z",
    }
    merged = {**fields, **changes}
    return json.dumps({k: v for k, v in merged.items() if v is not ...}).encode()


def test_an_event_cannot_be_changed():
    with pytest.raises(AttributeError):
        event().type = "other"


def test_the_wire_format_is_cloudevents_json():
    time = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)

    encoded = json.loads(encode(event({"id": 7}, time=time)))

    assert json.loads(raw(data={"id": 7})) == encoded


@settings(max_examples=300)
@given(
    data=JSON,
    type_=WORDS.filter(lambda w: len(w) < 255),
    traceparent=st.none() | st.just("00-a-b-01"),
)
def test_decoding_restores_the_encoded_event(data, type_, traceparent):
    original = event(data, type=type_, traceparent=traceparent)
    limits = EventLimits(max_bytes=10**9, max_depth=1000)

    assert original == decode(encode(original, limits), limits)


@settings(max_examples=500)
@given(st.binary() | JSON.map(json.dumps).map(str.encode))
def test_any_bytes_decode_to_an_event_or_raise_invalid_event_error(data):
    try:
        decoded = decode(data)
    except InvalidEventError as error:
        assert error.reason in ("decode_error", "too_large", "too_deep")
    else:
        assert isinstance(decoded, Event)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "decode_error"),
        (b"\xff\xfe", "decode_error"),
        (b"null", "decode_error"),
        (b"[]", "decode_error"),
        (b"{", "decode_error"),
        (raw(specversion="9"), "decode_error"),
        (raw(id=...), "decode_error"),
        (raw(id=7), "decode_error"),
        (raw(time="yesterday"), "decode_error"),
        (raw(type=""), "decode_error"),
        (raw(type="order created"), "decode_error"),
        (raw(type="order.*"), "decode_error"),
        (raw(type="order..created"), "decode_error"),
        (raw(type="a" * 256), "decode_error"),
        (raw(type="order\ud800"), "decode_error"),
        (raw(type="order\u202e"), "decode_error"),
        (raw(data=...)[:-1] + b', "data": NaN}', "decode_error"),
        (b"[" * 100_000, "too_deep"),
        (raw(data="x" * 300_000), "too_large"),
    ],
)
def test_invalid_input_is_refused_with_a_reason(data, reason):
    with pytest.raises(InvalidEventError) as caught:
        decode(data)

    assert reason == caught.value.reason


def nested(levels):
    data = "end"
    for _ in range(levels):
        data = [data]
    return data


def test_nesting_is_limited_to_64_levels_counting_the_event_itself():
    assert nested(63) == decode(encode(event(nested(63)))).data
    with pytest.raises(InvalidEventError, match="nested 65 levels, at most 64 allowed"):
        encode(event(nested(64)))


def test_sibling_brackets_do_not_count_as_nesting():
    data = [[] for _ in range(1000)]

    assert data == decode(encode(event(data))).data


@given(JSON)
def test_depth_equals_that_of_the_decoded_value(data):
    def walk(value):
        if isinstance(value, dict):
            return 1 + max(map(walk, value.values()), default=0)
        if isinstance(value, list):
            return 1 + max(map(walk, value), default=0)
        return 0

    assert walk(data) == depth_of(json.dumps(data).encode())


@pytest.mark.parametrize("start", [b"{" * 70, b"[" * 70 + b'"'])
def test_an_unterminated_string_is_refused_in_linear_time(start):
    # Scanning again from each quote would take minutes.
    with pytest.raises(InvalidEventError):
        decode(start + rb"\"" * 120_000)


@pytest.mark.parametrize("data", [object(), {1, object()}, "\ud800", float("nan")])
def test_data_that_json_cannot_represent_is_refused(data):
    try:
        encoded = encode(event(data))
    except InvalidEventError as error:
        assert "decode_error" == error.reason
    else:  # msgspec writes NaN as null, as JavaScript does
        assert decode(encoded).data is None


def test_dataclasses_and_dates_can_be_encoded():
    @dataclass
    class Order:
        id: int
        at: datetime

    moment = datetime(2026, 1, 2, tzinfo=timezone.utc)

    sent = decode(encode(event(Order(7, moment))))

    assert {"id": 7, "at": "2026-01-02T00:00:00Z"} == sent.data


def test_large_integers_are_exact():
    assert 2**100 == decode(encode(event(2**100))).data


def test_ids_are_unique_and_differ_after_a_fork():
    ids = {new_id() for _ in range(1000)}
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, new_id().encode())
        os._exit(0)
    os.waitpid(child, 0)
    of_child = os.read(reader, 100).decode()
    os.close(reader)
    os.close(writer)

    assert 1000 == len(ids)
    assert of_child.split("-")[0] != new_id().split("-")[0]


@pytest.mark.parametrize(
    "type_", ["order", "order.created", "a.b.c.d", "com/example.x-1", "größe.ä"]
)
def test_types_of_words_joined_by_dots_are_accepted(type_):
    assert type_ == check_type(type_)


@pytest.mark.parametrize(
    "type_", ["", ".", "a.", ".a", "a b", "a\nb", "a.*", None, 7, "a\u0000"]
)
def test_other_types_are_refused(type_):
    with pytest.raises(
        InvalidEventError, match="must be printable words joined by dots"
    ):
        check_type(type_)


def test_an_event_is_a_msgspec_struct():
    assert isinstance(event(), msgspec.Struct)


def test_a_time_without_a_zone_is_read_as_utc():
    raw = b'{"specversion":"1.0","id":"1","source":"s","type":"a","time":"2026-01-01T00:00:00"}'

    assert decode(raw).time == datetime(2026, 1, 1, tzinfo=timezone.utc)
    assert check_event(decode(raw))


@dataclass
class NotFinite:
    value: float


class NotFiniteModel(pydantic.BaseModel):
    value: float


class Colour(enum.Enum):
    RED = "red"


class StrictOrder(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True, extra="forbid")

    id: uuid.UUID
    at: datetime
    colour: Colour
    price: decimal.Decimal
    sizes: tuple[int, str]
    note: str = pydantic.Field(default="none", alias="orderNote")

    @pydantic.computed_field
    @property
    def total(self) -> int:
        return 7


class NamedInOneDirection(pydantic.BaseModel):
    id: int = pydantic.Field(serialization_alias="orderId")


class NamedByGenerator(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(alias_generator=to_camel)

    id: int = pydantic.Field(serialization_alias="orderId")


class Parcel(pydantic.BaseModel):
    order: NamedInOneDirection


@pydantic.dataclasses.dataclass
class Address:
    city: str = pydantic.Field(alias="cityName")
    raw: bytes = b""


@dataclass
class Shipment:
    order: NamedInOneDirection
    label: bytes


@pytest.mark.parametrize(
    "model",
    [
        StrictOrder(
            id=uuid.uuid4(),
            at=datetime(2026, 11, 26, tzinfo=timezone.utc),
            colour=Colour.RED,
            price=decimal.Decimal("1.10"),
            sizes=(1, "a"),
            orderNote="kept",
        ),
        NamedInOneDirection(id=7),
        NamedByGenerator(id=7),
        Parcel(order=NamedInOneDirection(id=7)),
        pydantic.RootModel[NamedInOneDirection](NamedInOneDirection(id=7)),
        Address(cityName="Rome", raw=b"r"),
        Shipment(NamedInOneDirection(id=7), b"\x80"),
    ],
    ids=lambda model: type(model).__name__,
)
def test_a_published_model_comes_back_as_it_was(model):
    sent = decode(encode(event(data=model))).data

    assert model == converter(type(model), "handler")(sent)


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (math.nan, "data is nan"),
        ({"a": [1.0, -math.inf]}, r"data\['a'\]\[1\] is -inf"),
        ({"a": b"raw"}, r"data\['a'\] is bytes"),
        ({1: "a"}, r"data has the key 1 \(int\)"),
        ([{2.5: 1}], r"data\[0\] has the key 2.5"),
        (NotFinite(math.nan), r"data\['value'\] is nan"),
        ([NotFinite(math.nan)], r"data\[0\]\['value'\] is nan"),
        ({"a": NotFiniteModel(value=math.inf)}, r"data\['a'\]\['value'\] is inf"),
    ],
)
def test_data_that_json_would_change_is_refused_with_its_place(data, place):
    with pytest.raises(InvalidEventError, match=place):
        encode(event(data=data))

"""Generated types of event data, each with values: models, dataclasses, structs …"""

import dataclasses
import enum
import uuid
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import pydantic
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from typing_extensions import TypedDict


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class WithTotal(BaseModel):
    @pydantic.computed_field(alias="sumOfAll")
    @property
    def total(self) -> int:
        return 7


class Kind:
    """A type, a strategy for its values, and a text for the reader of a failure."""

    def __init__(self, hint, values, text=""):
        self.hint = hint
        self.values = values
        self.text = text or getattr(hint, "__name__", str(hint))

    def __repr__(self):
        return self.text


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
MOMENTS = st.datetimes(
    datetime(1900, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([timezone.utc, timezone(timedelta(hours=5.5))]),
)
SCALARS = [
    Kind(int, st.integers(-(2**70), 2**70)),
    Kind(float, st.floats(allow_nan=False, allow_infinity=False)),
    Kind(str, TEXT),
    Kind(bool, st.booleans()),
    Kind(None, st.none()),
    Kind(uuid.UUID, st.uuids()),
    Kind(datetime, MOMENTS),
    Kind(date, st.dates()),
    Kind(time, st.times()),
    Kind(timedelta, st.timedeltas(timedelta(-999), timedelta(999))),
    Kind(Colour, st.sampled_from(Colour)),
    Kind(Level, st.sampled_from(Level)),
    Kind(Decimal, st.decimals(allow_nan=False, allow_infinity=False)),
    Kind(Any, TEXT | st.integers() | st.none() | st.lists(st.booleans(), max_size=2)),
]
FROM_0_TO_9 = Kind(Annotated[int, msgspec.Meta(ge=0, le=9)], st.integers(0, 9))
OF_LIBRARY = {
    "pydantic": [
        Kind(Annotated[int, Field(ge=0, le=9)], st.integers(0, 9)),
        Kind(bytes, TEXT.map(str.encode)),  # by default, pydantic keeps no others
    ],
    "msgspec": [FROM_0_TO_9, Kind(bytes, st.binary(max_size=4))],
    "plain": [FROM_0_TO_9],  # bytes outside of a class are refused
}
NAMES = ["id", "placed_at", "Total", "unit_price", "name"]


def hashable(kind):
    return kind.hint in (int, str, uuid.UUID, date, Colour)


@st.composite
def containers(draw, inner):
    """A container of another kind."""
    kind = draw(inner)
    other = draw(inner)
    hint, values = kind.hint, kind.values
    shapes = [
        (list[hint], st.lists(values, max_size=2)),
        (dict[str, hint], st.dictionaries(TEXT, values, max_size=2)),
        (tuple[hint, ...], st.lists(values, max_size=2).map(tuple)),
        (tuple[hint, other.hint], st.tuples(values, other.values)),
    ]
    if hint not in (None, Any):
        shapes.append((hint | None, st.none() | values))
    if hashable(kind):
        shapes.append((set[hint], st.sets(values, max_size=2)))
        shapes.append((frozenset[hint], st.frozensets(values, max_size=2)))
    hint, values = draw(st.sampled_from(shapes))
    return Kind(hint, values, str(hint).replace("tests.generated_types.", ""))


def kinds(library, depth):
    """Kinds of fields that a library supports, models to a certain depth."""
    scalars = st.sampled_from([*SCALARS, *OF_LIBRARY[library]])
    if not depth:
        return scalars
    inner = kinds(library, depth - 1)
    nested = [models(depth - 1)]
    if library != "pydantic":
        nested += [
            structs(depth - 1),
            dataclass_kinds(depth - 1),
            typed_dicts(depth - 1),
        ]
    else:
        nested += [dataclass_kinds(depth - 1, library), root_models(depth - 1)]
    return scalars | containers(inner) | st.one_of(nested)


@st.composite
def fields(draw, library, depth):
    """Names and kinds of the fields of a type."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
    return {name: draw(kinds(library, depth)) for name in names}


CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "strict": st.just(True),
        "extra": st.sampled_from(["forbid", "allow"]),
        "populate_by_name": st.just(True),
        "alias_generator": st.just(to_camel),
        "use_enum_values": st.just(True),
        "frozen": st.just(True),
        "ser_json_bytes": st.just("base64"),
        "val_json_bytes": st.just("base64"),
        "ser_json_timedelta": st.just("float"),
    },
)
ALIASES = st.sampled_from(
    [
        {},
        {},
        {"alias": "{}Alias"},
        {"validation_alias": "{}In"},
        {"serialization_alias": "{}Out"},
        {"validation_alias": "{}In", "serialization_alias": "{}Out"},
        {
            "validation_alias": pydantic.AliasChoices("{}A", "{}B"),
            "serialization_alias": "{}B",
        },
    ]
)


def named(alias, name):
    if isinstance(alias, str):
        return alias.format(name)
    return pydantic.AliasChoices(*(choice.format(name) for choice in alias.choices))


@st.composite
def models(draw, depth):
    """A pydantic model, whose values survive pydantic's own round trip."""
    config, parts, lines = draw(CONFIGS), {}, []
    for name, kind in draw(fields("pydantic", depth)).items():
        aliases = {key: named(a, name) for key, a in draw(ALIASES).items()}
        default = draw(st.just({}) | kind.values.map(lambda value: {"default": value}))
        parts[name] = (kind, Field(**aliases, **default))
        lines.append(f"{name}: {kind!r} = Field({aliases | default})")
    base = draw(st.sampled_from([BaseModel, WithTotal]))
    base = type("Base", (base,), {"model_config": ConfigDict(**config)})
    annotations = {name: (kind.hint, info) for name, (kind, info) in parts.items()}
    model = pydantic.create_model("Model", __base__=base, **annotations)
    values = st.fixed_dictionaries(
        {
            accepted(model, n): k.values
            for n, (k, i) in parts.items()
            if i.is_required()
        },
        optional={
            accepted(model, n): k.values
            for n, (k, i) in parts.items()
            if not i.is_required()
        },
    )
    text = f"{base.__base__.__name__}({config}; {'; '.join(lines)})"
    return Kind(model, values.map(model.model_validate).filter(survives), text)


def accepted(model, name):
    """The key by which a model takes a field."""
    alias = model.model_fields[name].validation_alias
    return (
        alias.choices[0] if isinstance(alias, pydantic.AliasChoices) else alias or name
    )


def survives(value):
    """Whether pydantic's own round trip, by either kind of name, keeps a model."""
    return any(survives_dump(value, by_alias=by_alias) for by_alias in (True, False))


def survives_dump(value, *, by_alias):
    options = {"by_alias": by_alias, "round_trip": True}
    try:
        raw = value.model_dump_json(**options)
        received = type(value).model_validate_json(raw)
    except ValueError:
        return False
    # A name that was ignored leaves a default, which may happen to be the value.
    return value == received and raw == received.model_dump_json(
        exclude_unset=True, **options
    )


@st.composite
def root_models(draw, depth):
    kind = draw(kinds("pydantic", depth))
    model = pydantic.RootModel[kind.hint]
    values = kind.values.map(lambda value: model.model_construct(root=value))
    return Kind(model, values.filter(survives), f"RootModel[{kind!r}]")


@st.composite
def structs(draw, depth):
    parts = draw(fields("msgspec", depth))
    options = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "rename": st.sampled_from(["camel", "upper"]),
                "array_like": st.just(True),
                "forbid_unknown_fields": st.just(True),
                "tag": st.just(True),
                "frozen": st.just(True),
            },
        )
    )
    struct = msgspec.defstruct(
        "Struct", [(n, k.hint) for n, k in parts.items()], **options
    )
    values = st.fixed_dictionaries({n: k.values for n, k in parts.items()})
    return Kind(
        struct, values.map(lambda v: struct(**v)), f"Struct({parts}, {options})"
    )


@st.composite
def dataclass_kinds(draw, depth, library="msgspec"):
    parts = draw(fields(library, depth))
    made = dataclasses.make_dataclass("Class", [(n, k.hint) for n, k in parts.items()])
    if library == "pydantic" and draw(st.booleans()):
        made = pydantic.dataclasses.dataclass(made)
    values = st.fixed_dictionaries({n: k.values for n, k in parts.items()})
    values = values.map(lambda v: made(**v))
    if library == "pydantic":
        # Models in two fields may accept different kinds of names.
        whole = pydantic.RootModel[made]
        values = values.filter(lambda v: survives(whole.model_construct(root=v)))
    return Kind(made, values, f"dataclass({parts})")


@st.composite
def typed_dicts(draw, depth):
    parts = draw(fields("plain", depth))
    total = draw(st.booleans())
    made = TypedDict("Dict", {n: k.hint for n, k in parts.items()}, total=total)
    values = {n: k.values for n, k in parts.items()}
    if total:
        return Kind(made, st.fixed_dictionaries(values), f"TypedDict({parts})")
    optional = st.fixed_dictionaries({}, optional=values)
    return Kind(made, optional, f"TypedDict({parts}, total=False)")


ANY_TYPE = st.one_of(
    models(1),
    models(2),
    root_models(1),
    structs(1),
    dataclass_kinds(1),
    dataclass_kinds(1, "pydantic"),
    typed_dicts(1),
    containers(models(1)),
    containers(structs(1)),
)

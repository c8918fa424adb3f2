"""Extension attributes of CloudEvents: members of an event that evmon does not define."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from evmon.errors import InvalidEventError

DEFINED: Final = frozenset(
    {"specversion", "id", "source", "type", "time", "data", "subject"}
    | {"datacontenttype", "dataschema", "traceparent", "tracestate"}
)
"""Members of an event in the JSON format that are attributes of `Event`."""

WIRE_NAME: Final = " extensions"
"""Member of the mapping itself, which is never sent: no attribute may have the name."""

_NAME: Final = re.compile(r"[a-z0-9]+|data_base64")


class NoExtensions(Mapping[str, Any]):
    """The mapping of an event without extension attributes; immutable and hashable."""

    def __getitem__(self, name: str) -> Any:
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "{}"

    def __reduce__(self) -> str:
        return "NO_EXTENSIONS"


NO_EXTENSIONS: Final[Mapping[str, Any]] = NoExtensions()
"""One object, which a copy of an event keeps."""


def check_extensions(extensions: Any) -> None:
    """Check extension attributes by CloudEvents 1.0, 3.1.

    Raises:
        InvalidEventError: names the attribute, its value and the rule.
    """
    if not isinstance(extensions, Mapping):
        raise InvalidEventError(
            "decode_error", f"extensions {extensions!r:.80} must be a mapping"
        )
    for name, value in extensions.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InvalidEventError(
                "decode_error",
                f"extension {name!r:.80} must be named by lower-case letters and digits",
            )
        if name in DEFINED:
            raise InvalidEventError(
                "decode_error", f"extension {name!r} is an attribute of events"
            )
        if not isinstance(value, (str, bool, int)):
            raise InvalidEventError(
                "decode_error",
                f"extension {name} {value!r:.80} must be a string, boolean or integer",
            )


def merged(raw: bytes, extensions: bytes) -> bytes:
    """Add the members of one JSON object to another one.

    Example:
        >>> merged(b'{"id":"1"}', b'{"partitionkey":"a"}')
        b'{"id":"1","partitionkey":"a"}'
    """
    return raw[:-1] + b"," + extensions[1:] if extensions != b"{}" else raw

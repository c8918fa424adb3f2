"""Attribute values: printable, short, and bounded in number.

A lone surrogate in a label breaks every later scrape, and labels taken from payloads
grow without bound.
"""

import builtins
from typing import Final

UNKNOWN: Final = "_unknown"
OTHER: Final = "_OTHER"
MAX_LENGTH: Final = 128
MAX_ERROR_TYPES: Final = 50


def label(text: str) -> str:
    r"""Return `text` as an attribute value: printable, at most 128 characters.

    Example:
        >>> label("order\ud800.created")
        'order?.created'
    """
    if text.isascii() and text.isprintable() and 0 < len(text) <= MAX_LENGTH:
        return text
    clean = "".join(c if c.isprintable() else "?" for c in text[:MAX_LENGTH])
    return clean or UNKNOWN


class ErrorTypes:
    """Names of error classes for ``error.type``, capped so that labels stay few.

    Example:
        >>> ErrorTypes().of(ValueError("x"))
        'ValueError'
    """

    def __init__(self, limit: int = MAX_ERROR_TYPES) -> None:
        self._limit = limit
        self._names: dict[type[BaseException], str] = {}
        self._distinct: dict[str, str] = {}

    def of(self, error: BaseException) -> str:
        """The label of an error's class; `_OTHER` beyond the limit.

        The name is qualified if another class has it too, such as one of Python's own. A
        private class of evmon is counted as the public one that it is a kind of.

        Classes are counted by name, so a class created for each error (as some
        libraries do) grows neither the labels nor this table beyond the limit.
        """
        kind = type(error)
        name = self._names.get(kind)
        if name is not None:
            return name
        name = self._name_of(_public(kind))
        if name != OTHER and len(self._names) < self._limit:
            self._names[kind] = name
        return name

    def _name_of(self, kind: type[BaseException]) -> str:
        bare = label(kind.__qualname__)
        qualified = label(f"{kind.__module__}.{kind.__qualname__}")
        builtin = getattr(builtins, bare, kind)
        name = bare if builtin is kind else qualified
        if self._distinct.get(name, qualified) != qualified:
            name = qualified
        if name not in self._distinct:
            if len(self._distinct) >= self._limit:
                return OTHER
            self._distinct[name] = qualified
        return name


def _public(kind: type[BaseException]) -> type[BaseException]:
    """The class itself, or the first of its bases that users of evmon can name."""
    return next(
        base for base in kind.__mro__ if not base.__module__.startswith("evmon._")
    )


def destination_of(service: str, stream: str) -> str:
    """``messaging.destination.name`` of a stream of a service.

    Args:
        service: name of the service.
        stream: name of an additional stream; empty for the service's own.

    Example:
        >>> destination_of("shop", ""), destination_of("shop", "mail")
        ('shop', 'shop:mail')
    """
    return f"{service}:{stream}" if stream else service

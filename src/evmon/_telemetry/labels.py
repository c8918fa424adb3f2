"""Attribute values: printable, short, and bounded in number.

A lone surrogate in a label breaks every later scrape, and labels taken from payloads
grow without bound.
"""

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
        self._distinct: set[str] = set()

    def of(self, error: BaseException) -> str:
        """The label of an error's class; `_OTHER` beyond the limit.

        Classes are counted by name, so a class created for each error (as some
        libraries do) grows neither the labels nor this table beyond the limit.
        """
        kind = type(error)
        name = self._names.get(kind)
        if name is not None:
            return name
        name = label(kind.__qualname__)
        if name not in self._distinct:
            if len(self._distinct) >= self._limit:
                return OTHER
            self._distinct.add(name)
        if len(self._names) < self._limit:
            self._names[kind] = name
        return name

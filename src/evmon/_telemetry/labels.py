"""What may become the value of an attribute: printable, short, and not many.

One lone surrogate in a label breaks every scrape after it, and a label taken from a
payload grows without end; hence one place through which all values go.
"""

from typing import Final

UNKNOWN: Final = "_unknown"
OTHER: Final = "_OTHER"
MAX_LENGTH: Final = 128
MAX_ERROR_TYPES: Final = 50


def label(text: str) -> str:
    r"""Return `text` as a value for an attribute: printable and 128 characters at most.

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
        """The label of an error's class; `_OTHER` when too many were seen.

        Classes are remembered by name, so a class made anew for each error (which some
        libraries do) neither grows the labels nor this table beyond the limit.
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

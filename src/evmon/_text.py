"""Untrusted text, made safe for a log or a terminal.

An error's message may come from an event, and with it a line that looks like a log
record, or the control characters of a terminal.
"""

import traceback
from typing import Final

MAX_LENGTH: Final = 1024
"""Maximum length of a line."""

MAX_LINES: Final = 200
"""Maximum number of lines of a traceback; the middle is left out."""

INDENT: Final = "    "


def printable(text: str) -> str:
    r"""Text with a ``?`` for each character that is not printable, such as a newline.

    Example:
        >>> printable("a\x1b[31m\u202eb")
        'a?[31m?b'
    """
    return "".join(c if c.isprintable() else "?" for c in text)


def one_line(said: str | BaseException) -> str:
    r"""A text, or the message of an error, on one printable line of at most 1024 characters.

    Args:
        said: text, or an error whose message may raise an error itself.

    Example:
        >>> one_line(ValueError("first\nsecond"))
        'first second'
    """
    try:
        text = str(said)
    except Exception:  # noqa: BLE001 - user code
        text = "error without a message: its __str__ failed"
    return printable(" ".join(text.split())[:MAX_LENGTH])


def traceback_text(error: BaseException) -> str:
    """The traceback of an error; printable, and every line is indented.

    An indented line cannot pose as a log record.
    """
    told = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    lines = told.splitlines()
    if len(lines) > MAX_LINES:
        half = MAX_LINES // 2
        left_out = f"... {len(lines) - 2 * half} lines left out ..."
        lines = [*lines[:half], left_out, *lines[-half:]]
    return "\n".join(INDENT + printable(line[:MAX_LENGTH]) for line in lines)

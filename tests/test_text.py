"""Untrusted text does not get through to a log or a terminal."""

import pytest

from evmon._text import MAX_LENGTH, MAX_LINES, one_line, printable, traceback_text

HOSTILE = "a\x1b[31mb\u202ec\r\nERROR evmon.bus forged\u2028x\x85y\udcffz"


def raised(error):
    try:
        raise error
    except type(error) as caught:
        return caught


def test_text_without_control_characters_is_unchanged():
    assert "größe 5 µs" == printable("größe 5 µs")


@pytest.mark.parametrize("clean", [printable, one_line])
def test_every_control_character_is_replaced(clean):
    assert clean(HOSTILE).isprintable()


def test_untrusted_text_is_one_short_printable_line():
    assert "a b?" == one_line("a\r\n  b\x1b")


def test_an_error_whose_message_fails_has_a_line_too():
    class MuteError(Exception):
        def __str__(self):
            raise ValueError

    assert "error without a message: its __str__ failed" == one_line(MuteError())


def test_a_line_is_bounded():
    assert MAX_LENGTH == len(one_line("x" * 10_000))


def test_every_line_of_a_traceback_is_indented_and_printable():
    error = raised(ValueError(HOSTILE))
    error.__cause__ = KeyError(HOSTILE)
    lines = traceback_text(error).split("\n")

    assert all(line.startswith("    ") and line.isprintable() for line in lines)
    assert "    Traceback (most recent call last):" in lines
    assert any("raise error" in line for line in lines)


def test_a_traceback_is_bounded():
    text = traceback_text(raised(ValueError("line\n" * 100_000)))

    assert MAX_LINES + 1 == len(text.split("\n"))
    assert "lines left out" in text

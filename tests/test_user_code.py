"""Errors and definitions are traced to the lines of user code."""

import functools
import json

import pytest

from evmon._user_code import definition_line, user_line


def decode():
    json.loads("{")


def caught(function):
    with pytest.raises(Exception) as caught:
        function()
    return caught.value


HERE = f" ({__file__}:{decode.__code__.co_firstlineno + 1})"


def test_the_line_of_an_error_is_the_innermost_one_outside_of_libraries():
    assert HERE == user_line(caught(decode), __name__)


def test_an_error_without_a_line_has_that_of_its_cause():
    error = ValueError("from a library")
    error.__cause__ = caught(decode)

    assert HERE == user_line(error, __name__)
    assert "" == user_line(ValueError("never raised"), __name__)


def test_an_error_may_be_its_own_cause():
    error = ValueError()
    error.__cause__ = error

    assert "" == user_line(error, __name__)


def test_a_definition_is_found_below_wrappers():
    line = f" ({__file__}:{decode.__code__.co_firstlineno})"
    wrapper = functools.wraps(decode)(lambda: None)

    for wrapped in (decode, functools.partial(decode), staticmethod(decode), wrapper):
        assert line == definition_line(wrapped)


def test_what_is_not_written_in_python_has_no_line():
    for defined in (print, object, json, 7):
        assert "" == definition_line(defined)

"""Fields know their allowed values, and whether text can set them."""

import pytest

from evmon import RetryPolicy
from evmon._settings.fields import ANY, above, allowed, environment_fields
from evmon._settings.settings import Settings


@pytest.mark.parametrize(
    ("rule", "hint", "words"),
    [
        (above(0), float, "a number above 0"),
        (above(0), float | None, "a number above 0"),
        (above(0), int, "a whole number above 0"),
        (ANY, bool, "true or false"),
        (ANY, str, "a string"),
        (ANY, tuple[str, ...], "a value of its type"),
    ],
)
def test_allowed_values_are_described_by_rule_and_type(rule, hint, words):
    assert words == allowed(rule, hint)


def test_settings_without_a_text_form_have_no_variable():
    names = {field.name for field in environment_fields(RetryPolicy)}

    assert "retry_on" not in names
    assert {"max_retries", "jitter"} <= names


def test_settings_in_sections_are_no_fields_of_their_parent():
    names = [field.name for field in environment_fields(Settings)]

    assert ["service", "transport", "auto_discovery"] == names

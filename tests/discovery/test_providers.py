"""A provider has a name, whatever its class does to those who ask."""

import gc

from evmon._discovery.providers import describe


def test_providers_are_named_without_being_asked():
    class Hostile:
        def __repr__(self):
            raise AssertionError("asked")

    assert describe(Hostile()).endswith("Hostile instance")
    assert describe(Hostile).endswith("Hostile")
    assert "evmon._discovery.providers.describe" == describe(describe)
    assert "gc" == describe(gc)


def test_what_cannot_even_be_named_has_a_name():
    class Meta(type):
        def __getattribute__(cls, name):
            raise AssertionError("asked")

    class Hostile(metaclass=Meta):
        pass

    assert "Meta object at" in describe(Hostile)

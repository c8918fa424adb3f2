"""The names of providers in logs and errors."""

import gc

from evmon._discovery.providers import describe


def test_a_provider_is_named_without_calling_its_code():
    class Hostile:
        def __repr__(self):
            raise AssertionError("code of the provider was called")

    assert describe(Hostile()).endswith("Hostile instance")
    assert describe(Hostile).endswith("Hostile")
    assert "evmon._discovery.providers.describe" == describe(describe)
    assert "gc" == describe(gc)


def test_a_class_whose_attributes_cannot_be_read_has_a_name():
    class Meta(type):
        def __getattribute__(cls, name):
            raise AssertionError("code of the provider was called")

    class Hostile(metaclass=Meta):
        pass

    assert "Meta object at" in describe(Hostile)

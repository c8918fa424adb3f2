"""Patterns find the handlers that they name, at the price of a dictionary lookup."""

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evmon._handlers.handlers import Handler
from evmon._handlers.registry import Registry, matches

WORD = st.sampled_from(["a", "b", "c"])
TYPE = st.lists(WORD, min_size=1, max_size=5).map(".".join)
PATTERN = st.builds(
    lambda words, deep: ".".join([*words, "**"] if deep or not words else words),
    st.lists(WORD | st.just("*"), max_size=5),
    st.booleans(),
)


def handler(pattern, name="handle"):
    return Handler(name, pattern, None, lambda *_: None)


def slow_match(pattern, event_type):
    """The rule, word by word, as the documentation says it."""
    wanted, given_ = pattern.split("."), event_type.split(".")
    if wanted[-1] == "**":
        wanted = wanted[:-1]
        if len(given_) <= len(wanted):
            return False
        given_ = given_[: len(wanted)]
    return len(wanted) == len(given_) and all(
        w in ("*", g) for w, g in zip(wanted, given_, strict=True)
    )


@settings(max_examples=1000)
@given(PATTERN, TYPE)
def test_a_pattern_matches_as_the_slow_reference_says(pattern, event_type):
    assert slow_match(pattern, event_type) == matches(pattern, event_type)


@settings(max_examples=300)
@given(st.lists(PATTERN, max_size=8), TYPE, st.data())
def test_a_registry_finds_every_match_in_order_and_forgets_what_is_removed(
    patterns, event_type, data
):
    registry = Registry()
    keys = [registry.add([handler(p, str(n))])[0] for n, p in enumerate(patterns)]
    gone = data.draw(st.sets(st.sampled_from(keys)) if keys else st.just(set()))
    registry.match(event_type)
    registry.remove(gone)

    expected = [
        str(n)
        for n, (key, pattern) in enumerate(zip(keys, patterns, strict=True))
        if key not in gone and slow_match(pattern, event_type)
    ]

    assert expected == [h.name for h in registry.match(event_type).handlers]
    registry.remove(keys)
    assert not registry._root.words
    assert not registry._root.deep


@pytest.mark.parametrize(
    ("patterns", "label"),
    [
        (["order.created"], "order.created"),
        (["order.**", "order.*", "order.created"], "order.created"),
        (["order.**", "order.*"], "order.*"),
        (["**", "order.**"], "order.**"),
        (["other"], "_unknown"),
        ([], "_unknown"),
    ],
)
def test_the_label_is_the_most_specific_pattern_that_matches(patterns, label):
    registry = Registry()
    registry.add(map(handler, patterns))

    assert label == registry.match("order.created").label


def test_a_new_handler_is_found_for_types_that_were_met_before():
    registry = Registry()
    registry.match("order.created")
    registry.add([handler("order.*")])

    assert len(registry.match("order.created").handlers) == 1


def test_what_is_remembered_about_strangers_types_is_bounded():
    registry = Registry()
    registry.add([handler("known")])
    for number in range(10_000):
        registry.match(f"stranger.{number}")

    assert len(registry._routes) <= 4096
    assert len(registry.match("known").handlers) == 1


def test_observers_hear_every_change():
    changes = []
    registry = Registry()
    registry.add([handler("a")])
    registry.observe(changes.append)
    keys = registry.add([handler("b"), handler("c")])
    registry.remove(keys)
    registry.remove(keys)

    assert changes == [1, 2, -2, 0]
    assert len(registry) == 1


def test_threads_may_register_at_the_same_time():
    registry = Registry()

    def add(number):
        for n in range(100):
            registry.add([handler(f"t{number}.{n}")])
            registry.match(f"t{number}.{n}")

    threads = [threading.Thread(target=add, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(registry) == 800
    assert all(
        registry.match(f"t{t}.{n}").handlers for t in range(8) for n in range(100)
    )


def test_handlers_of_the_same_name_are_told_apart():
    registry = Registry()
    first, second, third = (registry.add([handler("a")])[0] for _ in range(3))
    registry.add([handler("a", "other")])

    keys = [h.key for h in registry.handlers]
    assert keys == ["handle", "handle#2", "handle#3", "other"]

    registry.remove([second])
    registry.add([handler("a")])
    assert {h.key for h in registry.handlers} == {*keys}

    registry.remove([first, third])
    registry.add([handler("a")])
    assert {"handle", "handle#2", "other"} == {h.key for h in registry.handlers}


def test_names_of_handlers_that_are_gone_are_forgotten():
    registry = Registry()
    for n in range(100):
        keys = registry.add([handler("a", f"h{n % 7}"), handler("b", f"h{n % 7}")])
        registry.remove(keys)

    assert registry._numbers._highest == registry._numbers._free == {}

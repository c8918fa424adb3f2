"""The registry: handlers by pattern, lookups by event type, keys."""

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evmon._handlers.handlers import Handler
from evmon._handlers.published import Published
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
    """The matching rule of the documentation, word by word."""
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
def test_matches_agrees_with_the_reference_implementation(pattern, event_type):
    assert slow_match(pattern, event_type) == matches(pattern, event_type)


@settings(max_examples=300)
@given(st.lists(PATTERN, max_size=8), TYPE, st.data())
def test_match_returns_all_matching_handlers_in_order_without_removed_ones(
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


def test_a_new_handler_is_found_for_types_that_were_looked_up_before():
    registry = Registry()
    registry.match("order.created")
    registry.add([handler("order.*")])

    assert 1 == len(registry.match("order.created").handlers)


def test_the_cache_of_unknown_event_types_is_bounded():
    registry = Registry()
    registry.add([handler("known")])
    for number in range(10_000):
        registry.match(f"unknown.{number}")

    assert 4096 >= len(registry._routes)
    assert 1 == len(registry.match("known").handlers)


def test_observers_are_called_with_every_change():
    changes = []
    registry = Registry()
    registry.add([handler("a")])
    registry.observe(changes.append)
    keys = registry.add([handler("b"), handler("c")])
    registry.remove(keys)
    registry.remove(keys)

    assert [1, 2, -2, 0] == changes
    assert 1 == len(registry)


def test_handlers_can_be_added_from_several_threads():
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

    assert 800 == len(registry)
    assert all(
        registry.match(f"t{t}.{n}").handlers for t in range(8) for n in range(100)
    )


def test_handlers_of_the_same_name_have_different_keys():
    registry = Registry()
    first, second, third = (registry.add([handler("a")])[0] for _ in range(3))
    registry.add([handler("a", "other")])

    keys = [h.key for h in registry.handlers]
    assert ["handle", "handle#2", "handle#3", "other"] == keys

    registry.remove([second])
    registry.add([handler("a")])
    assert {*keys} == {h.key for h in registry.handlers}

    registry.remove([first, third])
    registry.add([handler("a")])
    assert {"handle", "handle#2", "other"} == {h.key for h in registry.handlers}


def test_numbers_of_removed_names_are_released():
    registry = Registry()
    for n in range(100):
        keys = registry.add([handler("a", f"h{n % 7}"), handler("b", f"h{n % 7}")])
        registry.remove(keys)

    assert {} == registry._numbers._free == registry._numbers._highest


def test_a_declaration_of_what_is_published_gives_a_label_but_no_handler():
    registry = Registry()
    registry.add([handler("**")])
    registry.declare(Published("order.*", int, int))
    route = registry.match("order.created")

    assert ("order.*", int) == (route.label, route.check)
    assert ["**"] == [h.pattern for h in route.handlers]
    assert ("**", None) == (registry.match("a").label, registry.match("a").check)


def test_a_declaration_outlives_handlers_of_the_same_pattern():
    registry = Registry()
    registry.declare(Published("order.created", None, None))
    keys = registry.add([handler("order.created")])
    registry.remove(keys)

    assert () == registry.match("order.created").handlers
    assert "order.created" == registry.match("order.created").label


def test_observers_learn_that_routes_have_changed_when_a_type_is_declared():
    registry, changes = Registry(), []
    registry.observe(changes.append)
    registry.declare(Published("order.created", None, None))

    assert [0, 0] == changes

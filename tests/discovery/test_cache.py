"""The metadata cache: entries live as long as their provider and their TTL."""

import gc
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evmon._discovery.cache import MetadataCache
from evmon._telemetry import instruments as i


class Provider:
    pass


class Scan:
    """Returns how often it was called."""

    def __init__(self):
        self.scanned = 0

    def __call__(self, provider):
        self.scanned += 1
        return (self.scanned,)


@pytest.fixture
def scan():
    return Scan()


@pytest.fixture
def cache(clock, measured):
    return MetadataCache(300, clock, measured.meter)


def evictions(measured, reason):
    return measured.total(i.CACHE_EVICTIONS, **{"evmon.cache.eviction.reason": reason})


def lookups(measured, result):
    return measured.total(i.CACHE_LOOKUPS, **{"evmon.cache.result": result})


def test_a_provider_is_scanned_once(cache, scan, measured):
    provider = Provider()

    assert [(1,)] * 3 == [cache.get_or_scan(provider, scan) for _ in range(3)]
    assert (2, 1) == (lookups(measured, "hit"), lookups(measured, "miss"))
    assert 1 == measured.total(i.CACHE_ENTRIES)
    assert 1 == measured.snapshot.distribution(i.CACHE_SCAN_DURATION).count


async def test_an_entry_expires_after_its_ttl(cache, scan, clock, measured):
    provider = Provider()
    cache.get_or_scan(provider, scan)
    await clock.advance(299.9)
    cache.get_or_scan(provider, scan)
    await clock.advance(0.1)

    assert (2,) == cache.get_or_scan(provider, scan)
    assert 1 == evictions(measured, "expired")
    assert 1 == measured.total(i.CACHE_ENTRIES)


def test_the_entry_of_a_collected_provider_is_removed(cache, scan, measured):
    provider = Provider()
    cache.get_or_scan(provider, scan)
    del provider

    assert 0 == len(cache)
    assert 1 == evictions(measured, "collected")
    assert 0 == measured.total(i.CACHE_ENTRIES)


def test_a_provider_in_a_reference_cycle_is_collected(cache, scan):
    provider = Provider()
    provider.self = provider
    cache.get_or_scan(provider, scan)
    del provider
    gc.collect()

    assert 0 == len(cache)


def test_ten_thousand_collected_providers_leave_no_entries(cache, scan, measured):
    for _ in range(10_000):
        cache.get_or_scan(Provider(), scan)

    assert 0 == len(cache)
    assert not cache._collected
    assert 10_000 == evictions(measured, "collected")


def test_collecting_a_provider_needs_no_lock(cache, scan):
    """The collector may run while a thread holds the lock of the cache."""
    provider = Provider()
    cache.get_or_scan(provider, scan)
    with cache._lock:
        del provider

    assert 0 == len(cache)


def test_a_provider_without_weak_references_is_scanned_each_time(cache, scan):
    class Slots:
        __slots__ = ()

    provider = Slots()

    assert (1,) == cache.get_or_scan(provider, scan)
    assert (2,) == cache.get_or_scan(provider, scan)
    assert 0 == len(cache)


def test_hash_and_equality_of_a_provider_are_not_used(cache, scan):
    class Hostile:
        __hash__ = None

        def __eq__(self, other):
            raise AssertionError("__eq__ was called")

    first, second = Hostile(), Hostile()

    assert (1,) == cache.get_or_scan(first, scan)
    assert (2,) == cache.get_or_scan(second, scan)
    assert (1,) == cache.get_or_scan(first, scan)


@pytest.mark.parametrize("corrupt", [None, "nonsense", object(), ("x", 1)])
def test_a_corrupt_entry_is_replaced_by_a_fresh_scan(cache, scan, measured, corrupt):
    provider = Provider()
    cache.get_or_scan(provider, scan)
    cache._entries[id(provider)] = corrupt if corrupt is not None else 0

    assert (2,) == cache.get_or_scan(provider, scan)
    assert (2,) == cache.get_or_scan(provider, scan)
    assert 1 == evictions(measured, "invalidated")


def test_an_entry_of_another_object_with_the_same_id_is_not_used(cache, scan):
    old, new = Provider(), Provider()
    cache.get_or_scan(old, scan)
    cache._entries[id(new)] = cache._entries.pop(id(old))

    assert (2,) == cache.get_or_scan(new, scan)


def test_a_failing_scan_raises_and_stores_nothing(cache):
    def fail(_):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cache.get_or_scan(Provider(), fail)
    assert 0 == len(cache)


def test_invalidate_removes_one_entry_and_clear_removes_all(cache, scan, measured):
    first, second = Provider(), Provider()
    cache.get_or_scan(first, scan)
    cache.get_or_scan(second, scan)
    cache.invalidate(first)
    cache.invalidate(Provider())

    assert 1 == len(cache)
    cache.clear()
    assert 0 == len(cache)
    assert 2 == evictions(measured, "invalidated")


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(0, 400)), max_size=60))
def test_no_returned_value_is_older_than_the_ttl(steps):
    class Clock:
        now = 0.0

        def monotonic(self):
            return self.now

    clock = Clock()
    cache = MetadataCache(300, clock)
    providers = [Provider() for _ in range(5)]
    known = {}
    for index, wait in steps:
        clock.now += wait
        (scanned_at,) = cache.get_or_scan(providers[index], lambda _: (clock.now,))
        expected = known.get(index)
        if expected is None or clock.now >= expected + 300:
            expected = known[index] = clock.now
        assert expected == scanned_at
    assert len(known) == len(cache)


def test_a_cache_can_be_used_by_several_threads(scan):
    cache = MetadataCache(300)
    providers = [Provider() for _ in range(50)]
    errors = []

    def work():
        try:
            for provider in providers * 20:
                cache.get_or_scan(provider, scan)
                cache.get_or_scan(Provider(), scan)
                cache.invalidate(provider)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [] == errors
    cache.clear()
    assert 0 == len(cache)

"""Metadata is kept as long as its provider lives and its TTL lasts, and no longer."""

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
    """Counts how often it has to look."""

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

    assert [cache.get_or_scan(provider, scan) for _ in range(3)] == [(1,)] * 3
    assert (lookups(measured, "hit"), lookups(measured, "miss")) == (2, 1)
    assert measured.total(i.CACHE_ENTRIES) == 1
    assert measured.snapshot.distribution(i.CACHE_SCAN_DURATION).count == 1


async def test_an_entry_expires_after_its_ttl(cache, scan, clock, measured):
    provider = Provider()
    cache.get_or_scan(provider, scan)
    await clock.advance(299.9)
    cache.get_or_scan(provider, scan)
    await clock.advance(0.1)

    assert cache.get_or_scan(provider, scan) == (2,)
    assert evictions(measured, "expired") == 1
    assert measured.total(i.CACHE_ENTRIES) == 1


def test_a_dropped_provider_takes_its_entry_with_it(cache, scan, measured):
    provider = Provider()
    cache.get_or_scan(provider, scan)
    del provider

    assert len(cache) == 0
    assert evictions(measured, "collected") == 1
    assert measured.total(i.CACHE_ENTRIES) == 0


def test_a_provider_in_a_cycle_is_freed_too(cache, scan):
    provider = Provider()
    provider.self = provider
    cache.get_or_scan(provider, scan)
    del provider
    gc.collect()

    assert len(cache) == 0


def test_ten_thousand_dropped_providers_leave_nothing(cache, scan, measured):
    for _ in range(10_000):
        cache.get_or_scan(Provider(), scan)

    assert len(cache) == 0
    assert not cache._collected
    assert evictions(measured, "collected") == 10_000


def test_the_garbage_collector_takes_no_lock(cache, scan):
    """Collected inside OpenTelemetry's or our own lock, a provider must not block."""
    provider = Provider()
    cache.get_or_scan(provider, scan)
    with cache._lock:
        del provider

    assert len(cache) == 0


def test_what_cannot_be_weakly_referenced_is_scanned_each_time(cache, scan):
    class Slots:
        __slots__ = ()

    provider = Slots()

    assert cache.get_or_scan(provider, scan) == (1,)
    assert cache.get_or_scan(provider, scan) == (2,)
    assert len(cache) == 0


def test_hash_and_equality_of_a_provider_are_never_asked(cache, scan):
    class Hostile:
        __hash__ = None

        def __eq__(self, other):
            raise AssertionError("asked")

    first, second = Hostile(), Hostile()

    assert cache.get_or_scan(first, scan) == (1,)
    assert cache.get_or_scan(second, scan) == (2,)
    assert cache.get_or_scan(first, scan) == (1,)


@pytest.mark.parametrize("corrupt", [None, "nonsense", object(), ("x", 1)])
def test_a_corrupt_entry_is_replaced_by_a_fresh_scan(cache, scan, measured, corrupt):
    provider = Provider()
    cache.get_or_scan(provider, scan)
    cache._entries[id(provider)] = corrupt if corrupt is not None else 0

    assert cache.get_or_scan(provider, scan) == (2,)
    assert cache.get_or_scan(provider, scan) == (2,)
    assert evictions(measured, "invalidated") == 1


def test_an_entry_of_another_object_at_the_same_address_is_not_believed(cache, scan):
    old, new = Provider(), Provider()
    cache.get_or_scan(old, scan)
    cache._entries[id(new)] = cache._entries.pop(id(old))

    assert cache.get_or_scan(new, scan) == (2,)


def test_a_failing_scan_passes_through_and_leaves_nothing(cache):
    def fail(_):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cache.get_or_scan(Provider(), fail)
    assert len(cache) == 0


def test_invalidate_and_clear_forget(cache, scan, measured):
    first, second = Provider(), Provider()
    cache.get_or_scan(first, scan)
    cache.get_or_scan(second, scan)
    cache.invalidate(first)
    cache.invalidate(Provider())

    assert len(cache) == 1
    cache.clear()
    assert len(cache) == 0
    assert evictions(measured, "invalidated") == 2


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(0, 400)), max_size=60))
def test_under_any_clock_no_value_is_older_than_its_ttl(steps):
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


def test_threads_may_share_a_cache(scan):
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

    assert errors == []
    cache.clear()
    assert len(cache) == 0

"""Batches are limited by bytes, shrink after failures and grow back."""

from evmon._transports.redis.batch_size import GROW_AFTER, MAX_BYTES, BatchSize


def test_as_many_as_wanted_while_sizes_are_unknown():
    assert 100 == BatchSize().of(100)


def test_large_events_are_asked_for_in_small_numbers():
    size = BatchSize()
    size.arrived([MAX_BYTES // 10] * 5)

    assert 10 == size.of(100)


def test_one_event_is_asked_for_however_large_they_are():
    size = BatchSize()
    size.arrived([10 * MAX_BYTES])

    assert 1 == size.of(100)


def test_as_many_events_are_sent_as_fit():
    size = BatchSize()

    assert 2 == size.fitting([MAX_BYTES // 2] * 5)
    assert 1 == size.fitting([2 * MAX_BYTES, 1])
    assert 3 == size.fitting([1, 1, 1])


def test_the_number_is_halved_after_each_failure_down_to_one():
    size = BatchSize()
    asked = []
    for _ in range(4):
        asked.append(size.of(8))
        size.failed()

    assert [8, 4, 2, 1] == asked
    assert 1 == size.of(8) == size.fitting([1, 1])


def test_the_number_grows_back_while_full_batches_arrive():
    size = BatchSize()
    size.of(8)
    size.failed()
    asked = []
    for _ in range(2 * GROW_AFTER):
        asked.append(size.of(16))
        size.arrived([1] * asked[-1])

    assert [4] * GROW_AFTER + [8] * GROW_AFTER == asked
    assert 16 == size.of(16)


def test_the_number_does_not_grow_while_fewer_events_arrive():
    size = BatchSize()
    size.of(8)
    size.failed()
    for _ in range(2 * GROW_AFTER):
        size.arrived([1])

    assert 4 == size.of(8)

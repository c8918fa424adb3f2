"""A recorder's series are there from the start, and each thing is counted in its own."""

from evmon._telemetry import instruments as i
from evmon._telemetry.recorders import (
    CacheRecorder,
    ConsumeRecorder,
    DiscoveryRecorder,
    PublishRecorder,
    RetryRecorder,
)
from evmon.errors import DEAD_LETTER_REASONS


def test_a_cache_entry_that_was_evicted_is_no_entry_any_more(measured):
    recorder = CacheRecorder(measured.meter)
    recorder.scanned(0.001)
    recorder.stored()
    recorder.evicted("expired")

    assert 1 == measured.total(i.CACHE_LOOKUPS, **{i.CACHE_RESULT: "miss"})
    assert 0 == measured.total(i.CACHE_ENTRIES)
    assert 1 == measured.total(i.CACHE_EVICTIONS, **{i.EVICTION_REASON: "expired"})


def test_whoever_leaves_the_queue_has_an_outcome_or_was_dropped(measured):
    recorder = DiscoveryRecorder(measured.meter)
    for _ in range(4):
        recorder.queued()
    recorder.settled("registered")
    recorder.dropped(2)

    assert 1 == measured.total(i.DISCOVERY_QUEUE_SIZE)
    assert 1 == measured.total(i.DISCOVERY_PROVIDERS)


def test_retries_are_counted_by_component_and_error(measured):
    recorder = RetryRecorder(measured.meter, "handler")
    recorder.retrying(ValueError("a"), 0.5)
    recorder.retrying(KeyError("b"), 1.5)
    recorder.exhausted(KeyError("b"))
    key_error = {i.RETRY_COMPONENT: "handler", i.ERROR_TYPE: "KeyError"}

    assert 1 == measured.total(i.RETRY_ATTEMPTS, **key_error)
    assert 1 == measured.total(i.RETRY_EXHAUSTED, **key_error)
    assert 2 == measured.total(i.RETRY_ATTEMPTS)
    assert 2.0 == measured.snapshot.distribution(i.RETRY_DELAY).total


def test_refused_events_are_counted_apart_from_sent_ones(measured):
    recorder = PublishRecorder(measured.meter, "memory", "shop")
    recorder.sent({"a": 3, "b": 1}, None)
    recorder.sent({"a": 2}, OSError("full"))

    assert 5 == measured.total(i.SENT_MESSAGES, **{i.EVENT_TYPE: "a"})
    assert 2 == measured.total(i.SENT_MESSAGES, **{i.ERROR_TYPE: "OSError"})


def test_every_reason_of_a_dead_letter_starts_at_zero(measured):
    ConsumeRecorder(measured.meter, "memory", "shop", "shop").dead_lettered("rejected")
    counted = {
        reason: measured.total(i.DEAD_LETTERS, **{i.DEAD_LETTER_REASON: reason})
        for reason in DEAD_LETTER_REASONS
    }

    assert {**dict.fromkeys(DEAD_LETTER_REASONS, 0), "rejected": 1} == counted
    assert measured.snapshot.has(i.DEAD_LETTERS)

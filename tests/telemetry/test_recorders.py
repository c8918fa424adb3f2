"""Recorders: which series each one has and what it counts."""

import sys

import pytest

from evmon._telemetry import instruments as i
from evmon._telemetry.recorders import (
    CacheRecorder,
    ConsumeRecorder,
    DiscoveryRecorder,
    PublishRecorder,
    RetryRecorder,
)
from evmon._telemetry.snapshot import Distribution
from evmon.errors import DEAD_LETTER_REASONS, InvalidEventError, Reject, RetryLater

if sys.version_info < (3, 11):
    from exceptiongroup import ExceptionGroup


def test_an_eviction_reduces_the_number_of_entries(measured):
    recorder = CacheRecorder(measured.meter)
    recorder.scanned(0.001)
    recorder.stored()
    recorder.evicted("expired")

    assert 1 == measured.total(i.CACHE_LOOKUPS, **{i.CACHE_RESULT: "miss"})
    assert 0 == measured.total(i.CACHE_ENTRIES)
    assert 1 == measured.total(i.CACHE_EVICTIONS, **{i.EVICTION_REASON: "expired"})


def test_settled_and_dropped_providers_leave_the_queue(measured):
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


def test_a_retry_that_a_handler_asks_for_is_delayed_but_not_counted_as_a_failure(
    measured,
):
    RetryRecorder(measured.meter, "handler").retrying(RetryLater(2), 2.0)

    assert 0 == measured.total(i.RETRY_ATTEMPTS)
    assert 2.0 == measured.snapshot.distribution(i.RETRY_DELAY).total


@pytest.mark.parametrize(
    ("error", "count"),
    [
        (Reject("a"), 0),
        (ExceptionGroup("a", [KeyError("a"), Reject("b")]), 0),
        (InvalidEventError("invalid_data", "a"), 1),
        (RetryLater(2), 1),
    ],
)
def test_a_rejected_event_is_no_exhausted_retry(measured, error, count):
    RetryRecorder(measured.meter, "handler").exhausted(error)

    assert count == measured.total(i.RETRY_EXHAUSTED)


@pytest.mark.parametrize(
    ("error", "outcome", "error_type"),
    [
        (KeyError("a"), "error", "KeyError"),
        (InvalidEventError("invalid_data", "a"), "error", "InvalidEventError"),
        (ExceptionGroup("a", [KeyError("a")]), "error", "ExceptionGroup"),
        (Reject("a"), "rejected", None),
        (ExceptionGroup("a", [RetryLater(1), Reject("a")]), "rejected", None),
        (RetryLater(1), "retry_later", None),
        (ExceptionGroup("a", [KeyError("a"), RetryLater(1)]), "retry_later", None),
    ],
)
def test_a_call_has_an_outcome_and_an_error_type_only_if_it_failed(
    measured, error, outcome, error_type
):
    series = ConsumeRecorder(measured.meter, "memory", "shop", "shop").handler("h", "a")
    series.raised(0.5, error)

    calls = measured.snapshot
    with_outcome = {i.OUTCOME: outcome}
    assert Distribution(1, 0.5) == calls.distribution(i.PROCESS_DURATION, with_outcome)
    if error_type:
        with_outcome[i.ERROR_TYPE] = error_type
        assert 1 == calls.distribution(i.PROCESS_DURATION, with_outcome).count
    else:
        without = calls.distribution(i.PROCESS_DURATION, without=i.ERROR_TYPE)
        assert 1 == without.count


def test_failed_publishes_are_counted_with_their_error_type(measured):
    recorder = PublishRecorder(measured.meter, "memory", "shop")
    recorder.sent({"a": 3, "b": 1}, None)
    recorder.sent({"a": 2}, OSError("full"))

    assert 5 == measured.total(i.SENT_MESSAGES, **{i.EVENT_TYPE: "a"})
    assert 2 == measured.total(i.SENT_MESSAGES, **{i.ERROR_TYPE: "OSError"})


def test_dead_letters_are_0_for_every_other_reason(measured):
    ConsumeRecorder(measured.meter, "memory", "shop", "shop").dead_lettered("rejected")
    counted = {
        reason: measured.total(i.DEAD_LETTERS, **{i.DEAD_LETTER_REASON: reason})
        for reason in DEAD_LETTER_REASONS
    }

    assert {**dict.fromkeys(DEAD_LETTER_REASONS, 0), "rejected": 1} == counted
    assert measured.snapshot.has(i.DEAD_LETTERS)

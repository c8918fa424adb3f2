"""Findings: which values breach a limit, and what is recommended."""

import pytest

from evmon._telemetry import instruments as i


def alerts(monitor):
    return [(f.alert, f.severity) for f in monitor.get_warnings()]


def test_no_limit_is_breached_at_the_start(monitor):
    assert [] == alerts(monitor)
    assert () == monitor.get_recommendations()


@pytest.mark.parametrize(
    ("hits", "misses", "severity"),
    [
        (50, 50, None),
        (49, 51, "warning"),
        (20, 80, "warning"),
        (19, 81, "critical"),
        (0, 19, None),
        (0, 20, "critical"),
    ],
)
def test_the_hit_rate_is_compared_only_after_enough_lookups(
    warm, lookups, hits, misses, severity
):
    lookups(hits, misses)

    expected = [("EvmonCacheHitRateLow", severity)] if severity else []
    assert expected == alerts(warm)


@pytest.mark.parametrize(
    ("megabytes", "severity"),
    [(100, None), (100.1, "warning"), (500, "warning"), (500.1, "critical")],
)
def test_resident_memory_above_a_limit_is_a_finding(
    monitor, memory, megabytes, severity
):
    memory.resident_mb = megabytes

    expected = [("EvmonMemoryHigh", severity)] if severity else []
    assert expected == alerts(monitor)


@pytest.mark.parametrize(("seconds", "wrong"), [(1.0, False), (1.01, True)])
def test_an_average_batch_duration_above_the_limit_is_a_finding(
    monitor, record, seconds, wrong
):
    record(i.DISCOVERY_BATCH_DURATION, seconds, 4)

    assert ([("EvmonDiscoveryProcessingSlow", "warning")] if wrong else []) == alerts(
        monitor
    )


@pytest.mark.parametrize(("retries", "wrong"), [(10, False), (11, True)])
def test_retries_of_all_components_together_above_the_limit_are_a_finding(
    monitor, record, retries, wrong
):
    record(i.RETRY_ATTEMPTS, 5, **{"evmon.retry.component": "publish"})
    record(i.RETRY_ATTEMPTS, retries - 5, **{"evmon.retry.component": "handler"})

    assert ([("EvmonRetriesHigh", "warning")] if wrong else []) == alerts(monitor)


@pytest.mark.parametrize(
    ("failed", "severity"), [(5, None), (6, "warning"), (51, "critical")]
)
def test_a_share_of_failed_handler_calls_above_a_limit_is_a_finding(
    monitor, record, failed, severity
):
    record(i.PROCESS_DURATION, 0.01, 100 - failed)
    record(i.PROCESS_DURATION, 0.01, failed, **{"error.type": "ValueError"})

    expected = [("EvmonHandlerErrorsHigh", severity)] if severity else []
    assert expected == alerts(monitor)


def test_decisions_of_handlers_are_calls_and_no_failed_calls(monitor, record):
    for outcome in ("success", "rejected", "retry_later"):
        record(i.PROCESS_DURATION, 0.01, 30, **{i.OUTCOME: outcome})
    failed = {i.OUTCOME: "error", i.ERROR_TYPE: "ValueError"}
    record(i.PROCESS_DURATION, 0.01, 4, **failed)

    assert [] == alerts(monitor)
    record(i.PROCESS_DURATION, 0.01, 2, **failed)
    assert [("EvmonHandlerErrorsHigh", "warning")] == alerts(monitor)


def test_a_recommendation_has_finding_causes_next_step_and_runbook(monitor, memory):
    memory.resident_mb = 150
    (advice,) = monitor.get_recommendations()

    assert "resident memory: 150MB, above the limit of 100MB" == advice.finding.message
    assert advice.causes
    assert "evmon_events_in_flight" in advice.next_step
    assert "EvmonMemoryHigh" == advice.runbook

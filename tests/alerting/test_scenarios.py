"""Alerts for series that a service has in special situations."""

import pytest
from tests.alerting.scenario import CALLS

GROUP = 'instance="a",messaging_destination_name="s",messaging_consumer_group_name="s"'
CONSUMED = "messaging_client_consumed_messages_total"


def test_target_down_fires_for_as_long_as_the_target_is_down(check):
    series = {
        'up{instance="a"}': "1x60 0x3000",
        'evmon_discovery_handlers{instance="a"}': "3x60 stale",
    }
    check(series, "EvmonTargetDown", {50 * 60: 1})


def test_metrics_of_another_program_raise_no_alert(check):
    failed = f'{CALLS}{{instance="j",error_type="X"}}'
    series = {f'{CALLS}{{instance="j"}}': "0+10x20", failed: "0+15x20"}
    check(series, "EvmonHandlerErrorsHigh", {20: 0})


def test_a_burst_that_is_being_worked_off_raises_no_alert(check):
    series = {
        f"evmon_consumer_lag{{{GROUP}}}": "0x10 1100-110x9 0x20",
        f"{CONSUMED}{{{GROUP}}}": "0x10 0+110x9 1100x20",
    }
    check(series, "EvmonConsumerLagGrowing", dict.fromkeys(range(12, 16), 0))


@pytest.mark.parametrize(("unread", "count"), [("6900x10", 0), ("60x10", 1)])
def test_time_spent_unread_does_not_count_as_pending(check, unread, count):
    series = {
        f"evmon_consumer_pending_oldest_age_seconds{{{GROUP}}}": "7000x10",
        f"evmon_consumer_unread_oldest_age_seconds{{{GROUP}}}": unread,
    }
    # Both the warning and the critical alert fire after five minutes.
    check(series, "EvmonPendingOld", {4: 0, 7: 2 * count})


def test_the_last_events_of_an_old_backlog_raise_no_alert(check):
    series = {
        f"evmon_consumer_pending_oldest_age_seconds{{{GROUP}}}": "7000x10 7000x3 0x9",
        f"evmon_consumer_unread_oldest_age_seconds{{{GROUP}}}": "7000x10 0x3 0x9",
    }
    check(series, "EvmonPendingOld", dict.fromkeys(range(10, 20), 0))


def test_misses_that_fill_the_cache_at_startup_raise_no_alert(check):
    series = {
        'evmon_cache_lookups_total{instance="a",evmon_cache_result="hit"}': "0x20",
        'evmon_cache_lookups_total{instance="a",evmon_cache_result="miss"}': "0 40x20",
    }
    check(series, "EvmonCacheHitRateLow", {4: 0, 6: 0, 8: 0})


SECONDS = 'evmon_discovery_batch_duration_seconds_sum{instance="a"}'
BATCHES = 'evmon_discovery_batch_duration_seconds_count{instance="a"}'


def test_a_slow_discovery_before_the_first_scrape_raises_an_alert(check):
    series = {
        BATCHES: "_x20 1x80",
        SECONDS: "_x20 30x80",
        'evmon_discovery_queue_size{instance="a"}': "_x20 0x80",
        'evmon_uptime_seconds{instance="a"}': "_x20 10+60x80",
    }
    check(series, "EvmonDiscoveryProcessingSlow", {22: 1, 27: 0})


@pytest.mark.parametrize(("retries", "count"), [(10, 0), (11, 1)])
@pytest.mark.parametrize("first", [0, 3])
def test_retries_are_counted_exactly(check, retries, count, first):
    name = 'evmon_retry_attempts_total{instance="a",error_type="X"}'
    series = {
        'evmon_retry_attempts_total{instance="a",error_type=""}': "0x30",
        # `increase` would extrapolate two steps at a slow scrape to a higher number.
        name: f"0x9 {first}x1 {retries}x20",
        'evmon_uptime_seconds{instance="a"}': "9000+60x30",
    }
    check(series, "EvmonRetriesHigh", {13: count})


def test_a_failing_service_of_many_processes_with_few_calls_raises_alerts(check):
    calls = {
        f'{CALLS}{{instance="{n}",evmon_handler_name="h",error_type="{error}"}}': values
        for n in range(12)
        for error, values in (("", "0x30"), ("X", "0x9 15x20"))
    }
    check(calls, "EvmonHandlerErrorsHigh", {12: 24})


def test_one_failed_call_in_a_busy_service_raises_no_alert(check):
    of = 'evmon_handler_name="h",error_type='
    calls = {
        f'{CALLS}{{instance="a",{of}"X"}}': "0x9 1x20",
        f'{CALLS}{{instance="b",{of}""}}': "0+100x30",
        'evmon_events_in_flight{instance="a"}': "0x30",
        'evmon_events_in_flight{instance="b"}': "0x30",
    }
    check(calls, "EvmonHandlerErrorsHigh", {12: 0})


def test_failed_discovery_fires_until_the_process_restarts(check):
    name = 'evmon_discovery_providers_total{instance="a",evmon_discovery_outcome='
    series = {f'{name}"failed"}}': "0x5 1x60 0x10"}
    check(series, "EvmonDiscoveryFailed", {5: 0, 8: 1, 60: 1, 68: 0})


def test_a_target_that_was_never_an_evmon_service_is_not_absent(check):
    check({'up{instance="a"}': "0x30"}, "EvmonServiceAbsent", {20: 0})


@pytest.mark.parametrize(("labels", "count"), [(("namespace",), 1), ((), 0)])
def test_labels_separate_services_with_the_same_job_name(check, labels, count):
    series = {
        f'evmon_consumer_lag{{namespace="prod",{GROUP}}}': "500x20",
        f'evmon_consumer_lag{{namespace="test",{GROUP}}}': "0x20",
        f'{CONSUMED}{{namespace="prod",{GROUP}}}': "9x20",
        f'{CONSUMED}{{namespace="test",{GROUP}}}': "0+1x20",
    }
    check(series, "EvmonConsumerStalled", {15: count}, labels=labels)

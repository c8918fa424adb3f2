"""Counts in the window: exact, also at 60 s, before the first scrape and in short lives."""

import pytest
from tests.alerting.scenario import CALLS, GROUPS, every_minute, lives

OF = 'instance="a",evmon_handler_name="h",error_type='
IN_FLIGHT = 'evmon_events_in_flight{instance="a"}'
OLD = {'evmon_uptime_seconds{instance="a"}': "9000+60x60"}


def at_60_s(values):
    """Return steps of 15 s in which a scrape comes 15 s after an evaluation."""
    return " ".join(f"_ {value} _ _" for value in values)


def of_calls(succeeded, failed):
    """Return the series of an old process whose calls are scraped each 60 s."""
    return {
        f'{CALLS}{{{OF}""}}': at_60_s(succeeded),
        f'{CALLS}{{{OF}"X"}}': at_60_s(failed),
        IN_FLIGHT: at_60_s([0] * 40),
        'evmon_uptime_seconds{instance="a"}': at_60_s(range(9000, 11400, 60)),
    }


def test_18_calls_are_fewer_than_20_at_60_s(check):
    """A minute after the other, six calls; one of them fails."""
    series = of_calls([0] * 10 + [5, 11] + [17] * 28, [0] * 10 + [1] * 30)
    expected = every_minute(9, 38, 0)
    for order in (GROUPS, GROUPS[::-1]):
        check(series, "EvmonHandlerErrorsHigh", expected, interval="15s", order=order)


def test_20_calls_are_enough_at_60_s(check):
    series = of_calls([0] * 10 + [3, 9] + [16] * 28, [0] * 10 + [4] * 30)
    check(series, "EvmonHandlerErrorsHigh", {15: 1}, interval="15s")


@pytest.mark.parametrize("at", ["15s", "60s"])
@pytest.mark.parametrize(("retries", "count"), [(10, 0), (11, 1), (13, 1)])
def test_steady_retries_are_compared_exactly_with_the_limit(check, at, retries, count):
    """So many retries in each five minutes, evenly spread."""
    steps = 160 if at == "15s" else 40
    totals = [step * retries * 8 // steps for step in range(steps)]
    uptimes = range(9000, 9000 + 2400, 2400 // steps)
    show = at_60_s if at == "60s" else lambda values: " ".join(map(str, values))
    series = {
        'evmon_retry_attempts_total{instance="a",error_type="X"}': show(totals),
        'evmon_uptime_seconds{instance="a"}': show(uptimes),
    }
    expected = every_minute(16, 35, count)
    for order in (GROUPS, GROUPS[::-1]):
        check(series, "EvmonRetriesHigh", expected, interval="15s", order=order)


@pytest.mark.parametrize("seconds", [15, 60])
def test_calls_before_the_first_scrape_count(check, seconds):
    minutes = 60 // seconds
    series = {
        f'{CALLS}{{{OF}"X"}}': f"_x{10 * minutes} 50x{20 * minutes}",
        IN_FLIGHT: f"_x{10 * minutes} 0x{20 * minutes}",
        'evmon_uptime_seconds{instance="a"}': f"_x{10 * minutes} 9+{seconds}x"
        f"{20 * minutes}",
    }
    # Both the warning and the critical alert.
    check(series, "EvmonHandlerErrorsHigh", {13: 2, 22: 0}, interval=f"{seconds}s")


FAILING = {
    f'{CALLS}{{instance="%s",evmon_handler_name="h",error_type="X"}}': "30",
    'evmon_events_in_flight{instance="%s"}': "0",
    'evmon_dead_letters_total{instance="%s",evmon_dead_letter_reason="handler_error"}': "30",
    'evmon_retry_exhausted_total{instance="%s",error_type="X"}': "30",
    'evmon_uptime_seconds{instance="%s"}': "40",
}


@pytest.mark.parametrize(
    "alert",
    ["EvmonHandlerErrorsHigh", "EvmonDeadLettersGrowing", "EvmonRetriesExhausted"],
)
def test_processes_that_are_scraped_once_and_fail_raise_alerts(check, alert):
    """Each lives for a minute under a name of its own, and is scraped once."""
    series = lives(FAILING, first=10, count=20)
    # Each process is counted until it has left the window.
    severities = 2 if alert == "EvmonHandlerErrorsHigh" else 1
    check(series, alert, {8: 0, 20: 5 * severities, 29: 5 * severities, 40: 0})


def test_dead_letters_of_processes_that_are_never_scraped_raise_an_alert(check):
    """A process that reports the queue is all that Prometheus sees."""
    size = 'evmon_dead_letter_queue_size{instance="b",messaging_destination_name="s"}'
    series = {size: "7x10 8+5x20 108x30"}
    check(series, "EvmonDeadLetterQueueGrowing", {9: 0, 14: 1, 30: 1, 45: 0})


def test_the_dead_letter_queue_grows_across_reporters_of_other_names(check):
    names = {
        'evmon_dead_letter_queue_size{instance="%s",messaging_destination_name="s"}': "N"
    }
    series = lives(
        names, first=0, count=40, grow=lambda life: 7 + 3 * max(0, life - 10)
    )
    check(series, "EvmonDeadLetterQueueGrowing", {9: 0, 15: 1, 35: 1})


@pytest.mark.parametrize("reason", ["rejected", "unknown_type"])
def test_dead_letters_by_design_are_no_growth(check, reason):
    letters = f'instance="a",evmon_dead_letter_reason="{reason}"'
    series = {
        'evmon_dead_letter_queue_size{instance="b",messaging_destination_name="s"}': (
            "0x11 5+5x40"
        ),
        f"evmon_dead_letters_total{{{letters}}}": "0x10 5+5x41",
        **OLD,
    }
    check(series, "EvmonDeadLetterQueueGrowing", dict.fromkeys(range(9, 50), 0))
    check(series, "EvmonDeadLettersGrowing", dict.fromkeys(range(9, 50), 0))


def test_an_old_queue_that_is_scraped_for_the_first_time_does_not_grow(check):
    size = 'evmon_dead_letter_queue_size{instance="b",messaging_destination_name="s"}'
    replayed = "_x10 500x10 0x10 2x10"
    expected = {12: 0, 18: 0, 25: 0, 34: 1}
    check({size: replayed}, "EvmonDeadLetterQueueGrowing", expected)


@pytest.mark.parametrize(
    "alert",
    ["EvmonHandlerErrorsHigh", "EvmonDeadLettersGrowing", "EvmonRetriesExhausted"],
)
def test_a_process_that_fails_and_crashes_each_minute_raises_alerts(check, alert):
    """It starts again under its name; at the first scrape it has counted nothing."""
    loop = {name.replace("%s", "a"): "0 10 20 30 " * 40 for name in FAILING}
    loop['evmon_events_in_flight{instance="a"}'] = "0x160"
    loop['evmon_uptime_seconds{instance="a"}'] = "5 20 35 50 " * 40
    severities = 2 if alert == "EvmonHandlerErrorsHigh" else 1
    expected = dict.fromkeys(range(10, 38), severities)
    check(loop, alert, expected, interval="15s")


def test_a_rolling_deploy_of_a_healthy_service_raises_no_alert(check):
    healthy = {
        f'{CALLS}{{instance="%s",evmon_handler_name="h",error_type=""}}': "500",
        'evmon_events_in_flight{instance="%s"}': "0",
        'evmon_dead_letters_total{instance="%s",evmon_dead_letter_reason="rejected"}': "0",
        'evmon_retry_attempts_total{instance="%s",error_type=""}': "0",
        'evmon_uptime_seconds{instance="%s"}': "40",
    }
    series = lives(healthy, first=0, count=20)
    for alert in ("EvmonHandlerErrorsHigh", "EvmonDeadLettersGrowing"):
        check(series, alert, every_minute(0, 30, 0))


HITS = 'evmon_cache_lookups_total{instance="a",evmon_cache_result="hit"}'
MISSES = 'evmon_cache_lookups_total{instance="a",evmon_cache_result="miss"}'


@pytest.mark.parametrize("at", ["15s", "60s"])
def test_cache_misses_in_bursts_each_five_minutes_raise_alerts(check, at):
    steps = 20 if at == "15s" else 5
    totals = [40 * (step // steps) for step in range(12 * steps)]
    show = at_60_s if at == "60s" else lambda values: " ".join(map(str, values))
    series = {HITS: show([0] * len(totals)), MISSES: show(totals)}
    expected = every_minute(18, 55, 2)
    check(series, "EvmonCacheHitRateLow", expected, interval="15s")


@pytest.mark.parametrize(("interval", "steps"), [("15s", 4), ("1m", 1)])
def test_one_burst_of_cache_misses_raises_no_alert(check, interval, steps):
    series = {HITS: f"0x{40 * steps}", MISSES: f"0x{10 * steps} 400x{30 * steps}"}
    check(series, "EvmonCacheHitRateLow", every_minute(5, 38, 0), interval=interval)

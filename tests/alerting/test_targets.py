"""Alerts on targets that flap, crash again and again, or are scaled to zero."""

import pytest

HANDLERS = 'evmon_discovery_handlers{instance="a"}'
UP = 'up{instance="a"}'
UPTIME = 'evmon_uptime_seconds{instance="a"}'
DAY = 24 * 60


def _repeated(*values, times):
    return " ".join(values * times)


@pytest.mark.parametrize("interval", ["15s", "1m"])
def test_a_target_whose_every_second_scrape_fails_raises_an_alert(check, interval):
    series = {UP: _repeated("1", "0", times=120), HANDLERS: "3x30 stale"}
    check(series, "EvmonTargetFlapping", {14: 1, 28: 1}, interval=interval)


@pytest.mark.parametrize("down", [1, 5, 30])
def test_one_outage_is_no_flapping(check, down):
    series = {UP: f"1x20 0x{down} 1x60", HANDLERS: "3x90"}
    check(series, "EvmonTargetFlapping", dict.fromkeys(range(20, 60, 3), 0))


@pytest.mark.parametrize("every", [4, 9])
def test_a_scrape_that_fails_now_and_then_is_no_flapping(check, every):
    series = {UP: _repeated(*["1"] * (every - 1), "0", times=20), HANDLERS: "3x90"}
    check(series, "EvmonTargetFlapping", dict.fromkeys(range(20, 60, 3), 0))


def test_the_pauses_of_a_crash_loop_do_not_resolve_target_down(check):
    """The process lives for 1 minute, and starts again after 5 minutes."""
    series = {
        UP: "1x5 " + _repeated(*["0"] * 5, "1", times=15),
        HANDLERS: "3x5 " + _repeated(*["stale"] * 5, "3", times=15),
    }
    check(series, "EvmonTargetDown", dict.fromkeys(range(10, 80), 1))


def test_a_target_that_is_back_is_not_down_for_long(check):
    series = {UP: "1x5 0x10 1x60", HANDLERS: "3x5 stale _x9 3x60"}
    check(series, "EvmonTargetDown", {12: 1, 25: 0, 60: 0})


@pytest.mark.parametrize("life", [["10"], ["10", "70"], ["5", "65", "125"]])
def test_restarting_does_not_clear_while_the_process_crashes(check, life):
    """Lives of 1 to 3 minutes with pauses of 5 minutes, also at the same uptime."""
    series = {UPTIME: _repeated(*life, *["stale"] * 5, times=30)}
    check(series, "EvmonRestarting", dict.fromkeys(range(45, 170), 1))


@pytest.mark.parametrize("interval", ["15s", "1m"])
def test_restarting_fires_on_a_quick_crash_loop(check, interval):
    series = {UPTIME: _repeated("5", "20", "stale", times=100)}
    check(series, "EvmonRestarting", {14: 1, 25: 1}, interval=interval)


def test_a_process_that_was_restarted_twice_is_not_restarting(check):
    series = {UPTIME: "9000+60x20 10+60x5 10+60x90"}
    check(series, "EvmonRestarting", dict.fromkeys(range(20, 110, 3), 0))


def test_a_process_that_was_down_for_long_is_not_restarting(check):
    series = {UPTIME: "10+60x8 stale _x20 10+60x60"}
    check(series, "EvmonRestarting", dict.fromkeys(range(5, 90, 3), 0))


def test_an_absent_service_raises_an_alert_that_ends_within_an_hour(check):
    series = {UP: "1x60 stale", HANDLERS: "3x60 stale"}
    check(series, "EvmonServiceAbsent", {63: 0, 70: 1, 115: 1, 125: 0, 600: 0, 1400: 0})


def test_the_last_target_that_is_removed_is_not_missed_by_its_last_scrape(check):
    failing = _repeated("3", "stale", times=30)
    series = {UP: _repeated("1", "0", times=30) + " stale", HANDLERS: failing}
    check(series, "EvmonServiceAbsent", {50: 0, 70: 1})


def test_scaling_to_zero_every_night_raises_no_alert_from_the_second_night_on(check):
    """12 hours of work a day; the service stops 20 minutes earlier each day."""
    values, handlers = [], []
    for day in range(4):
        hours = 720 - 20 * day
        off = DAY - hours
        values.append(f"1x{hours - 1} stale _x{off - 2}")
        handlers.append(f"3x{hours - 1} stale _x{off - 2}")
    series = {UP: " ".join(values), HANDLERS: " ".join(handlers)}
    first = {730: 1, 800: 0, 1200: 0}
    later = {
        t: 0 for day in (1, 2, 3) for t in range(day * DAY + 600, day * DAY + DAY, 7)
    }
    check(series, "EvmonServiceAbsent", first | later)


def test_a_daily_job_raises_no_alert_from_the_second_day_on(check):
    days = " ".join(f"1x29 stale _x{DAY - 31}" for _ in range(3))
    series = {UP: days, HANDLERS: days}
    later = {t: 0 for day in (1, 2) for t in range(day * DAY, day * DAY + 120, 5)}
    check(series, "EvmonServiceAbsent", later)


def test_a_service_that_vanishes_after_days_raises_an_alert(check):
    always = f"1x{3 * DAY} stale"
    check({UP: always, HANDLERS: always}, "EvmonServiceAbsent", {3 * DAY + 10: 1})


READY = 'evmon_ready{instance="a"}'


def test_an_old_pod_of_a_deploy_that_stops_is_not_reported_as_not_ready(check):
    """For 30 s before it is gone, the process says that it is not ready."""
    series = {UP: "1x42 stale", READY: "1x40 0x1 stale"}
    check(series, "EvmonNotReady", dict.fromkeys(range(9, 20), 0), interval="15s")


def test_a_process_that_is_down_is_not_reported_as_not_ready_for_ever(check):
    series = {UP: "1x10 0x60", READY: "1x8 0x1 stale"}
    check(series, "EvmonNotReady", {30: 0, 60: 0})


def test_memory_of_a_removed_process_is_forgotten(check):
    memory = 'process_memory_usage_bytes{instance="a"}'
    series = {UP: "1x13 stale", memory: "9e8x13 stale", HANDLERS: "3x13 stale"}
    # Both the warning and the critical alert.
    check(series, "EvmonMemoryHigh", {12: 2, 15: 0})

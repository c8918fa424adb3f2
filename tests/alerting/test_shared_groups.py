"""Alerts on consumer groups that several services share, or that long handlers hold."""

import pytest

GROUP = 'messaging_destination_name="s",messaging_consumer_group_name="s"'
LAG = f'evmon_consumer_lag{{job="%s",instance="%s",{GROUP}}}'
CONSUMED = f'messaging_client_consumed_messages_total{{job="%s",instance="%s",{GROUP}}}'
IN_FLIGHT = 'evmon_events_in_flight{job="%s",instance="%s"}'
UPTIME = 'evmon_uptime_seconds{job="%s",instance="%s"}'
A, B = ("shop", "a"), ("mail", "b")


def test_a_group_that_another_job_reads_is_not_stalled(check):
    series = {
        LAG % A: "50x30",
        LAG % B: "50x30",
        CONSUMED % A: "7x30",
        CONSUMED % B: "0+9x30",
    }
    check(series, "EvmonConsumerStalled", {10: 0, 20: 0})


def test_a_shared_group_that_no_job_reads_is_stalled(check):
    series = {
        LAG % A: "50x30",
        LAG % B: "50x30",
        CONSUMED % A: "7x30",
        CONSUMED % B: "7x30",
        IN_FLIGHT % A: "0x30",
        IN_FLIGHT % B: "0x30",
    }
    check(series, "EvmonConsumerStalled", {10: 2, 20: 2})


@pytest.mark.parametrize("interval", ["15s", "1m"])
def test_a_group_whose_slots_are_full_of_long_handlers_is_not_stalled(check, interval):
    series = {LAG % A: "50x90", CONSUMED % A: "7x90", IN_FLIGHT % A: "10x90"}
    check(series, "EvmonConsumerStalled", {9: 0, 20: 0}, interval=interval)


def test_long_handlers_of_another_job_that_shares_the_group_are_progress(check):
    series = {
        LAG % A: "50x30",
        LAG % B: "50x30",
        CONSUMED % A: "7x30",
        IN_FLIGHT % A: "0x30",
        IN_FLIGHT % B: "10x30",
    }
    check(series, "EvmonConsumerStalled", {10: 0, 20: 0})


def test_one_stream_is_stalled_while_the_bus_reads_another(check):
    other = CONSUMED.replace('name="s",', 'name="t",') % A
    series = {
        LAG % A: "50x30",
        CONSUMED % A: "7x30",
        other: "0+60x30",
        IN_FLIGHT % A: "3x30",
    }
    check(series, "EvmonConsumerStalled", {10: 1, 20: 1})


def test_a_consumer_that_never_read_anything_is_stalled(check):
    known = LAG.replace("lag{", "lag_known{") % A
    series = {LAG % A: "_x5 50x30", known: "_x5 1x30"}
    check(series, "EvmonConsumerStalled", {6: 0, 12: 1})


def test_consumers_that_live_for_a_minute_are_progress(check):
    """Each is scraped once, so no counter grows between two scrapes."""
    series = {LAG % A: "50x40", CONSUMED % A: "7x40"}
    for life in range(40):
        of = ("shop", f"p{life}")
        before = f"_x{life} " if life else ""
        series[CONSUMED % of] = f"{before}20 stale"
        series[UPTIME % of] = f"{before}30 stale"
    check(series, "EvmonConsumerStalled", {10: 0, 20: 0, 30: 0})


def test_a_group_that_another_job_works_off_quickly_does_not_grow_too_long(check):
    series = {
        LAG % A: "200+10x60",
        LAG % B: "200+10x60",
        CONSUMED % A: "0+1x60",
        CONSUMED % B: "0+600x60",
    }
    check(series, "EvmonConsumerLagGrowing", {15: 0, 30: 0, 50: 0})


def test_a_consumer_that_is_gone_does_not_hold_the_age_of_the_group(check):
    """Its last value was high; another process reports that nothing waits any more."""
    age = f'evmon_consumer_unread_oldest_age_seconds{{instance="%s",{GROUP}}}'
    series = {
        age % "a": "0x5 2000x1 stale",
        age % "b": "0x40",
        'up{instance="a"}': "1x6 0x40",
        'up{instance="b"}': "1x46",
    }
    check(series, "EvmonConsumerLagOld", dict.fromkeys(range(8, 30), 0))


@pytest.mark.parametrize(("labels", "count"), [(("replica",), 0), ((), 1)])
def test_a_pair_of_prometheus_servers_does_not_count_twice_with_its_label(
    check, labels, count
):
    """Six retries, seen by each replica, are not twelve."""
    retries = 'evmon_retry_attempts_total{instance="a",error_type="X",replica="%s"}'
    uptime = 'evmon_uptime_seconds{instance="a",replica="%s"}'
    series = {retries % name: "0x9 6x20" for name in "xy"}
    series |= {uptime % name: "9000+60x30" for name in "xy"}
    check(series, "EvmonRetriesHigh", {13: count}, labels=labels)


def test_the_group_of_one_replica_does_not_hide_that_of_the_other(check):
    """With their label, replicas are told apart in groups that jobs share as well."""
    series = {}
    for name, consumed in (("x", "7x30"), ("y", "0+9x30")):
        series[(LAG % A).replace("}", f',replica="{name}"}}')] = "50x30"
        series[(CONSUMED % A).replace("}", f',replica="{name}"}}')] = consumed
    check(series, "EvmonConsumerStalled", {12: 1, 20: 1}, labels=("replica",))

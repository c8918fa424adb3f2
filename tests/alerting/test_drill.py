"""Alerts of each demo fault, through a real Prometheus and Alertmanager.

Each fault runs in a process and under a job name of its own. Its alerts, and no others,
must reach the receiver and be resolved. One process is killed while its alerts fire; then
EvmonTargetDown must inhibit them.
"""

import re
import time

import pytest
import yaml
from tests.alerting.alerting_stack import LIMITS, AlertingStack, get

from evmon._alerting.rules.scrapes import REMOVED
from evmon._alerting.rules_file import rules
from evmon._cli.faults import FAULTS

HANDLER_FAILURE_ALERTS = {
    "EvmonHandlerErrorsHigh",
    "EvmonRetriesExhausted",
    "EvmonDeadLettersGrowing",
    "EvmonDeadLetterQueueGrowing",
}
EXPECTED_ALERTS = {
    "healthy": set(),
    "cold-cache": {"EvmonCacheHitRateLow"},
    "memory": {"EvmonMemoryHigh"},
    "slow-discovery": {"EvmonDiscoveryProcessingSlow", "EvmonDiscoveryBatchP95High"},
    "retries": {"EvmonRetriesHigh"},
    "failing-handler": HANDLER_FAILURE_ALERTS,
    "killed": {*HANDLER_FAILURE_ALERTS, "EvmonTargetDown"},
}
MAX_SECONDS = 60
"""Limit of the drill: faults end after 20 s and leave the window after 30 s."""

DEAD_SECONDS = 12
"""Time after which no rate of a killed process is left; the rates' window is 10 s."""

SETTLE_SECONDS = 3
"""Time in which another alert would still be noticed."""

pytestmark = [pytest.mark.slow, pytest.mark.serial, pytest.mark.timeout(240)]


class Drill:
    """Result of the drill: notifications, inhibitions, and queries to Prometheus."""

    def __init__(self, stack, started):
        self._url = f"{stack.prometheus}/api/v1"
        self._started, self._ended = started, time.time()
        self.notifications = list(stack.receiver.notifications)
        self.inhibitions = list(stack.watch.inhibitions())
        self.alerts = {name: stack.watch.alerts_of(name) for name in EXPECTED_ALERTS}

    def query_range(self, query):
        """Return the series of a query over the whole drill."""
        answer = get(
            f"{self._url}/query_range",
            query=query,
            start=self._started,
            end=self._ended,
            step=1,
        )
        assert "matrix" == answer["data"]["resultType"]
        return answer["data"]["result"]

    def query(self, query):
        """Return the series of a query at the end of the drill."""
        return self._at(self._ended, query)

    def query_after_the_end(self, query):
        """Return the values of a query now, when "healthy" has been killed."""
        return [v for s in self._at(time.time(), query) for _, v in s["values"]]

    def _at(self, moment, query):
        answer = get(f"{self._url}/query", query=query, time=moment)
        assert "vector" == answer["data"]["resultType"]
        return [{**s, "values": [s["value"]]} for s in answer["data"]["result"]]

    def notifications_of(self, service):
        """Return the notifications on a service."""
        return [n for n in self.notifications if n["labels"].get("job") == service]


@pytest.fixture(scope="module")
def drill(tmp_path_factory, redis_server, root):
    with redis_server.client() as client:
        client.flushall()  # other tests use the same stream
    services = {name: name for name in EXPECTED_ALERTS} | {"killed": "failing-handler"}
    folder = tmp_path_factory.mktemp("drill")
    started = time.time()
    with AlertingStack(folder, root, redis_server, services) as stack:
        _kill_and_restart_one(stack)
        _wait_until_resolved(stack, started + MAX_SECONDS)
        time.sleep(SETTLE_SECONDS)
        found = Drill(stack, started)
        stack.kill("healthy")
        time.sleep(DEAD_SECONDS)
        yield found


def _wait_until_resolved(stack, deadline):
    """Wait until each expected alert has fired and none is left."""
    while time.time() < deadline:
        all_fired = all(
            names <= stack.watch.alerts_of(service)
            for service, names in EXPECTED_ALERTS.items()
        )
        if all_fired and not stack.watch.polls[-1]:
            return
        time.sleep(0.5)


def _kill_and_restart_one(stack):
    def fires(alerts):
        return any(
            a["labels"]["alertname"] == "EvmonHandlerErrorsHigh"
            and a["labels"]["job"] == "killed"
            for a in alerts
        )

    def inhibits(alerts):
        down = {
            a["fingerprint"]
            for a in alerts
            if a["labels"]["alertname"] == "EvmonTargetDown"
        }
        return any(down & {*a["status"]["inhibitedBy"]} for a in alerts)

    stack.watch.wait_until(fires, 40)
    stack.kill("killed")
    # Alertmanager sends no notification of an alert that is resolved while inhibited, so
    # the restart must end the inhibition before the failures leave the window.
    stack.watch.wait_until(inhibits, 20)
    stack.start("killed")


def test_the_drill_covers_every_fault_of_the_demo():
    assert EXPECTED_ALERTS.keys() - {"healthy", "killed"} == set(FAULTS)
    for name, fault in FAULTS.items():
        assert fault.alert in EXPECTED_ALERTS[name]


@pytest.mark.parametrize("service", EXPECTED_ALERTS)
def test_a_fault_raises_exactly_the_expected_alerts(drill, service):
    assert EXPECTED_ALERTS[service] == drill.alerts[service]


@pytest.mark.parametrize("service", EXPECTED_ALERTS)
def test_the_alerts_of_a_fault_are_resolved(drill, service):
    last = {
        n["labels"]["alertname"]: n["status"] for n in drill.notifications_of(service)
    }
    # Alertmanager does not notify that an inhibited alert is resolved.
    inhibited = {
        suppressed["alertname"]
        for suppressed, _ in drill.inhibitions
        if suppressed["job"] == service
    }

    assert EXPECTED_ALERTS[service] <= last.keys() | inhibited
    for name in last.keys() - inhibited:
        assert "resolved" == last[name], name


def test_a_notification_has_receiver_labels_and_annotations(drill):
    (notification, *_) = [
        n for n in drill.notifications_of("memory") if n["status"] == "firing"
    ]

    assert "evmon-warning" == notification["receiver"]
    assert "warning" == notification["labels"]["severity"]
    assert notification["labels"]["instance"].startswith("127.0.0.1:")
    assert "the limit is 100MB" in notification["annotations"]["description"]
    assert notification["annotations"]["runbook_url"].endswith("EvmonMemoryHigh.md")
    assert "var-job=memory" in notification["annotations"]["dashboard_url"]


def test_a_critical_alert_inhibits_the_warning_of_the_same_name(drill):
    severities = {n["labels"]["severity"] for n in drill.notifications_of("cold-cache")}
    pairs = [
        (suppressed["severity"], by["severity"])
        for suppressed, by in drill.inhibitions
        if suppressed["alertname"] == by["alertname"] == "EvmonCacheHitRateLow"
    ]

    assert "critical" in severities
    assert {("warning", "critical")} == set(pairs)


def test_a_target_that_is_down_inhibits_only_its_own_other_alerts(drill):
    pairs = [
        (suppressed["job"], suppressed["alertname"])
        for suppressed, by in drill.inhibitions
        if by["alertname"] == "EvmonTargetDown"
    ]

    assert pairs
    assert {"killed"} == {job for job, _ in pairs}
    assert HANDLER_FAILURE_ALERTS >= {name for _, name in pairs}


def test_every_query_of_the_dashboards_returns_data(drill, panels, without_variables):
    found = {
        (panel["title"], target["refId"]): _numbers(
            drill, without_variables, target, ".+"
        )
        for panel, target in panels
    }

    assert [] == [where for where, numbers in found.items() if not numbers]


def test_a_healthy_service_has_data_in_every_panel(drill, panels, without_variables):
    empty = {
        panel["title"]
        for panel, target in panels
        if not _numbers(drill, without_variables, target, "healthy")
    }

    # These say "no retries" and "no scans".
    assert {"Retry delay", "Scan of a provider"} == empty


def test_no_panel_has_a_value_for_an_unknown_job(drill, panels, without_variables):
    found = {
        panel["title"]: drill.query_after_the_end(
            without_variables(target["expr"].replace("$job", "nobody"))
        )
        for panel, target in panels
    }

    assert {} == {title: values for title, values in found.items() if values}


def test_no_panel_looks_healthy_when_the_only_process_was_killed(
    drill, panels, without_variables
):
    found = {
        panel["title"]: drill.query_after_the_end(
            without_variables(target["expr"].replace("$job", "healthy"))
        )
        for panel, target in panels
    }

    assert ["0"] == found.pop("Targets up")
    assert ["1"] == found.pop("Targets down")
    assert 5 < float(*found.pop("Failed scrapes"))
    assert {} == {title: values for title, values in found.items() if values}


def _numbers(drill, without_variables, target, job):
    """Return the values of a panel's query, after checking the labels of its series."""
    query = drill.query if target.get("instant") else drill.query_range
    series = query(without_variables(target["expr"].replace("$job", job)))
    in_legend = {*re.findall(r"{{(\w+)}}", target.get("legendFormat", ""))}
    needed = in_legend - {"error_type"}  # absent without a failure
    if target.get("format") == "heatmap":
        needed.add("le")
    for one in series:
        keys = one["metric"].keys()
        assert needed <= keys, (target["expr"], one["metric"])
        assert not in_legend or in_legend & keys, f"empty legend: {target['expr']}"
    return [v for one in series for _, v in one["values"] if v != "NaN"]


def test_every_recording_rule_has_data(drill):
    for group in yaml.safe_load(rules(LIMITS))["groups"]:
        for rule in group["rules"]:
            # No target is removed in the drill.
            if rule.get("record", REMOVED) != REMOVED:
                assert drill.query_range(rule["record"]), rule["record"]

"""The fire drill: a real Prometheus, a real Alertmanager, and every fault of the demo.

Each fault runs in a process of its own, under a service name of its own. Its alerts must
arrive at a receiver, with the right labels, and resolve; nobody else's may. One process is
killed while its alerts fire: that it is gone must silence them.
"""

import re
import time

import pytest
import yaml
from tests.alerting.stage import LIMITS, Stage, get

from evmon._alerting.rules_file import rules
from evmon._cli.faults import FAULTS

_FAILS = {
    "EvmonHandlerErrorsHigh",
    "EvmonRetriesExhausted",
    "EvmonDeadLettersGrowing",
}
OWN_ALERTS = {
    "healthy": set(),
    "cold-cache": {"EvmonCacheHitRateLow"},
    "memory": {"EvmonMemoryHigh"},
    "slow-discovery": {"EvmonDiscoveryProcessingSlow", "EvmonDiscoveryBatchP95High"},
    "retries": {"EvmonRetriesHigh"},
    "failing-handler": _FAILS,
    "killed": {*_FAILS, "EvmonTargetDown"},
}
DURATION = 60
"""Seconds: faults end at 20, their window is over at 30, and all is quiet again."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


class Drill:
    """What came of it: notices, inhibitions, and answers of Prometheus."""

    def __init__(self, stage, started):
        self._url = f"{stage.prometheus}/api/v1"
        self._started, self._ended = started, time.time()
        self.notices = stage.receiver.notices
        self.inhibitions = list(stage.watch.inhibitions())

    def ask(self, query):
        """The series of a query over the whole drill."""
        answer = get(
            f"{self._url}/query_range",
            query=query,
            start=self._started,
            end=self._ended,
            step=1,
        )
        assert answer["data"]["resultType"] == "matrix"
        return answer["data"]["result"]

    def ask_now(self, query):
        """The series of a query at the end of the drill."""
        answer = get(f"{self._url}/query", query=query, time=self._ended)
        assert answer["data"]["resultType"] == "vector"
        return [{**s, "values": [s["value"]]} for s in answer["data"]["result"]]

    def of(self, service):
        """The notices about a service."""
        return [n for n in self.notices if n["labels"].get("job") == service]


@pytest.fixture(scope="module")
def drill(tmp_path_factory, redis_server, root):
    with redis_server.client() as client:
        client.flushall()  # other tests have a service of this name as well
    services = {name: name for name in OWN_ALERTS} | {"killed": "failing-handler"}
    folder = tmp_path_factory.mktemp("drill")
    started = time.time()
    with Stage(folder, root, redis_server, services) as stage:
        _kill_one(stage)
        time.sleep(max(0, started + DURATION - time.time()))
        yield Drill(stage, started)


def _kill_one(stage):
    def fires(name):
        return lambda alerts: any(
            a["labels"]["alertname"] == name and a["labels"]["job"] == "killed"
            for a in alerts
        )

    stage.watch.until(fires("EvmonHandlerErrorsHigh"), 40)
    stage.kill("killed")
    stage.watch.until(fires("EvmonTargetDown"), 20)
    time.sleep(3)
    stage.start("killed")


def test_the_drill_is_about_every_fault_of_the_demo():
    assert set(FAULTS) == OWN_ALERTS.keys() - {"healthy", "killed"}
    for name, fault in FAULTS.items():
        assert fault.alert in OWN_ALERTS[name]


@pytest.mark.parametrize("service", OWN_ALERTS)
def test_a_fault_raises_exactly_its_own_alerts(drill, service):
    raised = {notice["labels"]["alertname"] for notice in drill.of(service)}

    assert raised == OWN_ALERTS[service]


@pytest.mark.parametrize("service", OWN_ALERTS)
def test_the_alerts_of_a_fault_clear(drill, service):
    last = {n["labels"]["alertname"]: n["status"] for n in drill.of(service)}

    assert last == dict.fromkeys(OWN_ALERTS[service], "resolved")


def test_an_alert_arrives_with_all_that_a_person_needs(drill):
    (notice, *_) = [n for n in drill.of("memory") if n["status"] == "firing"]

    assert notice["receiver"] == "evmon-warning"
    assert notice["labels"]["severity"] == "warning"
    assert notice["labels"]["instance"].startswith("127.0.0.1:")
    assert "the limit is 100MB" in notice["annotations"]["description"]
    assert notice["annotations"]["runbook_url"].endswith("EvmonMemoryHigh.md")
    assert "var-job=memory" in notice["annotations"]["dashboard_url"]


def test_a_critical_alert_inhibits_its_own_warning(drill):
    severities = {n["labels"]["severity"] for n in drill.of("cold-cache")}
    pairs = [
        (suppressed["severity"], by["severity"])
        for suppressed, by in drill.inhibitions
        if suppressed["alertname"] == by["alertname"] == "EvmonCacheHitRateLow"
    ]

    assert "critical" in severities
    assert {("warning", "critical")} == set(pairs)


def test_a_target_that_is_down_inhibits_its_other_alerts_and_nobody_elses(drill):
    pairs = [
        (suppressed["job"], suppressed["alertname"])
        for suppressed, by in drill.inhibitions
        if by["alertname"] == "EvmonTargetDown"
    ]

    assert pairs
    assert {"killed"} == {job for job, _ in pairs}
    assert {name for _, name in pairs} <= _FAILS


EMPTY_WHILE_HEALTHY = {}
"""Panels without data while nothing is wrong, and why that is right."""


def test_every_query_of_the_dashboards_returns_data_of_its_kind(drill, panels, plain):
    found = {
        (panel["title"], target["refId"]): _numbers(drill, target, plain, ".+")
        for panel, target in panels
    }

    assert [] == [where for where, numbers in found.items() if not numbers]


def test_a_healthy_service_has_data_in_every_panel(drill, panels, plain):
    empty = {
        panel["title"]
        for panel, target in panels
        if not _numbers(drill, target, plain, "healthy")
    }

    assert EMPTY_WHILE_HEALTHY.keys() == empty


def _numbers(drill, target, plain, job):
    """What a panel shows, after a look at whether it is of the panel's kind."""
    ask = drill.ask_now if target.get("instant") else drill.ask
    series = ask(plain(target["expr"].replace("$job", job)))
    shown = {*re.findall(r"{{(\w+)}}", target.get("legendFormat", ""))}
    needed = shown - {"error_type"}  # what did not fail has none
    if target.get("format") == "heatmap":
        needed.add("le")
    for one in series:
        keys = one["metric"].keys()
        assert needed <= keys, (target["expr"], one["metric"])
        assert not shown or shown & keys, f"blank in the legend: {target['expr']}"
    return [v for one in series for _, v in one["values"] if v != "NaN"]


def test_every_recording_rule_has_data(drill):
    for group in yaml.safe_load(rules(LIMITS))["groups"]:
        for rule in group["rules"]:
            if "record" in rule:
                assert drill.ask(rule["record"]), rule["record"]

"""A real run emits every metric and label in rules, dashboards and runbooks."""

import asyncio
import contextlib
import os
import re
import urllib.request

import pytest
import yaml
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import Gauge, Histogram, InMemoryMetricReader, Sum
from prometheus_client.parser import text_string_to_metric_families

from evmon import (
    Event,
    EventBus,
    MetricsConfig,
    Reject,
    RetryLater,
    RetryPolicy,
    Thresholds,
)
from evmon._alerting.rules.recording import recording_rules
from evmon._telemetry.instruments import INSTRUMENTS
from evmon._telemetry.naming import prometheus_name

SCRAPE_LABELS = {"cluster", "namespace", "job", "instance", "__name__"}
FROM_PROMETHEUS = {"up", "scrape_duration_seconds"}

OPTIONAL_LABELS = {
    # Present only beyond the cardinality limit.
    "otel_metric_overflow",
    # Present only if the resource has a version.
    "service_version",
}

UNUSED = {
    # Details of a process that no rule and no panel uses.
    "process_memory_virtual_bytes",
    "process_threads",
    # Derived by the monitor, for `evmon check` and for setups without the rules.
    "evmon_cache_hit_ratio",
    "evmon_dead_letters_recent",
    "evmon_discovery_batch_duration_average_seconds",
    "evmon_threshold_breached",
    "evmon_threshold_limit",
    "evmon_threshold_value",
}


class Flaky:
    """Handlers that fail and are retried, delayed or rejected."""

    def __init__(self):
        self._seen = set()

    async def once(self, event: Event) -> None:
        if event.id not in self._seen:
            self._seen.add(event.id)
            raise OSError

    async def later(self, event: Event) -> None:
        if event.id not in self._seen:
            self._seen.add(event.id)
            raise RetryLater(1.5)

    async def never(self, event: Event) -> None:
        raise Reject("never")


@contextlib.asynccontextmanager
async def _busy(redis_server):
    """Run a bus on Redis that emits every metric; yield the text of /metrics."""
    with redis_server.client() as client:
        client.flushall()
    flaky = Flaky()
    bus = EventBus(
        service="shop", transport=redis_server.url, metrics=MetricsConfig(port=0)
    )
    retry = RetryPolicy(base_delay=0.01)
    bus.add_handler("order.once", flaky.once, retry=retry)
    bus.add_handler("order.later", flaky.later)
    bus.add_handler("order.never", flaky.never)
    bus.register(object())
    async with bus:
        for name in ("once", "later", "never", "unheard_of"):
            await bus.publish(f"order.{name}", {"id": 7})
        bus.register(Flaky())
        for _ in range(100):
            shown = await asyncio.to_thread(_get, bus.metrics_url)
            if "evmon_dead_letters" in shown and _is_complete(shown):
                break
            await asyncio.sleep(0.1)
        yield shown


def _clear_settings(patch):
    """Remove settings from the environment, as conftest.py does for each test."""
    for name in list(os.environ):
        if name.startswith(("EVMON_", "OTEL_")):
            patch.delenv(name)


@pytest.fixture(scope="module")
def emitted(redis_server):
    """The labels of each series on /metrics, by name."""

    async def scrape():
        async with _busy(redis_server) as text:
            return text

    with pytest.MonkeyPatch.context() as patch:
        _clear_settings(patch)
        text = asyncio.run(scrape())
    families = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            families.setdefault(sample.name, set()).update(sample.labels)
    return families


@pytest.fixture(scope="module")
def pushed(redis_server):
    """The labels of each series that arrives over OTLP, by the Collector's name."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])

    async def collect():
        async with _busy(redis_server):
            return await asyncio.to_thread(reader.get_metrics_data)

    with pytest.MonkeyPatch.context() as patch:
        _clear_settings(patch)
        patch.setattr(metrics, "get_meter_provider", lambda: provider)
        data = asyncio.run(collect())
    provider.shutdown()
    found = {}
    for resource in data.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                labels = {re.sub(r"\W", "_", key) for key in _attributes(metric)}
                for name in _collector_names(metric):
                    found.setdefault(name, set()).update(labels)
    return found


def _attributes(metric):
    return set().union(*(point.attributes for point in metric.data.data_points))


COLLECTOR_UNITS = {"s": "seconds", "By": "bytes", "ms": "milliseconds", "1": "ratio"}


def _collector_names(metric):
    """Return a metric's series, named as by the Collector's Prometheus exporter.

    By the specification "OTLP Metric points to Prometheus", the parts of the name are joined
    by underscores, and the unit and ``total`` are appended unless they are present.
    """
    parts = re.findall(r"[a-zA-Z0-9:]+", metric.name)
    is_counter = isinstance(metric.data, Sum) and metric.data.is_monotonic
    unit = COLLECTOR_UNITS.get(metric.unit, "")
    if metric.unit == "1" and not isinstance(metric.data, Gauge):
        unit = ""
    if unit and unit not in parts:
        parts.append(unit)
    if is_counter:
        parts = [part for part in parts if part != "total"] + ["total"]
    name = "_".join(parts)
    if isinstance(metric.data, Histogram):
        return [f"{name}_{suffix}" for suffix in ("bucket", "sum", "count")]
    return [name]


def _get(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read().decode()


def _is_complete(shown):
    wanted = ("evmon_retry_delay_seconds_count", "evmon_event_wait_duration_seconds")
    return all(name in shown for name in wanted)


def _base(name):
    return re.sub(r"_(bucket|sum|count)$", "", name)


@pytest.fixture
def rule_queries(root):
    """Every rule: name, PromQL."""
    rules = yaml.safe_load((root / "alerts/evmon-rules.yaml").read_text("utf-8"))
    return [
        (rule.get("alert", rule.get("record")), rule["expr"])
        for group in rules["groups"]
        for rule in group["rules"]
    ]


@pytest.fixture
def dashboard_queries(queries, annotation_queries, without_variables):
    """Every query of panels and annotations: place, PromQL."""
    return [
        (f"{uid}: {title}", without_variables(expr))
        for uid, title, expr in [*queries, *annotation_queries]
    ]


def test_every_metric_and_label_in_use_is_emitted(
    emitted, rule_queries, dashboard_queries, runbook_queries, parse_promql
):
    recorded = {rule.name for rule in recording_rules(Thresholds())}
    all_labels = set().union(*emitted.values()) | SCRAPE_LABELS | OPTIONAL_LABELS
    used = set()

    for where, expression in [*rule_queries, *dashboard_queries, *runbook_queries]:
        found, grouped = parse_promql(expression)
        assert grouped <= all_labels, (where, grouped - all_labels)
        for name, matchers in found:
            if name in FROM_PROMETHEUS or any(re.fullmatch(name, r) for r in recorded):
                continue
            names = [n for n in emitted if re.fullmatch(name, n)]
            assert names, f"{where}: {name} is not emitted"
            known = set().union(*(emitted[n] for n in names))
            missing = matchers.keys() - known - SCRAPE_LABELS - OPTIONAL_LABELS
            assert not missing, f"{where}: {name} has no label {missing}"
            if len(names) == 1:
                used.add(_base(name))

    unused = {_base(name) for name in emitted} - used - UNUSED
    assert not unused, "neither used nor listed in UNUSED"
    assert not (UNUSED & used), "listed in UNUSED, but used"


def test_every_metric_and_label_of_the_rules_arrives_over_otlp(
    pushed, rule_queries, parse_promql
):
    recorded = {rule.name for rule in recording_rules(Thresholds())}
    labels = set().union(*pushed.values()) | SCRAPE_LABELS | OPTIONAL_LABELS | {"le"}

    for where, expression in rule_queries:
        found, grouped = parse_promql(expression)
        assert grouped <= labels, (where, grouped - labels)
        for name, matchers in found:
            if name in recorded or name in FROM_PROMETHEUS:
                continue
            names = [n for n in pushed if re.fullmatch(name, n)]
            assert names, f"{where}: {name} does not arrive over OTLP"
            known = set().union(*(pushed[n] for n in names))
            missing = matchers.keys() - known - SCRAPE_LABELS - OPTIONAL_LABELS
            assert not missing, f"{where}: {name} has no label {missing}"


OTHER_NAME_OVER_OTLP = {
    # The name of the semantic convention; /metrics has it without "count".
    "process_threads": "process_thread_count",
}


def test_a_metric_has_the_same_name_on_metrics_and_over_otlp(pushed):
    names = {_base(name) for name in pushed if "thread" not in name} | {
        name for name in pushed if "thread" in name
    }

    for row in INSTRUMENTS:
        name = prometheus_name(row)
        assert OTHER_NAME_OVER_OTLP.get(name, name) in names, name


def test_every_instrument_of_the_table_is_emitted(emitted):
    bases = {_base(name) for name in emitted}

    assert {prometheus_name(row) for row in INSTRUMENTS} <= bases


def test_the_runbooks_name_only_documented_settings(root):
    settings = (root / "docs/configuration.md").read_text("utf-8")
    settings += (root / "docs/telemetry.md").read_text("utf-8")

    for page in (root / "docs" / "runbooks").glob("*.md"):
        for name in re.findall(r"EVMON_[A-Z0-9_]+", page.read_text("utf-8")):
            assert name in settings, f"{page.name}: {name}"

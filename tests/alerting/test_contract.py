"""Every name in rules, dashboards and runbooks is one that a real run emits."""

import asyncio
import contextlib
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
from evmon._alerting.rules.recording import recordings
from evmon._telemetry.instruments import INSTRUMENTS
from evmon._telemetry.naming import prometheus_name

SCRAPE_LABELS = {"job", "instance", "__name__"}
FROM_PROMETHEUS = {"up"}

ONLY_SOMETIMES = {
    # The cardinality limit is not reached in a run that is right.
    "otel_metric_overflow",
    # It says the version only when the resource has one.
    "service_version",
}

DETAIL = {
    # For a look at a process; no rule and no panel is about them.
    "process_memory_virtual_bytes",
    "process_threads",
    # The monitor's own view, for `evmon check` and for those who have no rules.
    "evmon_cache_hit_ratio",
    "evmon_dead_letters_recent",
    "evmon_discovery_batch_duration_average_seconds",
    "evmon_threshold_breached",
    "evmon_threshold_limit",
    "evmon_threshold_value",
}


class Flaky:
    """Fails in every way that there is."""

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
async def _busy(server):
    """A run on Redis in which everything happens; gives the text of /metrics."""
    flaky = Flaky()
    bus = EventBus(service="shop", transport=server.url, metrics=MetricsConfig(port=0))
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


@pytest.fixture
async def emitted(server):
    """What a run shows on /metrics: the labels of each name."""
    async with _busy(server) as shown:
        families = {}
        for family in text_string_to_metric_families(shown):
            for sample in family.samples:
                families.setdefault(sample.name, set()).update(sample.labels)
        return families


@pytest.fixture
async def pushed(server, monkeypatch):
    """What an application's own provider exports, as a Collector hands it on."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: provider)
    async with _busy(server):
        data = await asyncio.to_thread(reader.get_metrics_data)
    await asyncio.to_thread(provider.shutdown)
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
    """The series of a metric, by the rules of the Collector's Prometheus exporter.

    They are written down in the specification, "OTLP Metric points to Prometheus": parts of
    the name by underscores, the unit and ``total`` at the end unless they are there.
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
def ruled(root):
    """The expressions of the rules, by name."""
    rules = yaml.safe_load((root / "alerts/evmon-rules.yaml").read_text("utf-8"))
    return [
        (rule.get("alert", rule.get("record")), rule["expr"])
        for group in rules["groups"]
        for rule in group["rules"]
    ]


async def test_every_name_and_label_in_use_is_emitted(
    emitted, ruled, queries, notes, plain, pasted, selectors
):
    shown = [
        (f"{uid}: {title}", plain(expr)) for uid, title, expr in [*queries, *notes]
    ]
    recorded = {rule.name for rule in recordings(Thresholds())}
    all_labels = set().union(*emitted.values()) | SCRAPE_LABELS | ONLY_SOMETIMES
    used = set()

    for where, expression in [*ruled, *shown, *pasted]:
        found, grouped = selectors(expression)
        assert grouped <= all_labels, (where, grouped - all_labels)
        for name, matchers in found:
            if name in FROM_PROMETHEUS or any(re.fullmatch(name, r) for r in recorded):
                continue
            names = [n for n in emitted if re.fullmatch(name, n)]
            assert names, f"{where}: nobody emits {name}"
            known = set().union(*(emitted[n] for n in names))
            missing = matchers.keys() - known - SCRAPE_LABELS - ONLY_SOMETIMES
            assert not missing, f"{where}: {name} has no label {missing}"
            if len(names) == 1:
                used.add(_base(name))

    unused = {_base(name) for name in emitted} - used - DETAIL
    assert not unused, "neither used nor listed as detail"
    assert not (DETAIL & used), "listed as detail, and used"


async def test_every_name_and_label_of_the_rules_comes_by_otlp_too(
    pushed, ruled, selectors
):
    recorded = {rule.name for rule in recordings(Thresholds())}
    labels = set().union(*pushed.values()) | SCRAPE_LABELS | ONLY_SOMETIMES | {"le"}

    for where, expression in ruled:
        found, grouped = selectors(expression)
        assert grouped <= labels, (where, grouped - labels)
        for name, matchers in found:
            if name in recorded or name in FROM_PROMETHEUS:
                continue
            names = [n for n in pushed if re.fullmatch(name, n)]
            assert names, f"{where}: no {name} comes by OTLP"
            known = set().union(*(pushed[n] for n in names))
            missing = matchers.keys() - known - SCRAPE_LABELS - ONLY_SOMETIMES
            assert not missing, f"{where}: {name} has no label {missing}"


NOT_BY_OTLP = {
    # The semantic convention's name, where /metrics has one without "count".
    "process_threads": "process_thread_count",
}


async def test_a_name_is_the_same_by_both_routes(pushed):
    names = {_base(name) for name in pushed if "thread" not in name} | {
        name for name in pushed if "thread" in name
    }

    for row in INSTRUMENTS:
        name = prometheus_name(row)
        assert NOT_BY_OTLP.get(name, name) in names, name


async def test_every_instrument_of_the_table_is_emitted(emitted):
    bases = {_base(name) for name in emitted}

    assert {prometheus_name(row) for row in INSTRUMENTS} <= bases


def test_the_runbooks_name_only_settings_that_exist(root):
    settings = (root / "docs/configuration.md").read_text("utf-8")
    settings += (root / "docs/telemetry.md").read_text("utf-8")

    for page in (root / "docs" / "runbooks").glob("*.md"):
        for name in re.findall(r"EVMON_[A-Z0-9_]+", page.read_text("utf-8")):
            assert name in settings, f"{page.name}: {name}"

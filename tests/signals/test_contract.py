"""Every name in rules, dashboards and runbooks is one that a real run emits."""

import asyncio
import re
import urllib.request

import pytest
import yaml
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
from evmon._signals.recording import recordings
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


@pytest.fixture
async def emitted(server):
    """What a run on Redis shows on /metrics: the labels of each name."""
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

        async def text():
            return await asyncio.to_thread(_get, bus.metrics_url)

        for _ in range(100):
            shown = await text()
            if "evmon_dead_letters" in shown and _is_complete(shown):
                break
            await asyncio.sleep(0.1)
    families = {}
    for family in text_string_to_metric_families(shown):
        for sample in family.samples:
            families.setdefault(sample.name, set()).update(sample.labels)
    return families


def _get(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read().decode()


def _is_complete(shown):
    wanted = ("evmon_retry_delay_seconds_count", "evmon_event_wait_duration_seconds")
    return all(name in shown for name in wanted)


def _base(name):
    return re.sub(r"_(bucket|sum|count)$", "", name)


async def test_every_name_and_label_in_use_is_emitted(
    emitted, root, queries, notes, plain, pasted, selectors
):
    rules = yaml.safe_load((root / "alerts/evmon-rules.yaml").read_text("utf-8"))
    ruled = [
        (rule.get("alert", rule.get("record")), rule["expr"])
        for group in rules["groups"]
        for rule in group["rules"]
    ]
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
            if name in recorded or name in FROM_PROMETHEUS:
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


async def test_every_instrument_of_the_table_is_emitted(emitted):
    bases = {_base(name) for name in emitted}

    assert {prometheus_name(row) for row in INSTRUMENTS} <= bases


def test_the_runbooks_name_only_settings_that_exist(root):
    settings = (root / "docs/configuration.md").read_text("utf-8")
    settings += (root / "docs/telemetry.md").read_text("utf-8")

    for page in (root / "docs" / "runbooks").glob("*.md"):
        for name in re.findall(r"EVMON_[A-Z0-9_]+", page.read_text("utf-8")):
            assert name in settings, f"{page.name}: {name}"

"""The reader hands out what it received: looks, families and scrapes, side by side."""

import threading

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from evmon._telemetry import instruments as i
from evmon._telemetry.buffered_meter import BufferedMeter
from evmon._telemetry.meter import InstrumentMeter
from evmon._telemetry.reader import Reader
from evmon._telemetry.snapshot import Snapshot
from evmon._telemetry.text_format import RenderedFamily

LINE = 'evmon_cache_lookups_total{evmon_cache_result="hit"} 2.0\n'


class Wired:
    """A reader with a provider before it, and what was measured beside it."""

    def __init__(self, bulk):
        self.registry = CollectorRegistry()
        self.bulk = bulk
        self.reader = Reader(self.registry, bulk)
        self.provider = MeterProvider([self.reader], shutdown_on_exit=False)
        self.sdk = InstrumentMeter(self.provider.get_meter("evmon"))
        self.meter = bulk or self.sdk
        self.foreign = self.provider.get_meter("theirs").create_counter("orders")
        # The SDK hands over nothing when it has nothing; a service has its process.
        self.foreign.add(0)


@pytest.fixture(params=[True, False], ids=["bulk", "sdk"])
def wired(request):
    wired = Wired(BufferedMeter() if request.param else None)
    yield wired
    wired.provider.shutdown()


@pytest.fixture
def hit(wired):
    return wired.meter.bind(i.CACHE_LOOKUPS, {"evmon.cache.result": "hit"})


def total(data):
    return Snapshot(data).total(i.CACHE_LOOKUPS)


def names(families):
    return [family.name for family in families]


def test_a_look_sees_what_was_measured_and_keeps_it(wired, hit):
    assert wired.reader.latest is None
    hit(2)
    assert total(wired.reader.read()) == 2
    hit(1)
    assert total(wired.reader.latest) == 2
    assert total(wired.reader.read()) == 3


def test_families_show_ours_and_theirs(wired, hit):
    hit(2)
    wired.foreign.add(5)
    families = wired.reader.families()

    assert all(isinstance(family, Metric) for family in families)
    values = {s.name: s.value for f in families for s in f.samples}
    assert values["evmon_cache_lookups_total"] == 2
    assert values["orders_total"] == 5
    assert "target_info" in values


def test_a_scrape_has_ours_written_out_and_theirs_as_families(wired, hit):
    hit(2)
    wired.foreign.add(5)
    (ours, *others) = wired.reader.scrape()

    assert isinstance(ours, RenderedFamily)
    assert (ours.name, ours.lines) == ("evmon_cache_lookups", LINE)
    assert set(names(others)) == {"target", "orders"}


def test_a_scrape_is_no_other_than_the_next(wired, hit):
    hit(2)
    for _ in range(3):
        assert [
            f.lines for f in wired.reader.scrape() if isinstance(f, RenderedFamily)
        ] == [LINE]
        assert names(wired.reader.families()).count("evmon_cache_lookups") == 1


def test_what_is_measured_through_the_sdk_too_stands_beside_the_bulk():
    wired = Wired(BufferedMeter())
    wired.bulk.bind(i.CACHE_ENTRIES)(1)
    wired.sdk.bind(i.CONSUMER_READY)(1)
    data = wired.reader.read()
    wired.provider.shutdown()

    scopes = data.resource_metrics[0].scope_metrics
    (ours,) = [scope for scope in scopes if scope.scope.name == "evmon"]
    assert {m.name for m in ours.metrics} == {
        i.CACHE_ENTRIES.name,
        i.CONSUMER_READY.name,
    }


class Derives(Collector):
    """A family that is derived from a look of its own, as the monitor's are."""

    def __init__(self, reader):
        self._reader = reader

    def collect(self):
        value = total(self._reader.read())
        return [GaugeMetricFamily("derived", "From a look.", value=value)]

    def describe(self):
        return []


def test_a_family_may_be_derived_from_a_look_while_a_scrape_goes_on(wired, hit):
    wired.registry.register(Derives(wired.reader))
    hit(2)
    for collect in (wired.reader.families, wired.reader.scrape):
        found = collect()
        assert names(found).count("evmon_cache_lookups") == 1
        (derived,) = [f for f in found if f.name == "derived"]
        assert derived.samples[0].value == 2


def test_a_scrape_that_fails_leaves_the_next_one_whole(wired, hit):
    class Fails(Collector):
        def collect(self):
            raise ZeroDivisionError

        def describe(self):
            return []

    hit(2)
    fails = Fails()
    wired.registry.register(fails)
    with pytest.raises(ZeroDivisionError):
        wired.reader.scrape()
    wired.registry.unregister(fails)

    assert "evmon_cache_lookups" in names(wired.reader.families())
    assert wired.reader.scrape()[0].lines == LINE


def test_threads_may_look_and_scrape_at_once(wired, hit):
    hit(2)
    wrong = []

    def use():
        for _ in range(20):
            found = [
                f.lines for f in wired.reader.scrape() if isinstance(f, RenderedFamily)
            ]
            if found != [LINE] or total(wired.reader.read()) != 2:
                wrong.append(found)
            if names(wired.reader.families()).count("evmon_cache_lookups") != 1:
                wrong.append("families")

    threads = [threading.Thread(target=use) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_family_of_the_registry_without_a_value_has_no_sample(wired):
    unknown = GaugeMetricFamily("unknown", "x", value=float("nan"))

    class Shows(Collector):
        def collect(self):
            return [unknown]

        def describe(self):
            return []

    wired.registry.register(Shows())
    (family,) = [f for f in wired.reader.families() if f.name == "unknown"]
    assert family.samples == []

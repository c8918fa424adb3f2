"""The reader: collected data, metric families and scrapes."""

import threading

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from evmon._telemetry import instruments as i
from evmon._telemetry.buffered_meter import BufferedMeter
from evmon._telemetry.instrument_meter import InstrumentMeter
from evmon._telemetry.reader import Reader
from evmon._telemetry.snapshot import Snapshot
from evmon._telemetry.text_format import RenderedFamily

LINE = 'evmon_cache_lookups_total{evmon_cache_result="hit"} 2.0\n'


class ConnectedReader:
    """A reader with its provider, evmon's meter and a foreign counter."""

    def __init__(self, bulk):
        self.registry = CollectorRegistry()
        self.bulk = bulk
        self.reader = Reader(self.registry, bulk)
        self.provider = MeterProvider([self.reader], shutdown_on_exit=False)
        self.sdk = InstrumentMeter(self.provider.get_meter("evmon"))
        self.meter = bulk or self.sdk
        self.foreign = self.provider.get_meter("theirs").create_counter("orders")
        # Without any value the SDK does not call the reader at all.
        self.foreign.add(0)


@pytest.fixture(params=[True, False], ids=["bulk", "sdk"])
def wired(request):
    wired = ConnectedReader(BufferedMeter() if request.param else None)
    yield wired
    wired.provider.shutdown()


@pytest.fixture
def hit(wired):
    return wired.meter.bind(i.CACHE_LOOKUPS, {"evmon.cache.result": "hit"})


def total(data):
    return Snapshot(data).total(i.CACHE_LOOKUPS)


def names(families):
    return [family.name for family in families]


def test_read_collects_and_latest_returns_the_last_collection(wired, hit):
    assert wired.reader.latest is None
    hit(2)
    assert 2 == total(wired.reader.read())
    hit(1)
    assert 2 == total(wired.reader.latest)
    assert 3 == total(wired.reader.read())


def test_families_include_metrics_of_evmon_and_others(wired, hit):
    hit(2)
    wired.foreign.add(5)
    families = wired.reader.families()

    assert all(isinstance(family, Metric) for family in families)
    values = {s.name: s.value for f in families for s in f.samples}
    assert 2 == values["evmon_cache_lookups_total"]
    assert 5 == values["orders_total"]
    assert "target_info" in values


def test_a_scrape_has_evmon_metrics_as_text_and_others_as_families(wired, hit):
    hit(2)
    wired.foreign.add(5)
    (ours, *others) = wired.reader.scrape()

    assert isinstance(ours, RenderedFamily)
    assert ("evmon_cache_lookups", LINE) == (ours.name, ours.lines)
    assert {"target", "orders"} == set(names(others))


def test_repeated_scrapes_return_the_same(wired, hit):
    hit(2)
    for _ in range(3):
        assert [LINE] == [
            f.lines for f in wired.reader.scrape() if isinstance(f, RenderedFamily)
        ]
        assert 1 == names(wired.reader.families()).count("evmon_cache_lookups")


def test_metrics_of_the_sdk_and_the_buffered_meter_share_a_scope():
    wired = ConnectedReader(BufferedMeter())
    wired.bulk.bind(i.CACHE_ENTRIES)(1)
    wired.sdk.bind(i.CONSUMER_READY)(1)
    data = wired.reader.read()
    wired.provider.shutdown()

    scopes = data.resource_metrics[0].scope_metrics
    (ours,) = [scope for scope in scopes if scope.scope.name == "evmon"]
    assert {
        i.CACHE_ENTRIES.name,
        i.CONSUMER_READY.name,
    } == {m.name for m in ours.metrics}


class Derives(Collector):
    """A family computed from a collection of its own, like those of the monitor."""

    def __init__(self, reader):
        self._reader = reader

    def collect(self):
        value = total(self._reader.read())
        return [GaugeMetricFamily("derived", "From a look.", value=value)]

    def describe(self):
        return []


def test_a_collector_can_collect_during_a_scrape(wired, hit):
    wired.registry.register(Derives(wired.reader))
    hit(2)
    for collect in (wired.reader.families, wired.reader.scrape):
        found = collect()
        assert 1 == names(found).count("evmon_cache_lookups")
        (derived,) = [f for f in found if f.name == "derived"]
        assert 2 == derived.samples[0].value


def test_a_scrape_after_a_failed_one_is_complete(wired, hit):
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
    assert LINE == wired.reader.scrape()[0].lines


def test_concurrent_looks_and_scrapes_return_the_same(wired, hit):
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
    assert [] == wrong


def test_a_registered_family_of_nan_has_no_sample(wired):
    unknown = GaugeMetricFamily("unknown", "x", value=float("nan"))

    class Shows(Collector):
        def collect(self):
            return [unknown]

        def describe(self):
            return []

    wired.registry.register(Shows())
    (family,) = [f for f in wired.reader.families() if f.name == "unknown"]
    assert [] == family.samples

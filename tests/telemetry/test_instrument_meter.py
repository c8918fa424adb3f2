"""The meter on OpenTelemetry's instruments: first values, state, overflow, closing."""

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from evmon._telemetry import instruments as i
from evmon._telemetry.instrument_meter import MAX_SERIES, InstrumentMeter, Shared
from evmon._telemetry.snapshot import Distribution, Snapshot


def test_a_counter_is_0_before_its_first_increment(measured):
    measured.meter.bind(i.CACHE_LOOKUPS, {i.CACHE_RESULT: "hit"})

    assert measured.snapshot.has(i.CACHE_LOOKUPS)
    assert 0 == measured.total(i.CACHE_LOOKUPS)


def test_a_gauge_set_to_nan_has_no_sample(measured):
    gauge = measured.meter.bind(i.CONSUMER_LAG)
    gauge(3)
    assert 3 == measured.total(i.CONSUMER_LAG)
    gauge(float("nan"))

    assert not measured.snapshot.has(i.CONSUMER_LAG)


def test_each_of_many_values_is_one_measurement(measured):
    measured.meter.bind_many(i.RETRY_DELAY)([1.0, 2.0])

    assert Distribution(2, 3.0) == measured.snapshot.distribution(i.RETRY_DELAY)


def test_closing_a_meter_removes_its_gauges(measured):
    measured.meter.bind(i.CONSUMER_READY)(1)
    measured.meter.close()

    assert not measured.snapshot.has(i.CONSUMER_READY)


def test_state_is_right_for_a_reader_that_is_added_later(measured):
    handlers = measured.meter.bind(i.DISCOVERY_HANDLERS)
    handlers(2)
    late = InMemoryMetricReader()
    measured.provider.add_metric_reader(late)
    handlers(-1)

    assert 1 == measured.total(i.DISCOVERY_HANDLERS)
    assert 1 == Snapshot(late.get_metrics_data()).total(i.DISCOVERY_HANDLERS)


def test_buses_of_one_name_show_their_sum_and_the_one_that_is_not_ready():
    reader = InMemoryMetricReader()
    meter = MeterProvider([reader], shutdown_on_exit=False).get_meter("evmon")
    shared = Shared(meter)
    for ready, handlers in ((0, 2), (1, 3)):
        bus = InstrumentMeter(meter, shared)
        bus.bind(i.CONSUMER_READY)(ready)
        bus.bind(i.DISCOVERY_HANDLERS)(handlers)
    snapshot = Snapshot(reader.get_metrics_data())

    assert 0 == snapshot.total(i.CONSUMER_READY)
    assert 5 == snapshot.total(i.DISCOVERY_HANDLERS)


def test_a_bus_that_cannot_be_observed_does_not_hide_another(caplog):
    reader = InMemoryMetricReader()
    meter = MeterProvider([reader], shutdown_on_exit=False).get_meter("evmon")
    shared = Shared(meter)
    broken, sound = InstrumentMeter(meter, shared), InstrumentMeter(meter, shared)
    broken.before_observe.append(lambda: 1 / 0)
    for bus, name in ((broken, "broken"), (sound, "sound")):
        bus.bind(i.CONSUMER_READY, {i.BUS: name})(1)
    snapshot = Snapshot(reader.get_metrics_data())

    assert 1 == snapshot.total(i.CONSUMER_READY, {i.BUS: "sound"})
    assert "cannot update evmon.ready before it is observed" in caplog.text


def test_failures_beyond_the_limit_of_the_sdk_stay_failures(measured):
    for n in range(MAX_SERIES + 400):
        attributes = {i.HANDLER: str(n), i.BUS: "shop"}
        if n % 2:
            attributes[i.ERROR_TYPE] = "OSError"
        measured.meter.bind(i.PROCESS_DURATION, attributes)(1)
    snapshot = measured.snapshot

    calls = snapshot.distribution(i.PROCESS_DURATION).count
    succeeded = snapshot.distribution(i.PROCESS_DURATION, without=i.ERROR_TYPE).count
    assert MAX_SERIES + 400 == calls
    assert calls / 2 == succeeded

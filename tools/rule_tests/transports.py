"""Test data of `evmon._alerting.rules.transports`."""

from evmon._alerting.promql import DESTINATION, GROUP, series
from evmon._settings.thresholds import Thresholds
from evmon._telemetry import instruments as i
from evmon._telemetry.instrument import Instrument
from tools.rule_tests.data import AlertData, DataByAlert, Input, SilentInputs

SHOP_DESTINATION = f'{DESTINATION}="shop"'
SHOP_GROUP = f'{SHOP_DESTINATION},{GROUP}="shop"'
_OTHER_GROUP = f'{SHOP_DESTINATION},{GROUP}="other"'
_UNREAD_SECONDS = 7200.0


def transport_data(limits: Thresholds) -> DataByAlert:
    """Return the test data of the alerts on consumer groups."""
    return {
        ("EvmonConsumerLagOld", "warning"): _gauge(i.CONSUMER_UNREAD_AGE),
        ("EvmonConsumerLagOld", "critical"): _gauge(i.CONSUMER_UNREAD_AGE),
        ("EvmonConsumerLagGrowing", "warning"): _lag_growing(limits),
        ("EvmonConsumerStalled", "critical"): _consumer_stalled(),
        ("EvmonPendingOld", "warning"): _pending_old(),
        ("EvmonPendingOld", "critical"): _pending_old(),
        ("EvmonLagUnknown", "warning"): AlertData(
            inputs=_gauge(i.CONSUMER_LAG_KNOWN).inputs,
            firing_value=0,
            silent_value=1,
        ),
    }


def _gauge(gauge: Instrument) -> AlertData:
    def inputs(value: float) -> tuple[Input, ...]:
        return (Input(series(gauge, SHOP_GROUP), "gauge", value),)

    return AlertData(inputs=inputs)


def _lag_growing(limits: Thresholds) -> AlertData:
    minimum, limit_seconds = limits.lag_min_events, limits.drain_warning_seconds

    def consumed(per_second: float) -> Input:
        counter = series(i.CONSUMED_MESSAGES, SHOP_GROUP)
        per_window = per_second * limits.window_seconds
        return Input(counter, "counter", per_window, shared=True)

    def rising(
        drain_seconds: float, lag_at_limit: float = 10.0 * minimum
    ) -> tuple[Input, ...]:
        per_second = lag_at_limit / limit_seconds
        lag = series(i.CONSUMER_LAG, SHOP_GROUP)
        return Input(lag, "creep", drain_seconds * per_second), consumed(per_second)

    def constant(drain_seconds: float) -> tuple[Input, ...]:
        per_second = 10.0 * minimum / limit_seconds
        lag = series(i.CONSUMER_LAG, SHOP_GROUP)
        return Input(lag, "gauge", drain_seconds * per_second), consumed(per_second)

    return AlertData(
        inputs=rising,
        silent=(
            # The firing value is 1.2 times the limit, and 1.2 * 0.8 is below 1.
            SilentInputs(
                "while the lag is small", lambda value: rising(value, 0.8 * minimum)
            ),
            SilentInputs(
                "after it fell", rising, before=lambda value: constant(2 * value)
            ),
            SilentInputs(
                "when it does not rise any more",
                constant,
                before=lambda value: constant(value / 2),
            ),
        ),
        counters_grow_while_healthy=True,
    )


def _consumer_stalled() -> AlertData:
    in_flight = series(i.EVENTS_IN_FLIGHT)

    def inputs(
        lag: float, consumed: float, group: str = SHOP_GROUP
    ) -> tuple[Input, ...]:
        return (
            Input(series(i.CONSUMER_LAG, group), "gauge", lag),
            Input(series(i.CONSUMED_MESSAGES, group), "counter", consumed),
        )

    return AlertData(
        inputs=lambda value: inputs(value, 0),
        silent=(
            SilentInputs("when little is read", lambda value: inputs(value, 1)),
            SilentInputs(
                "while long handlers fill all slots",
                lambda value: (*inputs(value, 0), Input(in_flight, "gauge", 10)),
            ),
            SilentInputs(
                "when only another group has nothing to read",
                lambda value: (*inputs(value, 60), *inputs(0, 0, _OTHER_GROUP)),
            ),
        ),
        firing_value=50,
        silent_value=0,
    )


def _pending_old() -> AlertData:
    def inputs(seconds: float) -> tuple[Input, ...]:
        pending = series(i.CONSUMER_PENDING_AGE, SHOP_GROUP)
        unread = series(i.CONSUMER_UNREAD_AGE, SHOP_GROUP)
        return (
            Input(pending, "gauge", seconds + _UNREAD_SECONDS),
            Input(unread, "gauge", _UNREAD_SECONDS),
        )

    return AlertData(inputs=inputs)

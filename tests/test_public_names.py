"""The public names are a promise: this is the list of them."""

import importlib.metadata
import inspect

import evmon
from evmon import errors

PUBLIC = """
Batching BusStateError ConfigError ConsumerConfig Delivery DiscoveryConfig DiscoveryError
Event EventBus EventLimits EvmonError InvalidEventError MetricsConfig MonitorConfig
PublishError RedisConfig Reject RetryLater RetryPolicy Thresholds TransportError event_handler
metrics_app
"""


def test_the_public_names_are_these():
    assert PUBLIC.split() == evmon.__all__
    assert sorted(evmon.__all__) == evmon.__all__


def test_every_public_name_is_documented():
    for name in evmon.__all__:
        found = getattr(evmon, name)
        assert inspect.getdoc(found), name
        methods = inspect.getmembers(found, inspect.isfunction)
        for method_name, method in methods:
            is_ours = method.__module__.startswith("evmon")
            if is_ours and not method_name.startswith("_"):
                assert inspect.getdoc(method), f"{name}.{method_name}"


def test_every_error_is_in_the_tree_of_the_docstring():
    for name in errors.__all__:
        if inspect.isclass(getattr(errors, name, None)):
            assert name in errors.__doc__


def test_the_version_is_that_of_the_package():
    assert evmon.__version__ == importlib.metadata.version("evmon")

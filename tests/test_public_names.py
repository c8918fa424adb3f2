"""The public names of evmon, and the documentation of each."""

import dataclasses
import importlib.metadata
import inspect
import re

import pytest

import evmon
from evmon import Monitor, errors
from evmon._discovery.discovery import Discovery
from evmon._monitor import (
    CacheMetrics,
    DiscoveryMetrics,
    MemoryMetrics,
    TimingMetrics,
)
from evmon.testing import (
    Handled,
    History,
    VirtualClock,
    dead_letters,
    make_event,
    record,
    settled,
)

PUBLIC = """
Batching BusStateError ConfigError ConsumerConfig Delivery DiscoveryConfig DiscoveryError
DiscoveryFailure Event EventBus EventLimits EvmonError Finding Handler InvalidEventError Metrics
MetricsConfig Monitor MonitorConfig PublishError PublishRetry Recommendation RedisConfig Reject
RetryLater RetryPolicy Thresholds TransportError event_handler metrics_app
"""


def test_the_public_names_are_complete():
    assert PUBLIC.split() == evmon.__all__
    assert sorted(evmon.__all__) == evmon.__all__


CLASSES = [
    *(
        value
        for name in evmon.__all__
        if isinstance(value := getattr(evmon, name), type)
    ),
    *(
        value
        for name in errors.__all__
        if isinstance(value := getattr(errors, name), type)
    ),
    *(VirtualClock, History, Handled),
    *(Discovery, CacheMetrics, DiscoveryMetrics, MemoryMetrics, TimingMetrics),
]
SETTINGS = [kind for kind in CLASSES if "@documented" in inspect.getsource(kind)]


def functions():
    """Each public function, and each public method that a class itself defines."""
    yield from (evmon.event_handler, evmon.metrics_app)
    yield from (dead_letters, make_event, record, settled)
    for kind in dict.fromkeys(CLASSES):
        for name, value in vars(kind).items():
            if inspect.isfunction(value) and not name.startswith("_"):
                yield value


def section(doc, title):
    """The indented block below a title; empty when there is none."""
    found = re.search(rf"^{title}:\n((?: +.*\n|\n)+)", f"{doc}\n", re.MULTILINE)
    return found[1] if found else ""


@pytest.mark.parametrize("kind", dict.fromkeys(CLASSES), ids=lambda kind: kind.__name__)
def test_a_class_has_a_docstring_of_its_own(kind):
    doc = vars(kind).get("__doc__")

    assert doc
    assert not doc.startswith(f"{kind.__name__}("), "the dataclass decorator wrote it"
    if dataclasses.is_dataclass(kind):
        described = section(inspect.cleandoc(doc), "Attributes")
        for field in dataclasses.fields(kind):
            assert f"    {field.name}: " in described, field.name
        assert section(inspect.cleandoc(doc), "Example")


@pytest.mark.parametrize("function", list(functions()), ids=lambda f: f.__qualname__)
def test_a_function_documents_arguments_and_result(function):
    doc = inspect.cleandoc(function.__doc__ or "")
    signature = inspect.signature(function)

    assert doc
    if function in {Monitor.check, Monitor.run, Monitor.collect, Discovery.run}:
        return  # called only by the bus
    described = section(doc, "Args")
    for name in list(signature.parameters):
        assert "self" == name or re.search(
            rf"^    {name}: ", described, re.MULTILINE
        ), name
    returned = signature.return_annotation
    if returned not in (None, "None"):
        assert section(doc, "Returns")
    if function.__qualname__.startswith(("EventBus.", "RetryPolicy.", "Monitor.get_")):
        assert section(doc, "Example")


def test_help_lists_every_setting_with_its_default_but_no_password():
    assert 10 == len(SETTINGS)
    text = inspect.getdoc(evmon.RedisConfig)

    assert "lease: Seconds without renewal" in text
    assert "Default: ``30.0``" in text
    assert "retry_on: Exception types worth retrying. Default: ``(Exception,)``." in (
        inspect.getdoc(evmon.RetryPolicy)
    )
    (password,) = [line for line in text.splitlines() if "password: " in line]
    assert "Default" not in password


def test_the_docstring_of_errors_lists_every_error():
    for name in errors.__all__:
        if inspect.isclass(getattr(errors, name, None)):
            assert name in errors.__doc__


def test_the_version_equals_that_of_the_package():
    assert evmon.__version__ == importlib.metadata.version("evmon")

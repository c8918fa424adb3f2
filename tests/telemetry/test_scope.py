"""The instrumentation scope says which version of evmon and of the conventions it is."""

import pytest
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.semconv.schemas import Schemas

import evmon
from evmon import EventBus


@pytest.fixture
def reader(monkeypatch):
    """The reader of an application's provider, which the bus uses."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: provider)
    return reader


def scope_of(data):
    """Name, version and schema URL of the only scope, as it is exported."""
    (resource,) = data.resource_metrics
    (scope,) = resource.scope_metrics
    return scope.scope.name, scope.scope.version, scope.schema_url


NEWEST = ("evmon", evmon.__version__, list(Schemas)[-1].value)


async def test_the_scope_of_an_applications_provider_has_version_and_schema(reader):
    async with EventBus("shop"):
        assert NEWEST == scope_of(reader.get_metrics_data())


async def test_the_scope_of_an_own_provider_has_version_and_schema():
    async with EventBus("shop") as bus:
        assert NEWEST == scope_of(bus._runtime.telemetry._reader.read())

"""What evmon reads of an application's `MeterProvider`: its views and its resource.

The SDK shows neither; so this reads private attributes, and takes a provider without
them for one without views.
"""

from typing import Any, Final

from opentelemetry.sdk.metrics import view as v  # noqa: TID251 - reads its views
from opentelemetry.sdk.resources import SERVICE_NAME  # noqa: TID251

from evmon._telemetry.instrument import Instrument, Kind

_SUMS: Final = (v.DefaultAggregation, v.SumAggregation)
_READ: Final[dict[Kind, tuple[type, ...]]] = {
    Kind.COUNTER: _SUMS,
    Kind.UP_DOWN_COUNTER: _SUMS,
    Kind.GAUGE: (v.DefaultAggregation, v.LastValueAggregation),
    Kind.HISTOGRAM: (
        v.DefaultAggregation,
        v.ExplicitBucketHistogramAggregation,
        v.ExponentialBucketHistogramAggregation,
    ),
}
"""Aggregations whose points `Snapshot` reads."""


def is_unnamed(provider: Any) -> bool:
    """Whether the application has not set the attribute ``service.name``."""
    resource = getattr(getattr(provider, "_sdk_config", None), "resource", None)
    name = str(resource.attributes.get(SERVICE_NAME, "")) if resource else "named"
    return not name or name.startswith("unknown_service")


def hidden_by_views(provider: Any, instrument: Any, row: Instrument) -> str:
    """Why an instrument is not collected as declared; empty if it is.

    Args:
        provider: provider that may have views.
        instrument: the SDK's instrument.
        row: the declared one.
    """
    views = getattr(getattr(provider, "_sdk_config", None), "views", ())
    reasons = [_change(view, row) for view in views if view._match(instrument)]  # noqa: SLF001
    return reasons[0] if reasons and all(reasons) else ""


def _change(view: Any, row: Instrument) -> str:
    """What a view changes so that the series are not found, or not read."""
    name, kept = view._name, view._attribute_keys  # noqa: SLF001
    aggregation = view._aggregation  # noqa: SLF001
    if isinstance(aggregation, v.DropAggregation):
        return "a View drops it"
    if name not in (None, row.name):
        return f"a View renames it to {name}"
    if not isinstance(aggregation, _READ[row.kind]):
        return f"a View aggregates it with {type(aggregation).__name__}"
    removed = set(row.attributes) - set(kept) if kept is not None else set()
    return f"a View removes {', '.join(sorted(removed))}" if removed else ""

"""Renders the metrics of evmon as Prometheus text, faster than a generic encoder.

Most of a line, its name and labels, is the same at every scrape: it is built once per
series and kept as a template for the values. The output is, byte for byte, that of the
OpenTelemetry exporter and `prometheus_client` for the same samples.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from json import dumps
from math import isnan
from typing import Any, Final, Literal, cast

from opentelemetry.sdk.metrics.export import (  # noqa: TID251 - renders collected data
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    Sum,
)
from prometheus_client import utils as prometheus_utils

from evmon._telemetry.instrument import Instrument, Kind
from evmon._telemetry.instruments import INSTRUMENTS
from evmon._telemetry.naming import prometheus_label, prometheus_name, prometheus_unit

_Attributes = tuple[tuple[str, Any], ...]
_Type = Literal["counter", "gauge", "histogram"]

_ROWS: Final = {row.name: row for row in INSTRUMENTS}
_TYPES: Final[Mapping[Kind, _Type]] = {
    Kind.COUNTER: "counter",
    Kind.OBSERVABLE_COUNTER: "counter",
    Kind.UP_DOWN_COUNTER: "gauge",
    Kind.OBSERVABLE_UP_DOWN_COUNTER: "gauge",
    Kind.GAUGE: "gauge",
    Kind.HISTOGRAM: "histogram",
}
_number: Final = cast(Callable[[float], str], prometheus_utils.floatToGoString)

_PLAIN_BELOW: Final = 1_000_000
"""Numbers from here on have an exponent in the format of Go."""


@dataclass(frozen=True, slots=True, eq=False)
class RenderedFamily:
    """A family of metrics, ready to be written in either format.

    Attributes:
        name: name of the family, without ``_total``.
        type: Prometheus type.
        unit: Prometheus unit; empty if there is none.
        description: description of the instrument.
        lines: lines of its samples.
    """

    name: str
    type: _Type
    unit: str
    description: str
    lines: str

    def head(self, *, openmetrics: bool) -> str:
        """Its header, in the OpenMetrics or Prometheus text format."""
        description = self.description.replace("\\", r"\\").replace("\n", r"\n")
        name = self.name
        unit = ""
        if openmetrics:
            description = description.replace('"', r"\"")
            unit = f"# UNIT {name} {self.unit}\n" if self.unit else ""
        elif self.type == "counter":
            name = f"{name}_total"
        return f"# HELP {name} {description}\n# TYPE {name} {self.type}\n{unit}"

    def text(self, *, openmetrics: bool) -> str:
        """The family with its header, in the OpenMetrics or Prometheus text format."""
        return f"{self.head(openmetrics=openmetrics)}{self.lines}"


class TextRenderer:
    r"""Renders instruments of evmon; not thread-safe.

    Example:
        >>> from evmon._telemetry.buffered_meter import BufferedMeter
        >>> from evmon._telemetry.instruments import CACHE_ENTRIES
        >>> meter = BufferedMeter()
        >>> meter.bind(CACHE_ENTRIES)(3)
        >>> (family,) = TextRenderer().render(meter.collect())
        >>> family.lines
        'evmon_cache_entries 3.0\n'
    """

    def __init__(self) -> None:
        self._templates: dict[str, _Templates] = {}

    def render(self, metrics: Iterable[Metric]) -> list[RenderedFamily]:
        """Render metrics for which `is_renderable` holds."""
        return [self._family(metric) for metric in metrics]

    def _family(self, metric: Metric) -> RenderedFamily:
        row = _ROWS[metric.name]
        templates = self._templates.get(metric.name)
        if templates is None:
            templates = self._templates[metric.name] = _Templates(row)
        lines = templates.fill(metric.data.data_points)
        unit = prometheus_unit(row)
        return RenderedFamily(
            templates.name, templates.type, unit, metric.description or "", lines
        )


def is_renderable(metric: Metric) -> bool:
    """Whether a metric is an instrument of evmon, not changed by a view."""
    row = _ROWS.get(metric.name)
    if row is None:
        return False
    data = metric.data
    expected = _TYPES[row.kind]
    if isinstance(data, Sum):
        cumulative = data.aggregation_temporality is AggregationTemporality.CUMULATIVE
        return cumulative and expected == ("counter" if data.is_monotonic else "gauge")
    if isinstance(data, Histogram):
        return expected == "histogram"
    return isinstance(data, Gauge) and expected == "gauge"


class _Templates:
    """Line templates of the series of an instrument."""

    def __init__(self, row: Instrument) -> None:
        self.type = _TYPES[row.kind]
        shown = prometheus_name(row)
        self.name = shown.removesuffix("_total") if self.type == "counter" else shown
        self._sample = shown
        self._keys: frozenset[str] = frozenset()
        self._known: dict[tuple[_Attributes, Sequence[float]], str] = {}

    def fill(self, points: Sequence[Any]) -> str:
        """Render all series; a label that a series does not have is empty."""
        keyed = [(tuple((point.attributes or {}).items()), point) for point in points]
        keys = frozenset(key for attributes, _ in keyed for key, _ in attributes)
        known = self._known if keys == self._keys else {}
        self._keys = keys
        # Rebuilt from the current series, so that removed ones are dropped.
        self._known = {}
        lines = []
        for attributes, point in keyed:
            bounds = getattr(point, "explicit_bounds", ())
            template = known.get((attributes, bounds))
            if template is None:
                template = self._make(attributes, bounds)
            self._known[attributes, bounds] = template
            if isinstance(point, HistogramDataPoint):
                lines.append(template % _numbers(point))
            elif not (self.type == "gauge" and isnan(point.value)):
                lines.append(template % _number(point.value))
        return "".join(lines)

    def _make(self, attributes: _Attributes, bounds: Sequence[float]) -> str:
        labels = dict.fromkeys(map(prometheus_label, self._keys), "")
        labels |= {prometheus_label(key): _text(value) for key, value in attributes}
        name = self._sample
        if self.type != "histogram":
            return f"{name}{_braces(labels)} %s\n"
        limits = [f"{bound}" for bound in bounds] + ["+Inf"]
        lines = [
            f"{name}_bucket{_braces({**labels, 'le': limit})} %s\n" for limit in limits
        ]
        if float(limits[0]) >= 0:  # OpenMetrics forbids count and sum otherwise
            plain = _braces(labels)
            lines += [f"{name}_count{plain} %s\n", f"{name}_sum{plain} %s\n"]
        return "".join(lines)


def _numbers(point: HistogramDataPoint) -> tuple[str, ...]:
    """The values of a histogram template: cumulative counts, count, sum."""
    counts = list(accumulate(point.bucket_counts))
    total = counts[-1]
    bounds = point.explicit_bounds
    if not bounds or bounds[0] >= 0:
        counts.append(total)
    if total < _PLAIN_BELOW:
        texts = [f"{count}.0" for count in counts]
    else:
        texts = [_number(count) for count in counts]
    if len(counts) > len(bounds) + 1:
        texts.append(_number(point.sum))
    return tuple(texts)


def _braces(labels: Mapping[str, str]) -> str:
    """Labels in braces, escaped for a template."""
    if not labels:
        return ""
    inner = ",".join(f'{name}="{_escaped(labels[name])}"' for name in sorted(labels))
    return f"{{{inner}}}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else dumps(value, default=str)


def _escaped(value: str) -> str:
    escaped = value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return escaped.replace("%", "%%")

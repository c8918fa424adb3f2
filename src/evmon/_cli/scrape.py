"""Reads ``/metrics`` and ``/readyz`` of a running service."""

import time
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from prometheus_client.parser import text_string_to_metric_families

from evmon._http.hosts import is_this_machine
from evmon._telemetry import instruments as i
from evmon._telemetry.instrument import Instrument
from evmon._telemetry.naming import prometheus_label, prometheus_name

_MAX_BYTES: Final = 64 * 1024 * 1024
_MAX_DETAIL: Final = 500
_CHUNK: Final = 64 * 1024

UPTIME: Final = prometheus_name(i.UPTIME)
LIMITS: Final = "evmon_threshold_limit"
"""Shown by a monitor, also while telemetry is off."""

Samples = dict[str, list[tuple[dict[str, str], float]]]
"""Labels and value of each sample, by name."""


def full_url(url: str) -> str:
    """Add scheme and path to a bare address."""
    url = url if "://" in url else f"http://{url}"
    return url if urlsplit(url).path.strip("/") else f"{url.rstrip('/')}/metrics"


def scrape(url: str, timeout: float) -> Samples:
    """Read all samples of an evmon service.

    Raises:
        OSError: the service cannot be reached.
        ValueError: the response is not from an evmon service.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError("not an http:// or https:// URL")
    deadline = time.monotonic() + timeout
    body = bytearray()
    with _open(url, timeout) as answer:
        # The socket timeout applies to each read; a slow trickle would never end.
        while (part := answer.read1(_CHUNK)) and len(body) < _MAX_BYTES:
            body += part
            if time.monotonic() > deadline:
                raise TimeoutError(f"no complete response within {timeout:g} s")
    text = body.decode("utf-8")
    samples: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples.setdefault(sample.name, []).append((sample.labels, sample.value))
    if not {UPTIME, LIMITS} & set(samples):
        raise ValueError("not the metrics of an evmon service")
    return samples


def why_not_ready(url: str, timeout: float) -> str | None:
    """Ask the ``/readyz`` next to ``/metrics``.

    Returns:
        Why the service is not ready; empty if it is ready; None if there is no
        ``/readyz``, as when another server exposes the metrics.
    """
    try:
        with _open(urljoin(url, "readyz"), timeout):
            return ""
    except urllib.error.HTTPError as error:
        with error:
            if error.code < 500:
                return None
            detail = error.read(_MAX_DETAIL).decode(errors="replace")
            return " ".join(detail.split()) or f"HTTP {error.code}"
    except (OSError, HTTPException) as error:
        return f"no response: {getattr(error, 'reason', error)}"


def total(samples: Samples, row: Instrument, suffix: str = "", **labels: str) -> float:
    """Sum of an instrument's samples that have `labels`; 0 if there are none."""
    return total_of(samples, prometheus_name(row) + suffix, **labels)


def count(samples: Samples, row: Instrument, **labels: str) -> int | None:
    """The same for a count that starts at 0; None if it is not measured."""
    if prometheus_name(row) not in samples:
        return None
    return int(total(samples, row, **labels))


def total_of(samples: Samples, name: str, **labels: str) -> float:
    """Sum of the samples of this name that have `labels`; 0 if there are none."""
    return sum(
        value
        for found, value in samples.get(name, [])
        if labels.items() <= found.items()
    )


def highest(samples: Samples, row: Instrument) -> float | None:
    """The highest sample of an instrument; None if there is none."""
    values = (value for _, value in samples.get(prometheus_name(row), []))
    return max(values, default=None)


def label_values(samples: Samples, attribute: str, beside: str = "") -> set[str]:
    """The values of an attribute, of series that have the attribute `beside` too."""
    wanted, other = prometheus_label(attribute), prometheus_label(beside or attribute)
    return {
        labels[wanted]
        for series in samples.values()
        for labels, _ in series
        if wanted in labels and other in labels
    }


def _open(url: str, timeout: float) -> Any:
    request = urllib.request.Request(url, headers={"Accept": "text/plain"})  # noqa: S310 - `scrape` checks the scheme
    # A proxy's loopback is another machine, whatever http_proxy says.
    host = (urlsplit(url).hostname or "").rstrip(".")
    direct = [urllib.request.ProxyHandler({})] if is_this_machine(host) else []
    return urllib.request.build_opener(*direct).open(request, timeout=timeout)

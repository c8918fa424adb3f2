"""A running service, seen through what it serves: ``/metrics`` and ``/readyz``."""

import time
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from prometheus_client.parser import text_string_to_metric_families

from evmon._telemetry.instruments import Instrument
from evmon._telemetry.naming import prometheus_name

_MAX_BYTES: Final = 64 * 1024 * 1024
_MAX_DETAIL: Final = 500
_CHUNK: Final = 64 * 1024

Samples = dict[str, list[tuple[dict[str, str], float]]]
"""By name: labels and value of each sample."""


def full_url(url: str) -> str:
    """A bare address gets scheme and path added."""
    url = url if "://" in url else f"http://{url}"
    return url if urlsplit(url).path.strip("/") else f"{url.rstrip('/')}/metrics"


def scrape(url: str, timeout: float) -> Samples:
    """All samples of an evmon service.

    Raises:
        OSError: nobody answers.
        ValueError: what answers is no evmon service.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError("not an http address")
    deadline = time.monotonic() + timeout
    body = bytearray()
    with _open(url, timeout) as answer:
        # The time-out of a socket is for each read: one that drips would never end.
        while (part := answer.read1(_CHUNK)) and len(body) < _MAX_BYTES:
            body += part
            if time.monotonic() > deadline:
                raise TimeoutError(f"no whole answer within {timeout:g} s")
    text = body.decode("utf-8")
    samples: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples.setdefault(sample.name, []).append((sample.labels, sample.value))
    if "evmon_uptime_seconds" not in samples:
        raise ValueError("these are not the metrics of an evmon service")
    return samples


def why_not_ready(url: str, timeout: float) -> str | None:
    """What the ``/readyz`` beside ``/metrics`` complains of; empty when it is content.

    Returns:
        None when there is none: somebody else's server shows the metrics.
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
        return f"no answer: {getattr(error, 'reason', error)}"


def total(samples: Samples, row: Instrument, suffix: str = "", **labels: str) -> float:
    """Sum of an instrument's samples that carry `labels`; 0 when none does."""
    return total_of(samples, prometheus_name(row) + suffix, **labels)


def total_of(samples: Samples, name: str, **labels: str) -> float:
    """The same, by the name on ``/metrics``."""
    return sum(
        value
        for found, value in samples.get(name, [])
        if labels.items() <= found.items()
    )


def highest(samples: Samples, row: Instrument) -> float | None:
    """The greatest of an instrument's samples; None when there is none."""
    values = (value for _, value in samples.get(prometheus_name(row), []))
    return max(values, default=None)


def _open(url: str, timeout: float) -> Any:
    request = urllib.request.Request(url, headers={"Accept": "text/plain"})  # noqa: S310 - looked at by `scrape`
    return urllib.request.urlopen(request, timeout=timeout)  # noqa: S310

"""``evmon check``: one look at a running service, through its ``/metrics``."""

import dataclasses
import json
import urllib.error
import urllib.request
from typing import Any, Final
from urllib.parse import urlsplit

import click
from prometheus_client.parser import text_string_to_metric_families
from rich.text import Text

from evmon._cli.output import console
from evmon._monitor import (
    CacheMetrics,
    DiscoveryMetrics,
    Finding,
    MemoryMetrics,
    Metrics,
    Recommendation,
    TimingMetrics,
)
from evmon._monitor.figures import performance_summary
from evmon._monitor.findings import SIGNALS, Reading, finding_of, recommend
from evmon._telemetry import instruments as i
from evmon._telemetry.instruments import Instrument
from evmon._telemetry.naming import prometheus_label, prometheus_name
from evmon._thresholds import BYTES_PER_MB

DEFAULT_URL: Final = "http://127.0.0.1:9464/metrics"
BREACHED: Final = 1
UNREACHABLE: Final = 2
_MAX_BYTES: Final = 64 * 1024 * 1024

_Samples = dict[str, list[tuple[dict[str, str], float]]]


def check(url: str, timeout: float, *, as_json: bool) -> int:
    """Look once and print what was seen; returns the exit code.

    Args:
        url: of ``/metrics``; a bare address gets the path added.
        timeout: seconds.
        as_json: print JSON instead of text.
    """
    try:
        url = _full(url)
        samples = _scrape(url, timeout)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        click.echo(
            f"evmon: cannot read {url}: {reason}; is the service running, and is this"
            " where it serves /metrics?",
            err=True,
        )
        return UNREACHABLE
    metrics, uptime = _metrics(samples)
    findings = _findings(samples)
    advice = [recommend(finding) for finding in findings]
    if as_json:
        click.echo(json.dumps(_as_json(url, uptime, metrics, advice), indent=2))
    else:
        _print(performance_summary(metrics, uptime), advice)
    return BREACHED if findings else 0


def _full(url: str) -> str:
    url = url if "://" in url else f"http://{url}"
    return url if urlsplit(url).path.strip("/") else f"{url.rstrip('/')}/metrics"


def _scrape(url: str, timeout: float) -> _Samples:
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError("not an http address")
    request = urllib.request.Request(url, headers={"Accept": "text/plain"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=timeout) as answer:  # noqa: S310
        text = answer.read(_MAX_BYTES).decode("utf-8")
    samples: _Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples.setdefault(sample.name, []).append((sample.labels, sample.value))
    if "evmon_uptime_seconds" not in samples:
        raise ValueError("these are not the metrics of an evmon service")
    return samples


def _sum(samples: _Samples, name: str, **labels: str) -> float:
    return sum(
        value
        for found, value in samples.get(name, [])
        if labels.items() <= found.items()
    )


def _total(
    samples: _Samples, row: Instrument, suffix: str = "", **labels: str
) -> float:
    return _sum(samples, prometheus_name(row) + suffix, **labels)


def _metrics(samples: _Samples) -> tuple[Metrics, float]:
    result = prometheus_label(i.CACHE_RESULT)
    hits = _total(samples, i.CACHE_LOOKUPS, **{result: "hit"})
    misses = _total(samples, i.CACHE_LOOKUPS, **{result: "miss"})
    runs = _total(samples, i.DISCOVERY_BATCH_DURATION, "_count")
    seconds = _total(samples, i.DISCOVERY_BATCH_DURATION, "_sum")
    component = prometheus_label(i.RETRY_COMPONENT)
    recent = samples.get("evmon_discovery_batch_duration_average_seconds", [])
    last_run = samples.get(prometheus_name(i.DISCOVERY_LAST_RUN_TIME), [])
    metrics = Metrics(
        CacheMetrics(
            int(hits),
            int(misses),
            100 * hits / (hits + misses) if hits + misses else None,
        ),
        DiscoveryMetrics(
            pending=int(_total(samples, i.DISCOVERY_QUEUE_SIZE)),
            registered=int(_total(samples, i.DISCOVERY_HANDLERS)),
            retry_count=int(
                _total(samples, i.RETRY_ATTEMPTS, **{component: "discovery"})
            ),
            processing_time_ms=1000 * recent[0][1] if recent else None,
        ),
        MemoryMetrics(
            _sum(samples, "evmon_process_memory_unique_bytes") / BYTES_PER_MB,
            _total(samples, i.PROCESS_MEMORY_USAGE) / BYTES_PER_MB,
            None,
        ),
        TimingMetrics(
            last_discovery_run=last_run[0][1] if last_run else None,
            average_processing_time_ms=1000 * seconds / runs if runs else None,
            total_runs=int(runs),
        ),
    )
    return metrics, _sum(samples, "evmon_uptime_seconds")


def _findings(samples: _Samples) -> list[Finding]:
    """The service's own values held against its own limits, as it told them."""
    found = []
    for signal in SIGNALS:
        values = [
            value
            for labels, value in samples.get("evmon_threshold_value", [])
            if labels["alert"] == signal.alert
        ]
        limits = {
            labels["severity"]: value
            for labels, value in samples.get("evmon_threshold_limit", [])
            if labels["alert"] == signal.alert
        }
        if values and "warning" in limits:
            reading = Reading(
                signal, values[0], limits["warning"], limits.get("critical")
            )
            finding = finding_of(reading)
            if finding is not None:
                found.append(finding)
    return found


def _as_json(
    url: str, uptime: float, metrics: Metrics, advice: list[Recommendation]
) -> dict[str, Any]:
    return {
        "url": url,
        "uptime_seconds": uptime,
        "metrics": metrics.to_dict(),
        "warnings": [dataclasses.asdict(entry.finding) for entry in advice],
        "recommendations": [dataclasses.asdict(entry) for entry in advice],
    }


def _print(summary: str, advice: list[Recommendation]) -> None:
    out = console()
    out.print(Text(summary))
    if not advice:
        out.print(Text("No limit is breached.", style="green"))
    for entry in advice:
        finding = entry.finding
        style = "bold red" if finding.severity == "critical" else "yellow"
        out.print(Text(f"{finding.severity.upper()} {finding.alert}", style=style))
        out.print(Text(f"  Seen: {finding.message}"))
        for cause in entry.causes:
            out.print(Text(f"  Likely: {cause}"))
        out.print(Text(f"  Next: {entry.next_step}"))
        out.print(Text(f"  Runbook: docs/runbooks/{entry.runbook}.md"))

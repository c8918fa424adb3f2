"""``evmon check``: checks a running service through its ``/metrics``."""

import dataclasses
import json
from http.client import HTTPException
from typing import Final

import click

from evmon._cli.output import console, echo_error, styled
from evmon._cli.problems import event_counts, event_counts_line, problems
from evmon._cli.scrape import (
    LIMITS,
    UPTIME,
    Samples,
    count,
    full_url,
    highest,
    scrape,
    total,
    why_not_ready,
)
from evmon._monitor import (
    CacheMetrics,
    DiscoveryMetrics,
    Finding,
    MemoryMetrics,
    Metrics,
    Recommendation,
    TimingMetrics,
)
from evmon._monitor.findings import MONITORED_LIMITS, Reading, finding_of, recommend
from evmon._monitor.metrics import performance_summary
from evmon._settings.environment import environment, resolve
from evmon._settings.thresholds import BYTES_PER_MB, Thresholds
from evmon._telemetry import instruments as i
from evmon._telemetry.naming import prometheus_label, prometheus_name
from evmon._text import one_line

DEFAULT_URL: Final = "http://127.0.0.1:9464/metrics"
_MONITOR_OFF: Final = (
    "The monitor is off (auto_discovery=False): its limits are not checked."
)
_TELEMETRY_OFF: Final = (
    "telemetry is off (OTEL_SDK_DISABLED): of the limits, only memory is checked."
)
BREACHED: Final = 1
UNREACHABLE: Final = 2


def check(url: str, timeout: float, *, as_json: bool) -> int:
    """Check a service and print the result; returns the exit code.

    Args:
        url: URL of ``/metrics``; the path is added to a bare address.
        timeout: seconds to wait for a response.
        as_json: print JSON instead of text.
    """
    # The service exposes the limits of its monitor, but not those of event ages.
    limits = resolve(Thresholds(), environment())
    try:
        url = full_url(url)
        samples = scrape(url, timeout)
        metrics, uptime = _metrics(samples)
        findings = _findings(samples)
        counts = event_counts(samples)
    except (OSError, HTTPException, ValueError, ArithmeticError, LookupError) as error:
        reason = one_line(getattr(error, "reason", error)) or type(error).__name__
        if as_json:
            click.echo(json.dumps({"url": url, "error": reason}, indent=2))
        echo_error(
            f"cannot read {url!r:.200}: {reason:.200}; check that the service is"
            " running and serves /metrics there"
        )
        return UNREACHABLE
    not_ready = why_not_ready(url, timeout)
    recommendations = problems(samples, not_ready, limits)
    recommendations += [recommend(finding) for finding in findings]
    monitored, measured = LIMITS in samples, UPTIME in samples
    if as_json:
        report = {
            "url": url,
            "ready": None if not_ready is None else not not_ready,
            "monitored": monitored,
            "telemetry": measured,
            "uptime_seconds": uptime,
            "metrics": metrics.to_dict(),
            "events": counts,
            "warnings": [
                dataclasses.asdict(entry.finding) for entry in recommendations
            ],
            "recommendations": [dataclasses.asdict(entry) for entry in recommendations],
        }
        click.echo(json.dumps(report, indent=2))
    else:
        summary = (performance_summary(metrics, uptime), event_counts_line(counts))
        notes = [] if measured else [_TELEMETRY_OFF]
        notes += [] if monitored else [_MONITOR_OFF]
        _print("\n".join(filter(None, summary)), recommendations, notes)
    return BREACHED if recommendations else 0


def _metrics(samples: Samples) -> tuple[Metrics, float]:
    result = prometheus_label(i.CACHE_RESULT)
    hits = count(samples, i.CACHE_LOOKUPS, **{result: "hit"})
    misses = count(samples, i.CACHE_LOOKUPS, **{result: "miss"})
    lookups = (hits or 0) + (misses or 0)
    runs = total(samples, i.DISCOVERY_BATCH_DURATION, "_count")
    seconds = total(samples, i.DISCOVERY_BATCH_DURATION, "_sum")
    component = prometheus_label(i.RETRY_COMPONENT)
    recent = samples.get("evmon_discovery_batch_duration_average_seconds", [])
    resident = total(samples, i.PROCESS_MEMORY_USAGE)
    unique = samples.get("evmon_process_memory_unique_bytes", [])
    last_run = samples.get(prometheus_name(i.DISCOVERY_LAST_RUN_TIME), [])
    metrics = Metrics(
        CacheMetrics(
            hits, misses, 100 * hits / lookups if hits is not None and lookups else None
        ),
        DiscoveryMetrics(
            pending=count(samples, i.DISCOVERY_QUEUE_SIZE),
            registered=count(samples, i.DISCOVERY_HANDLERS),
            retry_count=count(samples, i.RETRY_ATTEMPTS, **{component: "discovery"}),
            processing_time_ms=1000 * recent[0][1] if recent else None,
        ),
        MemoryMetrics(
            (unique[0][1] if unique else resident) / BYTES_PER_MB,
            resident / BYTES_PER_MB,
            None,
        ),
        TimingMetrics(
            last_discovery_run=last_run[0][1] if last_run else None,
            average_processing_time_ms=1000 * seconds / runs if runs else None,
            total_runs=int(runs) if UPTIME in samples else None,
        ),
    )
    return metrics, highest(samples, i.UPTIME) or 0.0


def _findings(samples: Samples) -> list[Finding]:
    """Compare the values that the service exposes with its limits."""
    found = []
    for monitored in MONITORED_LIMITS:
        values = [
            value
            for labels, value in samples.get("evmon_threshold_value", [])
            if labels["alert"] == monitored.alert
        ]
        limits = {
            labels["severity"]: value
            for labels, value in samples.get("evmon_threshold_limit", [])
            if labels["alert"] == monitored.alert
        }
        if values and "warning" in limits:
            reading = Reading(
                monitored, values[0], limits["warning"], limits.get("critical")
            )
            finding = finding_of(reading)
            if finding is not None:
                found.append(finding)
    return found


def _print(
    summary: str, recommendations: list[Recommendation], notes: list[str]
) -> None:
    out = console()
    for line in summary.split("\n"):
        out.print(styled(line))
    for note in notes:
        out.print(styled(note, style="yellow"))
    if not notes and not recommendations:
        out.print(styled("No limit is breached.", style="green"))
    for entry in recommendations:
        finding = entry.finding
        style = "bold red" if finding.severity == "critical" else "yellow"
        out.print(styled(f"{finding.severity.upper()} {finding.alert}", style=style))
        out.print(styled(f"  Seen: {finding.message}"))
        for cause in entry.causes:
            out.print(styled(f"  Likely: {cause}"))
        out.print(styled(f"  Next: {entry.next_step}"))
        out.print(styled(f"  Runbook: evmon runbook {entry.runbook}"))

"""The monitor: checks limits at intervals and logs changes."""

import logging
from collections import deque
from collections.abc import Callable, Iterable

from prometheus_client.core import Metric

from evmon._clock import Clock
from evmon._monitor.collector import derived_families
from evmon._monitor.findings import (
    Finding,
    Reading,
    Recommendation,
    Severity,
    finding_of,
    readings,
    recommend,
)
from evmon._monitor.metrics import Metrics, Totals, metrics_of, performance_summary
from evmon._monitor.throughput import throughput, throughput_line
from evmon._settings.configs import MonitorConfig
from evmon._settings.thresholds import BYTES_PER_MB, Thresholds
from evmon._telemetry.process import ProcessMemory, process_memory
from evmon._telemetry.provider import Telemetry
from evmon._telemetry.snapshot import Snapshot

_log = logging.getLogger("evmon.monitor")


class Monitor:
    """Metrics, warnings and recommendations from what OpenTelemetry collected.

    Warnings cover the last window (``Thresholds.window_seconds``, 5 minutes by
    default), not the time since startup. Each is logged once when its limit is
    breached and once when it clears. Get the monitor from `EventBus.monitor`.

    Args:
        telemetry: source of the collected metrics.
        thresholds: limits.
        config: intervals of checks and summaries.
        clock: source of time.
        memory: function that reads the memory of the process.

    Example:
        >>> bus.monitor.get_metrics().cache.hit_rate
        85.0
    """

    def __init__(
        self,
        telemetry: Telemetry,
        thresholds: Thresholds,
        config: MonitorConfig,
        clock: Clock,
        memory: Callable[[], ProcessMemory] = process_memory,
    ) -> None:
        self._telemetry = telemetry
        self._limits = thresholds
        self._config = config
        self._clock = clock
        self._memory = memory
        self._started = clock.monotonic()
        self._samples: deque[tuple[float, Totals]] = deque()
        self._reported: dict[str, Severity] = {}
        self._sample(telemetry.snapshot())
        telemetry.add_collector(self.collect)

    @property
    def uptime_seconds(self) -> float:
        """Seconds since the bus started."""
        return self._clock.monotonic() - self._started

    def get_metrics(self) -> Metrics:
        """Collect all metrics now.

        Returns:
            Counts since startup; rates in percent, durations in milliseconds
            (``*_ms``), memory in MB of 10^6 bytes (``*_mb``) and times in seconds since
            the Unix epoch. None where a value is not known.

        Example:
            >>> bus.monitor.get_metrics().memory.heap_total_mb
            38.9
        """
        snapshot = self._telemetry.snapshot()
        return metrics_of(snapshot, self._window(snapshot), self._memory())

    def get_warnings(self) -> tuple[Finding, ...]:
        """Compare the last window with the limits now.

        Returns:
            The breached limits, each with value and limit in its ``unit`` (``%``,
            ``MB``, ``ms`` or a plain count); empty if there are none.

        Example:
            >>> [finding.message for finding in bus.monitor.get_warnings()]
            ['retries: 17, above the limit of 10']
        """
        found = (finding_of(reading) for reading in self._readings())
        return tuple(finding for finding in found if finding is not None)

    def get_recommendations(self) -> tuple[Recommendation, ...]:
        """What to do about each breached limit.

        Returns:
            For each of `get_warnings`: the finding, likely causes, the next step and
            the runbook.

        Example:
            >>> [advice.next_step for advice in bus.monitor.get_recommendations()]
            []
        """
        return tuple(recommend(finding) for finding in self.get_warnings())

    def get_performance_summary(self) -> str:
        """Summarize the metrics since startup.

        Returns:
            Five lines of text: uptime in seconds, cache hit rate in percent, handlers
            and pending providers, memory in MB, and batch duration in milliseconds.

        Example:
            >>> print(bus.monitor.get_performance_summary())
            Performance Summary (uptime: 15s):
              Cache: 93% hit rate (56/60)
              Discovery: 6 registered, 0 pending
              Memory: 27.4MB used / 39MB total
              Processing: 1.1ms average (15 runs)
        """
        return performance_summary(self.get_metrics(), self.uptime_seconds)

    def check(self) -> None:
        """Check the limits once, and log those whose state changed."""
        snapshot = self._telemetry.snapshot()
        for reading in self._readings(snapshot):
            self._report(reading)
        self._sample(snapshot)

    async def run(self) -> None:
        """Check limits and log summaries at intervals, until cancelled."""
        interval = self._config.summary_interval_seconds
        next_summary = self._clock.monotonic() + interval
        last = self._samples[-1]
        while True:
            await self._clock.interval(self._config.check_interval_seconds)
            try:
                self.check()
                if self._clock.monotonic() >= next_summary:
                    next_summary += interval
                    last = self._log_summary(last)
            except Exception:  # noqa: BLE001 - a failing monitor must not stop the bus
                _log.exception("the monitor check failed; it is retried")

    def _log_summary(self, last: tuple[float, Totals]) -> tuple[float, Totals]:
        """Log the summary and the throughput.

        Args:
            last: time and totals of the last call.

        Returns:
            The time and totals of this one.
        """
        # A record for each line, because logs are collected line by line.
        title, *lines = self.get_performance_summary().split("\n")
        _log.info("%s", title)
        for line in lines:
            _log.info("  %s", line.strip())
        now, totals = self._samples[-1]
        fields = throughput(totals.since(last[1]), now - last[0])
        _log.info("Throughput: %s", throughput_line(fields), extra=fields)
        return now, totals

    def collect(self) -> Iterable[Metric]:
        """The derived families, for the registry that ``/metrics`` renders."""
        snapshot = self._telemetry.latest()
        window, memory = self._window(snapshot), self._memory()
        return derived_families(
            metrics_of(snapshot, window, memory),
            window,
            self._compare(window, memory),
        )

    def _readings(self, snapshot: Snapshot | None = None) -> tuple[Reading, ...]:
        window = self._window(snapshot or self._telemetry.snapshot())
        return self._compare(window, self._memory())

    def _compare(self, window: Totals, memory: ProcessMemory) -> tuple[Reading, ...]:
        # The window starts at the last check before it.
        start = self._limits.window_seconds + self._config.check_interval_seconds
        warm = self.uptime_seconds >= start
        resident_mb = memory.resident / BYTES_PER_MB
        return readings(window, resident_mb, self._limits, warm=warm)

    def _window(self, snapshot: Snapshot) -> Totals:
        """Counters over the last window, from the available samples."""
        start = self._clock.monotonic() - self._limits.window_seconds
        samples = list(self._samples)
        base = samples[0][1]
        for taken, totals in samples:
            if taken > start:
                break
            base = totals
        return Totals.of(snapshot).since(base)

    def _sample(self, snapshot: Snapshot) -> None:
        """Keep the totals; of those older than the window only the newest."""
        now = self._clock.monotonic()
        start = now - self._limits.window_seconds
        while len(self._samples) > 1 and self._samples[1][0] <= start:
            self._samples.popleft()
        self._samples.append((now, Totals.of(snapshot)))

    def _report(self, reading: Reading) -> None:
        alert = reading.monitored.alert
        before = self._reported.get(alert)
        finding = finding_of(reading)
        if finding is None:
            if before is not None and reading.value is not None:
                del self._reported[alert]
                _log.info(
                    "%s cleared: %s is back to %.1f%s",
                    alert,
                    reading.monitored.subject,
                    reading.value,
                    reading.monitored.unit,
                    extra={"alert": alert, "state": "cleared"},
                )
            elif before is not None:
                del self._reported[alert]
                _log.info(
                    "%s cleared: too little traffic to judge",
                    alert,
                    extra={"alert": alert, "state": "cleared"},
                )
            return
        if finding.severity == before:
            return
        self._reported[alert] = finding.severity
        level = logging.ERROR if finding.severity == "critical" else logging.WARNING
        _log.log(
            level,
            "%s (%s): %s; %s",
            alert,
            finding.severity,
            finding.message,
            reading.monitored.next_step,
            extra={
                "alert": alert,
                "state": "breached",
                "severity": finding.severity,
                "value": finding.value,
                "limit": finding.limit,
            },
        )

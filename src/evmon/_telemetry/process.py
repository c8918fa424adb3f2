"""Metrics of the process, read from psutil at collection."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import psutil  # noqa: TID251 - only used here
from opentelemetry.metrics import CallbackOptions, Meter, Observation

from evmon._telemetry import instruments as i
from evmon._telemetry.instrument import Instrument


@dataclass(frozen=True, slots=True)
class ProcessMemory:
    """Memory of a Python process, in bytes.

    Attributes:
        resident: resident set size (RSS), which the operating system charges to the
            process and the out-of-memory killer considers.
        unique: unique set size (USS): the part of the RSS that is not shared and is
            freed when the process ends. None where the system does not report it.
        allocated: memory handed out by the C allocator (`psutil.heap_info`): buffers,
            large objects and extensions, outside Python's small-object arenas. None
            where the C library does not report it.
    """

    resident: int
    unique: int | None
    allocated: int | None


def process_memory() -> ProcessMemory:
    """Read the memory of this process (takes about 0.1 ms).

    Example:
        >>> process_memory().resident > 0
        True
    """
    process = psutil.Process()
    with process.oneshot():
        resident = process.memory_info().rss
        try:
            unique = getattr(process.memory_full_info(), "uss", None)
        except psutil.Error:
            unique = None
    try:
        heap = psutil.heap_info()
        allocated: int | None = heap.heap_used + heap.mmap_used
    except (AttributeError, OSError):
        allocated = None
    return ProcessMemory(resident, unique, allocated)


def listens_on(port: int) -> bool:
    """Whether this process itself listens on a TCP port."""
    try:
        connections = psutil.Process().net_connections("tcp")
    except (psutil.Error, OSError):
        return False
    return any(
        connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
        for connection in connections
    )


def observe_process(meter: Meter) -> None:
    """Register the process metrics with an OpenTelemetry meter.

    The process is looked up at each collection, so that a forked child reports itself.
    """

    def single(
        read: Callable[[psutil.Process], float],
    ) -> Callable[[CallbackOptions], Iterable[Observation]]:
        return lambda _: [Observation(read(psutil.Process()))]

    def cpu_time(_: CallbackOptions) -> Iterable[Observation]:
        times = psutil.Process().cpu_times()
        return [
            Observation(times.user, {i.CPU_MODE: "user"}),
            Observation(times.system, {i.CPU_MODE: "system"}),
        ]

    up_down_counters: tuple[
        tuple[Instrument, Callable[[psutil.Process], float]], ...
    ] = (
        (i.PROCESS_MEMORY_USAGE, lambda process: process.memory_info().rss),
        (i.PROCESS_MEMORY_VIRTUAL, lambda process: process.memory_info().vms),
        (i.PROCESS_THREAD_COUNT, psutil.Process.num_threads),
    )
    for row, read in up_down_counters:
        meter.create_observable_up_down_counter(
            row.name, [single(read)], row.unit, row.description
        )
    cpu = i.PROCESS_CPU_TIME
    meter.create_observable_counter(cpu.name, [cpu_time], cpu.unit, cpu.description)

"""Figures of the process itself, asked of psutil when they are collected."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import psutil  # noqa: TID251 - this is the one place
from opentelemetry.metrics import CallbackOptions, Meter, Observation

from evmon._telemetry import instruments as i


@dataclass(frozen=True, slots=True)
class ProcessMemory:
    """Memory of a Python process, in bytes.

    Attributes:
        resident: resident set (RSS): what the operating system charges the process
            for, and what the out-of-memory killer looks at.
        unique: unique set (USS): the part of the resident set that no other process
            shares, freed when this one ends. None where the system does not tell.
        allocated: what the C allocator has handed out (`psutil.heap_info`): buffers,
            large objects and what extensions hold, beside Python's own small-object
            arenas. None where the C library does not tell.
    """

    resident: int
    unique: int | None
    allocated: int | None


def process_memory() -> ProcessMemory:
    """Look at this process' memory (about 0.1 ms).

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


def observe_process(meter: Meter) -> None:
    """Register the process figures of the table with an OpenTelemetry meter.

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
        tuple[i.Instrument, Callable[[psutil.Process], float]], ...
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

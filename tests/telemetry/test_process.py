"""Memory, CPU time and threads of the process."""

from evmon._telemetry import instruments as i
from evmon._telemetry.process import observe_process, process_memory


def test_process_metrics_are_observed(everything):
    snapshot = everything.snapshot()

    assert 1_000_000 < snapshot.total(i.PROCESS_MEMORY_USAGE)
    assert snapshot.total(i.PROCESS_MEMORY_VIRTUAL) > snapshot.total(
        i.PROCESS_MEMORY_USAGE
    )
    assert 0 < snapshot.total(i.PROCESS_CPU_TIME, {"cpu.mode": "user"})
    assert 1 <= snapshot.total(i.PROCESS_THREAD_COUNT)
    assert observe_process


def test_memory_of_this_process_is_plausible():
    memory = process_memory()

    assert 0 < memory.unique <= memory.resident
    assert 0 < memory.allocated

"""Tasks that call user code end within a bound."""

import asyncio

import pytest

from evmon._consumer.tasks import Tasks


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    for name in ("CLEAN_UP_WITHIN", "END_WITHIN"):
        monkeypatch.setattr(f"evmon._consumer.tasks.{name}", 0.05)


async def test_a_task_that_swallows_cancellation_is_cancelled_twice_and_left_behind():
    tasks, cancellations, over = Tasks(), [], asyncio.Event()

    async def refuse():
        while not over.is_set():
            try:
                await over.wait()
            except asyncio.CancelledError:  # noqa: PERF203 - the fault of this test
                cancellations.append(1)

    tasks.start(refuse())
    await asyncio.sleep(0)
    await asyncio.wait_for(tasks.end(), 5)
    await asyncio.sleep(0.05)

    assert 2 == len(cancellations)
    over.set()


async def test_clean_up_is_interrupted_only_if_it_takes_too_long():
    tasks, ended = Tasks(), []

    async def clean_up(seconds):
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(seconds)
            ended.append(seconds)

    for seconds in (0.001, 60):
        tasks.start(clean_up(seconds))
    await asyncio.sleep(0)
    await asyncio.wait_for(tasks.end(), 5)

    assert [0.001] == ended


async def test_the_error_of_a_task_is_raised():
    tasks = Tasks()

    async def fail():
        raise OSError("broken")

    async def succeed(): ...

    tasks.start(succeed())
    tasks.start(fail())
    with pytest.raises(OSError, match="broken"):
        await asyncio.wait_for(tasks.raise_failure(), 5)

"""A bus belongs to the process and to the running event loop that started it."""

import asyncio
import threading

import pytest
from tests.shop import python

from evmon import BusStateError, EventBus


def test_publish_sync_is_refused_while_the_event_loop_does_not_run():
    loop = asyncio.new_event_loop()
    bus = EventBus(auto_discovery=False)
    loop.run_until_complete(bus.start())
    try:
        with pytest.raises(BusStateError, match="event loop of the bus does not run"):
            bus.publish_sync("a", timeout=1)
    finally:
        loop.run_until_complete(bus.stop())
        loop.close()


def test_publish_sync_ends_when_the_event_loop_stops_meanwhile(monkeypatch):
    loop = asyncio.new_event_loop()
    bus = EventBus(auto_discovery=False)
    loop.run_until_complete(bus.start())
    errors = []

    async def never(*_):
        loop.stop()
        await asyncio.sleep(60)

    def publish():
        try:
            bus.publish_sync("a")
        except BusStateError as error:
            errors.append(str(error))

    monkeypatch.setattr(bus._runtime.transport, "publish", never)
    thread = threading.Thread(target=publish, daemon=True)
    loop.call_soon(thread.start)
    loop.run_forever()
    thread.join(10)
    stopping = loop.create_task(bus.stop())
    loop.call_later(0.1, stopping.cancel)
    loop.run_until_complete(asyncio.gather(stopping, return_exceptions=True))
    loop.close()

    assert ["the event loop of the bus does not run: nothing is sent"] == errors


USES = """\
    bus.publish_sync("a")
    await bus.publish("a")
    bus.publish_nowait("a")
    await bus.publish_many([("a", 1)])
    bus.register(object())
    bus.discover("shop")
    bus.unregister(object())
    bus.add_handler("b", print)
    bus.monitor
    bus.discovery
    bus.routes
    bus.metrics_url
    await bus.preview()
    await bus.wait()
    await bus.start()
    await bus.stop()
"""


def test_a_forked_child_is_told_that_the_bus_belongs_to_its_parent():
    uses = [line.strip() for line in USES.splitlines()]
    script = f"""
    import asyncio, os
    from evmon import EventBus

    bus = EventBus(service="shop")

    async def main():
        async with bus:
            child = os.fork()
            if child == 0:
                for use in {uses!r}:
                    try_in_child(use)
                os._exit(0)
            assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def try_in_child(use):
        names = dict(bus=bus)
        exec("async def use(): " + use, names)
        try:
            names["use"]().send(None)
        except BaseException as error:
            print(use, f"{{type(error).__name__}}: {{error}}", flush=True)

    asyncio.run(main())
    """
    lines = python(script).splitlines()

    assert len(uses) == len(lines)
    for use, line in zip(uses, lines, strict=True):
        assert line.startswith(f"{use} BusStateError: the bus was started in process")
        assert line.endswith("make a new EventBus after the fork")


def test_a_forked_child_can_start_a_bus_that_its_parent_only_made():
    script = """
    import asyncio, os
    from evmon import EventBus, metrics_app
    from evmon._bus.bus import running_buses

    bus = EventBus(service="shop")
    other = EventBus(service="other")

    async def main():
        async with bus:
            await bus.publish("a")

    async def parent():
        async with other:
            child = os.fork()
            if child:
                assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                return
            asyncio._set_running_loop(None)
            print(list(running_buses), flush=True)
            asyncio.new_event_loop().run_until_complete(main())
            os._exit(0)

    asyncio.run(parent())
    """
    assert "[]\n" == python(script)

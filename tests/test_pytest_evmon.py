"""The pytest plugin that the wheel brings, in projects of its users."""

import os
import subprocess
import sys
import textwrap

import pytest
from tests.test_docs import EXAMPLES

pytestmark = pytest.mark.slow

NO_PLUGINS = ("-p", "no:asyncio", "-p", "no:anyio", "-W", "error")
RUNNERS = {
    "no other plugin": NO_PLUGINS,
    "plugins that are not set up": (),
    "pytest-asyncio": (
        *("-o", "asyncio_mode=auto"),
        *("-o", "asyncio_default_fixture_loop_scope=function"),
    ),
    "anyio": ("-p", "no:asyncio", "-o", "anyio_mode=auto"),
}


@pytest.fixture
def run_pytest(installed_wheel, tmp_path):
    """Runs pytest in a folder that holds nothing but one test file."""

    def run(code, *options, **variables):
        (tmp_path / "test_it.py").write_text(textwrap.dedent(code))
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(installed_wheel), **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.fixture(scope="module")
def guide_example():
    (example,) = [e for e in EXAMPLES if "evmon_bus" in e.source]
    return example.source


@pytest.mark.parametrize("options", RUNNERS.values(), ids=RUNNERS)
def test_the_example_of_the_guide_runs_in_an_empty_project(
    run_pytest, guide_example, options
):
    code, output = run_pytest(guide_example, *options)

    assert 0 == code, output
    assert "4 passed" in output


def test_variables_of_the_environment_do_not_reach_the_bus(run_pytest, guide_example):
    code, output = run_pytest(
        guide_example,
        EVMON_TRANSPORT="redis://127.0.0.1:1/0",
        OTEL_EXPORTER_PROMETHEUS_PORT="nonsense",
    )

    assert 0 == code, output


def test_a_failing_assertion_is_reported_as_that(run_pytest):
    code, output = run_pytest(
        """
        async def test_nothing_was_published(evmon_bus, evmon_history):
            await evmon_bus.publish("order.created")
            assert () == evmon_history.published
        """
    )

    assert 1 == code
    assert "assert () == evmon_history.published" in output
    assert "1 failed" in output


def test_an_error_of_discovery_fails_the_test_that_registers_first(run_pytest):
    code, output = run_pytest(
        """
        import pytest
        from evmon import event_handler

        @event_handler("a")
        async def handle(event, other): ...

        @pytest.fixture
        def bus(evmon_bus):
            evmon_bus.register(handle)
            return evmon_bus

        async def test_it(bus): ...
        """
    )

    assert 1 == code
    assert "DiscoveryError: discovery failed" in output


def test_a_project_may_test_a_bus_of_its_own(run_pytest):
    code, output = run_pytest(
        """
        import pytest
        from evmon import EventBus, RetryLater
        from evmon.testing import settled

        async def later(event):
            raise RetryLater(86_400)

        @pytest.fixture
        def evmon_bus(evmon_clock):
            bus = EventBus("shop", clock=evmon_clock)
            bus.add_handler("order.created", later)
            return bus

        class TestOrders:
            async def test_it(self, evmon_bus, evmon_history):
                event = await evmon_bus.publish("order.created")
                await settled(evmon_bus)
                assert "shop" == event.source
                assert 4 == len(evmon_history.handled)
        """,
        *NO_PLUGINS,
    )

    assert 0 == code, output


def test_a_bus_that_a_fixture_has_started_is_left_to_it(run_pytest):
    code, output = run_pytest(
        """
        import pytest
        from evmon import EventBus

        @pytest.fixture
        async def evmon_bus():
            async with EventBus() as bus:
                yield bus

        async def test_it(evmon_bus):
            await evmon_bus.publish("order.created")
        """,
        *RUNNERS["pytest-asyncio"],
    )

    assert 0 == code, output


def test_other_tests_neither_import_evmon_nor_are_run_differently(run_pytest):
    code, output = run_pytest(
        """
        import sys

        def test_a_function():
            assert not {"evmon", "opentelemetry", "redis"} & set(sys.modules)

        async def test_a_coroutine_function(): ...
        """,
        *NO_PLUGINS,
    )

    assert 1 == code
    assert "1 passed" in output
    assert "async def functions are not natively supported" in output


def test_evmon_does_not_import_pytest():
    code = "import sys, evmon.testing; assert 'pytest' not in sys.modules"

    assert 0 == subprocess.run([sys.executable, "-c", code], check=False).returncode

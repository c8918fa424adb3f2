"""The chaos runs with few events; `python -m chaos` runs them in full."""

import pytest
from chaos.result import Options
from chaos.runs import find

pytestmark = [pytest.mark.slow, pytest.mark.serial, pytest.mark.timeout(180)]


SLACK = 5.0
"""Seconds added to time limits, because other tests may run at the same time."""


@pytest.mark.parametrize(
    ("run", "events"),
    [
        pytest.param("t1", 100_000, id="processes and Redis are killed"),
        pytest.param("t2", 1, id="a process dies at each failpoint"),
        pytest.param("t3", 4_000, id="replies of Redis are lost"),
        pytest.param("t5", 2_000, id="Redis is stopped, filled and restarted"),
        pytest.param("t8", 8, id="consumers are told to stop"),
        pytest.param("t9", 2_000, id="other clients write anything"),
    ],
)
async def test_no_event_is_lost_when(run, events):
    results = await find(run)(Options(seed=1, events=events, slack=SLACK))

    assert [] == [
        f"{r.name}: {problem}; {r.figures}" for r in results for problem in r.problems
    ]

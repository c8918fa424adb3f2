"""The runs in small; `python -m chaos` does them in full."""

import pytest
from chaos.result import Options
from chaos.runs import find

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


SLACK = 5.0
"""Beside other tests; `python -m chaos` holds to what is promised."""


@pytest.mark.parametrize(
    ("run", "events"),
    [
        pytest.param("t1", 100_000, id="processes and Redis are killed"),
        pytest.param("t2", 1, id="a process dies at each failpoint"),
        pytest.param("t3", 4_000, id="replies get lost"),
        pytest.param("t5", 2_000, id="the server is mistreated"),
        pytest.param("t8", 8, id="consumers are told to stop"),
        pytest.param("t9", 2_000, id="strangers write anything"),
    ],
)
async def test_nothing_is_lost_when(run, events):
    results = await find(run)(Options(seed=1, events=events, slack=SLACK))

    assert [] == [
        f"{r.name}: {problem}; {r.figures}" for r in results for problem in r.problems
    ]

import pytest
from chaos.checker import FaultCounts, Outcome, check, metric_differences, parallel_runs
from chaos.journal import HandlerRun, Journal, handled_ids, handler_runs, id_fraction

GOOD = Outcome(
    published=["a", "b", "cp"], handled=["a", "b"], dead=["cp"], refused=["d"]
)
NO_FAULTS = FaultCounts()


def changed(**fields):
    kept = {name: getattr(GOOD, name) for name in GOOD.__slots__}
    return Outcome(**{**kept, **fields})


def test_a_run_with_every_event_handled_once_passes():
    verdict = check(GOOD, NO_FAULTS)

    assert [] == verdict.problems
    assert (3, 0, 0, 1) == (
        verdict.published,
        verdict.lost,
        verdict.duplicates,
        verdict.dead,
    )


@pytest.mark.parametrize(
    ("outcome", "problem"),
    [
        (changed(handled=["a"]), "1 lost: b"),
        (changed(dead=[]), "1 lost: cp"),
        (changed(dead=[]), "1 poison events not dead-lettered: cp"),
        (changed(dead=["cp", "cp"]), "1 dead-lettered more than once: cp"),
        (changed(dead=["cp", "a"]), "1 wrongly dead-lettered: a"),
        (changed(handled=["a", "b", "cp"]), "1 poison events handled: cp"),
        (changed(handled=["a", "b", "b"]), "1 duplicates, 0 allowed"),
        (changed(pending=4), "4 pending at the end"),
        (changed(unread=5), "5 unread at the end"),
        (changed(scheduled=6), "6 scheduled at the end"),
        (changed(published=["a", "a", "b", "cp"]), "the publisher used an id twice"),
        (changed(published=[]), "nothing was published"),
    ],
    ids=str,
)
def test_a_violated_guarantee_is_a_problem(outcome, problem):
    problems = check(outcome, NO_FAULTS).problems

    assert any(found.startswith(problem) for found in problems), problems


def test_a_refused_event_may_appear_and_is_counted():
    verdict = check(changed(handled=["a", "b", "d"]), NO_FAULTS)

    assert [] == verdict.problems
    assert 1 == verdict.unpublished_seen


def test_an_event_of_a_killed_publisher_may_appear_and_is_counted():
    verdict = check(changed(handled=["a", "b", "x"]), NO_FAULTS)

    assert [] == verdict.problems
    assert 1 == verdict.unpublished_seen


def test_lost_events_are_counted_but_no_problem_if_loss_is_allowed():
    verdict = check(changed(handled=["a"]), NO_FAULTS, allow_loss=True)

    assert [] == verdict.problems
    assert 1 == verdict.lost


def test_allowed_duplicates_add_up_kills_and_broken_connections():
    assert (
        7000 == FaultCounts(40, 6, 4, consumers=3, max_concurrency=100).max_duplicates
    )
    assert 7 == FaultCounts(expected_duplicates=7).max_duplicates


def test_duplicates_up_to_the_limit_are_allowed():
    twice = changed(handled=["a", "a", "b"])

    assert [] == check(twice, FaultCounts(expected_duplicates=1)).problems
    assert check(twice, FaultCounts(expected_duplicates=0)).problems


def test_parallel_runs_for_one_event_are_counted():
    one = HandlerRun("a", 1, 0.0, 5.0)

    assert 0 == parallel_runs([one, HandlerRun("a", 2, 5.0, 6.0)])
    assert 0 == parallel_runs([one, HandlerRun("b", 2, 1.0, 2.0)])
    assert 1 == parallel_runs([one, HandlerRun("a", 2, 4.0, 6.0)])
    assert 2 == parallel_runs(
        [HandlerRun("a", 3, 3.0, 4.0), one, HandlerRun("a", 2, 1.0, 2.0)]
    )


def test_metrics_that_differ_from_the_expected_value_are_named():
    assert [] == metric_differences({"lost": 1}, {"lost": 1})
    assert ["metric lost: 0 reported, 1 expected"] == metric_differences(
        {}, {"lost": 1}
    )


def test_an_incomplete_line_is_not_counted(tmp_path):
    Journal(tmp_path / "handled-1").write("a 1 0.0 1.0\nb 1 0.")
    Journal(tmp_path / "handled-2").write("a 2 0.5 1.0 0.25\n")

    assert ["a", "a"] == handled_ids(tmp_path)
    assert [
        HandlerRun("a", 1, 0.0, 1.0),
        HandlerRun("a", 2, 0.5, 1.0, 0.25),
    ] == handler_runs(tmp_path)


def test_id_fractions_are_reproducible_and_evenly_distributed():
    drawn = [id_fraction(f"g1-{n:07}") for n in range(2000)]

    assert drawn == [id_fraction(f"g1-{n:07}") for n in range(2000)]
    assert 60 < sum(c < 0.05 for c in drawn) < 140

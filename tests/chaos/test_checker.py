"""The checker of the chaos runs: what it counts and what it reports."""

import pytest
from chaos.checker import Load, Truth, check, differences, parallel_runs
from chaos.files import Handling, Journal, chance, handled, handlings

CLEAN = Truth(
    published=["a", "b", "cp"], handled=["a", "b"], dead=["cp"], refused=["d"]
)
NO_FAULTS = Load()


def changed(**fields):
    kept = {name: getattr(CLEAN, name) for name in CLEAN.__slots__}
    return Truth(**{**kept, **fields})


def test_a_run_with_each_event_handled_once_has_no_problems():
    verdict = check(CLEAN, NO_FAULTS)

    assert [] == verdict.problems
    assert (3, 0, 0, 1) == (
        verdict.published,
        verdict.lost,
        verdict.duplicates,
        verdict.dead,
    )


@pytest.mark.parametrize(
    ("truth", "problem"),
    [
        (changed(handled=["a"]), "1 lost: b"),
        (changed(dead=[]), "1 lost: cp"),
        (changed(dead=[]), "1 poison events that are no dead letters: cp"),
        (changed(dead=["cp", "cp"]), "1 dead letters more than once: cp"),
        (changed(dead=["cp", "a"]), "1 dead letters that are no poison: a"),
        (changed(handled=["a", "b", "cp"]), "1 poison events that were handled: cp"),
        (changed(handled=["a", "b", "b"]), "1 duplicates, 0 are allowed"),
        (changed(pending=4), "4 pending at the end"),
        (changed(unread=5), "5 unread at the end"),
        (changed(scheduled=6), "6 scheduled at the end"),
        (changed(published=["a", "a", "b", "cp"]), "ids were published twice"),
        (changed(published=[]), "nothing was published"),
    ],
    ids=str,
)
def test_each_violation_is_a_problem(truth, problem):
    problems = check(truth, NO_FAULTS).problems

    assert any(found.startswith(problem) for found in problems), problems


def test_a_refused_event_that_was_handled_is_counted_and_no_problem():
    verdict = check(changed(handled=["a", "b", "d"]), NO_FAULTS)

    assert [] == verdict.problems
    assert 1 == verdict.unpublished_seen


def test_a_handled_event_of_a_dead_publisher_is_counted_and_no_problem():
    verdict = check(changed(handled=["a", "b", "x"]), NO_FAULTS)

    assert [] == verdict.problems
    assert 1 == verdict.unpublished_seen


def test_with_may_lose_lost_events_are_counted_and_no_problem():
    verdict = check(changed(handled=["a"]), NO_FAULTS, may_lose=True)

    assert [] == verdict.problems
    assert 1 == verdict.lost


def test_the_bound_of_duplicates_adds_up_the_faults():
    assert 7000 == Load(40, 6, 4, consumers=3, in_flight=100).bound
    assert 7 == Load(more=7).bound


def test_duplicates_up_to_the_bound_are_allowed():
    twice = changed(handled=["a", "a", "b"])

    assert [] == check(twice, Load(more=1)).problems
    assert check(twice, Load(more=0)).problems


def test_handler_runs_of_one_event_that_overlap_are_counted():
    one = Handling("a", 1, 0.0, 5.0)

    assert 0 == parallel_runs([one, Handling("a", 2, 5.0, 6.0)])
    assert 0 == parallel_runs([one, Handling("b", 2, 1.0, 2.0)])
    assert 1 == parallel_runs([one, Handling("a", 2, 4.0, 6.0)])
    assert 2 == parallel_runs(
        [Handling("a", 3, 3.0, 4.0), one, Handling("a", 2, 1.0, 2.0)]
    )


def test_metrics_that_differ_from_the_truth_are_named():
    assert [] == differences({"lost": 1}, {"lost": 1})
    assert ["metric lost: 0, in truth 1"] == differences({}, {"lost": 1})


def test_an_incomplete_last_line_of_a_journal_is_ignored(tmp_path):
    Journal(tmp_path / "handled-1").write("a 1 0.0 1.0\nb 1 0.")
    Journal(tmp_path / "handled-2").write("a 2 0.5 1.0 0.25\n")

    assert ["a", "a"] == handled(tmp_path)
    assert [Handling("a", 1, 0.0, 1.0), Handling("a", 2, 0.5, 1.0, 0.25)] == handlings(
        tmp_path
    )


def test_chance_is_uniform_and_depends_only_on_the_event():
    drawn = [chance(f"g1-{n:07}") for n in range(2000)]

    assert drawn == [chance(f"g1-{n:07}") for n in range(2000)]
    assert 60 < sum(c < 0.05 for c in drawn) < 140

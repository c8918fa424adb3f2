import pytest
from chaos.checker import Load, Truth, check, differences, parallel_runs
from chaos.files import Handling, Journal, chance, handled, handlings

GOOD = Truth(published=["a", "b", "cp"], handled=["a", "b"], dead=["cp"], refused=["d"])
NO_FAULTS = Load()


def changed(**fields):
    kept = {name: getattr(GOOD, name) for name in GOOD.__slots__}
    return Truth(**{**kept, **fields})


def test_a_run_in_which_all_came_once_is_green():
    verdict = check(GOOD, NO_FAULTS)

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
def test_whatever_must_not_be_turns_it_red(truth, problem):
    problems = check(truth, NO_FAULTS).problems

    assert any(found.startswith(problem) for found in problems), problems


def test_an_event_that_was_refused_may_appear_and_is_told():
    verdict = check(changed(handled=["a", "b", "d"]), NO_FAULTS)

    assert [] == verdict.problems
    assert 1 == verdict.unpublished_seen


def test_an_event_whose_publisher_died_may_appear_and_is_told():
    verdict = check(changed(handled=["a", "b", "x"]), NO_FAULTS)

    assert [] == verdict.problems
    assert 1 == verdict.unpublished_seen


def test_events_that_were_taken_away_are_counted_and_no_problem():
    verdict = check(changed(handled=["a"]), NO_FAULTS, may_lose=True)

    assert [] == verdict.problems
    assert 1 == verdict.lost


def test_the_bound_adds_up_kills_and_breaks():
    assert 7000 == Load(40, 6, 4, consumers=3, in_flight=100).bound
    assert 7 == Load(more=7).bound


def test_duplicates_up_to_the_bound_are_allowed():
    twice = changed(handled=["a", "a", "b"])

    assert [] == check(twice, Load(more=1)).problems
    assert check(twice, Load(more=0)).problems


def test_runs_side_by_side_are_found():
    one = Handling("a", 1, 0.0, 5.0)

    assert 0 == parallel_runs([one, Handling("a", 2, 5.0, 6.0)])
    assert 0 == parallel_runs([one, Handling("b", 2, 1.0, 2.0)])
    assert 1 == parallel_runs([one, Handling("a", 2, 4.0, 6.0)])
    assert 2 == parallel_runs(
        [Handling("a", 3, 3.0, 4.0), one, Handling("a", 2, 1.0, 2.0)]
    )


def test_metrics_that_tell_something_else_are_named():
    assert [] == differences({"lost": 1}, {"lost": 1})
    assert ["metric lost: 0, in truth 1"] == differences({}, {"lost": 1})


def test_a_line_that_was_cut_off_is_not_counted(tmp_path):
    Journal(tmp_path / "handled-1").write("a 1 0.0 1.0\nb 1 0.")
    Journal(tmp_path / "handled-2").write("a 2 0.5 1.0 0.25\n")

    assert ["a", "a"] == handled(tmp_path)
    assert [Handling("a", 1, 0.0, 1.0), Handling("a", 2, 0.5, 1.0, 0.25)] == handlings(
        tmp_path
    )


def test_chances_are_spread_and_the_same_for_everybody():
    drawn = [chance(f"g1-{n:07}") for n in range(2000)]

    assert drawn == [chance(f"g1-{n:07}") for n in range(2000)]
    assert 60 < sum(c < 0.05 for c in drawn) < 140

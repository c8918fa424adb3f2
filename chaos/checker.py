"""Compares what processes recorded and what Redis holds with the guarantees."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from chaos.journal import POISON, HandlerRun

SHOWN = 3
"""Ids named by a problem."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """State at the end of a run.

    Attributes:
        published: ids whose publish returned.
        refused: ids whose publish raised.
        handled: id of each completed handler run.
        dead: event id of each dead letter.
        pending: entries in the pending entries list of the group.
        unread: 1 if the stream has entries that the group has not read, else 0.
        scheduled: entries scheduled for a retry.
    """

    published: Sequence[str]
    refused: Sequence[str] = ()
    handled: Sequence[str] = ()
    dead: Sequence[str] = ()
    pending: int = 0
    unread: int = 0
    scheduled: int = 0


@dataclass(frozen=True, slots=True)
class FaultCounts:
    """Injected faults, which limit how many duplicates are allowed.

    Attributes:
        kills: consumers killed.
        cuts: faults that broke connections.
        restarts: restarts of Redis.
        consumers: consumers running at the same time.
        max_concurrency: most events that one consumer handles at once.
        expected_duplicates: duplicates from a cause specific to the run.
    """

    kills: int = 0
    cuts: int = 0
    restarts: int = 0
    consumers: int = 3
    max_concurrency: int = 100
    expected_duplicates: int = 0

    @property
    def max_duplicates(self) -> int:
        """Most duplicates that the faults explain."""
        interruptions = self.kills + (self.cuts + self.restarts) * self.consumers
        return interruptions * self.max_concurrency + self.expected_duplicates


@dataclass(frozen=True, slots=True)
class Verdict:
    """Result of a check.

    Attributes:
        published: events whose publish returned.
        lost: published events that were neither handled nor dead-lettered.
        duplicates: handler runs beyond the first of each event.
        dead: dead letters.
        dead_twice: events with more than one dead letter.
        unpublished_seen: events that appeared although their publish did not return.
        max_duplicates: duplicates that the faults explain.
        problems: violated guarantees; empty if all hold.
    """

    published: int
    lost: int
    duplicates: int
    dead: int
    dead_twice: int
    unpublished_seen: int
    max_duplicates: int
    problems: list[str] = field(default_factory=list)

    @property
    def figures(self) -> dict[str, int]:
        """All numbers by the name under which they are printed."""
        return {
            "published": self.published,
            "lost": self.lost,
            "duplicates": self.duplicates,
            "bound": self.max_duplicates,
            "dead letters": self.dead,
            "dead-lettered twice": self.dead_twice,
            "unpublished but seen": self.unpublished_seen,
        }


def is_poison(event_id: str) -> bool:
    """Whether the handler rejects the event."""
    return event_id.endswith(POISON)


def check(
    outcome: Outcome, faults: FaultCounts, *, allow_loss: bool = False
) -> Verdict:
    """Check the guarantees.

    Args:
        outcome: state at the end of the run.
        faults: faults injected by the run.
        allow_loss: whether the run deleted events itself.
    """
    problems: list[str] = []
    published = set(outcome.published)
    runs = Counter(outcome.handled)
    dead = Counter(outcome.dead)
    lost = published - runs.keys() - dead.keys()
    duplicates = len(outcome.handled) - len(runs)
    twice = [i for i, count in dead.items() if count > 1]
    poison = {i for i in published if is_poison(i)}
    if not published:
        problems.append("nothing was published")
    if len(outcome.published) != len(published):
        problems.append("the publisher used an id twice")
    if not allow_loss:
        _report(problems, lost, "lost")
        _report(problems, poison - dead.keys(), "poison events not dead-lettered")
    _report(problems, twice, "dead-lettered more than once")
    _report(problems, (i for i in dead if not is_poison(i)), "wrongly dead-lettered")
    _report(problems, filter(is_poison, runs), "poison events handled")
    if duplicates > faults.max_duplicates:
        allowed = faults.max_duplicates
        problems.append(f"{duplicates} duplicates, {allowed} allowed")
    for name in ("pending", "unread", "scheduled"):
        count = getattr(outcome, name)
        if count:
            problems.append(f"{count} {name} at the end")
    return Verdict(
        published=len(published),
        lost=len(lost),
        duplicates=duplicates,
        dead=len(outcome.dead),
        dead_twice=len(twice),
        unpublished_seen=len((runs.keys() | dead.keys()) - published),
        max_duplicates=faults.max_duplicates,
        problems=problems,
    )


def parallel_runs(handler_runs: Iterable[HandlerRun]) -> int:
    """Handler runs that started while another run for the same event was going on."""
    by_id: dict[str, list[HandlerRun]] = {}
    for handler_run in handler_runs:
        by_id.setdefault(handler_run.id, []).append(handler_run)
    found = 0
    for runs in by_id.values():
        runs.sort(key=lambda run: run.start)
        end = runs[0].end
        for run in runs[1:]:
            found += run.start < end
            end = max(end, run.end)
    return found


def metric_differences(
    reported: Mapping[str, int], expected: Mapping[str, int]
) -> list[str]:
    """One problem for each metric whose reported value is not the expected one."""
    return [
        f"metric {name}: {reported.get(name, 0)} reported, {count} expected"
        for name, count in expected.items()
        if reported.get(name, 0) != count
    ]


def _report(problems: list[str], ids: Iterable[str], what: str) -> None:
    found = sorted(ids)
    if found:
        problems.append(f"{len(found)} {what}: {', '.join(found[:SHOWN])} …")

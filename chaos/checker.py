"""From what was written down and what stands in Redis to a verdict; pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from chaos.files import POISON, Handling

SHOWN = 3
"""Ids that a problem names."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known when a run is over.

    Attributes:
        published: ids whose publish returned.
        refused: ids whose publish raised.
        handled: ids that a handler was through with, as often as it was.
        dead: event ids of the dead letters, as often as they are there.
        pending: entries that the group was given and has not finished.
        unread: whether there is an entry that the group was not given.
        scheduled: entries that wait for another try.
    """

    published: Sequence[str]
    refused: Sequence[str] = ()
    handled: Sequence[str] = ()
    dead: Sequence[str] = ()
    pending: int = 0
    unread: int = 0
    scheduled: int = 0


@dataclass(frozen=True, slots=True)
class Load:
    """What was done to the processes, which bounds the duplicates.

    Attributes:
        kills: of consumers.
        cuts: of the network, and whatever else broke connections.
        restarts: of Redis.
        consumers: that ran at the same time.
        in_flight: events that one of them handles at the most.
        more: duplicates that the run expects for a reason of its own.
    """

    kills: int = 0
    cuts: int = 0
    restarts: int = 0
    consumers: int = 3
    in_flight: int = 100
    more: int = 0

    @property
    def bound(self) -> int:
        """Duplicates that may be at the most."""
        breaks = self.cuts + self.restarts
        killed = self.kills * self.in_flight
        return killed + breaks * self.consumers * self.in_flight + self.more


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a run.

    Attributes:
        published: events whose publish returned.
        lost: of these, the ones that are nowhere.
        duplicates: runs of handlers beyond the first of each event.
        dead: dead letters.
        dead_twice: events that are dead letters more than once.
        unpublished_seen: events that came although their publish did not return.
        bound: duplicates that may be.
        problems: what must not be, in words; none means the run is green.
    """

    published: int
    lost: int
    duplicates: int
    dead: int
    dead_twice: int
    unpublished_seen: int
    bound: int
    problems: list[str] = field(default_factory=list)

    @property
    def figures(self) -> dict[str, int]:
        """The numbers by name."""
        return {
            "published": self.published,
            "lost": self.lost,
            "duplicates": self.duplicates,
            "bound": self.bound,
            "dead letters": self.dead,
            "dead twice": self.dead_twice,
            "unpublished but seen": self.unpublished_seen,
        }


def is_poison(event_id: str) -> bool:
    """Whether the handler refuses the event."""
    return event_id.endswith(POISON)


def check(truth: Truth, load: Load, *, may_lose: bool = False) -> Verdict:
    """Hold the truth against what is promised.

    Args:
        truth: all that is known.
        load: what was done.
        may_lose: whether events were taken away on purpose.
    """
    problems: list[str] = []
    published = set(truth.published)
    runs = Counter(truth.handled)
    dead = Counter(truth.dead)
    lost = published - runs.keys() - dead.keys()
    duplicates = len(truth.handled) - len(runs)
    twice = [i for i, count in dead.items() if count > 1]
    wrong = [i for i in dead if not is_poison(i)]
    missing = [i for i in published if is_poison(i) and i not in dead]
    escaped = [i for i in runs if is_poison(i)]
    if not published:
        problems.append("nothing was published")
    if len(truth.published) != len(published):
        problems.append("ids were published twice: the publisher is wrong")
    if not may_lose:
        _say(problems, lost, "lost")
        _say(problems, missing, "poison events that are no dead letters")
    _say(problems, twice, "dead letters more than once")
    _say(problems, wrong, "dead letters that are no poison")
    _say(problems, escaped, "poison events that were handled")
    if duplicates > load.bound:
        problems.append(f"{duplicates} duplicates, {load.bound} are allowed")
    for name in ("pending", "unread", "scheduled"):
        count = getattr(truth, name)
        if count:
            problems.append(f"{count} {name} at the end")
    seen = (runs.keys() | dead.keys()) - published
    return Verdict(
        len(published),
        len(lost),
        duplicates,
        sum(dead.values()),
        len(twice),
        len(seen),
        load.bound,
        problems,
    )


def parallel_runs(handlings: Iterable[Handling]) -> int:
    """Runs of a handler that began while another run for the same event went on."""
    by_id: dict[str, list[Handling]] = {}
    for handling in handlings:
        by_id.setdefault(handling.id, []).append(handling)
    found = 0
    for runs in by_id.values():
        runs.sort(key=lambda run: run.start)
        end = runs[0].end
        for run in runs[1:]:
            found += run.start < end
            end = max(end, run.end)
    return found


def differences(told: Mapping[str, int], true: Mapping[str, int]) -> list[str]:
    """Where the metrics tell something else than the truth."""
    return [
        f"metric {name}: {told.get(name, 0)}, in truth {count}"
        for name, count in true.items()
        if told.get(name, 0) != count
    ]


def _say(problems: list[str], ids: Iterable[str], what: str) -> None:
    found = sorted(ids)
    if found:
        problems.append(f"{len(found)} {what}: {', '.join(found[:SHOWN])} …")

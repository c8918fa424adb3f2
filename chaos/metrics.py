"""What ``/metrics`` says, read with the parser of the Prometheus client."""

from collections.abc import Iterable

from prometheus_client.parser import text_string_to_metric_families

from chaos.files import lines
from chaos.world import World


def parse(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample by its name and labels.

    Raises:
        ValueError: this is no exposition.
    """
    families = text_string_to_metric_families(text)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def total(texts: Iterable[str], name: str, **labels: str) -> int:
    """The sum of a metric over processes, and over its labels but those given."""
    wanted = set(labels.items())
    return round(
        sum(
            value
            for text in texts
            for (found, has), value in parse(text).items()
            if found == name and wanted <= has
        )
    )


async def scrape_all(w: World) -> list[str]:
    """The metrics of all consumers, now."""
    return [await w.scrape(worker) for worker in w.workers]


async def untrue(w: World) -> tuple[int, list[str]]:
    """Where the metrics of processes tell something else than their journals.

    A process that lives must have counted every run of a handler that it wrote down;
    where another consumer took an event over in the middle of its run, the run may be
    written down and not counted. Of one that was killed the last scrape is known, which
    may lag behind but must not run ahead.

    Returns:
        Runs that all metrics together tell of, and what is wrong.
    """
    living = {worker.name: await w.scrape(worker) for worker in w.workers}
    sum_told, problems = 0, []
    for path in sorted(w.folder.glob("metrics-*")):
        name = path.name.removeprefix("metrics-")
        if path.suffix == ".draft":
            continue
        text = living.get(name) or path.read_text()
        told = _runs(text)
        true = sum(1 for _ in lines(w.folder, f"handled-{name}"))
        taken = total([text], "evmon_consumer_lease_losses_total")
        low = true - taken if name in living else 0
        if not low <= told <= true:
            problems.append(f"{name} tells of {told} runs, in truth {true}")
        sum_told += told
    return sum_told, problems


def _runs(text: str) -> int:
    """Runs of handlers that returned."""
    name = "messaging_process_duration_seconds_count"
    return round(
        sum(
            value
            for (found, has), value in parse(text).items()
            if found == name and not dict(has).get("error_type")
        )
    )

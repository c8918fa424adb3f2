"""Reads ``/metrics`` with the parser of the Prometheus client."""

from collections.abc import Iterable

from prometheus_client.parser import text_string_to_metric_families

from chaos.journal import read_lines
from chaos.testbed import Testbed


def parse_samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """The value of each sample by its name and labels.

    Raises:
        ValueError: the text is not in Prometheus' exposition format.
    """
    families = text_string_to_metric_families(text)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def metric_sum(texts: Iterable[str], name: str, **labels: str) -> int:
    """The sum over all samples of a metric that have these labels.

    Args:
        texts: scrapes of several processes.
        name: name of the metric.
        labels: labels that a sample must have.
    """
    wanted = set(labels.items())
    return round(
        sum(
            value
            for text in texts
            for (found, has), value in parse_samples(text).items()
            if found == name and wanted <= has
        )
    )


async def scrape_all(bed: Testbed) -> list[str]:
    """A scrape of each running consumer."""
    return [await bed.scrape(consumer) for consumer in bed.consumers]


async def compare_with_journals(bed: Testbed) -> tuple[int, list[str]]:
    """Compare the handler runs that consumers report with those they recorded.

    A running consumer must report every recorded run, except those whose lease it lost:
    these may be recorded and not counted. Of a killed consumer only the last scrape is
    known, which may report fewer runs than recorded, never more.

    Returns:
        Runs reported by all consumers together, and the problems found.
    """
    running = {c.name: await bed.scrape(c) for c in bed.consumers}
    all_reported, problems = 0, []
    for path in sorted(bed.folder.glob("metrics-*")):
        name = path.name.removeprefix("metrics-")
        if path.suffix == ".draft":
            continue
        text = running.get(name) or path.read_text()
        reported = _completed_runs(text)
        recorded = sum(1 for _ in read_lines(bed.folder, f"handled-{name}"))
        lease_losses = metric_sum([text], "evmon_consumer_lease_losses_total")
        least = recorded - lease_losses if name in running else 0
        if not least <= reported <= recorded:
            problems.append(f"{name} reports {reported} runs, recorded {recorded}")
        all_reported += reported
    return all_reported, problems


def _completed_runs(text: str) -> int:
    name = "messaging_process_duration_seconds_count"
    return round(
        sum(
            value
            for (found, has), value in parse_samples(text).items()
            if found == name and dict(has).get("evmon_outcome") == "success"
        )
    )

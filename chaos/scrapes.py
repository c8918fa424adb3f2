"""What ``/metrics`` says, read with the parser of the Prometheus client."""

from collections.abc import Iterable

from prometheus_client.parser import text_string_to_metric_families

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

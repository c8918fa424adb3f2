"""Additional labels that separate services with the same job name."""

import re
from typing import Final

from evmon._alerting.promql import BUS, INSTANCE, JOB, SHARED_GROUP
from evmon._telemetry.instruments import INSTRUMENTS
from evmon._telemetry.naming import prometheus_label
from evmon.errors import ConfigError

_LABEL_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_FIRST_LABEL: Final = re.compile(rf"\((?={JOB}[,)]|{', '.join(SHARED_GROUP)}\))")
"""The start of each list of labels: ``job`` is the first one, if it is in the list."""

_USED_LABELS: Final = frozenset(
    (JOB, INSTANCE, BUS, "le", "quantile", "alertname", "severity", "alert")
) | {prometheus_label(key) for row in INSTRUMENTS for key in row.attributes}


def check_labels(labels: tuple[str, ...]) -> None:
    """Check labels that are to be added to rules or dashboards.

    Raises:
        ConfigError: one is no name of a label, is used already, or is given twice.
    """
    for label in labels:
        if not _LABEL_NAME.fullmatch(label):
            raise ConfigError(f"--label {label!r}: must be the name of a label")
        if label in _USED_LABELS or label.startswith("__"):
            raise ConfigError(
                f"--label {label!r}: rules and dashboards already use it; name one that"
                " tells services apart, such as namespace"
            )
        if labels.count(label) > 1:
            raise ConfigError(f"--label {label!r}: given twice")


def add_labels(expr: str, labels: tuple[str, ...]) -> str:
    """Add labels to every grouping and matching of an expression.

    Example:
        >>> add_labels("max by (job, instance) (up)", ("namespace",))
        'max by (namespace, job, instance) (up)'
    """
    return _FIRST_LABEL.sub("(" + "".join(f"{label}, " for label in labels), expr)
